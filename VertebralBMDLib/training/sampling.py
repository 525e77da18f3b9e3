"""Which cube of which scan is shown next."""

from __future__ import annotations

import numpy as np

from ..grid import AIR_HU

#: The share of real scans in a batch where there are both kinds.
REAL_SHARE = 0.6


def a_case(groups: list[list], rng: np.random.Generator):
    """One of the real or of the simulated cases."""
    real, simulated = groups
    cases = real if real and (not simulated or rng.random() < REAL_SHARE) else simulated
    return cases[rng.integers(len(cases))]


def cube_around(arrays: dict[str, np.ndarray], position, size: int) -> dict[str, np.ndarray]:
    """Cubes of ``size`` voxels around ``position`` (z, y, x) of arrays (channels, z, y, x); outside there is air without labels."""
    start = np.round(np.asarray(position)).astype(int) - size // 2
    shape = next(iter(arrays.values())).shape[1:]
    low, high = np.maximum(start, 0), np.minimum(start + size, shape)
    cubes = {}
    for key, array in arrays.items():
        cube = np.zeros((array.shape[0], size, size, size), dtype=np.float32)
        if key == "image":
            cube[0] = AIR_HU
        if np.all(high > low):
            source = tuple(slice(a, b) for a, b in zip(low, high))
            cube[(slice(None), *(slice(a, b) for a, b in zip(low - start, high - start)))] = array[(slice(None), *source)]
        cubes[key] = cube
    return cubes
