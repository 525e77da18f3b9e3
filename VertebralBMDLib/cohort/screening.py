"""Cuts of the predicted vBMD: the table of them, and the one for screening, chosen on validation rows and kept for the test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .agreement import agreement_values
from .diagnostic import Task, counts, roc, two_by_two
from .estimates import Estimate, plain

#: Sensitivity that the second rule asks for on validation rows (qct_facts 1.17).
LEAST_SENSITIVITY = 0.90
#: Cuts of the table, in mg/cm³ from the diagnostic limit.
_STEPS = range(-20, 21, 4)


@dataclass(frozen=True)
class Cut:
    """Below ``below`` mg/cm³ of predicted vBMD a row is called positive; ``rule`` says how it was chosen."""

    rule: str
    below: float


def chosen_cuts(truth: np.ndarray, predicted: np.ndarray) -> tuple[Cut, ...]:
    """The cut of Youden's index and the lowest cut with a sensitivity of 90 %, on validation rows; the higher one of equals.

    ``truth``: True for positive rows; ``predicted``: mg/cm³, both of shape (n,). Raises ValueError without a positive or a
    negative row.
    """
    false, true, cuts = roc(truth, predicted)
    index = true - false
    best = np.flatnonzero(np.isclose(index, index.max()))[-1]
    enough = np.flatnonzero(true >= LEAST_SENSITIVITY)[0]
    return Cut("youden", float(cuts[best])), Cut("sensitivity_90", float(cuts[enough]))


def at_cut(task: Task, truth: np.ndarray, predicted: np.ndarray, below: float) -> dict[str, Estimate | float | dict]:
    """The 2x2 table of "predicted is below the cut" with every proportion."""
    table = counts(truth, predicted < below)
    return {"task": task.name, "below_mg_cm3": below, "counts": vars(table), "estimates": two_by_two(table)}


def cut_table(task: Task, truth: np.ndarray, predicted: np.ndarray) -> list[dict]:
    """``at_cut`` for every 4 mg/cm³ from 20 below to 20 above the limit of the task."""
    return [at_cut(task, truth, predicted, task.limit + step) for step in _STEPS]


def correction(known: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> dict | None:
    """The line reference = intercept + slope · predicted of validation rows, and the errors that it leaves in test rows.

    Both are (reference, predicted) in mg/cm³. None where all predictions of the validation rows are equal.
    """
    if np.ptp(known[1]) == 0:
        return None
    line = stats.linregress(known[1], known[0])
    values = agreement_values(test[0], line.intercept + line.slope * test[1])
    errors = {name: plain(values[name]) for name in ("bias", "sd_of_differences", "mae", "rmse")}
    return {"intercept_mg_cm3": float(line.intercept), "slope": float(line.slope), "estimates": errors}
