"""Agreement against textbooks, other libraries, and the corrected figures of the paper (qct_facts 1.18 to 1.20)."""

import math

import numpy as np
import pytest
from scipy import stats

from VertebralBMDLib.cohort.agreement import agreement, agreement_values, bland_altman, icc_a1, icc_c1

#: Shrout and Fleiss, Psychol Bull 1979, table 2: six targets, four judges.
SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float)


def bivariate(n, r, bias=0.0, sd=28.0, seed=3):
    """n rows whose sample correlation is exactly r, and whose sample SDs are exactly sd."""
    both = np.random.default_rng(seed).normal(size=(n, 2))
    both -= both.mean(axis=0)
    both = both @ np.linalg.inv(np.linalg.cholesky(np.cov(both.T))).T
    one, other = both[:, 0], r * both[:, 0] + math.sqrt(1 - r * r) * both[:, 1]
    return 116 + sd * one, 116 + bias + sd * other


def readings(seed, n=40, bias=4.0):
    rng = np.random.default_rng(seed)
    true = rng.normal(116, 28, n)
    return true, true + bias + rng.normal(0, 9, n)


def test_icc_of_the_textbook_table():
    absolute, consistent = icc_a1(SHROUT_FLEISS), icc_c1(SHROUT_FLEISS)
    # Mean squares by hand: rows 56.208/5, columns 97.458/3, residual 15.292/15.
    assert absolute.value == pytest.approx((11.2417 - 1.0194) / (11.2417 + 3 * 1.0194 + 4 / 6 * (32.4861 - 1.0194)), abs=1e-4)
    assert consistent.value == pytest.approx((11.2417 - 1.0194) / (11.2417 + 3 * 1.0194), abs=1e-4)
    # As published for this table: ICC(2,1) 0.29 and ICC(3,1) 0.71 (1979), intervals by McGraw and Wong's formulas.
    assert (round(absolute.value, 2), round(consistent.value, 2)) == (0.29, 0.71)
    assert absolute.interval == pytest.approx((0.019, 0.761), abs=1e-3) and consistent.interval == pytest.approx((0.342, 0.946), abs=1e-3)


@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize(("n", "bias"), [(12, 0.0), (40, 4.0), (25, -40.0)])
def test_icc_and_its_interval_agree_with_pingouin(n, bias):
    pingouin = pytest.importorskip("pingouin", reason="pingouin is the oracle: pip install '.[test]'")
    import pandas

    for name in [name for name in pingouin.options if name.startswith("round.column.CI95")]:
        pingouin.options[name] = None
    one, other = readings(7, n, bias)
    table = pandas.DataFrame({"row": np.tile(np.arange(n), 2), "column": np.repeat(["a", "b"], n), "value": np.concatenate([one, other])})
    theirs = pingouin.intraclass_corr(table, targets="row", raters="column", ratings="value")
    interval = next(name for name in theirs.columns if name.startswith("CI95"))
    for row, ours in ((1, icc_a1), (2, icc_c1)):
        found = ours(np.stack([one, other], axis=1))
        assert found.value == pytest.approx(theirs["ICC"].iloc[row], abs=1e-9)
        assert found.interval == pytest.approx(tuple(theirs[interval].iloc[row]), abs=1e-6)


@pytest.mark.parametrize(("n", "value", "interval"), [(599, 0.937, (0.926, 0.946)), (150, 0.936, (0.913, 0.953))])
def test_icc_intervals_that_the_paper_should_have_printed(n, value, interval):
    found = icc_a1(np.stack(bivariate(n, value), axis=1))
    assert found.value == pytest.approx(value, abs=5e-4) and found.interval == pytest.approx(interval, abs=1e-3)


@pytest.mark.parametrize(("n", "r", "interval"), [(599, 0.923, (0.909, 0.935)), (150, 0.918, (0.886, 0.941))])
def test_spearman_intervals_that_the_paper_should_have_printed(n, r, interval):
    one, other = bivariate(n, r)
    found = agreement(one, other)["spearman"]
    assert found.value == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-12)
    # The expected ones are of Fisher's kind; Bonett and Wright's are a little wider.
    shift = found.value - r
    assert found.interval == pytest.approx([end + shift for end in interval], abs=0.009)
    half = 1.959964 * math.sqrt((1 + found.value**2 / 2) / (n - 3))
    assert found.interval == pytest.approx((math.tanh(math.atanh(found.value) - half), math.tanh(math.atanh(found.value) + half)), abs=1e-9)


def test_pearson_agrees_with_scipy():
    one, other = readings(2)
    theirs, found = stats.pearsonr(one, other), agreement(one, other)["pearson"]
    assert (found.value, found.p_value) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert found.interval == pytest.approx(tuple(theirs.confidence_interval(0.95)), abs=1e-9)


