"""Slice views at a vertebral body, in the patient's planes or in the body's own."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import slicer
from scipy import ndimage

from ..roi.axes import body_axes, superior_axes
from .masks import segment_mask
from .results import nodes_of_class

_ORIENTATIONS = ("Axial", "Sagittal", "Coronal")
#: LPS to RAS and back.
_FLIP = np.diag([-1.0, -1.0, 1.0])


def jump_to(scene, point_lps_mm) -> None:
    """Centre every slice view on a point in world LPS mm."""
    x, y, z = point_lps_mm
    slicer.vtkMRMLSliceNode.JumpAllSlices(scene, -x, -y, z, slicer.vtkMRMLSliceNode.CenteredJumpSlice)


def turn_slices(scene, rotation_lps: np.ndarray | None = None) -> None:
    """Turn every slice view to the frame of a body, or back to the patient's.

    ``rotation_lps`` (3, 3): columns left, back, up of the body (see ``rotation_of``). A view stays what it is nearest to: an
    axial one becomes the plane along the end plates.
    """
    turn = np.eye(3) if rotation_lps is None else _FLIP @ rotation_lps @ _FLIP
    for node in nodes_of_class(scene, "vtkMRMLSliceNode"):
        presets = [_matrix(node.GetSliceOrientationPreset(name)) for name in _ORIENTATIONS if node.HasSliceOrientationPreset(name)]
        if not presets:
            continue
        matrix = node.GetSliceToRAS()
        normal = np.array([matrix.GetElement(row, 2) for row in range(3)])
        turned = turn @ max(presets, key=lambda preset: abs(preset[:, 2] @ normal))
        for row, column in np.ndindex(3, 3):
            matrix.SetElement(row, column, turned[row, column])
        node.UpdateMatrices()


def _matrix(matrix) -> np.ndarray:
    """A vtkMatrix3x3."""
    return np.array([[matrix.GetElement(row, column) for column in range(3)] for row in range(3)])


def rotation_of(segmentation_node, document: dict, level: str) -> np.ndarray | None:
    """(3, 3) columns left, back, up (world LPS) of a body's own axes, from its segment "L1 body" and the column around it.

    None where the segment is gone or is no body.
    """
    mask = segment_mask(segmentation_node, segmentation_node.GetSegmentation().GetSegmentIdBySegmentName(f"{level} body"))
    if mask is None:
        return None
    levels = [vertebra["level"] for vertebra in document["vertebrae"]]
    up = superior_axes([vertebra["centroid_lps_mm"] for vertebra in document["vertebrae"]])[levels.index(level)]
    axes = body_axes(_skin_lps_mm(mask), up)
    return None if axes is None else axes.rotation


def _skin_lps_mm(mask: sitk.Image) -> np.ndarray:
    """(n, 3) points of the surface, every millimetre and without the staircase of the voxels."""
    reach = np.array(mask.GetSize()) * mask.GetSpacing()
    grid = sitk.Image(np.ceil(reach).astype(int).tolist(), sitk.sitkFloat32)
    grid.SetOrigin(mask.GetOrigin())
    grid.SetDirection(mask.GetDirection())
    smooth = sitk.SmoothingRecursiveGaussian(sitk.Resample(sitk.Cast(mask, sitk.sitkFloat32), grid), 1.0)
    inside = sitk.GetArrayViewFromImage(smooth) > 0.5
    index = np.argwhere(inside & ~ndimage.binary_erosion(inside))[:, ::-1]
    return index @ np.reshape(mask.GetDirection(), (3, 3)).T + mask.GetOrigin()
