"""Two measurements of one patient: has the density changed by more than measuring twice explains?

A difference counts when it exceeds the least significant change, LSC = 2.77 · CV · mean of the two values (95 %, ISCD's rule,
qct_facts 3.3). Without the site's own precision the CV is the published one of automated vBMD on CT: 4.7 % between two
sessions, 4.9 % between two scanners (qct_facts 3.12).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from .report import words

_LSC_FACTOR, _CV_SESSIONS, _CV_SCANNERS = 2.77, 4.7, 4.9
_DAYS_PER_YEAR = 365.25

#: Less than this apart, a change per year would be noise.
_SHORTEST_YEARS = 0.5


@dataclass(frozen=True)
class Change:
    """Mean vBMD (mg/cm³ of ``unit``) of the ``levels`` that count in both studies, and the least significant change.

    ``cv_percent``: the precision it rests on; ``years`` between the scans, None where a date is unknown; ``doubts``: what differs
    between the two, in sentences.
    """

    levels: tuple[str, ...]
    earlier_mg_cm3: float
    later_mg_cm3: float
    unit: str
    cv_percent: float
    years: float | None = None
    doubts: tuple[str, ...] = ()

    @property
    def difference_mg_cm3(self) -> float:
        """Later minus earlier."""
        return self.later_mg_cm3 - self.earlier_mg_cm3

    @property
    def lsc_mg_cm3(self) -> float:
        return _LSC_FACTOR * self.cv_percent / 100 * (self.earlier_mg_cm3 + self.later_mg_cm3) / 2

    @property
    def significant(self) -> bool:
        """True when the difference is larger than the least significant change."""
        return abs(self.difference_mg_cm3) > self.lsc_mg_cm3

    def __str__(self) -> str:
        """The change in words, with both values, the difference, the LSC and the verdict."""
        values = f"{words.number(self.earlier_mg_cm3)} → {words.number(self.later_mg_cm3)} {self.unit} ({', '.join(self.levels)})"
        difference = ("+" if self.difference_mg_cm3 > 0 else "") + words.number(self.difference_mg_cm3)
        if self.years is not None and self.years >= _SHORTEST_YEARS:
            difference += f", {words.number(self.difference_mg_cm3 / self.years)} per year"
        direction = "increase" if self.difference_mg_cm3 > 0 else "decrease"
        verdict = f"{direction} beyond the least significant change" if self.significant else "within the least significant change"
        return f"{values}: {difference}, {verdict} of {words.number(self.lsc_mg_cm3)} (CV {self.cv_percent:g} %)"


def change_between(earlier: dict, later: dict, own_cv_percent: float | None = None, days: float | None = None) -> Change:
    """The change between two measurement.json documents of one patient.

    ``own_cv_percent``: the site's own precision in place of the published one; ``days`` from the earlier to the later scan.
    Raises ValueError, saying why, where the two cannot be compared.
    """
    for document, name in ((earlier, "earlier"), (later, "later")):
        if "vbmd_mg_cm3" not in document["patient"]:
            raise ValueError(f"The {name} study has no density in mg/cm³.")
    if earlier["calibration"]["material"] != later["calibration"]["material"]:
        raise ValueError(f"The studies are in {words.unit(earlier)} and in {words.unit(later)}, which have no common scale.")
    levels = [level for level in earlier["patient"]["levels"] if level in later["patient"]["levels"]]
    if not levels:
        raise ValueError("No vertebra counts in both studies.")
    same = _same(earlier, later, ("manufacturer", "model"))
    published = _CV_SESSIONS if same else _CV_SCANNERS
    return Change(
        tuple(levels),
        _mean(earlier, levels),
        _mean(later, levels),
        words.unit(later),
        published if own_cv_percent is None else own_cv_percent,
        None if days is None else days / _DAYS_PER_YEAR,
        tuple(_doubts(earlier, later, same)),
    )


def days_between(earlier: date | None, later: date | None) -> float | None:
    """None where a date is unknown."""
    return None if earlier is None or later is None else float((later - earlier).days)


def _mean(document: dict, levels: Sequence[str]) -> float:
    values = [vertebra["vbmd_roi_mg_cm3"] for vertebra in document["vertebrae"] if vertebra["level"] in levels]
    return sum(values) / len(values)


def _same(earlier: dict, later: dict, names: Sequence[str]) -> bool:
    """True when all of these are known of both scans and equal."""
    return all(earlier["scan"].get(name) is not None and earlier["scan"].get(name) == later["scan"].get(name) for name in names)


def _doubts(earlier: dict, later: dict, same_scanner: bool) -> list[str]:
    found = [] if same_scanner else ["The scanners differ or are unknown."]
    found += [] if _same(earlier, later, ("kvp",)) else ["The tube voltages differ or are unknown."]
    found += [] if _same(earlier, later, ("kernel",)) else ["The reconstruction kernels differ or are unknown."]
    if earlier["scan"]["contrast"] != later["scan"]["contrast"]:
        found.append("The scans differ in what is known of contrast.")
    lines = [document["calibration"] for document in (earlier, later)]
    if any(lines[0].get(name) != lines[1].get(name) for name in ("source", "method", "phantom")):
        found.append("They were calibrated in different ways.")
    if any(vertebra for document in (earlier, later) for vertebra in document["vertebrae"] if "ROI_EDITED" in vertebra["flags"]):
        found.append("An ROI was edited.")
    return found
