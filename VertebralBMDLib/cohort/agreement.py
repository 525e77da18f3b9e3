"""Agreement of a prediction with its reference: correlation, ICC, errors, limits of agreement, proportional bias."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import stats

from .estimates import CONFIDENCE, NORMAL, Estimate, absent, estimate, plain, proportion

#: Share outside the limits of agreement that is to be looked at; 5 % is expected (qct_facts 1.19).
FEW_OUTSIDE, MANY_OUTSIDE = 0.02, 0.08

_UPPER = (1 + CONFIDENCE) / 2
_CONSTANT = "a column has the same value in every row"
_SAME = "the difference is the same in every row"


def agreement(reference: np.ndarray, predicted: np.ndarray) -> dict[str, Estimate]:
    """Every quantity of agreement with its interval by formula; differences are predicted minus reference.

    Both in mg/cm³, shape (n,), n >= 3, finite. Spearman's interval is Bonett and Wright's (2000), Pearson's Fisher's, the
    ICC's McGraw and Wong's (1996), those of bias and limits Bland and Altman's (1999).
    """
    difference = predicted - reference
    readings = np.stack([reference, predicted], axis=1)
    found = _correlations(reference, predicted) | {"icc_a1": icc_a1(readings), "icc_c1": icc_c1(readings)}
    found |= {name: plain(value) for name, value in _errors(reference, predicted).items()}
    found |= bland_altman(difference) | proportional_bias(reference, predicted)
    return found


def agreement_values(reference: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """The values alone, NaN where one is not defined; for the bootstrap."""
    difference, mean = predicted - reference, (predicted + reference) / 2
    bias, spread = difference.mean(), difference.std(ddof=1)
    between, columns, residual = _mean_squares(np.stack([reference, predicted], axis=1))
    return _errors(reference, predicted) | {
        "spearman": _correlation(stats.rankdata(reference), stats.rankdata(predicted)),
        "pearson": _correlation(reference, predicted),
        "icc_a1": _icc_a1(between, columns, residual, len(reference), 2),
        "icc_c1": _icc_c1(between, residual, 2),
        "bias": bias,
        "sd_of_differences": spread,
        "lower_limit": bias - NORMAL * spread,
        "upper_limit": bias + NORMAL * spread,
        "bias_slope": _ratio(np.cov(mean, difference)[0, 1], mean.var(ddof=1)),
        "spread_correlation": _correlation(np.abs(difference), mean),
    }


def _errors(reference: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """MAE and RMSE, and beside them those of a constant, the mean of these very references."""
    difference, spread = predicted - reference, reference - reference.mean()
    return {
        "mae": np.abs(difference).mean(),
        "rmse": math.sqrt((difference**2).mean()),
        "constant_mae": np.abs(spread).mean(),
        "constant_rmse": math.sqrt((spread**2).mean()),
        "reference_mean": reference.mean(),
        "reference_sd": reference.std(ddof=1),
        "predicted_mean": predicted.mean(),
        "predicted_sd": predicted.std(ddof=1),
    }


def _correlations(reference: np.ndarray, predicted: np.ndarray) -> dict[str, Estimate]:
    if _is_constant(reference) or _is_constant(predicted):
        return {"spearman": absent(_CONSTANT), "pearson": absent(_CONSTANT)}
    return {
        "spearman": _with_fisher(*stats.spearmanr(reference, predicted), len(reference), bonett_wright=True),
        "pearson": _with_fisher(*stats.pearsonr(reference, predicted), len(reference), bonett_wright=False),
    }


def _with_fisher(r: float, p_value: float, n: int, bonett_wright: bool) -> Estimate:
    """A correlation with its interval on Fisher's z scale; Bonett and Wright widen it for ranks by 1 + r²/2."""
    r = float(np.clip(r, -1.0, 1.0))
    if math.isclose(abs(r), 1.0, abs_tol=1e-12):
        return Estimate(r, reason="no interval: the correlation is perfect")
    if n < 4:
        return Estimate(r, p_value=float(p_value), reason="no interval: fewer than 4 rows")
    half = NORMAL * math.sqrt((1 + r * r / 2 if bonett_wright else 1.0) / (n - 3))
    interval = math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
    return estimate(r, interval, "Bonett-Wright" if bonett_wright else "Fisher z", p_value)


def icc_a1(readings: np.ndarray) -> Estimate:
    """ICC(A,1): two-way, absolute agreement, single reading, with the F-based interval of McGraw and Wong (1996, table 7).

    ``readings``: shape (n, k), a column for each of k ways of measuring.
    """
    n, k = readings.shape
    between, columns, residual = _mean_squares(readings)
    value = _icc_a1(between, columns, residual, n, k)
    if not math.isfinite(value):
        return absent(_CONSTANT)
    if residual <= 0:
        return Estimate(value, reason="no interval: the columns differ by a constant only")
    a, b = k * value / (n * (1 - value)), 1 + k * value * (n - 1) / (n * (1 - value))
    freedom = (a * columns + b * residual) ** 2 / ((a * columns) ** 2 / (k - 1) + (b * residual) ** 2 / ((n - 1) * (k - 1)))
    if freedom < 1:
        # Below zero the approximation of the degrees of freedom can fail.
        return Estimate(value, reason="no interval: McGraw and Wong's holds for a positive ICC")
    f_low, f_high = stats.f.ppf(_UPPER, n - 1, freedom), stats.f.ppf(_UPPER, freedom, n - 1)
    rest = k * columns + (k * n - k - n) * residual
    low = n * (between - f_low * residual) / (f_low * rest + n * between)
    high = n * (f_high * between - residual) / (rest + n * f_high * between)
    return estimate(value, (low, high), "McGraw-Wong")


