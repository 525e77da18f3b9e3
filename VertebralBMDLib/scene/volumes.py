"""A volume node becomes a Scan, and a Scan a volume node. MRML is RAS, a Scan is LPS, both in mm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..loading import read_acquisition
from ..quality import Code, Refused
from ..scan import Acquisition, Scan, checked

LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

#: Largest deviation of the axes from perpendicular (as a cosine) that is rounding rather than shear.
_SHEAR_TOLERANCE = 1e-3


def scan_from_volume(volume_node) -> Scan:
    """The Scan of a vtkMRMLScalarVolumeNode, as if loaded from its file, with linear parent transforms applied.

    Raises Refused: NONLINEAR_TRANSFORM, SHEARED, VIRTUAL_NON_CONTRAST, NOT_3D (also for a node without voxels) and those of
    ``scan.checked``.
    """
    return scan_maker(volume_node)()


def scan_maker(volume_node) -> Callable[[], Scan]:
    """A function that makes the Scan of a vtkMRMLScalarVolumeNode, in any thread, because copying its voxels takes a while.

    The node itself is read now, so it may change or go. Raises Refused: NONLINEAR_TRANSFORM, NOT_3D (a node without voxels);
    the other refusals of ``scan_from_volume`` are raised by the function.
    """
    voxels, matrix, path = voxels_of(volume_node), ijk_to_world(volume_node), dicom_file(volume_node)
    return lambda: checked(placed(sitk.GetImageFromArray(voxels, isVector=voxels.ndim > 3), matrix), acquisition_of(path))


def voxels_of(volume_node) -> np.ndarray:
    """The voxels (k, j, i), or (k, j, i, component), without copying them. Raises Refused(NOT_3D) for a node without any."""
    data = volume_node.GetImageData()
    if data is None or data.GetPointData().GetScalars() is None:
        raise Refused(Code.NOT_3D, "the volume has no voxels")
    components = data.GetNumberOfScalarComponents()
    shape = data.GetDimensions()[::-1] + ((components,) if components > 1 else ())
    return vtk_to_numpy(data.GetPointData().GetScalars()).reshape(shape)


def placed(image: sitk.Image, ijk_to_world: np.ndarray) -> sitk.Image:
    """``image``, its voxels laid into world LPS by a 4 x 4 matrix from indices to world RAS. Raises Refused(SHEARED)."""
    axes_lps = LPS_RAS @ ijk_to_world
    spacing = np.linalg.norm(axes_lps[:3, :3], axis=0)
    direction = axes_lps[:3, :3] / spacing
    if np.abs(direction.T @ direction - np.eye(3)).max() > _SHEAR_TOLERANCE:
        raise Refused(Code.SHEARED)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(axes_lps[:3, 3].tolist())
    image.SetDirection(direction.ravel().tolist())
    return image


def dicom_file(volume_node) -> str:
    """The first DICOM file the volume came from, while Slicer's database still has it; otherwise ""."""
    instances = (volume_node.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    return database.fileForInstance(instances[0]) if instances and database else ""


def acquisition_of(path: str) -> Acquisition:
    """As the header of a DICOM file says, all unknown for "" and where the file has gone. Raises Refused(VIRTUAL_NON_CONTRAST)."""
    try:
        return read_acquisition(path) if path else Acquisition()
    except Refused as refusal:
        if refusal.code != Code.UNREADABLE:
            raise
        return Acquisition()  # The file has moved since it was imported.


def add_volume(scene, scan: Scan, name: str):
    """Add a scan to a scene as a vtkMRMLScalarVolumeNode with a bone window (level 300, width 1000 HU)."""
    volume_node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    fill_volume(volume_node, scan.image)
    volume_node.CreateDefaultDisplayNodes()
    display = volume_node.GetDisplayNode()
    # The node of this colour table exists in every Slicer, but not in a scene that was made without one.
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(1000, 300)
    return volume_node


def fill_volume(volume_node, image: sitk.Image) -> None:
    """Give a volume node the voxels of an image, where the image lies in world LPS mm whatever the node's parent transform.

    Raises Refused(NONLINEAR_TRANSFORM).
    """
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    volume_node.SetIJKToRASMatrix(vtk_matrix(np.linalg.inv(to_world(volume_node)) @ LPS_RAS @ matrix))
    data = vtk.vtkImageData()
    data.SetDimensions(image.GetSize())
    data.GetPointData().SetScalars(numpy_to_vtk(sitk.GetArrayViewFromImage(image).ravel(), deep=True))
    volume_node.SetAndObserveImageData(data)


def ijk_to_world(volume_node) -> np.ndarray:
    """4 x 4 matrix from the first voxel's index (0, 0, 0) to world RAS mm; refuses a non-linear parent transform."""
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    result = array(matrix)
    result[:3, 3] = (result @ [*volume_node.GetImageData().GetExtent()[::2], 1])[:3]
    return to_world(volume_node) @ result


def to_world(node) -> np.ndarray:
    """4 x 4 matrix from a node's own RAS to world RAS mm. Raises Refused(NONLINEAR_TRANSFORM)."""
    transform = node.GetParentTransformNode()
    if transform is None:
        return np.eye(4)
    if not transform.IsTransformToWorldLinear():
        raise Refused(Code.NONLINEAR_TRANSFORM)
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return array(matrix)


def array(matrix) -> np.ndarray:
    return np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])


def vtk_matrix(values: np.ndarray):
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(values.ravel().tolist())
    return matrix
