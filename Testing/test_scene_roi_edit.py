"""ROIs edited in a real segmentation: the numbers, the marks, Undo, reset, and what is handed to the worker."""

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

from VertebralBMDLib import scene  # noqa: E402
from VertebralBMDLib.grid import resampled  # noqa: E402
from VertebralBMDLib.network.density import Reading, crop_grid  # noqa: E402
from VertebralBMDLib.report.document import document  # noqa: E402
from VertebralBMDLib.report.parts import network_entry  # noqa: E402
from VertebralBMDLib.report.schema import validate  # noqa: E402
from VertebralBMDLib.scene import roi_edit  # noqa: E402
from VertebralBMDLib.scene.results import result_node  # noqa: E402
from VertebralBMDLib.scene.roi_masks import masks, segments, within  # noqa: E402
from VertebralBMDLib.scene.segments import fill_segmentation, layers_of  # noqa: E402
from VertebralBMDLib.scene.volumes import vtk_matrix  # noqa: E402
from VertebralBMDLib.segmentation.own import read_label_map  # noqa: E402

#: A part of the shell (400 HU) of L1's body, in front of its ROI.
FRONT = (slice(23, 27), slice(15, 20), slice(30, 40))


@pytest.fixture(scope="module")
def case():
    """L1 and L2 with a calibration that the network reads too."""
    case = report_case.measurement()
    return replace(case, calibration=replace(case.calibration, material="CaHA"))


@pytest.fixture
def volume(mrml, case):
    """The scan with its measurement."""
    volume = scene.add_volume(mrml, case.scan, "Knochen Ω")
    scene.show_measurement(volume, document(case), case.vertebrae.label_map, case.roi)
    return volume


@pytest.fixture
def follower(volume):
    follower = roi_edit.RoiFollower(volume)
    assert not follower.follow()
    return follower


def now(volume):
    return scene.measurement_of(volume)[0]


def entry(volume, level="L1"):
    return next(each for each in now(volume)["vertebrae"] if each["level"] == level)


def names(volume):
    segmentation = scene.find_result(volume, "vtkMRMLSegmentationNode").GetSegmentation()
    return [segmentation.GetSegment(f"{level} ROI").GetName() for level in ("L1", "L2")]


def voxels(volume, level="L1", kind="ROI"):
    """A segment as a boolean array on the volume's voxels."""
    node = scene.find_result(volume, "vtkMRMLSegmentationNode")
    return within(masks(node, volume, kind)[level], tuple(slice(0, n) for n in volume.GetImageData().GetDimensions()[::-1]))


def test_numbers_follow_a_stroke_of_the_brush(case, volume, follower):
    before = now(volume)
    brush.paint(volume, "L1", FRONT)
    assert follower.follow() and not follower.follow()
    hu = case.scan.hu[voxels(volume)].astype(float)
    found = entry(volume)
    assert found["roi_mean_hu"] == pytest.approx(hu.mean()) and found["roi_sd_hu"] == pytest.approx(hu.std(ddof=1))
    assert found["roi_volume_cm3"] == pytest.approx(hu.size * case.scan.voxel_cm3)
    assert found["vbmd_roi_mg_cm3"] == pytest.approx(0.8 * hu.mean()) and "vbmd_network_mg_cm3" not in found
    assert hu.mean() > case.measured[0].density.roi_mean_hu + 5
    other = entry(volume, "L2")["vbmd_roi_mg_cm3"]
    assert now(volume)["patient"]["vbmd_mg_cm3"] == pytest.approx((found["vbmd_roi_mg_cm3"] + other) / 2)
    assert now(volume)["patient"]["category"] == before["patient"]["category"] == "normal"
    validate(now(volume))


def test_the_category_follows_too(volume, follower):
    """Fat and soft tissue in front of the spine pull the mean of both levels down."""
    for level, slices in (("L1", slice(20, 30)), ("L2", slice(8, 17))):
        brush.paint(volume, level, (slices, slice(0, 15), slice(10, 60)))
    follower.follow()
    assert now(volume)["patient"]["category"] == "osteoporosis"
    assert "ROI_OUTSIDE_BODY" in entry(volume)["flags"]


def test_an_edited_roi_is_marked_everywhere_and_the_others_are_not(volume, follower):
    brush.paint(volume, "L1", FRONT)
    follower.follow()
    segmentation = scene.find_result(volume, "vtkMRMLSegmentationNode").GetSegmentation()
    assert names(volume) == ["L1 ROI (edited)", "L2 ROI"]
    assert [segmentation.GetSegment(f"{level} ROI").HasTag("VertebralBMD.state") for level in ("L1", "L2")] == [True, False]
    assert "ROI_EDITED" in entry(volume)["flags"] and "ROI_EDITED" not in entry(volume, "L2")["flags"]
    assert now(volume)["settings"]["own_roi"] and now(volume)["settings"]["roi_levels"] == ["L1"]
    table = scene.measurement_of(volume)[1]
    texts = [table.GetCellText(row, column) for row in range(2) for column in range(table.GetNumberOfColumns())]
    assert texts.count("edited") == 1 and texts.count("automatic") == 1


