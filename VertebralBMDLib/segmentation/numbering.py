"""Which level a number stands for in somebody's label map: VerSe or TotalSegmentator.

TotalSegmentator's ``total`` task counts from caudal to cranial (27 = L5 ... 31 = L1, 32 = T12 ... 43 = T1); its
``vertebrae_pp`` tasks count like VerSe. 26 is left out: S1 in ``total``, L6 in ``total_v3``, the sacrum in VerSe
(totalsegmentator/map_to_binary.py of version 2.18).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..anatomy import COLUMN, LEVELS
from ..quality import Code, Refused

TOTALSEGMENTATOR: dict[int, str] = {32 - n: f"L{n}" for n in range(1, 6)} | {44 - n: f"T{n}" for n in range(1, 13)}

NUMBERINGS: dict[str, dict[int, str]] = {"verse": LEVELS, "totalsegmentator": TOTALSEGMENTATOR}

#: Labels that both numberings use for a vertebra or the sacrum; they prove nothing.
_SHARED = (26, 27, 28)
#: Distance between the centres of neighbouring vertebrae (facts 5.7: 33-36 mm at T12-L2; less at T1, more at L5).
_STEP_MM = (10.0, 70.0)


def levels_by_number(centroids_lps_mm: Mapping[int, np.ndarray], numbering: str = "auto") -> dict[int, str]:
    """Level of every label of a map that stands for a thoracic or lumbar vertebra.

    ``centroids_lps_mm``: of every label of the map; ``numbering``: "verse", "totalsegmentator", or "auto": told by the set
    of labels, and where both are possible by their order along the spine (caudal numbers rise in one and fall in the other).
    Raises Refused (LABELS_AMBIGUOUS where both or none fit, NO_VERTEBRAE), ValueError for an unknown numbering.
    """
    if numbering != "auto" and numbering not in NUMBERINGS:
        raise ValueError(f"Unknown numbering {numbering!r}; use auto, {' or '.join(NUMBERINGS)}.")
    chosen = _told(centroids_lps_mm) if numbering == "auto" else numbering
    levels = {label: NUMBERINGS[chosen][label] for label in sorted(centroids_lps_mm) if label in NUMBERINGS[chosen]}
    if not levels:
        raise Refused(Code.NO_VERTEBRAE)
    return levels


def _told(centroids: Mapping[int, np.ndarray]) -> str:
    possible = [name for name, table in NUMBERINGS.items() if any(label in table for label in centroids if label not in _SHARED)]
    if not possible and not any(label in _SHARED[1:] for label in centroids):
        raise Refused(Code.NO_VERTEBRAE)
    if len(possible) > 1:
        possible = [name for name in possible if _like_a_spine(centroids, NUMBERINGS[name])]
    if len(possible) != 1:
        raise Refused(Code.LABELS_AMBIGUOUS, "labels " + ", ".join(str(label) for label in sorted(centroids)))
    return possible[0]


def _like_a_spine(centroids: Mapping[int, np.ndarray], table: Mapping[int, str]) -> bool:
    """True when the labels, read with ``table``, follow each other from cranial to caudal at the distances of vertebrae."""
    places = sorted((COLUMN.index(table[label]), tuple(centroids[label])) for label in centroids if table.get(label) in COLUMN)
    numbers, points = np.array([place for place, _point in places]), np.array([point for _place, point in places])
    steps = np.diff(points, axis=0) / np.diff(numbers)[:, None]
    lengths = np.linalg.norm(steps, axis=1)
    return bool(np.all(steps[:, 2] < 0) and np.all((lengths > _STEP_MM[0]) & (lengths < _STEP_MM[1])))
