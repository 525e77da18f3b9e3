"""Following the aorta in front of the spine, with or without contrast medium."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .column import Column

#: Where the middle of the aorta may lie, in mm left of the middle of the bodies and in front of their front (negative: in front).
_LEFT_MM, _AHEAD_MM = (-28.0, 44.0), (-48.0, 16.0)
_RADII_MM = np.array([6.0, 7.5, 9.0, 10.5, 12.0, 14.0, 17.0, 21.0, 26.0])
#: The usual place by level, (mm left, mm ahead), its spread, and the usual radius: anatomy of the field, wide on purpose.
_USUAL = {16: (14.0, -6.0), 18: (10.0, -9.0), 20: (8.0, -10.0), 22: (6.0, -11.0), 23: (3.0, -11.0)}
_SPREAD_MM, _USUAL_RADIUS_MM = 12.0, 10.0
_ANGLES = np.linspace(0.0, 2 * np.pi, 16, endpoint=False)
#: A step of this many HU across the wall, or of this share of the lumen's HU, counts as a whole edge; a wall has edges on this share
#: of its way round.
_EDGE_HU, _EDGE_SHARE, _EVEN_HU, _WALL = 60.0, 0.6, 60.0, 0.30
#: Blood with and without medium, and by how much slices of one vessel may differ.
_LUMEN_HU, _ALONG_HU = (-40.0, 900.0), 25.0
_CORE, _FEWEST_SLICES = 0.6, 8


def aorta_mask(hu: np.ndarray, column: Column) -> np.ndarray | None:
    """The inner 60 % of the aorta's lumen, or None where no round vessel is followed over 16 mm.

    ``hu``: float array (z, y, x) on the grid of ``column``, 2 mm along the patient's axes. A circle of varying radius is
    followed from slice to slice (dynamic programming) so that its wall is an edge all round, its inside is even and it
    lies where the aorta lies; calcified walls, the fork and what crosses count against a slice, not against the track.
    """
    ys, xs = _neighbourhood(hu.shape, column)
    # The opening takes thin bright things away, calcified walls above all.
    smooth = ndimage.gaussian_filter(ndimage.grey_opening(hu[:, ys, xs], (1, 3, 3)), 1.0)
    corners, evidence, prior = _scores(smooth, column, np.array([ys.start, xs.start]))
    track = _followed(evidence + prior)
    mask, level = np.zeros(hu.shape, dtype=bool), []
    step = column.step_mm
    for k, (r, i, j) in enumerate(track):
        y, x = corners[k] + (i, j)
        reach = _CORE * _RADII_MM[r] / step
        disc = np.hypot(np.arange(hu.shape[1])[:, None] - y, np.arange(hu.shape[2]) - x) <= reach
        mask[k] = disc
        level.append(np.median(hu[k][disc]) if disc.any() else np.nan)
    # In a small crop the track may leave the field.
    seen = (evidence[(np.arange(len(track)), *track.T)] > _WALL) & np.isfinite(level)
    if seen.any():
        seen &= np.abs(np.array(level) - np.median(np.array(level)[seen])) < _ALONG_HU
    if seen.sum() < _FEWEST_SLICES:
        return None
    mask[~seen] = False
    return mask


def _neighbourhood(shape: tuple[int, ...], column: Column) -> tuple[slice, slice]:
    """Rows and columns of the grid in which the aorta and its surroundings may lie."""
    spans = ((column.front, _AHEAD_MM), (column.middle, _LEFT_MM))
    reach = _RADII_MM[-1] + 6.0
    place = []
    for (along, (low, high)), origin, length in zip(spans, column.origin_yx, shape[1:]):
        first, last = ((bound - origin) / column.step_mm for bound in (along.min() + low - reach, along.max() + high + reach))
        start = int(np.clip(first, 0, length - 1))
        place.append(slice(start, int(np.clip(last, start + 1, length))))
    return tuple(place)


def _scores(smooth: np.ndarray, column: Column, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every slice: index (y, x) of the window's corner; evidence and prior of each (radius, y, x) of the window.

    ``smooth``: the part of the grid that begins at index ``start`` (y, x); the corners count from the whole grid.
    """
    step = column.step_mm
    size = [int(round((high - low) / step)) + 1 for low, high in (_AHEAD_MM, _LEFT_MM)]
    margin = int(np.ceil((_RADII_MM[-1] + 1.5) / step)) + 1
    first = np.stack([column.front + _AHEAD_MM[0], column.middle + _LEFT_MM[0]], axis=1)
    corners = np.round((first - column.origin_yx) / step).astype(int) - start
    padded = np.pad(smooth, ((0, 0), (margin + size[0],) * 2, (margin + size[1],) * 2), mode="edge")
    starts = np.clip(corners + size, 0, np.array(padded.shape[1:]) - np.array(size) - 2 * margin)
    blocks = np.stack([plane[y : y + size[0] + 2 * margin, x : x + size[1] + 2 * margin] for plane, (y, x) in zip(padded, starts)])

    def shifted(distance: float, angle: float) -> np.ndarray:
        y, x = (margin + int(round(distance / step * f)) for f in (np.sin(angle), np.cos(angle)))
        return blocks[:, y : y + size[0], x : x + size[1]]

    centre = shifted(0.0, 0.0)
    whole = np.maximum(_EDGE_HU, _EDGE_SHARE * centre)
    evidence = np.empty((len(smooth), len(_RADII_MM), *size), dtype=np.float32)
    for n, radius in enumerate(_RADII_MM):
        edges, uneven = np.zeros_like(centre), np.zeros_like(centre)
        for angle in _ANGLES:
            inner = shifted(radius - 2.0, angle)
            edges += np.clip((inner - shifted(radius + 2.0, angle)) / whole, -0.3, 1.0)
            uneven += np.clip(np.abs(inner - centre) / _EVEN_HU, 0.0, 1.0)
        evidence[:, n] = (edges - 0.8 * uneven) / len(_ANGLES)
    evidence -= 2.0 * ((centre < _LUMEN_HU[0]) | (centre > _LUMEN_HU[1]))[:, None]
    return starts - np.array(size) + start, evidence, _prior(column, size)


def _prior(column: Column, size: list[int]) -> np.ndarray:
    """How far from the usual place and size each (slice, radius, y, x) is; 0 at the usual one."""
    labels = sorted(_USUAL)
    left, ahead = (np.interp(column.level, labels, [_USUAL[label][k] for label in labels]) for k in (0, 1))
    y = _AHEAD_MM[0] + column.step_mm * np.arange(size[0])
    x = _LEFT_MM[0] + column.step_mm * np.arange(size[1])
    away = (x - left[:, None])[:, None, :] ** 2 + (y - ahead[:, None])[:, :, None] ** 2
    wide = np.log(_RADII_MM / _USUAL_RADIUS_MM) ** 2
    return (-0.25 * away / _SPREAD_MM**2)[:, None] - 0.3 * wide[:, None, None]


def _followed(score: np.ndarray) -> np.ndarray:
    """(slices, 3) indices (radius, y, x) of the path of greatest sum that moves at most one step a slice."""
    total = score.copy()
    for k in range(1, len(total)):
        total[k] += ndimage.maximum_filter(total[k - 1], size=3, mode="nearest")
    path = [np.array(np.unravel_index(total[-1].argmax(), total[-1].shape))]
    for k in range(len(total) - 2, -1, -1):
        low = np.maximum(path[-1] - 1, 0)
        near = total[k][tuple(slice(a, b + 2) for a, b in zip(low, path[-1]))]
        path.append(low + np.array(np.unravel_index(near.argmax(), near.shape)))
    return np.array(path[::-1])
