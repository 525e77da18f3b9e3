"""The own axes of a vertebral body: from its end plates, the column around it and its mirror symmetry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: End plates are fitted inside this share of half the width and depth: rims with osteophytes stay out.
_PLATE_REACH = 0.7
_CELL_MM = 1.5
#: What is smaller than this in any direction is no body whose axes could be told.
_SMALLEST_MM = 8.0
#: The neighbours' direction counts as much as an end-plate fit whose tilt is uncertain by this angle.
_PLATE_WEIGHT = 0.6
#: The body may be turned about its axis by this much from the patient's front; a round outline says nothing and stays.
_MOST_TURN_DEG, _ROUND_MM2 = 25, 0.4


@dataclass(frozen=True)
class BodyAxes:
    """Frame of one body: unit vectors (LPS) to its ``left``, ``back`` and ``up``, origin midway between its end plates.

    ``height_mm``: between the rims of the end plates; ``width_mm`` at half height; ``front_mm`` and ``rear_mm``: where the
    anterior and the posterior wall cross the midline at half height, along ``back`` from the origin.
    """

    origin_lps_mm: np.ndarray
    left: np.ndarray
    back: np.ndarray
    up: np.ndarray
    height_mm: float
    width_mm: float
    front_mm: float
    rear_mm: float

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3): columns left, back, up."""
        return np.column_stack([self.left, self.back, self.up])

    @property
    def depth_mm(self) -> float:
        """From the anterior to the posterior wall in the midline."""
        return self.rear_mm - self.front_mm


def superior_axes(centroids_lps_mm: Sequence[Sequence[float]]) -> list[np.ndarray]:
    """Unit vectors to cranial at each of a column's centroids, listed from cranial to caudal, from their neighbours."""
    points = np.asarray(centroids_lps_mm, dtype=float)
    if len(points) < 2:
        return [np.array([0.0, 0.0, 1.0])] * len(points)
    tangents = -np.gradient(points, axis=0)
    return list(tangents / np.linalg.norm(tangents, axis=1, keepdims=True))


def body_axes(skin_lps_mm: np.ndarray, up: np.ndarray) -> BodyAxes | None:
    """Axes of the body that is covered by ``skin_lps_mm``, (n, 3) evenly spaced points.

    ``up``: unit vector (LPS) to cranial from the column around it (``superior_axes``); the result leans from there
    towards the mean normal of the two end plates. None for what is too small to be a body.
    """
    if len(skin_lps_mm) == 0 or np.ptp(skin_lps_mm, axis=0).min() < _SMALLEST_MM:
        return None
    centre = skin_lps_mm.mean(axis=0)
    centred = skin_lps_mm - centre
    column = up / np.linalg.norm(up)
    frame = _frame(column, 0.0)
    for _again in range(2):
        plates = _plates(centred @ frame)
        slope = (plates[0][:2] + plates[1][:2]) / 2
        normal = frame @ np.array([-slope[0], -slope[1], 1.0])
        frame = _frame(_PLATE_WEIGHT * normal / np.linalg.norm(normal) + (1 - _PLATE_WEIGHT) * column, 0.0)
    frame = _frame(frame[:, 2], _turn(centred @ frame))
    return _measured(centred @ frame, frame, centre)


def _frame(up: np.ndarray, turn_deg: float) -> np.ndarray:
    """Columns left, back, up; ``back`` is the patient's back, turned about ``up`` from back to left."""
    up = up / np.linalg.norm(up)
    back = np.array([0.0, 1.0, 0.0]) - up[1] * up
    back /= np.linalg.norm(back)
    left = np.cross(back, up)
    angle = np.radians(turn_deg)
    back = np.cos(angle) * back + np.sin(angle) * left
    return np.column_stack([np.cross(back, up), back, up])


