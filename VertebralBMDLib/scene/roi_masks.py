"""Segments as masks in the voxels of their volume, read no larger than they are: quick enough to follow a brush."""

from __future__ import annotations

import itertools
import zlib
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import slicer
import vtk
from scipy import ndimage
from vtk.util.numpy_support import vtk_to_numpy

from .volumes import LPS_RAS, array, ijk_to_world, placed

Place = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Mask:
    """The voxels of a segment: a boolean array (k, j, i), as small as they allow, at ``place`` in the volume's array."""

    place: Place
    inside: np.ndarray

    @property
    def digest(self) -> str:
        """A few letters that differ where masks do; "" for an empty one."""
        if not self.inside.any():
            return ""
        where = ",".join(f"{part.start}-{part.stop}" for part in self.place)
        return f"{where}:{zlib.crc32(np.packbits(self.inside)):08x}"


EMPTY = Mask((slice(0, 0),) * 3, np.zeros((0, 0, 0), dtype=bool))


def segments(segmentation_node, kind: str) -> dict[str, str]:
    """Level -> segment ID of the measurement's segments of a kind ("body" or "ROI")."""
    segmentation, found = segmentation_node.GetSegmentation(), {}
    for index in range(segmentation.GetNumberOfSegments()):
        identifier = segmentation.GetNthSegmentID(index)
        level, _space, rest = identifier.partition(" ")
        if rest == kind:
            found[level] = identifier
    return found


def layers(segmentation_node) -> list:
    """The label maps (vtkOrientedImageData) that hold the segments; those that share one are in it together."""
    segmentation = segmentation_node.GetSegmentation()
    found = [_label_map(segmentation.GetNthSegment(index)) for index in range(segmentation.GetNumberOfSegments())]
    return list(dict.fromkeys(layer for layer in found if layer is not None))


def stamps(segmentation_node) -> dict[str, tuple[int, int]]:
    """By segment ID, what changes whenever the voxels of the segment may have changed."""
    segmentation = segmentation_node.GetSegmentation()
    identifiers = [identifier for kind in ("body", "ROI") for identifier in segments(segmentation_node, kind).values()]
    found = [(identifier, segmentation.GetSegment(identifier)) for identifier in identifiers]
    return {identifier: (_label_map(segment).GetMTime(), segment.GetLabelValue()) for identifier, segment in found if _label_map(segment)}


def masks(segmentation_node, volume_node, kind: str) -> dict[str, Mask]:
    """The mask of every segment of a kind, by level; EMPTY for one without voxels in the volume.

    Raises ValueError for a segmentation under another transform than its volume.
    """
    if segmentation_node.GetParentTransformNode() is not volume_node.GetParentTransformNode():
        raise ValueError("The segmentation lies under another transform than its volume. Put both under the same one.")
    found, boxes = {}, {}
    for level, identifier in segments(segmentation_node, kind).items():
        segment = segmentation_node.GetSegmentation().GetSegment(identifier)
        layer = _label_map(segment)
        if layer is None or layer.IsEmpty():
            found[level] = EMPTY
            continue
        if layer not in boxes:
            labels, low = _in_volume(layer, volume_node)
            boxes[layer] = labels, low, ndimage.find_objects(labels)
        labels, low, objects = boxes[layer]
        value = segment.GetLabelValue()
        box = objects[value - 1] if value <= len(objects) else None
        found[level] = EMPTY if box is None else Mask(_moved(box, low), labels[box] == value)
    return found


def within(mask: Mask, place: Place) -> np.ndarray:
    """``mask`` as a boolean array of the shape of ``place``."""
    result = np.zeros([part.stop - part.start for part in place], dtype=bool)
    common = [slice(max(a.start, b.start), max(a.start, b.start, min(a.stop, b.stop))) for a, b in zip(mask.place, place)]
    if all(part.stop > part.start for part in common):
        source = tuple(slice(part.start - at.start, part.stop - at.start) for part, at in zip(common, mask.place))
        target = tuple(slice(part.start - at.start, part.stop - at.start) for part, at in zip(common, place))
        result[target] = mask.inside[source]
    return result


