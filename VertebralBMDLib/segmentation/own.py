"""The user's own label map in place of an engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..anatomy import LABELS, LEVELS
from ..quality import Code, Refused
from ..scan import Scan
from .labelled import labelled_bodies, numbered_from_cranial
from .levels import Naming
from .named_labels import NamedLabel, named_labels
from .numbering import levels_by_number
from .vertebrae import Progress, Vertebrae
from .whole_vertebrae import CutBodies, cut_bodies, whole_labels

_GRID_TOLERANCE_MM = 0.01
#: Two segments that share more of the smaller one than this overlap; less is the rim of smoothed segments.
_OVERLAP = 0.01


class LabelMapEngine:
    """Bodies from the user's file on the scan's own grid; its names are taken as certain.

    The file may name its labels (3D Slicer's .seg.nrrd, the label table in TotalSegmentator's NIfTI); where it does not,
    its numbers are VerSe's or TotalSegmentator's (``numbering``: "auto", "verse" or "totalsegmentator"). Whole vertebrae
    are cut to bodies by the bundled network, which runs on ``device``.
    """

    name = "label-map"

    def __init__(self, path: Path, numbering: str = "auto", device: str = "cpu"):
        self._path = path
        self._numbering = numbering
        self._device = device

    def segment(self, scan: Scan, progress: Progress) -> Vertebrae:
        """See ``Engine``. Raises Refused (LABEL_MAP_UNUSABLE, LABELS_AMBIGUOUS, WHOLE_VERTEBRAE, NO_VERTEBRAE)."""
        label_map, flags = self._verse_map(scan.image)
        progress(0.2)
        whole = whole_labels(scan, label_map, list(LEVELS))
        cut = CutBodies(label_map, frozenset(), ())
        if whole:
            cut = cut_bodies(scan, label_map, whole, self._device, lambda fraction: progress(0.2 + 0.7 * fraction))
            flags = (*flags, Code.BODIES_CUT_OUT) if cut.models else flags
        numbered, levels, _centroids, complete = numbered_from_cranial(cut.label_map)
        if not levels:
            raise Refused(Code.NO_VERTEBRAE)
        naming = Naming(levels, (1.0,) * len(levels), flags)
        return labelled_bodies(numbered, naming, cut.complete(levels, complete), self.name, cut.models)

    def _verse_map(self, reference: sitk.Image) -> tuple[sitk.Image, tuple[Code, ...]]:
        """The file's labels in VerSe numbers on the grid of ``reference``, and what was seen."""
        named = named_labels(self._path) if self._numbering == "auto" else ()
        if named:
            return _from_names(self._path, named, reference)
        labels = read_label_map(self._path, reference)
        statistics = sitk.LabelShapeStatisticsImageFilter()
        statistics.Execute(labels)
        levels = levels_by_number({label: np.array(statistics.GetCentroid(label)) for label in statistics.GetLabels()}, self._numbering)
        table = np.zeros(256, dtype=np.uint8)
        for label, level in levels.items():
            table[label] = LABELS[level]
        return _on_grid(table[sitk.GetArrayViewFromImage(labels)], reference), ()


def read_label_map(path: Path, reference: sitk.Image, part: bool = False) -> sitk.Image:
    """A label map (uint8) on the grid of ``reference``; with ``part`` also one that covers a part of it, as 3D Slicer writes them.

    Raises Refused(LABEL_MAP_UNUSABLE).
    """
    image = _read(path)
    if part and image.GetSize() != reference.GetSize():
        inside, place = _common(image, reference)
        labels = np.zeros(reference.GetSize()[::-1], dtype=np.uint8)
        labels[place] = _checked_labels(sitk.GetArrayViewFromImage(image))[inside]
        return _on_grid(labels, reference)
    if image.GetSize() != reference.GetSize():
        raise Refused(Code.LABEL_MAP_UNUSABLE, f"size {image.GetSize()}, scan {reference.GetSize()}")
    if any(np.abs(_corner(image, far) - _corner(reference, far)).max() > _GRID_TOLERANCE_MM for far in (False, True)):
        raise Refused(Code.LABEL_MAP_UNUSABLE, "another position, spacing or direction than the scan")
    _checked_labels(sitk.GetArrayViewFromImage(image))
    labels = sitk.Cast(image, sitk.sitkUInt8)
    labels.CopyInformation(reference)
    return labels


