"""Kernels: what they do to an edge, to noise and to a homogeneous region; dose and slice overlap."""

import numpy as np
import pytest

from VertebralBMDLib.simulation.kernels import KERNELS, blur, noise_filter
from VertebralBMDLib.simulation.noise import noise_for_dose, noise_slices
from VertebralBMDLib.simulation.shapes import Grid

SPACING = (0.8, 0.8, 2.5)
SHARP = {name: kernel for name, kernel in KERNELS.items() if kernel is not None}


def grid(spacing_z=2.5, thickness=None, size=(97, 96, 60)):
    return Grid((0.0, 0.0, 0.0), (0.8, 0.8, spacing_z), size, 1, thickness)


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_keep_the_mean_of_a_homogeneous_region(kernel):
    hu = np.full((2, 40, 41), 137.0, np.float32)
    assert np.allclose(blur(hu, SPACING, KERNELS[kernel]), 137.0, atol=1e-3)


def test_no_kernel_is_the_same_array():
    hu = np.zeros((1, 4, 4), np.float32)
    assert blur(hu, SPACING, None) is hu


@pytest.mark.parametrize("name", SHARP)
def test_a_wave_passes_with_the_modulation_of_the_kernel(name):
    # a cosine along x that mirrors at both borders
    n, cycles = 200, 24
    wave = 100.0 * np.cos(np.pi * 2 * cycles * (np.arange(n) + 0.5) / n)
    out = blur(np.tile(wave, (1, 30, 1)).astype(np.float32), (0.5, 0.5, 1.0), SHARP[name])
    assert out[0, 15] == pytest.approx(wave * SHARP[name].mtf(np.array(cycles / (n * 0.5))), abs=0.01)


def test_kernels_get_sharper_and_noisier_in_order():
    order = ["SMOOTH", "SOFT", "STANDARD", "BONE", "EDGE"]
    f = np.linspace(0.0, 2.5, 2001)
    half = [f[np.nonzero(SHARP[name].mtf(f) > 0.5)[0][-1]] for name in order]
    assert half == sorted(half) and 0.33 < half[2] < 0.45
    noise = [SHARP[name].relative_noise for name in order]
    assert noise == sorted(noise)


def test_standard_point_spread_is_1_to_1_3_mm_wide():
    x = np.linspace(-5.0, 5.0, 2001)
    f = np.linspace(0.0, 2.0, 2001)
    profile = (SHARP["STANDARD"].mtf(f)[None, :] * np.cos(2 * np.pi * np.outer(x, f))).sum(axis=1)
    assert 1.0 < np.ptp(x[profile > 0.5 * profile.max()]) < 1.3


def test_lung_kernel_overshoots_an_edge_and_standard_does_not():
    step = np.zeros((1, 60, 400), np.float32)
    step[:, :, 200:] = 100.0
    fine = (0.2, 0.2, 1.0)
    lung = blur(step, fine, KERNELS["LUNG"])[0, 30]
    assert 105.0 < lung.max() < 115.0 and abs(lung[220:250] - 100.0).max() < 3.0  # back to the mean after 4 mm
    assert blur(step, fine, KERNELS["STANDARD"]).max() <= 100.01


@pytest.mark.parametrize("name", SHARP)
def test_noise_power_is_the_kernel_squared_times_a_ramp(name):
    # pixels small enough to resolve the whole spectrum
    amplitude = noise_filter((400, 400), (0.2, 0.2, 1.0), SHARP[name])[0]
    f = np.fft.rfftfreq(400, 0.2)
    expected = f * SHARP[name].filter(f) ** 2
    assert amplitude**2 / (amplitude**2).max() == pytest.approx(expected / expected.max(), abs=1e-3)


def test_noise_peaks_where_the_kernels_of_its_kind_do():
    f = np.linspace(0.0, 2.0, 2001)
    peak = {name: f[kernel.nps(f).argmax()] for name, kernel in SHARP.items()}
    assert 0.18 < peak["SOFT"] < 0.22 and 0.25 < peak["STANDARD"] < 0.29 and 0.6 < peak["LUNG"] < 0.9


@pytest.mark.parametrize("kernel", KERNELS)
def test_noise_has_unit_deviation_at_any_pixel_size(kernel):
    for pixel in (0.4, 0.8, 3.0):
        amplitude = noise_filter((64, 65), (pixel, pixel, 1.0), KERNELS[kernel])
        noise = np.fft.irfft2(np.fft.rfft2(np.random.default_rng(3).standard_normal((40, 64, 65))) * amplitude, s=(64, 65))
        assert noise.std() == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize(
    "thickness, expected", [(None, (0.0, 0.0)), (1.0, (0.0, 0.0)), (5.0, (0.5, 0.0)), (3.75, (1 / 3, 0.0)), (7.5, (2 / 3, 1 / 3))]
)
def test_neighbouring_slices_share_the_noise_of_their_overlap(thickness, expected):
    noise = np.stack([halves.sum(axis=0) for halves in noise_slices(grid(thickness=thickness), None, np.random.default_rng(1))])
    assert noise.std(axis=(1, 2)) == pytest.approx(1.0, abs=0.04)
    for lag, correlation in zip((1, 2), expected):
        assert np.mean(noise[lag:] * noise[:-lag]) == pytest.approx(correlation, abs=0.01)


def test_noise_for_dose_scales_as_photons_do():
    def standard(**change):
        return noise_for_dose(
            **({"dose_mgy": 10.0, "kvp": 120, "kernel": "STANDARD", "thickness_mm": 1.25, "water_equivalent_diameter_mm": 320.0} | change)
        )

    assert 12.0 <= standard() <= 20.0
    assert standard(dose_mgy=2.5) == pytest.approx(2.0 * standard()) and 30.0 <= standard(dose_mgy=2.5) <= 45.0
    assert standard(thickness_mm=5.0) == pytest.approx(0.5 * standard())
    assert 1.35 < standard(water_equivalent_diameter_mm=360.0) / standard() < 1.6
    assert 2.0 < standard(kernel="LUNG") / standard() < 4.5


@pytest.mark.parametrize(
    "wrong",
    [{"dose_mgy": 0.0}, {"kvp": 95}, {"kernel": "NONE"}, {"thickness_mm": 20.0}, {"water_equivalent_diameter_mm": 50.0}],
)
def test_wrong_doses_are_named(wrong):
    good = {"dose_mgy": 10.0, "kvp": 120, "kernel": "STANDARD", "thickness_mm": 1.25, "water_equivalent_diameter_mm": 320.0}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        noise_for_dose(**(good | wrong))
