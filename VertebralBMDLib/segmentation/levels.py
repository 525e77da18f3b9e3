"""Naming of vertebral levels: what the scan shows, weighed against every column a person can have.

Each way in which the bodies that are seen can be a stretch of a column (``columns``) has a probability, its rate in people
times the likelihood of the evidence (``evidence``). A body's confidence is the sum over all ways that give it its name.

Whether somebody has eleven, twelve or thirteen thoracic vertebrae only T1 tells. Where it is not among the bodies, the last
thoracic vertebra is called T12 and the others are counted upwards from there, as radiologists do: the first lumbar vertebra
is told by its shape, not by its number (Yun et al., Korean J Radiol 2018;19:1140).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..network.segmentation import Located
from ..quality import Code
from .columns import CERVICAL, COLUMNS, HumanColumn
from .evidence import Below, Evidence, evidence_of
from .likelihood import LOG_OF_SIZES, log_of_ribs, of_below, of_crest, of_extent

#: Below this confidence a level counts as uncertain: a reader who calls one of two readings four in five likely is not certain.
CERTAIN = 0.80
#: Bodies whose names decide whether the result as a whole is uncertain: those near the wanted ones. A last body that is L6 or the
#: first of the sacrum leaves the names above as they are; any doubt that moves them is in theirs.
_DECISIVE = ("T10", "T11", "T12", "T13", "L1", "L2", "L3", "L4", "L5")
#: A step longer than this many times a neighbouring one means that a body between was missed.
_GAP = 1.6
GAP_CONFIDENCE = 0.50
#: How often a gap means just that, and not a torn column or a body seen in the wrong place.
_BODY_IN_GAP = 0.75
_MOST_GAPS = 4
#: Share of scans in which something happens that no hypothesis knows of.
_UNFORESEEN = 0.02
_MOST_TRANSITIONAL = 0.50
#: What is seen below the last body contradicts a reading in which it is rarer than this.
_CONFLICT = 0.03
_CONTRADICTED = 0.50


@dataclass(frozen=True)
class Naming:
    """Level of each body from cranial to caudal (None: neither thoracic nor lumbar), for each the probability that its name is
    right (of thoracic bodies without T1: right if the last is called T12), and any doubts."""

    levels: tuple[str | None, ...]
    confidence: tuple[float, ...]
    flags: tuple[Code, ...] = ()


@dataclass(frozen=True)
class _Reading:
    """One way to read the column: whose it is and where in it the bodies are; the logarithm of its probability but for a
    constant; the likelihood of what is seen below the last body."""

    human: HumanColumn
    places: tuple[int, ...]
    log_probability: float
    below: float

    @property
    def names(self) -> tuple[str | None, ...]:
        """Counted from T1 where it is among the bodies, else from the last thoracic vertebra upwards."""
        names = self.human.names if self.places[0] <= CERVICAL else self.human.names_from_below
        return tuple(names[place] for place in self.places)


def name_levels(located: Located, field: sitk.Image, centroids_lps_mm: np.ndarray, complete: list[bool]) -> Naming:
    """Name the bodies of a column.

    ``located``: what the localiser sees on ``field``, the scan in HU on an isotropic grid along the patient's axes
    (``grid.field_grid``); ``centroids_lps_mm``: (n, 3) from cranial to caudal; ``complete``: False for bodies cut by the border.
    """
    return named(evidence_of(located, field, centroids_lps_mm, complete), missed_bodies(centroids_lps_mm, complete), complete)


def named(evidence: Evidence, missed: Sequence[int], complete: Sequence[bool]) -> Naming:
    """The most probable names of n bodies; none where there are more than a person has.

    ``missed``: (n - 1,) how many bodies seem to be missing below each.
    """
    readings = _readings(evidence, missed, complete)
    if not readings:
        return Naming((None,) * len(complete), (0.0,) * len(complete), (Code.LEVEL_UNCERTAIN,))
    logs = np.array([reading.log_probability for reading in readings])
    posterior = np.exp(logs - np.logaddexp.reduce(logs))
    of_names: dict[tuple[str | None, ...], float] = {}
    for reading, probability in zip(readings, posterior):
        of_names[reading.names] = of_names.get(reading.names, 0.0) + probability
    # A body without a name could not be renamed by the user either: names that are probably wrong say more than none.
    best = max((names for names in of_names if any(names)), key=of_names.__getitem__)
    agreeing = [sum(p for names, p in of_names.items() if names[index] == name) for index, name in enumerate(best)]
    # Where ribs and sacrum contradict each other, the best of all bad readings is not to be trusted.
    contradicted = sum(p for reading, p in zip(readings, posterior) if reading.below < _CONFLICT)
    most = 1 - _UNFORESEEN if contradicted < 0.5 else _CONTRADICTED
    confidence = tuple(round(most * float(each), 4) for each in agreeing)
    decisive = [each for name, each in zip(best, confidence) if name in _DECISIVE]
    uncertain = min(decisive or confidence) < CERTAIN
    transitional = sum(p for reading, p in zip(readings, posterior) if _is_transitional(reading, evidence)) > _MOST_TRANSITIONAL
    flags = {Code.LEVEL_UNCERTAIN: uncertain, Code.TRANSITIONAL_ANATOMY: transitional}
    return Naming(best, confidence, tuple(code for code, yes in flags.items() if yes))


def _is_transitional(reading: _Reading, evidence: Evidence) -> bool:
    """True for an unusual column, and where the last vertebra is so much a part of the sacrum that it is taken for it."""
    taken = evidence.below is Below.SACRUM and reading.human.after(reading.places[-1]) == 1
    return reading.human.unusual or taken


def column_has_gap(centroids_lps_mm: np.ndarray) -> bool:
    """True when neighbours among whole bodies (n, 3), cranial to caudal, lie so far apart that one between was missed."""
    return any(missed_bodies(centroids_lps_mm, [True] * len(centroids_lps_mm)))


def missed_bodies(centroids_lps_mm: np.ndarray, complete: Sequence[bool]) -> list[int]:
    """How many bodies seem to be missing between each of n bodies, cranial to caudal, and the next, (n - 1,).

    A body that the border cuts has its centroid too near to its neighbour; nothing is said of steps to it.
    """
    missed = [0] * (len(centroids_lps_mm) - 1)
    whole = np.flatnonzero(complete)
    if len(whole) < 3 or len(whole) != whole[-1] - whole[0] + 1:
        return missed
    steps = np.linalg.norm(np.diff(centroids_lps_mm[whole], axis=0), axis=1)
    for index, step, usual in zip(whole, steps, neighbouring_steps(steps)):
        if step > _GAP * usual:
            missed[index] = max(1, round(step / usual) - 1)
    return missed


def neighbouring_steps(steps: np.ndarray) -> np.ndarray:
    """For each distance between neighbours of a column, the shorter of those before and after it (itself where alone)."""
    padded = np.concatenate([[np.inf], steps, [np.inf]])
    shorter = np.minimum(padded[:-2], padded[2:])
    return np.where(np.isfinite(shorter), shorter, steps)


def _fillings(missed: Sequence[int]) -> Iterable[Sequence[int]]:
    """The ways in which each gap may hold its bodies or none; of many gaps, all or none."""
    if sum(count > 0 for count in missed) > _MOST_GAPS:
        return missed, [0] * len(missed)
    return itertools.product(*([(0, count) if count else (0,) for count in missed]))


def _readings(evidence: Evidence, missed: Sequence[int], complete: Sequence[bool]) -> list[_Reading]:
    """Every way in which the bodies can be a stretch of a column, those in gaps left out."""
    of_ribs = log_of_ribs(evidence)
    bodies = np.arange(len(complete))
    readings = []
    for filled in _fillings(missed):
        doubt = sum(math.log(_BODY_IN_GAP if inside else 1 - _BODY_IN_GAP) for inside, count in zip(filled, missed) if count)
        offsets = np.concatenate([[0], np.cumsum(1 + np.array(filled, dtype=int))]).astype(int)
        for human in COLUMNS:
            for first in range(len(human.names) - offsets[-1]):
                places = first + offsets
                of_sizes = of_ribs[:, [human.ribs[place] for place in places], bodies].sum(axis=1) + LOG_OF_SIZES
                below = of_below(evidence, human, places)
                of_ends = math.log(below * of_extent(human, places, complete[-1]) * of_crest(evidence, human, places))
                log_probability = math.log(human.rate) + doubt + float(np.logaddexp.reduce(of_sizes)) + of_ends
                readings.append(_Reading(human, tuple(places.tolist()), log_probability, below))
    return readings
