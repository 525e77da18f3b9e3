"""CT scans with annotated vertebral bodies, resampled for training.

A folder holds ``CT_<name>.nii.gz`` and ``BODIES_<name>.nii.gz`` (VerSe numbers; +100 for bodies cut by the border, whose
outline is not reliable), and where there is one ``ORGANS_<name>.nii.gz`` (numbers of TotalSegmentator's ``total`` task).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..anatomy import LABELS
from ..grid import cropped_to, field_grid, resampled
from ..segmentation.labelled import mapped

_CUT = 100
#: VerSe numbers of the bodies that usually bear ribs: T1 to T12 and T13.
THORACIC = frozenset(LABELS[f"T{n}"] for n in range(1, 14))
#: Bone that nobody named: its voxel may be any structure but a vertebral body.
UNNAMED = 255
_BONE_HU, _NEAR_BONE_MM = 150.0, 4.5


@dataclass(frozen=True)
class Annotated:
    """All arrays (z, y, x) on one grid along the patient's axes. ``hu``: int16; ``labels``: uint8, VerSe numbers of bodies, +100
    where the border cuts them; ``structures``: uint8, numbers of ``network.segmentation.STRUCTURES`` or ``UNNAMED``;
    ``centres``: voxel (z, y, x) by label; ``ribbed``: labels of the bodies that bear ribs."""

    name: str
    hu: np.ndarray
    labels: np.ndarray
    structures: np.ndarray
    centres: dict[int, tuple[float, float, float]]
    ribbed: frozenset[int]


def annotated_scans(folder: Path, spacing_mm: float, leave_out: frozenset[str] = frozenset()) -> list[Annotated]:
    """Every annotated scan of ``folder`` but those named in ``leave_out``, at ``spacing_mm``.

    Raises FileNotFoundError if there is none, ValueError for a scan to leave out that is not there (a slip of the pen would
    train on it) and for one without bodies.
    """
    names = sorted(p.name[len("CT_") : -len(".nii.gz")] for p in folder.glob("CT_*.nii.gz"))
    unknown = leave_out - set(names)
    if unknown:
        raise ValueError(f"There is no scan {', '.join(sorted(unknown))} to leave out. Scans are: {', '.join(names)}.")
    chosen = [name for name in names if name not in leave_out and (folder / f"BODIES_{name}.nii.gz").exists()]
    if not chosen:
        raise FileNotFoundError(f"No CT_*.nii.gz with BODIES_*.nii.gz in {folder}.")
    return [_read(folder, name, spacing_mm) for name in chosen]


def _read(folder: Path, name: str, spacing_mm: float) -> Annotated:
    image, bodies = (sitk.ReadImage(str(folder / f"{kind}_{name}.nii.gz")) for kind in ("CT", "BODIES"))
    organs = folder / f"ORGANS_{name}.nii.gz"
    scan = annotated(name, image, bodies, spacing_mm, _structures(sitk.ReadImage(str(organs))) if organs.exists() else None)
    if not scan.centres:
        raise ValueError(f"BODIES_{name}.nii.gz has no body within CT_{name}.nii.gz. Correct it, or move the scan out of the folder.")
    return scan


def _structures(organs: sitk.Image) -> sitk.Image:
    """Numbers of ``network.segmentation.STRUCTURES`` from those of TotalSegmentator's ``total`` task (version 2)."""
    table = np.zeros(256, dtype=np.uint8)
    for structure, numbers in ((2, range(27, 51)), (3, (25, 26)), (4, range(92, 116)), (5, (77, 78))):
        table[list(numbers)] = structure
    return mapped(organs, table)


def annotated(
    name: str,
    image: sitk.Image,
    bodies: sitk.Image,
    spacing_mm: float,
    structures: sitk.Image | None = None,
    ribbed: frozenset[int] = THORACIC,
) -> Annotated:
    """A scan and its label maps at ``spacing_mm``. A voxel belongs to the label that fills at least half of it.

    Without ``structures`` all bone outside the bodies, and everything within 4.5 mm of it, is ``UNNAMED``. ``ribbed``: VerSe
    numbers of the bodies that bear ribs.
    """
    grid = field_grid(image, spacing_mm)
    hu = sitk.GetArrayFromImage(resampled(image, grid)).round().astype(np.int16)
    labels = filled_at_least_half(bodies, grid)
    if structures is None:
        near_bone = ndimage.binary_dilation(hu >= _BONE_HU, iterations=round(_NEAR_BONE_MM / spacing_mm))
        named = np.where(near_bone, UNNAMED, 0).astype(np.uint8)
    else:
        named = filled_at_least_half(structures, grid)
    named[(labels > 0) & (labels < _CUT)] = 1
    named[labels > _CUT] = UNNAMED
    return Annotated(name, hu, labels, named, centres_of(labels), ribbed)


def centres_of(labels: np.ndarray) -> dict[int, tuple[float, float, float]]:
    """Mean voxel (z, y, x) of every label."""
    found = [int(label) for label in np.unique(labels) if label]
    return dict(zip(found, ndimage.center_of_mass(labels > 0, labels, found)))


def filled_at_least_half(label_map: sitk.Image, grid: sitk.Image) -> np.ndarray:
    """``label_map`` on ``grid`` as uint8 (z, y, x): each voxel has the label that fills at least half of it, else 0."""
    labels = np.zeros(grid.GetSize()[::-1], dtype=np.uint8)
    boxes = sitk.LabelShapeStatisticsImageFilter()
    boxes.Execute(label_map)
    for label in boxes.GetLabels():
        box = boxes.GetBoundingBox(label)
        low = [max(0, start - 4) for start in box[:3]]
        high = [min(size, start + extent + 4) for start, extent, size in zip(box[:3], box[3:], label_map.GetSize())]
        part = sitk.RegionOfInterest(label_map, [b - a for a, b in zip(low, high)], low) == label
        region = cropped_to(grid, part, margin=1)
        share = sitk.GetArrayFromImage(resampled(sitk.Cast(part, sitk.sitkFloat32), region, outside=0.0))
        start = grid.TransformPhysicalPointToIndex(region.GetOrigin())[::-1]
        window = labels[tuple(slice(s, s + n) for s, n in zip(start, share.shape))]
        window[share >= 0.5] = label
    return labels


def complete(label: int) -> bool:
    """True for a body that the scan holds whole."""
    return label < _CUT
