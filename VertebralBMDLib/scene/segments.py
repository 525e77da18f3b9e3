"""Label maps become the segments of a segmentation node, with their terminology and colours."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ..anatomy import LEVELS, SNOMED

#: Okabe and Ito's palette, told apart by colour-blind readers too; neighbouring levels differ.
_COLOURS = ((0.90, 0.62, 0.00), (0.34, 0.71, 0.91), (0.00, 0.62, 0.45), (0.80, 0.47, 0.65), (0.94, 0.89, 0.26), (0.84, 0.37, 0.00))
_BONE_WHITE = (0.95, 0.92, 0.85)

_TERMINOLOGY = "Segmentation category and type - 3D Slicer General Anatomy list"
_ANATOMY = "Anatomic codes - DICOM master list"


def fill_segmentation(segmentation_node, volume_node, layers: list[tuple[str, sitk.Image]]) -> None:
    """A segment for every label of every (kind, label map); the ROI is filled so that it stands out inside its body."""
    segmentation_node.GetSegmentation().RemoveAllSegments()
    segmentation_node.CreateDefaultDisplayNodes()
    segmentation_node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    segmentation_node.SetNodeReferenceID(segmentation_node.GetReferenceImageGeometryReferenceRole(), volume_node.GetID())
    segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    for kind, image in layers:
        labels = sitk.GetArrayViewFromImage(image)
        layer = oriented_image(labels, volume_node)
        for label in np.unique(labels[labels > 0]).tolist():
            level = LEVELS.get(label, f"Label {label}")
            name = f"{level} {kind}"
            segmentation_node.GetSegmentation().AddSegment(_segment(name, level, kind, label, layer), name)
            segmentation_node.GetDisplayNode().SetSegmentOpacity2DFill(name, 0.5 if kind == "ROI" else 0.0)


def _segment(name: str, level: str, kind: str, label: int, layer):
    """A vtkSegment whose voxels are those of ``layer`` that equal ``label``; segments of one layer share its memory."""
    segment = slicer.vtkSegment()
    segment.SetName(name)
    colour = np.array(_COLOURS[label % len(_COLOURS)])
    segment.SetColor(*(colour if kind == "ROI" else (colour + _BONE_WHITE) / 2))
    segment.AddRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName(), layer)
    segment.SetLabelValue(label)
    segment.SetTag(segment.GetTerminologyEntryTagName(), _terminology(level, kind))
    return segment


def _terminology(level: str, kind: str) -> str:
    """Slicer's serialised terminology: the vertebra itself for a body, bone tissue in that vertebra for an ROI.

    The lists that Slicer ships name no trabecular bone, so the tissue is "Bone"; the segment's name says the rest.
    """
    vertebra = f"SCT^{SNOMED[level]}^{level} vertebra" if level in SNOMED else "SCT^51282000^Vertebra"
    if kind == "ROI":
        return f"{_TERMINOLOGY}~SCT^85756007^Tissue~SCT^272673000^Bone~^^~{_ANATOMY}~{vertebra}~^^"
    return f"{_TERMINOLOGY}~SCT^123037004^Anatomical Structure~{vertebra}~^^~{_ANATOMY}~^^~^^"


def oriented_image(labels: np.ndarray, volume_node):
    """``labels`` (k, j, i) as vtkOrientedImageData in the volume's own frame, cut to its labelled box to save memory."""
    spans = [np.flatnonzero(labels.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    low, high = ([int(span[end]) if len(span) else 0 for span in spans] for end in (0, -1))
    box = labels[tuple(slice(a, b + 1) for a, b in zip(low, high))]
    image = slicer.vtkOrientedImageData()
    image.SetExtent(low[2], high[2], low[1], high[1], low[0], high[0])
    image.GetPointData().SetScalars(numpy_to_vtk(box.astype(np.uint8).ravel(), deep=True))
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    image.SetGeometryFromImageToWorldMatrix(matrix)
    return image
