"""The user's own label map in other forms than VerSe numbers: segments of 3D Slicer, TotalSegmentator, whole vertebrae."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from label_files import nifti_with_table, segmentation_file

from VertebralBMDLib.anatomy import LABELS, LEVELS
from VertebralBMDLib.loading import load
from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.scan import Scan
from VertebralBMDLib.segmentation.engines import engine_for
from VertebralBMDLib.segmentation.own import LabelMapEngine

SPACING, ORIGIN, SIZE = (1.0, 1.0, 2.0), (-20.0, 10.0, 500.0), (40, 40, 70)
#: First and last slice of bodies of 24 x 24 mm.
PLACES = {"T12": (56, 65), "L1": (44, 53), "L2": (30, 39)}


@pytest.fixture
def empty_scan():
    image = sitk.Image(SIZE, sitk.sitkInt16)
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    return Scan(image)


def mask(level, low=0, high=0):
    """A body (z, y, x), some slices longer or shorter at either end."""
    voxels = np.zeros(SIZE[::-1], np.uint8)
    voxels[PLACES[level][0] - low : PLACES[level][1] + high, 8:32, 8:32] = 1
    return voxels


def written(path, voxels, segments, first=(0, 0, 0)):
    """A .seg.nrrd of the extent that starts at voxel ``first`` (i, j, k) of the scan."""
    return segmentation_file(path, voxels, segments, SPACING, np.array(ORIGIN) + np.array(first) * SPACING)


def segment(path, scan, **options):
    return LabelMapEngine(path, **options).segment(scan, lambda fraction: None)


def reason(path, scan, **options):
    with pytest.raises(Refused) as caught:
        segment(path, scan, **options)
    return caught.value.code, caught.value.detail


def labels(found):
    return sitk.GetArrayViewFromImage(found.label_map)


SEGMENTS = [("L1 vertebra", 1, 0), ("aorta", 2, 0), ("vertebrae_T12", 3, 0)]


def test_segments_are_taken_by_their_names(tmp_path, empty_scan):
    voxels = mask("L1") + 2 * mask("L2") + 3 * mask("T12")
    found = segment(written(tmp_path / "a Ω.seg.nrrd", [voxels], SEGMENTS), empty_scan)
    assert [(body.level, body.label) for body in found.bodies] == [("T12", 19), ("L1", 20)]
    assert np.array_equal(labels(found), 20 * mask("L1") + 19 * mask("T12")) and found.flags == ()


def test_an_extent_that_was_cropped_to_the_segments_is_put_back(tmp_path, empty_scan):
    voxels = (mask("L1") + 3 * mask("T12"))[40:66, 6:34, 7:33]
    found = segment(written(tmp_path / "a.seg.nrrd", [voxels], SEGMENTS, first=(7, 6, 40)), empty_scan)
    assert np.array_equal(labels(found), 20 * mask("L1") + 19 * mask("T12"))


def test_an_extent_beyond_the_scan_is_fine_while_it_is_empty_there(tmp_path, empty_scan):
    voxels = np.pad(mask("L1"), ((2, 0), (0, 3), (1, 1)))
    path = written(tmp_path / "a.seg.nrrd", [voxels], SEGMENTS, first=(-1, 0, -2))
    assert np.array_equal(labels(segment(path, empty_scan)), 20 * mask("L1"))
    voxels[0, 10, 10] = 1
    assert reason(written(tmp_path / "a.seg.nrrd", [voxels], SEGMENTS, first=(-1, 0, -2)), empty_scan) == (
        Code.LABEL_MAP_UNUSABLE,
        "L1 reaches out of the scan",
    )


@pytest.mark.parametrize("first", [(0.4, 0, 0), (500, 0, 0)], ids=["between voxels", "elsewhere"])
def test_segments_of_another_grid_are_refused(tmp_path, empty_scan, first):
    assert reason(written(tmp_path / "a.seg.nrrd", [mask("L1")], SEGMENTS, first), empty_scan)[0] == Code.LABEL_MAP_UNUSABLE


def test_layers_hold_segments_that_overlap(tmp_path, empty_scan):
    segments = [("L1", 1, 0), ("L2", 1, 1)]
    apart = segment(written(tmp_path / "a.seg.nrrd", [mask("L1"), mask("L2")], segments), empty_scan)
    assert np.array_equal(labels(apart), 20 * mask("L1") + 21 * mask("L2")) and apart.flags == ()
    over = segment(written(tmp_path / "b.seg.nrrd", [mask("L1", low=8), mask("L2")], segments), empty_scan)
    assert over.flags == (Code.BODIES_OVERLAP,)
    assert reason(written(tmp_path / "c.seg.nrrd", [mask("L1"), mask("L2")], [("L1", 1, 0), ("L2", 1, 2)]), empty_scan)[1] == (
        "the layer of L2 is missing"
    )


def image_of(voxels, scan):
    image = sitk.GetImageFromArray(voxels.astype(np.uint8))
    image.CopyInformation(scan.image)
    return image


def test_the_numbers_of_totalsegmentator_are_known_by_themselves(tmp_path, empty_scan):
    sitk.WriteImage(image_of(31 * mask("L1") + 30 * mask("L2") + 32 * mask("T12"), empty_scan), str(tmp_path / "a.nii.gz"))
    assert [body.level for body in segment(tmp_path / "a.nii.gz", empty_scan).bodies] == ["T12", "L1", "L2"]


def test_the_names_in_a_nifti_are_stronger_than_its_numbers(tmp_path, empty_scan):
    path = nifti_with_table(
        tmp_path / "a.nii.gz", image_of(28 * mask("L1") + 20 * mask("L2"), empty_scan), [(28, "vertebrae_L4"), (20, "colon")]
    )
    found = segment(path, empty_scan)
    assert [body.level for body in found.bodies] == ["L4"] and np.array_equal(labels(found), 23 * mask("L1"))


def test_what_can_be_read_both_ways_needs_the_users_word(tmp_path, empty_scan):
    sitk.WriteImage(image_of(28 * mask("L1"), empty_scan), str(tmp_path / "a.nii.gz"))
    assert reason(tmp_path / "a.nii.gz", empty_scan)[0] == Code.LABELS_AMBIGUOUS
    assert [body.level for body in segment(tmp_path / "a.nii.gz", empty_scan, numbering="totalsegmentator").bodies] == ["L4"]
    found = engine_for("bundled", tmp_path / "a.nii.gz", "cpu", "verse").segment(empty_scan, lambda fraction: None)
    assert [body.level for body in found.bodies] == ["T13"]


def test_the_users_numbering_is_stronger_than_names(tmp_path, empty_scan):
    path = written(tmp_path / "a.seg.nrrd", [31 * mask("L1")], [("L3", 31, 0)])
    assert [body.level for body in segment(path, empty_scan).bodies] == ["L3"]
    assert [body.level for body in segment(path, empty_scan, numbering="totalsegmentator").bodies] == ["L1"]


def test_whole_vertebrae_are_cut_to_bodies_and_bodies_are_left_alone(tmp_path, scan, patient, whole_vertebrae):
    truth, whole = (sitk.GetArrayFromImage(image) for image in (patient.bodies, whole_vertebrae))
    mixed = np.where(whole == LABELS["L2"], truth, whole)
    mixed[~np.isin(mixed, [LABELS[level] for level in ("T12", "L1", "L2")])] = 0
    image = sitk.GetImageFromArray(mixed)
    image.CopyInformation(patient.bodies)
    sitk.WriteImage(image, str(tmp_path / "whole.nii.gz"))
    found = segment(tmp_path / "whole.nii.gz", scan)
    assert found.flags == (Code.BODIES_CUT_OUT,) and [model.name for model in found.models] == ["refine"]
    cut = labels(found)
    for level, least in (("T12", 0.8), ("L1", 0.8), ("L2", 0.99)):
        mine, theirs = cut == LABELS[level], truth == LABELS[level]
        assert 2 * (mine & theirs).sum() / (mine.sum() + theirs.sum()) > least
    assert set(np.unique(cut)) - {0} <= set(LEVELS)


def test_whole_vertebrae_without_a_body_in_the_scan_are_refused(tmp_path, whole_vertebrae):
    air = Scan(sitk.Cast(whole_vertebrae, sitk.sitkInt16) * 0 - 1000)
    sitk.WriteImage(sitk.Mask(whole_vertebrae, whole_vertebrae == LABELS["L1"]), str(tmp_path / "whole.nii.gz"))
    assert reason(tmp_path / "whole.nii.gz", air)[0] == Code.WHOLE_VERTEBRAE


def test_a_remnant_without_a_body_does_not_cost_the_bodies_beside_it(tmp_path, scan, patient):
    """A sliver in the scan's lowest slice, as the border leaves of a vertebra."""
    truth = sitk.GetArrayFromImage(patient.bodies)
    mixed = np.where(np.isin(truth, [LABELS[level] for level in ("T12", "L1")]), truth, 0)
    mixed[0, 5:105, 5:8] = LABELS["L2"]
    image = sitk.GetImageFromArray(mixed)
    image.CopyInformation(patient.bodies)
    sitk.WriteImage(image, str(tmp_path / "remnant.nii.gz"))
    found = segment(tmp_path / "remnant.nii.gz", scan)
    assert [body.level for body in found.bodies] == ["T12", "L1"] and found.flags == found.models == ()


CT = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"


@pytest.mark.slow
@pytest.mark.skipif(not CT.is_dir(), reason="the development data are not here (../shared/data/ct)")
def test_real_vertebrae_of_totalsegmentator_are_cut_to_the_annotated_bodies():
    """Numbers 26 to 33 of a real scan, arches included, T11 and T12 cut by its border."""
    scan = load(CT / "CT_TS-example.nii.gz")
    found = engine_for("bundled", CT / "VERTEBRAE_TS-example.nii.gz", "cpu").segment(scan, lambda fraction: None)
    truth = sitk.GetArrayFromImage(sitk.ReadImage(str(CT / "BODIES_TS-example.nii.gz")))
    for level in ("L1", "L2", "L3", "L4", "L5"):
        mine, theirs = labels(found) == LABELS[level], truth == LABELS[level]
        assert 2 * (mine & theirs).sum() / (mine.sum() + theirs.sum()) > 0.85
        assert found.get(level).flags == ()
    assert not found.get("T12").complete and found.flags == (Code.BODIES_CUT_OUT,)
