"""Metal streaks: slices that hold metal are projected again, finely, with hardening and photon starvation.

Only what the metal adds is kept: the scan with the metal less the scan with water in its place, each less
its ideal. Titanium and steel are split into water and CaHA like everything else.
"""

from __future__ import annotations

import numpy as np

from VertebralBMDLib.simulation.hardening import bowtie, detector, transmitted
from VertebralBMDLib.simulation.projection import METAL_HU, Draw, Field, Twin, draw_twin, geometry, without_metal
from VertebralBMDLib.simulation.shapes import Grid

PIXEL_MM, PIXELS, VIEWS, STEP_MM, POOL = 2.0, 240, 280, 4.0, 3
# Photons of a ray in air at 15 HU of noise, and the noise of the electronics in photons (low confidence).
AIR_PHOTONS, AIR_NOISE_HU, ELECTRONIC_PHOTONS = 1.0e6, 15.0, 3.0
LEAST_PHOTONS = 1.0  # what a scanner takes the logarithm of at least


def metal_streaks(draw: Draw, twin: Twin, hu: np.ndarray, grid: Grid, kvp: int, noise_hu: float, rng: np.random.Generator) -> Field | None:
    """HU that metal adds to the scan; None where there is none.

    hu: the drawn scan on `grid`. noise_hu: of the scan, which tells its photons; 0 is no photon noise.
    """
    z = metal_z(twin, hu, grid)
    if len(z) == 0:
        return None
    count = int(np.ceil((z.max() - z.min()) / STEP_MM)) + 3  # the first and the last slice hold no metal
    levels = 0.5 * (z.min() + z.max()) + STEP_MM * (np.arange(count) - 0.5 * (count - 1))
    fine = draw_twin(draw, twin.center_xy, levels, PIXELS, PIXEL_MM)
    values = np.zeros(fine.water.shape, np.float32)
    shown = np.nonzero(fine.metal.any(axis=(1, 2)))[0]
    for k in shown:
        values[k] = _slice_streaks(fine, k, kvp, noise_hu, rng)
    return Field(fine.grid, values)


def metal_z(twin: Twin, hu: np.ndarray, grid: Grid) -> np.ndarray:
    """z (mm) of the slices of the scan and of the twin that show metal."""
    in_scan = grid.axis(2)[hu.max(axis=(1, 2)) > METAL_HU]
    return np.concatenate([in_scan, twin.grid.axis(2)[twin.metal.any(axis=(1, 2))]])


def _slice_streaks(fine: Twin, k: int, kvp: int, noise_hu: float, rng: np.random.Generator) -> np.ndarray:
    """HU (n, n) that the metal of slice k adds."""
    system, found = geometry(PIXELS, PIXEL_MM, VIEWS), detector(kvp)
    both = np.stack([fine.water[k], fine.mineral[k]])
    replaced = np.stack(without_metal(fine.water[k], fine.mineral[k], fine.metal[k]))
    body, extra = _body_rays(replaced), system.project(both - replaced)
    hit = np.abs(extra[..., 1]) > 1e-4
    added = np.zeros(hit.shape, np.float32)
    errors = []
    for paths in (body[hit], body[hit] + extra[hit]):
        log_signal = transmitted(kvp, paths[:, 0], paths[:, 1])
        if noise_hu > 0.0 and errors:
            offset = np.broadcast_to(system.offset_mm, hit.shape)[hit]
            log_signal = _counted(log_signal, offset, noise_hu, rng)
        errors.append(found.corrected(log_signal) - found.ideal(paths[:, 0], paths[:, 1]))
    added[hit] = errors[1] - errors[0]
    return 1000.0 * system.reconstruct(added[..., None])[0]


def _body_rays(images: np.ndarray) -> np.ndarray:
    """Projections of the body behind the metal: of its means over POOL x POOL pixels, read at the fine rays."""
    pooled = images.reshape(len(images), PIXELS // POOL, POOL, PIXELS // POOL, POOL).mean(axis=(2, 4))
    coarse, fine = (geometry(PIXELS // size, PIXEL_MM * size, VIEWS) for size in (POOL, 1))
    at = np.clip((fine.offset_mm - coarse.offset_mm[0]) / coarse.pixel_mm, 0.0, coarse.bins - 1.001)
    low = at.astype(int)
    share = (at - low).astype(np.float32)[None, :, None]
    rays = coarse.project(pooled)
    return rays[:, low] * (1 - share) + rays[:, low + 1] * share


def _counted(log_signal: np.ndarray, offset_mm: np.ndarray, noise_hu: float, rng: np.random.Generator) -> np.ndarray:
    """The log signal of rays as counted: photon and electronic noise, no less than the least signal."""
    air = AIR_PHOTONS * (AIR_NOISE_HU / noise_hu) ** 2 * bowtie(offset_mm)
    photons = air * np.exp(-log_signal)
    counted = photons + np.sqrt(photons + ELECTRONIC_PHOTONS**2) * rng.standard_normal(len(photons))
    return -np.log(np.maximum(counted, LEAST_PHOTONS) / air)
