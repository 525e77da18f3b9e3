"""What is read of ribs, sacrum, pelvis and centres from structures drawn into small fields."""

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.network.segmentation import STRUCTURES, Located
from VertebralBMDLib.segmentation.evidence import Below, evidence_of

STEP, PITCH_MM = 3.0, 30.0
#: From the middle of a body to where a rib is drawn to begin.
ROOT_MM = 15.0


class Drawn:
    """A field at 3 mm with a straight column of bodies, and the structures that are drawn into it."""

    def __init__(self, bodies=4, below_mm=80.0, above_mm=30.0, half_width_mm=200.0):
        height = above_mm + below_mm + PITCH_MM * (bodies - 1)
        side = np.arange(-half_width_mm, half_width_mm + 1, STEP)
        self.z, self.y, self.x = np.meshgrid(np.arange(0, height, STEP), np.arange(-60, 100, STEP), side, indexing="ij")
        self.origin = (side[0] + 50.0, -60.0 - 20.0, 700.0)
        self.centres = np.array([[0.0, 0.0, height - above_mm - PITCH_MM * k] for k in range(bodies)])
        self.structures = np.zeros((len(STRUCTURES), *self.z.shape), np.float32)
        self.ribbed, self.ribless = np.zeros((2, *self.z.shape), np.float32)
        self.hu = np.full(self.z.shape, 40.0, np.float32)
        self.complete = [True] * bodies

    def draw(self, structure, where):
        self.structures[STRUCTURES.index(structure)][where] = 1.0
        return self

    def rib(self, body, length_mm, sides=(-1, 1), fall_mm=0.0, hole_mm=(0.0, 0.0)):
        """A straight rib from beside a body that falls by ``fall_mm`` on its way, without the part between two distances."""
        for side in sides:
            out = side * self.x - ROOT_MM
            line = self.centres[body][2] + 4.0 - fall_mm * np.clip(out / length_mm, 0, 1)
            inside = (out >= 0) & (out <= length_mm) & (np.abs(self.y - 20) < 5) & (np.abs(self.z - line) < 5)
            self.draw("rib", inside & ~((out > hole_mm[0]) & (out < hole_mm[1])))
        return self

    def sacrum(self, under_mm):
        """A block whose upper end lies so far under the middle of the last body."""
        top = self.centres[-1][2] - under_mm
        return self.draw("sacrum", (np.abs(self.x) < 30) & (np.abs(self.y - 10) < 15) & (self.z < top) & (self.z > top - 24))

    def pelvis(self, top_mm, sides=(-1, 1)):
        """Wings whose crest lies at a height over the middle of the last body."""
        for side in sides:
            self.draw("pelvis", (np.abs(side * self.x - 90) < 30) & (np.abs(self.y) < 12) & (self.z <= self.centres[-1][2] + top_mm))
        return self

    def read(self):
        field = sitk.GetImageFromArray(self.hu)
        field.SetSpacing((STEP,) * 3)
        field.SetOrigin(self.origin)
        first = np.array([self.x.min(), self.y.min(), 0.0])
        return evidence_of(Located(self.structures, self.ribbed, self.ribless), field, self.centres - first + self.origin, self.complete)


def test_ribs_belong_to_their_bodies_and_have_their_length():
    found = Drawn().rib(0, 150.0).rib(1, 90.0, sides=(1,)).rib(1, 60.0, sides=(-1,)).rib(2, 24.0).read()
    expected = [[150, 150], [90, 60], [24, 24], [0, 0]]
    assert np.allclose(found.rib_mm, expected, atol=10) and not found.rib_cut.any()


def test_falling_ribs_stay_with_their_bodies():
    """The first one passes the heights of two bodies below."""
    found = Drawn(5).rib(0, 150.0, fall_mm=70.0).rib(1, 80.0, fall_mm=40.0).read()
    assert np.allclose(found.rib_mm[:, 0], [165, 89, 0, 0, 0], atol=12)


def test_a_short_rib_does_not_take_the_end_of_a_falling_one_that_passes_by():
    found = Drawn(5).rib(0, 150.0, fall_mm=100.0).rib(1, 25.0).read()
    assert np.allclose(found.rib_mm[:2, 0], [180, 25], atol=12)


def test_a_rib_in_pieces_is_one_rib():
    found = Drawn().rib(0, 150.0, hole_mm=(60.0, 72.0)).rib(1, 90.0).read()
    assert np.allclose(found.rib_mm[:2, 0], [150, 90], atol=10)


def test_a_rib_whose_neck_is_hidden_is_one_rib():
    """The transverse process lies over the neck: behind it the rib goes on."""
    found = Drawn().rib(0, 150.0, hole_mm=(3.0, 20.0)).read()
    assert np.allclose(found.rib_mm[0], 150, atol=10)


