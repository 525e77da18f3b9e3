"""What is told about a volume before it is measured, on real MRML, and the copy that can be measured."""

import numpy as np
import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")
import vtk  # noqa: E402  (comes with slicer-core)

from VertebralBMDLib import scene  # noqa: E402
from VertebralBMDLib.quality import Code, Refused  # noqa: E402
from VertebralBMDLib.scan import Scan  # noqa: E402
from VertebralBMDLib.scene.volumes import vtk_matrix  # noqa: E402


@pytest.fixture
def mrml():
    return slicer.vtkMRMLScene()


@pytest.fixture
def volume(mrml):
    """A smooth hill of 600 HU in fat and water, whose place tells whether a copy lies where the original did."""
    k, j, i = np.indices((30, 40, 50))
    hu = 900 * np.exp(-((i - 20) ** 2 + (j - 15) ** 2 + (k - 12) ** 2) / 30.0) - np.where(j > 20, 90, 0)
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing((1.0, 1.0, 2.0))
    image.SetOrigin((-10.0, 30.0, 5.0))
    return scene.add_volume(mrml, Scan(image), "CT")


def peak_mm(scan):
    k, j, i = np.unravel_index(np.argmax(scan.hu), scan.hu.shape)
    return np.array(scan.image.TransformIndexToPhysicalPoint((int(i), int(j), int(k))))


def warp(volume, shift_mm):
    """Under a thin-plate transform that moves everything by ``shift_mm`` in RAS."""
    points = [vtk.vtkPoints(), vtk.vtkPoints()]
    for corner in np.ndindex(2, 2, 2):
        point = np.array(corner) * 400.0 - 200
        points[0].InsertNextPoint(*point)
        points[1].InsertNextPoint(*(point + shift_mm))
    plate = vtk.vtkThinPlateSplineTransform()
    plate.SetBasisToR()
    plate.SetSourceLandmarks(points[0])
    plate.SetTargetLandmarks(points[1])
    transform = volume.GetScene().AddNewNodeByClass("vtkMRMLTransformNode")
    transform.SetAndObserveTransformToParent(plate)
    volume.SetAndObserveTransformNodeID(transform.GetID())


def shear(volume):
    matrix = np.eye(4)
    matrix[1, 2] = 0.3
    transform = volume.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(vtk_matrix(matrix))
    volume.SetAndObserveTransformNodeID(transform.GetID())


def test_geometry_and_acquisition_of_a_volume_that_can_be_measured(volume):
    seen = scene.preview(volume)
    assert seen.refusal is None and seen.size == (50, 40, 30) and seen.spacing_mm == pytest.approx((1, 1, 2))
    assert seen.acquisition.contrast == "unknown"


def test_what_the_preview_refuses_the_measurement_refuses(mrml, volume):
    flat = scene.add_volume(mrml, Scan(sitk.GetImageFromArray(np.zeros((2, 9, 9), np.int16))), "localiser")
    empty = mrml.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    warp(volume, (5, 0, 0))
    for node, code in ((flat, Code.TOO_FEW_SLICES), (empty, Code.NOT_3D), (volume, Code.NONLINEAR_TRANSFORM)):
        assert scene.preview(node).refusal == code
        with pytest.raises(Refused) as caught:
            scene.scan_from_volume(node)
        assert caught.value.code == code
    volume.SetAndObserveTransformNodeID(None)
    shear(volume)
    assert scene.preview(volume).refusal == Code.SHEARED


@pytest.mark.parametrize(("deform", "moved_mm"), [(lambda volume: warp(volume, (5, 3, 4)), (-5, -3, 4)), (shear, None)])
def test_a_copy_of_what_cannot_be_measured_can_be_and_lies_where_the_original_is_seen(mrml, volume, deform, moved_mm):
    original = peak_mm(scene.scan_from_volume(volume))
    deform(volume)
    copy = scene.rectangular_copy(volume)
    assert scene.preview(copy).refusal is None and copy.GetParentTransformNode() is None
    scan = scene.scan_from_volume(copy)
    expected = original + (moved_mm if moved_mm else (0, -0.3 * original[2], 0))  # RAS y grows with z; LPS y falls.
    assert np.abs(peak_mm(scan) - expected).max() <= 1.5
    assert scan.hu.max() > 700 and volume.GetParentTransformNode() is not None and volume.GetName() == "CT"


def test_outside_the_original_a_sheared_copy_shows_air(volume):
    shear(volume)
    copy = scene.scan_from_volume(scene.rectangular_copy(volume))
    assert copy.hu.min() == -1000
