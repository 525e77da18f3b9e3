"""Breathing during the scan: over a stretch of slices the wall is seen in several positions at once."""

from __future__ import annotations

import numpy as np

from VertebralBMDLib.simulation.shapes import Grid

# Share of the time that one slice's views spend at each phase of a breath: longest at its ends, hence double contours.
PHASES, TIME_SHARE = (0.0, 0.3, 0.7, 1.0), (0.36, 0.14, 0.14, 0.36)
STRETCH_MM = (20.0, 60.0)
# The spine moves this share of the front of the belly (low confidence).
SPINE_SHARE, FRONT_MM, BACK_MM = 0.1, 100.0, 20.0


def breathe(hu: np.ndarray, grid: Grid, motion_mm: float, center_y: float, rng: np.random.Generator) -> np.ndarray:
    """A new (z, y, x) volume whose belly moves `motion_mm` forwards and downwards within a random stretch of slices.

    center_y: middle of the body (LPS mm); behind it the motion fades to the spine's.
    """
    z, y = grid.axis(2), grid.axis(1)
    length = rng.uniform(*STRETCH_MM)
    start = rng.uniform(z[0] - 0.3 * length, max(z[-1] - 0.7 * length, z[0]))
    strength = np.sin(np.pi * np.clip((z - start) / length, 0.0, 1.0)) ** 2
    forward = np.clip((center_y + BACK_MM - y) / (FRONT_MM + BACK_MM), 0.0, 1.0)
    reach = motion_mm * (SPINE_SHARE + (1.0 - SPINE_SHARE) * forward)
    out = hu.copy()
    for k in np.nonzero(strength > 1e-3)[0]:
        out[k] = sum(
            np.float32(share) * _rows(hu, k + phase * strength[k] * reach / grid.spacing_mm[2], phase * strength[k] * reach, grid)
            for phase, share in zip(PHASES, TIME_SHARE)
        )
    return out


def _rows(hu: np.ndarray, at_z: np.ndarray, forward_mm: np.ndarray, grid: Grid) -> np.ndarray:
    """Rows (y, x) read at slice positions `at_z` (per row) from tissue that has come `forward_mm` forwards."""
    count_z, count_y = hu.shape[:2]
    at_y = np.clip(np.arange(count_y) + forward_mm / grid.spacing_mm[1], 0, count_y - 1)
    at_z = np.clip(at_z, 0, count_z - 1)
    z0, y0 = np.floor(at_z).astype(int), np.floor(at_y).astype(int)
    z1, y1 = np.minimum(z0 + 1, count_z - 1), np.minimum(y0 + 1, count_y - 1)
    tz, ty = (at_z - z0).astype(np.float32)[:, None], (at_y - y0).astype(np.float32)[:, None]
    lower, upper = hu[z0, y0] * (1 - ty) + hu[z0, y1] * ty, hu[z1, y0] * (1 - ty) + hu[z1, y1] * ty
    return lower * (1 - tz) + upper * tz
