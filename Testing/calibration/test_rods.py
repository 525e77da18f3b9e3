"""Finding phantoms in simulated scans, and which calibration a scan gets."""

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.calibration.catalogue import load_phantom
from VertebralBMDLib.calibration.phantom import calibrate
from VertebralBMDLib.quality import Code
from VertebralBMDLib.scan import Acquisition, checked
from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient
from VertebralBMDLib.simulation.scanner import TYPICAL

FOUND_BY_THEMSELVES = ("b-mas200", "image-analysis-qct3d-plus", "mindways-model3", "qrm-bdc3", "qrm-bdc6")


def simulated(seed=11, **changes):
    """A short scan around L1 and L2 by a scanner that reads 4 % and 5 HU too high, and the middle of the two bodies."""
    spec = PatientSpec(
        **(
            dict(
                seed=seed,
                vbmd=110.0,
                spacing_mm=(1.0, 1.0, 3.0),
                levels=("L1", "L2"),
                scanner=replace(TYPICAL, slope_error=0.04, intercept_hu=5.0),
            )
            | changes
        )
    )
    patient = simulate_patient(spec)
    centre = np.mean([patient.truth["levels"][level]["centroid_lps_mm"] for level in ("L1", "L2")], axis=0)
    return patient, checked(patient.image, Acquisition(kvp=float(spec.scanner.kvp))), centre


@pytest.fixture(scope="module")
def with_qrm():
    return simulated(phantom="qrm-bdc3")


@pytest.fixture(scope="module")
def without_phantom():
    return simulated(phantom=None)


def assert_line(calibration, patient):
    truth = patient.truth["calibration"][calibration.material]
    assert calibration.slope_mg_cm3_per_hu == pytest.approx(truth["slope_mg_cm3_per_hu"], rel=0.01)
    # the water terms of Mindways' fit are not scaled with the scanner: 4 % too high costs 2.0 mg/cm3 without any noise
    tolerance = 2.0 if calibration.material == "CaHA" else 2.5
    assert calibration.intercept_mg_cm3 == pytest.approx(truth["intercept_mg_cm3"], abs=tolerance)


@pytest.mark.parametrize("name", FOUND_BY_THEMSELVES)
def test_each_phantom_is_found_identified_and_read(name):
    patient, scan, centre = simulated(phantom=name)
    calibration, codes = calibrate(scan, "auto", centre)
    assert calibration.phantom == name and calibration.usable and codes == ()
    assert_line(calibration, patient)
    truth = patient.truth["rods"]
    assert [reading.rod.id for reading in calibration.readings] == [rod["id"] for rod in truth]
    for reading, rod in zip(calibration.readings, truth):
        middle = (np.array(rod["start_lps_mm"]) + rod["end_lps_mm"]) / 2
        assert np.hypot(*(np.array(reading.centre_lps_mm) - middle)[:2]) < 2.5
        assert reading.radius_mm == pytest.approx(rod["diameter_mm"] / 2, rel=0.3)
        assert reading.hu == pytest.approx(1.04 * rod["hu"] + 5.0, abs=max(3.0, 0.01 * rod["hu"]))


@pytest.mark.parametrize("orientation", ["RAI", "PIR"])
def test_a_phantom_is_found_however_the_scan_is_stored(with_qrm, orientation):
    patient, scan, centre = with_qrm
    straight, _codes = calibrate(scan, "auto", centre)
    other, _codes = calibrate(checked(sitk.DICOMOrient(scan.image, orientation), scan.acquisition), "auto", centre)
    assert other.phantom == "qrm-bdc3"
    assert other.slope_mg_cm3_per_hu == pytest.approx(straight.slope_mg_cm3_per_hu, rel=1e-6)
    assert other.intercept_mg_cm3 == pytest.approx(straight.intercept_mg_cm3, abs=1e-4)


def test_a_phantom_the_other_way_round_is_found(with_qrm):
    """The scan mirrored left to right, as with a phantom that lies the wrong way on the table."""
    patient, scan, centre = with_qrm
    mirrored = sitk.GetImageFromArray(scan.hu[:, :, ::-1].copy())
    mirrored.CopyInformation(scan.image)
    middle = scan.image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in scan.image.GetSize()])[0]
    calibration, _codes = calibrate(checked(mirrored, scan.acquisition), "auto", [2 * middle - centre[0], *centre[1:]])
    assert calibration.phantom == "qrm-bdc3"
    assert_line(calibration, patient)


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_no_phantom_is_found_where_there_is_none(seed, without_phantom):
    _patient, scan, centre = without_phantom if seed == 11 else simulated(seed=seed, phantom=None)
    for request, codes in (("auto", ()), ("phantom", (Code.PHANTOM_NOT_FOUND,)), ("phantom:qrm-bdc3", (Code.PHANTOM_NOT_FOUND,))):
        calibration, found = calibrate(scan, request, centre)
        assert (calibration.source, calibration.slope_mg_cm3_per_hu, found) == ("none", None, codes)


