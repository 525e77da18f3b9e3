"""Real scans with annotated bodies (../shared/data/ct, never shipped): levels, overlap, and a named end for every file.

Slow: about a minute. Skipped where the data are not here.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.cli import main
from VertebralBMDLib.report.schema import validate
from VertebralBMDLib.segmentation.levels import CERTAIN

CT = Path(__file__).resolve().parents[2] / "shared" / "data" / "ct"
MEASURED = ("TCGA-09-2043", "ACRIN-FLT-001", "TS-example")
REFUSED = {"LIDC-0314": {"LEVEL_NOT_FOUND", "BODY_CUT_OFF", "LEVEL_UNCERTAIN", "NO_VERTEBRAE"}, "CRLM-1004": {"LEVEL_UNCERTAIN"}}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CT.is_dir(), reason="the development data are not here (../shared/data/ct)"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Measure a file once: exit status, its document and its folder."""
    done = {}

    def measured(file):
        if file not in done:
            folder = tmp_path_factory.mktemp("real")
            status = main(["measure", str(CT / file), "--output", str(folder), "--device", "cpu"])
            document = json.loads((folder / "measurement.json").read_text(encoding="utf-8"))
            validate(document)
            done[file] = status, document, folder
        return done[file]

    return measured


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


@pytest.mark.parametrize("label", [20, 21], ids=["L1", "L2"])
@pytest.mark.parametrize("name", MEASURED)
def test_l1_and_l2_are_found_where_they_were_annotated(run, name, label):
    _status, document, folder = run(f"CT_{name}.nii.gz")
    found, truth = (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (folder / "bodies.nii.gz", CT / f"BODIES_{name}.nii.gz"))
    overlap = dice(found == label, truth == label)
    levels = {vertebra["level"]: vertebra for vertebra in document["vertebrae"]}
    assert overlap >= 0.8, f"Dice {overlap:.3f}; found {sorted(levels)}"
    assert levels[{20: "L1", 21: "L2"}[label]]["level_confidence"] >= CERTAIN


@pytest.mark.parametrize("name", MEASURED)
def test_every_body_is_named_like_the_annotated_body_it_overlaps(run, name):
    _status, _document, folder = run(f"CT_{name}.nii.gz")
    found, truth = (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (folder / "bodies.nii.gz", CT / f"BODIES_{name}.nii.gz"))
    for label in set(np.unique(truth)) - {0}:
        if label < 100:
            inside = found[truth == label]
            named = np.bincount(inside[inside > 0], minlength=1).argmax() if (inside > 0).mean() > 0.3 else 0
            assert named in (label, 0), f"body {label} is named {named}"


@pytest.mark.parametrize("name", MEASURED)
def test_a_clear_scan_is_measured_without_a_category(run, name):
    """Unenhanced: mg/cm³ by the patient's tissues, for research; with contrast in the aorta: HU only."""
    status, document, _folder = run(f"CT_{name}.nii.gz")
    patient, calibration = document["patient"], document["calibration"]
    assert status == 0 and patient["refusals"] == [] and patient["levels"] == ["L1", "L2"] and patient["category"] == "withheld"
    measured = [vertebra for vertebra in document["vertebrae"] if "roi_mean_hu" in vertebra]
    assert [vertebra["level"] for vertebra in measured] == ["L1", "L2"]
    enhanced = name == "TCGA-09-2043"
    assert document["scan"]["contrast"] == ("yes" if enhanced else "no") and ("CONTRAST" in patient["flags"]) == enhanced
    if enhanced:
        assert calibration["source"] == "none" and "NOT_CALIBRATED" in patient["flags"] and "contrast" in patient["hu_band"]
        assert not any("vbmd_roi_mg_cm3" in vertebra or "vbmd_network_mg_cm3" in vertebra for vertebra in measured)
    else:
        assert (calibration["source"], calibration["method"]) == ("tissue", "physics") and calibration["uncertainty_mg_cm3"] >= 13.0
        assert "RESEARCH_CALIBRATION" in patient["flags"] and all(40.0 < each["vbmd_roi_mg_cm3"] < 220.0 for each in measured)


@pytest.mark.parametrize(("name", "expected"), [("TCGA-09-2043", 235), ("ACRIN-FLT-001", 183)])
def test_trabecular_hu_are_near_those_read_by_eye(run, name, expected):
    """By eye in a central cylinder of 8 mm, which leaves out the veins that the ROI still holds."""
    _status, document, _folder = run(f"CT_{name}.nii.gz")
    for vertebra in document["vertebrae"]:
        if vertebra["level"] in ("L1", "L2"):
            assert vertebra["roi_mean_hu"] == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_scan_without_certain_l1_and_l2_is_refused(run, name):
    status, document, _folder = run(f"CT_{name}.nii.gz")
    assert status == 3 and document["patient"]["category"] == "withheld" and "vbmd_mg_cm3" not in document["patient"]
    assert set(document["patient"]["refusals"]) & REFUSED[name] and set(document["patient"]["refusals"]) <= REFUSED[name]


def test_no_phantom_is_seen_in_scans_that_have_none(run):
    for name in (*MEASURED, *REFUSED):
        assert run(f"CT_{name}.nii.gz")[1]["calibration"]["source"] in ("tissue", "none"), name


@pytest.mark.parametrize("file", sorted(path.name for path in CT.glob("*.nii.gz")) if CT.is_dir() else ["CT_none.nii.gz"])
def test_every_file_ends_measured_or_refused_with_valid_files(run, file):
    status, document, folder = run(file)
    assert status in (0, 3) and (status == 3) == bool(document["patient"]["refusals"])
    assert (folder / "report.html").stat().st_size > 1000 and (folder / "measurements.csv").exists()
    if not file.startswith(("CT_", "CROP_VerSe-L3.")):
        assert document["patient"]["refusals"] == ["NOT_HU"]
