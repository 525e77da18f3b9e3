"""Finding phantoms: drawn ones whose axes and HU are known, simulated patients with and without one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from rod_scans import INTERCEPT_HU, SLOPE_HU, Drawn

from VertebralBMDLib.calibration.catalogue import load_phantom, phantom_names
from VertebralBMDLib.calibration.rods import find_phantom
from VertebralBMDLib.simulation.findings import Findings, Hardware
from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient
from VertebralBMDLib.simulation.scanner import PHYSICS, TYPICAL, Scanner
from VertebralBMDLib.simulation.support import Mounting

CT = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"
PHANTOMS = {name: load_phantom(name) for name in phantom_names()}
AUTOMATIC = [phantom for phantom in PHANTOMS.values() if phantom.use == "calibration" and phantom.automatic]
CAHA = ["b-mas200", "image-analysis-qct3d-plus", "qrm-bdc3", "qrm-bdc6"]
CENTRES = [[0.0, -10.0, 18.0], [0.0, -10.0, -18.0]]


def wide(phantom):
    """A field that holds the whole phantom."""
    half = 0.5 * len(phantom.rods) * phantom.rod_spacing_mm + 45.0
    return ((-half, half), (-60.0, 100.0))


def drawn(name, **changes):
    phantom = PHANTOMS[name]
    return Drawn(phantom, **(dict(field_mm=wide(phantom)) | changes))


def assert_read(calibration, case, rods=None, within_hu=2.0):
    """Every rod is the right one, where it was drawn and as bright as it was drawn."""
    ids = [rod.id for rod in case.phantom.rods]
    assert calibration.phantom == case.phantom.name and [reading.rod.id for reading in calibration.readings] == (rods or ids)
    for reading in calibration.readings:
        x, y, z = reading.centre_lps_mm
        assert np.hypot(*(np.array([x, y]) - case.axis(ids.index(reading.rod.id), np.array(z)))) < 0.5
        assert reading.radius_mm == pytest.approx(case.phantom.rod_diameter_mm / 2, abs=0.5)
        assert reading.hu == pytest.approx(case.hu_of(reading.rod), abs=within_hu)
    assert calibration.slope_mg_cm3_per_hu == pytest.approx(1 / SLOPE_HU, rel=0.01)
    assert calibration.intercept_mg_cm3 == pytest.approx(-INTERCEPT_HU / SLOPE_HU, abs=1.5)


@pytest.mark.parametrize("name", CAHA)
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"mirrored": True, "noise": 60.0},
        {"lean": (0.1, -0.07), "roll_deg": 8.0},
        {"spacing": (0.6, 0.6, 5.0)},
        {"spacing": (1.4, 1.4, 0.8), "noise": 30.0},
    ],
    ids=["level", "mirrored and noisy", "tilted", "5 mm slices", "large pixels, thin slices"],
)
def test_rods_are_found_and_read_however_the_phantom_lies(name, how):
    case = drawn(name, **how)
    assert_read(find_phantom(case.image(), CENTRES, AUTOMATIC, 120.0), case, within_hu=0.06 * case.noise + 1.0)


@pytest.mark.parametrize("orientation", ["RAI", "PIR", "LSP"])
def test_the_stored_orientation_changes_nothing(orientation):
    image = drawn("b-mas200", lean=(0.05, 0.03)).image()
    straight = find_phantom(image, CENTRES, AUTOMATIC, 120.0)
    other = find_phantom(sitk.DICOMOrient(image, orientation), CENTRES, AUTOMATIC, 120.0)
    assert other.slope_mg_cm3_per_hu == pytest.approx(straight.slope_mg_cm3_per_hu, rel=1e-4)
    assert other.intercept_mg_cm3 == pytest.approx(straight.intercept_mg_cm3, abs=0.02)


def test_a_tilted_gantry_and_a_prone_patient_change_nothing():
    case = drawn("qrm-bdc6", length_mm=120.0)
    image = case.image()
    turn = np.array([[-1.0, 0.0, 0.0], [0.0, -np.cos(0.2), np.sin(0.2)], [0.0, np.sin(0.2), np.cos(0.2)]])
    grid = sitk.Image(image.GetSize(), sitk.sitkInt16)
    grid.SetSpacing(image.GetSpacing())
    grid.SetDirection(turn.ravel())
    middle = np.array(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))
    grid.SetOrigin((middle - turn @ (0.5 * (np.array(image.GetSize()) - 1) * image.GetSpacing())).tolist())
    oblique = sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, -1024.0)
    assert_read(find_phantom(oblique, CENTRES, AUTOMATIC, 120.0), case)
    prone = sitk.Image(image)
    prone.SetDirection(np.diag([-1.0, -1.0, 1.0]).ravel())
    turned = find_phantom(prone, CENTRES, AUTOMATIC, 120.0)
    assert [reading.hu for reading in turned.readings] == pytest.approx(
        [reading.hu for reading in find_phantom(image, CENTRES, AUTOMATIC, 120.0).readings], abs=0.3
    )


@pytest.mark.parametrize(("edge", "rods"), [((-52.0, 130.0), ["R2", "R3", "R4", "R5"]), ((-130.0, 22.0), ["R1", "R2", "R3"])])
def test_rods_that_the_field_cuts_are_left_out_and_said(edge, rods):
    case = drawn("b-mas200", field_mm=(edge, (-60.0, 100.0)))
    calibration = find_phantom(case.image(), CENTRES, AUTOMATIC, 120.0)
    assert_read(calibration, case, rods)
    assert {check.code: check.status for check in calibration.checks}["RODS_CUT_OFF"] == "warn"


def test_two_rods_of_five_are_no_phantom():
    case = drawn("b-mas200", field_mm=((-130.0, -8.0), (-60.0, 100.0)))
    assert find_phantom(case.image(), CENTRES, AUTOMATIC, 120.0) is None


def test_padding_around_a_round_field_cuts_rods_too():
    case = drawn("b-mas200")
    image = case.image()
    image[:93] = -1024  # up to 3 mm left of the second rod's middle
    assert_read(find_phantom(image, CENTRES, AUTOMATIC, 120.0), case, ["R3", "R4", "R5"])


def test_a_phantom_that_ends_is_read_as_far_as_it_goes():
    case = drawn("qrm-bdc3", z=(-200.0, 3.0))
    calibration = find_phantom(case.image(), CENTRES, AUTOMATIC, 120.0)
    assert_read(calibration, case)
    assert all(reading.centre_lps_mm[2] < -10.0 and abs(reading.drift_hu) < 3.0 for reading in calibration.readings)
    assert find_phantom(drawn("qrm-bdc3", z=(-200.0, -28.0)).image(), CENTRES, AUTOMATIC, 120.0) is None


def test_rods_are_followed_past_a_slice_that_a_streak_has_spoiled():
    case = drawn("b-mas200", lean=(0.08, 0.0))
    image = case.image()
    image[:, :, image.TransformPhysicalPointToIndex((0.0, 0.0, 0.0))[2]] = 1500
    calibration = find_phantom(image, CENTRES, AUTOMATIC, 120.0)
    assert_read(calibration, case)
    assert all(abs(reading.centre_lps_mm[2]) < 1.5 for reading in calibration.readings)


def test_drift_is_the_change_along_what_was_read():
    case = drawn("qrm-bdc3", noise=3.0)
    image = case.image()
    z = np.array([image.TransformIndexToPhysicalPoint([0, 0, k])[2] for k in range(image.GetSize()[2])])
    array = sitk.GetArrayFromImage(image).astype(np.float32) + (0.2 * z)[:, None, None]
    drifting = sitk.GetImageFromArray(array)
    drifting.CopyInformation(image)
    for reading in find_phantom(drifting, CENTRES, AUTOMATIC, 120.0).readings:
        assert reading.drift_hu == pytest.approx(0.2 * 66.0, abs=2.0)  # 33 mm down to 33 mm up


@pytest.mark.parametrize("name", CAHA)
def test_another_phantom_than_the_one_in_the_scan_is_not_found(name):
    image = drawn(name).image()
    assert find_phantom(image, CENTRES, [phantom for phantom in AUTOMATIC if phantom.name != name], 120.0) is None
    for other in ("siemens-osteo", "intable"):
        assert find_phantom(image, CENTRES, [PHANTOMS[other]], 120.0) is None


@pytest.mark.parametrize(("hu", "why"), [((4.0, 260.0, 139.0), "order"), ((200.0, 139.0, 260.0), "slope"), ((139.0, 139.0, 139.0), "same")])
def test_rods_whose_hu_lie_on_no_line_are_no_phantom(hu, why):
    phantom = PHANTOMS["image-analysis-qct3d-plus"]
    case = drawn(phantom.name, hu={rod.id: value for rod, value in zip(phantom.rods, hu)})
    assert find_phantom(case.image(), CENTRES, AUTOMATIC, 120.0) is None


def test_a_bar_where_a_rod_should_be_is_no_rod():
    """As bright as the rod and even, but not round."""
    case = drawn("qrm-bdc3", noise=3.0)
    image = case.image()
    x, y = (round(p - o) for p, o in zip(case.axis(0, np.array(0.0)), image.GetOrigin()[:2]))
    image[x - 10 : x + 11, y - 11 : y + 12] = round(INTERCEPT_HU)
    image[x - 6 : x + 7, y - 13 : y + 14] = round(case.hu_of(case.phantom.rods[0]))
    assert find_phantom(image, CENTRES, AUTOMATIC, 120.0) is None


def test_part_of_a_phantom_is_not_taken_for_a_smaller_one():
    """Three of its rods would be another phantom, of a spacing that fits even better."""
    whole = replace(PHANTOMS["b-mas200"], rod_spacing_mm=30.9)
    part = replace(PHANTOMS["b-mas200"], name="part", rods=PHANTOMS["b-mas200"].rods[1:4])
    assert find_phantom(drawn("b-mas200").image(), CENTRES, [part, whole], 120.0).phantom == whole.name


def test_a_phantom_that_could_be_another_says_so():
    """Rods of one geometry: geometry cannot tell them apart, and what they read differs by a third."""
    ours = PHANTOMS["image-analysis-qct3d-plus"]
    lighter = replace(
        ours, name="lighter", title="Lighter", rods=tuple(replace(r, density_mg_cm3=0.85 * r.density_mg_cm3) for r in ours.rods)
    )
    image = drawn(ours.name).image()
    calibration = find_phantom(image, CENTRES, [ours, lighter], 120.0)
    assert [check.status for check in calibration.checks if check.code == "PHANTOM_AMBIGUOUS"] == ["warn"]
    apart = replace(lighter, rod_spacing_mm=46.0)
    clear = find_phantom(image, CENTRES, [apart, ours], 120.0)
    assert clear.phantom == ours.name and not any(check.code == "PHANTOM_AMBIGUOUS" for check in clear.checks)


def test_two_rods_prove_nothing_unless_they_are_asked_for():
    case = drawn("siemens-osteo")
    image = case.image()
    assert find_phantom(image, CENTRES, AUTOMATIC, 120.0) is None
    calibration = find_phantom(image, CENTRES, [PHANTOMS["siemens-osteo"]], 120.0)
    assert_read(calibration, case)
    assert calibration.r_squared is None and any(check.status == "warn" for check in calibration.checks)


def simulated(seed, phantom, scanner=TYPICAL, spacing_mm=(1.0, 1.0, 3.0), **changes):
    """A patient with L1 and L2 in the field, and the centres of the two."""
    spec = PatientSpec(seed=seed, phantom=phantom, levels=("L1", "L2"), spacing_mm=spacing_mm, scanner=scanner, **changes)
    patient = simulate_patient(spec)
    return patient, [patient.truth["levels"][level]["centroid_lps_mm"] for level in ("L1", "L2")]


def assert_true_line(calibration, patient, intercept=2.0):
    truth = patient.truth["calibration"][calibration.material]
    assert calibration.slope_mg_cm3_per_hu == pytest.approx(truth["slope_mg_cm3_per_hu"], rel=0.01)
    assert calibration.intercept_mg_cm3 == pytest.approx(truth["intercept_mg_cm3"], abs=intercept)


def test_a_tilted_sagging_mindways_phantom_in_noise_is_found_and_read():
    scanner = Scanner(120, "LUNG", None, noise_hu=60.0, slope_error=0.02, intercept_hu=5.0)
    mounting = Mounting("pad", offset_x_mm=20.0, tilt_deg=4.0, yaw_deg=-3.0, roll_deg=3.0, sag_mm=10.0, mirrored=True)
    patient, centres = simulated(41, "mindways-model3", scanner, mounting=mounting)
    calibration = find_phantom(patient.image, centres, AUTOMATIC, 120.0)
    assert calibration.phantom == "mindways-model3" and [reading.rod.id for reading in calibration.readings] == list("ABCDE")
    assert_true_line(calibration, patient)


def test_the_intable_phantom_is_found_only_when_it_is_asked_for():
    """Inside the couch top; its certificate is nobody's default."""
    patient, centres = simulated(42, "intable", replace(TYPICAL, slope_error=0.04, intercept_hu=5.0))
    assert find_phantom(patient.image, centres, AUTOMATIC, 120.0) is None
    assert_true_line(find_phantom(patient.image, centres, [PHANTOMS["intable"]], 120.0), patient)


def test_no_phantom_is_found_in_a_patient_with_screws_contrast_and_arthrosis():
    findings = Findings(degeneration=0.9, hardware=(Hardware("screws", ("L1", "L2")),))
    patient, centres = simulated(43, None, replace(TYPICAL, **PHYSICS), findings=findings, contrast="arterial", oral_contrast=True)
    for phantoms in (AUTOMATIC, *([phantom] for phantom in PHANTOMS.values())):
        assert find_phantom(patient.image, centres, phantoms, None) is None