@pytest.mark.parametrize("name", ["mindways-model3", "b-mas200", "image-analysis-qct3d-plus"])
def test_another_phantom_than_the_one_in_the_scan_is_not_found(with_qrm, name):
    _patient, scan, centre = with_qrm
    calibration, codes = calibrate(scan, f"phantom:{name}", centre)
    assert calibration.source == "none" and codes == (Code.PHANTOM_NOT_FOUND,)


def test_a_phantom_can_be_asked_for_by_name_or_by_its_certificate(with_qrm, tmp_path):
    _patient, scan, centre = with_qrm
    path = certificate(tmp_path, "ours", [rod.density_mg_cm3 for rod in load_phantom("qrm-bdc3").rods], factor=1.02)
    named, _codes = calibrate(scan, "phantom:qrm-bdc3", centre)
    own, _codes = calibrate(scan, f"phantom:{path}", centre)
    assert (named.phantom, own.phantom) == ("qrm-bdc3", "ours")
    assert own.slope_mg_cm3_per_hu == pytest.approx(1.02 * named.slope_mg_cm3_per_hu, rel=1e-6)


def certificate(folder, name, densities, factor=1.0):
    """A CaHA phantom with the geometry of the QRM-BDC/3 as a file."""
    like = load_phantom("qrm-bdc3")
    entry = {"name": name, "title": name, "material": "CaHA", "use": "calibration"}
    entry["rods"] = [{"id": f"R{k}", "density_mg_cm3": factor * density} for k, density in enumerate(densities)]
    entry["geometry"] = {"rod_diameter_mm": like.rod_diameter_mm, "rod_spacing_mm": like.rod_spacing_mm}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(entry), encoding="utf-8")
    return str(path)


def test_two_rods_are_found_when_they_are_asked_for_and_carry_a_warning(tmp_path):
    path = certificate(tmp_path, "two", (100.0, 400.0))
    patient, scan, centre = simulated(phantom=path)
    calibration, codes = calibrate(scan, f"phantom:{path}", centre)
    assert calibration.phantom == "two" and codes == (Code.CALIBRATION_WARNING,) and calibration.r_squared is None and calibration.usable
    assert_line(calibration, patient)


def test_the_siemens_osteo_phantom_is_found_when_it_is_asked_for():
    """One of its two rods reads like the water around it."""
    patient, scan, centre = simulated(phantom="siemens-osteo")
    assert calibrate(scan, "auto", centre)[0].source == "none"
    calibration, codes = calibrate(scan, "phantom:siemens-osteo", centre)
    assert calibration.phantom == "siemens-osteo" and codes == (Code.CALIBRATION_WARNING,)
    assert_line(calibration, patient)


def test_the_intable_phantom_is_found_only_when_it_is_asked_for():
    """Inside the couch top; its certificate is nobody's default."""
    patient, scan, centre = simulated(phantom="intable")
    assert calibrate(scan, "auto", centre)[0].source == "none"
    calibration, _codes = calibrate(scan, "phantom:intable", centre)
    assert calibration.phantom == "intable" and calibration.usable
    assert_line(calibration, patient)


def test_a_scanner_whose_water_is_far_from_zero_fails_the_check():
    _patient, scan, centre = simulated(phantom="qrm-bdc3", scanner=replace(TYPICAL, intercept_hu=70.0))
    calibration, codes = calibrate(scan, "auto", centre)
    assert calibration.phantom == "qrm-bdc3" and codes == (Code.CALIBRATION_FAILED,) and not calibration.usable
    assert {check.code: check.status for check in calibration.checks}["INTERCEPT"] == "fail"


def test_a_scanner_whose_water_is_a_little_off_raises_a_warning():
    patient, scan, centre = simulated(phantom="qrm-bdc3", scanner=replace(TYPICAL, intercept_hu=35.0))
    calibration, codes = calibrate(scan, "auto", centre)
    assert codes == (Code.CALIBRATION_WARNING,) and calibration.usable
    assert_line(calibration, patient)


def test_the_voltage_decides_which_slope_is_usual():
    _patient, scan, centre = simulated(phantom="b-mas200", scanner=replace(TYPICAL, kvp=80))
    right, right_codes = calibrate(scan, "auto", centre)
    wrong, wrong_codes = calibrate(checked(scan.image, Acquisition(kvp=140.0)), "auto", centre)
    assert right.slope_mg_cm3_per_hu == wrong.slope_mg_cm3_per_hu and right_codes == () and wrong_codes == (Code.CALIBRATION_WARNING,)


def test_none_looks_for_no_phantom(with_qrm):
    _patient, scan, centre = with_qrm
    assert calibrate(scan, "none", centre)[0].source == "none" and calibrate(scan, "none", centre)[1] == ()


@pytest.mark.parametrize("request_text", ["phantoms", "none:qrm-bdc3", "auto:qrm-bdc3", "phantom:nothing", "7"])
def test_a_request_that_makes_no_sense_is_an_error_that_names_it(with_qrm, request_text):
    _patient, scan, centre = with_qrm
    with pytest.raises(ValueError, match=request_text.partition(":")[2] or request_text):
        calibrate(scan, request_text, centre)
