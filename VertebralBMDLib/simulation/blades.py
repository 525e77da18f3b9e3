"""Solids of flat bones: a blade with an outline, a sheet in triangles of varying thickness, the cup of a ball joint.

They answer `distance` and `bounds` like the solids of `shapes`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.simulation.shapes import Frame


@dataclass(frozen=True)
class Blade:
    """Plate across the first axis of a frame, with rounded edges.

    outline: (n, 2) corners in (v, w), mm. half_mm: half thickness at its front, middle and back. sway_mm: how far
    its back end lies off the midline.
    """

    frame: Frame
    outline: np.ndarray
    half_mm: tuple[float, float, float]
    sway_mm: float = 0.0
    round_mm: float = 1.5

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        aside = max(self.half_mm) + abs(self.sway_mm)
        low, high = self.outline.min(axis=0), self.outline.max(axis=0)
        return self.frame.box(np.array([-aside, *low]), np.array([aside, *high]))

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        u, v, w = self.frame.to_local(x, y, z)
        front, back = self.outline[:, 0].min(), self.outline[:, 0].max()
        t = np.clip((v - np.float32(front)) * np.float32(1.0 / (back - front)), 0.0, 1.0)
        root, middle, tip = (np.float32(h) for h in self.half_mm)
        half = root + t * ((4 * middle - 3 * root - tip) + t * (2 * root - 4 * middle + 2 * tip))
        round_mm = np.float32(self.round_mm)
        across = np.abs(u - np.float32(self.sway_mm) * t) - half + round_mm
        within = _outline_distance(self.outline.astype(np.float32), v, w) + round_mm
        return np.minimum(np.maximum(across, within), 0.0) + np.hypot(np.maximum(across, 0.0), np.maximum(within, 0.0)) - round_mm


def _outline_distance(corners: np.ndarray, v: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Signed distance to a polygon (n, 2), negative inside."""
    nearest, inside = np.full(v.shape, 1e6, np.float32), np.zeros(v.shape, bool)
    for (av, aw), (bv, bw) in zip(corners, np.roll(corners, -1, axis=0)):
        ev, ew, pv, pw = bv - av, bw - aw, v - av, w - aw
        t = np.clip((pv * ev + pw * ew) / max(ev * ev + ew * ew, np.float32(1e-6)), 0.0, 1.0)
        np.minimum(nearest, (pv - t * ev) ** 2 + (pw - t * ew) ** 2, out=nearest)
        if ew != 0.0:
            inside ^= ((aw > w) != (bw > w)) & (pv < pw * (ev / ew))
    return np.where(inside, -1.0, 1.0).astype(np.float32) * np.sqrt(nearest)


@dataclass(frozen=True)
class Patch:
    """Triangle of LPS points (3, 3) whose half thickness runs linearly between those at its corners, mm."""

    corners: np.ndarray
    half_mm: np.ndarray

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        reach = self.half_mm.max()
        return self.corners.min(axis=0) - reach, self.corners.max(axis=0) + reach

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        a, b, c = self.corners
        normal = np.cross(b - a, c - a)
        area = np.linalg.norm(normal)
        normal = normal / area
        out2 = np.float32(0.0)
        half = np.float32(0.0)
        for p, q, opposite in ((a, b, 2), (b, c, 0), (c, a, 1)):
            outward = np.cross(q - p, normal)
            edge = np.linalg.norm(outward)
            beyond = _along(x, y, z, p, outward / edge)
            out2 = np.maximum(out2, beyond)
            half = half + np.float32(self.half_mm[opposite] * edge / area) * np.minimum(-beyond, np.float32(area / edge))
        half = np.clip(half, np.float32(self.half_mm.min()), np.float32(self.half_mm.max()))
        return np.hypot(out2, _along(x, y, z, a, normal)) - half


@dataclass(frozen=True)
class Cup:
    """Socket of a ball joint: between a ball of `inner_mm` at `center` and a larger one, open along `axis` (unit, LPS).

    center_out, outer_mm: the larger ball; opening_mm: from the centre to the plane of the rim along the axis.
    """

    center: np.ndarray
    inner_mm: float
    center_out: np.ndarray
    outer_mm: float
    axis: np.ndarray
    opening_mm: float

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.center_out - self.outer_mm, self.center_out + self.outer_mm

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        inner, outer = (
            np.sqrt((x - np.float32(c[0])) ** 2 + (y - np.float32(c[1])) ** 2 + (z - np.float32(c[2])) ** 2)
            for c in (self.center, self.center_out)
        )
        rim = _along(x, y, z, self.center, self.axis) - np.float32(self.opening_mm)
        return np.maximum(np.maximum(outer - np.float32(self.outer_mm), np.float32(self.inner_mm) - inner), rim)


def sheet(points: np.ndarray, half_mm: np.ndarray) -> list[Patch]:
    """Triangles of a grid of LPS points (rows, columns, 3) with half thickness (rows, columns)."""
    patches = []
    for i in range(len(points) - 1):
        for j in range(points.shape[1] - 1):
            for at in (((i, j), (i + 1, j), (i, j + 1)), ((i + 1, j + 1), (i, j + 1), (i + 1, j))):
                patches.append(Patch(np.array([points[k] for k in at]), np.array([half_mm[k] for k in at])))
    return patches


def _along(x: np.ndarray, y: np.ndarray, z: np.ndarray, point: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """mm of LPS coordinates beyond a point along a unit direction."""
    d = np.asarray(direction, np.float32)
    return x * d[0] + y * d[1] + z * d[2] - np.float32(point @ direction)
