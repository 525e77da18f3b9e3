"""The scanner: from noise-free HU to what a reconstruction shows.

Order: slice profile (subslice mean, done while drawing), beam hardening and scatter, metal streaks,
motion, in-plane point spread, slope, intercept, drift and miscentring, noise, padding, clipping.
Switching an effect off leaves the values untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.simulation.beam import Beam, reference_beam
from VertebralBMDLib.simulation.hardening import coarse_twin, miscentring_hu, noise_maps, residual_hu, trace
from VertebralBMDLib.simulation.kernels import KERNELS, blur
from VertebralBMDLib.simulation.metal import metal_streaks
from VertebralBMDLib.simulation.motion import breathe
from VertebralBMDLib.simulation.noise import noise_slices
from VertebralBMDLib.simulation.projection import Draw, Field, Twin
from VertebralBMDLib.simulation.shapes import Grid

MIN_HU, MAX_HU = -1024, 3071
MAX_SUBSLICE_MM = 1.0  # coarser, and the profile of 1.25 mm slices comes out a quarter too narrow
TAPER_HU = -200.0  # below, offsets fade so that air stays at -1000
SCAN_FIELD_MM = 500.0
# (lowest, highest, unit) of each number; a pair is checked value by value.
_RANGES = {
    "thickness_mm": (0.0, 10.0, "mm"),
    "noise_hu": (0.0, 500.0, "HU"),
    "slope_error": (-0.3, 0.3, ""),
    "intercept_hu": (-100.0, 100.0, "HU"),
    "drift_hu": (-100.0, 100.0, "HU"),
    "beam_hardening": (0.0, 1.0, ""),
    "scatter": (0.0, 0.2, ""),
    "off_centre_mm": (-100.0, 100.0, "mm"),
    "metal": (0.0, 1.0, ""),
    "motion_mm": (0.0, 30.0, "mm"),
}


@dataclass(frozen=True)
class Scanner:
    """Acquisition and reconstruction; the defaults are a perfect scanner at 120 kV.

    thickness_mm: of the slices; 0 switches the slice profile off, None is as thick as the slices are apart.
    noise_hu: SD at the centre of the body. slope_error, intercept_hu: linear error of HU. drift_hu: change
    from the lowest to the highest slice, none in the middle.
    beam_hardening: share left of what a water correction alone leaves (0 perfect, 1 no further correction).
    scatter: left of it after correction, over the primary in the middle of 32 cm of water.
    off_centre_mm: (x, y) LPS of the body from the isocentre; a table that is too low has y > 0.
    metal: share left of metal streaks. motion_mm: of the belly's front during a stretch of slices.
    circular_fov: pad with -1024 HU outside the 500 mm scan field.
    """

    kvp: int = 120
    kernel: str = "NONE"
    thickness_mm: float | None = 0.0
    noise_hu: float = 0.0
    slope_error: float = 0.0
    intercept_hu: float = 0.0
    drift_hu: float = 0.0
    beam_hardening: float = 0.0
    scatter: float = 0.0
    off_centre_mm: tuple[float, float] = (0.0, 0.0)
    metal: float = 0.0
    motion_mm: float = 0.0
    circular_fov: bool = False

    def __post_init__(self) -> None:
        reference_beam(self.kvp)
        if self.kernel not in KERNELS:
            raise ValueError(f"kernel must be one of {sorted(KERNELS)}, not {self.kernel!r}")
        if np.shape(self.off_centre_mm) != (2,):
            raise ValueError(f"off_centre_mm must be (x, y), not {self.off_centre_mm}")
        for name, (low, high, unit) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not all(low <= v <= high for v in np.ravel(value)):
                raise ValueError(f"{name} must be within {low:g} to {high:g}{unit and ' ' + unit}, not {value}")

    @property
    def beam(self) -> Beam:
        return reference_beam(self.kvp)

    def grid(self, origin_mm: Sequence[float], spacing_mm: Sequence[float], size: Sequence[int]) -> Grid:
        """Grid of a scan whose slices have this scanner's rectangular profile; tuples are (x, y, z)."""
        thickness = spacing_mm[2] if self.thickness_mm is None else self.thickness_mm
        subslices = max(1, int(np.ceil(thickness / MAX_SUBSLICE_MM)))
        origin, spacing = (tuple(float(v) for v in values) for values in (origin_mm, spacing_mm))
        return Grid(origin, spacing, tuple(int(n) for n in size), subslices, thickness or None)

    def acquire(self, hu: np.ndarray, grid: Grid, rng: np.random.Generator, draw: Draw | None = None, rough: bool = False) -> np.ndarray:
        """(z, y, x) float32 HU of the scanned volume; `hu` itself if nothing changes it, otherwise a new array.

        hu: the subject drawn on `grid` with `beam`. draw: draws the same subject on any canvas with any beam; needed
        by beam_hardening, scatter, off_centre_mm and metal, and noise is uneven only with it. rough: see `coarse_twin`.
        """
        noise_rng, motion_rng, metal_rng = rng.spawn(3)
        twin = self._twin(grid, draw, rough)
        center = twin.center_xy if twin else tuple(float(grid.axis(k).mean()) for k in (0, 1))
        fields, uneven = self._projected(twin) if twin else ([], [])
        if self.metal > 0.0:
            streaks = metal_streaks(draw, twin, hu, grid, self.kvp, self.noise_hu, metal_rng)
            fields += [Field(streaks.grid, np.float32(self.metal) * streaks.values)] if streaks else []
        out = _added(hu, [each.on(grid) for each in fields]) if fields else hu
        if self.motion_mm > 0.0:
            out = breathe(out, grid, self.motion_mm, center[1], motion_rng)
        out = blur(out, grid.spacing_mm, KERNELS[self.kernel])
        if self.slope_error or self.intercept_hu or self.drift_hu or any(self.off_centre_mm):
            out = self._response(out, grid, center)
        if self.noise_hu > 0.0:
            out = self._with_noise(out.copy() if out is hu else out, grid, uneven, noise_rng)
        return self._padded(out, grid, center) if self.circular_fov else out

    def _twin(self, grid: Grid, draw: Draw | None, rough: bool) -> Twin | None:
        """The coarse twin, if an effect that is on uses it."""
        needed = [name for name in ("beam_hardening", "scatter", "off_centre_mm", "metal") if np.any(getattr(self, name))]
        if needed and draw is None:
            raise ValueError(f"{needed[0]} must be 0 where acquire() is not given `draw`, not {getattr(self, needed[0])}")
        used = needed or self.noise_hu > 0.0 or self.motion_mm > 0.0 or self.circular_fov
        return coarse_twin(draw, grid, rough) if draw is not None and used else None

    def _projected(self, twin: Twin) -> tuple[list[Field], list[Field]]:
        """(HU that hardening and scatter add, relative noise from upright and from level rays) of the twin."""
        rays = trace(twin, self.kvp)
        added = [residual_hu(rays, self.beam_hardening, self.scatter)] if self.beam_hardening > 0.0 or self.scatter > 0.0 else []
        uneven = noise_maps(rays, self.off_centre_mm) if self.noise_hu > 0.0 else ()
        return [Field(twin.grid, values) for values in added], [Field(twin.grid, values) for values in uneven]

    def _response(self, hu: np.ndarray, grid: Grid, center_xy: tuple[float, float]) -> np.ndarray:
        """`HU * (1 + slope_error) + offset` in tissue and bone, HU in air; a new array.

        The offset is that of intercept, drift and miscentring of a body at `center_xy`.
        """
        drift = self.drift_hu * (np.linspace(-0.5, 0.5, grid.size[2]) if grid.size[2] > 1 else np.zeros(1))
        x, y = (grid.axis(k) - center_xy[k] for k in (0, 1))
        shift = miscentring_hu(x, y, self.off_centre_mm) if any(self.off_centre_mm) else np.float32(0.0)
        out = np.empty_like(hu)
        for k, image in enumerate(hu):
            weight = np.clip((image + 1000.0) / (1000.0 + TAPER_HU), 0.0, 1.0)
            offset = shift + np.float32(self.intercept_hu + drift[k])
            out[k] = image + weight * (np.maximum(image, TAPER_HU) * np.float32(self.slope_error) + offset)
        return out

    def _with_noise(self, hu: np.ndarray, grid: Grid, uneven: Sequence[Field], rng: np.random.Generator) -> np.ndarray:
        """The same array with noise added in place."""
        readers = [each.on(grid) for each in uneven]
        for k, halves in enumerate(noise_slices(grid, KERNELS[self.kernel], rng)):
            for half, read in zip(halves, readers):
                half *= read(k)
            hu[k] += np.float32(self.noise_hu) * halves.sum(axis=0)
        return hu

    def _padded(self, hu: np.ndarray, grid: Grid, center_xy: tuple[float, float]) -> np.ndarray:
        """-1024 HU outside the scan field, whose middle is the isocentre."""
        x, y = (grid.axis(k) - center_xy[k] + self.off_centre_mm[k] for k in (0, 1))
        return np.where(np.hypot(x[None, :], y[:, None]) > 0.5 * SCAN_FIELD_MM, np.float32(MIN_HU), hu)


