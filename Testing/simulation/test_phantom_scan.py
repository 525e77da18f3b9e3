"""Phantoms scanned alone: what they show is what their truth says."""

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.calibration.catalogue import phantom_names
from VertebralBMDLib.simulation.phantom_scan import PhantomScanSpec, simulate_phantom_scan
from VertebralBMDLib.simulation.scanner import Scanner

IDEAL = PhantomScanSpec(seed=2, scanner=Scanner(), spacing_mm=(1.5, 1.5, 3.0), size=(220, 180), slices=40)


@pytest.fixture(scope="module")
def esp():
    return simulate_phantom_scan(replace(IDEAL, phantom="esp"))


def mean_at(scan, point, half_mm=3.0):
    k, j, i = scan.image.TransformPhysicalPointToIndex(point)[::-1]
    n = max(1, int(half_mm / scan.image.GetSpacing()[0]))
    return float(sitk.GetArrayViewFromImage(scan.image)[k, j - n : j + n + 1, i - n : i + n + 1].mean())


@pytest.mark.parametrize("name", sorted(set(phantom_names()) - {"esp"}))
def test_every_rod_reads_its_theory(name):
    scan = simulate_phantom_scan(replace(IDEAL, phantom=name))
    assert len(scan.truth["rods"]) >= 2
    for rod in scan.truth["rods"]:
        assert mean_at(scan, rod["line_lps_mm"][4]) == pytest.approx(rod["hu"], abs=0.51)
    assert json.loads(json.dumps(scan.truth))["phantom"]["name"] == name


def test_the_spine_phantom_reads_its_densities_in_its_rois(esp):
    hu, rois, bodies = (sitk.GetArrayFromImage(i) for i in (esp.image, esp.rois, esp.bodies))
    densities = {level: truth["true_mineral_mg_cm3"] for level, truth in esp.truth["levels"].items()}
    assert densities == {"L1": 50.0, "L2": 100.0, "L3": 200.0}
    line = esp.truth["calibration"]["CaHA"]
    for truth in esp.truth["levels"].values():
        roi = rois == truth["label"]
        assert roi.sum() > 500 and (bodies[roi] == truth["label"]).all() and truth["complete"]
        reading = line["slope_mg_cm3_per_hu"] * hu[roi].mean() + line["intercept_mg_cm3"]
        assert reading == pytest.approx(truth["true_mineral_mg_cm3"], abs=0.4)
        voxel_cm3 = np.prod(esp.image.GetSpacing()) / 1000.0
        assert (bodies == truth["label"]).sum() * voxel_cm3 == pytest.approx(truth["body_cm3"], rel=0.06)
    cortices = [truth["cortex_mm"] for truth in esp.truth["levels"].values()]
    assert cortices == sorted(cortices) and len(set(cortices)) == 3


def test_the_mineral_of_a_spine_phantom_vertebra_is_what_its_voxels_hold():
    """Summed over the front half, where no arch is; water around it reads 0."""
    fine = simulate_phantom_scan(replace(IDEAL, phantom="esp", spacing_mm=(0.5, 0.5, 1.0), size=(120, 130), slices=90))
    truth, spacing = fine.truth["levels"]["L2"], fine.image.GetSpacing()
    i, j, k = fine.image.TransformPhysicalPointToContinuousIndex(truth["centroid_lps_mm"])
    hu = sitk.GetArrayViewFromImage(fine.image)[round(k) - 17 : round(k) + 18, : int(np.ceil(j)), round(i) - 40 : round(i) + 41]
    mineral_mg = fine.truth["calibration"]["CaHA"]["slope_mg_cm3_per_hu"] * hu.sum(dtype=float) * np.prod(spacing) / 1000.0
    assert mineral_mg == pytest.approx(0.5 * truth["body_mineral_mg"], rel=0.02)


def test_a_drifting_scanner_was_another_scanner_then():
    spec = replace(IDEAL, phantom="qrm-bdc3", scanner=Scanner(intercept_hu=1.0), drift_hu_per_year=-2.0, slices=4)
    then = simulate_phantom_scan(replace(spec, phantom_age_days=731))
    assert then.truth["scan_date"] == "2022-01-14" and simulate_phantom_scan(spec).truth["scan_date"] == "2024-01-15"
    for rod in then.truth["rods"]:
        assert mean_at(then, rod["line_lps_mm"][4]) == pytest.approx(rod["hu"] + 1.0 + 2.0 * 731 / 365.25, abs=0.51)


def test_a_header_says_which_phantom_was_scanned_when_and_where(esp):
    tags = replace(IDEAL, phantom="esp", phantom_age_days=15, scanner_id="SIM-9").examination.tags(esp.image)
    assert (tags["StudyDate"], tags["DeviceSerialNumber"], tags["QualityControlImage"]) == ("20231231", "SIM-9", "YES")
    assert tags["TableHeight"] == "135" and tags["SliceThickness"] == "3" and "European Spine Phantom" in tags["SeriesDescription"]
    assert esp.truth["couch_lps_y_mm"] - esp.truth["isocentre_lps_y_mm"] == pytest.approx(135.0)


def test_same_seed_same_scan(esp):
    again = simulate_phantom_scan(replace(IDEAL, phantom="esp"))
    assert np.array_equal(sitk.GetArrayViewFromImage(again.image), sitk.GetArrayViewFromImage(esp.image)) and again.truth == esp.truth


@pytest.mark.parametrize(
    "wrong",
    [
        {"slices": 0},
        {"spacing_mm": (0.8, 0.8, -1.0)},
        {"size": (0, 512)},
        {"phantom": "nothing"},
        {"phantom_age_days": -1},
        {"exam_date": "yesterday"},
        {"drift_hu_per_year": 99.0},
    ],
)
def test_wrong_values_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        simulate_phantom_scan(replace(IDEAL, **wrong))
