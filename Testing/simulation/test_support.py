"""Patient, phantom and couch lie on one another, never in one another."""

import numpy as np
import pytest

from VertebralBMDLib.calibration.catalogue import load_phantom
from VertebralBMDLib.simulation.beam import reference_beam
from VertebralBMDLib.simulation.couch import CUSHION, FOAM, Couch, draw_couch, paint_couch
from VertebralBMDLib.simulation.materials import WATER, tissue
from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient
from VertebralBMDLib.simulation.person import draw_outside, draw_person, make_person
from VertebralBMDLib.simulation.shapes import LPS_FRAME, Canvas, Ellipsoid, Grid, Tube, paint
from VertebralBMDLib.simulation.support import Back, Mounting, draw_mounting, lay

GRID = Grid((-240.0, -110.0, -150.0), (3.0, 3.0, 6.0), (161, 116, 50))
FAT = tissue({"triglyceride": 0.85, "water": 0.15})


def trunk(half_x, half_y, bulge):
    """A body whose back is lowest away from the midline, and lower at the buttocks than at the waist."""

    def draw(canvas):
        ones = np.ones(3)
        z = np.array([-300.0, 0.0, 300.0])
        for x in (-0.45 * half_x, 0.45 * half_x):
            paint(canvas, Tube(z, x * ones, bulge * ones + [12.0, 0.0, 5.0], 0.55 * half_x * ones, half_y * ones), FAT)

    return draw


BODIES = {"thin": trunk(130.0, 80.0, 0.0), "obese": trunk(215.0, 110.0, 25.0)}


@pytest.mark.parametrize("name", ["mindways-model3", "qrm-bdc6", "image-analysis-qct3d-plus", "intable"])
@pytest.mark.parametrize("body", sorted(BODIES))
def test_nothing_lies_in_anything_else(body, name):
    draw, rng, phantom = BODIES[body], np.random.default_rng(4), load_phantom(name)
    back = Back.of(draw)
    patient = Canvas(GRID, reference_beam(120))
    draw(patient)
    inside = patient.hu > -150.0  # whole voxels of the body
    assert inside.any()
    for _ in range(4):
        support = lay(draw_couch(rng), back, phantom, draw_mounting(rng, phantom))
        canvas = Canvas(GRID, reference_beam(120))
        draw(canvas)
        support.paint(canvas)
        assert np.array_equal(canvas.hu[inside], patient.hu[inside])
        # the phantom's lower face stays above the couch, unless it is built in
        lower = support.placed.surface(False)
        if support.mounting.place != "couch":
            assert (lower[:, 1] <= support.couch_y - support.couch.rise(lower[:, 0])).all()


@pytest.mark.parametrize("seed", [1, 2])
def test_the_outside_lies_as_the_whole_person_does(seed):
    person = make_person(np.random.SeedSequence(seed), "FM"[seed % 2], 60.0, None)
    outside, whole = (Back.of(lambda canvas, draw=draw: draw(canvas, person)) for draw in (draw_outside, draw_person))
    x, z = (c.ravel() for c in np.meshgrid(np.linspace(-120.0, 120.0, 25), np.linspace(-150.0, 150.0, 11)))
    assert np.abs(outside.at(x, z) - whole.at(x, z)).max() < 1.0  # the slab stays 2 mm away


def test_the_back_is_seen_to_half_a_millimetre():
    back = Back.of(lambda canvas: paint(canvas, Ellipsoid(LPS_FRAME, (150.0, 92.0, 900.0)), WATER))
    x, z = np.linspace(-100.0, 100.0, 9), np.zeros(9)
    assert back.at(x, z) == pytest.approx(92.0 * np.sqrt(1.0 - (x / 150.0) ** 2), abs=0.5)
    assert back.at(np.array(300.0), np.array(0.0)) < -1e3


def test_gel_fills_the_gap_and_air_leaves_it():
    draw, phantom = BODIES["thin"], load_phantom("b-mas200")
    seen = {}
    for filling in ("air", "gel"):
        support = lay(Couch(), Back.of(draw), phantom, Mounting(gap_mm=12.0, filling=filling))
        canvas = Canvas(GRID, reference_beam(120))
        draw(canvas)
        support.paint(canvas)
        y = round((support.placed.frame.origin[1] - 15.0 - 4.0 - GRID.origin_mm[1]) / GRID.spacing_mm[1])
        seen[filling] = float(canvas.hu[25, y, 70:90].mean())
    assert seen["air"] == pytest.approx(-1000.0, abs=1.0) and seen["gel"] == pytest.approx(30.0, abs=5.0)


def test_couch_layers_are_drawn_where_they_should_be_on_any_grid():
    couch = Couch("flat", thickness_mm=60.0, cushion_mm=30.0, insert="wires")
    mass = []
    for grid in (Grid((-240.0, -50.0, 0.0), (0.8, 0.8, 2.0), (601, 176, 1)), Grid((-240.0, -50.0, 0.0), (4.0, 4.0, 2.0), (121, 36, 1))):
        canvas = Canvas(grid, reference_beam(120))
        paint_couch(canvas, couch, 0.0)
        row = canvas.hu[0, :, grid.size[0] // 2]
        at = {y: row[round((y - grid.origin_mm[1]) / grid.spacing_mm[1])] for y in (-46.0, -15.0, 30.0, 80.0)}
        assert at[-46.0] == at[80.0] == -1000.0
        assert at[-15.0] == pytest.approx(canvas.beam.hu(CUSHION), abs=0.1) and at[30.0] == pytest.approx(canvas.beam.hu(FOAM), abs=0.1)
        mass.append(float((canvas.hu + 1000.0).sum(dtype=float) * grid.spacing_mm[0] * grid.spacing_mm[1]))
    assert mass[1] == pytest.approx(mass[0], rel=0.02)


def test_the_couch_is_its_scanners_and_wrong_ones_are_named():
    drawn = [draw_couch(np.random.default_rng(k)) for k in range(40)]
    assert drawn[5] == draw_couch(np.random.default_rng(5)) and {c.shape for c in drawn} == {"curved", "flat"}
    support = lay(Couch(table_height_mm=150.0), None)
    assert support.couch_y - support.isocentre_y == 150.0
    for wrong in ({"shape": "round"}, {"cushion_mm": -1.0}, {"radius_mm": 100.0}, {"table_height_mm": 900.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Couch(**wrong)


def test_the_place_of_couch_and_phantom_does_not_depend_on_the_field():
    spec = dict(seed=5, spacing_mm=(3.0, 3.0, 4.0), phantom="qrm-bdc3", mounting=Mounting())
    short, long = (simulate_patient(PatientSpec(**spec, levels=levels)).truth for levels in (("L1", "L2"), ("T9", "S1")))
    for a, b in zip(short["rods"], long["rods"]):
        assert a["start_lps_mm"][:2] == pytest.approx(b["start_lps_mm"][:2])


def test_a_spine_phantom_is_not_put_under_a_patient():
    with pytest.raises(ValueError, match="phantom esp"):
        simulate_patient(PatientSpec(seed=1, phantom="esp", spacing_mm=(3.0, 3.0, 3.0), levels=("L1", "L1")))


def test_a_field_that_misses_the_phantom_is_refused():
    with pytest.raises(ValueError, match="phantom outside the field"):
        simulate_patient(PatientSpec(seed=1, phantom="qrm-bdc3", spacing_mm=(3.0, 3.0, 3.0), levels=("L1", "L1"), size=(60, 20)))
