"""From vertebrae to the patient: which of them count, their mean, and its diagnostic category by limits that are data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .anatomy import COLUMN, is_lumbar
from .quality import Code, Refused
from .resources import resource
from .scan import Acquisition

_SCHEMA = "vertebral-bmd/thresholds/1"
_QUANTITIES = ("trabecular_vbmd", "integral_vbmd", "hu")
_CATEGORIES = ("osteoporosis", "low_bone_mass", "normal", "withheld")

#: The levels of the rule, and those that may stand in for one of them, in that order (qct_facts 1.27).
_RULE, _STAND_INS = ("L1", "L2"), ("L3", "T12")

#: LEVELS_DISAGREE: |difference| in mg/cm³, and |ln ratio| of 3 usual SD (qct_facts 1.28, 3.10).
_DIFFERENCE_MG_CM3, _LOG_RATIO = 25.0, 3 * 0.08

#: Flags that withhold the category but not the value.
_WITHHOLDING = frozenset({
    Code.ONE_LEVEL_ONLY, Code.LEVELS_OUTSIDE_RULE, Code.RESEARCH_CALIBRATION, Code.MATERIAL_CONVERTED, Code.LIMITS_WITHOUT_CATEGORY
})  # fmt: skip

#: Refusals after which nobody knows which vertebra L1 is.
_UNKNOWN_LEVELS = frozenset({Code.LEVEL_UNCERTAIN, Code.TRANSITIONAL_ANATOMY})


@dataclass(frozen=True)
class Band:
    """Values below ``below`` or up to and including ``up_to``, in mg/cm³ or HU; with neither, all that are left.

    ``label``: a category, or words where the quantity is HU.
    """

    label: str
    below: float | None = None
    up_to: float | None = None

    @property
    def end(self) -> float:
        """Where the band ends; infinity for the last one."""
        return next((end for end in (self.below, self.up_to) if end is not None), math.inf)

    def holds(self, value: float) -> bool:
        """True when ``value`` is not too high for this band."""
        return value < self.end or (self.up_to is not None and value == self.up_to)


@dataclass(frozen=True)
class Thresholds:
    """Limits with the population and the source they hold for, from Resources/Thresholds.

    ``quantity``: trabecular_vbmd, integral_vbmd (mg/cm³) or hu; ``bands`` from low to high; ``confidence``: H, M or L as in
    the fact base; ``use``: what the limits may be used for; ``proposed_range``: where the source gives a range of limits.
    """

    name: str
    title: str
    quantity: str
    bands: tuple[Band, ...]
    population: str
    source: str
    confidence: str
    use: str
    proposed_range: tuple[float, float] | None = None

    def band(self, value: float) -> Band:
        """The band of an unrounded value."""
        return next(band for band in self.bands if band.holds(value))

    @property
    def osteoporosis_below(self) -> float | None:
        """The limit in mg/cm³ below which it is osteoporosis; None for HU."""
        return next((band.below for band in self.bands if band.label == "osteoporosis"), None)

    @property
    def normal_above(self) -> float | None:
        """The limit in mg/cm³ above which it is normal; None where the source gives none."""
        return next((low.up_to for low, high in zip(self.bands, self.bands[1:]) if high.label == "normal"), None)


def threshold_names() -> tuple[str, ...]:
    """Names that ``load_thresholds`` knows. Raises Refused(MODEL_DAMAGED) where the installation has none."""
    try:
        return tuple(sorted(path.stem for path in resource("Thresholds").glob("*.json")))
    except FileNotFoundError as error:
        raise Refused(Code.MODEL_DAMAGED, "Thresholds") from error


def load_thresholds(name: str) -> Thresholds:
    """Limits by name ("acr", "east-asian-women", "integral", "pickhardt-hu").

    Raises ValueError for another name, and for a file that is not of the form vertebral-bmd/thresholds/1.
    """
    if name not in threshold_names():
        raise ValueError(f"thresholds must be one of {', '.join(threshold_names())}, not {name!r}")
    try:
        entry = json.loads(resource("Thresholds", f"{name}.json").read_text(encoding="utf-8"))
        if entry.pop("schema") != _SCHEMA:
            raise ValueError(f"schema is not {_SCHEMA}")
        span = entry.pop("proposed_range", None)
        found = Thresholds(**entry | dict(bands=tuple(Band(**band) for band in entry["bands"])), proposed_range=span and tuple(span))
        _check(found)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"thresholds {name} are not of the form {_SCHEMA}: {error}") from error
    return found


def _check(thresholds: Thresholds) -> None:
    ends = [band.end for band in thresholds.bands]
    if thresholds.quantity not in _QUANTITIES:
        raise ValueError(f"quantity must be one of {', '.join(_QUANTITIES)}, not {thresholds.quantity!r}")
    if (
        len(ends) < 2
        or ends != sorted(set(ends))
        or not math.isinf(ends[-1])
        or any(band.below and band.up_to for band in thresholds.bands)
    ):
        raise ValueError("bands must rise, each with one of below and up_to, the last with neither")
    unknown = [band.label for band in thresholds.bands if band.label not in _CATEGORIES]
    if unknown and thresholds.quantity != "hu":
        raise ValueError(f"a band of mg/cm³ must be one of {', '.join(_CATEGORIES)}, not {unknown[0]!r}")


@dataclass(frozen=True)
class MeasuredLevel:
    """What one measured vertebra brings: mean HU of its ROI and, with a calibration, mg/cm³; findings are left out of both.

    ``unusable``: why it must not count for the patient (LEVEL_EXCLUDED, FRACTURE, LESION), or None.
    """

    level: str
    roi_hu: float
    vbmd_mg_cm3: float | None = None
    integral_mg_cm3: float | None = None
    unusable: Code | None = None


@dataclass(frozen=True)
class Assessment:
    """The patient line. ``category`` is osteoporosis, low_bone_mass, normal or withheld.

    ``levels``: those whose mean the value is; ``left_out``: levels that would have counted, each with the reason;
    ``integral_mg_cm3``: mean integral vBMD of the same levels; ``uncertainty_mg_cm3``: SD that the calibration adds to a
    value of 100 mg/cm³; ``hu_band``: what the HU of L1 say, in words, where there is no calibration.
    """

    levels: tuple[str, ...]
    vbmd_mg_cm3: float | None
    category: str
    thresholds: Thresholds
    flags: tuple[Code, ...] = ()
    refusals: tuple[Code, ...] = ()
    left_out: tuple[tuple[str, Code], ...] = ()
    integral_mg_cm3: float | None = None
    uncertainty_mg_cm3: float | None = None
    hu_band: str | None = None


def levels_to_measure(requested: tuple[str, ...]) -> tuple[str, ...]:
    """``requested`` and, behind L1 and L2, the levels that may have to stand in for one of them."""
    return requested + (_STAND_INS if set(requested) == set(_RULE) else ())


def assess(
    measured: Sequence[MeasuredLevel],
    requested: tuple[str, ...],
    missing: Mapping[str, Code],
    thresholds: Thresholds,
    *,
    carries_category: bool,
    uncertainty_mg_cm3: float | None = None,
    acquisition: Acquisition = Acquisition(),
    flags: Sequence[Code] = (),
    refusals: Sequence[Code] = (),
) -> Assessment:
    """The patient's value, the plain mean over the levels that count (qct_facts 1.27), and its category (1.22).

    ``missing``: why each other level of ``levels_to_measure`` could not be measured; ``carries_category`` and
    ``uncertainty_mg_cm3``: of the calibration, whose error is the same in every vertebra, so that the mean does not shrink
    it. Where L1 and L2 are requested and one cannot count, L3 stands in, else T12 (value without category), else the other
    is alone (likewise); of other levels exactly those count that can. Where none can, the reasons are refusals. Value and
    category are withheld when anything was refused.
    Raises ValueError for a requested level that is neither measured nor missing.
    """
    by_level = {each.level: each for each in measured}
    reasons = dict(missing) | {each.level: each.unusable for each in measured if each.unusable}
    unknown = [level for level in requested if level not in by_level and level not in missing]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: requested, but neither measured nor missing")
    levels, considered = _counting([level for level in by_level if level not in reasons], requested)
    counting = [by_level[level] for level in levels]
    refused = tuple(dict.fromkeys((*refusals, *(() if levels else (reasons[level] for level in requested)))))
    values, integral = [each.vbmd_mg_cm3 for each in counting], [each.integral_mg_cm3 for each in counting]
    mean = _mean(values) if not refused else None
    found = [*flags, *_flags_of(levels, requested, values)]
    found += _calibration_flags(values, carries_category, flags, refused)
    decisive = {"trabecular_vbmd": mean, "integral_vbmd": _mean(integral), "hu": None}[thresholds.quantity]
    label = "withheld" if decisive is None else thresholds.band(decisive).label
    if mean is not None and label == "withheld":
        found.append(Code.LIMITS_WITHOUT_CATEGORY)
    return Assessment(
        levels,
        mean,
        "withheld" if mean is None or _WITHHOLDING.intersection(found) else label,
        thresholds,
        tuple(code for code in dict.fromkeys(found) if code not in refused),
        refused,
        tuple((level, reasons[level]) for level in considered if level not in levels and level in reasons),
        None if mean is None else _mean(integral),
        None if mean is None else uncertainty_mg_cm3,
        _hu_band(by_level.get("L1"), thresholds, acquisition, refused),
    )


def _mean(values: list[float | None]) -> float | None:
    return float(np.mean(values)) if values and None not in values else None


def _counting(usable: list[str], requested: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The levels that count, from cranial to caudal, and all that were considered."""
    levels, considered = [level for level in requested if level in usable], list(requested)
    if set(requested) == set(_RULE) and len(levels) == 1:
        for level in _STAND_INS:
            considered.append(level)
            if level in usable:
                levels.append(level)
                break
    return tuple(sorted(levels, key=height_of)), tuple(sorted(considered, key=height_of))


