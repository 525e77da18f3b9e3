"""The CT value of a rod: the normal distribution fitted to its voxels, and which voxels those are."""

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.calibration.line import Rod
from VertebralBMDLib.calibration.reading import fitted_normal, read_rod, stretches_beside

ROD = Rod("A", 100.0)


def test_the_fitted_normal_is_that_of_the_voxels():
    values = np.random.default_rng(1).normal(137.0, 25.0, 20_000)
    centre, sd = fitted_normal(values)
    assert centre == pytest.approx(values.mean(), abs=0.2) and sd == pytest.approx(25.0, rel=0.02)


@pytest.mark.parametrize("stray", [-1000.0, 900.0])
def test_an_air_bubble_or_metal_does_not_pull_the_fit(stray):
    values = np.random.default_rng(2).normal(137.0, 25.0, 3000)
    centre, sd = fitted_normal(np.concatenate([values, np.full(90, stray)]))
    assert centre == pytest.approx(values.mean(), abs=1.0) and sd == pytest.approx(25.0, rel=0.06)


def test_voxels_of_one_value_have_that_value_and_no_width():
    assert fitted_normal(np.full(50, 12.0)) == (12.0, 0.0)


def image_of(hu_at, spacing=(1.0, 1.0, 2.0), size=(60, 60, 30), origin=(-30.0, -30.0, -30.0)):
    """HU as a function of (x, y, z) in LPS mm."""
    z, y, x = (o + s * np.arange(n) for o, s, n in zip(origin[::-1], spacing[::-1], size[::-1]))
    array = hu_at(x[None, None, :], y[None, :, None], z[:, None, None]) + np.zeros((len(z), len(y), len(x)))
    image = sitk.GetImageFromArray(array.astype(np.float32))
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return image


def axis(x=0.0, y=0.0, low=-25.0, high=25.0, lean=0.0):
    z = np.linspace(low, high, 11)
    return np.column_stack([x + lean * z, np.full_like(z, y), z])


def test_only_voxels_within_65_percent_of_the_radius_and_within_the_stretches_are_read():
    image = image_of(lambda x, y, z: np.where((np.hypot(x, y) <= 6.5) & (np.abs(z) <= 10.0), 100.0, 900.0))
    reading = read_rod(image, ROD, axis(), 10.0, [(-10.0, 10.0)])
    assert (reading.hu, reading.mean_hu, reading.median_hu, reading.sd_hu, reading.drift_hu) == (100.0, 100.0, 100.0, 0.0, 0.0)
    assert reading.centre_lps_mm == (0.0, 0.0, 0.0) and reading.radius_mm == 10.0 and reading.rod is ROD
    assert read_rod(image, ROD, axis(), 10.4, [(-10.0, 10.0)]).mean_hu > 100.0
    assert read_rod(image, ROD, axis(), 10.0, [(-12.0, 10.0)]).mean_hu > 100.0


def test_a_leaning_rod_is_read_along_its_axis():
    image = image_of(lambda x, y, z: np.where(np.hypot(x - 0.3 * z, y) <= 6.6, 100.0, 0.0))
    reading = read_rod(image, ROD, axis(lean=0.3), 10.0, [(-20.0, -5.0), (5.0, 20.0)])
    assert reading.mean_hu == 100.0 and reading.centre_lps_mm == pytest.approx((0.0, 0.0, 0.0))
    assert read_rod(image, ROD, axis(), 10.0, [(-20.0, -5.0), (5.0, 20.0)]).mean_hu < 95.0


def test_fit_mean_and_median_are_told_apart():
    noise = np.random.default_rng(3).normal(0.0, 20.0, (30, 60, 60))
    image = image_of(lambda x, y, z: np.where((x > 3.0) & (z > 8.0), -700.0, 100.0) + noise)
    reading = read_rod(image, ROD, axis(), 10.0, [(-20.0, 20.0)])
    assert reading.hu == pytest.approx(100.0, abs=2.0) and reading.sd_hu == pytest.approx(20.0, rel=0.05)
    assert reading.mean_hu < 80.0 and 90.0 < reading.median_hu < 100.0


def test_drift_is_the_change_over_the_length_read():
    image = image_of(lambda x, y, z: 100.0 + 0.5 * z)
    assert read_rod(image, ROD, axis(), 10.0, [(-20.0, -10.0), (10.0, 20.0)]).drift_hu == pytest.approx(20.0)


@pytest.mark.parametrize("x", [-24.5, 24.0])
def test_a_rod_whose_reading_region_is_partly_outside_the_image_is_not_read(x):
    image = image_of(lambda x, y, z: 100.0)
    assert read_rod(image, ROD, axis(x=x), 10.0, [(-10.0, 10.0)]) is None
    assert read_rod(image, ROD, axis(x=0.9 * x), 10.0, [(-10.0, 10.0)]) is not None


def test_a_rod_in_the_padding_is_not_read_and_a_bubble_does_no_harm():
    cut = image_of(lambda x, y, z: np.where(x < -3.0, -1024.0, 100.0))
    assert read_rod(cut, ROD, axis(), 10.0, [(-10.0, 10.0)]) is None
    bubble = image_of(lambda x, y, z: np.where(np.hypot(x, y) < 1.5, -1000.0, 100.0))
    assert read_rod(bubble, ROD, axis(), 10.0, [(-10.0, 10.0)]).hu == pytest.approx(100.0)


def test_rods_are_read_beside_each_vertebra_for_10_mm_at_least():
    assert stretches_beside([20.0, -20.0], -50.0, 50.0) == [(-35.0, -5.0), (5.0, 35.0)]
    assert stretches_beside([-20.0, 20.0], -50.0, 16.0) == [(-35.0, -5.0), (5.0, 16.0)]
    assert stretches_beside([-20.0, 20.0], -50.0, 14.0) == [(-35.0, -5.0)]
    assert stretches_beside([20.0], -50.0, 0.0) == []
