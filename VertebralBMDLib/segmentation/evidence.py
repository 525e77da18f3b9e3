"""What a scan shows about which vertebra is which: ribs and their lengths, the sacrum, the crest of the pelvis.

Read from the localiser's structures at 3 mm and the bodies of the column; ``levels`` weighs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from ..network.segmentation import Located

_SEEN = 0.5
#: A rib begins this near to its body's axis, at the height of its body give or take, and its medial part reaches so far.
_ROOT_MM, _MEDIAL_MM, _ABOVE_CENTRE_MM = 45.0, 55.0, 4.0
#: Least volume of the medial part, and its share from which a part that touches two bodies is two ribs grown together.
_LEAST_ROOT_MM3, _TWO_RIBS = 150.0, 0.35
#: Voxels with a common corner are adjacent; pieces of one rib lie no further apart than this.
_ADJACENT, _BRIDGE_MM, _GAP_COST_MM = 1.8, 15.0, 100.0
_TIP_MM = 15.0
#: Nearer to the border of the field than this, what continues beyond it cannot be told from what ends.
_BORDER_MM = 6.0
_PADDING_HU = -1020.0
#: From a body's centre to the nearest of the sacrum: 23 mm below the last body, 60 mm below the last but one.
_SACRUM_MM, _LEAST_SACRUM_CM3, _LEAST_PELVIS_CM3 = 42.0, 3.0, 5.0
#: Where the sacrum would be: the field must reach so far below the last body before its absence says something.
_BELOW_MM = 50.0
#: Sum of the two centre maps from which their share says something.
_LEAST_CENTRE = 0.15


class Below(Enum):
    """What follows the last body: the sacrum at once, the sacrum after another body, no sacrum though the field shows the
    place, or nobody knows."""

    SACRUM = "sacrum"
    BODY = "body"
    NOTHING = "nothing"
    UNSEEN = "unseen"


@dataclass(frozen=True)
class Evidence:
    """What is seen of n bodies from cranial to caudal.

    ``rib_mm``: (n, 2) how far the tips of the left and the right rib lie from their roots (0: none; NaN: cannot be known);
    ``rib_cut``: (n, 2), True where the rib leaves the field, so that it is at least that long; ``ribbed``: (n,) share of the centre map
    of bodies with ribs in both (NaN: neither sees the body); ``crest``: height of the iliac crests as a place in the column
    (0: first body, n - 1: last; NaN: unknown); ``crest_below``: True where it lies caudal to that place, out of the field.
    """

    rib_mm: np.ndarray
    rib_cut: np.ndarray
    ribbed: np.ndarray
    below: Below
    crest: float = np.nan
    crest_below: bool = False


def evidence_of(located: Located, field: sitk.Image, centroids_lps_mm: np.ndarray, complete: list[bool]) -> Evidence:
    """Read ``located``, what the localiser sees on ``field`` (HU, isotropic, along the patient's axes), around the bodies.

    ``centroids_lps_mm``: (n, 3) from cranial to caudal; ``complete``: False for bodies cut by the border.
    """
    column = Column.of(field, centroids_lps_mm)
    rib_mm, rib_cut = _ribs(located.probability("rib") > _SEEN, field, column)
    # Of a body that the border cuts, a rib that is not seen may lie outside.
    rib_mm[~np.array(complete) & (rib_mm == 0).any(axis=1)] = np.nan
    below = _below(located.probability("sacrum") > _SEEN, column, complete[-1])
    crest, crest_below = _crest(located.probability("pelvis") > _SEEN, column)
    return Evidence(rib_mm, rib_cut, _ribbed(located, column), below, crest, crest_below)


@dataclass(frozen=True)
class Column:
    """The bodies of a column in the millimetres (x, y, z) of a field's own grid, its first voxel at 0.

    ``points``, ``up``: (n, 3) centres and directions to cranial, from cranial to caudal; ``pitch_mm``: (n,) distance to the
    nearer neighbour.
    """

    points: np.ndarray
    up: np.ndarray
    pitch_mm: np.ndarray
    spacing_mm: float

    @classmethod
    def of(cls, field: sitk.Image, centroids_lps_mm: np.ndarray) -> Column:
        """From centroids in LPS mm, (n, 3). A body alone is taken to stand upright."""
        points = np.asarray(centroids_lps_mm, dtype=float) - np.array(field.GetOrigin())
        if len(points) < 2:
            return cls(points, np.tile([0.0, 0.0, 1.0], (len(points), 1)), np.full(len(points), 30.0), field.GetSpacing()[0])
        up = -np.gradient(points, axis=0)
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        pitch = np.minimum(np.append(np.inf, steps), np.append(steps, np.inf))
        return cls(points, up / np.linalg.norm(up, axis=1, keepdims=True), pitch, field.GetSpacing()[0])

    def nearest(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For places (m, 3): the body at whose height each lies (-1: none), its distance from that body's axis in mm, and
        True where it lies to the left of it."""
        away = places[:, None, :] - self.points
        height = np.einsum("mnk,nk->mn", away, self.up) - _ABOVE_CENTRE_MM
        body = np.argmin(np.abs(height), axis=1)
        rows = np.arange(len(places))
        own, off = height[rows, body], away[rows, body]
        aside = np.sqrt(np.maximum((off**2).sum(axis=1) - (own + _ABOVE_CENTRE_MM) ** 2, 0.0))
        return np.where(np.abs(own) < 0.7 * self.pitch_mm[body], body, -1), aside, off[:, 0] > 0

    def place_of(self, z: float) -> float:
        """Height z in mm as a place in the column, beyond its ends at the pitch of its last two bodies."""
        heights = self.points[:, 2]
        if z >= heights[-1]:
            return float(np.interp(-z, -heights, np.arange(len(heights))))
        return len(heights) - 1 + (heights[-1] - z) / self.pitch_mm[-1]


def _ribs(mask: np.ndarray, field: sitk.Image, column: Column) -> tuple[np.ndarray, np.ndarray]:
    """How far the tip of each body's ribs lies from the root in mm, (n, 2), and whether they leave the field.

    Every voxel belongs to the rib whose medial part is nearest along bone: ribs that have grown together in the map part
    again, and pieces of a broken one come together.
    """
    reach, cut = np.zeros((len(column.points), 2)), np.zeros((len(column.points), 2), dtype=bool)
    voxels = np.argwhere(mask)
    places = voxels[:, ::-1] * column.spacing_mm
    starts = _starts(places, column)
    if not starts:
        return reach, cut
    every = np.array([first for firsts in starts.values() for first in firsts])
    graph = _graph(places, _BRIDGE_MM, _ADJACENT * column.spacing_mm)
    away, _before, start = dijkstra(graph, directed=False, indices=every, min_only=True, return_predecessors=True)
    at_border = _border(field)[tuple(voxels.T)]
    for (body, side), firsts in starts.items():
        own = np.flatnonzero(np.isin(start, firsts) & np.isfinite(away))
        distance = np.linalg.norm(places[own] - places[firsts[0]], axis=1)
        reach[body, side] = distance.max()
        cut[body, side] = at_border[own[distance > distance.max() - _TIP_MM]].any()
    return reach, cut


def _starts(places: np.ndarray, column: Column) -> dict[tuple[int, int], list[int]]:
    """By body and side (0: left), the indices of the rib voxels from which its rib goes out, the one next to the body first.

    There are several where a transverse process hides part of the neck.
    """
    body, aside, left = column.nearest(places)
    adjacent_mm = _ADJACENT * column.spacing_mm
    starts: dict[tuple[int, int], list[int]] = {}
    for side, on_side in enumerate((left, ~left)):
        medial = np.flatnonzero((aside < _MEDIAL_MM) & on_side)
        if not len(medial):
            continue
        _count, part = connected_components(_graph(places[medial], adjacent_mm, adjacent_mm), directed=False)
        for number in np.unique(part):
            inside = medial[part == number]
            for each in np.unique(body[inside][body[inside] >= 0]):
                own = inside[body[inside] == each]
                first = int(own[np.argmin(aside[own])])
                enough = len(own) * column.spacing_mm**3 >= _LEAST_ROOT_MM3 and len(own) >= _TWO_RIBS * len(inside)
                if enough and aside[first] < _ROOT_MM:
                    starts.setdefault((int(each), side), []).append(first)
    return {key: sorted(firsts, key=lambda first: aside[first]) for key, firsts in starts.items()}


def _graph(places: np.ndarray, reach_mm: float, adjacent_mm: float) -> csr_matrix:
    """Places (m, 3) that lie within ``reach_mm`` of each other, with their distances; over gaps they are far longer."""
    pairs = cKDTree(places).query_pairs(reach_mm, output_type="ndarray")
    lengths = np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1)
    return csr_matrix((lengths + _GAP_COST_MM * (lengths > adjacent_mm), pairs.T), shape=(len(places),) * 2)


