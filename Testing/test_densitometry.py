"""Means, volumes, mineral content and heights of bodies whose values are known."""

from dataclasses import replace

import numpy as np
import pytest

from VertebralBMDLib.densitometry import HEIGHT_LOSS_FRACTURE, HEIGHT_LOSS_WARN, Heights, height_loss, heights, measure, measure_roi

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


def test_the_distribution_of_the_roi_is_given(shells):
    found = measure(*shells, voxel_cm3=0.002)
    values = 100.0 + np.arange(9, 18)
    assert found.roi_median_hu == 113.0
    assert found.roi_percentiles_hu == pytest.approx(np.percentile(values, [5, 25, 75, 95]))
    assert found.roi_texture_sd_hu is None


def test_the_mean_is_given_without_and_with_what_was_left_out(shells):
    hu, body, eroded, roi = shells
    excluded = roi.copy()
    excluded[3, 2] = False
    left = roi & ~excluded
    found = measure(hu, body, eroded, left, 0.002, line, excluded)
    assert found.roi_mean_hu == pytest.approx(110.0) and found.roi_volume_cm3 == pytest.approx(0.006)
    assert found.whole_roi_mean_hu == pytest.approx(113.0) and found.whole_roi_volume_cm3 == pytest.approx(0.018)
    assert found.vbmd_roi_mg_cm3 == pytest.approx(line(110.0)) and found.vbmd_whole_roi_mg_cm3 == pytest.approx(line(113.0))
    plain = measure(hu, body, eroded, roi, 0.002, line)
    assert plain.whole_roi_mean_hu == plain.roi_mean_hu and plain.whole_roi_volume_cm3 == plain.roi_volume_cm3


def test_the_shell_has_the_volume_that_the_erosion_took(shells):
    assert measure(*shells, voxel_cm3=0.002).cortical_volume_cm3 == pytest.approx(98 * 0.002)


def test_the_mineral_content_is_that_of_the_parts_together_and_their_densities_do_not_add(shells):
    """BMC = cortical · its volume + inside · its volume; the sum of the two densities is something else (qct_facts 1.31)."""
    found = measure(*shells, voxel_cm3=0.002, density=line)
    assert found.bmc_mg == pytest.approx(found.cortical_mg_cm3 * found.cortical_volume_cm3 + line(113.0) * 27 * 0.002)
    assert abs(found.integral_mg_cm3 - (found.cortical_mg_cm3 + found.vbmd_roi_mg_cm3)) > 50.0


def test_an_edited_roi_alone_has_the_values_of_the_roi_and_none_of_the_body(shells):
    hu, body, eroded, roi = shells
    painted = np.zeros_like(roi)
    painted[2:4, 3, 3] = True
    alone, whole = measure_roi(hu, painted, 0.002, line), measure(hu, body, eroded, painted, 0.002, line)
    of_body = dict.fromkeys(("integral_mg_cm3", "cortical_mg_cm3", "cortical_volume_cm3", "bmc_mg"))
    assert alone == replace(whole, **of_body) and alone.vbmd_roi_mg_cm3 == line(alone.roi_mean_hu)


def test_an_empty_roi_is_refused_and_never_0(shells):
    hu, body, eroded, roi = shells
    with pytest.raises(ValueError, match="empty"):
        measure(hu, body, eroded, np.zeros_like(roi), 0.002)
    whole_body = measure(hu, body, body, roi, 0.002, line)
    assert whole_body.cortical_mg_cm3 is None and whole_body.cortical_volume_cm3 == 0.0


def test_the_texture_is_not_noise_but_a_lesion_is_texture():
    rng = np.random.default_rng(1)
    roi = np.zeros((24, 40, 50), dtype=bool)
    roi[6:18, 8:32, 8:42] = True
    hu = 150.0 + rng.normal(0, 70, roi.shape)
    spacing = (1.25, 0.8, 0.8)
    noisy = measure(hu, roi, roi, roi, 0.0008, spacing_mm=spacing)
    assert noisy.roi_sd_hu > 60 and noisy.roi_texture_sd_hu < 15
    hu[8:16, 12:24, 12:28] += 300.0
    assert measure(hu, roi, roi, roi, 0.0008, spacing_mm=spacing).roi_texture_sd_hu > 60


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


def column(**changed):
    """Heights of T11 to L4 of a body that grows down the spine, wedged above and lordotic below."""
    usual = {"T11": (22.3, 22.0, 23.7), "T12": (23.5, 23.2, 25.3), "L1": (25.0, 24.5, 26.6), "L2": (26.4, 25.3, 27.0)}
    usual |= {"L3": (27.3, 25.8, 27.0), "L4": (27.9, 26.0, 26.6)}
    return {level: Heights(*values) for level, values in (usual | changed).items()}


def times(factors, heights_mm):
    return tuple(f * h for f, h in zip(factors, heights_mm))


@pytest.mark.parametrize("level", ["T11", "T12", "L1", "L2", "L3", "L4"])
def test_growth_and_natural_wedge_are_no_loss(level):
    assert -0.06 < height_loss(column(), level) < 0.06


@pytest.mark.parametrize("kind", [(0.7, 0.8, 0.95), (0.92, 0.7, 0.92), (0.7, 0.7, 0.75)], ids=["wedge", "biconcave", "crush"])
@pytest.mark.parametrize("level", ["T12", "L1", "L2"])
def test_a_fracture_of_30_percent_is_told_from_its_neighbours(level, kind):
    lost = height_loss(column(**{level: times(kind, (24.9, 24.3, 26.3))}), level)
    assert lost >= HEIGHT_LOSS_FRACTURE and lost == pytest.approx(0.3, abs=0.06)


def test_a_fractured_neighbour_does_not_make_or_hide_a_loss():
    broken = column(L2=(18.0, 17.5, 21.0))
    assert height_loss(broken, "L1") < HEIGHT_LOSS_WARN and height_loss(broken, "L3") < HEIGHT_LOSS_WARN
    assert height_loss(column(L2=(18.0, 17.5, 21.0), L1=(17.5, 20.0, 25.0)), "L1") > HEIGHT_LOSS_FRACTURE


def test_alone_a_wedge_is_told_by_its_own_shape_and_a_crush_cannot_be():
    assert height_loss({"L1": Heights(18.0, 22.0, 26.0)}, "L1") > HEIGHT_LOSS_FRACTURE
    assert height_loss({"L1": Heights(25.0, 24.5, 26.6)}, "L1") < 0.05
    assert height_loss({"L1": Heights(17.5, 17.2, 18.6)}, "L1") < HEIGHT_LOSS_WARN


def test_a_small_person_has_lost_nothing():
    small = {level: Heights(*(0.8 * np.array([h.anterior, h.middle, h.posterior]))) for level, h in column().items()}
    assert abs(height_loss(small, "L1") - height_loss(column(), "L1")) < 1e-9


def test_without_heights_no_loss_is_known():
    assert height_loss(column(), "T9") is None and height_loss({}, "L1") is None


def test_an_extra_vertebra_is_judged_by_its_own_shape():
    assert height_loss(column() | {"T13": Heights(24.0, 23.5, 25.0)}, "T13") == pytest.approx(0.0, abs=0.06)
