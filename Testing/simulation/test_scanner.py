"""Each scanner effect: what it does, and that switched off it does nothing."""

from dataclasses import replace

import numpy as np
import pytest

from VertebralBMDLib.simulation.materials import WATER, in_water
from VertebralBMDLib.simulation.scanner import KERNELS, Scanner, in_plane_spacing, to_int16
from VertebralBMDLib.simulation.shapes import Canvas, Grid, Tube, paint

GRID = Grid((-40.0, -40.0, -10.0), (0.8, 0.8, 2.5), (101, 100, 9))
WIDE = Grid((-249.0, -249.0, -10.0), (3.0, 3.0, 5.0), (167, 167, 5))


def tube(radius, at=(0.0, 0.0), z=(-90.0, 90.0)):
    ends = np.ones(2)
    return Tube(np.array(z), at[0] * ends, at[1] * ends, radius * ends, radius * ends)


def phantom(canvas):
    """Water with one rod of bone mineral beside its middle."""
    paint(canvas, tube(150.0), WATER)
    paint(canvas, tube(15.0, (30.0, 0.0)), in_water("CaHA", 300.0))


def implant(canvas):
    """The same with two titanium rods in a part of the slices."""
    phantom(canvas)
    for x in (-40.0, 40.0):
        paint(canvas, tube(4.0, (x, 40.0), (0.0, 90.0)), {"titanium": 4.5})


def scanned(scanner, grid=GRID, draw=phantom, seed=1):
    """(drawn HU, scanned HU)."""
    canvas = Canvas(grid, scanner.beam)
    draw(canvas)
    return canvas.hu, scanner.acquire(canvas.hu.copy(), grid, np.random.default_rng(seed), draw)


def test_perfect_scanner_changes_nothing():
    before, after = scanned(Scanner(), draw=implant)
    assert np.array_equal(before, after)
    hu = np.random.default_rng(0).normal(0.0, 300.0, (9, 100, 101)).astype(np.float32)
    assert np.array_equal(Scanner().acquire(hu.copy(), GRID, np.random.default_rng(1)), hu)


@pytest.mark.parametrize("kvp", [70, 80, 100, 120, 140])
def test_rods_and_water_read_their_theory_with_all_effects_off(kvp):
    scanner = Scanner(kvp, thickness_mm=None)
    hu = scanned(scanner, scanner.grid((-20.0, -40.0, -5.0), (0.8, 0.8, 2.5), (101, 100, 5)))[1]
    x, y = -20.0 + 0.8 * np.arange(101)[None, :], -40.0 + 0.8 * np.arange(100)[:, None]
    in_rod, in_water_only = np.hypot(x - 30.0, y) < 14.0, x < 12.0
    assert hu[:, in_rod].mean(dtype=float) == pytest.approx(scanner.beam.hu(in_water("CaHA", 300.0)), abs=0.1)
    assert hu[:, np.broadcast_to(in_water_only, in_rod.shape)].mean(dtype=float) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize(
    "on",
    [
        {"kernel": "SOFT"},
        {"noise_hu": 5.0},
        {"slope_error": 0.03},
        {"intercept_hu": 3.0},
        {"drift_hu": 4.0},
        {"beam_hardening": 0.5},
        {"scatter": 0.02},
        {"off_centre_mm": (0.0, 30.0)},
        {"motion_mm": 10.0},
        {"metal": 1.0},
        {"circular_fov": True},
    ],
    ids=lambda on: next(iter(on)),
)
def test_each_effect_acts_alone_and_leaves_its_input(on):
    grid = replace(WIDE, origin_mm=(-280.0, -280.0, -10.0), spacing_mm=(3.4, 3.4, 5.0))
    canvas = Canvas(grid, Scanner().beam)
    implant(canvas)
    before = canvas.hu.copy()
    after = Scanner(**on).acquire(canvas.hu, grid, np.random.default_rng(1), implant)
    assert after.dtype == np.float32 and after.shape == before.shape
    assert not np.array_equal(after, before) and np.array_equal(canvas.hu, before)


def test_same_generator_same_scan():
    everything = Scanner(120, "LUNG", None, 20.0, 0.02, 3.0, 2.0, 0.3, 0.02, (5.0, -20.0), 1.0, 8.0, True)
    assert np.array_equal(scanned(everything, WIDE, implant)[1], scanned(everything, WIDE, implant)[1])


def test_metal_free_slices_and_subjects_have_no_streaks():
    before, after = scanned(Scanner(metal=1.0), WIDE, phantom)
    assert np.array_equal(before, after)
    before, after = scanned(Scanner(metal=1.0), replace(WIDE, origin_mm=(-249.0, -249.0, -15.0)), implant)
    changed = np.abs(after - before).max(axis=(1, 2))
    assert changed[0] == 0.0 and changed[-1] > 100.0


def test_metal_darkens_what_lies_between_and_starves_photons():
    grid = replace(WIDE, origin_mm=(-249.0, -249.0, 10.0))
    before, after = scanned(Scanner(metal=1.0), grid, implant)
    between = (2, round((40.0 + 249.0) / 3.0), slice(78, 89))
    assert (after - before)[between].mean() < -15.0
    noisy = scanned(Scanner(metal=1.0, noise_hu=1e-3), grid, implant)[1]  # so many photons that only metal matters
    assert np.abs(noisy - after)[between].max() < 1.0
    half = scanned(Scanner(metal=0.5), grid, implant)[1]
    assert (half - before)[between].mean() == pytest.approx(0.5 * (after - before)[between].mean(), rel=1e-3)


