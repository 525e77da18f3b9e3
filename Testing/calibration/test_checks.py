"""Every check of a calibration: where it passes, where it warns, where it fails, and that it says what to do."""

import numpy as np
import pytest

from VertebralBMDLib.calibration.checks import fit_checks, line_checks, reading_checks, slope_band, tissue_checks
from VertebralBMDLib.calibration.line import Calibration, Rod, RodReading, TissueReading, fit


def named(checks, code):
    (check,) = [check for check in checks if check.code == code]
    return check


def assert_worded(check):
    """A sentence always, a remedy exactly when something is wrong."""
    assert check.status in ("pass", "warn", "fail") and check.limit and check.message.endswith(".")
    assert bool(check.remedy) == (check.status != "pass") and (not check.remedy or check.remedy.endswith("."))


def rod(name="A", sd_hu=10.0, drift_hu=None, hu=100.0, density=80.0):
    return RodReading(Rod(name, density), hu, sd_hu, (0.0, 0.0, 0.0), 9.0, drift_hu=drift_hu)


def tissue(name, hu):
    return TissueReading(name, hu, 12.0, 8.0, (0.0, 0.0, 0.0))


USUAL = (tissue("air", -1000.0), tissue("fat", -100.0), tissue("muscle", 50.0), tissue("blood", 40.0))


@pytest.mark.parametrize(
    ("slope", "kvp", "expected"),
    [
        (0.72, 120, "pass"), (0.62, 120, "pass"), (0.82, 120, "pass"), (0.60, 120, "warn"), (0.85, 120, "warn"), (0.72, None, "pass"), (0.60, None, "warn"),
        (0.48, 80, "pass"), (0.60, 80, "warn"), (0.60, 100, "pass"), (0.72, 100, "warn"), (0.85, 140, "pass"), (0.65, 140, "warn"), (0.65, 140.4, "warn"),
        (0.62, 119.8, "pass"), (0.66, 110, "pass"), (0.50, 110, "warn"), (0.60, 70, "warn"), (0.80, 150, "warn"),
        (0.349, 120, "fail"), (0.0, 120, "fail"), (-0.7, 120, "fail"), (1.15, 120, "warn"), (1.151, 120, "fail"), (3.1, 120, "fail"),
    ],
)  # fmt: skip
def test_the_slope_is_judged_by_the_tube_voltage(slope, kvp, expected):
    check = line_checks(slope, 0.0, kvp)[0]
    assert check.status == expected and check.value == slope
    assert_worded(check)


def test_a_slope_above_1_is_suspected_of_being_inverted_before_it_fails():
    suspected, unusual = (line_checks(slope, 0.0, 120)[0] for slope in (1.05, 0.95))
    assert suspected.status == unusual.status == "warn" and "inverted" in suspected.message and "inverted" not in unusual.message


def test_the_band_lies_between_those_of_the_listed_voltages():
    assert slope_band(120) == (0.62, 0.82) == slope_band(None) and slope_band(110) == pytest.approx((0.575, 0.745))
    assert slope_band(60) is None and slope_band(150) is None


@pytest.mark.parametrize(
    ("slope", "intercept", "turned_round"),
    [(1.7755, -4.465, "density = 0.5632 × HU + 2.51 mg/cm³"), (1.8220, 4.471, "density = 0.5488 × HU - 2.45 mg/cm³")],
)
def test_the_papers_equation_4_and_figure_2_are_refused_as_inverted(slope, intercept, turned_round):
    """BMD = 1.7755 HU - 4.465 and a = 1.8220, b = 4.471 are HU on density (qct_facts 1.13)."""
    check = line_checks(slope, intercept, 120)[0]
    assert (check.code, check.status, check.value) == ("SLOPE_INVERTED", "fail", slope)
    assert "looks like HU per mg/cm³" in check.message and turned_round in check.message and "Invert" in check.remedy
    # 150 HU read the right way round: 87.0 and 79.9 mg/cm³
    a, b = 1 / slope, -intercept / slope
    assert a * 150 + b == pytest.approx(87.0 if intercept < 0 else 79.9, abs=0.05)
    assert not Calibration("phantom", "CaHA", slope, intercept, checks=line_checks(slope, intercept, 120)).usable


def test_rods_that_give_the_papers_equation_make_no_usable_line():
    rods = [rod(str(k), hu=hu, density=1.7755 * hu - 4.465) for k, hu in enumerate((5.0, 60.0, 110.0))]
    found = fit(rods, "CaHA", "paper", 120)
    assert (
        found.slope_mg_cm3_per_hu == pytest.approx(1.7755) and named(found.checks, "SLOPE_INVERTED").status == "fail" and not found.usable
    )


@pytest.mark.parametrize(
    ("intercept", "expected"),
    [(0.0, "pass"), (15.0, "pass"), (-15.0, "pass"), (15.1, "warn"), (-40.0, "warn"), (40.1, "fail"), (-41.0, "fail")],
)
def test_the_intercept_is_judged_by_its_size(intercept, expected):
    check = named(line_checks(0.72, intercept, 120), "INTERCEPT")
    assert check.status == expected and check.value == intercept
    assert_worded(check)