def test_ribs_that_touch_part_again():
    drawn = Drawn().rib(0, 150.0).rib(1, 90.0)
    bridge = (np.abs(drawn.x - 100) < 5) & (np.abs(drawn.y - 20) < 5) & (drawn.z < drawn.centres[0][2]) & (drawn.z > drawn.centres[1][2])
    found = drawn.draw("rib", bridge).read()
    assert np.allclose(found.rib_mm[:2, 0], [150, 90], atol=12)


def test_roots_that_have_grown_together_are_two_ribs():
    drawn = Drawn().rib(0, 150.0).rib(1, 90.0)
    bridge = (np.abs(drawn.x - 30) < 5) & (np.abs(drawn.y - 20) < 5) & (drawn.z < drawn.centres[0][2]) & (drawn.z > drawn.centres[1][2])
    found = drawn.draw("rib", bridge).read()
    assert np.allclose(found.rib_mm[:2, 0], [150, 90], atol=15)


def test_bone_that_does_not_begin_beside_a_body_is_no_rib():
    drawn = Drawn()
    found = drawn.draw("rib", (drawn.x > 80) & (drawn.x < 180) & (np.abs(drawn.y) < 6) & (np.abs(drawn.z - drawn.centres[1][2]) < 6)).read()
    assert not found.rib_mm.any()


def test_a_rib_that_leaves_the_field_is_cut():
    """At the side, below, and where the scan is padded."""
    assert Drawn(half_width_mm=110.0).rib(0, 150.0).read().rib_cut[0].all()
    below = Drawn(below_mm=20.0).rib(2, 150.0, fall_mm=90.0).rib(1, 80.0).read()
    assert below.rib_cut[2].all() and not below.rib_cut[1].any()
    padded = Drawn().rib(0, 150.0).rib(1, 60.0)
    padded.hu[padded.x > 100] = -1024.0
    padded.structures[:, padded.x > 97] = 0.0
    assert padded.read().rib_cut[:2].tolist() == [[True, False], [False, False]]


def test_ribs_of_a_body_that_is_cut_cannot_be_known_to_be_absent():
    drawn = Drawn().rib(0, 150.0)
    drawn.complete[0] = drawn.complete[-1] = False
    found = drawn.read()
    assert np.allclose(found.rib_mm[0], 150, atol=10) and np.isnan(found.rib_mm[-1]).all() and found.rib_mm[1].tolist() == [0, 0]


def test_a_map_without_ribs():
    assert not Drawn().read().rib_mm.any()


def test_the_share_of_the_centre_maps():
    drawn = Drawn()
    for body, (with_ribs, without) in enumerate([(0.9, 0.1), (0.2, 0.6), (0.0, 0.05)]):
        place = np.unravel_index(np.argmin(np.abs(drawn.x) + np.abs(drawn.y) + np.abs(drawn.z - drawn.centres[body][2])), drawn.x.shape)
        drawn.ribbed[place], drawn.ribless[place] = with_ribs, without
    assert np.allclose(drawn.read().ribbed, [0.9, 0.25, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("below_mm", "sacrum_mm", "complete", "expected"),
    [
        (80.0, 24.0, True, Below.SACRUM),
        (100.0, 57.0, True, Below.BODY),
        (80.0, None, True, Below.NOTHING),
        (30.0, None, True, Below.UNSEEN),
        (80.0, None, False, Below.UNSEEN),
    ],
)
def test_what_follows_the_last_body(below_mm, sacrum_mm, complete, expected):
    drawn = Drawn(below_mm=below_mm)
    drawn.complete[-1] = complete
    if sacrum_mm:
        drawn.sacrum(sacrum_mm)
    assert drawn.read().below is expected


def test_a_fragment_is_no_sacrum():
    drawn = Drawn()
    drawn.draw("sacrum", (np.abs(drawn.x) < 7) & (np.abs(drawn.y) < 7) & (np.abs(drawn.z - drawn.centres[-1][2] + 30) < 5))
    assert drawn.read().below is Below.NOTHING


@pytest.mark.parametrize(("top_mm", "place"), [(15.0, 2.5), (45.0, 1.5), (-30.0, 4.0)])
def test_the_crest_is_a_place_in_the_column(top_mm, place):
    found = Drawn().pelvis(top_mm).read()
    assert found.crest == pytest.approx(place, abs=0.15) and not found.crest_below


def test_the_crest_of_one_side_counts_and_of_none_lies_below_the_field():
    assert Drawn().pelvis(15.0, sides=(1,)).read().crest == pytest.approx(2.5, abs=0.15)
    found = Drawn(below_mm=60.0).read()
    assert found.crest == pytest.approx(5.0, abs=0.15) and found.crest_below


def test_one_body_alone_is_a_column():
    found = Drawn(1).rib(0, 90.0).sacrum(24.0).read()
    assert np.allclose(found.rib_mm, 90, atol=10) and found.below is Below.SACRUM
