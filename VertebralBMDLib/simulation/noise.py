"""Image noise: its spectrum from the kernel, its correlation along z from the slice profile, its size from the dose."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import fft
from scipy.linalg import cholesky_banded

from VertebralBMDLib.simulation.beam import reference_beam
from VertebralBMDLib.simulation.kernels import KERNELS, Kernel, noise_filter
from VertebralBMDLib.simulation.shapes import Grid

# Low confidence: 12-20 HU in an abdomen at 10 mGy with a standard kernel and 1.25 mm slices at 120 kV.
ANCHOR_HU, ANCHOR_MGY, ANCHOR_MM, ANCHOR_DIAMETER_MM = 16.0, 10.0, 1.25, 320.0


def noise_slices(grid: Grid, kernel: Kernel | None, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Noise images (2, y, x), one pair per slice from caudal to cranial; their sum has unit SD and the kernel's spectrum.

    The first holds the frequencies nearer to x (from upright rays), the second those nearer to y (from level rays).
    Overlapping slices share photons: their correlation is the overlap of their profiles, 1 - distance / thickness.
    """
    shape = grid.size[1], grid.size[0]
    amplitude = noise_filter(shape, grid.spacing_mm, kernel)
    fy, fx = np.fft.fftfreq(shape[0], grid.spacing_mm[1])[:, None], np.fft.rfftfreq(shape[1], grid.spacing_mm[0])[None, :]
    halves = amplitude * np.stack([np.abs(fy) <= fx, np.abs(fy) > fx])
    mixing = _mixing(grid)
    recent: list[np.ndarray] = []
    for k in range(grid.size[2]):
        white = fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
        recent = [fft.irfft2(white * halves, s=shape), *recent][: mixing.shape[0]]
        yield sum(np.float32(share) * images for share, images in zip(mixing[:, k], recent))


def _mixing(grid: Grid) -> np.ndarray:
    """(lag, slice) shares of independent images whose sums have the correlation of overlapping slices."""
    step, count = grid.spacing_mm[2], grid.size[2]
    lags = np.arange(min(count, max(1, int(np.ceil(grid.slice_mm / step)))))
    banded = np.repeat((1.0 - lags * step / grid.slice_mm)[:, None], count, axis=1)
    lower = cholesky_banded(banded, lower=True)  # column j holds L[j + lag, j]
    mixing = np.zeros_like(lower)
    for lag in lags:
        mixing[lag, lag:] = lower[lag, : count - lag]
    return mixing


def noise_for_dose(dose_mgy: float, kvp: int, kernel: str, thickness_mm: float, water_equivalent_diameter_mm: float) -> float:
    """Noise SD (HU) at the centre of a body: ``~ (dose * thickness)**-0.5 * exp(mu * (D - 320 mm) / 2)``.

    dose_mgy: CTDIvol. The kernel scales it as the root of its integrated noise power. Anchored to published
    ranges for an abdomen (low confidence).
    """
    for name, value, low, high in (
        ("dose_mgy", dose_mgy, 0.05, 100.0),
        ("thickness_mm", thickness_mm, 0.3, 10.0),
        ("water_equivalent_diameter_mm", water_equivalent_diameter_mm, 100.0, 500.0),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name} must be within {low:g}-{high:g}, not {value:g}")
    sharpness = KERNELS.get(kernel)
    if sharpness is None:
        raise ValueError(f"kernel must be one of {sorted(set(KERNELS) - {'NONE'})}, not {kernel!r}")
    exposure = (dose_mgy * thickness_mm) / (ANCHOR_MGY * ANCHOR_MM)
    mu_per_mm = reference_beam(kvp).mass_attenuation["water"] / 10.0
    size = np.exp(0.5 * mu_per_mm * (water_equivalent_diameter_mm - ANCHOR_DIAMETER_MM))
    return float(ANCHOR_HU * exposure**-0.5 * size * sharpness.relative_noise / KERNELS["STANDARD"].relative_noise)
