"""The user's own label map in VerSe numbers, the choice of an engine, and renumbering from a point."""

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.scan import Scan
from VertebralBMDLib.segmentation.bundled import BundledEngine
from VertebralBMDLib.segmentation.engines import engine_for, renumbered
from VertebralBMDLib.segmentation.own import LabelMapEngine, read_label_map
from VertebralBMDLib.segmentation.totalsegmentator import TotalSegmentatorEngine

SPACING, ORIGIN = (1.0, 1.0, 2.0), (-20.0, 10.0, 500.0)
#: Ranges of k of bodies of 24 x 24 mm; every one holds 10 cm³ but the last.
BODIES = {19: (56, 65), 20: (44, 53), 21: (30, 39), 22: (18, 22)}


def volume(bodies=BODIES, dtype=np.uint8):
    labels = np.zeros((70, 40, 40), dtype)
    for label, (low, high) in bodies.items():
        labels[low:high, 8:32, 8:32] = label
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    return image


@pytest.fixture
def scan():
    return Scan(sitk.Cast(volume(), sitk.sitkInt16))


def segmented(folder, image, scan):
    path = folder / "bodies Ω.nii.gz"
    sitk.WriteImage(image, str(path))
    return LabelMapEngine(path).segment(scan, lambda fraction: None)


def refused(code, function, *arguments):
    with pytest.raises(Refused) as caught:
        function(*arguments)
    assert caught.value.code == code
    return caught.value.detail


def middle(label, bodies=BODIES):
    return (0.0, 29.5, ORIGIN[2] + sum(bodies[label]) - 1.0)


def test_bodies_are_listed_from_cranial_with_their_centres_and_volumes(tmp_path, scan):
    found = segmented(tmp_path, volume(), scan)
    assert [(body.level, body.label) for body in found.bodies] == [("T12", 19), ("L1", 20), ("L2", 21), ("L3", 22)]
    for body in found.bodies[:3]:
        assert body.centroid_lps_mm == pytest.approx((-0.5, 29.5, middle(body.label)[2]))
        assert (
            body.volume_cm3 == pytest.approx(24 * 24 * 9 * 2 / 1000) and body.complete and body.level_confidence == 1.0 and body.flags == ()
        )
    assert found.engine == "label-map" and found.models == () and found.flags == ()
    assert np.array_equal(sitk.GetArrayFromImage(found.label_map), sitk.GetArrayFromImage(volume()))
    assert found.get("L2").label == 21 and found.get("L5") is None


@pytest.mark.parametrize(
    "place",
    [
        (slice(8, 32), slice(8, 32), slice(0, 3)),
        (slice(8, 32), slice(8, 32), slice(67, 70)),
        (slice(0, 9), slice(8, 32), slice(44, 53)),
        (slice(8, 32), slice(31, 40), slice(44, 53)),
    ],
)
def test_a_body_at_any_border_of_the_scan_is_cut_off(tmp_path, scan, place):
    image = volume({19: (56, 65), 21: (30, 39)})
    image[8:32, 8:32, 44:53] = 20
    image[place] = 20
    found = segmented(tmp_path, image, scan)
    assert not found.get("L1").complete and Code.BODY_CUT_OFF in found.get("L1").flags
    assert found.get("T12").complete and found.get("L2").complete


def test_foreign_labels_are_ignored(tmp_path, scan):
    found = segmented(tmp_path, volume({**BODIES, 1: (1, 3), 26: (4, 6), 99: (8, 10), 120: (12, 15), 255: (66, 68)}), scan)
    assert [body.label for body in found.bodies] == [19, 20, 21, 22]
    assert set(np.unique(sitk.GetArrayViewFromImage(found.label_map))) == {0, 19, 20, 21, 22}


def test_t13_and_l6_are_known(tmp_path, scan):
    found = segmented(tmp_path, volume({28: (56, 65), 20: (44, 53), 25: (30, 39)}), scan)
    assert [body.level for body in found.bodies] == ["T13", "L1", "L6"]


def test_a_scan_stored_from_cranial_to_caudal_is_listed_from_cranial(tmp_path):
    flipped = sitk.Flip(volume(), [False, False, True])
    found = segmented(tmp_path, flipped, Scan(sitk.Cast(flipped, sitk.sitkInt16)))
    assert [body.level for body in found.bodies] == ["T12", "L1", "L2", "L3"]


def test_a_label_map_without_vertebrae_is_refused(tmp_path, scan):
    refused(Code.NO_VERTEBRAE, segmented, tmp_path, volume({}), scan)
    refused(Code.NO_VERTEBRAE, segmented, tmp_path, volume({5: (10, 20)}), scan)


def moved(**changes):
    image = volume()
    for name, value in changes.items():
        getattr(image, f"Set{name}")(value)
    return image


