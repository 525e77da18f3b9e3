"""Small scans with a column of boxes: T12 with ribs, L1, and L2 that the border cuts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import SimpleITK as sitk

from VertebralBMDLib.training.annotated import Annotated, annotated

T12, L1, CUT_L2 = 19, 20, 121
#: Boxes (z, y, x) in voxels of 3 mm; z rises to the head, and L2 ends with the scan.
BOXES = {T12: np.s_[29:37, 18:28, 16:28], L1: np.s_[16:26, 18:28, 16:28], CUT_L2: np.s_[0:6, 18:28, 16:28]}
RIBS = np.s_[31:34, 20:34, 4:12]
ORGANS = {2: 28, 4: 92}  # structure: a number of TotalSegmentator that means it


def arrays(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU, bodies (+100 where cut) and structures, each (z, y, x) = (40, 44, 44)."""
    hu = np.random.default_rng(seed).normal(40.0, 15.0, (40, 44, 44)).astype(np.int16)
    bodies, structures = np.zeros(hu.shape, np.uint8), np.zeros(hu.shape, np.uint8)
    for label, box in BOXES.items():
        bodies[box], structures[box] = label, 1
    structures[:, 30:36, 20:24], structures[RIBS] = 2, 4
    hu[structures > 0] += 220
    hu[:, :3], hu[:, -3:] = -1000, -1000
    return hu, bodies, structures


def image_of(array: np.ndarray, spacing_mm=(3.0, 3.0, 3.0)) -> sitk.Image:
    """An image in LPS from an array (z, y, x)."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing_mm)
    image.SetOrigin((-40.0, 25.0, 610.0))
    return image


def made_scan(spacing_mm: float = 3.0, named: bool = True) -> Annotated:
    """The column with all bones named, or with the bodies alone as in most real scans."""
    hu, bodies, structures = (image_of(array) for array in arrays())
    return annotated("made", hu, bodies, spacing_mm, structures if named else None)


def made_patient(seed: int) -> SimpleNamespace:
    """What ``simulate_patient`` returns, as far as training reads it."""
    hu, bodies, structures = arrays(seed)
    levels = {
        "T12": {"label": T12, "complete": True, "rib_pair": "full"},
        "L1": {"label": L1, "complete": True, "rib_pair": "none"},
        "L2": {"label": CUT_L2 - 100, "complete": False, "rib_pair": "none"},
    }
    images = [image_of(array) for array in (hu, np.where(bodies > 100, bodies - 100, bodies), structures)]
    return SimpleNamespace(image=images[0], bodies=images[1], structures=images[2], truth={"levels": levels})


def write_folder(folder: Path, names: str = "ab") -> Path:
    """``CT_x`` and ``BODIES_x`` for every letter of ``names``, and a scan ``z`` that nobody annotated."""
    folder.mkdir(parents=True, exist_ok=True)
    hu, bodies, _structures = (image_of(array) for array in arrays())
    for name in names:
        sitk.WriteImage(hu, str(folder / f"CT_{name}.nii.gz"))
        sitk.WriteImage(bodies, str(folder / f"BODIES_{name}.nii.gz"))
    sitk.WriteImage(hu, str(folder / "CT_z.nii.gz"))
    return folder
