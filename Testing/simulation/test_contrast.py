"""Contrast medium: iodine where it belongs, a published rise in marrow, and nothing at all when off."""

import numpy as np
import pytest

from VertebralBMDLib.simulation.beam import reference_beam
from VertebralBMDLib.simulation.contrast import Iodine, draw_iodine, marrow_iodine
from VertebralBMDLib.simulation.materials import bone
from VertebralBMDLib.simulation.person import draw_person, make_person
from VertebralBMDLib.simulation.shapes import Canvas, Grid
from VertebralBMDLib.simulation.tissues import make_tissues

BEAM = reference_beam(120)


def test_marrow_iodine_raises_the_reading_by_what_was_asked():
    plain, enhanced = (BEAM.qct_equivalent(BEAM.hu(bone(130.0, 0.4, i)), "CaHA") for i in (0.0, marrow_iodine(17.5)))
    assert enhanced - plain == pytest.approx(17.5, rel=0.06)  # mineral leaves a little less room for marrow


@pytest.mark.parametrize(("phase", "rise", "spread"), [("arterial", 5.7, 3.9), ("portal", 17.5, 6.6)])
def test_published_rise_over_people(phase, rise, spread):
    per_mg = marrow_iodine(1.0)
    rises = np.array([draw_iodine(np.random.default_rng(s), phase).marrow / per_mg for s in range(300)])
    assert rises.mean() == pytest.approx(rise, abs=0.25 * spread)
    assert rises.std() == pytest.approx(spread, rel=0.25)


def test_phases_look_like_phases():
    def hu(phase, name):
        draw = [make_tissues(np.random.default_rng(1), 60.0, draw_iodine(np.random.default_rng(s), phase)) for s in range(20)]
        return np.mean([BEAM.hu(getattr(t, name)) for t in draw])

    assert 200.0 < hu("arterial", "artery") < 420.0 and hu("arterial", "liver") < 80.0
    assert 130.0 < hu("portal", "artery") < 220.0 and 90.0 < hu("portal", "liver") < 140.0
    assert hu("arterial", "cortex") > hu("arterial", "medulla") + 60.0
    assert 1.1 < hu("portal", "muscle") / hu("none", "muscle") < 1.4


def test_off_is_exact():
    assert draw_iodine(np.random.default_rng(0), "none") == Iodine()
    volumes = []
    for contrast in ({}, {"contrast": "none"}, {"contrast": "portal"}):
        person = make_person(np.random.SeedSequence(5), "F", 60.0, 120.0, **contrast)
        canvas = Canvas(Grid((-80.0, -90.0, -6.0), (4.0, 4.0, 4.0), (40, 40, 3)), BEAM)
        draw_person(canvas, person)
        volumes.append(canvas.hu)
    assert np.array_equal(volumes[0], volumes[1])
    assert (volumes[2] - volumes[0]).max() > 50.0


def test_oral_contrast_fills_the_gut_and_nothing_else():
    plain, drunk = (
        make_tissues(np.random.default_rng(1), 60.0, draw_iodine(np.random.default_rng(2), "portal", oral)) for oral in (False, True)
    )
    assert BEAM.hu(drunk.chyme) > BEAM.hu(plain.chyme) + 80.0
    assert drunk.artery == plain.artery and drunk.gut == plain.gut


def test_unknown_phase_is_named():
    with pytest.raises(ValueError, match="contrast must be one of none, arterial, portal"):
        draw_iodine(np.random.default_rng(0), "venous")
