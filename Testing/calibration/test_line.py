"""Equations 1-3 of the paper and Mindways' equations: lines, their standard errors, and what is refused."""

import numpy as np
import pytest
from scipy import stats

from VertebralBMDLib.calibration.checks import line_checks
from VertebralBMDLib.calibration.line import NO_CALIBRATION, Calibration, Rod, RodReading, density_of, fit

#: Mindways Model 3, rods A-E: HU without noise for sigma_ref 1.55 and beta_ref -1000, K2HPO4 and water in mg/cm³ (qct_facts 2.1, 2.3).
GOLDEN = [
    (-68.0865, -51.83, 1012.25),
    (-25.8200, -53.40, 1056.95),
    (194.8340, 58.88, 1103.57),
    (362.9475, 157.05, 1119.52),
    (505.7365, 375.83, 923.20),
]


def readings(*rods):
    """(HU, density) or (HU, density, water) of each rod."""
    return [
        RodReading(Rod(str(k), rod[1], rod[2] if len(rod) > 2 else None), rod[0], 5.0, (30.0 * k, 0.0, 0.0), 9.0)
        for k, rod in enumerate(rods)
    ]


def status(calibration, code):
    return next(check.status for check in calibration.checks if check.code == code)


def test_an_exact_line_is_found_exactly():
    found = fit(readings(*((hu, 0.72 * hu - 3.5) for hu in (0.0, 140.0, 280.0, 555.0))), "CaHA", "own", 120)
    assert found.slope_mg_cm3_per_hu == pytest.approx(0.72, abs=1e-12) and found.intercept_mg_cm3 == pytest.approx(-3.5, abs=1e-10)
    assert found.r_squared == pytest.approx(1.0) and found.rmse_mg_cm3 == pytest.approx(0.0, abs=1e-9)
    assert found.usable and [check.status for check in found.checks] == ["pass"] * 5
    assert (found.source, found.material, found.phantom, len(found.readings)) == ("phantom", "CaHA", "own", 4)


def test_scattered_rods_give_the_least_squares_of_density_on_hu():
    hu, density = np.array([5.0, 130.0, 290.0, 540.0]), np.array([0.0, 100.0, 200.0, 400.0])
    found = fit(readings(*zip(hu, density)), "CaHA", "own", 120)
    slope = ((hu - hu.mean()) * (density - density.mean())).sum() / ((hu - hu.mean()) ** 2).sum()
    assert found.slope_mg_cm3_per_hu == pytest.approx(slope) and found.intercept_mg_cm3 == pytest.approx(density.mean() - slope * hu.mean())
    assert found.slope_mg_cm3_per_hu == pytest.approx(np.polyfit(hu, density, 1)[0])
    assert found.slope_mg_cm3_per_hu != pytest.approx(1 / np.polyfit(density, hu, 1)[0], rel=1e-6)
    residuals = density - np.polyval(np.polyfit(hu, density, 1), hu)
    assert found.rmse_mg_cm3 == pytest.approx(np.sqrt((residuals**2).mean()))
    assert found.r_squared == pytest.approx(np.corrcoef(hu, density)[0, 1] ** 2)
    assert found.residuals_mg_cm3 == pytest.approx(residuals)


def test_standard_errors_are_those_of_the_textbook():
    hu, density = np.array([5.0, 130.0, 290.0, 540.0]), np.array([0.0, 100.0, 200.0, 400.0])
    found, textbook = fit(readings(*zip(hu, density)), "CaHA", "own", 120), stats.linregress(hu, density)
    assert found.slope_se == pytest.approx(textbook.stderr) and found.intercept_se == pytest.approx(textbook.intercept_stderr)
    # standard error of the line where it says 100, by the formula for a fitted value
    at = (100.0 - found.intercept_mg_cm3) / found.slope_mg_cm3_per_hu
    scatter = np.sqrt((np.array(found.residuals_mg_cm3) ** 2).sum() / 2)
    expected = scatter * np.sqrt(1 / 4 + (at - hu.mean()) ** 2 / ((hu - hu.mean()) ** 2).sum())
    assert found.uncertainty_mg_cm3 == pytest.approx(expected)


@pytest.mark.parametrize("certificate", ["CaHA", "K2HPO4"])
def test_standard_errors_are_the_spread_of_many_noisy_fits(certificate):
    """The noise is on HU, so for CaHA (density on HU) this holds because it is small."""
    rng = np.random.default_rng(3)
    # 200 HU more: a Mindways intercept far from 0 shows every term of the propagation.
    rods = (
        [(rod[0] + 200.0, *rod[1:]) for rod in GOLDEN]
        if certificate == "K2HPO4"
        else [(hu, 0.74 * hu - 2.0) for hu in (10.0, 140.0, 280.0, 550.0)]
    )
    noise = rng.normal(0.0, 3.0, (2000, len(rods)))
    fits = [fit(readings(*((rod[0] + e, *rod[1:]) for rod, e in zip(rods, row))), certificate, "own") for row in noise]
    for name, error in (("slope_mg_cm3_per_hu", "slope_se"), ("intercept_mg_cm3", "intercept_se")):
        seen = np.std([getattr(each, name) for each in fits])
        assert np.sqrt(np.mean([getattr(each, error) ** 2 for each in fits])) == pytest.approx(seen, rel=0.06)
    at = np.mean([(100.0 - each.intercept_mg_cm3) / each.slope_mg_cm3_per_hu for each in fits])
    seen = np.std([each.slope_mg_cm3_per_hu * at + each.intercept_mg_cm3 for each in fits])
    assert np.sqrt(np.mean([each.uncertainty_mg_cm3**2 for each in fits])) == pytest.approx(seen, rel=0.06)


