"""A number with its 95 % intervals, and the bootstrap by patients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import special, stats

CONFIDENCE = 0.95
#: Two-sided quantile of the normal distribution, 1.96.
NORMAL = float(stats.norm.ppf((1 + CONFIDENCE) / 2))

#: With fewer, a resample is hardly ever another set of patients.
FEWEST_PATIENTS = 3
#: Share of the resamples in which a quantity must be defined for its bootstrap interval to be given.
_LEAST_DEFINED = 0.95
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Estimate:
    """A value with ``interval`` by the named ``method``, which takes rows as independent, and ``bootstrap``, by patients.

    ``count`` of ``of``: numerator and denominator where the value is a proportion. A value or interval that could not be had
    is None, and ``reason`` says why. Raises ValueError when the value is outside its own interval.
    """

    value: float | None
    interval: tuple[float, float] | None = None
    method: str | None = None
    bootstrap: tuple[float, float] | None = None
    p_value: float | None = None
    count: int | None = None
    of: int | None = None
    reason: str | None = None

    def __post_init__(self):
        if self.interval and not self.interval[0] - _ROUNDING <= self.value <= self.interval[1] + _ROUNDING:
            raise ValueError(f"{self.value} is outside its interval {self.interval} ({self.method})")

    def entry(self) -> dict:
        """The fields that are known, for JSON."""
        return {name: value for name, value in vars(self).items() if value is not None}


def absent(reason: str) -> Estimate:
    """No value, and why."""
    return Estimate(None, reason=reason)


def estimate(value: float, interval: tuple[float, float], method: str, p_value: float | None = None) -> Estimate:
    """A value with its interval as plain floats."""
    return Estimate(float(value), (float(interval[0]), float(interval[1])), method, p_value=None if p_value is None else float(p_value))


def proportion(count: int, of: int, what: str) -> Estimate:
    """``count`` of ``of`` with the interval of Clopper and Pearson (1934); absent when there is no ``what`` to count in."""
    if of == 0:
        return replace(absent(f"there is no {what}"), count=int(count), of=int(of))
    # Quantiles of the beta distribution: what scipy.stats.binomtest finds by searching, fast enough for many tables.
    low = special.betaincinv(count, of - count + 1, (1 - CONFIDENCE) / 2) if count > 0 else 0.0
    high = special.betaincinv(count + 1, of - count, (1 + CONFIDENCE) / 2) if count < of else 1.0
    return replace(estimate(count / of, (low, high), "Clopper-Pearson"), count=int(count), of=int(of))


@dataclass(frozen=True)
class Resampling:
    """Drawing ``resamples`` times as many patients as there are, with all their rows, from a fixed ``seed``."""

    resamples: int = 2000
    seed: int = 1

    def intervals(self, group: np.ndarray, function: Callable[[np.ndarray], dict[str, float]]) -> dict[str, tuple[float, float]]:
        """Percentile intervals of every quantity that ``function`` computes from row numbers; NaN there is "not defined".

        ``group``: patient of each row, shape (n,). A quantity is left out where it is undefined in more than 5 % of the
        resamples or never changes; all are for fewer than FEWEST_PATIENTS.
        """
        order = np.argsort(group, kind="stable")
        members = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
        if len(members) < FEWEST_PATIENTS:
            return {}
        rng = np.random.default_rng(self.seed)
        drawn: dict[str, list[float]] = {}
        for _ in range(self.resamples):
            rows = np.concatenate([members[k] for k in rng.integers(len(members), size=len(members))])
            for name, value in function(rows).items():
                drawn.setdefault(name, []).append(value)
        return {name: interval for name, values in drawn.items() if (interval := _percentiles(np.array(values))) is not None}


def _percentiles(values: np.ndarray) -> tuple[float, float] | None:
    defined = values[np.isfinite(values)]
    if len(defined) < _LEAST_DEFINED * len(values) or np.ptp(defined) <= _ROUNDING * max(1.0, abs(defined[0])):
        return None
    low, high = np.quantile(defined, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return float(low), float(high)


def with_bootstrap(estimates: dict[str, Estimate], intervals: dict[str, tuple[float, float]]) -> dict[str, Estimate]:
    """The estimates with the bootstrap intervals of the same names."""
    return {name: replace(each, bootstrap=intervals.get(name)) if each.value is not None else each for name, each in estimates.items()}


def plain(value: float) -> Estimate:
    """A value that has no formula for its interval; absent where it is not defined."""
    return Estimate(float(value)) if math.isfinite(value) else absent("not defined for these rows")