def _border(field: sitk.Image) -> np.ndarray:
    """(z, y, x) True near the ends of the field and near what pads it."""
    hu = sitk.GetArrayViewFromImage(field)
    padded = np.pad(hu <= _PADDING_HU, 1, constant_values=True)
    depth = round(_BORDER_MM / field.GetSpacing()[0])
    # Air in the body is a few voxels of exactly this; a padded field is not.
    outside = ndimage.binary_opening(padded, iterations=1) | np.pad(np.zeros(hu.shape, dtype=bool), 1, constant_values=True)
    return ndimage.binary_dilation(outside, iterations=depth)[1:-1, 1:-1, 1:-1]


def _ribbed(located: Located, column: Column) -> np.ndarray:
    shares = []
    for point in column.points:
        index = np.round(point / column.spacing_mm).astype(int)[::-1]
        around = tuple(slice(max(0, i - 2), max(0, i + 3)) for i in index)
        with_ribs, without = (float(part[around].max(initial=0.0)) for part in (located.ribbed, located.ribless))
        shares.append(with_ribs / (with_ribs + without) if with_ribs + without > _LEAST_CENTRE else np.nan)
    return np.array(shares)


def _below(sacrum: np.ndarray, column: Column, complete: bool) -> Below:
    last = column.points[-1]
    # A fragment is no sacrum: the distance counts from where there is enough of it.
    enough = int(_LEAST_SACRUM_CM3 * 1000 / column.spacing_mm**3)
    distances = np.linalg.norm(np.argwhere(sacrum)[:, ::-1] * column.spacing_mm - last, axis=1)
    if len(distances) > enough:
        return Below.SACRUM if np.partition(distances, 20)[20] < _SACRUM_MM else Below.BODY
    return Below.NOTHING if complete and last[2] > _BELOW_MM else Below.UNSEEN


def _crest(pelvis: np.ndarray, column: Column) -> tuple[float, bool]:
    """Place of the iliac crests in the column (mean of the sides that show one), and whether it is only known to lie below."""
    tops = []
    middle = int(np.clip(round(column.points[-1, 0] / column.spacing_mm), 0, pelvis.shape[2]))
    for side in (pelvis[:, :, middle:], pelvis[:, :, :middle]):
        filled = np.cumsum(side.sum(axis=(1, 2))[::-1])[::-1]
        if filled[0] * column.spacing_mm**3 > _LEAST_PELVIS_CM3 * 1000:
            tops.append(column.place_of(np.flatnonzero(filled * column.spacing_mm**3 > 500.0).max() * column.spacing_mm))
    if tops:
        return float(np.mean(tops)), False
    return column.place_of(0.0), True
