"""CT scans with annotated vertebral bodies, resampled for training.

A folder holds ``CT_<name>.nii.gz`` and ``BODIES_<name>.nii.gz`` (VerSe numbers; +100 for bodies cut by the border, whose
outline is not reliable).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..grid import field_grid, resampled

_CUT = 100


@dataclass(frozen=True)
class Annotated:
    """``hu``: int16, ``labels``: uint8, both (z, y, x) on a grid along the patient's axes; ``centres``: voxel (z, y, x) by label."""

    name: str
    hu: np.ndarray
    labels: np.ndarray
    centres: dict[int, tuple[float, float, float]]


def annotated_scans(folder: Path, spacing_mm: float, leave_out: frozenset[str] = frozenset()) -> list[Annotated]:
    """Every annotated scan of ``folder`` but those named in ``leave_out``, at ``spacing_mm``. Raises FileNotFoundError if none."""
    names = sorted(p.name[len("CT_") : -len(".nii.gz")] for p in folder.glob("CT_*.nii.gz"))
    chosen = [name for name in names if name not in leave_out and (folder / f"BODIES_{name}.nii.gz").exists()]
    if not chosen:
        raise FileNotFoundError(f"No CT_*.nii.gz with BODIES_*.nii.gz in {folder}.")
    return [
        annotated(
            name, sitk.ReadImage(str(folder / f"CT_{name}.nii.gz")), sitk.ReadImage(str(folder / f"BODIES_{name}.nii.gz")), spacing_mm
        )
        for name in chosen
    ]


def annotated(name: str, image: sitk.Image, bodies: sitk.Image, spacing_mm: float) -> Annotated:
    """A scan and its label map at ``spacing_mm``. A voxel belongs to the body that fills at least half of it."""
    grid = field_grid(image, spacing_mm)
    hu = sitk.GetArrayFromImage(resampled(image, grid)).astype(np.int16)
    labels = np.zeros(hu.shape, dtype=np.uint8)
    for label in np.unique(sitk.GetArrayViewFromImage(bodies)):
        if label:
            share = resampled(sitk.Cast(bodies == int(label), sitk.sitkFloat32), grid, outside=0.0)
            labels[sitk.GetArrayViewFromImage(share) >= 0.5] = label
    centres = {int(label): tuple(np.argwhere(labels == label).mean(axis=0)) for label in np.unique(labels) if label}
    return Annotated(name, hu, labels, centres)


def complete(label: int) -> bool:
    """True for a body that the scan holds whole."""
    return label < _CUT