def icc_c1(readings: np.ndarray) -> Estimate:
    """ICC(C,1): two-way, consistency, single reading, with its F-based interval; ``readings`` as for ``icc_a1``."""
    n, k = readings.shape
    between, _, residual = _mean_squares(readings)
    value = _icc_c1(between, residual, k)
    if not math.isfinite(value):
        return absent(_CONSTANT)
    if residual <= 0:
        return Estimate(value, reason="no interval: the columns differ by a constant only")
    freedom = (n - 1) * (k - 1)
    low = between / residual / stats.f.ppf(_UPPER, n - 1, freedom)
    high = between / residual * stats.f.ppf(_UPPER, freedom, n - 1)
    return estimate(value, ((low - 1) / (low + k - 1), (high - 1) / (high + k - 1)), "McGraw-Wong")


def _mean_squares(readings: np.ndarray) -> tuple[float, float, float]:
    """Mean squares between rows, between columns, and residual, of the two-way analysis of variance."""
    n, k = readings.shape
    rows, columns, grand = readings.mean(axis=1), readings.mean(axis=0), readings.mean()
    residual = float(((readings - rows[:, None] - columns + grand) ** 2).sum() / ((n - 1) * (k - 1)))
    # Rounding leaves a trace where the columns differ by a constant.
    trace = 1e-20 * float((readings**2).mean())
    return (
        float(k * ((rows - grand) ** 2).sum() / (n - 1)),
        float(n * ((columns - grand) ** 2).sum() / (k - 1)),
        residual if residual > trace else 0.0,
    )


def _icc_a1(between: float, columns: float, residual: float, n: int, k: int) -> float:
    return _ratio(between - residual, between + (k - 1) * residual + k / n * (columns - residual)) if between > 0 else math.nan


def _icc_c1(between: float, residual: float, k: int) -> float:
    return _ratio(between - residual, between + (k - 1) * residual) if between > 0 else math.nan


def bland_altman(difference: np.ndarray) -> dict[str, Estimate]:
    """Bias, SD (n - 1), limits bias ± 1.96 SD with their intervals, and the share outside them.

    ``difference``: predicted minus reference in mg/cm³, shape (n,). SE of a limit: SD·√(1/n + 1.96²/(2(n - 1))); intervals
    of bias and limits with Student's t, of the SD with chi².
    """
    n, bias, spread = len(difference), float(difference.mean()), float(difference.std(ddof=1))
    if _is_constant(difference):
        exact = Estimate(bias, reason=f"no interval: {_SAME}")
        return dict(bias=exact, sd_of_differences=plain(0.0), lower_limit=exact, upper_limit=exact, outside_limits=absent(_SAME))
    t = float(stats.t.ppf(_UPPER, n - 1))
    half_bias, half_limit = t * spread / math.sqrt(n), t * spread * math.sqrt(1 / n + NORMAL**2 / (2 * (n - 1)))
    chi2 = stats.chi2.ppf((_UPPER, 1 - _UPPER), n - 1)
    limits = bias - NORMAL * spread, bias + NORMAL * spread
    outside = int(np.sum((difference < limits[0]) | (difference > limits[1])))
    low, high = (estimate(limit, (limit - half_limit, limit + half_limit), "Bland-Altman") for limit in limits)
    return {
        "bias": estimate(bias, (bias - half_bias, bias + half_bias), "Student t"),
        "sd_of_differences": estimate(spread, tuple(spread * np.sqrt((n - 1) / chi2)), "chi²"),
        "lower_limit": low,
        "upper_limit": high,
        "outside_limits": _judged(proportion(outside, n, "row")),
    }


def _judged(outside: Estimate) -> Estimate:
    if FEW_OUTSIDE <= outside.value <= MANY_OUTSIDE:
        return outside
    word = "fewer than 2 %" if outside.value < FEW_OUTSIDE else "more than 8 %"
    return replace(outside, reason=f"{word} where 5 % are expected: few rows, or differences that are not normal; look at the plot")


def proportional_bias(reference: np.ndarray, predicted: np.ndarray) -> dict[str, Estimate]:
    """Slope of the difference on the mean of both (least squares), and correlation of its size with the mean."""
    difference, mean = predicted - reference, (predicted + reference) / 2
    if _is_constant(mean) or _is_constant(difference):
        why = _SAME if _is_constant(difference) else "the mean of both is the same in every row"
        return {"bias_slope": absent(why), "spread_correlation": absent(why)}
    line, n = stats.linregress(mean, difference), len(mean)
    half = float(stats.t.ppf(_UPPER, n - 2)) * line.stderr
    p_value = line.pvalue if math.isfinite(line.pvalue) else None
    slope = estimate(line.slope, (line.slope - half, line.slope + half), "Student t", p_value)
    size = np.abs(difference)
    spread = (
        absent("the difference has the same size in every row")
        if _is_constant(size)
        else _with_fisher(*stats.pearsonr(size, mean), n, False)
    )
    return {"bias_slope": slope, "spread_correlation": spread}


def _is_constant(values: np.ndarray) -> bool:
    """True when the values differ by rounding only."""
    return bool(np.ptp(values) <= 1e-9 * max(1.0, float(np.abs(values).max())))


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(), y - y.mean()
    return _ratio(float(x @ y), math.sqrt(float(x @ x) * float(y @ y)))


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator > 0 else math.nan
