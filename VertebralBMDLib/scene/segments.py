"""Label maps become the segments of a segmentation node, with their terminology and colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Layer:
    """The labelled box of a label map: ``kind`` "body" or "ROI"; ``size`` (i, j, k) of the whole map; ``start`` (i, j, k) of the
    box; ``voxels`` uint8 (k, j, i) VerSe numbers; ``labels``: those that occur."""

    kind: str
    size: tuple[int, int, int]
    start: tuple[int, int, int]
    voxels: np.ndarray
    labels: tuple[int, ...]


def layers_of(bodies: sitk.Image | None, roi: sitk.Image | None) -> list[Layer]:
    """The label maps that are there, cut to their labelled boxes; takes a while for large ones, in any thread."""
    return [_layer(kind, image) for kind, image in (("body", bodies), ("ROI", roi)) if image is not None]


def _layer(kind: str, image: sitk.Image) -> Layer:
    labels = sitk.GetArrayViewFromImage(image)
    spans = [np.flatnonzero(labels.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    low, high = ([int(span[end]) if len(span) else 0 for span in spans] for end in (0, -1))
    box = labels[tuple(slice(a, b + 1) for a, b in zip(low, high))].astype(np.uint8)
    return Layer(kind, image.GetSize(), tuple(low[::-1]), box, tuple(np.unique(box[box > 0]).tolist()))


def fill_segmentation(segmentation_node, volume_node, layers: Sequence[Layer]) -> None:
    """A segment for every label of every layer; the ROI is filled so that it stands out inside its body."""
    segmentation_node.GetSegmentation().RemoveAllSegments()
    segmentation_node.CreateDefaultDisplayNodes()
    segmentation_node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    segmentation_node.SetNodeReferenceID(segmentation_node.GetReferenceImageGeometryReferenceRole(), volume_node.GetID())
    segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    for layer in layers:
        image = _oriented_image(layer, volume_node)
        for label in layer.labels:
            level = LEVELS.get(label, f"Label {label}")
            name = f"{level} {layer.kind}"
            segmentation_node.GetSegmentation().AddSegment(_segment(name, level, layer.kind, label, image), name)
            segmentation_node.GetDisplayNode().SetSegmentOpacity2DFill(name, 0.5 if layer.kind == "ROI" else 0.0)


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


def _oriented_image(layer: Layer, volume_node):
    """The box of a layer as vtkOrientedImageData in the volume's own frame."""
    (i, j, k), (depth, height, width) = layer.start, layer.voxels.shape
    image = slicer.vtkOrientedImageData()
    image.SetExtent(i, i + width - 1, j, j + height - 1, k, k + depth - 1)
    image.GetPointData().SetScalars(numpy_to_vtk(layer.voxels.ravel(), deep=True))
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    image.SetGeometryFromImageToWorldMatrix(matrix)
    return image
