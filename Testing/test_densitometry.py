"""Means, volumes, mineral content and heights of bodies whose values are known."""

import numpy as np
import pytest

from VertebralBMDLib.densitometry import Heights, heights, measure

UP, FORWARD = np.array([0.0, 0.0, 1.0]), np.array([0.0, -1.0, 0.0])


def line(hu):
    return 0.8 * hu - 4.0


@pytest.fixture
def shells():
    """A body of 5 x 5 x 5 voxels: a shell of 400 HU around 3 x 3 x 3 voxels of 100 to 126 HU; the ROI is their middle layer."""
    hu = np.full((7, 7, 7), -50.0)
    body, eroded, roi = (np.zeros(hu.shape, dtype=bool) for _ in range(3))
    body[1:6, 1:6, 1:6], eroded[2:5, 2:5, 2:5], roi[3, 2:5, 2:5] = True, True, True
    hu[body] = 400.0
    hu[eroded] = 100.0 + np.arange(27)
    return hu, body, eroded, roi


def test_the_roi_is_measured_in_hu_without_a_calibration(shells):
    found = measure(*shells, voxel_cm3=0.002)
    values = 100.0 + np.arange(9, 18)
    assert found.roi_mean_hu == pytest.approx(113.0) and found.roi_volume_cm3 == pytest.approx(0.018)
    assert found.roi_sd_hu == pytest.approx(np.sqrt(((values - 113.0) ** 2).sum() / 8))
    assert found.vbmd_roi_mg_cm3 is None and found.integral_mg_cm3 is None and found.cortical_mg_cm3 is None and found.bmc_mg is None


def test_the_integral_density_is_the_volume_weighted_mean_of_shell_and_inside_not_their_sum(shells):
    found = measure(*shells, voxel_cm3=0.002, density=line)
    shell, inside = line(400.0), line(113.0)
    assert found.vbmd_roi_mg_cm3 == pytest.approx(inside) and found.cortical_mg_cm3 == pytest.approx(shell)
    assert found.integral_mg_cm3 == pytest.approx((98 * shell + 27 * inside) / 125)
    assert found.integral_mg_cm3 < shell


def test_the_mineral_content_is_the_integral_density_times_the_volume(shells):
    found = measure(*shells, voxel_cm3=0.002, density=line)
    assert found.bmc_mg == pytest.approx(found.integral_mg_cm3 * 125 * 0.002)
    assert measure(*shells, voxel_cm3=0.004, density=line).bmc_mg == pytest.approx(2 * found.bmc_mg)


def test_large_integers_do_not_overflow():
    hu = np.full((60, 60, 60), 3000, np.int16)
    mask = np.ones(hu.shape, dtype=bool)
    hu[0, 0, 0] = 2999
    assert measure(hu, mask, mask, mask, 0.001).roi_mean_hu == pytest.approx(3000.0, abs=1e-4)


def wedge(front_mm, middle_mm, back_mm):
    """Points every 0.5 mm of a body 30 mm deep and 40 mm wide, flat below, whose height runs from back over middle to front."""
    x, y, z = np.meshgrid(np.arange(-20, 20.1, 0.5), np.arange(-15, 15.1, 0.5), np.arange(0, 40, 0.5), indexing="ij")
    height = np.interp(-y, [-15, 0, 15], [back_mm, middle_mm, front_mm])
    return np.stack([x, y, z], axis=-1)[z <= height]


def test_the_heights_of_a_wedge_are_read_at_15_50_and_85_percent_of_its_depth():
    found = heights(wedge(20.0, 23.0, 26.0), UP, FORWARD)
    assert (found.anterior, found.middle, found.posterior) == pytest.approx((20.9, 23.0, 25.1), abs=0.6)


def test_the_middle_of_a_fish_vertebra_is_lowest():
    found = heights(wedge(26.0, 18.0, 26.0), UP, FORWARD)
    assert found.middle == pytest.approx(18.6, abs=0.8) and found.anterior == pytest.approx(23.6, abs=1.0)
    assert found.loss == pytest.approx(1 - found.middle / max(found.anterior, found.posterior))


def test_heights_turn_with_the_body():
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    points = wedge(20.0, 23.0, 26.0)
    straight, turned = heights(points, UP, FORWARD), heights(points @ turn.T + 50.0, turn @ UP, turn @ FORWARD)
    assert (turned.anterior, turned.middle, turned.posterior) == pytest.approx(
        (straight.anterior, straight.middle, straight.posterior), abs=0.6
    )


def test_only_the_middle_of_the_width_counts():
    points = wedge(24.0, 24.0, 24.0)
    spur = np.stack(np.meshgrid(np.arange(15, 20, 0.5), np.arange(-15, 15, 0.5), np.arange(24, 35, 0.5), indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    assert heights(np.concatenate([points, spur]), UP, FORWARD).middle == pytest.approx(24.0, abs=0.6)


def test_the_loss_compares_the_lowest_with_the_highest():
    assert Heights(20.0, 24.0, 25.0).loss == pytest.approx(0.2)
    assert Heights(25.0, 25.0, 25.0).loss == 0.0