def _checked_labels(values: np.ndarray) -> np.ndarray:
    """``values`` as they are. Raises Refused(LABEL_MAP_UNUSABLE) for what cannot be labels."""
    if values.ndim != 3 or values.min() < 0 or values.max() > 255 or np.any(values != np.round(values)):
        raise Refused(Code.LABEL_MAP_UNUSABLE, "values that are not labels from 0 to 255")
    return values


def _from_names(path: Path, named: tuple[NamedLabel, ...], reference: sitk.Image) -> tuple[sitk.Image, tuple[Code, ...]]:
    """A file with named labels: layers (.seg.nrrd) and an extent smaller than the scan's are as 3D Slicer writes them."""
    image = _read(path)
    layers = sitk.GetArrayViewFromImage(image).reshape(*image.GetSize()[::-1], -1)
    part, place = _common(image, reference)
    labels = np.zeros(reference.GetSize()[::-1], dtype=np.uint8)
    flags: tuple[Code, ...] = ()
    for label in named:
        if label.layer >= layers.shape[3]:
            raise Refused(Code.LABEL_MAP_UNUSABLE, f"the layer of {label.level} is missing")
        mask = layers[..., label.layer] == label.value
        inside = mask[part]
        if inside.sum() < mask.sum():
            raise Refused(Code.LABEL_MAP_UNUSABLE, f"{label.level} reaches out of the scan")
        taken = labels[place][inside]
        if taken.any() and (taken > 0).mean() > _OVERLAP:
            flags = (Code.BODIES_OVERLAP,)
        labels[place][inside & (labels[place] == 0)] = LABELS[label.level]
    return _on_grid(labels, reference), flags


def _common(image: sitk.Image, reference: sitk.Image) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The block (z, y, x) of ``image`` that lies in ``reference``, in the indices of both. Raises Refused(LABEL_MAP_UNUSABLE)."""
    start = np.array(reference.TransformPhysicalPointToContinuousIndex(image.GetOrigin()))
    steps = np.array(image.GetDirection()) * np.tile(image.GetSpacing(), 3) - np.array(reference.GetDirection()) * np.tile(
        reference.GetSpacing(), 3
    )
    tolerance = _GRID_TOLERANCE_MM / np.array(reference.GetSpacing())
    # Over the whole image, the voxels must stay on those of the scan.
    if np.any(np.abs(start - np.round(start)) > tolerance) or np.abs(steps).max() * max(image.GetSize()) > _GRID_TOLERANCE_MM:
        raise Refused(Code.LABEL_MAP_UNUSABLE, "another position, spacing or direction than the scan")
    low = np.round(start).astype(int)
    first, last = np.maximum(low, 0), np.minimum(low + image.GetSize(), reference.GetSize())
    if np.any(first >= last):
        raise Refused(Code.LABEL_MAP_UNUSABLE, "another position than the scan")
    part = tuple(slice(a - o, b - o) for a, b, o in zip(first[::-1], last[::-1], low[::-1]))
    return part, tuple(slice(a, b) for a, b in zip(first[::-1], last[::-1]))


def _read(path: Path) -> sitk.Image:
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise Refused(Code.LABEL_MAP_UNUSABLE, "unreadable") from error
    if image.GetDimension() != 3:
        raise Refused(Code.LABEL_MAP_UNUSABLE, f"{image.GetDimension()} dimensions")
    return image


def _on_grid(labels: np.ndarray, reference: sitk.Image) -> sitk.Image:
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(reference)
    return image


def _corner(image: sitk.Image, far: bool) -> np.ndarray:
    return np.array(image.TransformIndexToPhysicalPoint([n - 1 if far else 0 for n in image.GetSize()]))
