"""Every check of a body fires on what it is for and keeps still on bodies that are right."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.anatomy import LEVELS
from VertebralBMDLib.quality import UNMEASURABLE, Code
from VertebralBMDLib.regions import regions_of
from VertebralBMDLib.scan import Scan
from VertebralBMDLib.segmentation.body_features import crops_of, features_of
from VertebralBMDLib.segmentation.engines import engine_for
from VertebralBMDLib.segmentation.labelled import labelled_bodies, numbered_from_cranial
from VertebralBMDLib.segmentation.levels import Naming
from VertebralBMDLib.segmentation.quality_checks import checked_bodies
from VertebralBMDLib.settings import Settings

SPACING = (1.0, 1.0, 1.5)
LEVELS_DOWN = ("T11", "T12", "L1", "L2", "L3", "L4")
WIDTH, DEPTH, HEIGHT, STEP = (20.0, 15.0, 13.0, 34.0)
BONE_HU, SOFT_HU = 250, 40


def grid(shape=(150, 90, 100)):
    """Coordinates in mm of a field (z, y, x) from its first voxel."""
    return np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, SPACING[::-1])), indexing="ij")


def label_of(level):
    return {name: label for label, name in LEVELS.items()}[level]


class Spine:
    """Six rounded boxes of bone, 34 mm apart, T11 at the top (highest z); half axes ``sizes[level]`` in units of a usual body."""

    def __init__(self, sizes=None, sag=None):
        self.z, self.y, self.x = grid()
        self.labels = np.zeros(self.z.shape, np.uint8)
        self.hu = np.full(self.z.shape, SOFT_HU, np.int16)
        self.centre = {}
        for k, level in enumerate(LEVELS_DOWN):
            usual = (1 + 0.08 * (k - 3)) * (sizes or {}).get(level, 1.0)
            self.centre[level] = (205.0 - STEP * k - (sag or {}).get(level, 0.0), 40.0, 50.0)
            self.put(level, self.body(level, usual))

    def body(self, level, size=1.0):
        z, y, x = self.centre[level]
        a, b, c = (half * size ** (1 / 3) for half in (HEIGHT, DEPTH, WIDTH))
        return (np.abs((self.z - z) / a) ** 4 + np.abs((self.y - y) / b) ** 4 + np.abs((self.x - x) / c) ** 4) < 1

    def put(self, level, mask, hu=BONE_HU):
        self.labels[mask] = label_of(level)
        self.hu[mask] = hu

    def box(self, level, dz, dy, dx, half):
        """A box beside the centre of a body; distances and half edges in mm."""
        z, y, x = (c + d for c, d in zip(self.centre[level], (dz, dy, dx)))
        return (np.abs(self.z - z) <= half[0]) & (np.abs(self.y - y) <= half[1]) & (np.abs(self.x - x) <= half[2])

    def found(self, levels=None):
        """The labels as an engine hands them over, and the scan."""
        images = [sitk.GetImageFromArray(array) for array in (self.hu, self.labels)]
        for image in images:
            image.SetSpacing(SPACING)
        numbered, named, _centroids, complete = numbered_from_cranial(images[1])
        return Scan(images[0]), labelled_bodies(numbered, Naming(levels or named, (0.9,) * len(complete)), complete, "test")

    def checked(self, levels=None):
        return checked_bodies(*self.found(levels))


def flags(vertebrae):
    return {body.level: body.flags for body in vertebrae.bodies if body.flags}


@pytest.fixture
def spine():
    return Spine()


def test_bodies_that_are_right_are_left_alone(spine):
    found = spine.checked()
    assert [body.level for body in found.bodies] == list(LEVELS_DOWN)
    assert flags(found) == {} and found.flags == () and {body.level_confidence for body in found.bodies} == {0.9}


def test_the_true_bodies_of_the_simulated_scan_are_right(patient, scan):
    numbered, levels, _centroids, complete = numbered_from_cranial(patient.bodies)
    found = checked_bodies(scan, labelled_bodies(numbered, Naming(levels, (1.0,) * len(levels)), complete, "truth"))
    assert {body.level: body.flags for body in found.bodies if body.complete and body.flags} == {} and found.flags == ()
    assert len([body for body in found.bodies if body.complete]) >= 5


def test_the_bodies_of_the_bundled_engine_pass_the_checks(measured):
    assert {body.level: body.flags for body in measured.vertebrae.bodies if body.complete and body.flags} == {}


def test_a_stray_piece_is_a_fragment_and_a_crumb_is_none(spine):
    spine.put("L1", spine.box("L1", 0, 0, -32, (4, 4, 4)))
    assert flags(spine.checked()) == {"L1": (Code.BODY_FRAGMENTED,)}
    few = Spine()
    few.put("L1", few.box("L1", 0, 0, -32, (1, 1, 1)))
    assert flags(few.checked()) == {}


def test_one_name_for_two_bodies_is_not_measured(spine):
    spine.labels[spine.labels == label_of("L2")] = label_of("L1")
    found = spine.checked()
    body = found.get("L1")
    assert {Code.LEVEL_DUPLICATED, Code.BODY_FRAGMENTED} <= set(body.flags) and body.refusal == Code.LEVEL_DUPLICATED


def test_a_body_at_the_border_is_cut_off_and_nothing_else(spine):
    spine.put("T11", spine.box("T11", 10, 0, 0, (30, 10, 10)))
    found = spine.checked()
    assert found.get("T11").flags == (Code.BODY_CUT_OFF,) and found.get("T11").refusal == Code.BODY_CUT_OFF


@pytest.mark.parametrize(("size", "odd"), [(0.35, True), (0.6, True), (0.85, False), (1.2, False), (1.6, True)])
def test_size_is_judged_by_the_neighbours(size, odd):
    assert flags(Spine({"L1": size}).checked()) == ({"L1": (Code.BODY_VOLUME_UNUSUAL,)} if odd else {})


@pytest.mark.parametrize(("size", "odd"), [(0.3, True), (0.75, False), (1.2, False)])
def test_size_is_judged_by_the_level_where_all_are_alike(size, odd):
    found = Spine(dict.fromkeys(LEVELS_DOWN, size)).checked()
    assert flags(found) == (dict.fromkeys(LEVELS_DOWN, (Code.BODY_VOLUME_UNUSUAL,)) if odd else {})


def test_a_body_alone_is_judged_by_its_level(spine):
    spine.labels[spine.labels != label_of("L1")] = 0
    assert flags(spine.checked()) == {}
    spine.labels[spine.box("L1", 0, 0, 0, (30, 30, 40))] = label_of("L1")
    assert Code.BODY_VOLUME_UNUSUAL in spine.checked().get("L1").flags


def test_a_hole_is_seen_and_a_single_voxel_is_not(spine):
    spine.labels[spine.box("L2", 0, 0, 0, (4, 5, 5))] = 0
    assert flags(spine.checked()) == {"L2": (Code.BODY_SHAPE_UNUSUAL,)}
    small = Spine()
    small.labels[small.box("L2", 0, 0, 0, (0.5, 0.5, 0.5))] = 0
    assert flags(small.checked()) == {}


def test_a_ragged_body_is_seen(spine):
    mask = spine.labels == label_of("L2")
    spine.labels[mask & ((spine.x // 4) % 3 > 0) & (spine.y > 32)] = 0
    found = flags(spine.checked())["L2"]
    assert Code.BODY_SHAPE_UNUSUAL in found


def test_a_flat_body_is_seen_and_a_fracture_is_not(spine):
    spine.labels[(spine.labels == label_of("L2")) & (np.abs(spine.z - spine.centre["L2"][0]) > 4)] = 0
    assert Code.BODY_SHAPE_UNUSUAL in flags(spine.checked())["L2"]
    broken = Spine()
    broken.labels[(broken.labels == label_of("L2")) & (broken.z > broken.centre["L2"][0] + 5)] = 0
    assert Code.BODY_SHAPE_UNUSUAL not in flags(broken.checked()).get("L2", ())


def test_an_arch_is_seen_and_osteophytes_are_not(spine):
    spine.put("L1", spine.box("L1", 0, 24, 12, (4, 12, 3)) | spine.box("L1", 0, 40, 0, (5, 5, 15)))
    body = spine.checked().get("L1")
    assert Code.BODY_WITH_ARCH in body.flags and body.refusal == Code.BODY_WITH_ARCH
    spurs = Spine()
    spurs.put("L1", spurs.box("L1", 11, 0, 0, (2, 18, 24)))
    assert flags(spurs.checked()) == {}


@pytest.mark.parametrize(("hu", "lean"), [(-900, True), (-90, True), (50, True), (120, False)], ids=["air", "fat", "muscle", "lean bone"])
def test_what_is_no_bone_is_not_measured(spine, hu, lean):
    mask = spine.labels == label_of("L3")
    spine.hu[mask] = hu + np.random.default_rng(0).normal(0, 60, mask.sum())
    body = spine.checked().get("L3")
    assert body.refusal == (Code.BODY_NOT_BONE if lean else None) and flags(spine.checked()) == (
        {"L3": (Code.BODY_NOT_BONE,)} if lean else {}
    )


def test_lean_marrow_within_its_cortex_is_bone(spine):
    spine.hu[spine.body("L3", 0.6)] = -10
    assert flags(spine.checked()) == {}


def test_gas_in_a_body_is_seen_and_a_vacuum_cleft_is_not(spine):
    spine.hu[spine.box("L3", 0, 0, 0, (6, 10, 12))] = -800
    assert flags(spine.checked()) == {"L3": (Code.BODY_NOT_BONE,)}
    cleft = Spine()
    cleft.hu[cleft.box("L3", 5, 0, 0, (1, 6, 8))] = -500
    assert flags(cleft.checked()) == {}


@pytest.mark.parametrize(
    ("hu", "half", "seen"),
    [(3071, (2, 6, 2), True), (1500, (6, 6, 7), True), (1300, (4, 4, 4), False), (900, (8, 9, 9), False), (2800, (1, 1, 1), False)],
    ids=["screw", "cement", "bone island", "blastic lesion", "noise or calcification"],
)
def test_metal_and_cement_are_not_measured(spine, hu, half, seen):
    spine.hu[spine.box("L2", 0, 0, 0, half)] = hu
    body = spine.checked().get("L2")
    assert body.flags == ((Code.BODY_METAL,) if seen else ()) and (body.refusal == Code.BODY_METAL) is seen


def test_bodies_that_reach_into_each_other_are_seen(spine):
    # Half of L2 beside a tongue of L1.
    spine.labels[(spine.labels == label_of("L2")) & (spine.x < 50)] = label_of("L1")
    found = flags(spine.checked())
    assert Code.BODIES_OVERLAP in found["L1"] and Code.BODIES_OVERLAP in found["L2"] and "L4" not in found


def test_touching_bodies_are_fused_and_fine(spine):
    spine.put("L1", spine.box("L1", -17, 0, 0, (5, 8, 10)) & (spine.labels == 0))
    assert Code.BODIES_OVERLAP not in flags(spine.checked()).get("L1", ())


def test_names_in_another_order_than_the_bodies_make_the_levels_uncertain(spine):
    found = spine.checked(("T11", "T12", "L2", "L1", "L3", "L4"))
    assert found.flags == (Code.LEVEL_ORDER, Code.LEVEL_UNCERTAIN) and {body.level_confidence for body in found.bodies} == {0.5}


@pytest.mark.parametrize("levels", [("T11", "T12", "T13", "L1", "L2", "L3"), ("T10", "T11", "L1", "L2", "L3", "L4")], ids=["T13", "no T12"])
def test_a_level_more_or_less_is_no_wrong_order_and_no_gap(spine, levels):
    assert spine.checked(levels).flags == ()


def test_a_missed_body_is_a_gap_and_one_that_was_left_out_is_none(spine):
    spine.labels[spine.labels == label_of("L1")] = 0
    missed = spine.checked(("T11", "T12", "L1", "L2", "L3"))
    assert missed.flags == (Code.COLUMN_GAP, Code.LEVEL_UNCERTAIN) and {body.level_confidence for body in missed.bodies} == {0.5}
    assert spine.checked().flags == ()


def test_what_an_engine_said_is_kept(spine):
    scan, found = spine.found()
    doubted = replace(
        found, flags=(Code.BODIES_CUT_OUT, Code.LEVEL_UNCERTAIN), bodies=tuple(replace(b, level_confidence=0.3) for b in found.bodies)
    )
    assert checked_bodies(scan, doubted).flags == (Code.BODIES_CUT_OUT, Code.LEVEL_UNCERTAIN)
    spine.labels[spine.labels == label_of("L1")] = 0
    scan, gap = spine.found(("T11", "T12", "L1", "L2", "L3"))
    worse = checked_bodies(scan, replace(gap, bodies=tuple(replace(b, level_confidence=0.3) for b in gap.bodies)))
    assert {body.level_confidence for body in worse.bodies} == {0.3}


@pytest.mark.parametrize("axes", ["LPS", "PIR", "RAI", "SLA"])
def test_features_do_not_depend_on_how_the_scan_is_stored(spine, axes):
    spine.put("L1", spine.box("L1", 0, 24, 12, (4, 12, 3)) | spine.box("L1", 0, 40, 0, (5, 5, 15)))
    scan, found = spine.found()
    straight = features_of(crops_of(scan, found.label_map, [20])[20])
    stored = Scan(sitk.DICOMOrient(scan.image, axes))
    turned = features_of(crops_of(stored, sitk.DICOMOrient(found.label_map, axes), [20])[20])
    assert straight.behind_share > 0.1
    assert vars(turned) == pytest.approx(vars(straight), rel=1e-6)


def test_every_engine_passes_through_the_checks(tmp_path, spine):
    spine.hu[spine.box("L2", 0, 0, 0, (4, 6, 4))] = 3071
    scan, _found = spine.found()
    image = sitk.GetImageFromArray(spine.labels)
    image.CopyInformation(scan.image)
    sitk.WriteImage(image, str(tmp_path / "bodies.nrrd"))
    found = engine_for("bundled", tmp_path / "bodies.nrrd", "cpu").segment(scan, lambda fraction: None)
    assert found.get("L2").refusal == Code.BODY_METAL and found.get("L1").refusal is None and found.engine == "label-map"


def test_only_flags_of_bodies_keep_a_body_from_being_measured(spine):
    body = spine.checked().get("L1")
    assert body.refusal is None
    assert replace(body, flags=(Code.BODY_VOLUME_UNUSUAL, Code.BODY_SHAPE_UNUSUAL, Code.BODY_FRAGMENTED)).refusal is None
    assert [replace(body, flags=(code,)).refusal for code in UNMEASURABLE] == list(UNMEASURABLE)


def test_a_level_whose_body_cannot_be_measured_is_missing_with_its_reason(spine):
    spine.hu[spine.box("L2", 0, 0, 0, (4, 6, 4))] = 3071
    scan, found = spine.found()
    regions, missing = regions_of(scan, checked_bodies(scan, found), Settings(), ("L1", "L2"))
    assert [region.vertebra.level for region in regions] == ["L1"] and missing == {"L2": Code.BODY_METAL}