def test_bland_altman_intervals_are_those_of_the_formulas():
    difference = np.array([-12.0, 3.0, 5.5, -1.0, 0.5, 9.0, -7.0, 2.0, 30.0, -4.0])
    found, n = bland_altman(difference), 10
    bias, sd = difference.mean(), difference.std(ddof=1)
    t = stats.t.ppf(0.975, n - 1)
    assert found["bias"].value == pytest.approx(bias)
    assert found["bias"].interval == pytest.approx((bias - t * sd / math.sqrt(n), bias + t * sd / math.sqrt(n)))
    for name, limit in (("lower_limit", bias - 1.959964 * sd), ("upper_limit", bias + 1.959964 * sd)):
        half = t * sd * math.sqrt(1 / n + 1.959964**2 / (2 * (n - 1)))
        assert found[name].value == pytest.approx(limit, abs=1e-5)
        assert found[name].interval == pytest.approx((limit - half, limit + half), abs=1e-5)
    assert found["lower_limit"].value + found["upper_limit"].value == pytest.approx(2 * bias)
    low, high = (sd * math.sqrt((n - 1) / stats.chi2.ppf(q, n - 1)) for q in (0.975, 0.025))
    assert found["sd_of_differences"].interval == pytest.approx((low, high))


@pytest.mark.parametrize(("n", "sd", "limit_se", "bias_half"), [(599, 10.43, 0.73, 0.84), (150, 10.33, 1.44, 1.65)])
def test_bland_altman_intervals_at_the_sizes_of_the_paper(n, sd, limit_se, bias_half):
    difference = np.random.default_rng(5).normal(size=n)
    difference = sd * (difference - difference.mean()) / difference.std(ddof=1) - 1.14
    found = bland_altman(difference)
    # Student's t instead of 1.96 makes both 0.8 % wider at n = 150.
    low, high = found["upper_limit"].interval
    assert (high - low) / 2 / stats.t.ppf(0.975, n - 1) == pytest.approx(limit_se, abs=0.01)
    low, high = found["bias"].interval
    assert (high - low) / 2 == pytest.approx(bias_half, rel=0.012)


def test_rows_outside_the_limits_are_counted_and_judged():
    clean = np.tile([-1.0, 1.0], 50)
    found = bland_altman(clean)["outside_limits"]
    assert (found.count, found.of, found.value) == (0, 100, 0.0) and "fewer than 2 %" in found.reason
    found = bland_altman(np.concatenate([clean, [8.0, -8.0, 9.0, -9.0]]))["outside_limits"]
    assert (found.count, found.of) == (4, 104) and found.value == pytest.approx(4 / 104) and found.reason is None
    assert found.interval == pytest.approx(tuple(stats.binomtest(4, 104).proportion_ci(method="exact")))


def test_proportional_bias_is_found_with_its_sign():
    rng = np.random.default_rng(8)
    true = rng.normal(116, 28, 200)
    found = agreement(true, 116 + 0.8 * (true - 116) + rng.normal(0, 3, 200))["bias_slope"]
    # Slope of d = -0.2 t on m = 0.9 t.
    assert found.value == pytest.approx(-0.2 / 0.9, abs=0.02) and found.interval[1] < 0 and found.p_value < 1e-6
    wider = agreement(true, true + rng.normal(0, 1, 200) * (true - 30) / 10)["spread_correlation"]
    assert wider.interval[0] > 0.1


def test_errors_and_the_constant_beside_them():
    true, said = np.array([80.0, 100.0, 120.0, 140.0]), np.array([83.0, 96.0, 120.0, 145.0])
    found = agreement(true, said)
    assert found["mae"].value == 3.0 and found["rmse"].value == pytest.approx(math.sqrt(50 / 4)) and found["bias"].value == 1.0
    assert found["constant_mae"].value == 20.0 and found["constant_rmse"].value == pytest.approx(math.sqrt(500))


@pytest.mark.parametrize(
    ("reference", "predicted"),
    [
        ([90.0] * 5, [80.0, 90, 100, 110, 120]),
        ([80.0, 90, 100, 110, 120], [90.0] * 5),
        ([90.0] * 5, [90.0] * 5),
        ([70.0, 80, 90], [75.0, 85, 95]),
    ],
    ids=["constant reference", "constant prediction", "both constant", "constant difference"],
)
@pytest.mark.filterwarnings("error")
def test_what_is_not_defined_is_absent_with_a_reason(reference, predicted):
    found = agreement(np.array(reference), np.array(predicted))
    undefined = [each for each in found.values() if each.value is None]
    assert undefined and all(each.reason for each in undefined)
    assert all(math.isfinite(end) for each in found.values() for end in (each.value or 0.0, *(each.interval or ())))


@pytest.mark.filterwarnings("error")
def test_every_value_lies_in_its_interval_and_is_what_the_bootstrap_computes():
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = int(rng.integers(3, 30))
        true = rng.normal(100, rng.choice([1, 30]), n)
        said = [true, true + 5, true + rng.normal(0, 10, n), rng.normal(80, 1, n), -true, true.round(-1)][rng.integers(6)]
        values = agreement_values(true, said)
        for name, each in agreement(true, said).items():
            if each.value is not None and name in values:
                assert each.value == pytest.approx(values[name], rel=1e-6, abs=1e-9), name