def test_undo_and_redo_of_the_editor_work_and_take_the_mark_along(volume, follower):
    before, untouched = now(volume), voxels(volume)
    history = brush.history(volume)
    history.SaveState()
    brush.paint(volume, "L1", FRONT)
    follower.follow()
    history.SaveState()
    brush.erase(volume, "L1", (slice(0, 25), slice(0, 64), slice(0, 70)))
    follower.follow()
    twice = now(volume)
    history.RestorePreviousState()
    assert follower.follow() and now(volume) != twice and "ROI_EDITED" in entry(volume)["flags"]
    history.RestorePreviousState()
    assert follower.follow() and now(volume) == before and names(volume) == ["L1 ROI", "L2 ROI"]
    assert np.array_equal(voxels(volume), untouched)
    assert history.IsRestoreNextStateAvailable()
    history.RestoreNextState()
    history.RestoreNextState()
    assert follower.follow() and now(volume) == twice and names(volume) == ["L1 ROI (edited)", "L2 ROI"]


def test_an_emptied_roi_is_refused_by_name(volume, follower):
    brush.erase_all(volume, "L1")
    assert follower.follow()
    assert "roi_mean_hu" not in entry(volume) and now(volume)["patient"]["left_out"] == [dict(level="L1", code="ROI_EMPTY")]
    table = scene.measurement_of(volume)[1]
    cells = [table.GetCellText(0, column) for column in range(table.GetNumberOfColumns())]
    assert cells[0] == "L1" and "–" in cells and not {"0", "0.0"} & set(cells)
    assert roi_edit.awaiting_reading(volume) == {} and names(volume)[0] == "L1 ROI (edited)"


def test_a_removed_segment_is_an_emptied_roi(volume, follower):
    scene.find_result(volume, "vtkMRMLSegmentationNode").GetSegmentation().RemoveSegment("L1 ROI")
    assert follower.follow() and now(volume)["patient"]["left_out"] == [dict(level="L1", code="ROI_EMPTY")]
    assert not roi_edit.reset_roi(volume, "L1")


def test_reset_brings_back_the_automatic_roi_of_one_level(volume, follower):
    before, untouched = now(volume), voxels(volume)
    brush.erase_all(volume, "L1")
    brush.paint(volume, "L2", (slice(10, 13), slice(15, 20), slice(30, 40)))
    follower.follow()
    assert roi_edit.reset_roi(volume, "L1") and follower.follow()
    assert np.array_equal(voxels(volume), untouched) and names(volume) == ["L1 ROI", "L2 ROI (edited)"]
    assert entry(volume) == before["vertebrae"][1] and now(volume)["settings"]["roi_levels"] == ["L2"]
    assert roi_edit.reset_roi(volume, "L2") and follower.follow() and now(volume) == before


def test_an_edited_body_is_said_and_changes_no_number(volume, follower):
    before = now(volume)
    brush.paint(volume, "L2", (slice(10, 13), slice(0, 5), slice(30, 40)), kind="body")
    assert not follower.follow() and follower.edited_bodies == ("L2",) and now(volume) == before
    assert roi_edit.RoiFollower(volume).edited_bodies == ()
    brush.erase(volume, "L2", (slice(10, 13), slice(0, 5), slice(30, 40)), kind="body")
    assert not follower.follow() and follower.edited_bodies == ()


def test_a_saved_scene_knows_its_edits(volume, follower, case):
    """A panel that opens the scene later, or that was closed during an edit, finds what changed."""
    brush.paint(volume, "L1", FRONT)
    later = roi_edit.RoiFollower(volume)
    assert later.follow() and "ROI_EDITED" in entry(volume)["flags"]
    edited = now(volume)
    assert not roi_edit.RoiFollower(volume).follow() and now(volume) == edited
    scene.show_measurement(volume, document(case), case.vertebrae.label_map, case.roi)
    assert not follower.follow() and names(volume) == ["L1 ROI", "L2 ROI"]


def test_the_edited_rois_go_to_the_worker_on_the_voxels_of_the_scan(case, volume, follower, tmp_path):
    assert roi_edit.edited_rois(volume) is None
    brush.paint(volume, "L1", FRONT)
    follower.follow()
    image, levels = roi_edit.edited_rois(volume)
    sitk.WriteImage(image, str(tmp_path / "roi.nrrd"))
    whole = sitk.GetArrayFromImage(read_label_map(tmp_path / "roi.nrrd", case.scan.image, part=True))
    assert levels == ("L1",) and np.array_equal(whole, 20 * voxels(volume)) and image.GetNumberOfPixels() < whole.size / 20
    brush.erase_all(volume, "L1")
    follower.follow()
    image, levels = roi_edit.edited_rois(volume)
    sitk.WriteImage(image, str(tmp_path / "roi.nrrd"))
    assert levels == ("L1",) and not sitk.GetArrayFromImage(read_label_map(tmp_path / "roi.nrrd", case.scan.image, part=True)).any()


