"""Soft tissue: the same person on every grid, tissues of the right HU, ribs in the wall, skin around all."""

import time

import numpy as np
import pytest

from VertebralBMDLib.simulation.beam import reference_beam
from VertebralBMDLib.simulation.person import draw_person, make_person
from VertebralBMDLib.simulation.shapes import Canvas, Grid
from VertebralBMDLib.simulation.strokes import Rods, evened, on_lattice, stream
from VertebralBMDLib.simulation.tissues import SmoothField, make_tissues

BEAM = reference_beam(120)


def draw(person, origin, spacing, size):
    canvas = Canvas(Grid(origin, spacing, size), BEAM)
    draw_person(canvas, person)
    return canvas.hu


@pytest.fixture(scope="module")
def woman():
    return make_person(np.random.SeedSequence(11), "F", 60.0, 110.0)


def test_a_crop_shows_the_same_person_as_the_field(woman):
    wide = draw(woman, (-152.0, -160.0, -8.0), (2.0, 2.0, 2.0), (150, 120, 8))
    crop = draw(woman, (-72.0, -60.0, -4.0), (2.0, 2.0, 2.0), (60, 40, 4))
    difference = np.abs(crop - wide[2:6, 50:90, 40:100])
    # interpolation in single precision; at the very edge a bone's window may cut its partial volume
    assert (difference > 0.5).mean() < 1e-3 and difference.max() < 5.0


def test_drawing_twice_gives_the_same(woman):
    first, second = (draw(woman, (-150.0, -150.0, 0.0), (6.0, 6.0, 6.0), (50, 40, 4)) for _ in range(2))
    assert np.array_equal(first, second)


def test_people_differ_as_in_life():
    tissues = [make_tissues(np.random.default_rng(s), 60.0) for s in range(200)]
    for name, low, high in (("fat", -120.0, -85.0), ("muscle", 33.0, 66.0), ("blood", 28.0, 58.0)):
        hu = np.array([BEAM.hu(getattr(t, name)) for t in tissues])
        assert low < hu.min() and hu.max() < high, name
        assert np.ptp(hu) > 0.6 * (high - low), name


@pytest.mark.parametrize("seed", range(4))
def test_skin_closes_around_wall_and_the_back_is_hindmost(seed):
    trunk = make_person(np.random.SeedSequence(seed), "FM"[seed % 2], 55.0, None).trunk
    for z in (-150.0, 0.0, 150.0):
        low, high = trunk.extent(z, z)
        assert 230.0 < high[0] - low[0] < 520.0 and 150.0 < high[1] - low[1] < 400.0
        rib = trunk.wall_point(20.0, z, 6.0)
        outside, ring, _, fat = trunk.layers(*(np.array([c]) for c in rib))
        assert outside[0] == pytest.approx(-6.0, abs=1.5) and ring[0] > 6.0 and fat[0] >= 2.0


def test_air_outside_and_lungs_in_the_chest(woman):
    hu = draw(woman, (-260.0, -260.0, 0.0), (4.0, 4.0, 4.0), (130, 130, 50))
    assert np.all(hu[:, 0] == -1000.0) and np.all(hu[:, :, 0] == -1000.0)
    chest = hu[-1]
    assert 100.0 < ((chest > -950) & (chest < -700)).sum() * 0.16 < 450.0  # cm2


def test_the_belly_is_filled_less_the_fatter_its_owner():
    shares, visceral = [], []
    z, y = -150.0 + 6.0 * np.arange(25), -200.0 + 3.0 * np.arange(70)
    for seed in range(8):
        person = make_person(np.random.SeedSequence(seed), "FM"[seed % 2], 55.0, None)
        center, _, half_y = person.trunk.ellipse(z)
        line = person.spine.line()
        inside = (y > (center - half_y)[:, None] + 15.0) & (y < np.interp(z, line[:, 2], line[:, 1])[:, None] - 35.0)
        hu = draw(person, (-20.0, -200.0, -150.0), (4.0, 3.0, 6.0), (11, 70, 25)).transpose(0, 2, 1)[inside[:, None].repeat(11, axis=1)]
        shares.append(((hu > -130.0) & (hu < -40.0)).mean())
        visceral.append(person.trunk.visceral)
    assert 0.02 < min(shares) < 0.3 and 0.4 < max(shares) < 0.85
    assert np.corrcoef(shares, visceral)[0, 1] > 0.4


def test_smooth_field_has_unit_variance_at_any_grain():
    field = SmoothField.make(np.random.default_rng(3))
    axis = np.arange(0.0, 200.0, 1.3)
    for grain in (2.0, 9.0):
        values = field.at(axis, axis + 7.0, axis, grain)
        assert values.std() == pytest.approx(1.0, abs=0.12) and abs(values.mean()) < 0.25
    shifted = field.at(axis[10:20], axis[5:9] + 7.0, axis[3:5], 9.0)
    assert np.allclose(shifted, values[3:5, 5:9, 10:20], atol=1e-5)


def test_on_lattice_is_exact_for_planes_and_rods_are_round():
    x, y, z = np.arange(3.0, 20.0, 0.7), np.array([1.0, 2.5]), np.array([-3.3])
    values = on_lattice(lambda x, y, z: 2.0 * x - y + 0.5 * z, x, y, z)[0]
    assert np.allclose(values[0, 1], 2.0 * x - 2.5 + 0.5 * -3.3, atol=1e-4)
    steep = evened(np.broadcast_to(12.0 * np.arange(5.0), (5, 5, 5)), 4.0)
    assert np.allclose(steep, 4.0 * np.arange(5.0))
    rods = Rods.along([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0]], [2.0, 4.0])
    at = [np.array([[[v]]], np.float32) for v in (5.0, 7.0, 0.0)]
    assert rods.distance(0, at).item() == pytest.approx(7.0 - 3.0, abs=1e-5)


def test_streams_do_not_count_spawns():
    seed = np.random.SeedSequence(1)
    first = stream(seed, 2).standard_normal()
    seed.spawn(3)
    assert stream(seed, 2).standard_normal() == first != stream(seed, 3).standard_normal()


def test_a_crop_is_drawn_quickly(woman):
    start = time.perf_counter()
    draw(woman, (-32.0, -32.0, -32.0), (2.0, 2.0, 2.0), (32, 32, 32))
    assert time.perf_counter() - start < 1.5  # about 0.1 s on an idle core; generous for a busy one
