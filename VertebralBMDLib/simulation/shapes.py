"""Voxel grids, implicit solids and how a solid is drawn with partial volume.

A solid answers `distance(x, y, z)`: approximately signed mm to its surface (negative inside),
for broadcastable LPS coordinates, and `bounds`: a box (low, high) that holds it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from VertebralBMDLib.simulation.beam import Beam
from VertebralBMDLib.simulation.materials import Composition

Window = tuple[slice, slice, slice]
Points = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Grid:
    """Axis-aligned LPS grid; tuples are (x, y, z).

    Each slice is the mean of `subslices` samples over its thickness (None: the slice spacing), which may
    overlap its neighbours or leave a gap to them.
    """

    origin_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    size: tuple[int, int, int]
    subslices: int = 1
    thickness_mm: float | None = None

    @property
    def slice_mm(self) -> float:
        return self.thickness_mm or self.spacing_mm[2]

    @property
    def footprint_mm(self) -> float:
        """Edge of the cube as large as one sample: the width of an antialiased edge."""
        return float((self.spacing_mm[0] * self.spacing_mm[1] * self.slice_mm / self.subslices) ** (1.0 / 3.0))

    def axis(self, k: int) -> np.ndarray:
        """Voxel centres along axis k (0 = x), mm."""
        return self.origin_mm[k] + self.spacing_mm[k] * np.arange(self.size[k])

    def window(self, bounds: tuple[np.ndarray, np.ndarray]) -> Window | None:
        """Array window (z, y, x) that covers the box with one voxel to spare; None if outside."""
        slices = []
        for k in (2, 1, 0):
            spare = 1 if k < 2 else max(1, int(np.ceil(0.5 * self.slice_mm / self.spacing_mm[2])))
            low = int(np.floor((bounds[0][k] - self.origin_mm[k]) / self.spacing_mm[k])) - spare
            high = int(np.ceil((bounds[1][k] - self.origin_mm[k]) / self.spacing_mm[k])) + spare + 1
            low, high = max(low, 0), min(high, self.size[k])
            if low >= high:
                return None
            slices.append(slice(low, high))
        return tuple(slices)

    def points(self, window: Window) -> Points:
        """x (1,1,nx), y (1,ny,1), z (nz*subslices,1,1) of the samples in a window, float32 mm."""
        z, y, x = (self.axis(k)[s] for k, s in zip((2, 1, 0), window))
        step = (np.arange(self.subslices) + 0.5) / self.subslices - 0.5
        z = (z[:, None] + self.slice_mm * step[None, :]).ravel()
        return (
            x.astype(np.float32)[None, None, :],
            y.astype(np.float32)[None, :, None],
            z.astype(np.float32)[:, None, None],
        )


@dataclass
class Canvas:
    """The volume being drawn, (z, y, x): HU as `beam` sees it, and the label maps of the truth."""

    grid: Grid
    beam: Beam
    hu: np.ndarray = field(init=False)
    bodies: np.ndarray = field(init=False)
    structures: np.ndarray = field(init=False)
    rois: np.ndarray = field(init=False)
    findings: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        shape = self.grid.size[::-1]
        self.hu = np.full(shape, -1000.0, np.float32)
        self.bodies, self.structures, self.rois, self.findings = (np.zeros(shape, np.uint8) for _ in range(4))

    def slice_mean(self, samples: np.ndarray) -> np.ndarray:
        """Mean over the subslices: the rectangular slice profile."""
        n = self.grid.subslices
        return samples if n == 1 else samples.reshape(-1, n, *samples.shape[1:]).mean(axis=1)

    def blend(self, window: Window, coverage: np.ndarray, weighted_hu: np.ndarray) -> np.ndarray:
        """Lay a material over the window; returns its coverage per voxel (0-1)."""
        share = self.slice_mean(coverage)
        self.hu[window] *= 1.0 - share
        self.hu[window] += self.slice_mean(weighted_hu)
        return share


def coverage(distance: np.ndarray, footprint_mm: float) -> np.ndarray:
    """Share of a sample that lies inside a surface at this signed distance."""
    return np.clip(0.5 - distance * np.float32(1.0 / footprint_mm), 0.0, 1.0)


class Solid(Protocol):
    """Anything that can be drawn."""

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]: ...

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray: ...


def paint(canvas: Canvas, solid: Solid, material: Composition) -> None:
    """Draw a homogeneous solid."""
    window = canvas.grid.window(solid.bounds)
    if window is not None:
        inside = coverage(solid.distance(*canvas.grid.points(window)), canvas.grid.footprint_mm)
        canvas.blend(window, inside, inside * np.float32(canvas.beam.hu(material)))


@dataclass(frozen=True)
class Frame:
    """A pose: origin (LPS mm) and rotation whose columns are the local axes in LPS."""

    origin: np.ndarray
    rotation: np.ndarray

    def to_world(self, local: np.ndarray) -> np.ndarray:
        return self.origin + np.asarray(local, float) @ self.rotation.T

    def to_local(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Points:
        """Local coordinates of broadcastable LPS coordinates."""
        dx, dy, dz = (c - np.float32(o) for c, o in zip((x, y, z), self.origin))
        r = self.rotation.astype(np.float32)
        return tuple(dx * r[0, k] + dy * r[1, k] + dz * r[2, k] for k in range(3))

    def box(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """LPS box around a local box."""
        corners = self.to_world([[(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        return corners.min(axis=0), corners.max(axis=0)


LPS_FRAME = Frame(np.zeros(3), np.eye(3))


@dataclass(frozen=True)
class Capsule:
    """Tapered rod between two local points; `stretch` makes it taller along the third local axis."""

    frame: Frame
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius_start: float
    radius_end: float
    stretch: float = 1.0

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        reach = max(self.radius_start, self.radius_end) * np.array([1.0, 1.0, self.stretch])
        ends = np.array([self.start, self.end])
        return self.frame.box(ends.min(axis=0) - reach, ends.max(axis=0) + reach)

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        u, v, w = self.frame.to_local(x, y, z)
        scale = np.array([1.0, 1.0, 1.0 / self.stretch])
        a = (np.asarray(self.start) * scale).astype(np.float32)
        along = (np.asarray(self.end) * scale).astype(np.float32) - a
        u, v, w = u - a[0], v - a[1], w * np.float32(scale[2]) - a[2]
        t = np.clip((u * along[0] + v * along[1] + w * along[2]) / max(float(along @ along), 1e-6), 0.0, 1.0)
        gap = np.sqrt((u - t * along[0]) ** 2 + (v - t * along[1]) ** 2 + (w - t * along[2]) ** 2)
        return gap - (self.radius_start + t * np.float32(self.radius_end - self.radius_start))


@dataclass(frozen=True)
class Ellipsoid:
    """Ellipsoid with half axes along the frame's axes (first-order distance)."""

    frame: Frame
    half_axes: tuple[float, float, float]

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        h = np.asarray(self.half_axes)
        return self.frame.box(-h, h)

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        local = self.frame.to_local(x, y, z)
        q = [c / np.float32(h) for c, h in zip(local, self.half_axes)]
        level = np.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2)
        slope = np.sqrt(sum((c / np.float32(h)) ** 2 for c, h in zip(q, self.half_axes)))
        return _first_order(level, slope, min(self.half_axes))


