"""What the density network weighs, in a real scene: its node, over the slices, after an edit, and in a saved scene."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")
sys.path.append(str(Path(__file__).parent / "slicer_host"))

import brush  # noqa: E402
import report_case  # noqa: E402
from bundle import read_mrb  # noqa: E402

from VertebralBMDLib import scene  # noqa: E402
from VertebralBMDLib.grid import box_grid  # noqa: E402
from VertebralBMDLib.quality import Refused  # noqa: E402
from VertebralBMDLib.report.document import document  # noqa: E402
from VertebralBMDLib.scene.volumes import ijk_to_world, placed, voxels_of, vtk_matrix  # noqa: E402
from VertebralBMDLib.scene.weights import OPACITY  # noqa: E402

_CLASS = "vtkMRMLScalarVolumeNode"

#: A part of the shell of L1's body, in front of its ROI.
FRONT = (slice(23, 27), slice(15, 20), slice(30, 40))


@pytest.fixture(scope="module")
def case():
    case = report_case.measurement()
    return replace(case, calibration=replace(case.calibration, material="CaHA"))


@pytest.fixture
def volume(mrml, case):
    """A measured volume with its map, in a scene with three slice views."""
    for _view in range(3):
        mrml.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    return measured(mrml, case)


def measured(mrml, case, name="Knochen Ω"):
    volume = scene.add_volume(mrml, case.scan, name)
    scene.show_measurement(volume, document(case), case.vertebrae.label_map, case.roi)
    scene.show_weights(volume, case.weights)
    return volume


def shown(node):
    """The map as an image in world LPS."""
    return placed(sitk.GetImageFromArray(voxels_of(node)), ijk_to_world(node))


def foregrounds(mrml):
    views = [mrml.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode") for index in range(3)]
    return {(view.GetForegroundVolumeID(), view.GetForegroundOpacity()) for view in views}


def assert_same(actual, expected):
    assert actual.GetSize() == expected.GetSize()
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(actual, name)(), getattr(expected, name)(), atol=1e-6)
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(actual), sitk.GetArrayViewFromImage(expected))


def test_the_map_lies_beside_the_scan_in_colour_with_low_values_transparent(mrml, volume, case):
    node = scene.find_weights(volume)
    assert node.GetName() == "Knochen Ω network weights" and node is not volume
    assert_same(shown(node), case.weights)
    display = node.GetDisplayNode()
    assert display.GetColorNodeID() == slicer.vtkMRMLColorLogic.GetColorTableNodeID(slicer.vtkMRMLColorTableNode.Iron)
    assert display.GetApplyThreshold() and 0 < display.GetLowerThreshold() < 50 and display.GetUpperThreshold() >= 100
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax(), display.GetAutoWindowLevel()) == (0, 100, 0)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(mrml)
    items = [hierarchy.GetItemByDataNode(each) for each in (node, volume)]
    assert hierarchy.GetItemParent(items[0]) == hierarchy.GetItemParent(items[1])


def test_the_map_is_never_taken_for_the_scan(volume):
    node = scene.find_weights(volume)
    assert scene.is_weights(node) and not scene.is_weights(volume)
    assert scene.find_weights(node) is None and scene.find_result(volume, _CLASS) is None
    with pytest.raises(Refused, match="NOT_HU"):
        scene.scan_from_volume(node)


def test_the_map_is_hidden_at_first_and_shown_over_every_slice_on_request(mrml, volume):
    node = scene.find_weights(volume)
    assert not scene.weights_visible(volume) and foregrounds(mrml) == {(None, 0.0)}
    scene.set_weights_visible(volume, True)
    assert scene.weights_visible(volume) and foregrounds(mrml) == {(node.GetID(), OPACITY)} and 0 < OPACITY < 1
    scene.set_weights_visible(volume, False)
    assert not scene.weights_visible(volume) and foregrounds(mrml) == {(None, 0.0)}


def test_another_foreground_stays_when_the_map_is_hidden(mrml, volume, case):
    other = scene.add_volume(mrml, case.scan, "PET")
    scene.set_weights_visible(volume, True)
    for index in range(3):
        view = mrml.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")
        view.SetForegroundVolumeID(other.GetID())
        view.SetForegroundOpacity(0.3)
    scene.set_weights_visible(volume, False)
    assert foregrounds(mrml) == {(other.GetID(), 0.3)}


def test_measuring_again_refills_the_map_where_it_is_seen(mrml, volume, case):
    node = scene.find_weights(volume)
    scene.set_weights_visible(volume, True)
    count, other = mrml.GetNumberOfNodes(), box_grid((1.0, 2.0, 340.0), (9, 8, 7), 2.0) + 30
    assert scene.show_weights(volume, other) is node and mrml.GetNumberOfNodes() == count
    assert_same(shown(node), other)
    assert scene.weights_visible(volume)


def test_a_measurement_without_a_reading_takes_the_map_away(mrml, volume):
    scene.set_weights_visible(volume, True)
    assert scene.show_weights(volume, None) is None and scene.show_weights(volume, None) is None
    assert scene.find_weights(volume) is None and not scene.weights_current(volume) and not scene.weights_visible(volume)
    assert mrml.GetNumberOfNodesByClass(_CLASS) == 1 and foregrounds(mrml) == {(None, 0.0)}
    scene.set_weights_visible(volume, True)
    assert foregrounds(mrml) == {(None, 0.0)}


def test_the_map_stays_at_its_place_in_the_world_below_a_transform_and_then_moves_with_the_scan(mrml, case):
    volume = scene.add_volume(mrml, case.scan, "x")
    transform = mrml.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    turned = np.array([[0.0, -1, 0, 5], [1, 0, 0, 7], [0, 0, 1, -3], [0, 0, 0, 1]])
    transform.SetMatrixTransformToParent(vtk_matrix(turned))
    volume.SetAndObserveTransformNodeID(transform.GetID())
    scene.show_measurement(volume, document(case), case.vertebrae.label_map, case.roi)
    node = scene.show_weights(volume, case.weights)
    assert node.GetParentTransformNode() is transform
    assert_same(shown(node), case.weights)
    turned[2, 3] += 10
    transform.SetMatrixTransformToParent(vtk_matrix(turned))
    np.testing.assert_allclose(shown(node).GetOrigin(), np.array(case.weights.GetOrigin()) + (0, 0, 10), atol=1e-6)


def test_in_a_volume_that_was_bent_since_it_was_measured_there_is_no_place_for_the_map(mrml, volume, case):
    volume.SetAndObserveTransformNodeID(mrml.AddNewNodeByClass("vtkMRMLBSplineTransformNode").GetID())
    assert scene.show_weights(volume, case.weights) is None and scene.find_weights(volume) is None


def test_after_an_edit_the_map_is_out_of_date_and_hidden_until_the_edit_is_undone_or_measured(volume, case):
    follower = scene.RoiFollower(volume)
    follower.follow()
    assert scene.weights_current(volume)
    scene.set_weights_visible(volume, True)
    brush.paint(volume, "L1", FRONT)
    assert follower.follow()
    assert not scene.weights_current(volume) and not scene.weights_visible(volume)
    assert scene.reset_roi(volume, "L1") and follower.follow() and scene.weights_current(volume)
    brush.paint(volume, "L1", FRONT)
    assert follower.follow() and not scene.weights_current(volume)
    scene.show_measurement(volume, document(case), case.vertebrae.label_map, case.roi)
    scene.show_weights(volume, case.weights)
    assert scene.weights_current(volume)


def test_a_map_never_lies_over_another_scan(mrml, volume, case):
    other = measured(mrml, case, "another patient")
    scene.set_weights_visible(volume, True)
    scene.show_in_slices(volume, document(case))
    assert scene.weights_visible(volume)
    scene.show_in_slices(other, document(case))
    assert foregrounds(mrml) == {(None, 0.0)} and scene.find_weights(volume) is not scene.find_weights(other)
    scene.set_weights_visible(volume, True)
    assert {mrml.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode").GetBackgroundVolumeID() for index in range(3)} == {volume.GetID()}


def test_a_saved_scene_holds_the_map_and_knows_what_it_is(mrml, case, tmp_path):
    made = scene.scene_for(case.scan, document(case), case.vertebrae.label_map, case.roi, case.weights)
    scene.save_scene(made, tmp_path / "Ω.mrb")
    read_mrb(mrml, tmp_path / "Ω.mrb", tmp_path)
    volumes = [mrml.GetNthNodeByClass(index, _CLASS) for index in range(mrml.GetNumberOfNodesByClass(_CLASS))]
    (volume,) = (node for node in volumes if not scene.is_weights(node))
    node = scene.find_weights(volume)
    assert node.GetName() == "CT network weights" and scene.weights_current(volume) and not scene.weights_visible(volume)
    assert_same(shown(node), case.weights)
    assert node.GetDisplayNode().GetApplyThreshold() and node.GetDisplayNode().GetLowerThreshold() > 0
