"""Erosion in millimetres against analytic shapes, in any spacing and direction."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from solids import IDENTITY, OBLIQUE, SEMI_AXES, UP, drawn, ellipsoid, points_of, turned

from VertebralBMDLib.roi.region import RoiRules, core, eroded_volume_cm3, trabecular_roi

SPACINGS = [(0.7, 0.7, 0.7), (1.0, 1.0, 1.0), (0.8, 0.8, 3.0), (3.0, 3.0, 3.0)]


def exact_eroded_cm3(semi_axes, offsets, step=0.35):
    """Volume of the points from which every offset (mm) stays within the ellipsoid: its erosion by a convex set with these corners."""
    axes = [np.arange(step / 2, a, step) for a in semi_axes]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    kept = np.ones(len(points), dtype=bool)
    for offset in offsets:
        kept[kept] = ellipsoid(points[kept] + offset, semi_axes)
    return 8 * kept.sum() * step**3 / 1000


def offsets(shape, margin):
    """The corners of the box, or points all over the ball. By symmetry, those to the octant of ``exact_eroded_cm3`` suffice."""
    if shape == "box":
        return [np.full(3, margin)]
    polar, azimuth = np.meshgrid(np.linspace(0, np.pi / 2, 25), np.linspace(0, np.pi / 2, 25))
    return margin * np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=-1).reshape(-1, 3)


@pytest.mark.parametrize("direction", [IDENTITY, OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("shape", ["box", "ball"])
def test_the_eroded_volume_of_an_ellipsoid_is_exact_within_two_percent(shape, spacing, direction):
    exact = exact_eroded_cm3(SEMI_AXES, offsets(shape, 3.0))
    assert eroded_volume_cm3(drawn(ellipsoid, spacing, direction), 3.0, shape) == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("margin", [1.0, 4.5])
@pytest.mark.parametrize("shape", ["box", "ball"])
def test_other_margins_are_exact_within_two_percent(shape, margin):
    exact = exact_eroded_cm3(SEMI_AXES, offsets(shape, margin))
    assert eroded_volume_cm3(drawn(ellipsoid, (0.8, 0.8, 3.0)), margin, shape) == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
def test_a_sphere_shrinks_to_the_smaller_sphere(spacing):
    sphere = drawn(lambda points: ellipsoid(points, 18.0), spacing)
    assert eroded_volume_cm3(sphere, 3.0, "ball") == pytest.approx(4 / 3 * np.pi * 15.0**3 / 1000, rel=0.02)


# Voxels of 3 mm do not tell a sharp corner from a rounded one; no vertebra has such corners.
@pytest.mark.parametrize(("spacing", "tolerance"), [(spacing, 0.03 if min(spacing) >= 3 else 0.02) for spacing in SPACINGS], ids=str)
def test_a_box_shrinks_to_the_smaller_box(spacing, tolerance):
    half = np.round(np.array([21.0, 15.0, 13.5]) / spacing) * spacing
    box = drawn(lambda points: (np.abs(points) < half).all(axis=-1), spacing, shift=(0.5, 0.5, 0.5))
    assert eroded_volume_cm3(box, 3.0, "box") == pytest.approx(np.prod(2 * half - 6.0) / 1000, rel=tolerance)


def test_no_margin_keeps_the_volume():
    image = drawn(ellipsoid, (0.8, 0.8, 3.0))
    drawn_cm3 = sitk.GetArrayFromImage(image).sum() * 0.8 * 0.8 * 3.0 / 1000
    assert eroded_volume_cm3(image, 0.0) == pytest.approx(drawn_cm3, rel=0.005)


@pytest.mark.parametrize("shape", ["box", "ball"])
@pytest.mark.parametrize("spacing", [(0.977, 0.977, 1.25), (0.7, 0.7, 5.0)], ids=str)
def test_the_margin_is_three_millimetres_along_every_axis(spacing, shape):
    """Both ways: no voxel lies nearer to a face, and the next voxel towards the face would."""
    half = (np.round(np.array([20.0, 15.0, 13.0]) / spacing) - 0.5) * spacing
    image = drawn(lambda points: (np.abs(points) < half + 1e-6).all(axis=-1), spacing, shift=(0.0, 0.0, 0.0))
    found = trabecular_roi(image, UP, RoiRules(erosion_shape=shape))
    depth = half - np.abs(points_of(image, found.eroded)).max(axis=0)
    assert np.all(depth >= 3.0 - 0.15), depth
    assert np.all(depth < 3.0 + np.array(spacing) + 0.15), depth


@pytest.mark.parametrize("direction", [IDENTITY, OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize("spacing", [(0.977, 0.977, 1.25), (0.7, 0.7, 5.0)], ids=str)
def test_no_voxel_of_the_roi_lies_within_three_millimetres_of_the_surface_of_a_round_body(spacing, direction):
    image = drawn(ellipsoid, spacing, direction)
    found = points_of(image, trabecular_roi(image, UP).roi)
    for corner in itertools.product((-2.85, 2.85), repeat=3):
        assert ellipsoid(found + np.array(corner), SEMI_AXES * (1 + 0.1 * max(spacing) / 20)).all()


@pytest.mark.parametrize("up", [UP, turned(25, 0, 0) @ UP], ids=["upright", "leaning"])
@pytest.mark.parametrize("fraction", [0.3, 0.5])
def test_the_central_layers_are_that_fraction_of_the_height_of_the_uneroded_body(fraction, up):
    half = np.array([20.0, 16.0, 13.0])
    frame = np.stack([np.array([1.0, 0, 0]), np.cross(up, [1.0, 0, 0]), up])
    image = drawn(lambda points: (np.abs(points @ frame.T) < half).all(axis=-1), (0.8, 0.8, 0.8))
    found = trabecular_roi(image, up, RoiRules(central_fraction=fraction))
    heights = points_of(image, found.roi) @ up
    assert heights.max() == pytest.approx(13.0 * fraction, abs=0.9) and heights.min() == pytest.approx(-13.0 * fraction, abs=0.9)
    assert np.all(found.eroded[found.roi]) and found.roi.sum() < found.eroded.sum()


def test_all_layers_can_be_kept():
    found = trabecular_roi(drawn(ellipsoid, (1.0, 1.0, 1.0)), UP, RoiRules(central_fraction=1.0, venous_zone=False))
    assert np.array_equal(found.roi, found.eroded) and found.roi.any()


@pytest.mark.parametrize("orientation", ["RAI", "PIR", "ASL", "LAS"])
@pytest.mark.parametrize("shape", ["box", "ball"])
def test_the_same_scan_stored_another_way_has_the_same_roi(patient, orientation, shape):
    body = sitk.RegionOfInterest(patient.bodies, *around(patient.bodies, 20)) == 20
    up = np.array([0.05, -0.15, 0.98])
    straight = trabecular_roi(body, up, RoiRules(erosion_shape=shape))
    stored = sitk.DICOMOrient(body, orientation)
    other = trabecular_roi(stored, up, RoiRules(erosion_shape=shape))
    for name in ("eroded", "roi"):
        mask = sitk.GetImageFromArray(getattr(other, name).astype(np.uint8))
        mask.CopyInformation(stored)
        back = sitk.GetArrayFromImage(sitk.DICOMOrient(mask, "LPS")) > 0
        assert getattr(straight, name).any() and np.array_equal(back, getattr(straight, name)), name


def around(labels, label, margin=2):
    """Size and start of a body with some voxels around it."""
    index = np.argwhere(sitk.GetArrayFromImage(labels) == label)[:, ::-1]
    start = np.maximum(index.min(axis=0) - margin, 0)
    stop = np.minimum(index.max(axis=0) + margin + 1, labels.GetSize())
    return (stop - start).tolist(), start.tolist()


@pytest.mark.parametrize("shape", ["box", "ball"])
def test_an_empty_body_has_an_empty_roi(shape):
    found = trabecular_roi(sitk.Image(12, 12, 12, sitk.sitkUInt8), UP, RoiRules(erosion_shape=shape))
    assert found.roi.shape == found.eroded.shape == (12, 12, 12)
    assert not found.roi.any() and not found.eroded.any() and len(found.body_points_lps_mm) == 0


@pytest.mark.parametrize("shape", ["box", "ball"])
def test_a_body_thinner_than_the_margins_has_an_empty_roi(shape):
    thin = drawn(lambda points: (np.abs(points) < np.array([15.0, 15.0, 2.5])).all(axis=-1), (1.0, 1.0, 1.0))
    found = trabecular_roi(thin, UP, RoiRules(erosion_shape=shape))
    assert not found.eroded.any() and not found.roi.any()


def test_the_points_fill_the_uneroded_body():
    found = trabecular_roi(drawn(ellipsoid, (1.0, 1.0, 1.0)), UP)
    assert ellipsoid(found.body_points_lps_mm, SEMI_AXES + 0.6).all()
    np.testing.assert_allclose(np.ptp(found.body_points_lps_mm, axis=0), 2 * SEMI_AXES, atol=1.5)


def test_a_negative_margin_and_an_unknown_shape_are_refused():
    body = drawn(ellipsoid, (2.0, 2.0, 2.0))
    with pytest.raises(ValueError, match="-1"):
        trabecular_roi(body, UP, RoiRules(erosion_mm=-1.0))
    with pytest.raises(ValueError, match="cylinder"):
        trabecular_roi(body, UP, RoiRules(erosion_shape="cylinder"))


# --- shape and place of the rules


def block(points, half=(20.0, 16.0, 13.0)):
    return (np.abs(points) < np.array(half)).all(axis=-1)


def test_a_box_along_the_vertebra_keeps_its_margin_in_a_leaning_body():
    """A block that leans keeps 3 mm to every face along its own axes; the patient's box takes more at the corners."""
    frame = turned(18, 0, 0)
    image = drawn(lambda points: block(points @ frame), (0.7, 0.7, 0.7))
    whole = RoiRules(central_fraction=1.0, venous_zone=False)
    own = trabecular_roi(image, frame[:, 2], RoiRules(**{**whole.__dict__, "erosion_shape": "vertebra"}))
    patient_box = trabecular_roi(image, frame[:, 2], whole)
    depth = np.array([20.0, 16.0, 13.0]) - np.abs(points_of(image, own.roi) @ frame).max(axis=0)
    assert np.all(np.abs(depth - 3.0) < 0.8), depth
    assert own.roi.sum() > 1.1 * patient_box.roi.sum()


