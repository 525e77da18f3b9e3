"""Sizes and order of the digital spine against the literature's ranges."""

import numpy as np
import pytest

from VertebralBMDLib.simulation.shapes import Grid
from VertebralBMDLib.simulation.spine import LEVELS, make_spine, rotation


def volume_cm3(body):
    low, high = body.bounds
    grid = Grid(tuple(low), (1.0, 1.0, 1.0), tuple(int(n) for n in np.ceil(high - low)))
    window = tuple(slice(0, n) for n in grid.size[::-1])
    return (body.distance(*grid.points(window)) < 0).sum() / 1000.0


@pytest.mark.parametrize("sex", ["F", "M"])
def test_sizes_and_spacing(sex):
    for seed in range(8):
        spine = make_spine(np.random.default_rng(seed), sex)
        l1, l2 = spine.body("L1"), spine.body("L2")
        assert 20 * 0.85 <= volume_cm3(l1) <= 34
        assert 30 <= np.linalg.norm(l1.frame.origin - l2.frame.origin) <= 39
        z = [body.frame.origin[2] for body in spine.bodies]
        assert all(upper > lower for upper, lower in zip(z, z[1:]))


def test_women_are_smaller():
    mean = {s: np.mean([volume_cm3(make_spine(np.random.default_rng(i), s).body("L2")) for i in range(6)]) for s in "FM"}
    assert mean["F"] < mean["M"]


def test_bodies_do_not_overlap():
    spine = make_spine(np.random.default_rng(4), "M")
    for upper, lower in zip(spine.bodies, spine.bodies[1:]):
        low, high = lower.bounds
        grid = Grid(tuple(low), (1.0, 1.0, 1.0), tuple(int(n) for n in np.ceil(high - low)))
        points = grid.points(tuple(slice(0, n) for n in grid.size[::-1]))
        assert not ((upper.distance(*points) < 0) & (lower.distance(*points) < 0)).any()


def test_turning_keeps_l1_and_distances():
    spine = make_spine(np.random.default_rng(1), "F")
    turned = spine.turned(rotation(0.1, -0.05, 0.2))
    assert np.allclose(turned.body("L1").frame.origin, 0.0)
    for level in LEVELS:
        before, after = (np.linalg.norm(s.body(level).frame.origin) for s in (spine, turned))
        assert after == pytest.approx(before)
