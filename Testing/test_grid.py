"""Grids along the patient's axes, and resampling onto them."""

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.grid import AIR_HU, cropped_to, cube_grid, field_grid, oriented, resampled, stored_like

TURN = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)


def ramp(size=(40, 36, 30), spacing=(0.8, 0.9, 2.5), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1), origin=(-20.0, 30.0, 700.0), orientation=None):
    """An image whose value is 2x + 3y - z at every point (LPS mm)."""
    image = sitk.Image(size, sitk.sitkFloat32)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), axis=-1) * np.array(spacing)
    points = index @ np.array(direction).reshape(3, 3).T + np.array(origin)
    filled = sitk.GetImageFromArray((points @ np.array([2.0, 3.0, -1.0])).transpose(2, 1, 0).astype(np.float32))
    filled.CopyInformation(image)
    return filled if orientation is None else sitk.DICOMOrient(filled, orientation)


def points_of(grid):
    i, j, k = np.meshgrid(*(np.arange(n) for n in grid.GetSize()), indexing="ij")
    return np.stack([i, j, k], axis=-1) * np.array(grid.GetSpacing()) + np.array(grid.GetOrigin())


@pytest.mark.parametrize("direction", [(1, 0, 0, 0, 1, 0, 0, 0, 1), TURN])
def test_the_field_grid_covers_the_whole_field_with_isotropic_voxels_along_the_patients_axes(direction):
    image = ramp(direction=direction)
    grid = field_grid(image, 3.0)
    assert grid.GetSpacing() == (3.0, 3.0, 3.0) and grid.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    low = np.array(grid.GetOrigin()) - 1.5
    high = low + 3.0 * np.array(grid.GetSize())
    corners = np.array(
        [
            image.TransformContinuousIndexToPhysicalPoint([(n - 0.5) if far >> a & 1 else -0.5 for a, n in enumerate(image.GetSize())])
            for far in range(8)
        ]
    )
    assert np.all(corners.min(axis=0) >= low - 1.5) and np.all(corners.max(axis=0) <= high + 1.5)
    np.testing.assert_allclose((low + high) / 2, (corners.min(axis=0) + corners.max(axis=0)) / 2, atol=1e-6)


@pytest.mark.parametrize("size", [8, 9])
def test_a_cube_grid_is_centred_on_its_point(size):
    grid = cube_grid((3.0, -4.0, 700.5), size, 1.5)
    assert grid.GetSize() == (size,) * 3
    np.testing.assert_allclose(grid.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2] * 3), (3.0, -4.0, 700.5))


@pytest.mark.parametrize("spacing_mm", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("given", [dict(), dict(direction=TURN), dict(orientation="PIR"), dict(orientation="RAI")], ids=str)
def test_resampling_keeps_every_value_where_it_is_in_the_patient(given, spacing_mm):
    image = ramp(**given)
    centre = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    grid = cube_grid(centre, 4, spacing_mm)
    expected = (points_of(grid) @ np.array([2.0, 3.0, -1.0])).transpose(2, 1, 0)
    np.testing.assert_allclose(sitk.GetArrayFromImage(resampled(image, grid)), expected, atol=0.02)


def test_outside_the_scan_is_air():
    grid = cube_grid((500.0, 500.0, 0.0), 4, 2.0)
    assert np.all(sitk.GetArrayFromImage(resampled(ramp(), grid)) == AIR_HU)
    assert np.all(sitk.GetArrayFromImage(resampled(ramp(), grid, outside=0.0)) == 0.0)


def test_finer_voxels_are_averaged_before_they_are_resampled():
    voxels = np.zeros((24, 24, 24), np.float32)
    voxels[:, :, ::2] = 100.0
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.5, 0.5, 0.5))
    found = sitk.GetArrayFromImage(resampled(image, cube_grid((6.0, 6.0, 6.0), 4, 2.0)))
    np.testing.assert_allclose(found, 50.0, atol=1e-3)


def test_cropping_keeps_the_margin_and_the_place():
    image = ramp()
    part = cropped_to(image, cube_grid((-5.0, 45.0, 735.0), 4, 2.0), margin=2)
    assert all(a < b for a, b in zip(part.GetSize(), image.GetSize()))
    index = [n // 2 for n in part.GetSize()]
    assert part[index] == image[image.TransformPhysicalPointToIndex(part.TransformIndexToPhysicalPoint(index))]
    low = np.array(part.TransformContinuousIndexToPhysicalPoint([1.5] * 3))
    assert np.all(low <= np.array([-9.0, 41.0, 731.0]) + 1e-6)


def test_cropping_to_a_grid_elsewhere_gives_the_image_itself():
    image = ramp()
    assert cropped_to(image, cube_grid((900.0, 900.0, 900.0), 4, 2.0)).GetSize() == image.GetSize()


def awkward(seed):
    """Noise on a grid whose numbers are not exact in binary, one in two turned."""
    rng = np.random.default_rng(seed)
    image = sitk.GetImageFromArray(rng.normal(0, 300, (14, 21, 23)).astype(np.float32))
    image.SetSpacing(rng.uniform(0.5, 3.3, 3).tolist())
    image.SetOrigin(rng.uniform(-900, 900, 3).tolist())
    image.SetDirection(sitk.Euler3DTransform((0, 0, 0), *(rng.uniform(-0.3, 0.3, 3) * (seed % 2))).GetMatrix())
    return image


@pytest.mark.parametrize("code", ["RAS", "LPI", "PIR", "SAL"])
def test_how_an_image_is_stored_does_not_show_in_the_last_bit(code):
    for seed in range(20):
        image = awkward(seed)
        stored = sitk.DICOMOrient(image, code)
        grids = [field_grid(each, 3.0) for each in (image, stored)]
        assert grids[0].GetOrigin() == grids[1].GetOrigin() and grids[0].GetSize() == grids[1].GetSize()
        straight, turned = (sitk.GetArrayFromImage(resampled(each, grid)) for each, grid in zip((image, stored), grids))
        np.testing.assert_array_equal(straight, turned)


def test_a_map_of_an_oriented_image_is_turned_back_onto_the_stored_grid():
    stored = sitk.DICOMOrient(awkward(1), "SAL")
    image = oriented(stored)
    assert image.GetSize() == (23, 21, 14) and oriented(image) is image
    labels = sitk.Cast(image > 0, sitk.sitkUInt8)
    back = stored_like(labels, stored)
    assert back.IsSameImageGeometryAs(stored, 0, 0)
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(back), sitk.GetArrayViewFromImage(stored) > 0)
