"""The user's own segmentation of vertebral bodies, made into a label map for the worker."""

from __future__ import annotations

from itertools import product

import numpy as np
import SimpleITK as sitk
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ..quality import Code, Refused
from ..segmentation.named_labels import level_of_segment
from .masks import segment_mask
from .volumes import ijk_to_world, placed


def own_bodies(node, volume_node) -> sitk.Image:
    """The bodies of a vtkMRMLSegmentationNode or vtkMRMLLabelMapVolumeNode as a label map (uint8) in world LPS.

    Segments are taken by their names or terminology ("L1 body", "vertebrae_L1"), on the grid of ``volume_node`` and cut to
    what they fill; the header names the labels as a .seg.nrrd does. Discs, ROIs and what else is no vertebra stay out. A label
    map node keeps its own grid and numbers. Raises Refused: LABEL_MAP_UNUSABLE where no segment, or several, are named
    after a vertebra or none lies in the scan, NONLINEAR_TRANSFORM and SHEARED.
    """
    if node.IsA("vtkMRMLSegmentationNode"):
        return _from_segments(node, volume_node)
    data = node.GetImageData()
    values = None if data is None else vtk_to_numpy(data.GetPointData().GetScalars()).reshape(data.GetDimensions()[::-1])
    if values is None or values.min() < 0 or values.max() > 255:
        raise Refused(Code.LABEL_MAP_UNUSABLE, "no voxels" if values is None else "values that are not labels from 0 to 255")
    return placed(sitk.GetImageFromArray(values.astype(np.uint8)), ijk_to_world(node))


def _from_segments(node, volume_node) -> sitk.Image:
    levels = named_levels(node.GetSegmentation())
    grid = placed(sitk.Image([1, 1, 1], sitk.sitkUInt8), ijk_to_world(volume_node))
    masks = {level: segment_mask(node, id) for id, level in levels.items()}
    size = volume_node.GetImageData().GetDimensions()
    boxes = {level: _box(mask, grid, size) for level, mask in masks.items() if mask is not None}
    boxes = {level: box for level, box in boxes.items() if box is not None}
    if not boxes:
        raise Refused(Code.LABEL_MAP_UNUSABLE, "no named segment lies in the scan")
    first, last = (choose([box[end] for box in boxes.values()], axis=0) for end, choose in ((0, np.min), (1, np.max)))
    labels = np.zeros((last - first)[::-1], dtype=np.uint8)
    for value, (level, (low, high)) in enumerate(boxes.items(), start=1):
        part = labels[tuple(slice(a, b) for a, b in zip((low - first)[::-1], (high - first)[::-1]))]
        inside = sitk.Resample(masks[level], _cut(grid, low, high), sitk.Transform(), sitk.sitkNearestNeighbor)
        part[(sitk.GetArrayViewFromImage(inside) > 0) & (part == 0)] = value
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(_cut(grid, first, last))
    for number, level in enumerate(boxes):
        for field, text in (("Name", level), ("LabelValue", str(number + 1)), ("Layer", "0")):
            image.SetMetaData(f"Segment{number}_{field}", text)
    return image


def _cut(grid: sitk.Image, low: np.ndarray, high: np.ndarray) -> sitk.Image:
    """An empty image of the voxels from index ``low`` to before ``high`` of a grid."""
    image = sitk.Image((high - low).tolist(), sitk.sitkUInt8)
    image.SetSpacing(grid.GetSpacing())
    image.SetDirection(grid.GetDirection())
    image.SetOrigin(grid.TransformIndexToPhysicalPoint(low.tolist()))
    return image


def named_levels(segmentation) -> dict[str, str]:
    """The level of every segment that is named after a vertebra, by the segment's id.

    Raises Refused(LABEL_MAP_UNUSABLE) where there is none, or several of one name.
    """
    found = {}
    for index in range(segmentation.GetNumberOfSegments()):
        segment, tag = segmentation.GetNthSegment(index), vtk.mutable("")
        segment.GetTag(segment.GetTerminologyEntryTagName(), tag)
        level = level_of_segment(segment.GetName(), str(tag))
        if level is not None:
            found[segmentation.GetNthSegmentID(index)] = level
    named = list(found.values())
    twice = sorted({level for level in named if named.count(level) > 1})
    if twice or not found:
        why = f"several segments are named {', '.join(twice)}" if twice else "no segment is named L1 or alike"
        raise Refused(Code.LABEL_MAP_UNUSABLE, why)
    return found


def _box(mask: sitk.Image, grid: sitk.Image, size: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray] | None:
    """First index, and the one behind the last, of the part of a volume that a mask's image covers; None where it lies outside.

    ``grid``: any image with the volume's geometry; ``size``: its voxels (i, j, k).
    """
    ends = product(*((0, n - 1) for n in mask.GetSize()))
    corners = [grid.TransformPhysicalPointToContinuousIndex(mask.TransformIndexToPhysicalPoint(end)) for end in ends]
    low = np.maximum(np.floor(np.min(corners, axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(np.max(corners, axis=0)).astype(int) + 1, size)
    return (low, high) if np.all(low < high) else None