def test_mindways_rods_give_the_golden_numbers():
    found = fit(readings(*GOLDEN), "K2HPO4", "mindways-model3", 120)
    assert found.slope_mg_cm3_per_hu == pytest.approx(0.7504127, abs=1e-6)
    assert found.intercept_mg_cm3 == pytest.approx(0.3001651, abs=1e-6)
    # (150 - beta_CT) / sigma_CT with sigma_CT = 1.55 - 0.2174 and beta_CT = -1000 + 999.6
    assert found.density(150.0) == pytest.approx(150.4 / 1.3326, abs=1e-6) and found.density(150.0) == pytest.approx(112.862, abs=5e-4)
    assert found.r_squared == pytest.approx(1.0, abs=1e-9) and found.rmse_mg_cm3 == pytest.approx(0.0, abs=1e-4) and found.usable


def test_mindways_rods_without_their_water_would_read_66_7_and_are_refused():
    naive = fit(readings(*(rod[:2] for rod in GOLDEN)), "K2HPO4", "mindways-model3", 120)
    assert naive.slope_mg_cm3_per_hu * 150 + naive.intercept_mg_cm3 == pytest.approx(66.7, abs=0.05)
    assert naive.r_squared == pytest.approx(0.923, abs=0.001)
    assert status(naive, "R_SQUARED") == "fail" and not naive.usable


def test_density_works_on_arrays_and_only_with_a_usable_line():
    found = fit(readings(*GOLDEN), "K2HPO4", "mindways-model3", 120)
    np.testing.assert_allclose(found.density(np.array([0.0, 150.0])), [0.3001651, 112.862], atol=1e-3)
    for unusable in (NO_CALIBRATION, fit(readings(*(rod[:2] for rod in GOLDEN)), "K2HPO4", "x")):
        with pytest.raises(ValueError, match="no usable calibration"):
            unusable.density(150.0)
    assert not NO_CALIBRATION.usable


def test_two_rods_give_a_line_without_a_measure_of_its_quality_and_a_warning():
    found = fit(readings((1.0, 0.0), (278.0, 200.0)), "CaHA", "siemens-osteo", 120)
    assert found.slope_mg_cm3_per_hu == pytest.approx(200 / 277) and found.r_squared is None and found.rmse_mg_cm3 is None
    assert status(found, "ROD_COUNT") == "warn" and found.usable
    assert found.slope_se is None and found.intercept_se is None and found.uncertainty_mg_cm3 == 3.0


@pytest.mark.parametrize("rods", [[(100.0, 50.0)], [(100.0, 50.0), (120.0, 50.0)], [(100.0, 50.0), (100.0, 80.0)], []])
def test_fewer_than_two_different_rods_make_no_line(rods):
    with pytest.raises(ValueError, match="at least two rods"):
        fit(readings(*rods), "CaHA", "own")


def test_a_certificate_with_water_on_some_rods_only_is_refused_by_their_names():
    mixed = readings(GOLDEN[0], GOLDEN[1][:2], GOLDEN[2][:2], GOLDEN[3])
    with pytest.raises(ValueError, match="phantom own: rod 1, 2 has no water_mg_cm3"):
        fit(mixed, "K2HPO4", "own")


def test_a_water_column_on_another_material_is_refused():
    with pytest.raises(ValueError, match="phantom own: water_mg_cm3 belongs to K2HPO4 rods, not to CaHA"):
        fit(readings(*GOLDEN), "CaHA", "own")


@pytest.mark.parametrize("water", [None, 1056.95])
def test_a_rod_reads_its_certificate_on_its_own_line_and_its_residual_on_another(water):
    found = fit(readings(*(GOLDEN if water else [(0.0, 1.0), (140.0, 99.0), (280.0, 202.0)])), "K2HPO4", "own", 120)
    for reading, residual in zip(found.readings, found.residuals_mg_cm3):
        value = density_of(reading, found.slope_mg_cm3_per_hu, found.intercept_mg_cm3)
        assert value == pytest.approx(reading.rod.density_mg_cm3 - residual)
    # 10 HU more are slope x 10 for CaHA; a Mindways rod is read against its own water, by 1/sigma_ref
    more = readings((100.0, 50.0, water), (110.0, 50.0, water))
    first, second = (density_of(reading, 0.75, 0.0) for reading in more)
    assert second - first == pytest.approx(7.5 if water is None else 10.0 / (1 / 0.75 + 0.2174))


def test_one_failed_check_makes_a_line_unusable_and_a_warning_does_not():
    good, bad = line_checks(0.72, 0.0), line_checks(0.72, 50.0)
    assert Calibration("phantom", "CaHA", 0.72, 20.0, checks=line_checks(0.72, 20.0)).usable
    assert not Calibration("phantom", "CaHA", 0.72, 50.0, checks=good + bad).usable
