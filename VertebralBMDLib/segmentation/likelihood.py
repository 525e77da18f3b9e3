"""How likely the evidence of a scan is if its bodies are a given stretch of a given column (``columns`` holds the numbers)."""

from __future__ import annotations

import math

import numpy as np

from .columns import (
    BELOW,
    CERVICAL,
    CREST,
    CREST_SD,
    CREST_WRONG,
    FALSE_OTHER,
    FALSE_OTHER_MM,
    FALSE_PAIR,
    FALSE_RIB,
    FALSE_RIB_MM,
    FIRST_IS_CERVICAL,
    FIRST_IS_T1,
    OF_TWO_SIDES,
    RIBBED_SHARE,
    SACRAL_AS_BODY,
    SACRUM_BELOW_LAST_BUT_ONE,
    SHOWING,
    SIZES,
    HumanColumn,
    Ribs,
)
from .evidence import Below, Evidence

LOG_OF_SIZES = np.log(list(SIZES.values()))

#: Nothing that is seen is quite impossible.
_LEAST = 1e-5


def log_of_ribs(evidence: Evidence) -> np.ndarray:
    """Log-likelihood of what each body shows of ribs: (sizes of people, ``Ribs``, n)."""
    found = np.zeros((len(SIZES), len(Ribs), len(evidence.ribbed)))
    for body, (lengths, cut, share) in enumerate(zip(evidence.rib_mm, evidence.rib_cut, evidence.ribbed)):
        share = 0.5 if np.isnan(share) else float(np.clip(share, *RIBBED_SHARE))
        for ribs in Ribs:
            found[:, ribs, body] = [math.log(_of_body(lengths / size, cut, share, ribs)) for size in SIZES]
    return found


def _of_body(lengths: np.ndarray, cut: np.ndarray, ribbed: float, ribs: Ribs) -> float:
    """Likelihood of a pair of lengths (mm in somebody of middle size; 0: not seen; NaN: cannot be known) and of the share of
    the centre map of bodies with ribs, where the vertebra bears these ribs.

    A network that is blind to a pair of ribs, or sees one where there is none, does so in both its maps.
    """
    yes, no = (0.5, 0.5) if ribs is Ribs.RUDIMENT else (ribbed, 1 - ribbed)
    if np.isnan(lengths).any():
        return no if ribs is Ribs.NONE else yes
    of_length = [_of_length(mm, end, ribs) for mm, end in zip(lengths, cut)]
    missed = 1 - FALSE_RIB if ribs is Ribs.NONE else SHOWING[ribs].missed
    single = math.prod((1 - missed) * each if mm > 0 else missed for mm, each in zip(lengths, of_length)) ** OF_TWO_SIDES
    if ribs is Ribs.NONE:
        false_pair = math.prod(of_length) ** OF_TWO_SIDES if (lengths > 0).all() else 0.0
        return (1 - FALSE_PAIR) * single * no + FALSE_PAIR * false_pair * yes
    unseen = SHOWING[ribs].unseen
    return (1 - unseen) * single * yes + (unseen * no if (lengths == 0).all() else 0.0)


def _of_length(mm: float, cut: bool, ribs: Ribs) -> float:
    """Density per mm of the length of something seen; where the field cuts it, the probability that it is longer."""
    if ribs is Ribs.NONE:
        process, other = math.exp(-mm / FALSE_RIB_MM), max(0.0, 1 - mm / FALSE_OTHER_MM)
        if not cut:
            process, other = process / FALSE_RIB_MM, (mm < FALSE_OTHER_MM) / FALSE_OTHER_MM
        return (1 - FALSE_OTHER) * process + FALSE_OTHER * other + _LEAST
    mean, sd, broken = SHOWING[ribs].mean_mm, SHOWING[ribs].sd_mm, SHOWING[ribs].broken
    off = (mm - mean) / sd
    if cut:
        return (1 - broken) * 0.5 * math.erfc(off / math.sqrt(2)) + broken * max(0.0, 1 - mm / mean) + _LEAST
    return (1 - broken) * _normal(off) / sd + broken * (mm < mean) / mean + _LEAST


def of_below(evidence: Evidence, human: HumanColumn, places: np.ndarray) -> float:
    """Likelihood of what is seen below the last body, if the bodies are at ``places`` (n,) of ``human``."""
    after = human.after(int(places[-1]))
    if evidence.below is Below.UNSEEN:
        return 1.0
    if after == 1 and human.half_sacral and evidence.below is Below.SACRUM:
        return SACRUM_BELOW_LAST_BUT_ONE
    return BELOW[min(max(after, -1), 2)][evidence.below]


def of_extent(human: HumanColumn, places: np.ndarray, whole: bool) -> float:
    """How often, relative to others, this stretch of ``human`` is what is found. ``whole``: False where the border cuts the
    last body."""
    sacral = SACRAL_AS_BODY[whole] ** max(0, -human.after(int(places[-1])))
    if places[0] > CERVICAL:
        return sacral
    return sacral * (FIRST_IS_T1 if places[0] == CERVICAL else FIRST_IS_CERVICAL)


def of_crest(evidence: Evidence, human: HumanColumn, places: np.ndarray) -> float:
    """Likelihood of the height of the iliac crests, per vertebra."""
    if math.isnan(evidence.crest):
        return 1.0
    beyond = max(0.0, evidence.crest - len(places) + 1)
    place = float(np.interp(evidence.crest, np.arange(len(places)), places)) + beyond
    off = (CREST - human.after(place)) / CREST_SD
    if evidence.crest_below:
        return (1 - CREST_WRONG) * 0.5 * math.erfc(off / math.sqrt(2)) + CREST_WRONG
    return (1 - CREST_WRONG) * _normal(off) / CREST_SD + CREST_WRONG * 0.1


def _normal(off: float) -> float:
    return math.exp(-0.5 * off**2) / math.sqrt(2 * math.pi)
