"""What each random change does to a cube, and what it leaves alone."""

import numpy as np
import pytest

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")
torch = pytest.importorskip("torch")

from made_scans import arrays  # noqa: E402

from VertebralBMDLib.grid import AIR_HU  # noqa: E402
from VertebralBMDLib.training.augmentation import (  # noqa: E402
    RandFieldOfView,
    RandRendered,
    RandThickSlices,
    SplitHu,
    augmentation,
    collated,
)

SIZE = 48


def noise(*shape):
    return np.random.default_rng(0).normal(100.0, 50.0, shape).astype(np.float32)


def column():
    """HU of a column, one map that repeats its bodies, and its structures, (channels, 40, 44, 44)."""
    hu, _bodies, structures = (array.astype(np.float32) for array in arrays())
    return {"image": np.stack([hu, structures == 1]), "structures": structures[None]}


def cube():
    """The column in a cube of 72³, as large as those that are augmented to 48³."""
    around = ((0, 0), (16, 16), (14, 14), (14, 14))
    return {key: np.pad(array, around, mode="edge") for key, array in column().items()}


def thick(hu, thickness_mm, spacing_mm=1.5, seed=0):
    change = RandThickSlices(1.0, (thickness_mm, thickness_mm), spacing_mm)
    change.set_random_state(seed)
    return np.asarray(change({"hu": hu[None]})["hu"])[0]


def test_thick_slices_are_means_along_z():
    hu = noise(48, 6, 6)
    seen = thick(hu, 6.0)
    means = hu.reshape(12, 4, 6, 6).mean(axis=1)
    # The centre of a slice of four voxels lies half a voxel beside the second and the third.
    expected = 0.875 * means[1:-1] + 0.0625 * (means[:-2] + means[2:])
    assert np.allclose(((seen[1::4] + seen[2::4]) / 2)[1:-1], expected, atol=1e-3)
    assert seen.mean() == pytest.approx(hu.mean(), abs=0.5) and seen.std() < 0.6 * hu.std()


def test_thick_slices_leave_the_plane_as_it_is():
    plane = np.broadcast_to(noise(1, 20, 20), (48, 20, 20)).copy()
    assert np.allclose(thick(plane, 6.0), plane, atol=1e-3)


def test_slices_thinner_than_the_grid_change_nothing():
    hu = noise(48, 6, 6)
    assert np.array_equal(thick(hu, 1.5), hu) and not np.array_equal(thick(hu, 2.0), hu)


@pytest.fixture
def rendered():
    def changed(given, seed):
        change = RandRendered(1.0)
        change.set_random_state(seed)
        return change(given)

    return changed


def test_rendering_keeps_labels_and_the_place_of_air_and_gives_bones_other_values(rendered):
    before = column()
    given = {key: array.copy() for key, array in before.items()}
    shifts = set()
    for seed in range(4):
        after = rendered(given, seed)
        assert all(np.array_equal(given[key], before[key]) for key in before), "the scan itself was changed"
        image, structures = np.asarray(after["image"]), np.asarray(after["structures"])
        air = before["image"][0] < -300
        assert air.any() and np.all(image[0][air] < -900) and np.all(image[0][~air] > -300)
        assert np.array_equal(image[1], before["image"][1]) and np.array_equal(structures, before["structures"])
        means = [image[0][structures[0] == part].mean() - before["image"][0][before["structures"][0] == part].mean() for part in (1, 2, 4)]
        assert all(-60 <= shift <= 150 for shift in means)
        shifts |= {round(float(shift), 2) for shift in means}
    assert len(shifts) == 12, "every structure has a shift of its own"


def test_rendering_changes_the_contrast_within_a_structure(rendered):
    before = column()
    ratios = []
    for seed in range(4):
        after, inside = np.asarray(rendered(before, seed)["image"]), before["structures"][0] == 1
        ratios.append(after[0][inside].std() / before["image"][0][inside].std())
    assert all(0.59 <= ratio <= 1.41 for ratio in ratios) and max(ratios) - min(ratios) > 0.1