def height_of(level: str) -> float:
    """Place in the column, T13 between T12 and L1."""
    return COLUMN.index("T12") + 0.5 if level == "T13" else COLUMN.index(level)


def _flags_of(levels: tuple[str, ...], requested: tuple[str, ...], values: list[float | None]) -> list[Code]:
    """What there is to say about the levels that count."""
    found = []
    if set(levels) - set(requested):
        found.append(Code.LEVEL_SUBSTITUTED)
    if len(levels) == 1:
        found.append(Code.ONE_LEVEL_ONLY)
    if not all(is_lumbar(level) for level in levels):
        found.append(Code.LEVELS_OUTSIDE_RULE)
    if None not in values and any(_disagree(*pair) for pair in zip(values, values[1:])):
        found.append(Code.LEVELS_DISAGREE)
    return found


def _disagree(one: float, other: float) -> bool:
    """True when two neighbouring vertebrae differ by more than neighbours do."""
    low, high = min(one, other), max(one, other)
    return high - low > _DIFFERENCE_MG_CM3 or (low > 0 and math.log(high / low) > _LOG_RATIO)


def _calibration_flags(values: list[float | None], carries_category: bool, flags: Sequence[Code], refused: Sequence[Code]) -> list[Code]:
    """Why the calibration, or the lack of one, withholds the category; nothing where there is one that failed or is refused."""
    if None in values:
        there = Code.CALIBRATION_FAILED in (*flags, *refused) or Code.CONTRAST in refused
        return [] if there else [Code.NOT_CALIBRATED]
    return [Code.RESEARCH_CALIBRATION] if values and not carries_category else []


def _hu_band(first: MeasuredLevel | None, thresholds: Thresholds, acquisition: Acquisition, refusals: tuple[Code, ...]) -> str | None:
    """Pickhardt's band of L1's mean HU in words (qct_facts 3.8); None with a calibration or without an L1 that can be trusted."""
    if first is None or first.unusable or _UNKNOWN_LEVELS.intersection(refusals):
        return None
    if first.vbmd_mg_cm3 is not None and thresholds.quantity != "hu":
        return None
    bands, doubts = load_thresholds("pickhardt-hu"), []
    if acquisition.kvp is None or round(acquisition.kvp) != 120:
        doubts.append("the tube voltage is " + ("unknown" if acquisition.kvp is None else f"{acquisition.kvp:.0f} kVp"))
    if acquisition.contrast != "no":
        doubts.append("contrast raises the HU" if acquisition.contrast == "yes" else "contrast, which raises the HU, is not ruled out")
    caution = f" Caution: {'; '.join(doubts)}." if doubts else ""
    return f"L1 reads {first.roi_hu:.1f} HU: {bands.band(first.roi_hu).label} ({bands.title}, for L1 at 120 kVp; not a category).{caution}"
