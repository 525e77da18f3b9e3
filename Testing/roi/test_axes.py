"""The axes of bodies whose axes are known: blocks, wedges, and the bodies of simulated spines."""

import numpy as np
import pytest
from solids import UP, drawn, turned

from VertebralBMDLib.roi.axes import body_axes, superior_axes
from VertebralBMDLib.roi.erosion import fine_body
from VertebralBMDLib.simulation.findings import Findings
from VertebralBMDLib.simulation.subject import PatientSpec, person_of

BLOCK = np.array([20.0, 15.0, 13.0])


def axes_of(image, up=UP):
    return body_axes(fine_body(image, 3.0).points_lps_mm(skin=True), up)


def degrees(one, other):
    return np.degrees(np.arccos(np.clip(one @ other, -1, 1)))


def rounded(points, half=BLOCK, wedge=0.0):
    """A column of elliptic section with flat ends, which lean towards each other in front."""
    u, v, w = np.moveaxis(points, -1, 0)
    return ((u / half[0]) ** 2 + (v / half[1]) ** 2 < 1) & (np.abs(w) < half[2] * (1 + wedge * v / (2 * half[1])))


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 1.25), (0.9, 0.9, 5.0)], ids=str)
@pytest.mark.parametrize("tilt", [(12, 0, 0), (0, 15, 0), (-8, 10, 0)], ids=str)
def test_the_end_plates_correct_a_column_that_points_elsewhere(tilt, spacing):
    truth = turned(*tilt)
    found = axes_of(drawn(lambda points: rounded(points @ truth), spacing))
    assert degrees(found.up, truth[:, 2]) < (0.5 if spacing[2] < 3 else 0.7) * degrees(UP, truth[:, 2])
    nearer = axes_of(drawn(lambda points: rounded(points @ truth), spacing), truth[:, 2])
    assert degrees(nearer.up, truth[:, 2]) < (1.5 if spacing[2] < 3 else 4.0)


def test_the_axis_of_a_wedge_halves_its_angle():
    found = axes_of(drawn(lambda points: rounded(points, wedge=0.3), (0.8, 0.8, 1.25)))
    assert degrees(found.up, UP) < 1.0


@pytest.mark.parametrize("angle", [-15, 8, 20])
def test_a_turned_vertebra_has_its_back_where_its_symmetry_says(angle):
    truth = turned(0, 0, angle)
    found = axes_of(drawn(lambda points: rounded(points @ truth), (0.8, 0.8, 2.5)))
    assert degrees(found.back, truth[:, 1]) < 3.0
    np.testing.assert_allclose(found.rotation.T @ found.rotation, np.eye(3), atol=1e-9)
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)


def test_a_round_body_faces_the_front_of_the_patient():
    found = axes_of(drawn(lambda points: rounded(points, np.array([16.0, 16.0, 12.0])), (1.0, 1.0, 1.0)))
    assert degrees(found.back, np.array([0.0, 1.0, 0.0])) < 1.0


def test_sizes_and_origin_are_those_of_the_block():
    found = axes_of(drawn(lambda points: rounded(points - [3.0, -2.0, 1.5]), (0.7, 0.7, 1.0)))
    assert (found.height_mm, found.width_mm, found.depth_mm) == pytest.approx(2 * BLOCK[[2, 0, 1]], abs=1.0)
    np.testing.assert_allclose(found.origin_lps_mm, [3.0, -2.0, 1.5], atol=0.6)
    assert found.rear_mm == pytest.approx(found.depth_mm / 2) and found.front_mm == pytest.approx(-found.depth_mm / 2)


def test_a_sliver_has_no_axes():
    assert axes_of(drawn(lambda points: rounded(points, np.array([20.0, 15.0, 1.5])), (1.0, 1.0, 1.0))) is None
    assert body_axes(np.zeros((0, 3)), UP) is None


@pytest.mark.parametrize(("seed", "scoliosis"), [(61, 0.0), (62, 35.0), (63, -25.0)])
def test_the_axes_of_simulated_spines_are_found(seed, scoliosis):
    spine = person_of(PatientSpec(seed=seed, findings=Findings(scoliosis_deg=scoliosis, degeneration=0.5))).spine
    levels = ("T11", "T12", "L1", "L2", "L3")
    ups = superior_axes([spine.body(level).frame.origin for level in levels])
    wrong = []
    for level, up in list(zip(levels, ups))[1:-1]:
        body = spine.body(level)
        image = drawn(lambda points: body.distance(*np.moveaxis(points + body.frame.origin, -1, 0)) < 0, (1.0, 1.0, 2.5))
        found = axes_of(image, up)
        wrong.append([degrees(found.up, body.frame.rotation[:, 2]), degrees(found.back, body.frame.rotation[:, 1])])
        assert found.height_mm == pytest.approx((body.heights_mm[0] + body.heights_mm[2]) / 2, rel=0.08)
    assert np.mean(wrong, axis=0)[0] < 2.0 and np.max(wrong) < 7.0


def test_up_follows_the_column():
    straight = superior_axes([(0, 0, 60), (0, 0, 30), (0, 0, 0)])
    np.testing.assert_allclose(straight, [UP] * 3)
    leaning = superior_axes([(0, 40, 60), (0, 20, 30), (0, 0, 0)])
    np.testing.assert_allclose(leaning, [np.array([0, 2, 3]) / np.sqrt(13)] * 3)
    np.testing.assert_allclose(superior_axes([(1, 2, 3)]), [UP])
