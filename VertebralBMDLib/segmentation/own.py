"""The user's own label map in place of an engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..anatomy import LEVELS
from ..quality import Code, Refused
from ..scan import Scan
from .labelled import cut_by_border, labelled_bodies
from .levels import Naming
from .vertebrae import Progress, Vertebrae

_GRID_TOLERANCE_MM = 0.01


class LabelMapEngine:
    """Bodies from a label map with VerSe numbers on the scan's own grid; its names are taken as certain."""

    name = "label-map"

    def __init__(self, path: Path):
        self._path = path

    def segment(self, scan: Scan, progress: Progress) -> Vertebrae:
        """See ``Engine``. Raises Refused (LABEL_MAP_UNUSABLE, NO_VERTEBRAE)."""
        labels = sitk.GetArrayFromImage(read_label_map(self._path, scan.image))
        present = [int(value) for value in np.unique(labels) if int(value) in LEVELS]
        if not present:
            raise Refused(Code.NO_VERTEBRAE)
        centroids = {value: np.argwhere(labels == value).mean(axis=0)[::-1] for value in present}
        ordered = sorted(present, key=lambda value: -scan.image.TransformContinuousIndexToPhysicalPoint(centroids[value].tolist())[2])
        numbers = np.zeros(int(labels.max()) + 1, dtype=np.uint8)
        numbers[ordered] = range(1, len(ordered) + 1)
        numbered = sitk.GetImageFromArray(numbers[labels])
        numbered.CopyInformation(scan.image)
        complete = [not cut_by_border(labels == value, (0, 0, 0), scan.image) for value in ordered]
        return labelled_bodies(numbered, Naming(tuple(LEVELS[value] for value in ordered), 1.0), complete, self.name)


def read_label_map(path: Path, reference: sitk.Image) -> sitk.Image:
    """A label map (uint8) that lies on the grid of ``reference``. Raises Refused(LABEL_MAP_UNUSABLE)."""
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise Refused(Code.LABEL_MAP_UNUSABLE, "unreadable") from error
    if image.GetSize() != reference.GetSize():
        raise Refused(Code.LABEL_MAP_UNUSABLE, f"size {image.GetSize()}, scan {reference.GetSize()}")
    if any(np.abs(_corner(image, far) - _corner(reference, far)).max() > _GRID_TOLERANCE_MM for far in (False, True)):
        raise Refused(Code.LABEL_MAP_UNUSABLE, "another position, spacing or direction than the scan")
    values = sitk.GetArrayViewFromImage(image)
    if values.ndim != 3 or values.min() < 0 or values.max() > 255 or np.any(values != np.round(values)):
        raise Refused(Code.LABEL_MAP_UNUSABLE, "values that are not labels from 0 to 255")
    labels = sitk.Cast(image, sitk.sitkUInt8)
    labels.CopyInformation(reference)
    return labels


def _corner(image: sitk.Image, far: bool) -> np.ndarray:
    return np.array(image.TransformIndexToPhysicalPoint([n - 1 if far else 0 for n in image.GetSize()]))
