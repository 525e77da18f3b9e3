"""Parallel-beam projections of a coarse twin of the subject.

The scanner's long-range effects are smooth, so they are worked out on a coarse copy of the subject, drawn
under two single energies and split into water and bone mineral (CaHA), and interpolated to the scan's grid.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft, sparse

from VertebralBMDLib.simulation.beam import Beam, monoenergetic
from VertebralBMDLib.simulation.materials import AIR, WATER, tissue
from VertebralBMDLib.simulation.shapes import Canvas, Grid

Draw = Callable[[Canvas], None]

LOW_KEV, HIGH_KEV = 60.0, 100.0
# HU at 60 keV that no bone reaches (cortical bone: about 2000).
METAL_HU = 3000.0


@dataclass(frozen=True)
class Geometry:
    """Views of n x n pixels over half a turn; `weights` (pixel, ray) shares each pixel between two neighbouring rays.

    Rays are numbered view by view; ray spacing is the pixel size; pixels outside the inscribed circle are not seen.
    """

    n: int
    pixel_mm: float
    views: int
    weights: sparse.csr_matrix

    @property
    def bins(self) -> int:
        return self.n + 2

    @property
    def offset_mm(self) -> np.ndarray:
        """Signed distance of each ray of a view from the centre, mm."""
        return (np.arange(self.bins) - 0.5 * (self.bins - 1)) * self.pixel_mm

    @property
    def seen(self) -> np.ndarray:
        """(n, n) pixels inside the circle that every view sees."""
        return (np.diff(self.weights.indptr) > 0).reshape(self.n, self.n)

    @property
    def angles(self) -> np.ndarray:
        """Direction of the ray offset of each view from x, radians."""
        return _angles(self.views)

    def project(self, images: np.ndarray) -> np.ndarray:
        """Line integrals of (k, n, n) images over cm: (views, bins, k)."""
        columns = images.reshape(len(images), -1).T.astype(np.float32, order="C")
        filled = np.nonzero(columns.any(axis=1))[0]
        rays = self.weights[filled].T @ columns[filled] if len(filled) < 0.2 * len(columns) else self.weights.T @ columns
        return (rays * np.float32(self.pixel_mm / 10.0)).reshape(self.views, self.bins, -1)

    def smear(self, sinogram: np.ndarray) -> np.ndarray:
        """Mean over the views of (views, bins, k), back over the pixels: (k, n, n)."""
        images = self.weights @ sinogram.reshape(self.views * self.bins, -1)
        return (images.T / np.float32(self.views)).reshape(-1, self.n, self.n)

    def reconstruct(self, sinogram: np.ndarray) -> np.ndarray:
        """Filtered back projection of (views, bins, k) in cm to images (k, n, n) per cm."""
        size = fft.next_fast_len(2 * self.bins, real=True)
        at = np.minimum(np.arange(size), size - np.arange(size))
        # band-limited ramp, sampled in space so that its mean is right; the window spares the Nyquist frequency
        ramp = np.where(at == 0, 0.25, np.where(at % 2 == 1, -1.0 / (np.pi * np.maximum(at, 1)) ** 2, 0.0))
        response = fft.rfft(ramp).real * (0.5 + 0.5 * np.cos(np.pi * np.arange(size // 2 + 1) / (size // 2)))
        filtered = fft.irfft(fft.rfft(sinogram, size, axis=1) * response.astype(np.float32)[None, :, None], size, axis=1)
        return self.smear(np.ascontiguousarray(filtered[:, : self.bins], np.float32)) * np.float32(np.pi / (self.pixel_mm / 10.0))


def _angles(views: int) -> np.ndarray:
    # half a step from 0, 45 and 90 degrees, where rays would line up with the pixels
    return np.pi * (np.arange(views) + 0.5) / views


@functools.lru_cache(maxsize=4)
def geometry(n: int, pixel_mm: float, views: int) -> Geometry:
    """Geometry with its weights; kept for the life of the process."""
    axis = np.arange(n) - 0.5 * (n - 1)
    y, x = (c.ravel() for c in np.meshgrid(axis, axis, indexing="ij"))
    inside = np.hypot(x, y) <= 0.5 * n
    angles = _angles(views)
    at = x[:, None] * np.cos(angles) + y[:, None] * np.sin(angles) + 0.5 * (n + 1)
    lower = np.floor(at).astype(np.int32)
    upper_share = (at - lower).astype(np.float32)
    rays = lower + np.arange(views, dtype=np.int32) * (n + 2)
    keep = np.repeat(inside, 2 * views)
    columns = np.stack([rays, rays + 1], axis=2).ravel()[keep]
    shares = np.stack([1.0 - upper_share, upper_share], axis=2).ravel()[keep]
    ends = np.concatenate([[0], np.cumsum(np.where(inside, 2 * views, 0))])
    return Geometry(n, pixel_mm, views, sparse.csr_matrix((shares, columns, ends), shape=(n * n, views * (n + 2))))


@dataclass(frozen=True)
class Field:
    """Values (k, n, n) on a coarse grid, read by linear interpolation and held constant beyond it."""

    grid: Grid
    values: np.ndarray

    def on(self, grid: Grid) -> Callable[[int], np.ndarray]:
        """Reader of the field at the slices of another grid: index -> (y, x) float32."""
        (x0, tx), (y0, ty), (z0, tz) = (_between(self.grid, grid, k) for k in range(3))
        x1, y1, z1 = (np.minimum(low + 1, n - 1) for low, n in zip((x0, y0, z0), self.grid.size))

        def at(index: int) -> np.ndarray:
            plane = self.values[z0[index]] * (1 - tz[index]) + self.values[z1[index]] * tz[index]
            rows = plane[y0] * (1 - ty[:, None]) + plane[y1] * ty[:, None]
            return rows[:, x0] * (1 - tx) + rows[:, x1] * tx

        return at


def _between(coarse: Grid, fine: Grid, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Coarse voxel below each fine one along axis k, and the share of the one above."""
    at = np.clip((fine.axis(k) - coarse.origin_mm[k]) / coarse.spacing_mm[k], 0.0, coarse.size[k] - 1.0)
    low = np.floor(at).astype(int)
    return low, (at - low).astype(np.float32)


