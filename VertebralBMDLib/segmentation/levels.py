"""Naming of vertebral levels from what the scan shows: the last rib pair and the sacrum.

A first, rule-based version. Probabilities are judgements, not fitted values: agreement of both ends 0.97, sacrum alone
0.80, sacrum with long ribs on T11 and none to be seen on T12 0.85, a short last rib pair alone 0.85; everything else
stays below the limit of 0.75 at which levels count as certain. So does a column with a gap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..anatomy import COLUMN
from ..quality import Code

#: Below this confidence a level counts as uncertain.
CERTAIN = 0.75

_BONE_HU = 145.0
_COLUMN_HALF_WIDTH_MM = 26.0
_WINDOW_HALF_WIDTH_MM = 150.0
_RIB_ROOT_MM, _RIB_REACH_MM, _LONG_RIB_REACH_MM = 36.0, 58.0, 100.0
_PELVIS_CM3 = 35.0
#: A step longer than this many times a neighbouring one means that a body between was missed.
_GAP = 1.6
GAP_CONFIDENCE = 0.50
_T12, _L5 = COLUMN.index("T12"), COLUMN.index("L5")


@dataclass(frozen=True)
class Naming:
    """Level of each body from cranial to caudal (None above T1), the probability that they are right, and any doubts."""

    levels: tuple[str | None, ...]
    confidence: float
    flags: tuple[Code, ...] = ()


@dataclass(frozen=True)
class _Evidence:
    """``rib_reach_mm[i]``: how far the ribs of body i reach from the midline (0: none; inf: out of the field); ``sacrum_below``: under the last body."""

    rib_reach_mm: np.ndarray
    sacrum_below: bool
    cut_below: bool


def name_levels(field: sitk.Image, centroids_lps_mm: np.ndarray, complete: list[bool]) -> Naming:
    """Name the bodies of a column.

    ``field``: the scan in HU on an isotropic grid along the patient's axes (``grid.field_grid``); ``centroids_lps_mm``:
    (n, 3) from cranial to caudal; ``complete``: False for bodies cut by the border.
    """
    naming = _named(_evidence(field, centroids_lps_mm, complete), len(centroids_lps_mm))
    # A body that the border cuts has its centroid too near to its neighbour.
    if Code.LEVEL_UNCERTAIN not in naming.flags and column_has_gap(centroids_lps_mm[np.array(complete)]):
        return Naming(naming.levels, GAP_CONFIDENCE, (Code.LEVEL_UNCERTAIN, *naming.flags))
    return naming


def column_has_gap(centroids_lps_mm: np.ndarray) -> bool:
    """True when neighbours among whole bodies (n, 3), cranial to caudal, lie so far apart that one between was missed."""
    if len(centroids_lps_mm) < 3:
        return False
    steps = np.linalg.norm(np.diff(centroids_lps_mm, axis=0), axis=1)
    return bool(np.any(steps > _GAP * neighbouring_steps(steps)))


def neighbouring_steps(steps: np.ndarray) -> np.ndarray:
    """For each distance between neighbours of a column, the shorter of those before and after it (itself where alone)."""
    padded = np.concatenate([[np.inf], steps, [np.inf]])
    shorter = np.minimum(padded[:-2], padded[2:])
    return np.where(np.isfinite(shorter), shorter, steps)


def _named(evidence: _Evidence, count: int) -> Naming:
    ribbed = np.flatnonzero(evidence.rib_reach_mm > 0)
    last_rib = int(ribbed.max()) if len(ribbed) else None
    # A rib pair on the last whole body says nothing: more may follow below the scan.
    below = count - 1 - evidence.cut_below
    from_ribs = _T12 - last_rib if last_rib is not None and last_rib < below else None
    from_sacrum = _L5 - (count - 1) if evidence.sacrum_below else None
    long = last_rib is not None and evidence.rib_reach_mm[last_rib] >= _LONG_RIB_REACH_MM
    if from_sacrum is not None and from_ribs is not None:
        if from_sacrum == from_ribs:
            return _naming(from_sacrum, count, 0.97)
        if from_sacrum == from_ribs - 1 and long:
            return _naming(from_sacrum, count, 0.85)
        return _naming(from_ribs, count, 0.50, (Code.TRANSITIONAL_ANATOMY,))
    if from_sacrum is not None:
        return _naming(from_sacrum, count, 0.80)
    if from_ribs is not None:
        confidence = 0.60 if long else 0.85
        if from_ribs + count - 1 == COLUMN.index("L6") and evidence.cut_below:
            # What the border cuts below L5 is the sacrum.
            above = _naming(from_ribs, count - 1, confidence)
            return Naming((*above.levels, None), above.confidence, above.flags)
        return _naming(from_ribs, count, confidence)
    return _naming(_T12 - (count - 1) if last_rib is not None else _T12, count, 0.30)


def _naming(first: int, count: int, confidence: float, flags: tuple[Code, ...] = ()) -> Naming:
    """Names from index ``first`` of the column on, where 0 is T1 and 17 is L6."""
    levels = tuple(COLUMN[index] if 0 <= index < len(COLUMN) else None for index in range(first, first + count))
    if "L6" in levels and Code.TRANSITIONAL_ANATOMY not in flags:
        confidence, flags = min(confidence, 0.50), (Code.TRANSITIONAL_ANATOMY, *flags)
    if confidence < CERTAIN:
        flags = (Code.LEVEL_UNCERTAIN, *flags)
    return Naming(levels, confidence, flags)


def _evidence(field: sitk.Image, centroids: np.ndarray, complete: list[bool]) -> _Evidence:
    hu = sitk.GetArrayViewFromImage(field)
    spacing = field.GetSpacing()[0]
    points = (centroids - np.array(field.GetOrigin())) / spacing
    dx, dy = _from_column(hu.shape, points, spacing)
    beside = (hu > _BONE_HU) & (np.abs(dx) > _COLUMN_HALF_WIDTH_MM) & (np.abs(dx) < _WINDOW_HALF_WIDTH_MM) & (dy > -30) & (dy < 70)
    reach = np.zeros((2, len(points)))
    pelvis = np.zeros(2, dtype=bool)
    for side, mask in enumerate((beside & (dx > 0), beside & (dx < 0))):
        labelled, _count = ndimage.label(mask, np.ones((3, 3, 3)))
        for index, box in enumerate(ndimage.find_objects(labelled), start=1):
            part = labelled[box] == index
            distance = np.abs(dx[box][part])
            z = np.nonzero(part)[0] + box[0].start
            if part.sum() * spacing**3 / 1000 > _PELVIS_CM3:
                pelvis[side] |= z.mean() < points[-1, 2]
            elif distance.min() < _RIB_ROOT_MM and distance.max() > _RIB_REACH_MM:
                root = z[distance < distance.min() + 6].mean()
                body = int(np.argmin(np.abs(points[:, 2] - root)))
                reach[side, body] = max(reach[side, body], np.inf if _leaves(box, hu.shape) else distance.max())
    sacrum = bool(complete[-1] and pelvis.any() and _bone_below(hu, points, spacing))
    # A rib on one side only may be a long transverse process on the other: both sides count for a pair.
    both = np.where((reach > 0).all(axis=0), reach.min(axis=0), 0.0)
    return _Evidence(both, sacrum, not complete[-1])


def _leaves(box: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    """True when a part reaches the side or the lower end of the field, so that nobody knows how far it goes."""
    return box[0].start <= 1 or any(box[axis].start == 0 or box[axis].stop == shape[axis] for axis in (1, 2))


def _from_column(shape: tuple[int, ...], points: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance in mm of every voxel from the column's line, to the patient's left and to posterior."""
    z = np.arange(shape[0])
    order = np.argsort(points[:, 2])
    x, y = (np.interp(z, points[order, 2], points[order, axis]) for axis in (0, 1))
    dx = (np.arange(shape[2])[None, None, :] - x[:, None, None]) * spacing
    dy = (np.arange(shape[1])[None, :, None] - y[:, None, None]) * spacing
    return np.broadcast_to(dx, shape), np.broadcast_to(dy, shape)


def _bone_below(hu: np.ndarray, points: np.ndarray, spacing: float) -> bool:
    """True when bone continues where the next body would lie."""
    if len(points) < 2:
        return False
    place = np.round(points[-1] + 0.9 * (points[-1] - points[-2])).astype(int)[::-1]
    reach = max(1, round(9 / spacing))
    if np.any(place < 0) or np.any(place >= hu.shape):
        return False
    around = tuple(slice(max(0, p - reach), p + reach + 1) for p in place)
    return float(np.percentile(hu[around], 60)) > 80.0
