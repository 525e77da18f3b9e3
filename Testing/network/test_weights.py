"""The weights of several readings as one map in per cent."""

import numpy as np
import SimpleITK as sitk

from VertebralBMDLib.grid import box_grid
from VertebralBMDLib.network.density import Reading
from VertebralBMDLib.network.weights import weight_map

_SIZE, _SPACING_MM = (24, 20, 12), 2.0


def reading(centre_lps_mm, highest=1.0, sd_mm=8.0):
    """A reading whose weights are a ball around a point."""
    grid = box_grid(centre_lps_mm, _SIZE, _SPACING_MM)
    squares = [(axis * _SPACING_MM + start - centre) ** 2 for axis, start, centre in zip(indices(grid), grid.GetOrigin(), centre_lps_mm)]
    weights = sitk.GetImageFromArray((highest * np.exp(-sum(squares) / (2 * sd_mm**2))).astype(np.float32))
    weights.CopyInformation(grid)
    return Reading(100.0, 5.0, weights)


def indices(image):
    """The indices i, j, k of every voxel, each (k, j, i)."""
    return np.indices(image.GetSize()[::-1])[::-1]


def at(image, point_lps_mm):
    return image[image.TransformPhysicalPointToIndex(point_lps_mm)]


def test_one_vertebra_keeps_its_own_grid():
    alone = reading((10.3, -20.1, 812.7))
    found = weight_map([alone])
    assert found.GetPixelID() == sitk.sitkUInt8 and found.GetSize() == _SIZE and found.GetSpacing() == (_SPACING_MM,) * 3
    np.testing.assert_allclose(found.GetOrigin(), alone.weights.GetOrigin(), atol=1e-5)
    weights = sitk.GetArrayFromImage(alone.weights)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found), np.rint(100 * weights / weights.max()))


def test_every_vertebra_reaches_100_at_its_own_place_however_its_weights_add_up():
    upper, lower = (10.3, -20.1, 812.7), (17.0, -24.6, 780.0)
    found = weight_map([reading(upper, 1e-4), reading(lower, 3e-3)])
    assert sitk.GetArrayFromImage(found).max() == 100
    assert at(found, upper) >= 98 and at(found, lower) >= 98
    assert found.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)


def test_the_map_covers_every_crop_and_little_more():
    centres = ((0.0, 0.0, 0.0), (31.0, -9.5, 250.3))
    found = weight_map([reading(centre) for centre in centres])
    low, high = np.array(found.GetOrigin()), np.array(found.TransformIndexToPhysicalPoint([n - 1 for n in found.GetSize()]))
    half = (np.array(_SIZE) - 1) / 2 * _SPACING_MM
    for end, wanted in ((low, np.min(centres, axis=0) - half), (high, np.max(centres, axis=0) + half)):
        np.testing.assert_allclose(end, wanted, atol=_SPACING_MM / 2 + 1e-6)
    assert at(found, (15.0, -5.0, 125.0)) == 0, "between the crops the network saw nothing"


def test_where_crops_overlap_the_higher_value_counts():
    centres = ((0.0, 0.0, 0.0), (0.0, 0.0, 10.0))
    both = sitk.GetArrayFromImage(weight_map([reading(centre) for centre in centres]))
    alone = sitk.GetArrayFromImage(weight_map([reading(centres[0])]))
    shared = both[: len(alone)]
    assert shared.max() == 100 and np.all(shared + 1 >= alone), "one more or less by rounding"
    assert np.all(both <= 100)


def test_without_a_reading_there_is_no_map():
    assert weight_map([]) is None
