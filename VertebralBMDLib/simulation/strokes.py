"""How soft tissue is drawn: rough organs, regions given by a function, bundles of rods (vessels, gut).

Everything is drawn through a `Drawing`, which also hands out the random streams: one per subject, the
same at every drawing and on every grid.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from VertebralBMDLib.simulation.body import Trunk
from VertebralBMDLib.simulation.materials import Composition
from VertebralBMDLib.simulation.shapes import Canvas, Frame, Points, Solid, Window, coverage
from VertebralBMDLib.simulation.spine import Spine
from VertebralBMDLib.simulation.tissues import SmoothField, Tissues, separable

Fill = Composition | Callable[[Points], np.ndarray]
SUBJECTS = ("field", "liver", "organs", "gut", "vessels", "mesentery", "plaques", "lungs", "heart", "muscles", "nerves", "girdle")
LATTICE_MM, COARSE_PIXEL_MM = 4.0, 2.5
SLAB = 12  # slices drawn at once: bounds the memory of a full field


def stream(seed: np.random.SeedSequence, *numbers: int) -> np.random.Generator:
    """Child stream that does not count spawns: drawing twice gives the same."""
    return np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *numbers)))


@dataclass(frozen=True)
class Drawing:
    """One person's soft tissues on one canvas."""

    canvas: Canvas
    spine: Spine
    trunk: Trunk
    tissues: Tissues
    seed: np.random.SeedSequence
    field: SmoothField

    def rng(self, subject: str) -> np.random.Generator:
        return stream(self.seed, SUBJECTS.index(subject))

    def hu(self, material: Composition) -> np.float32:
        return np.float32(self.canvas.beam.hu(material))

    def noise(self, points: Points, grain_mm: float, along_z: float = 1.0) -> np.ndarray:
        """The smooth field at grid points; `along_z` stretches its grain along z."""
        x, y, z = (p.ravel() for p in points)
        return self.field.at(x, y, z / along_z, grain_mm)

    def filled(self, fill: Fill, points: Points) -> np.ndarray | np.float32:
        return fill(points) if callable(fill) else self.hu(fill)

    def lay(self, window: Window, points: Points, distance: np.ndarray, fill: Fill) -> None:
        """Draw what lies inside the surface `distance` = 0."""
        inside = coverage(distance, self.canvas.grid.footprint_mm)
        if inside.any():
            self.canvas.blend(window, inside, inside * self.filled(fill, points))

    def slabs(self, bounds: tuple[np.ndarray, np.ndarray]) -> list[Window]:
        """The window of a box, a few slices at a time."""
        window = self.canvas.grid.window(bounds)
        if window is None:
            return []
        z, y, x = window
        return [(slice(k, min(k + SLAB, z.stop)), y, x) for k in range(z.start, z.stop, SLAB)]

    def organ(self, solid: Solid, fill: Fill, bump_mm: float = 0.0, grain_mm: float = 30.0) -> None:
        """Draw a solid whose surface is displaced by about `bump_mm` (SD) on a scale of `grain_mm`."""
        low, high = solid.bounds
        for window in self.slabs((low - 3.0 * bump_mm, high + 3.0 * bump_mm)):
            points = self.canvas.grid.points(window)
            distance = solid.distance(*points)
            if distance.min() > 5.0 * bump_mm + self.canvas.grid.footprint_mm:
                continue
            if bump_mm:
                distance = distance + np.float32(bump_mm) * self.noise(points, grain_mm)
            self.lay(window, points, distance, fill)

    def region(self, bounds: tuple[np.ndarray, np.ndarray], distance: Callable[..., np.ndarray], fill: Fill, bump_mm: float = 0.0) -> None:
        """Draw where a smooth function of (x, y, z) is negative; it is read on a lattice of 4 mm."""
        for window in self.slabs(bounds):
            points = self.canvas.grid.points(window)
            values = on_lattice(distance, *(p.ravel() for p in points), even=True)[0]
            if bump_mm:
                values += np.float32(bump_mm) * self.noise(points, 34.0)
            self.lay(window, points, values, fill)


def within_all(*distances: np.ndarray) -> np.ndarray:
    """Signed distance to the intersection of what the distances bound."""
    return functools.reduce(np.maximum, distances)


def on_lattice(
    function: Callable[..., np.ndarray | tuple], x: np.ndarray, y: np.ndarray, z: np.ndarray, even: bool = False
) -> list[np.ndarray]:
    """Smooth functions of (x, y, z) over the product of axes, (nz, ny, nx): linear between points of a fixed LPS lattice.

    The lattice is coarser for coarse pixels. even: the first function is a distance to be `evened`.
    """
    step_mm = LATTICE_MM if len(x) < 2 or x[1] - x[0] < COARSE_PIXEL_MM else 2.0 * LATTICE_MM
    (lx, wx), (ly, wy), (lz, wz) = (_linear(np.asarray(axis, float), step_mm) for axis in (x, y, z))
    if even:  # a slope takes neighbours on both sides, wherever the grid ends
        lx, ly, lz = (np.concatenate([[a[0] - step_mm], a, [a[-1] + step_mm]]).astype(np.float32) for a in (lx, ly, lz))
    found = function(lx[None, None, :], ly[None, :, None], lz[:, None, None])
    values = found if isinstance(found, tuple) else (found,)
    if even:
        values = [v[1:-1, 1:-1, 1:-1] for v in (evened(values[0], step_mm), *values[1:])]
    return [separable(v.astype(np.float32), wz, wy, wx) for v in values]


