"""Crops around vertebrae whose density is known: what the density network is trained and judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Crops:
    """One row per vertebra. Crops are larger than what the network reads by a margin on every side, so that they can be read anew.

    hu: int16 (n, z, y, x) HU on the network's spacing, axes as LPS. body: uint8 of the same shape, 255 times the share of each
    voxel in the vertebral body, 0 everywhere where nobody has outlined it. roi: the same of the ROI of the reference. vbmd: reference
    (n,) mg/cm³ CaHA at 120 kVp. kvp: tube voltage, NaN unknown. slope_error, intercept_hu: known linear error of the scan's HU, NaN
    where unknown. age: years, NaN unknown. patient, level, site, sex: texts. eligible: False for a vertebra that the paper would not measure (fractured, or too
    much of its ROI diseased): it is trained on, and judged apart.
    """

    hu: np.ndarray
    body: np.ndarray
    roi: np.ndarray
    vbmd: np.ndarray
    kvp: np.ndarray
    slope_error: np.ndarray
    intercept_hu: np.ndarray
    patient: np.ndarray
    level: np.ndarray
    site: np.ndarray
    sex: np.ndarray
    age: np.ndarray
    eligible: np.ndarray

    def __len__(self) -> int:
        return len(self.vbmd)

    def where(self, chosen: np.ndarray) -> Crops:
        """The rows that a mask or indices choose."""
        return Crops(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    def save(self, path: Path) -> None:
        """Write them as npz; the file is there only when it is whole."""
        temporary = path.with_suffix(".part.npz")
        np.savez_compressed(temporary, **{field.name: getattr(self, field.name) for field in fields(self)})
        temporary.replace(path)

    @staticmethod
    def load(path: Path) -> Crops:
        """What ``save`` wrote."""
        with np.load(path) as stored:
            return Crops(**{field.name: stored[field.name] for field in fields(Crops)})

    @staticmethod
    def joined(parts: Sequence[Crops]) -> Crops:
        """All rows of the parts, in their order."""
        return Crops(**{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Crops)})