def _plates(local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(a, b, c) of the planes w = a·u + b·v + c through the upper and the lower end plate, dents left out."""
    reach = _PLATE_REACH * np.percentile(np.abs(local[:, :2]), 98, axis=0)
    cells, top, bottom = _columns(local)
    near = (np.abs(cells) <= reach).all(axis=1)
    return _plane(cells[near], top[near]), _plane(cells[near], bottom[near])


def _columns(local: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every cell of the plane across the axis: its place (u, v), and the highest and the lowest point in it."""
    across, along = (np.round(local[:, axis] / _CELL_MM).astype(int) for axis in (0, 1))
    low = np.array([across.min(), along.min()])
    rows = along.max() - low[1] + 1
    flat = (across - low[0]) * rows + along - low[1]
    top, bottom = np.full(flat.max() + 1, -np.inf), np.full(flat.max() + 1, np.inf)
    np.maximum.at(top, flat, local[:, 2])
    np.minimum.at(bottom, flat, local[:, 2])
    filled = np.flatnonzero(np.isfinite(top))
    return (np.column_stack([filled // rows, filled % rows]) + low) * _CELL_MM, top[filled], bottom[filled]


def _plane(cells: np.ndarray, heights: np.ndarray) -> np.ndarray:
    design = np.column_stack([cells, np.ones(len(cells))])
    kept = np.ones(len(cells), dtype=bool)
    for _again in range(3):
        plane = np.linalg.lstsq(design[kept], heights[kept], rcond=None)[0]
        residual = heights - design @ plane
        kept = np.abs(residual - np.median(residual)) <= max(2.5 * 1.4826 * np.median(np.abs(residual - np.median(residual))), 0.5)
    return plane


def _turn(local: np.ndarray) -> float:
    """By how many degrees the plane of symmetry is turned from back to left: the least difference of the two halves."""
    middle = np.abs(local[:, 2]) <= 0.3 * np.percentile(np.abs(local[:, 2]), 98)
    u, v = local[middle, 0], local[middle, 1]
    bins = np.round(np.degrees(np.arctan2(u - u.mean(), v - v.mean())) / 3).astype(int) % 120
    outline = np.zeros(120)
    np.maximum.at(outline, bins, np.hypot(u - u.mean(), v - v.mean()))
    angles = np.arange(0, 180, 3.0)
    turns = np.arange(-_MOST_TURN_DEG, _MOST_TURN_DEG + 1, 1.0)

    def radius(degrees: np.ndarray) -> np.ndarray:
        return np.interp(degrees % 360, np.arange(0, 363, 3.0), np.append(outline, outline[0]))

    differences = np.array([np.mean((radius(turn + angles) - radius(turn - angles)) ** 2) for turn in turns])
    best = turns[differences.argmin()]
    return float(best) if differences.max() - differences.min() > _ROUND_MM2 else 0.0


def _measured(local: np.ndarray, frame: np.ndarray, centre: np.ndarray) -> BodyAxes | None:
    """Sizes in the frame, and its origin; None for a shape without walls in its midline."""
    upper, lower = _plates(local)
    cells, top, bottom = _columns(local)
    inner = (np.abs(cells) <= 0.8 * np.percentile(np.abs(local[:, :2]), 98, axis=0)).all(axis=1)
    design = np.column_stack([cells, np.ones(len(cells))])[inner]
    high = upper[2] + np.percentile(top[inner] - design @ upper, 90)
    low = lower[2] + np.percentile(bottom[inner] - design @ lower, 10)
    waist = np.abs(local[:, 2] - (high + low) / 2) <= 0.15 * (high - low)
    if not waist.any():
        return None
    left_right = np.percentile(local[waist, 0], [0.5, 99.5])
    across = left_right.mean()
    midline = waist & (np.abs(local[:, 0] - across) <= 0.08 * np.ptp(left_right))
    if not midline.any():
        return None
    front, rear = np.percentile(local[midline, 1], [0.5, 99.5])
    origin = np.array([across, (front + rear) / 2, (high + low) / 2])
    return BodyAxes(
        centre + frame @ origin,
        *frame.T,
        height_mm=float(high - low),
        width_mm=float(np.ptp(left_right)),
        front_mm=float(front - origin[1]),
        rear_mm=float(rear - origin[1]),
    )
