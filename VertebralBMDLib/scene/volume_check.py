"""What can be told about a volume node before it is measured, and a copy that can be measured where it cannot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import slicer

from ..quality import Code, Refused
from ..scan import Acquisition, Scan
from .volumes import LPS_RAS, acquisition_of, add_volume, dicom_file, ijk_to_world, placed, voxels_of

#: Refusals for which ``rectangular_copy`` is the remedy.
COPY_HELPS = (Code.NONLINEAR_TRANSFORM, Code.SHEARED)

#: HU outside what the original shows.
_AIR_HU = -1000.0


@dataclass(frozen=True)
class Preview:
    """``size``, ``spacing_mm``: i, j, k; ``refusal``: why it cannot be measured, as far as that can be told without its voxels."""

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    acquisition: Acquisition
    refusal: Code | None = None


def preview(volume_node) -> Preview:
    """How a vtkMRMLScalarVolumeNode was taken and whether its geometry can be measured; quick, reads no voxels."""
    spacing, acquisition = volume_node.GetSpacing(), Acquisition()
    data = volume_node.GetImageData()
    size = data.GetDimensions() if data else (0, 0, 0)
    try:
        voxels = voxels_of(volume_node)
        acquisition = acquisition_of(dicom_file(volume_node))
        spacing = placed(sitk.Image(1, 1, 1, sitk.sitkUInt8), ijk_to_world(volume_node)).GetSpacing()
    except Refused as refusal:
        return Preview(size, spacing, acquisition, refusal.code)
    if voxels.ndim != 3 or min(size) < 3:
        return Preview(size, spacing, acquisition, Code.NOT_3D if voxels.ndim != 3 else Code.TOO_FEW_SLICES)
    return Preview(size, spacing, acquisition)


def rectangular_copy(volume_node):
    """A copy of a volume under a non-linear transform or with sheared axes, resampled to a rectangular grid in world space.

    The original stays as it is. Linear interpolation; what the original does not show is air. Raises Refused(NOT_3D) for a
    node without voxels.
    """
    scene, name = volume_node.GetScene(), f"{volume_node.GetName()} hardened"
    transform = volume_node.GetParentTransformNode()
    if transform is not None and not transform.IsTransformToWorldLinear():
        copy = slicer.vtkSlicerVolumesLogic.CloneVolume(scene, volume_node, name)
        copy.SetAndObserveTransformNodeID(transform.GetID())
        copy.HardenTransform()
    else:
        copy = add_volume(scene, Scan(_resampled(voxels_of(volume_node), LPS_RAS @ ijk_to_world(volume_node))), name)
    copy.SetAttribute("DICOM.instanceUIDs", volume_node.GetAttribute("DICOM.instanceUIDs"))
    return copy


def _resampled(voxels: np.ndarray, axes_lps: np.ndarray) -> sitk.Image:
    """``voxels`` (k, j, i), whose indices a sheared 4 x 4 matrix puts into LPS mm, on the nearest grid with perpendicular axes."""
    steps, corner = axes_lps[:3, :3], axes_lps[:3, 3]
    u, _singular, v = np.linalg.svd(steps / np.linalg.norm(steps, axis=0))
    direction, spacing = u @ v, np.linalg.norm(steps, axis=0)
    size = np.array(voxels.shape[::-1])
    corners = np.array(list(np.ndindex(2, 2, 2))) * (size - 1) @ steps.T + corner
    low, high = (corners @ direction).min(axis=0), (corners @ direction).max(axis=0)
    to_index = sitk.AffineTransform(3)
    to_index.SetMatrix(np.linalg.inv(steps).ravel().tolist())
    to_index.SetTranslation((-np.linalg.inv(steps) @ corner).tolist())
    resample = sitk.ResampleImageFilter()
    resample.SetSize([int(n) for n in np.ceil((high - low) / spacing) + 1])
    resample.SetOutputSpacing(spacing.tolist())
    resample.SetOutputOrigin((direction @ low).tolist())
    resample.SetOutputDirection(direction.ravel().tolist())
    resample.SetTransform(to_index)
    resample.SetInterpolator(sitk.sitkLinear)
    resample.SetDefaultPixelValue(_AIR_HU)
    return resample.Execute(sitk.GetImageFromArray(voxels))