def test_the_venous_zone_is_the_posterior_quarter_of_the_midline():
    image = drawn(block, (0.7, 0.7, 0.7))
    with_veins = trabecular_roi(image, UP, RoiRules(venous_zone=False))
    without = trabecular_roi(image, UP)
    taken = points_of(image, with_veins.roi & ~without.roi)
    assert not np.any(without.roi & ~with_veins.roi)
    # the posterior quarter of 32 mm begins 8 mm behind the middle; 40 % of 40 mm wide
    assert taken[:, 1].min() == pytest.approx(8.0, abs=1.0) and np.abs(taken[:, 0]).max() == pytest.approx(8.0, abs=1.0)
    left = points_of(image, without.roi)
    assert not np.any((left[:, 1] > 9.0) & (np.abs(left[:, 0]) < 7.0)) and np.any(left[:, 1] > 11.0)


def test_the_classic_ellipse_lies_in_front_of_the_veins_and_in_the_eroded_body():
    image = drawn(block, (0.7, 0.7, 0.7))
    found = trabecular_roi(image, UP, RoiRules(region="ellipse"))
    inside = points_of(image, found.roi)
    assert np.abs(inside[:, 0]).max() == pytest.approx(0.65 * 20, abs=0.7)
    assert (inside[:, 1].min(), inside[:, 1].max()) == pytest.approx((16 - 0.83 * 32, 16 - 0.33 * 32), abs=1.0)
    assert np.all(found.eroded[found.roi])
    section = np.pi * 0.65 * 20 * 0.5 * 16 * 13.0
    assert found.roi.sum() * 0.7**3 == pytest.approx(section, rel=0.08)