@dataclass(frozen=True)
class Tube:
    """Vertical tube: an axial ellipse whose centre and half axes change along z.

    Knots ascend in z; the tube ends with its first and last knot.
    """

    z: np.ndarray
    center_x: np.ndarray
    center_y: np.ndarray
    half_x: np.ndarray
    half_y: np.ndarray

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        low = [(self.center_x - self.half_x).min(), (self.center_y - self.half_y).min(), self.z[0]]
        high = [(self.center_x + self.half_x).max(), (self.center_y + self.half_y).max(), self.z[-1]]
        return np.array(low), np.array(high)

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        level = z.ravel()
        cx, cy, hx, hy = (
            np.interp(level, self.z, v).astype(np.float32)[:, None, None] for v in (self.center_x, self.center_y, self.half_x, self.half_y)
        )
        u, v = (x - cx) / hx, (y - cy) / hy
        r = np.sqrt(u**2 + v**2)
        slope = np.sqrt((u / hx) ** 2 + (v / hy) ** 2)
        side = _first_order(r, slope, np.minimum(hx, hy))
        ends = np.maximum(self.z[0] - z, z - self.z[-1]).astype(np.float32)
        return np.maximum(side, ends)


@dataclass(frozen=True)
class Plate:
    """Triangle of LPS points thickened by `half_thickness` on each side."""

    corners: np.ndarray
    half_thickness: float

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.corners.min(axis=0) - self.half_thickness, self.corners.max(axis=0) + self.half_thickness

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        a, b, c = self.corners
        normal = np.cross(b - a, c - a)
        normal /= np.linalg.norm(normal)
        to_edges = []
        for p, q in ((a, b), (b, c), (c, a)):
            outward = np.cross(q - p, normal)
            outward /= np.linalg.norm(outward)
            to_edges.append(_plane(x, y, z, p, outward))
        in_plane = np.maximum(np.maximum.reduce(to_edges), 0.0)
        return np.hypot(in_plane, _plane(x, y, z, a, normal)) - np.float32(self.half_thickness)


def _first_order(level: np.ndarray, slope: np.ndarray, at_center: np.ndarray | float) -> np.ndarray:
    """Distance to an ellipse or ellipsoid from its level (1 on the surface); at the very centre it is 0 / 0."""
    scale = np.where(slope > 1e-6, level / np.maximum(slope, 1e-6), np.float32(at_center))
    return (level - 1.0) * scale


def _plane(x: np.ndarray, y: np.ndarray, z: np.ndarray, point: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Signed mm of LPS coordinates from a plane."""
    n = normal.astype(np.float32)
    return x * n[0] + y * n[1] + z * n[2] - np.float32(point @ normal)
