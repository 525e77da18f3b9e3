"""The scanner: from noise-free HU to what a reconstruction shows.

Order: slice profile (subslice mean, done while drawing), in-plane point spread, slope and intercept
error, noise, clipping. Switching an effect off leaves the values untouched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from VertebralBMDLib.simulation.beam import Beam, reference_beam
from VertebralBMDLib.simulation.shapes import Grid

MIN_HU, MAX_HU = -1024, 3071
MAX_SUBSLICE_MM = 1.3
TAPER_HU = -200.0  # below, the slope error fades so that air stays at -1000
FWHM_PER_SIGMA = 2.3548


@dataclass(frozen=True)
class Kernel:
    """Reconstruction kernel: Gaussian core, share of a wide Gaussian subtracted (overshoot), noise peak.

    PSF = (1 + boost) * G(core) - boost * G(wide), so a homogeneous region keeps its mean. The noise
    power spectrum rises from 0 and peaks at `noise_peak_lp_mm`. Low confidence: 1.0-1.3 mm FWHM for a
    standard kernel, 5-15 % overshoot within 2 mm for LUNG, peaks 0.2-0.3 and 0.6-0.9 lp/mm.
    """

    core_fwhm_mm: float
    wide_fwhm_mm: float
    boost: float
    noise_peak_lp_mm: float


KERNELS: dict[str, Kernel | None] = {
    "NONE": None,
    "SOFT": Kernel(1.6, 1.6, 0.0, 0.20),
    "STANDARD": Kernel(1.2, 1.2, 0.0, 0.27),
    "LUNG": Kernel(0.9, 2.8, 0.40, 0.65),
}


@dataclass(frozen=True)
class Scanner:
    """Acquisition and reconstruction; the defaults are a perfect scanner at 120 kV.

    thickness_mm: of the slices; 0 switches the slice profile off, None is as thick as the slices are apart.
    """

    kvp: int = 120
    kernel: str = "NONE"
    thickness_mm: float | None = 0.0
    noise_hu: float = 0.0
    slope_error: float = 0.0
    intercept_hu: float = 0.0

    def __post_init__(self) -> None:
        reference_beam(self.kvp)
        if self.thickness_mm is not None and not 0.0 <= self.thickness_mm <= 10.0:
            raise ValueError(f"thickness_mm must be within 0-10 mm, not {self.thickness_mm}")
        if self.kernel not in KERNELS:
            raise ValueError(f"kernel must be one of {sorted(KERNELS)}, not {self.kernel!r}")
        if not 0.0 <= self.noise_hu <= 500.0:
            raise ValueError(f"noise_hu must be within 0-500 HU, not {self.noise_hu}")
        if not abs(self.slope_error) <= 0.3:
            raise ValueError(f"slope_error must be within -0.3 to 0.3, not {self.slope_error}")
        if not abs(self.intercept_hu) <= 100.0:
            raise ValueError(f"intercept_hu must be within -100 to 100 HU, not {self.intercept_hu}")

    @property
    def beam(self) -> Beam:
        return reference_beam(self.kvp)

    def grid(self, origin_mm: Sequence[float], spacing_mm: Sequence[float], size: Sequence[int]) -> Grid:
        """Grid of a scan whose slices have this scanner's rectangular profile; tuples are (x, y, z)."""
        thickness = spacing_mm[2] if self.thickness_mm is None else self.thickness_mm
        subslices = max(1, int(np.ceil(thickness / MAX_SUBSLICE_MM)))
        origin, spacing = (tuple(float(v) for v in values) for values in (origin_mm, spacing_mm))
        return Grid(origin, spacing, tuple(int(n) for n in size), subslices, thickness or None)

    def acquire(self, hu: np.ndarray, spacing_mm: tuple[float, float, float], rng: np.random.Generator) -> np.ndarray:
        """(z, y, x) float32 HU of the scanned volume; spacing (x, y, z)."""
        hu = blur(hu, spacing_mm, KERNELS[self.kernel])
        hu = self.response(hu)
        if self.noise_hu > 0.0:
            add_noise(hu, spacing_mm, KERNELS[self.kernel], self.noise_hu, rng)
        return hu

    def response(self, hu: np.ndarray) -> np.ndarray:
        """Linear error `HU * (1 + slope) + intercept` in tissue and bone, none in air."""
        if self.slope_error == 0.0 and self.intercept_hu == 0.0:
            return hu
        weight = np.clip((hu + 1000.0) / (1000.0 + TAPER_HU), 0.0, 1.0)
        return hu + weight * (np.maximum(hu, TAPER_HU) * np.float32(self.slope_error) + np.float32(self.intercept_hu))


TYPICAL = Scanner(kernel="STANDARD", thickness_mm=None, noise_hu=15.0)


def blur(hu: np.ndarray, spacing_mm: tuple[float, float, float], kernel: Kernel | None) -> np.ndarray:
    """In-plane point spread of a kernel; a new array, or the same one for no kernel."""
    if kernel is None:
        return hu

    def gaussian(fwhm: float) -> np.ndarray:
        sigma = (0.0, fwhm / FWHM_PER_SIGMA / spacing_mm[1], fwhm / FWHM_PER_SIGMA / spacing_mm[0])
        return ndimage.gaussian_filter(hu, sigma, mode="nearest")

    out = gaussian(kernel.core_fwhm_mm)
    if kernel.boost > 0.0:
        out *= np.float32(1.0 + kernel.boost)
        out -= np.float32(kernel.boost) * gaussian(kernel.wide_fwhm_mm)
    return out


def noise_filter(shape: tuple[int, int], spacing_mm: tuple[float, float, float], kernel: Kernel | None) -> np.ndarray:
    """rfft2 amplitude that gives white noise the kernel's spectrum and unit standard deviation."""
    fy = np.fft.fftfreq(shape[0], spacing_mm[1])[:, None]
    fx = np.fft.rfftfreq(shape[1], spacing_mm[0])[None, :]
    if kernel is None:
        return np.ones((shape[0], shape[1] // 2 + 1), np.float32)
    f = np.hypot(fx, fy) / kernel.noise_peak_lp_mm
    power = f * np.exp(0.5 * (1.0 - f**2))
    # each rfft column but the first (and the last of an even width) stands for two
    double = np.full(power.shape[1], 2.0)
    double[0] = 1.0
    if shape[1] % 2 == 0:
        double[-1] = 1.0
    return np.sqrt(power / ((power * double).sum() / (shape[0] * shape[1]))).astype(np.float32)


def add_noise(
    hu: np.ndarray,
    spacing_mm: tuple[float, float, float],
    kernel: Kernel | None,
    sigma_hu: float,
    rng: np.random.Generator,
) -> None:
    """Add correlated Gaussian noise in place, independent between slices."""
    shape = hu.shape[1:]
    amplitude = noise_filter(shape, spacing_mm, kernel) * np.float32(sigma_hu)
    for image in hu:
        white = rng.standard_normal(shape, dtype=np.float32)
        image += fft.irfft2(fft.rfft2(white) * amplitude, s=shape)


def to_int16(hu: np.ndarray) -> np.ndarray:
    """Rounded and clipped to what a 12-bit CT stores."""
    return np.clip(np.rint(hu), MIN_HU, MAX_HU).astype(np.int16)
