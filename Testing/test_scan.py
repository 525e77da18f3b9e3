"""The geometry gate: what may enter the pipeline as a CT in HU."""

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.scan import Acquisition, checked


def as_image(voxels):
    return sitk.GetImageFromArray(voxels)


def refused(image, **kwargs):
    with pytest.raises(Refused) as caught:
        checked(image, **kwargs)
    return caught.value


def voxels_of(image):
    return sitk.GetArrayFromImage(image)


def test_a_ct_in_hu_passes_unchanged(body_like):
    scan = checked(body_like, Acquisition(kvp=120.0))
    assert np.array_equal(scan.hu, voxels_of(body_like)) and scan.hu.shape == (10, 12, 14)
    assert scan.spacing_mm == (0.9, 0.9, 2.0) and scan.acquisition.kvp == 120.0
    with pytest.raises(ValueError, match="read-only"):
        scan.hu[0, 0, 0] = 1


@pytest.mark.parametrize("dtype", [np.int32, np.float64, np.float32])
def test_other_number_types_keep_their_values(body_like, dtype):
    scan = checked(as_image(voxels_of(body_like).astype(dtype)))
    assert np.array_equal(scan.hu, voxels_of(body_like)) and scan.image.GetPixelID() == sitk.sitkFloat32


def test_a_fourth_dimension_of_one_is_dropped(body_like):
    scan = checked(sitk.JoinSeries([body_like]))
    assert scan.hu.shape == (10, 12, 14) and scan.image.GetOrigin() == body_like.GetOrigin()


def test_time_series_colour_and_planes_are_not_3d(body_like):
    assert refused(sitk.JoinSeries([body_like, body_like])).code == Code.NOT_3D
    assert refused(sitk.Compose([body_like] * 3)).code == Code.NOT_3D
    assert refused(body_like[:, :, 4]).code == Code.NOT_3D


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_fewer_than_three_voxels_along_any_axis_are_too_few(body_like, axis):
    part = [slice(None)] * 3
    part[axis] = slice(0, 2)
    assert refused(body_like[tuple(part)]).code == Code.TOO_FEW_SLICES


def not_hu(body_like):
    """Images that have the shape of a CT but not its values."""
    hu = voxels_of(body_like)
    with_nan = hu.astype(np.float32)
    with_nan[4, 6, 8] = np.nan
    labels = np.zeros_like(hu, dtype=np.uint8)
    labels[3:7, 3:8, 3:9] = 20
    return {
        "label map": labels,
        "MR": np.abs(np.random.default_rng(2).normal(300, 150, hu.shape)).astype(np.int16),
        "CT without its rescale intercept": (hu + 1024).astype(np.uint16),
        "NaN": with_nan,
        "infinite": np.where(np.isnan(with_nan), np.inf, with_nan),
        "normalised to 0-1": ((hu - hu.min()) / np.ptp(hu)).astype(np.float32),
        "soft tissue only": np.clip(hu, -1024, 90),
    }


@pytest.mark.parametrize(
    "kind", ["label map", "MR", "CT without its rescale intercept", "NaN", "infinite", "normalised to 0-1", "soft tissue only"]
)
def test_values_that_are_not_hu_are_refused_with_what_was_seen(body_like, kind):
    refusal = refused(as_image(not_hu(body_like)[kind]))
    assert refusal.code == Code.NOT_HU and refusal.detail


def test_not_hu_and_nothing_else_can_be_allowed(body_like):
    allow = frozenset({Code.NOT_HU, Code.NOT_3D, Code.TOO_FEW_SLICES})
    assert checked(as_image(not_hu(body_like)["MR"]), allow=allow).hu.shape == (10, 12, 14)
    assert refused(body_like[:, :, :2], allow=allow).code == Code.TOO_FEW_SLICES
    assert refused(sitk.Compose([body_like] * 3), allow=allow).code == Code.NOT_3D


def test_a_real_field_of_air_and_body_is_hu(patient):
    assert checked(patient.image).hu.shape == patient.image.GetSize()[::-1]


@pytest.mark.parametrize("kernel", ["LUNG", "BONEPLUS", "EDGE", "B60f", "Br64d", "B70s", "Hr60", "FC51", "FC86", "YA", "YC"])
def test_sharp_kernels_are_recognised(kernel):
    assert Acquisition(kernel=kernel).sharp_kernel


@pytest.mark.parametrize("kernel", [None, "", "STANDARD", "SOFT", "B30f", "Br40d", "B31s", "FC08", "FC13", "B", "A"])
def test_other_kernels_are_not(kernel):
    assert not Acquisition(kernel=kernel).sharp_kernel