@pytest.mark.parametrize("kernel", KERNELS)
def test_noise_without_a_subject_is_even_and_as_asked(kernel):
    flat = np.zeros((9, 100, 101), np.float32)
    noisy = Scanner(kernel=kernel, noise_hu=25.0).acquire(flat, GRID, np.random.default_rng(3))
    assert noisy.std() == pytest.approx(25.0, rel=0.02)
    assert noisy.mean() == pytest.approx(0.0, abs=0.5)


def test_noise_of_a_subject_is_as_asked_in_its_middle_and_less_outside():
    before, after = scanned(Scanner(noise_hu=20.0), WIDE)
    noise = after - before
    assert noise[:, 74:93, 74:93].std() == pytest.approx(20.0, rel=0.05)
    assert noise[:, 5:20, 5:20].std() < 0.75 * 20.0


def test_hardening_lowers_the_rod_and_spares_water():
    before, after = scanned(Scanner(beam_hardening=1.0), WIDE)
    change = (after - before)[2]
    assert -40.0 < change[83, 93] < -5.0 and abs(change[83, 60]) < 2.0


def test_drift_runs_from_the_lowest_to_the_highest_slice():
    before, after = scanned(Scanner(drift_hu=8.0))
    change = (after - before)[:, 50, 20]
    assert change == pytest.approx(np.linspace(-4.0, 4.0, 9), abs=1e-3)


def test_motion_blurs_the_front_within_a_stretch_only():
    grid = Grid((-160.0, -160.0, -80.0), (4.0, 4.0, 4.0), (81, 81, 41))
    before, after = scanned(Scanner(motion_mm=12.0), grid)
    change = np.abs(after - before)
    moved = change.max(axis=(1, 2)) > 0.0
    assert 4 <= moved.sum() <= 16 and np.array_equal(before[~moved], after[~moved])
    assert change[:, :20].max() > 100.0 and change[:, 60:].max() < 0.25 * change[:, :20].max()


def test_response_is_linear_in_tissue_and_leaves_air():
    hu = np.array([-1000.0, -200.0, -100.0, 0.0, 300.0], np.float32)[None, None, :]
    grid = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (5, 1, 1))
    got = Scanner(slope_error=0.05, intercept_hu=4.0).acquire(hu, grid, np.random.default_rng(0))[0, 0]
    assert got == pytest.approx([-1000.0, -206.0, -101.0, 4.0, 319.0], abs=1e-3)


def test_circular_field_is_padded_around_the_isocentre():
    grid = Grid((-280.0, -280.0, 0.0), (5.0, 5.0, 5.0), (113, 113, 1))
    after = scanned(Scanner(circular_fov=True), grid)[1]
    assert after[0, 0, 0] == -1024.0 and after[0, 56, 8] == -1000.0
    shifted = scanned(Scanner(circular_fov=True, off_centre_mm=(60.0, 0.0)), grid)[1]
    assert shifted[0, 56, 8] == pytest.approx(-1000.0, abs=1.0) and shifted[0, 56, 104] == -1024.0


@pytest.mark.parametrize("thickness", [0.6, 1.25, 2.5, 5.0])
def test_slice_profile_is_as_wide_as_the_thickness_at_any_spacing(thickness):
    scanner = Scanner(thickness_mm=thickness)
    grid = scanner.grid((0.0, 0.0, -8.0), (0.6, 0.6, 0.25), (3, 3, 65))
    canvas = Canvas(grid, scanner.beam)
    paint(canvas, tube(20.0, z=(0.0, 50.0)), WATER)
    edge = canvas.hu[:, 1, 1] / 1000.0 + 1.0
    profile, z = np.diff(edge), grid.axis(2)[1:]
    assert profile.sum() == pytest.approx(1.0)
    variance = (profile * z**2).sum() - (profile * z).sum() ** 2
    assert np.sqrt(12.0 * variance) == pytest.approx(thickness, abs=0.26)  # the width of a rectangle


def test_pixel_of_a_field_of_view():
    assert in_plane_spacing(500.0, 512) == pytest.approx(0.9766, abs=1e-4)
    with pytest.raises(ValueError, match="fov_mm must be"):
        in_plane_spacing(600.0, 512)
    with pytest.raises(ValueError, match="matrix must be"):
        in_plane_spacing(300.0, 0)


def test_storage_clips():
    assert to_int16(np.array([-2000.0, 0.4, 9999.0])).tolist() == [-1024, 0, 3071]


@pytest.mark.parametrize("name", ["beam_hardening", "scatter", "metal"])
def test_effects_of_the_body_need_its_drawing(name):
    with pytest.raises(ValueError, match=name):
        Scanner(**{name: 0.1}).acquire(np.zeros((9, 100, 101), np.float32), GRID, np.random.default_rng(0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kvp": 95},
        {"kernel": "X"},
        {"thickness_mm": -1.0},
        {"noise_hu": -1.0},
        {"slope_error": 0.5},
        {"intercept_hu": 200.0},
        {"drift_hu": float("nan")},
        {"beam_hardening": 1.5},
        {"scatter": -0.1},
        {"off_centre_mm": (0.0, 300.0)},
        {"off_centre_mm": (0.0,)},
        {"metal": 2.0},
        {"motion_mm": 100.0},
    ],
)
def test_wrong_values_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Scanner(**wrong)
