"""The voxels of one segment as an image in world LPS."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .volumes import array, placed, to_world

#: Voxels around the segment that stay.
_MARGIN = 2


def segment_mask(segmentation_node, segment_id: str) -> sitk.Image | None:
    """A segment as a binary image (uint8) in world LPS mm, cut to its box with two voxels around it; None where it is empty or gone.

    A segment that is a surface only is made into voxels first. Raises Refused (NONLINEAR_TRANSFORM, SHEARED).
    """
    segment = segmentation_node.GetSegmentation().GetSegment(segment_id) if segment_id else None
    name = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
    if segment is None or (segment.GetRepresentation(name) is None and not segmentation_node.CreateBinaryLabelmapRepresentation()):
        return None
    # The layer as it is, which other segments share: Slicer's own copy of a segment takes much longer.
    data = segment.GetRepresentation(name)
    if data is None or data.GetPointData().GetScalars() is None:
        return None
    inside = vtk_to_numpy(data.GetPointData().GetScalars()).reshape(data.GetDimensions()[::-1]) == segment.GetLabelValue()
    spans = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not spans[0].size:
        return None
    box = tuple(slice(span[0], span[-1] + 1) for span in spans)
    first = np.array([span[0] for span in spans[::-1]]) + data.GetExtent()[::2] - _MARGIN
    matrix = vtk.vtkMatrix4x4()
    data.GetImageToWorldMatrix(matrix)
    ijk_to_world = to_world(segmentation_node) @ array(matrix)
    ijk_to_world[:3, 3] = (ijk_to_world @ [*first, 1])[:3]
    return placed(sitk.GetImageFromArray(np.pad(inside[box], _MARGIN).astype(np.uint8)), ijk_to_world)
