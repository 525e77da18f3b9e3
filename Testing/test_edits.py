"""The document after an edit of ROIs is the one that measuring with the edited ROIs gives, without the network's reading."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.anatomy import label_of
from VertebralBMDLib.edits import EditedRoi, after_edits, awaiting_network, edited_levels, network_beam, with_network
from VertebralBMDLib.network.density import Reading, read_density
from VertebralBMDLib.pipeline import measure
from VertebralBMDLib.report.document import document
from VertebralBMDLib.report.parts import network_entry
from VertebralBMDLib.report.schema import validate
from VertebralBMDLib.settings import Settings

NETWORK = ("vbmd_network_mg_cm3", "vbmd_network_interval95_mg_cm3", "osteoporosis_probability", "low_bone_mass_probability")


@pytest.fixture(scope="module")
def settings(patient_files):
    return Settings(device="cpu", bodies=patient_files / "bodies.nii.gz")


@pytest.fixture(scope="module")
def base(scan, settings):
    """The measurement that edits start from, and its document."""
    measurement = measure(scan, settings)
    return measurement, document(measurement)


def edited(measurement, label_map, level):
    """The part of the scan around an edited ROI, as the panel cuts it."""
    roi = label_map == label_of(level)
    spans = [np.flatnonzero(roi.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    place = tuple(slice(span[0], span[-1] + 1) if len(span) else slice(0, 0) for span in spans)
    body = sitk.GetArrayViewFromImage(measurement.vertebrae.label_map)[place] == label_of(level)
    return EditedRoi(measurement.scan.hu[place], roi[place], body, measurement.scan.spacing_mm[::-1])


def anew(scan, settings, label_map, levels, path):
    """The document of measuring with edited ROIs."""
    image = sitk.GetImageFromArray(label_map)
    image.CopyInformation(scan.image)
    sitk.WriteImage(image, str(path), useCompression=True)
    return document(measure(scan, replace(settings, roi=path, roi_levels=tuple(levels))))


def comparable(document):
    """Without times and the order of the patient's flags."""
    result = {name: part for name, part in document.items() if name not in ("timings_s", "messages")}
    result["patient"] = document["patient"] | {name: sorted(document["patient"][name]) for name in ("flags", "refusals")}
    return result


def painted(base, how):
    """The ROIs' label map with L1's half erased, moved into the cortex, or taken off."""
    label_map = sitk.GetArrayFromImage(base[0].roi)
    found = np.argwhere(label_map == 20)
    z, y, x = np.round(found.mean(axis=0)).astype(int)
    if how == "half":
        label_map[:, :y][label_map[:, :y] == 20] = 0
    if how == "moved":
        label_map[label_map == 20] = 0
        label_map[z - 2 : z + 3, y + 8 : y + 22, x - 10 : x + 11] = 20
    if how in ("small", "none"):
        label_map[label_map == 20] = 0
    if how == "small":
        label_map[z, y : y + 3, x : x + 3] = 20
    return label_map


@pytest.mark.parametrize("how", ["half", "moved"])
def test_an_edit_gives_what_measuring_anew_gives(scan, settings, base, tmp_path, how):
    label_map = painted(base, how)
    live = after_edits(base[1], {"L1": edited(base[0], label_map, "L1")})
    validate(live)
    assert awaiting_network(live) == ("L1",) and not any(name in entry(live, "L1") for name in NETWORK)
    centre = scan.image.TransformContinuousIndexToPhysicalPoint(np.argwhere(label_map == 20).mean(axis=0)[::-1].tolist())
    read = with_network(live, {"L1": network_entry(read_density(scan.image, centre, "cpu", network_beam(live)))})
    validate(read)
    expected = anew(scan, settings, label_map, ["L1"], tmp_path / "roi.nii.gz")
    assert awaiting_network(read) == () and comparable(read) == approximately(comparable(expected))
    assert read["messages"] == expected["messages"]
    assert edited_levels(read) == ("L1",) and edited_levels(base[1]) == awaiting_network(base[1]) == ()
    assert ("ROI_OUTSIDE_BODY" in entry(read, "L1")["flags"]) == (how == "moved")