def hounsfield(volume_node) -> np.ndarray:
    """The voxels of a volume node as an array (k, j, i), which is not a copy."""
    data = volume_node.GetImageData()
    return vtk_to_numpy(data.GetPointData().GetScalars()).reshape(data.GetDimensions()[::-1])


def spacing_mm(volume_node) -> tuple[float, float, float]:
    """Voxel size (k, j, i) in mm in the world, as a Scan of the volume has it."""
    return tuple(float(length) for length in np.linalg.norm(ijk_to_world(volume_node)[:3, :3], axis=0)[::-1])


def to_lps(volume_node, index: np.ndarray) -> np.ndarray:
    """LPS mm in the world of a point in indices (k, j, i) of the volume's array."""
    return (LPS_RAS @ ijk_to_world(volume_node) @ [*index[::-1], 1.0])[:3]


def box_around(volume_node, centre_lps_mm: np.ndarray, half_mm: float, margin: int) -> Place:
    """The part of the volume's array that holds a cube along the patient's axes, and ``margin`` voxels around it."""
    corners = [centre_lps_mm + half_mm * np.array(signs) for signs in itertools.product((-1, 1), repeat=3)]
    to_index = np.linalg.inv(LPS_RAS @ ijk_to_world(volume_node))
    indices = np.array([(to_index @ [*corner, 1.0])[:3][::-1] for corner in corners])
    low, high = np.floor(indices.min(axis=0)).astype(int) - margin, np.ceil(indices.max(axis=0)).astype(int) + margin + 1
    return tuple(slice(max(0, int(a)), min(n, int(b))) for a, b, n in zip(low, high, hounsfield(volume_node).shape))


def image_of(values: np.ndarray, place: Place, volume_node) -> sitk.Image:
    """An array of the shape of ``place`` as an image on the voxels of the volume, in LPS mm of the world."""
    matrix = ijk_to_world(volume_node).copy()
    matrix[:3, 3] = (matrix @ [*(part.start for part in place[::-1]), 1.0])[:3]
    return placed(sitk.GetImageFromArray(values), matrix)


def label_map_of(mask: Mask, volume_node):
    """A mask as vtkOrientedImageData of ones, as the segmentation logic takes it."""
    start = volume_node.GetImageData().GetExtent()[::2][::-1]
    image = slicer.vtkOrientedImageData()
    extent = [(part.start + first, part.stop + first - 1) for part, first in zip(mask.place, start)]
    image.SetExtent([bound for pair in extent[::-1] for bound in pair])
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(image.GetPointData().GetScalars())[:] = mask.inside.ravel()
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    image.SetGeometryFromImageToWorldMatrix(matrix)
    return image


def _label_map(segment):
    return segment.GetRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName())


def _in_volume(layer, volume_node) -> tuple[np.ndarray, np.ndarray]:
    """The labels (k, j, i) of a label map that lie in the volume, and the index of their first voxel in the volume's array."""
    wanted, has = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(wanted)
    layer.GetImageToWorldMatrix(has)
    extent = volume_node.GetImageData().GetExtent()
    if not np.allclose(array(wanted), array(has), atol=1e-4):
        layer = _on_grid(layer, wanted, extent)
    labels = vtk_to_numpy(layer.GetPointData().GetScalars()).reshape(layer.GetDimensions()[::-1])
    first = np.array(layer.GetExtent()[::2][::-1]) - extent[::2][::-1]
    size = np.array(volume_node.GetImageData().GetDimensions()[::-1])
    cut = tuple(slice(max(0, -a), max(0, -a, min(n, s - a))) for a, n, s in zip(first, labels.shape, size))
    labels = labels[cut]
    return labels if labels.dtype.kind in "iu" else labels.astype(np.uint8), first + [part.start for part in cut]


def _on_grid(layer, matrix, extent):
    """A label map of another geometry, such as a finer one, in the voxels of the volume: nearest neighbours."""
    reference, result = slicer.vtkOrientedImageData(), slicer.vtkOrientedImageData()
    reference.SetExtent(extent)
    reference.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    reference.SetGeometryFromImageToWorldMatrix(matrix)
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(layer, reference, result, False, False)
    return result


def _moved(box: Place, by: np.ndarray) -> Place:
    return tuple(slice(part.start + int(first), part.stop + int(first)) for part, first in zip(box, by))
