"""The line from the physics of the tissues: its energy, its mineral, its limits."""

import numpy as np
import pytest

from VertebralBMDLib.calibration.line import TissueReading
from VertebralBMDLib.calibration.physics import hu_per_mg_cm3, mass_attenuation, physics_calibration
from VertebralBMDLib.calibration.tissues import find_tissues
from VertebralBMDLib.scan import Acquisition

#: Of a beam of one energy: usual fat, muscle and blood by their composition, computed here from the table on its own.
PARTS = {"fat": {"triglyceride": 0.8004, "water": 0.13}, "muscle": {"muscle": 1.05}, "blood": {"blood": 0.795, "water": 0.25}}


def tissues(kev, water_hu=0.0, **others):
    """Readings of a usual patient at one energy, by a scanner whose water reads ``water_hu``."""
    hu = {
        n: 1000 * (sum(g * mass_attenuation(m, kev) for m, g in parts.items()) / mass_attenuation("water", kev) - 1)
        for n, parts in PARTS.items()
    }
    hu = {"air": -1000.0} | {name: (value + 1000) * (1 + water_hu / 1000) - 1000 for name, value in hu.items()} | others
    return tuple(TissueReading(name, float(value), 10.0, 50.0, (0.0, 0.0, 0.0)) for name, value in hu.items() if value is not None)


def energy_check(calibration):
    return next(check for check in calibration.checks if check.code == "EFFECTIVE_ENERGY")


def energy(calibration):
    return energy_check(calibration).value


@pytest.mark.parametrize(
    ("kev", "k2hpo4", "caha"),
    [(50, 0.447, 0.441), (60, 0.598, 0.603), (70, 0.730, 0.751), (80, 0.871, 0.915)],
)
def test_the_slope_of_the_minerals_is_that_of_nist(kev, k2hpo4, caha):
    """qct_facts 2.9; its values between 60 and 80 keV come from a coarser table."""
    assert 1 / hu_per_mg_cm3("K2HPO4", kev) == pytest.approx(k2hpo4, rel=0.03)
    assert 1 / hu_per_mg_cm3("CaHA", kev) == pytest.approx(caha, rel=0.03)


def test_attenuation_is_interpolated_in_logarithms():
    assert mass_attenuation("K2HPO4", 60.0) == pytest.approx(0.3890, rel=0.01)
    between = np.sqrt(mass_attenuation("water", 60.0) * mass_attenuation("water", 61.0))
    assert mass_attenuation("water", np.sqrt(60.0 * 61.0)) == pytest.approx(between, rel=1e-9)


@pytest.mark.parametrize(("kvp", "kev"), [(80, 53.0), (100, 60.0), (120, 68.5), (140, 73.5)])
@pytest.mark.parametrize("material", ["K2HPO4", "CaHA"])
def test_a_usual_patient_on_a_usual_scanner_gets_the_line_of_water_and_mineral(kvp, kev, material):
    found = physics_calibration(tissues(kev), Acquisition(kvp=kvp), material)
    assert energy(found) == pytest.approx(kev, abs=0.5)
    assert found.slope_mg_cm3_per_hu == pytest.approx(1 / hu_per_mg_cm3(material, kev), rel=0.012)
    assert found.intercept_mg_cm3 == pytest.approx(0.0, abs=0.3)
    assert (found.source, found.method, found.material, found.uncertainty_mg_cm3) == ("tissue", "physics", material, 13.0)
    assert found.usable and not found.carries_category and found.tissues == tissues(kev)
    # At 80 kVp fat reads a little below its gate, which knows no voltage.
    warned = [check.limit for check in found.checks if check.status != "pass"]
    assert warned == (["fat -130 to -70 HU"] if kev == 53.0 else [])


def test_water_that_reads_wrong_moves_the_intercept_against_it():
    high, low = (physics_calibration(tissues(68.5, water), Acquisition(kvp=120)) for water in (6.0, -6.0))
    assert -6.0 * 0.72 < high.intercept_mg_cm3 < -1.5 and 1.5 < low.intercept_mg_cm3 < 6.0 * 0.72
    for found in (high, low):
        water = -found.intercept_mg_cm3 / found.slope_mg_cm3_per_hu
        expected = 1 / hu_per_mg_cm3("K2HPO4", energy(found)) / (1 + water / 1000)
        assert found.slope_mg_cm3_per_hu == pytest.approx(expected, rel=1e-9)


def test_fat_that_reads_low_speaks_for_a_low_energy_but_the_voltage_holds():
    free, held = (physics_calibration(tissues(58.0), Acquisition(kvp=kvp)) for kvp in (None, 120))
    assert energy(free) < 66.0 < energy(held) + 2.0 and energy(free) < energy(held)


def test_a_voltage_between_the_usual_ones_is_interpolated():
    assert energy(physics_calibration(tissues(64.25), Acquisition(kvp=110))) == pytest.approx(64.25, abs=0.5)


def test_without_a_voltage_it_works_with_a_warning_and_more_uncertainty():
    found = physics_calibration(tissues(66.0), Acquisition())
    assert found.usable and energy(found) == pytest.approx(66.0, abs=1.0) and found.uncertainty_mg_cm3 == 20.0
    assert energy_check(found).status == "warn" and "DICOM" in energy_check(found).remedy


def test_tissues_that_deny_the_voltage_raise_a_warning():
    check = energy_check(physics_calibration(tissues(68.5, fat=-160.0, muscle=60.0), Acquisition(kvp=120)))
    assert check.status == "warn" and check.remedy


@pytest.mark.parametrize("left_out", [{"fat": None}, {"muscle": None, "blood": None}, {"air": None, "blood": None}])
def test_too_few_tissues_give_no_line(left_out):
    assert physics_calibration(tissues(68.5, **left_out), Acquisition(kvp=120)) is None


def test_enhanced_blood_is_left_out():
    plain = physics_calibration(tissues(68.5, blood=None), Acquisition(kvp=120))
    enhanced = physics_calibration(tissues(68.5, blood=250.0), Acquisition(kvp=120))
    assert enhanced.slope_mg_cm3_per_hu == plain.slope_mg_cm3_per_hu and enhanced.intercept_mg_cm3 == plain.intercept_mg_cm3
    assert physics_calibration(tissues(68.5, blood=250.0, muscle=None), Acquisition(kvp=120)) is None


def test_another_material_is_named():
    with pytest.raises(ValueError, match="K2HPO4 or CaHA, not 'water'"):
        physics_calibration(tissues(68.5), Acquisition(kvp=120), "water")


def test_a_simulated_patient_is_calibrated_to_within_the_uncertainty(patient, scan):
    found = physics_calibration(find_tissues(patient.image, patient.bodies), scan.acquisition, "CaHA")
    ideal = patient.truth["calibration"]["CaHA"]
    at_100 = (100.0 - ideal["intercept_mg_cm3"]) / ideal["slope_mg_cm3_per_hu"]
    assert abs(found.density(at_100) - 100.0) < 13.0