def test_a_measurement_with_edited_rois_stays_edited_and_is_reset_by_measuring(case, volume, follower):
    edited = document(case)
    edited["settings"] |= dict(own_roi=True, roi_levels=["L1"])
    edited["vertebrae"][1]["flags"].append("ROI_EDITED")
    scene.show_measurement(volume, edited, case.vertebrae.label_map, case.roi)
    assert names(volume) == ["L1 ROI (edited)", "L2 ROI"] and not follower.follow()
    assert not roi_edit.reset_roi(volume, "L1") and roi_edit.reset_roi(volume, "L2")
    brush.paint(volume, "L2", (slice(10, 13), slice(15, 20), slice(30, 40)))
    assert follower.follow() and now(volume)["settings"]["roi_levels"] == ["L1", "L2"]


def test_the_network_gets_what_it_would_read_of_the_whole_scan(case, mrml):
    """Also of an oblique scan under a transform: the crop is taken in the world."""
    turn = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
    image = sitk.Image(case.scan.image)
    image.SetDirection(turn.ravel().tolist())
    turned = replace(case, scan=replace(case.scan, image=image))
    volume = scene.add_volume(mrml, turned.scan, "oblique")
    transform = mrml.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    moved = np.eye(4)
    moved[:3, 3] = 5.0, -7.0, 11.0
    transform.SetMatrixTransformToParent(vtk_matrix(moved))
    volume.SetAndObserveTransformNodeID(transform.GetID())
    scene.show_measurement(volume, document(turned), turned.vertebrae.label_map, turned.roi)
    brush.paint(volume, "L1", FRONT)
    follower = roi_edit.RoiFollower(volume)
    follower.follow()
    found = roi_edit.awaiting_reading(volume)
    assert list(found) == ["L1"]
    crop, centre = found["L1"]
    world = sitk.Image(image)
    world.SetOrigin(np.add(image.GetOrigin(), (-5.0, 7.0, 11.0)).tolist())
    expected = world.TransformContinuousIndexToPhysicalPoint(np.argwhere(voxels(volume)).mean(axis=0)[::-1].tolist())
    np.testing.assert_allclose(centre, expected, atol=1e-6)
    grid = crop_grid(centre)
    np.testing.assert_allclose(sitk.GetArrayFromImage(resampled(crop, grid)), sitk.GetArrayFromImage(resampled(world, grid)), atol=1e-2)
    roi_edit.show_readings(volume, {"L1": network_entry(Reading(130.0, 5.0))})
    assert entry(volume)["vbmd_network_mg_cm3"] == 130.0 and roi_edit.awaiting_reading(volume) == {}
    read = roi_edit.followed_rois(volume)
    brush.paint(volume, "L2", (slice(10, 13), slice(15, 20), slice(30, 40)))
    follower.follow()
    assert entry(volume)["vbmd_network_mg_cm3"] == 130.0, "the reading of a ROI that is still the same is kept"
    assert list(roi_edit.awaiting_reading(volume)) == ["L2"] and roi_edit.followed_rois(volume) != read


def test_a_segment_on_finer_voxels_is_read_on_those_of_the_scan(case, volume, follower):
    node, expected = scene.find_result(volume, "vtkMRMLSegmentationNode"), voxels(volume, "L2")
    fine = sitk.Expand(case.roi == 21, [2, 2, 1], sitk.sitkNearestNeighbor)
    other = scene.add_volume(volume.GetScene(), replace(case.scan, image=sitk.Cast(fine, sitk.sitkInt16)), "fine")
    finer = result_node(other, "vtkMRMLSegmentationNode", "fine")
    fill_segmentation(finer, other, layers_of(None, sitk.Cast(fine, sitk.sitkUInt8) * 21))
    segment = finer.GetSegmentation().GetSegment("L2 ROI")
    node.GetSegmentation().RemoveSegment("L2 ROI")
    node.GetSegmentation().AddSegment(segment, "L2 ROI")
    assert segments(node, "ROI").keys() == {"L1", "L2"}
    found = voxels(volume, "L2")
    assert found.sum() == pytest.approx(expected.sum(), rel=0.05) and (found & expected).sum() > 0.95 * expected.sum()


def test_a_segmentation_that_was_moved_away_is_an_error(volume, follower):
    transform = volume.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
    scene.find_result(volume, "vtkMRMLSegmentationNode").SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(ValueError, match="another transform"):
        roi_edit.RoiFollower(volume).follow()


def test_a_volume_without_a_measurement_has_nothing_to_follow(mrml, case):
    volume = scene.add_volume(mrml, case.scan, "plain")
    assert not roi_edit.RoiFollower(volume).follow() and roi_edit.edited_rois(volume) is None
    assert roi_edit.awaiting_reading(volume) == {} and roi_edit.followed_rois(volume) == {}
