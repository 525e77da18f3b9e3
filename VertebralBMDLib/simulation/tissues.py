"""One person's soft tissues, as compositions: the same person scanned at another voltage keeps them.

Spread between people is wide on purpose, so that bone cannot be inferred from fat or muscle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from VertebralBMDLib.simulation.contrast import Iodine
from VertebralBMDLib.simulation.materials import Composition, mixture, tissue, with_iodine


@dataclass(frozen=True)
class Tissues:
    """What each tissue is made of.

    infiltration: share of fat in the muscles of the back. plaques: expected number of calcified aortic plaques.
    """

    fat: Composition
    muscle: Composition
    blood: Composition
    artery: Composition
    vein: Composition
    portal_vein: Composition
    right_heart: Composition
    myocardium: Composition
    liver: Composition
    spleen: Composition
    cortex: Composition
    medulla: Composition
    pancreas: Composition
    gut: Composition
    chyme: Composition
    stool: Composition
    bile: Composition
    urine: Composition
    disc: Composition
    csf: Composition
    cord: Composition
    cartilage: Composition
    skin: Composition
    lung: Composition
    infiltration: float
    plaques: float


def make_tissues(rng: np.random.Generator, age: float, iodine: Iodine = Iodine()) -> Tissues:
    """Draw one person's tissues: age in years; iodine adds contrast medium to the same tissues.

    At 120 kV: fat -117 to -90 HU, lean muscle 35 to 63, blood 32 to 56, liver 30 to 65.
    """

    def lean(base: str, watery: float, fatty: float = 0.0, dense: float = 1.0) -> Composition:
        return mixture((dense, tissue({base: 1.0 - watery - fatty, "water": watery, "triglyceride": fatty})))

    lipid = rng.uniform(0.78, 1.0)
    muscle = lean("muscle", rng.uniform(0.0, 0.1), rng.uniform(0.0, 0.03), rng.uniform(0.998, 1.018))
    blood = lean("blood", rng.uniform(0.0, 0.42))
    steatosis = np.clip(rng.lognormal(np.log(0.03), 0.9), 0.0, 0.35)
    gut = lean("muscle", rng.uniform(0.1, 0.4))
    kidney = lean("muscle", rng.uniform(0.15, 0.4))
    return Tissues(
        fat=tissue({"triglyceride": lipid, "water": 1.0 - lipid}),
        muscle=with_iodine(muscle, iodine.muscle),
        blood=blood,
        artery=with_iodine(blood, iodine.artery),
        vein=with_iodine(blood, iodine.vein),
        portal_vein=with_iodine(blood, iodine.portal_vein),
        right_heart=with_iodine(blood, iodine.right_heart),
        myocardium=with_iodine(lean("muscle", 0.05), 2.0 * iodine.pancreas if iodine.artery else 0.0),
        liver=with_iodine(lean("blood", 0.0, steatosis, rng.uniform(0.997, 1.012)), iodine.liver),
        spleen=with_iodine(lean("blood", rng.uniform(0.05, 0.25)), iodine.spleen),
        cortex=with_iodine(kidney, iodine.cortex),
        medulla=with_iodine(kidney, iodine.medulla),
        pancreas=with_iodine(lean("muscle", 0.1, rng.uniform(0.0, 0.2)), iodine.pancreas),
        gut=with_iodine(gut, iodine.gut),
        chyme=with_iodine(lean("muscle", rng.uniform(0.5, 0.9)), iodine.oral),
        stool=lean("muscle", rng.uniform(0.0, 0.3)),
        bile=lean("muscle", rng.uniform(0.6, 0.9)),
        urine=lean("muscle", rng.uniform(0.75, 1.0)),
        disc={"muscle": 1.05, "CaHA": rng.uniform(0.015, 0.045)},
        csf=lean("muscle", rng.uniform(0.65, 0.95)),
        cord=lean("muscle", rng.uniform(0.0, 0.25)),
        cartilage={"muscle": 1.08, "CaHA": float(np.clip(rng.normal(0.0008 * (age - 30.0), 0.01), 0.0, 0.1))},
        skin=lean("muscle", 0.2, 0.1),
        lung=mixture((rng.uniform(0.10, 0.19), tissue({"blood": 1.0}))),
        infiltration=float(np.clip(0.03 + 0.004 * (age - 40.0) + rng.normal(0.0, 0.06), 0.0, 0.4)),
        plaques=float(max(age - 48.0, 0.0) / 4.0 * rng.lognormal(0.0, 0.8)),
    )


@dataclass(frozen=True)
class SmoothField:
    """Unit-variance smooth random field of LPS position: quadratic B-splines on a periodic lattice, read at any scale."""

    lattice: np.ndarray

    @classmethod
    def make(cls, rng: np.random.Generator, size: int = 64) -> SmoothField:
        return cls(rng.standard_normal((size, size, size), dtype=np.float32))

    def at(self, x: np.ndarray, y: np.ndarray, z: np.ndarray, step_mm: float) -> np.ndarray:
        """Field over the product of three axes (nx,), (ny,), (nz,) as (nz, ny, nx) float32; `step_mm` is its grain."""
        weights, touched = zip(*(self._weights(np.asarray(axis, float) / step_mm) for axis in (z, y, x)))
        return separable(self.lattice[np.ix_(*touched)] * np.float32(0.55**-1.5), *weights)  # 0.55: mean square of the spline

    def _weights(self, at: np.ndarray) -> tuple[csr_array, np.ndarray]:
        """Weight of each lattice index that the coordinates touch, and those indices (periodic)."""
        n = self.lattice.shape[0]
        base = np.rint(at).astype(int)
        t = (at - base).astype(np.float32)
        touched, place = np.unique(np.stack([base - 1, base, base + 1], axis=1) % n, return_inverse=True)
        shares = np.stack([0.5 * (0.5 - t) ** 2, 0.75 - t**2, 0.5 * (0.5 + t) ** 2], axis=1)
        return csr_array((shares.ravel(), place.ravel(), np.arange(0, 3 * len(at) + 1, 3)), shape=(len(at), len(touched))), touched


def separable(values: np.ndarray, in_z: csr_array, in_y: csr_array, in_x: csr_array) -> np.ndarray:
    """Interpolate (mz, my, mx) along each axis by sparse weights, (nz, ny, nx) float32.

    Sparse on purpose: small dense products start threads that fight over the cores when patients are drawn in parallel.
    """
    mz, my, mx = values.shape
    part = (in_z @ values.reshape(mz, -1)).reshape(-1, mx)
    part = np.ascontiguousarray((in_x @ np.ascontiguousarray(part.T)).T).reshape(-1, my, in_x.shape[0])
    rows = in_y @ np.ascontiguousarray(part.swapaxes(0, 1)).reshape(my, -1)
    return np.ascontiguousarray(rows.reshape(in_y.shape[0], len(part), in_x.shape[0]).swapaxes(0, 1))