@dataclass(frozen=True)
class Twin:
    """The subject in g/cm3 of water and of CaHA, (k, n, n) each, on a square grid centred on the body."""

    grid: Grid
    water: np.ndarray
    mineral: np.ndarray
    metal: np.ndarray

    @property
    def center_xy(self) -> tuple[float, float]:
        """Middle of the body, LPS mm."""
        return tuple(float(self.grid.axis(k).mean()) for k in (0, 1))


def without_metal(water: np.ndarray, mineral: np.ndarray, metal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Water and mineral of a twin with water in the place of metal."""
    return np.where(metal, np.float32(1.0), water), np.where(metal, np.float32(0.0), mineral)


def draw_twin(draw: Draw, center_xy: tuple[float, float], z: np.ndarray, n: int, pixel_mm: float, quick: bool = False) -> Twin:
    """Draw the subject on n x n pixels around a centre (LPS mm), at the given z (ascending, evenly apart).

    quick: draw it once instead of twice and take it for fat, water and mineral by its HU.
    """
    step = float(z[1] - z[0]) if len(z) > 1 else 2.0 * pixel_mm
    origin = tuple(float(c - 0.5 * (n - 1) * pixel_mm) for c in center_xy)
    grid = Grid((*origin, float(z[0])), (pixel_mm, pixel_mm, step), (n, n, len(z)), 1, min(step, 2.0 * pixel_mm))
    low = _drawn(draw, grid, monoenergetic(LOW_KEV))
    water, mineral = _split_by_hu(low) if quick else _split(low, _drawn(draw, grid, monoenergetic(HIGH_KEV)))
    return Twin(grid, water, mineral, low > METAL_HU)


def _drawn(draw: Draw, grid: Grid, beam: Beam) -> np.ndarray:
    canvas = Canvas(grid, beam)
    draw(canvas)
    return canvas.hu


def _split(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(water, CaHA) in g/cm3 that give these HU at the low and the high energy."""
    beams = monoenergetic(LOW_KEV), monoenergetic(HIGH_KEV)
    (wl, ml), (wh, mh) = ((b.mass_attenuation["water"], b.mass_attenuation["CaHA"]) for b in beams)
    mu_low, mu_high = (low * 1e-3 + 1.0) * np.float32(wl), (high * 1e-3 + 1.0) * np.float32(wh)
    det = np.float32(wl * mh - ml * wh)
    water = (mu_low * np.float32(mh) - mu_high * np.float32(ml)) / det
    return water, (mu_high * np.float32(wl) - mu_low * np.float32(wh)) / det


def _split_by_hu(low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same from the low energy alone: everything lies between its neighbours among air, fat, water, muscle and dense bone."""
    ladder = (AIR, tissue({"triglyceride": 1.0}), WATER, tissue({"muscle": 1.0}), {**tissue({"muscle": 0.5}), "CaHA": 1.6})
    hu_low, hu_high = (np.array([monoenergetic(kev).hu(step) for step in ladder]) for kev in (LOW_KEV, HIGH_KEV))
    return tuple(np.interp(low, hu_low, part).astype(np.float32) for part in _split(hu_low, hu_high))


def centred(twin: Twin, n: int) -> Twin:
    """The n x n part of a wide twin around the middle of the body (soft tissue and denser, any slice)."""
    pixel = twin.grid.spacing_mm[0]
    shade = ((twin.water + twin.mineral) > 0.7).any(axis=0)
    starts = []
    for k, profile in ((0, shade.any(axis=0)), (1, shade.any(axis=1))):
        hit = np.nonzero(profile)[0]
        middle = 0.5 * (hit[0] + hit[-1]) if len(hit) else 0.5 * (twin.grid.size[k] - 1)
        starts.append(int(np.clip(round(middle - 0.5 * (n - 1)), 0, twin.grid.size[k] - n)))
    x0, y0 = starts
    part = (slice(None), slice(y0, y0 + n), slice(x0, x0 + n))
    origin = (twin.grid.origin_mm[0] + pixel * x0, twin.grid.origin_mm[1] + pixel * y0, twin.grid.origin_mm[2])
    grid = Grid(origin, twin.grid.spacing_mm, (n, n, twin.grid.size[2]), 1, twin.grid.thickness_mm)
    return Twin(grid, twin.water[part], twin.mineral[part], twin.metal[part])
