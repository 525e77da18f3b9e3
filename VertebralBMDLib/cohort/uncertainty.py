"""Whether probabilities and intervals keep what they promise: calibration of the one, coverage of the other."""

from __future__ import annotations

import math

import numpy as np

from .diagnostic import area, area_value
from .estimates import Estimate, absent, plain, proportion

BINS = 10


def probability_estimates(truth: np.ndarray, probability: np.ndarray) -> dict[str, Estimate]:
    """Brier score, the one of always saying the prevalence, mean probability minus prevalence, expected calibration error.

    ``truth``: True where the event happened; ``probability``: that it does, 0 to 1; both of shape (n,), n >= 1.
    """
    values = {name: plain(value) for name, value in probability_values(truth, probability).items()}
    return values | {"auc": area(truth, -probability)}


def probability_values(truth: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """The values of ``probability_estimates`` alone; for the bootstrap."""
    prevalence = truth.mean()
    gaps = [len(here) * abs(probability[here].mean() - truth[here].mean()) for here in _bins(probability) if len(here)]
    return {
        "brier": float(((probability - truth) ** 2).mean()),
        "brier_of_prevalence": float(prevalence * (1 - prevalence)),
        "mean_minus_prevalence": float(probability.mean() - prevalence),
        "expected_calibration_error": float(sum(gaps) / len(truth)),
        "auc": area_value(truth, -probability),
    }


def reliability(truth: np.ndarray, probability: np.ndarray) -> list[dict]:
    """For each of ten equal bins of probability that has rows: its ends, rows, mean probability and observed share."""
    table = []
    for number, here in enumerate(_bins(probability)):
        if len(here):
            observed = proportion(int(truth[here].sum()), len(here), "row")
            ends = (number / BINS, (number + 1) / BINS)
            table.append({"from": ends[0], "to": ends[1], "mean_probability": float(probability[here].mean()), "observed": observed})
    return table


def _bins(probability: np.ndarray) -> list[np.ndarray]:
    """Row numbers of each bin; the last one holds 1."""
    number = np.minimum((probability * BINS).astype(int), BINS - 1)
    return [np.flatnonzero(number == k) for k in range(BINS)]


def coverage_estimates(reference: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, Estimate]:
    """Share of references inside their interval, below and above it, and the mean width in mg/cm³; all of shape (n,).

    Absent where no row has an interval.
    """
    n = len(reference)
    if not n:
        return {"coverage": absent("no row has an interval")}
    below, above = int(np.sum(reference < low)), int(np.sum(reference > high))
    return {
        "coverage": proportion(n - below - above, n, "row"),
        "below_interval": proportion(below, n, "row"),
        "above_interval": proportion(above, n, "row"),
        "mean_width": plain(float(np.mean(high - low))),
    }


def coverage_values(reference: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, float]:
    """The values of ``coverage_estimates`` alone; for the bootstrap."""
    if not len(reference):
        return {"coverage": math.nan}
    below, above = float(np.mean(reference < low)), float(np.mean(reference > high))
    return {"coverage": 1 - below - above, "below_interval": below, "above_interval": above, "mean_width": float(np.mean(high - low))}
