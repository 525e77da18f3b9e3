"""From vertebrae to the patient: the mean of L1 and L2 and its diagnostic category."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import is_lumbar
from .quality import Code


@dataclass(frozen=True)
class Thresholds:
    """Limits in mg/cm³ with the population and the source they hold for."""

    osteoporosis_below: float
    normal_above: float
    population: str
    source: str


#: ACR limits as repeated in the Chinese expert consensus (PMC7495321, table 2).
ACR = Thresholds(80.0, 120.0, "post-menopausal women and elderly men, mean of two lumbar vertebrae", "ACR; PMC7495321 table 2")

#: |difference| between vertebrae that raises LEVELS_DISAGREE (qct_facts 1.28).
_DISAGREEMENT_MG_CM3 = 25.0

#: Why densities can be missing although the scan has a calibration.
_OTHER_REASONS = frozenset({Code.CALIBRATION_FAILED, Code.CONTRAST})


@dataclass(frozen=True)
class Assessment:
    """The patient line. ``category`` is osteoporosis, low_bone_mass, normal or withheld.

    ``levels``: those whose mean the value is; ``left_out``: measured levels that are not part of it, each with the reason;
    ``uncertainty_mg_cm3``: SD that the calibration adds; ``hu_band``: what HU alone say, in words, without a calibration.
    """

    levels: tuple[str, ...]
    vbmd_mg_cm3: float | None
    category: str
    flags: tuple[Code, ...] = ()
    refusals: tuple[Code, ...] = ()
    thresholds: Thresholds = ACR
    left_out: tuple[tuple[str, Code], ...] = ()
    uncertainty_mg_cm3: float | None = None
    hu_band: str | None = None


def category(vbmd_mg_cm3: float, thresholds: Thresholds = ACR) -> str:
    """Category of an unrounded vBMD: < 80 osteoporosis, 80 to 120 low bone mass (both limits included), > 120 normal."""
    if vbmd_mg_cm3 < thresholds.osteoporosis_below:
        return "osteoporosis"
    return "normal" if vbmd_mg_cm3 > thresholds.normal_above else "low_bone_mass"


def assess(vbmd_by_level: dict[str, float | None], flags: tuple[Code, ...], refusals: tuple[Code, ...]) -> Assessment:
    """The patient value and category.

    ``vbmd_by_level``: vBMD of each measured vertebra, None where it has no calibration. The value is the plain mean; the
    category is withheld when anything was refused, without a calibration, for one vertebra only, and for levels to which
    the limits do not apply.
    """
    levels = tuple(vbmd_by_level)
    values = [value for value in vbmd_by_level.values() if value is not None]
    calibrated = bool(levels) and len(values) == len(levels)
    found = list(flags)
    if levels and len(levels) < 2:
        found.append(Code.ONE_LEVEL_ONLY)
    if not all(is_lumbar(level) for level in levels):
        found.append(Code.LEVELS_OUTSIDE_RULE)
    if len(values) > 1 and max(values) - min(values) > _DISAGREEMENT_MG_CM3:
        found.append(Code.LEVELS_DISAGREE)
    if levels and not calibrated and not _OTHER_REASONS.intersection((*flags, *refusals)):
        found.append(Code.NOT_CALIBRATED)
    mean = float(np.mean(values)) if calibrated and not refusals else None
    withheld = mean is None or Code.ONE_LEVEL_ONLY in found or Code.LEVELS_OUTSIDE_RULE in found
    return Assessment(levels, mean, "withheld" if withheld else category(mean), tuple(found), tuple(refusals))
