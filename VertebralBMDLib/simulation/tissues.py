"""One person's soft tissues, as compositions: the same person scanned at another voltage keeps them.

Spread between
people is wide on purpose, so that bone cannot be inferred from fat or muscle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.simulation.materials import Composition, mixture, tissue


@dataclass(frozen=True)
class Tissues:
    """What each tissue is made of; `infiltration` is the share of fat streaks in the muscles of the back."""

    fat: Composition
    muscle: Composition
    blood: Composition
    liver: Composition
    spleen: Composition
    kidney: Composition
    bowel: Composition
    disc: Composition
    dural_sac: Composition
    epidural: Composition
    skin: Composition
    lung: Composition
    infiltration: float


def make_tissues(rng: np.random.Generator, age: float) -> Tissues:
    """Draw one person's tissues: age in years."""

    def lean(base: str, watery: float, fatty: float = 0.0) -> Composition:
        return tissue({base: 1.0 - watery - fatty, "water": watery, "triglyceride": fatty})

    lipid = rng.uniform(0.76, 0.92)
    return Tissues(
        fat=tissue({"triglyceride": lipid, "water": 1.0 - lipid}),
        muscle=lean("muscle", rng.uniform(0.0, 0.15), rng.uniform(0.0, 0.05)),
        blood=lean("blood", rng.uniform(0.05, 0.35)),
        liver=lean("blood", 0.0, rng.uniform(0.0, 0.14)),
        spleen=lean("blood", rng.uniform(0.05, 0.25)),
        kidney=lean("muscle", rng.uniform(0.15, 0.4)),
        bowel=lean("muscle", rng.uniform(0.3, 0.7)),
        disc={"muscle": 1.05, "CaHA": rng.uniform(0.015, 0.045)},
        dural_sac=lean("muscle", rng.uniform(0.35, 0.75)),
        epidural=lean("muscle", 0.3, rng.uniform(0.3, 0.6)),
        skin=lean("muscle", 0.4, 0.1),
        lung=mixture((rng.uniform(0.11, 0.2), tissue({"blood": 1.0}))),
        infiltration=float(np.clip(0.02 + 0.004 * (age - 40.0) + rng.normal(0.0, 0.05), 0.0, 0.35)),
    )


@dataclass(frozen=True)
class SmoothField:
    """Unit-variance smooth random field of LPS position, read off a periodic lattice at any scale."""

    lattice: np.ndarray

    @classmethod
    def make(cls, rng: np.random.Generator, size: int = 72) -> SmoothField:
        lattice = rng.standard_normal((size, size, size), dtype=np.float32)
        return cls(lattice)

    def at(self, x: np.ndarray, y: np.ndarray, z: np.ndarray, step_mm: float) -> np.ndarray:
        """Field over the product of three axes (nx,), (ny,), (nz,) as (nz, ny, nx); `step_mm` is its grain."""
        (x0, x1, tx), (y0, y1, ty), (z0, z1, tz) = (self._between(axis / step_mm) for axis in (x, y, z))
        out = np.empty((len(tz), len(ty), len(tx)), np.float32)
        for k, part in enumerate(tz):
            plane = self.lattice[z0[k]] * (1 - part) + self.lattice[z1[k]] * part
            rows = plane[y0] * (1 - ty[:, None]) + plane[y1] * ty[:, None]
            out[k] = rows[:, x0] * (1 - tx) + rows[:, x1] * tx
        return out * np.float32(1.5)  # interpolation averages: bring the variance back near 1

    def _between(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lattice neighbours below and above each coordinate (periodic), and the share of the upper one."""
        base = np.floor(at).astype(int)
        n = self.lattice.shape[0]
        return base % n, (base + 1) % n, (at - base).astype(np.float32)