def approximately(value):
    """Equal but for the last digits of its numbers."""
    if isinstance(value, dict):
        return {key: approximately(item) for key, item in value.items()}
    if isinstance(value, list):
        return [approximately(item) for item in value]
    return pytest.approx(value, rel=1e-6) if isinstance(value, float) else value


def entry(document, level):
    return next(each for each in document["vertebrae"] if each["level"] == level)


@pytest.mark.parametrize(("how", "code"), [("small", "ROI_SMALL"), ("none", "ROI_EMPTY")])
def test_an_roi_that_is_left_too_small_is_a_named_refusal_and_never_0(base, how, code):
    live = after_edits(base[1], {"L1": edited(base[0], painted(base, how), "L1")})
    validate(live)
    assert not {"roi_mean_hu", "vbmd_roi_mg_cm3", "heights_mm", "roi_volume_cm3"} & set(entry(live, "L1"))
    assert live["patient"]["left_out"] == [dict(level="L1", code=code)] and live["patient"]["category"] == "withheld"
    assert live["patient"]["vbmd_mg_cm3"] == entry(base[1], "L2")["vbmd_roi_mg_cm3"]
    assert {code, "ONE_LEVEL_ONLY"} <= set(live["patient"]["flags"]) and "draw" in live["messages"][code]
    assert edited_levels(live) == ("L1",) and awaiting_network(live) == ()


def test_without_any_roi_the_patients_value_is_refused(base):
    nothing = edited(base[0], painted(base, "none"), "L1")
    both = after_edits(base[1], {"L1": nothing, "L2": nothing})
    assert both["patient"]["refusals"] == ["ROI_EMPTY"] and "vbmd_mg_cm3" not in both["patient"]
    back = after_edits(both, {"L1": edited(base[0], painted(base, "half"), "L1")})
    assert back["patient"]["refusals"] == [] and back["patient"]["levels"] == ["L1"]


def test_only_what_was_edited_changes(base):
    live = after_edits(base[1], {"L1": edited(base[0], painted(base, "half"), "L1")})
    assert after_edits(base[1], {}) is base[1]
    assert entry(live, "L2") == entry(base[1], "L2") and live["calibration"] == base[1]["calibration"]


def test_the_network_may_disagree_with_an_edited_roi(base):
    live = after_edits(base[1], {"L1": edited(base[0], painted(base, "half"), "L1")})
    mean = entry(live, "L1")["vbmd_roi_mg_cm3"]
    far = with_network(live, {"L1": network_entry(Reading(mean + 21, 5.0))})
    assert "NETWORK_DISAGREES" in entry(far, "L1")["flags"] and "NETWORK_DISAGREES" in far["messages"]
    assert "NETWORK_DISAGREES" not in entry(with_network(far, {"L1": network_entry(Reading(mean, 5.0))}), "L1")["flags"]


def test_without_a_calibration_of_the_networks_material_nothing_waits_for_it(scan, settings, base):
    plain = document(measure(scan, replace(settings, calibration="none")))
    live = after_edits(plain, {"L1": edited(base[0], painted(base, "half"), "L1")})
    validate(live)
    assert awaiting_network(live) == () and "vbmd_roi_mg_cm3" not in entry(live, "L1") and "NOT_CALIBRATED" in live["patient"]["flags"]
    assert live["patient"]["hu_band"] != plain["patient"]["hu_band"]


def test_contrast_withholds_after_an_edit_too(scan, settings, base):
    enhanced = base[1] | dict(patient=base[1]["patient"] | dict(refusals=["CONTRAST"], category="withheld"))
    enhanced["patient"].pop("vbmd_mg_cm3")
    live = after_edits(enhanced, {"L1": edited(base[0], painted(base, "half"), "L1")})
    assert live["patient"]["refusals"] == ["CONTRAST"] and "vbmd_mg_cm3" not in live["patient"]
    assert "vbmd_roi_mg_cm3" not in entry(live, "L1") and awaiting_network(live) == ()
