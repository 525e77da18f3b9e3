"""Bones that are not bodies: sacrum, hip bones and spinous processes of a simulated person, and their flat solids."""

import numpy as np
import pytest

from VertebralBMDLib.simulation.beam import reference_beam
from VertebralBMDLib.simulation.blades import Blade, Cup, Patch
from VertebralBMDLib.simulation.person import draw_bones, make_person
from VertebralBMDLib.simulation.shapes import LPS_FRAME, Canvas, Grid
from VertebralBMDLib.simulation.skeleton import PELVIS, SACRUM


def at(solid, *point):
    """Distance of a solid at one LPS point."""
    return float(solid.distance(*(np.full((1, 1, 1), c, np.float32) for c in point))[0, 0, 0])


@pytest.fixture(scope="module")
def person():
    return make_person(np.random.SeedSequence(3), "F", 60.0, 140.0)


@pytest.fixture(scope="module")
def pelvis(person):
    """Bones drawn 1.5 mm fine around the sacrum, over air."""
    low = person.spine.sacral_frame.origin + [-90.0, -40.0, -110.0]
    canvas = Canvas(Grid(tuple(low), (1.5, 1.5, 1.5), (120, 75, 105)), reference_beam(120))
    draw_bones(canvas, person, person.spine.levels[-2:])
    return canvas


def test_flat_solids_answer_in_millimetres():
    blade = Blade(LPS_FRAME, np.array([[0.0, 0.0], [30.0, 0.0], [30.0, -20.0], [0.0, -20.0]]), (4.0, 3.0, 5.0))
    assert at(blade, 0.0, 15.0, -10.0) == pytest.approx(-3.0, abs=0.1)
    assert at(blade, 8.0, 15.0, -10.0) == pytest.approx(5.0, abs=0.1)
    assert at(blade, 0.0, 36.0, -10.0) == pytest.approx(6.0, abs=0.1)
    patch = Patch(np.array([[0.0, 0.0, 0.0], [0.0, 20.0, 0.0], [0.0, 0.0, 20.0]]), np.array([2.0, 4.0, 2.0]))
    assert at(patch, 0.0, 19.0, 0.5) == pytest.approx(-3.9, abs=0.1) and at(patch, 10.0, 1.0, 1.0) == pytest.approx(7.9, abs=0.1)
    cup = Cup(np.zeros(3), 26.0, np.zeros(3), 32.0, np.array([0.0, 0.0, -1.0]), 5.0)
    assert at(cup, 0.0, 0.0, 29.0) == pytest.approx(-3.0) and at(cup, 0.0, 0.0, 0.0) > 20.0 and at(cup, 0.0, 0.0, -29.0) > 20.0


def test_sacrum_tapers_and_curves_forward(person):
    segments = person.spine.sacrum.segments
    assert len(segments) == 8
    assert all(a.depth > b.depth and a.width > b.width for a, b in zip(segments, segments[1:]))
    back = np.array([s.frame.rotation[1, 2] for s in segments])
    assert np.degrees(np.arcsin(-back[1])) > 30.0 and np.degrees(np.arcsin(-back[5])) < 20.0
    length = np.linalg.norm(segments[0].frame.origin - segments[4].frame.origin)
    assert 65.0 < length < 110.0


def test_s1_stays_apart_from_l5_and_from_the_hip_bones(person, pelvis):
    sacrum, hips = pelvis.structures == SACRUM, pelvis.structures == PELVIS
    assert sacrum.sum() > 20_000 and hips.sum() > 20_000
    l5, s1 = person.spine.body("L5"), person.spine.sacrum.segments[0]
    line = l5.frame.origin + np.linspace(0.0, 1.0, 400)[:, None] * (s1.frame.origin - l5.frame.origin)
    outside = [at(l5, *p) > 0.0 and at(s1, *p) > 0.0 for p in line]
    assert sum(outside) / 400 * np.linalg.norm(s1.frame.origin - l5.frame.origin) > 4.0
    for axis in range(3):
        near, far = (np.moveaxis(m, axis, 0) for m in (sacrum, hips))
        touching = (near[1:] & far[:-1]).sum() + (near[:-1] & far[1:]).sum()
        assert touching < 0.004 * sacrum.sum()


def test_spinous_processes_differ_and_are_the_same_again(person):
    again = make_person(np.random.SeedSequence(3), "F", 60.0, 140.0)
    blades = [person.spine.arches(level)[-1] for level in ("L1", "L2", "L3", "L4")]
    assert all(np.array_equal(a.outline, again.spine.arches(n)[-1].outline) for a, n in zip(blades, ("L1", "L2", "L3", "L4")))
    lengths = [np.ptp(b.outline[:, 0]) for b in blades]
    assert np.std(lengths) > 0.5 and np.std([b.sway_mm for b in blades]) > 0.2
