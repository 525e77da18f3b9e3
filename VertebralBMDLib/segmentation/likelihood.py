"""How likely the evidence of a scan is if its bodies are a given stretch of a given column (``columns`` holds the numbers)."""

from __future__ import annotations

import math

import numpy as np

from .columns import (
    BELOW,
    CREST,
    CREST_SD,
    CREST_WRONG,
    FALSE_PAIR,
    FALSE_RIB,
    FALSE_RIB_MM,
    FIRST_IS_T1,
    OF_TWO_SIDES,
    RIBBED_SHARE,
    SACRAL,
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
            found[:, ribs, body] = np.log({Ribs.NONE: 1 - share, Ribs.RUDIMENT: 0.5}.get(ribs, share))
            if not np.isnan(lengths).any():
                found[:, ribs, body] += [np.log(_of_pair(lengths / size, cut, ribs)) for size in SIZES]
    return found


def _of_pair(lengths: np.ndarray, cut: np.ndarray, ribs: Ribs) -> float:
    """Likelihood of a pair of lengths (mm in somebody of middle size; 0: not seen) where the vertebra bears these ribs."""
    of_length = [_of_length(mm, end, ribs) for mm, end in zip(lengths, cut)]
    missed = 1 - FALSE_RIB if ribs is Ribs.NONE else SHOWING[ribs].missed
    single = math.prod((1 - missed) * each if mm > 0 else missed for mm, each in zip(lengths, of_length)) ** OF_TWO_SIDES
    if ribs is Ribs.NONE:
        return (1 - FALSE_PAIR) * single + FALSE_PAIR * math.prod(of_length) ** OF_TWO_SIDES * bool((lengths > 0).all())
    return (1 - SHOWING[ribs].unseen) * single + SHOWING[ribs].unseen * bool((lengths == 0).all())


def _of_length(mm: float, cut: bool, ribs: Ribs) -> float:
    """Density per mm of the length of something seen; where the field cuts it, the probability that it is longer."""
    if ribs is Ribs.NONE:
        return math.exp(-mm / FALSE_RIB_MM) / (1.0 if cut else FALSE_RIB_MM) + _LEAST
    mean, sd, broken = SHOWING[ribs].mean_mm, SHOWING[ribs].sd_mm, SHOWING[ribs].broken
    off = (mm - mean) / sd
    if cut:
        return (1 - broken) * 0.5 * math.erfc(off / math.sqrt(2)) + broken * max(0.0, 1 - mm / mean) + _LEAST
    return (1 - broken) * _normal(off) / sd + broken * (mm < mean) / mean + _LEAST


def log_of_ends(evidence: Evidence, human: HumanColumn, places: np.ndarray, whole: bool) -> float:
    """Log-likelihood of where the column begins and of what lies below it, if its bodies are at ``places`` (n,) of ``human``.

    ``whole``: False where the border cuts the last body.
    """
    last = len(human.names) - 1 - SACRAL
    after = last - int(places[-1])
    likelihood = SACRAL_AS_BODY[whole] ** max(0, -after)
    if human.names[places[0]] == "T1":
        likelihood *= FIRST_IS_T1
    if after == 1 and human.half_sacral and evidence.below is Below.SACRUM:
        likelihood *= SACRUM_BELOW_LAST_BUT_ONE
    elif evidence.below is not Below.UNSEEN:
        likelihood *= BELOW[min(max(after, -1), 2)][evidence.below]
    if not math.isnan(evidence.crest):
        likelihood *= _of_crest(evidence, places, last)
    return math.log(likelihood)


def _of_crest(evidence: Evidence, places: np.ndarray, last: int) -> float:
    """Likelihood of the height of the iliac crests, per vertebra, where ``last`` is the place of the last one."""
    beyond = max(0.0, evidence.crest - len(places) + 1)
    place = float(np.interp(evidence.crest, np.arange(len(places)), places)) + beyond
    off = (place - (last - CREST)) / CREST_SD
    if evidence.crest_below:
        return (1 - CREST_WRONG) * 0.5 * math.erfc(off / math.sqrt(2)) + CREST_WRONG
    return (1 - CREST_WRONG) * _normal(off) / CREST_SD + CREST_WRONG * 0.1


def _normal(off: float) -> float:
    return math.exp(-0.5 * off**2) / math.sqrt(2 * math.pi)
