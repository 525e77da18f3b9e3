"""The user's own segmentation for the worker, and slice views at a body, on the real MRML of slicer-core."""

import numpy as np
import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")
import vtk  # noqa: E402  (comes with slicer-core)

from VertebralBMDLib import scene  # noqa: E402
from VertebralBMDLib.quality import Refused  # noqa: E402
from VertebralBMDLib.scan import Scan  # noqa: E402
from VertebralBMDLib.scene.own_bodies import own_bodies  # noqa: E402
from VertebralBMDLib.scene.views import jump_to, rotation_of, turn_slices  # noqa: E402
from VertebralBMDLib.scene.volumes import ijk_to_world, placed, vtk_matrix  # noqa: E402
from VertebralBMDLib.segmentation.own import LabelMapEngine  # noqa: E402

TILT = np.radians(20)
#: Columns left, back, up of a body that leans forward by 20 degrees.
LEANING = np.array([[1, 0, 0], [0, np.cos(TILT), -np.sin(TILT)], [0, np.sin(TILT), np.cos(TILT)]])
#: One above the other along the lean.
CENTRES = {20: (5.0, -4.0, 62.0), 21: (5.0, 8.4, 28.0)}


def ellipse(image, centre, rotation):
    """A cylinder 40 x 28 mm wide and 24 mm high in the frame ``rotation``, on the grid of ``image``."""
    index = np.indices(image.GetSize()[::-1])[::-1].reshape(3, -1)
    axes = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    u, v, w = rotation.T @ (axes @ index + np.reshape(image.GetOrigin(), (3, 1)) - np.reshape(centre, (3, 1)))
    return ((u / 20) ** 2 + (v / 14) ** 2 <= 1).reshape(image.GetSize()[::-1]) & (np.abs(w) <= 12).reshape(image.GetSize()[::-1])


@pytest.fixture
def bodies():
    """L1 and L2 leaning forward, on an anisotropic grid."""
    image = sitk.Image([48, 44, 46], sitk.sitkUInt8)
    image.SetSpacing((1.3, 1.3, 2.0))
    image.SetOrigin((-26.0, -25.0, 0.0))
    labels = sum(label * ellipse(image, centre, LEANING) for label, centre in CENTRES.items())
    result = sitk.GetImageFromArray(labels.astype(np.uint8))
    result.CopyInformation(image)
    return result


@pytest.fixture
def volume(mrml, bodies):
    return scene.add_volume(mrml, Scan(sitk.Cast(bodies, sitk.sitkInt16)), "CT")


def document(*levels):
    vertebrae = [dict(level=level, centroid_lps_mm=list(CENTRES[20 + k]), flags=[]) for k, level in enumerate(levels)]
    return dict(
        calibration=dict(source="none", material=None, checks=[]),
        settings=dict(levels=["L1"]),
        vertebrae=vertebrae,
        patient=dict(levels=[]),
        messages={},
    )


@pytest.fixture
def segmentation(volume, bodies):
    """As a measurement leaves it: bodies and ROIs."""
    roi = sitk.GetImageFromArray(sitk.GetArrayFromImage(bodies))
    roi.CopyInformation(bodies)
    return scene.show_measurement(volume, document("L1", "L2"), bodies, roi)[0]


def moved(node, matrix):
    transform = node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(vtk_matrix(np.array(matrix, dtype=float)))
    node.SetAndObserveTransformNodeID(transform.GetID())


def engine_reads(image, volume, tmp_path):
    """What the worker's engine makes of the file, as labels on the scan's grid; its names."""
    path = tmp_path / "bodies.nrrd"
    sitk.WriteImage(image, str(path))
    grid = sitk.Image(volume.GetImageData().GetDimensions(), sitk.sitkInt16)
    scan = Scan(placed(grid, ijk_to_world(volume)))
    labels, _flags = LabelMapEngine(path)._verse_map(scan.image)
    return sitk.GetArrayFromImage(labels)


def test_segments_become_the_label_map_they_were(segmentation, volume, bodies, tmp_path):
    image = own_bodies(segmentation, volume)
    assert image.GetNumberOfPixels() < bodies.GetNumberOfPixels(), "only what the bodies fill"
    assert np.array_equal(engine_reads(image, volume, tmp_path), sitk.GetArrayViewFromImage(bodies))