@pytest.mark.parametrize(
    "image",
    [
        moved(Origin=(-20.0, 10.0, 502.0)),
        moved(Spacing=(1.0, 1.0, 2.01)),
        moved(Direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1)),
        volume()[:, :, 1:],
        sitk.Cast(volume(), sitk.sitkFloat32) * 0.5,
        sitk.Cast(volume(), sitk.sitkInt16) - 1,
        sitk.Cast(volume(), sitk.sitkInt16) * 20,
        sitk.Compose([volume()] * 3),
    ],
    ids=["moved", "other spacing", "other direction", "smaller", "fractions", "negative", "above 255", "colour"],
)
def test_a_label_map_that_does_not_fit_the_scan_is_refused_with_the_reason(tmp_path, scan, image):
    assert refused(Code.LABEL_MAP_UNUSABLE, segmented, tmp_path, image, scan)


def test_a_label_map_that_is_no_image_or_not_there_is_refused(tmp_path, scan):
    (tmp_path / "bodies.nii.gz").write_bytes(b"no image")
    for name in ("bodies.nii.gz", "nowhere.nii.gz"):
        refused(Code.LABEL_MAP_UNUSABLE, read_label_map, tmp_path / name, scan.image)


@pytest.mark.parametrize("pixel", [sitk.sitkInt32, sitk.sitkFloat64, sitk.sitkUInt16])
def test_whole_numbers_of_any_type_are_labels(tmp_path, scan, pixel):
    sitk.WriteImage(sitk.Cast(volume(), pixel), str(tmp_path / "bodies.nrrd"))
    found = read_label_map(tmp_path / "bodies.nrrd", scan.image)
    assert found.GetPixelID() == sitk.sitkUInt8 and np.array_equal(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(volume()))


def test_own_bodies_come_before_an_engine_and_unknown_engines_are_named(tmp_path):
    assert isinstance(engine_for("bundled", None, "cpu").engine, BundledEngine)
    assert isinstance(engine_for("totalsegmentator", None, "cpu").engine, TotalSegmentatorEngine)
    assert isinstance(engine_for("bundled", tmp_path / "bodies.nii.gz", "cpu").engine, LabelMapEngine)
    with pytest.raises(ValueError, match="'magic'.*bundled, totalsegmentator"):
        engine_for("magic", None, "cpu")


def test_renumbering_counts_every_body_from_the_one_that_holds_the_point(tmp_path, scan):
    found = segmented(tmp_path, volume(), scan)
    renamed = renumbered(found, "L2", middle(20))
    assert [(body.level, body.label) for body in renamed.bodies] == [("L1", 20), ("L2", 21), ("L3", 22), ("L4", 23)]
    for before, after in zip(found.bodies, renamed.bodies):
        assert after.centroid_lps_mm == before.centroid_lps_mm and after.volume_cm3 == before.volume_cm3 and after.level_confidence == 1.0
        assert renamed.label_map[renamed.label_map.TransformPhysicalPointToIndex(after.centroid_lps_mm)] == after.label
    expected = sitk.GetArrayFromImage(volume())
    expected[expected > 0] += 1
    assert np.array_equal(sitk.GetArrayFromImage(renamed.label_map), expected)
    assert [body.level for body in found.bodies] == ["T12", "L1", "L2", "L3"]


def test_renumbering_removes_the_doubts_about_levels_and_says_who_did_it(tmp_path, scan):
    from dataclasses import replace

    doubts = (Code.LEVEL_UNCERTAIN, Code.TRANSITIONAL_ANATOMY, Code.LEVEL_ORDER, Code.BODIES_CUT_OUT)
    doubtful = replace(segmented(tmp_path, volume(), scan), flags=doubts)
    assert renumbered(doubtful, "L1", middle(20)).flags == (Code.LEVEL_SET_BY_USER, Code.BODIES_CUT_OUT)


def test_bodies_beyond_the_ends_of_the_column_lose_their_names(tmp_path, scan):
    found = segmented(tmp_path, volume(), scan)
    bottom, top = renumbered(found, "L6", middle(20)), renumbered(found, "T1", middle(21))
    assert [body.level for body in bottom.bodies] == ["L5", "L6"] and set(np.unique(sitk.GetArrayViewFromImage(bottom.label_map))) == {
        0,
        24,
        25,
    }
    assert [body.level for body in top.bodies] == ["T1", "T2"] and set(np.unique(sitk.GetArrayViewFromImage(top.label_map))) == {0, 8, 9}


@pytest.mark.parametrize(
    "point",
    [(0.0, 29.5, ORIGIN[2] + 83.0), (900.0, 0.0, 500.0), (-19.0, 12.0, 592.0)],
    ids=["between bodies", "outside the scan", "beside a body"],
)
def test_a_point_in_no_body_is_refused(tmp_path, scan, point):
    refused(Code.LEVEL_POINT_OUTSIDE, renumbered, segmented(tmp_path, volume(), scan), "L1", point)


def test_levels_cannot_be_counted_from_t13(tmp_path, scan):
    with pytest.raises(ValueError, match="T13"):
        renumbered(segmented(tmp_path, volume(), scan), "T13", middle(20))