def test_bone_without_a_name_is_rendered_by_its_hu_alone(rendered):
    hu = np.where(np.arange(8)[:, None, None] < 4, 40.0, 400.0) + noise(8, 8, 8) / 50
    given = {"image": hu[None].astype(np.float32), "structures": np.full((1, 8, 8, 8), 255.0, np.float32)}
    after = np.asarray(rendered(given, 1)["image"])[0]
    shifts = [(after - hu)[part].mean() for part in (np.s_[:4], np.s_[4:])]
    assert abs(shifts[0] - shifts[1]) > 1.0 and np.all(after[4:].min() > after[:4].max())


def viewed(seed, size=40):
    hu, structures = noise(1, size, size, size), np.full((1, size, size, size), 3.0, np.float32)
    change = RandFieldOfView(1.0)
    change.set_random_state(seed)
    after = change({"hu": hu.copy(), "maps": hu, "structures": structures.copy()})
    return hu, np.asarray(after["hu"]), np.asarray(after["structures"])


def test_a_field_that_ends_is_padded_and_nothing_is_labelled_there():
    axes = set()
    for seed in range(30):
        hu, after, structures = viewed(seed)
        beyond = after[0] == AIR_HU
        assert np.array_equal(beyond, structures[0] == 0) and np.array_equal(after[0][~beyond], hu[0][~beyond])
        assert 0.05 <= beyond.mean() <= 0.3001
        sides = [(axis, side) for axis in range(3) for side in (0, -1) if np.take(beyond, side, axis).all()]
        assert len(sides) == 1
        axes.add(sides[0])
    assert {axis for axis, _side in axes} == {0, 1, 2} and {side for _axis, side in axes} == {0, -1}


@pytest.fixture
def augmented():
    def changed(seed, times=1):
        change = augmentation(SIZE, 1.5, shift_mm=6.0, rotation=0.3, seed=seed)
        return [{key: np.asarray(array) for key, array in change(cube()).items()} for _ in range(times)]

    return changed


def test_augmentation_repeats_by_seed_and_never_twice_within(augmented):
    first, again, other = augmented(1, 3), augmented(1, 3), augmented(2, 3)
    for a, b, c in zip(first, again, other):
        assert all(np.array_equal(a[key], b[key]) for key in a) and not np.array_equal(a["hu"], c["hu"])
    assert not np.array_equal(first[0]["structures"], first[1]["structures"])


def test_augmented_cubes_have_hu_maps_and_whole_labels_that_belong_together(augmented):
    for one in augmented(3, 6):
        assert {key: array.shape for key, array in one.items()} == dict.fromkeys(("hu", "maps", "structures"), (1, SIZE, SIZE, SIZE))
        assert set(np.unique(one["structures"])) <= {0.0, 1.0, 2.0, 4.0} and 0 <= one["maps"].min() and one["maps"].max() <= 1
        bodies = one["structures"][0] == 1
        assert one["maps"][0][bodies].mean() > 0.8 and one["maps"][0][~bodies & (one["hu"][0] > -900)].mean() < 0.1
        assert one["hu"][0][bodies].mean() > one["hu"][0][(one["structures"][0] == 0) & (one["hu"][0] > -500)].mean() + 50
        assert np.isfinite(one["hu"]).all()


def test_left_and_right_are_mirrored_in_half_of_the_cubes():
    given = cube()
    change = augmentation(SIZE, 1.5, shift_mm=0.0, rotation=0.0, seed=0)
    ribs_left = [np.argwhere(np.asarray(change(given)["structures"])[0] == 4)[:, 2].mean() < SIZE / 2 for _ in range(12)]
    assert 2 <= sum(ribs_left) <= 10


def test_a_batch_is_float32_and_stacked():
    split = SplitHu()({key: array.astype(np.float16) for key, array in cube().items()})
    batch = collated([split, split])
    assert {key: tuple(value.shape) for key, value in batch.items()} == dict.fromkeys(("hu", "maps", "structures"), (2, 1, 72, 72, 72))
    assert all(value.dtype == torch.float32 for value in batch.values())
