"""Categories from predicted vBMD against those from the reference: 2x2 tables, ROC with DeLong's interval, kappa."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..diagnosis import Thresholds
from .estimates import NORMAL, Estimate, absent, estimate, plain, proportion


@dataclass(frozen=True)
class Task:
    """A yes-or-no question at one limit in mg/cm³: ``positive`` are the categories that are a yes, ``title`` says it in words."""

    name: str
    title: str
    limit: float
    positive: frozenset[str]

    def truth(self, labels: np.ndarray) -> np.ndarray:
        """True for the rows whose category is a yes; shape of ``labels``."""
        return np.isin(labels, sorted(self.positive))


def tasks(thresholds: Thresholds) -> tuple[Task, ...]:
    """The questions that limits of vBMD answer: osteoporosis, and low bone mass or osteoporosis where the source has both limits.

    Raises ValueError for limits in HU.
    """
    low, high = thresholds.osteoporosis_below, thresholds.normal_above
    if low is None:
        raise ValueError(f"the limits {thresholds.name} are in HU and give no category; use limits of vBMD such as acr")
    found = [Task("osteoporosis", f"osteoporosis (below {low:g} mg/cm³)", low, frozenset({"osteoporosis"}))]
    if high is not None:
        positive = frozenset({"osteoporosis", "low_bone_mass"})
        found.append(Task("low_bone_mass", f"low bone mass or osteoporosis (up to {high:g} mg/cm³)", high, positive))
    return tuple(found)


def categories(values: np.ndarray, thresholds: Thresholds) -> np.ndarray:
    """The category of each unrounded value; strings, shape of ``values``."""
    return np.array([thresholds.band(value).label for value in values])


@dataclass(frozen=True)
class Counts:
    """A 2x2 table: true positives, false negatives, false positives, true negatives."""

    tp: int
    fn: int
    fp: int
    tn: int

    @property
    def n(self) -> int:
        """All rows."""
        return self.tp + self.fn + self.fp + self.tn


def counts(truth: np.ndarray, said: np.ndarray) -> Counts:
    """The 2x2 table of two boolean columns of shape (n,)."""
    tp, n_true, n_said = int(np.sum(truth & said)), int(truth.sum()), int(said.sum())
    return Counts(tp, n_true - tp, n_said - tp, len(truth) - n_true - n_said + tp)


def two_by_two(table: Counts) -> dict[str, Estimate]:
    """Every proportion of a 2x2 table with its denominator and Clopper-Pearson interval, and three summaries of it.

    A proportion without denominator is absent with the reason. ``majority_accuracy``: what always saying the commoner
    answer would reach.
    """
    positive, negative = table.tp + table.fn, table.fp + table.tn
    found = {
        "prevalence": proportion(positive, table.n, "row"),
        "sensitivity": proportion(table.tp, positive, "positive row"),
        "specificity": proportion(table.tn, negative, "negative row"),
        "accuracy": proportion(table.tp + table.tn, table.n, "row"),
        "ppv": proportion(table.tp, table.tp + table.fp, "row that is called positive"),
        "npv": proportion(table.tn, table.tn + table.fn, "row that is called negative"),
        "majority_accuracy": proportion(max(positive, negative), table.n, "row"),
    }
    return found | {name: plain(value) for name, value in _summaries(table).items()}


def two_by_two_values(truth: np.ndarray, said: np.ndarray) -> dict[str, float]:
    """The values of ``two_by_two`` alone, NaN where one has no denominator; for the bootstrap."""
    table = counts(truth, said)
    pairs = {
        "prevalence": (table.tp + table.fn, table.n),
        "sensitivity": (table.tp, table.tp + table.fn),
        "specificity": (table.tn, table.fp + table.tn),
        "accuracy": (table.tp + table.tn, table.n),
        "ppv": (table.tp, table.tp + table.fp),
        "npv": (table.tn, table.tn + table.fn),
    }
    return {name: _share(*pair) for name, pair in pairs.items()} | _summaries(table)


def _summaries(table: Counts) -> dict[str, float]:
    """Balanced accuracy, F1 and Matthews' correlation."""
    sensitivity, specificity = _share(table.tp, table.tp + table.fn), _share(table.tn, table.fp + table.tn)
    margins = (table.tp + table.fn) * (table.tp + table.fp) * (table.tn + table.fn) * (table.tn + table.fp)
    return {
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "f1": _share(2 * table.tp, 2 * table.tp + table.fn + table.fp),
        "mcc": (table.tp * table.tn - table.fp * table.fn) / math.sqrt(margins) if margins else math.nan,
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def area(truth: np.ndarray, predicted: np.ndarray) -> Estimate:
    """Area under the ROC curve of "low vBMD is positive", with DeLong's interval (1988), cut at 0 and 1.

    ``truth``: True for positive rows; ``predicted``: vBMD in mg/cm³, both of shape (n,). Ties count half. Absent without
    a positive or without a negative row; without interval where its variance is zero.
    """
    m, n = int(truth.sum()), int(np.sum(~truth))
    if not m or not n:
        return absent("no row is positive" if not m else "no row is negative")
    of_positives, of_negatives = _placements(truth, predicted)
    value = float(of_positives.mean())
    if min(m, n) < 2:
        return Estimate(value, reason="no interval by formula: only one row is positive or negative")
    deviation = math.sqrt(of_positives.var(ddof=1) / m + of_negatives.var(ddof=1) / n)
    if deviation == 0:
        return Estimate(value, reason="no interval: DeLong's variance is zero, because the two sets do not overlap")
    low, high = value - NORMAL * deviation, value + NORMAL * deviation
    return estimate(value, (max(0.0, low), min(1.0, high)), "DeLong")


def area_value(truth: np.ndarray, predicted: np.ndarray) -> float:
    """The area alone; NaN without a positive or a negative row."""
    return float(_placements(truth, predicted)[0].mean()) if 0 < truth.sum() < len(truth) else math.nan


def _placements(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each positive the share of negatives above it, and for each negative the share of positives below it (ties half)."""
    positives, negatives = predicted[truth], predicted[~truth]
    ranks = stats.rankdata(-np.concatenate([positives, negatives]))
    m, n = len(positives), len(negatives)
    of_positives = (ranks[:m] - stats.rankdata(-positives)) / n
    of_negatives = 1 - (ranks[m:] - stats.rankdata(-negatives)) / m
    return of_positives, of_negatives


def roc(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False positive rate, true positive rate, and the cut in mg/cm³ below which a row is called positive.

    Cuts lie halfway between neighbouring predictions; the first is below all (nobody is positive), the last above all.
    Raises ImportError where scikit-learn is not installed, ValueError without a positive or a negative row.
    """
    from sklearn.metrics import roc_curve

    if not 0 < truth.sum() < len(truth):
        raise ValueError("a ROC curve needs positive and negative rows")
    false, true, scores = roc_curve(truth, -predicted, drop_intermediate=False)
    values = -scores[1:]
    between = (values[:-1] + values[1:]) / 2
    return false, true, np.concatenate([[values[0] - 0.5], between, [values[-1] + 0.5]])


def kappas(table: np.ndarray) -> dict[str, float]:
    """Cohen's kappa of the categories, plain and with quadratic weights (Cohen 1960, 1968); NaN where all rows share one.

    ``table``: counts, shape (k, k), categories in their order, rows by the reference. Not scikit-learn's, which is too slow
    for the bootstrap; the tests hold them together.
    """
    table = np.asarray(table, dtype=float)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    apart = np.subtract.outer(np.arange(len(table)), np.arange(len(table)))
    weights = {"kappa": apart != 0, "quadratic_kappa": apart**2}
    chance = {name: float((weight * expected).sum()) for name, weight in weights.items()}
    return {name: 1 - float((weight * table).sum()) / chance[name] if chance[name] else math.nan for name, weight in weights.items()}


def confusion(reference_labels: np.ndarray, predicted_labels: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """Counts, shape (k, k): rows by the reference, columns by the prediction, both in the order of ``labels``."""
    return np.array([[np.sum((reference_labels == one) & (predicted_labels == other)) for other in labels] for one in labels])
