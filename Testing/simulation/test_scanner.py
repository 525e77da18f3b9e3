"""Each scanner effect: what it does, and that switched off it does nothing."""

import numpy as np
import pytest

from VertebralBMDLib.simulation.scanner import KERNELS, Scanner, blur, noise_filter, to_int16

SPACING = (0.8, 0.8, 2.5)


def test_perfect_scanner_changes_nothing():
    hu = np.random.default_rng(0).normal(0.0, 300.0, (3, 20, 24)).astype(np.float32)
    assert np.array_equal(Scanner().acquire(hu.copy(), SPACING, np.random.default_rng(1)), hu)


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_keep_the_mean_of_a_homogeneous_region(kernel):
    hu = np.full((2, 40, 40), 137.0, np.float32)
    assert np.allclose(blur(hu, SPACING, KERNELS[kernel]), 137.0, atol=1e-3)


def test_lung_kernel_overshoots_an_edge_and_standard_does_not():
    step = np.zeros((1, 60, 120), np.float32)
    step[:, :, 60:] = 100.0
    assert 105.0 < blur(step, SPACING, KERNELS["LUNG"]).max() < 115.0
    assert blur(step, SPACING, KERNELS["STANDARD"]).max() <= 100.001


@pytest.mark.parametrize("kernel", KERNELS)
def test_noise_has_the_asked_sigma_and_spectrum(kernel):
    flat = np.zeros((30, 96, 97), np.float32)
    noisy = Scanner(kernel=kernel, noise_hu=25.0).acquire(flat, SPACING, np.random.default_rng(3))
    assert noisy.std() == pytest.approx(25.0, rel=0.02)
    assert noisy.mean() == pytest.approx(0.0, abs=0.3)


def test_lung_noise_is_finer_than_soft_noise():
    frequency = np.fft.rfftfreq(200, 0.8)
    peaks = {k: frequency[noise_filter((200, 200), SPACING, KERNELS[k])[0].argmax()] for k in ("SOFT", "LUNG")}
    assert peaks["SOFT"] == pytest.approx(0.20, abs=0.02)
    assert peaks["LUNG"] > 0.55


def test_response_is_linear_in_tissue_and_leaves_air():
    hu = np.array([-1000.0, -200.0, -100.0, 0.0, 300.0], np.float32)
    got = Scanner(slope_error=0.05, intercept_hu=4.0).response(hu)
    assert got == pytest.approx([-1000.0, -206.0, -101.0, 4.0, 319.0], abs=1e-3)


def test_storage_clips():
    assert to_int16(np.array([-2000.0, 0.4, 9999.0])).tolist() == [-1024, 0, 3071]


@pytest.mark.parametrize(
    "wrong", [{"kvp": 95}, {"kernel": "X"}, {"thickness_mm": -1.0}, {"noise_hu": -1.0}, {"slope_error": 0.5}, {"intercept_hu": 200.0}]
)
def test_wrong_values_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Scanner(**wrong)
