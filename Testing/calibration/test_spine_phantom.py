"""The spine phantom: its vertebrae found and told apart, and the errors of a calibration at them."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.calibration.catalogue import load_phantom
from VertebralBMDLib.calibration.checks import Check
from VertebralBMDLib.calibration.line import Calibration, Rod
from VertebralBMDLib.calibration.spine_phantom import SpineReading, read_spine_phantom, validation_checks
from VertebralBMDLib.simulation.phantom_scan import PhantomScanSpec, simulate_phantom_scan
from VertebralBMDLib.simulation.scanner import TYPICAL

ESP = load_phantom("esp")


def scanned(**changes):
    spec = dict(seed=51, phantom="esp", scanner=TYPICAL, spacing_mm=(1.2, 1.2, 3.0), size=(270, 190), slices=50)
    return simulate_phantom_scan(PhantomScanSpec(**(spec | changes)))


@pytest.fixture(scope="module")
def simulated():
    return scanned()


def assert_read(readings, simulated, tolerance=1.5):
    line = simulated.truth["calibration"]["CaHA"]
    assert {reading.rod for reading in readings} == set(ESP.rods)
    for reading in readings:
        density = line["slope_mg_cm3_per_hu"] * reading.hu + line["intercept_mg_cm3"]
        assert density == pytest.approx(reading.rod.density_mg_cm3, abs=tolerance)
        assert np.linalg.norm(np.array(reading.centre_lps_mm) - simulated.truth["levels"][reading.rod.id]["centroid_lps_mm"]) < 3.0


@pytest.mark.parametrize("orientation", ["LPS", "RAI", "PIR"])
def test_its_vertebrae_are_found_and_read_however_the_scan_is_stored(simulated, orientation):
    assert_read(read_spine_phantom(sitk.DICOMOrient(simulated.image, orientation), ESP), simulated)


def test_noise_and_a_sharp_kernel_are_no_hindrance():
    noisy = scanned(scanner=replace(TYPICAL, kvp=80, kernel="LUNG", noise_hu=30.0))
    assert_read(read_spine_phantom(noisy.image, ESP), noisy, tolerance=3.0)


def test_its_vertebrae_are_told_apart_when_it_lies_the_other_way_round(simulated):
    turned = sitk.Flip(simulated.image, (False, False, True))
    turned.SetDirection(np.eye(3).ravel().tolist())
    turned.SetOrigin(simulated.image.GetOrigin())
    there, here = (read_spine_phantom(image, ESP) for image in (simulated.image, turned))
    assert [reading.rod.id for reading in here] == [reading.rod.id for reading in there][::-1]
    assert [reading.hu for reading in here] == pytest.approx([reading.hu for reading in there][::-1], abs=1.0)


def test_a_phantom_that_is_cut_off_or_another_one_is_not_read(simulated):
    assert read_spine_phantom(simulated.image[:, :, :25], ESP) is None
    rods = simulate_phantom_scan(PhantomScanSpec(seed=51, phantom="qrm-bdc6", spacing_mm=(1.2, 1.2, 3.0), size=(256, 200), slices=16))
    assert read_spine_phantom(rods.image, ESP) is None
    assert read_spine_phantom(sitk.GetImageFromArray(np.full((20, 50, 50), -1000, np.int16)), ESP) is None


def reading(density, hu):
    return SpineReading(Rod("L1", density), hu, 10.0, (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("density", "measured", "expected"),
    [
        (50.0, 54.9, "pass"), (50.0, 45.1, "pass"), (50.0, 55.1, "fail"), (50.0, 44.9, "fail"),
        (100.0, 105.9, "pass"), (100.0, 106.1, "fail"), (100.0, 93.9, "fail"), (200.0, 219.0, "pass"), (200.0, 179.0, "fail"),
    ],
)  # fmt: skip
def test_errors_beyond_10_percent_or_6_mg_fail(density, measured, expected):
    calibration = Calibration("asynchronous", "CaHA", 0.75, 3.0)
    (check,) = validation_checks([reading(density, (measured - 3.0) / 0.75)], ESP, calibration)
    assert (check.code, check.status) == ("VALIDATION", expected) and check.value == pytest.approx(measured - density)
    assert f"L1 reads {measured:.1f} mg/cm³ instead of {density:g}" in check.message and bool(check.remedy) == (expected == "fail")


def test_a_calibration_in_another_material_is_said_and_a_failed_one_is_not_used():
    checks = validation_checks([reading(100.0, 133.0)], ESP, Calibration("asynchronous", "K2HPO4", 0.75, 0.0))
    assert [(check.code, check.status) for check in checks] == [("VALIDATION", "pass"), ("MATERIAL", "warn")] and checks[1].remedy
    failed = Calibration("asynchronous", "CaHA", 0.75, 0.0, checks=(Check("SCANNER", "fail", None, "", ""),))
    with pytest.raises(ValueError, match="no usable calibration"):
        validation_checks([reading(100.0, 133.0)], ESP, failed)
