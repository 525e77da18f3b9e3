"""Equations 1-3 of the paper, Mindways' equations, and the checks that decide whether a line may be used."""

import numpy as np
import pytest

from VertebralBMDLib.calibration.line import NO_CALIBRATION, Calibration, Rod, RodReading, fit, line_checks, rod_checks

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
    assert found.usable and [check.status for check in found.checks] == ["pass"] * 4
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


def test_mindways_rods_give_the_golden_numbers():
    found = fit(readings(*GOLDEN), "K2HPO4", "mindways-model3", 120)
    assert found.slope_mg_cm3_per_hu == pytest.approx(0.7504127, abs=1e-6)
    assert found.intercept_mg_cm3 == pytest.approx(0.3001651, abs=1e-6)
    assert found.density(150.0) == pytest.approx(112.862, abs=1e-3)
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


def test_the_papers_equation_4_is_refused_as_inverted():
    check = next(check for check in line_checks(1.7755, -4.465, 120) if check.code == "SLOPE_INVERTED")
    assert check.status == "fail" and check.value == 1.7755 and "inverted" in check.message and "HU per mg/cm³" in check.message
    found = fit(readings(*((hu, 1.7755 * hu - 4.465) for hu in (5.0, 60.0, 110.0))), "CaHA", "paper", 120)
    assert found.slope_mg_cm3_per_hu == pytest.approx(1.7755) and not found.usable


@pytest.mark.parametrize(
    ("slope", "kvp", "expected"),
    [
        (0.72, 120, "pass"), (0.62, 120, "pass"), (0.82, 120, "pass"), (0.60, 120, "warn"), (0.85, 120, "warn"), (0.72, None, "pass"), (0.60, None, "warn"),
        (0.48, 80, "pass"), (0.60, 80, "warn"), (0.60, 100, "pass"), (0.72, 100, "warn"), (0.85, 140, "pass"), (0.65, 140, "warn"), (0.65, 140.4, "warn"),
        (0.60, 110, "warn"), (0.34, 120, "fail"), (0.0, 120, "fail"), (-0.7, 120, "fail"), (1.15, 120, "warn"), (1.151, 120, "fail"), (1.8220, 120, "fail"),
    ],
)  # fmt: skip
def test_the_slope_is_judged_by_the_tube_voltage(slope, kvp, expected):
    assert line_checks(slope, 0.0, kvp)[0].status == expected


@pytest.mark.parametrize(
    ("intercept", "expected"),
    [(0.0, "pass"), (15.0, "pass"), (-15.0, "pass"), (15.1, "warn"), (-40.0, "warn"), (40.1, "fail"), (-41.0, "fail")],
)
def test_the_intercept_is_judged_by_its_size(intercept, expected):
    assert line_checks(0.72, intercept, 120)[1].status == expected


@pytest.mark.parametrize(
    ("r_squared", "rmse", "largest", "expected"),
    [
        (0.999, 1.0, 200, ("pass", "pass")),
        (0.998, 3.0, 200, ("pass", "pass")),
        (0.9979, 3.1, 200, ("warn", "warn")),
        (0.990, 6.0, 200, ("warn", "warn")),
        (0.9899, 6.1, 200, ("fail", "fail")),
        (0.999, 7.0, 800, ("pass", "pass")),
        (0.999, 12.0, 800, ("pass", "warn")),
        (0.999, 16.1, 800, ("pass", "fail")),
    ],
)
def test_the_fit_is_judged_by_r_squared_and_residuals(r_squared, rmse, largest, expected):
    assert tuple(check.status for check in rod_checks(5, r_squared, rmse, largest)) == expected


def test_two_rods_give_a_line_without_a_measure_of_its_quality_and_a_warning():
    found = fit(readings((1.0, 0.0), (278.0, 200.0)), "CaHA", "siemens-osteo", 120)
    assert found.slope_mg_cm3_per_hu == pytest.approx(200 / 277) and found.r_squared is None and found.rmse_mg_cm3 is None
    assert status(found, "ROD_COUNT") == "warn" and found.usable


@pytest.mark.parametrize("rods", [[(100.0, 50.0)], [(100.0, 50.0), (120.0, 50.0)], [(100.0, 50.0), (100.0, 80.0)], []])
def test_fewer_than_two_different_rods_make_no_line(rods):
    with pytest.raises(ValueError, match="at least two rods"):
        fit(readings(*rods), "CaHA", "own")


def test_one_failed_check_makes_a_line_unusable_and_a_warning_does_not():
    good, bad = line_checks(0.72, 0.0), line_checks(0.72, 50.0)
    assert Calibration("phantom", "CaHA", 0.72, 20.0, checks=line_checks(0.72, 20.0)).usable
    assert not Calibration("phantom", "CaHA", 0.72, 50.0, checks=good + bad).usable