def test_a_transform_of_volume_and_segments_moves_both(segmentation, volume, bodies, tmp_path):
    moved(volume, [[0, -1, 0, 40], [1, 0, 0, -10], [0, 0, 1, 5], [0, 0, 0, 1]])
    segmentation.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    assert np.array_equal(engine_reads(own_bodies(segmentation, volume), volume, tmp_path), sitk.GetArrayViewFromImage(bodies))
    segmentation.SetAndObserveTransformNodeID(None)
    with pytest.raises(Refused, match="lies in the scan|LABEL_MAP"):
        segmentation.GetSegmentation().RemoveSegment("L2 body")
        moved(segmentation, [[1, 0, 0, 500], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        own_bodies(segmentation, volume)


def test_segments_drawn_on_another_grid_are_brought_to_the_scan(mrml, segmentation, bodies, tmp_path):
    fine = sitk.Resample(
        sitk.Cast(bodies, sitk.sitkInt16), (90, 80, 120), sitk.Transform(), sitk.sitkNearestNeighbor, (-26.3, -25.2, -1.0), (0.7, 0.7, 0.8)
    )
    other = scene.add_volume(mrml, Scan(fine), "fine")
    found = engine_reads(own_bodies(segmentation, other), other, tmp_path)
    truth = sitk.GetArrayViewFromImage(fine)
    for label in CENTRES:
        inside, expected = found == label, truth == label
        assert 2 * (inside & expected).sum() / (inside.sum() + expected.sum()) > 0.999


def renamed(segmentation, name, to):
    segment = segmentation.GetSegmentation().GetSegment(name)
    segment.SetName(to)
    segment.SetTag(segment.GetTerminologyEntryTagName(), "")


def test_what_names_no_vertebra_or_one_twice_is_refused_with_the_reason(segmentation, volume):
    renamed(segmentation, "L2 body", "L1")
    with pytest.raises(Refused, match="several segments are named L1"):
        own_bodies(segmentation, volume)
    renamed(segmentation, "L1 body", "left kidney")
    renamed(segmentation, "L2 body", "liver")
    with pytest.raises(Refused, match="no segment is named L1"):
        own_bodies(segmentation, volume)


def test_a_label_map_node_keeps_its_numbers_and_its_grid(mrml, volume, bodies):
    node = mrml.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    with pytest.raises(Refused, match="no voxels"):
        own_bodies(node, volume)
    other = scene.add_volume(mrml, Scan(sitk.Cast(bodies, sitk.sitkInt16)), "labels")
    node.SetAndObserveImageData(other.GetImageData())
    matrix = vtk.vtkMatrix4x4()
    other.GetIJKToRASMatrix(matrix)
    node.SetIJKToRASMatrix(matrix)
    image = own_bodies(node, volume)
    assert np.array_equal(sitk.GetArrayViewFromImage(image), sitk.GetArrayViewFromImage(bodies))
    np.testing.assert_allclose(image.GetOrigin(), bodies.GetOrigin())
    np.testing.assert_allclose(image.GetSpacing(), bodies.GetSpacing())


@pytest.fixture
def views(mrml):
    """The three slice views of Slicer's usual layout."""
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(mrml)
    nodes = {}
    for orientation in ("Axial", "Sagittal", "Coronal"):
        nodes[orientation] = mrml.AddNewNodeByClass("vtkMRMLSliceNode", orientation)
        nodes[orientation].SetOrientation(orientation)
    return nodes


def normal(view):
    return np.array([view.GetSliceToRAS().GetElement(row, 2) for row in range(3)])


def test_every_view_jumps_to_the_point(mrml, views):
    jump_to(mrml, (5.0, 3.0, 62.0))
    for view in views.values():
        assert [view.GetSliceToRAS().GetElement(row, 3) for row in range(3)] == [-5.0, -3.0, 62.0]


def test_views_turn_to_the_bodys_own_planes_and_back(mrml, views, segmentation):
    rotation = rotation_of(segmentation, document("L1", "L2"), "L1")
    lean = np.degrees(np.arccos(np.clip(np.diag(rotation.T @ LEANING), -1, 1)))
    assert lean[2] < 1 and lean.max() < 6, lean  # Along the end plates; the turn about the axis is seen less well.
    straight = {name: normal(view) for name, view in views.items()}
    turn_slices(mrml, LEANING)
    # In RAS the lean is towards anterior as well: up of the body is (0, sin, cos).
    np.testing.assert_allclose(normal(views["Axial"]), [0, np.sin(TILT), np.cos(TILT)], atol=1e-9)
    np.testing.assert_allclose(normal(views["Sagittal"]), straight["Sagittal"], atol=1e-9)
    np.testing.assert_allclose(np.abs(normal(views["Coronal"])), [0, np.cos(TILT), np.sin(TILT)], atol=1e-9)
    turn_slices(mrml, LEANING)
    np.testing.assert_allclose(normal(views["Axial"]), [0, np.sin(TILT), np.cos(TILT)], atol=1e-9)
    turn_slices(mrml)
    for name, view in views.items():
        np.testing.assert_allclose(normal(view), straight[name], atol=1e-9)
        assert view.GetOrientation() == name


def test_a_body_without_its_segment_has_no_axes(segmentation):
    segmentation.GetSegmentation().RemoveSegment("L1 body")
    assert rotation_of(segmentation, document("L1", "L2"), "L1") is None