#: What a vendor's corrections leave on an ordinary scan (low confidence).
PHYSICS = {"beam_hardening": 0.2, "scatter": 0.005, "metal": 0.6}
TYPICAL = Scanner(kernel="STANDARD", thickness_mm=None, noise_hu=15.0)


def in_plane_spacing(fov_mm: float, matrix: int) -> float:
    """Pixel size (mm) of a reconstruction field of view, 100 to 500 mm wide."""
    if not 100.0 <= fov_mm <= SCAN_FIELD_MM:
        raise ValueError(f"fov_mm must be within 100-{SCAN_FIELD_MM:g} mm, not {fov_mm:g}")
    if not 16 <= matrix <= 1024:
        raise ValueError(f"matrix must be within 16-1024 pixels, not {matrix}")
    return fov_mm / matrix


def _added(hu: np.ndarray, readers: Sequence[Callable[[int], np.ndarray]]) -> np.ndarray:
    """A new volume with the fields added."""
    out = hu.copy()
    for k, image in enumerate(out):
        for read in readers:
            image += read(k)
    return out


def to_int16(hu: np.ndarray) -> np.ndarray:
    """Rounded and clipped to what a 12-bit CT stores."""
    return np.clip(np.rint(hu), MIN_HU, MAX_HU).astype(np.int16)