@pytest.mark.parametrize(
    ("r_squared", "rmse", "largest", "expected"),
    [
        (0.999, 1.0, 200, ("pass", "pass")),
        (0.998, 3.0, 200, ("pass", "pass")),
        (0.9979, 3.1, 200, ("warn", "warn")),
        (0.990, 6.0, 200, ("warn", "warn")),
        (0.9899, 6.1, 200, ("fail", "fail")),
        (0.999, 6.1, 376, ("pass", "fail")),
        (0.999, 7.0, 800, ("pass", "pass")),
        (0.999, 12.0, 800, ("pass", "warn")),
        (0.999, 16.1, 800, ("pass", "fail")),
    ],
)
def test_the_fit_is_judged_by_r_squared_and_residuals(r_squared, rmse, largest, expected):
    checks = fit_checks(5, r_squared, rmse, largest)
    assert (named(checks, "R_SQUARED").status, named(checks, "RMSE").status) == expected
    assert (named(checks, "R_SQUARED").value, named(checks, "RMSE").value) == (r_squared, rmse)
    for check in checks:
        assert_worded(check)


@pytest.mark.parametrize(("count", "expected"), [(6, "pass"), (3, "pass"), (2, "warn"), (1, "fail"), (0, "fail")])
def test_three_rods_are_asked_for(count, expected):
    quality = (0.9999, 0.5) if count >= 3 else (None, None)
    checks = fit_checks(count, *quality, 200.0)
    assert named(checks, "ROD_COUNT").status == expected and named(checks, "ROD_COUNT").value == count
    assert len(checks) == (3 if count >= 3 else 1)
    assert_worded(named(checks, "ROD_COUNT"))


@pytest.mark.parametrize(
    ("sd_hu", "sharp", "expected"), [(30.0, False, "pass"), (30.1, False, "warn"), (80.0, True, "pass"), (80.1, True, "warn")]
)
def test_noise_of_the_worst_rod_is_judged_by_the_kernel(sd_hu, sharp, expected):
    check = named(reading_checks([rod("A"), rod("B", sd_hu), rod("C")], sharp), "ROD_NOISE")
    assert check.status == expected and check.value == sd_hu and ("sharp" if sharp else "soft") in check.limit
    assert ("Rod B" in check.message) == (expected == "warn")
    assert_worded(check)


@pytest.mark.parametrize(("drift_hu", "expected"), [(0.0, "pass"), (5.0, "pass"), (-5.0, "pass"), (5.1, "warn"), (-5.1, "warn")])
def test_drift_of_the_worst_rod_is_judged_in_both_directions(drift_hu, expected):
    check = named(reading_checks([rod("A", drift_hu=0.0), rod("B", drift_hu=drift_hu), rod("C")], False), "ROD_DRIFT")
    assert check.status == expected and check.value == drift_hu and ("Rod B" in check.message) == (expected == "warn")
    assert_worded(check)


def test_a_drift_that_was_not_measured_is_not_judged():
    assert [check.code for check in reading_checks([rod(), rod("B")], False)] == ["ROD_NOISE"]
    assert reading_checks([], False) == ()


@pytest.mark.parametrize(("count", "expected"), [(5, "pass"), (4, "pass"), (3, "warn"), (2, "fail"), (0, "fail")])
def test_three_tissues_are_the_least(count, expected):
    check = named(tissue_checks(((*USUAL, tissue("cortical_bone", 1100.0))[:count])), "TISSUE_COUNT")
    assert check.status == expected and check.value == count
    assert_worded(check)


@pytest.mark.parametrize(
    ("name", "passes", "warns", "fails"),
    [
        ("air", (-1030.0, -980.0), (-1031.0, -956.0), (-1056.0, -954.0)),
        ("fat", (-130.0, -70.0), (-159.0, -69.0), (-161.0, -39.0)),
        ("muscle", (-5.0, 65.0), (-6.0, 99.0), (-41.0, 101.0)),
        ("blood", (-20.0, 60.0), (61.0, 99.0), (-61.0, 150.0)),
        ("cortical_bone", (950.0, 1450.0), (949.0, 1699.0), (699.0, 1701.0)),
    ],
)
def test_each_tissue_has_its_gate(name, passes, warns, fails):
    for expected, values in (("pass", passes), ("warn", warns), ("fail", fails)):
        for hu in values:
            check = named(tissue_checks((tissue(name, hu),)), "TISSUE_GATE")
            assert check.status == expected and check.value == hu and name.replace("_", " ") in check.limit
            assert_worded(check)


def test_tissues_are_judged_in_their_order():
    checks = tissue_checks(USUAL)
    assert [check.code for check in checks] == ["TISSUE_COUNT"] + ["TISSUE_GATE"] * 4 and {check.status for check in checks} == {"pass"}
    np.testing.assert_equal([check.value for check in checks[1:]], [reading.hu for reading in USUAL])


@pytest.mark.parametrize("wrong", [(tissue("liver", 60.0),), (tissue("fat", -100.0), tissue("fat", -90.0))])
def test_an_unknown_or_doubled_tissue_is_named(wrong):
    with pytest.raises(ValueError, match=f"air, fat.*not {wrong[0].name}$"):
        tissue_checks(wrong)
