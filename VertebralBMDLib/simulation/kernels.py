"""Reconstruction kernels: what each does to the image and to the noise, from one and the same filter.

A kernel is a radial filter K(f). The signal is also blurred by focal spot and detector before it is
filtered, the noise is not: ``MTF = G * K`` and, after filtered back projection, ``NPS ~ f * K**2``.
Frequencies are in lp/mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

# Focal spot and detector aperture at the isocentre, FWHM in mm (low confidence).
SYSTEM_FWHM_MM = 0.7
FWHM_PER_SIGMA = 2.3548
SLAB = 8  # slices filtered at once: bounds the memory of a full field


@dataclass(frozen=True)
class Kernel:
    """``K(f) = (1 + boost * (1 - exp(-(f / boost_from)**2))) * exp(-0.5 * (f / cutoff)**order)``.

    `boost` lifts the frequencies above `boost_from_lp_mm` (overshoot at edges, more noise); order 2 rolls off
    as a Gaussian, order 4 steeply. K(0) = 1, so a homogeneous region keeps its mean.
    """

    cutoff_lp_mm: float
    order: int = 2
    boost: float = 0.0
    boost_from_lp_mm: float = 0.2

    def filter(self, f: np.ndarray) -> np.ndarray:
        """K at frequencies f."""
        lift = 1.0 - np.exp(-((f / self.boost_from_lp_mm) ** 2))
        return (1.0 + self.boost * lift) * np.exp(-0.5 * (f / self.cutoff_lp_mm) ** self.order)

    def mtf(self, f: np.ndarray) -> np.ndarray:
        """Modulation transfer at frequencies f, 1 at 0."""
        sigma = SYSTEM_FWHM_MM / FWHM_PER_SIGMA
        return self.filter(f) * np.exp(-2.0 * (np.pi * sigma * f) ** 2)

    def nps(self, f: np.ndarray) -> np.ndarray:
        """Noise power at frequencies f, in units in which the kernels compare."""
        return f * self.filter(f) ** 2

    @property
    def relative_noise(self) -> float:
        """SD that one and the same exposure gives, in units in which the kernels compare."""
        f = np.linspace(0.0, self.highest_lp_mm, 2000)
        return float(np.sqrt((self.nps(f) * f).sum() * f[1]))

    @property
    def highest_lp_mm(self) -> float:
        """Frequency beyond which nothing is left of the noise."""
        return self.cutoff_lp_mm * {2: 3.2, 4: 1.8}[self.order]


# Low confidence: 1.0-1.3 mm FWHM of the point spread for a standard kernel; noise peaks at 0.2-0.3 lp/mm for
# soft and 0.6-0.9 for lung kernels; 5-15 % overshoot within 2 mm for LUNG.
KERNELS: dict[str, Kernel | None] = {
    "NONE": None,
    "SMOOTH": Kernel(0.23),
    "SOFT": Kernel(0.283),
    "STANDARD": Kernel(0.382),
    "LUNG": Kernel(0.85, order=4, boost=0.35, boost_from_lp_mm=0.22),
    "BONE": Kernel(0.95, order=4, boost=0.15, boost_from_lp_mm=0.3),
    "EDGE": Kernel(1.2, order=4, boost=0.6, boost_from_lp_mm=0.35),
}


def blur(hu: np.ndarray, spacing_mm: tuple[float, float, float], kernel: Kernel | None) -> np.ndarray:
    """In-plane point spread of a kernel on (z, y, x), mirrored at the border; a new array, or the same one for no kernel."""
    if kernel is None:
        return hu
    fy, fx = (np.arange(n) / (2.0 * n * step) for n, step in zip(hu.shape[1:], (spacing_mm[1], spacing_mm[0])))
    mtf = kernel.mtf(np.hypot(fy[:, None], fx[None, :])).astype(np.float32)
    out = np.empty_like(hu)
    for start in range(0, hu.shape[0], SLAB):
        part = slice(start, start + SLAB)
        # the cosine transform mirrors at the border; its product with a radial filter is the convolution
        out[part] = fft.idctn(fft.dctn(hu[part], axes=(1, 2)) * mtf, axes=(1, 2), overwrite_x=True)
    return out


def noise_filter(shape: tuple[int, int], spacing_mm: tuple[float, float, float], kernel: Kernel | None) -> np.ndarray:
    """rfft2 amplitude that gives white noise the kernel's spectrum and unit SD.

    Pixels sample the noise of the reconstruction: what they cannot resolve is folded back, as on a scanner.
    """
    half = (shape[0], shape[1] // 2 + 1)
    if kernel is None:
        return np.ones(half, np.float32)
    power = np.zeros(half)
    fy, fx = np.fft.fftfreq(shape[0], spacing_mm[1]), np.fft.rfftfreq(shape[1], spacing_mm[0])
    folds = [int(np.ceil(kernel.highest_lp_mm * step)) for step in (spacing_mm[1], spacing_mm[0])]
    for i in range(-folds[0], folds[0] + 1):
        for j in range(-folds[1], folds[1] + 1):
            power += kernel.nps(np.hypot((fy + i / spacing_mm[1])[:, None], (fx + j / spacing_mm[0])[None, :]))
    # each rfft column but the first (and the last of an even width) stands for two
    double = np.full(half[1], 2.0)
    double[0] = 1.0
    if shape[1] % 2 == 0:
        double[-1] = 1.0
    return np.sqrt(power / ((power * double).sum() / (shape[0] * shape[1]))).astype(np.float32)