def evened(distance: np.ndarray, step_mm: float) -> np.ndarray:
    """Lattice values of a function that rises faster than 1 per mm, brought back to about millimetres."""
    steep = np.sqrt(sum(g**2 for g in np.gradient(distance, step_mm)))
    return distance / np.maximum(steep, 1.0)


def _linear(at: np.ndarray, step: float) -> tuple[np.ndarray, csr_array]:
    """Lattice coordinates that enclose `at`, and the weight of each: (len(at), lattice)."""
    low = int(np.floor(at.min() / step))
    lattice = step * np.arange(low, int(np.floor(at.max() / step)) + 2)
    place = at / step - low
    base = np.floor(place).astype(int)
    share = (place - base).astype(np.float32)
    shares, columns = np.stack([1.0 - share, share], axis=1), np.stack([base, base + 1], axis=1)
    weights = csr_array((shares.ravel(), columns.ravel(), np.arange(0, 2 * len(at) + 1, 2)), shape=(len(at), len(lattice)))
    return lattice.astype(np.float32), weights


def turned(center: Sequence[float], degrees: float) -> Frame:
    """Frame at a point, turned about z."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return Frame(np.asarray(center, float), np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]))


@dataclass(frozen=True)
class Rods:
    """Tapered rods in LPS mm: start and end (n, 3), radii (n,)."""

    start: np.ndarray
    end: np.ndarray
    radius_start: np.ndarray
    radius_end: np.ndarray

    @classmethod
    def along(cls, points: Sequence, radii: Sequence[float] | float) -> Rods:
        """A chain through points; one radius or one for each point."""
        p = np.asarray(points, float)
        r = np.broadcast_to(np.asarray(radii, float), len(p))
        return cls(p[:-1], p[1:], r[:-1], r[1:])

    @classmethod
    def joined(cls, bundles: Sequence[Rods]) -> Rods:
        return cls(*(np.concatenate([getattr(b, name) for b in bundles]) for name in cls.__dataclass_fields__))

    def bounds(self, grow_mm: float) -> tuple[np.ndarray, np.ndarray]:
        reach = np.maximum(self.radius_start, self.radius_end)[:, None] + grow_mm
        return np.minimum(self.start, self.end) - reach, np.maximum(self.start, self.end) + reach

    def distance(self, i: int, points: Points) -> np.ndarray:
        """Signed mm to the surface of rod i."""
        x, y, z = (p - np.float32(o) for p, o in zip(points, self.start[i]))
        a = (self.end[i] - self.start[i]).astype(np.float32)
        length2 = max(float(a @ a), 1e-6)
        along = x * a[0] + y * a[1] + z * a[2]
        t = np.clip(along * np.float32(1.0 / length2), 0.0, 1.0)
        gap2 = x * x + y * y + z * z - t * (2.0 * along - t * np.float32(length2))
        return np.sqrt(np.maximum(gap2, 0.0)) - (
            np.float32(self.radius_start[i]) + t * np.float32(self.radius_end[i] - self.radius_start[i])
        )


def paint_rods(drawing: Drawing, rods: Rods, fill: Fill, grow_mm: float = 0.0, bump_mm: float = 0.0) -> None:
    """Draw each rod that the grid meets, `grow_mm` thicker than it is and uneven by `bump_mm` (SD)."""
    grid = drawing.canvas.grid
    low, high = rods.bounds(grow_mm + 2.0 * bump_mm)
    first = np.asarray(grid.origin_mm) - [*grid.spacing_mm[:2], grid.slice_mm]
    last = np.array([grid.axis(k)[-1] for k in range(3)]) + [*grid.spacing_mm[:2], grid.slice_mm]
    for i in np.nonzero(((high >= first) & (low <= last)).all(axis=1))[0]:
        window = grid.window((low[i], high[i]))
        if window is not None:
            points = grid.points(window)
            distance = rods.distance(i, points) - np.float32(grow_mm)
            if bump_mm and distance.min() < 5.0 * bump_mm + grid.footprint_mm:
                distance += np.float32(bump_mm) * drawing.noise(points, 8.0)
            drawing.lay(window, points, distance, fill)


def grow_tree(
    rng: np.random.Generator, start: np.ndarray, direction: np.ndarray, radius: float, length: float, generations: int, spread: float = 0.55
) -> Rods:
    """A tree of vessels: every branch ends in two thinner and shorter ones. start, direction: (n, 3)."""
    bundles, r = [], np.full(len(start), radius)
    for _ in range(generations):
        reach = length * rng.uniform(0.7, 1.3, (len(start), 1))
        end = start + reach * direction
        thin = r * rng.uniform(0.72, 0.9, len(r))
        bundles.append(Rods(start, end, r, thin))
        start = np.repeat(end, 2, axis=0)
        direction = np.repeat(direction, 2, axis=0) + spread * rng.standard_normal((2 * len(end), 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        r, length = np.repeat(thin, 2), 0.8 * length
    return Rods.joined(bundles)
