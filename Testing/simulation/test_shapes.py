"""Implicit solids: distances, volumes drawn with partial volume."""

import numpy as np
import pytest

from VertebralBMDLib.simulation.beam import reference_beam
from VertebralBMDLib.simulation.materials import WATER
from VertebralBMDLib.simulation.shapes import LPS_FRAME, Canvas, Capsule, Ellipsoid, Grid, Plate, Tube, paint

GRID = Grid((-20.0, -20.0, -20.0), (1.0, 1.0, 1.0), (41, 41, 41))
BALL = Ellipsoid(LPS_FRAME, (8.0, 8.0, 8.0))
TUBE = Tube(np.array([-10.0, 10.0]), np.zeros(2), np.zeros(2), np.full(2, 6.0), np.full(2, 6.0))
ROD = Capsule(LPS_FRAME, (0.0, 0.0, -5.0), (0.0, 0.0, 5.0), 4.0, 4.0)
SHEET = Plate(np.array([[-8.0, -8.0, 0.0], [8.0, -8.0, 0.0], [0.0, 8.0, 0.0]]), 2.0)


def at(solid, x, y, z):
    return float(solid.distance(*(np.array(c, np.float32).reshape(1, 1, 1) for c in (x, y, z)))[0, 0, 0])


@pytest.mark.parametrize(("solid", "depth"), [(BALL, 8.0), (TUBE, 6.0), (ROD, 4.0), (SHEET, 2.0)])
def test_distance_at_the_centre_is_the_depth(solid, depth):
    assert at(solid, 0.0, 0.0, 0.0) == pytest.approx(-depth, abs=1e-4)


@pytest.mark.parametrize(("solid", "x"), [(BALL, 11.0), (TUBE, 9.0), (ROD, 7.0)])
def test_distance_outside(solid, x):
    assert at(solid, x, 0.0, 0.0) == pytest.approx(3.0, abs=1e-4)


@pytest.mark.parametrize(("solid", "volume"), [(BALL, 4 / 3 * np.pi * 512), (TUBE, np.pi * 36 * 20)])
@pytest.mark.parametrize("subslices", [1, 3])
def test_painted_volume_is_the_solids(solid, volume, subslices):
    canvas = Canvas(Grid(GRID.origin_mm, GRID.spacing_mm, GRID.size, subslices), reference_beam(120))
    paint(canvas, solid, WATER)
    assert (canvas.hu + 1000.0).sum() / 1000.0 == pytest.approx(volume, rel=0.01)


def test_outside_the_grid_nothing_is_painted():
    canvas = Canvas(Grid((100.0, 0.0, 0.0), (1.0, 1.0, 1.0), (5, 5, 5)), reference_beam(120))
    paint(canvas, BALL, WATER)
    assert (canvas.hu == -1000.0).all()