def test_a_tilted_body_has_tilted_layers_and_veins():
    frame = turned(12, 8, 10)
    image = drawn(lambda points: block(points @ frame), (0.8, 0.8, 1.0))
    found = points_of(image, trabecular_roi(image, frame[:, 2], RoiRules(erosion_shape="vertebra")).roi) @ frame
    assert np.abs(found[:, 2]).max() == pytest.approx(6.5, abs=1.0)
    assert not np.any((found[:, 1] > 9.5) & (np.abs(found[:, 0]) < 6.0))


def test_the_roi_says_what_axes_it_used_and_looks_for_nothing_without_hu():
    found = trabecular_roi(drawn(ellipsoid, (1.0, 1.0, 1.0)), UP)
    assert found.excluded is None and found.exclusions == () and found.axes.up == pytest.approx(UP, abs=0.05)


def test_wrong_region_and_fraction_are_refused():
    body = drawn(ellipsoid, (2.0, 2.0, 2.0))
    with pytest.raises(ValueError, match="circle"):
        trabecular_roi(body, UP, RoiRules(region="circle"))
    for fraction in (0.0, 1.2):
        with pytest.raises(ValueError, match="central_fraction"):
            trabecular_roi(body, UP, RoiRules(central_fraction=fraction))


def test_the_core_is_deep_and_central_in_any_orientation(patient):
    body = sitk.RegionOfInterest(patient.bodies, *around(patient.bodies, 20)) == 20
    found = core(body, UP)
    stored = sitk.DICOMOrient(body, "PIR")
    other = sitk.GetImageFromArray(core(stored, UP).astype(np.uint8))
    other.CopyInformation(stored)
    assert found.any() and np.array_equal(sitk.GetArrayFromImage(sitk.DICOMOrient(other, "LPS")) > 0, found)
    assert trabecular_roi(body, UP).eroded[found].mean() > 0.95
    assert not core(sitk.Image(5, 5, 5, sitk.sitkUInt8), UP).any()
