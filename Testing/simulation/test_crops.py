"""Training crops: shape, truth that the crop really shows, repeatability."""

import numpy as np
import pytest

from VertebralBMDLib.simulation.crops import CropRanges, draw_crop, simulate_crop


def test_crop_shows_its_truth():
    rng = np.random.default_rng(5)
    errors = []
    for _ in range(8):
        crop = draw_crop(rng)
        assert crop.hu.shape == (32, 32, 32) and crop.hu.dtype == np.float32
        assert crop.roi.sum() > 300 and crop.body[crop.roi].all()
        reading = crop.hu[crop.roi].mean() * crop.truth["slope_mg_cm3_per_hu"] + crop.truth["intercept_mg_cm3"]
        errors.append(reading - crop.truth["reading_at_kvp_mg_cm3"])
    assert np.abs(errors).max() < 3.0 and abs(np.mean(errors)) < 1.0


def test_same_generator_same_crop():
    (a, ta), (b, tb) = (simulate_crop(np.random.default_rng(9), shape=(20, 24, 28)) for _ in range(2))
    assert a.shape == (20, 24, 28) and np.array_equal(a, b) and ta == tb


def test_density_range_is_covered():
    rng = np.random.default_rng(2)
    values = [draw_crop(rng, shape=(8, 8, 8)).truth["vbmd_mg_cm3"] for _ in range(25)]
    assert min(values) < 80 and max(values) > 180


def test_wrong_values_are_named():
    with pytest.raises(ValueError, match="shape must be"):
        simulate_crop(np.random.default_rng(0), shape=(0, 4, 4))
    with pytest.raises(ValueError, match="vbmd_mg_cm3 must be"):
        CropRanges(vbmd_mg_cm3=(-5.0, 100.0))
