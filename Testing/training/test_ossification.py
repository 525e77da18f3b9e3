"""Painted ossification: where new bone grows, and what it leaves alone."""

import numpy as np
import pytest

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")
pytest.importorskip("torch")

from VertebralBMDLib.training.ossification import RandOssified, disc_spaces  # noqa: E402

SOFT_HU, MARROW_HU = 40.0, 180.0
#: Voxels (z, y, x) of three bodies, 1.5 mm: two discs of 4 voxels, and a gap of 14 that is no disc.
BODIES = (np.s_[2:8, 16:32, 14:34], np.s_[22:32, 16:32, 14:34], np.s_[36:46, 16:32, 14:34])
DISC = np.s_[32:36, 16:32, 14:34]


def column():
    """HU and the asked body of a column of boxes in soft tissue, and its structures, (channels, 48, 48, 48)."""
    hu, structures = np.full((48, 48, 48), SOFT_HU, np.float32), np.zeros((48, 48, 48), np.float32)
    for box in BODIES:
        hu[box], structures[box] = MARROW_HU, 1
    body = np.zeros_like(hu)
    body[BODIES[1]] = 1
    return {"image": np.stack([hu, body]), "structures": structures[None]}


def grown(seed, prob=1.0, given=None):
    """How much every voxel's HU rose, and the cube after it."""
    given = given or column()
    change = RandOssified(prob, 1.5)
    change.set_random_state(seed)
    after = change(given)
    return np.asarray(after["image"])[0] - given["image"][0], after


def test_a_disc_lies_between_bodies_that_are_near_each_other():
    discs = disc_spaces(column()["structures"][0] == 1, 10)
    assert discs[DISC].all() and discs.sum() == 4 * 16 * 20


def test_bone_only_grows_and_labels_stay():
    for seed in range(12):
        rise, after = grown(seed)
        assert rise.min() >= 0 and rise.max() > 50
        assert np.array_equal(after["image"][1], column()["image"][1]) and np.array_equal(after["structures"], column()["structures"])


def test_the_cube_that_was_given_is_not_changed():
    given = column()
    grown(0, given=given)
    assert np.array_equal(given["image"], column()["image"])


def test_discs_become_bone_in_most_cubes_and_bodies_never_more_than_marrow_varies():
    filled = []
    for seed in range(40):
        rise, _after = grown(seed)
        filled.append((rise[DISC] > 60).mean() > 0.5)
        assert not rise[BODIES[1]].any(), "the body itself is as it was"
    assert 15 <= sum(filled) <= 38


def test_bands_grow_before_and_beside_the_column_never_in_the_canal():
    before = beside = 0
    for seed in range(40):
        rise, _after = grown(seed)
        assert not rise[22:46, 33:, 20:28].any(), "behind the bodies is the canal"
        before += (rise[22:46, 13:16, 14:34] > 100).mean() > 0.1
        beside += max((rise[22:46, 16:32, x] > 100).mean() for x in (13, 34)) > 0.1
    assert before >= 10 and beside >= 5


def test_what_has_no_bodies_and_what_is_not_chosen_stays_as_it_is():
    assert not grown(0, prob=0.0)[0].any()
    empty = {**column(), "structures": np.zeros((1, 48, 48, 48), np.float32)}
    assert not grown(0, given=empty)[0].any()
