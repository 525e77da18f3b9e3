"""Sampling grids along the patient's axes (LPS mm), and resampling onto them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

AIR_HU = -1024
#: Origins are rounded to this many digits of a mm: how an image is stored must not show in the last bits of its results.
_ORIGIN_DIGITS = 6


def oriented(image: sitk.Image) -> sitk.Image:
    """``image`` with its axes turned and flipped to lie nearest to the patient's (LPS): the same voxels and the very same
    geometry however it was stored. An image that is so already is returned as it is."""
    if _orientation(image) != "LPS":
        image = sitk.DICOMOrient(image, "LPS")
    origin = np.round(image.GetOrigin(), _ORIGIN_DIGITS)
    if not np.array_equal(origin, image.GetOrigin()):
        image = sitk.Image(image)
        image.SetOrigin(origin.tolist())
    return image


def stored_like(label_map: sitk.Image, image: sitk.Image) -> sitk.Image:
    """A map on the grid of ``oriented(image)``, turned back onto the grid of ``image``."""
    back = sitk.DICOMOrient(label_map, _orientation(image))
    back.CopyInformation(image)
    return back


def _orientation(image: sitk.Image) -> str:
    """Three letters: where the axes i, j, k run to."""
    return sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())


def field_grid(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """An empty grid with isotropic voxels along the patient's axes that covers the whole field of ``image``."""
    image = oriented(image)
    edges = [(-0.5, n - 0.5) for n in image.GetSize()]
    corners = np.array([image.TransformContinuousIndexToPhysicalPoint(c) for c in itertools.product(*edges)])
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = np.maximum(1, np.round((high - low) / spacing_mm)).astype(int)
    return _grid((low + high) / 2, size, spacing_mm)


def cube_grid(centre_lps_mm: Sequence[float], size: int, spacing_mm: float) -> sitk.Image:
    """An empty cubic grid of ``size``³ voxels along the patient's axes, centred on a point."""
    return box_grid(centre_lps_mm, (size,) * 3, spacing_mm)


def box_grid(centre_lps_mm: Sequence[float], size: Sequence[int], spacing_mm: float) -> sitk.Image:
    """An empty grid of ``size`` (x, y, z) isotropic voxels along the patient's axes, centred on a point."""
    return _grid(np.asarray(centre_lps_mm, dtype=float), np.asarray(size), spacing_mm)


def _grid(centre: np.ndarray, size: np.ndarray, spacing_mm: float) -> sitk.Image:
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    grid.SetSpacing((spacing_mm,) * 3)
    grid.SetOrigin((centre - (size - 1) / 2 * spacing_mm).tolist())
    return grid


def resampled(image: sitk.Image, grid: sitk.Image, outside: float = AIR_HU) -> sitk.Image:
    """``image`` on ``grid``: linear, float32; voxels finer than half the grid's are averaged first, so nothing aliases."""
    image = oriented(image)
    factors = [max(1, int(step / s + 0.01)) for step, s in zip(grid.GetSpacing(), image.GetSpacing())]
    if max(factors) > 1:
        image = sitk.BinShrink(sitk.Cast(cropped_to(image, grid), sitk.sitkFloat32), factors)
    return sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, outside, sitk.sitkFloat32)


def cropped_to(image: sitk.Image, grid: sitk.Image, margin: int = 4) -> sitk.Image:
    """The part of ``image`` that ``grid`` covers, with ``margin`` voxels around it (the image itself where they do not meet)."""
    edges = [(-0.5, n - 0.5) for n in grid.GetSize()]
    points = [grid.TransformContinuousIndexToPhysicalPoint(c) for c in itertools.product(*edges)]
    indices = np.array([image.TransformPhysicalPointToContinuousIndex(p) for p in points])
    low = np.clip(np.floor(indices.min(axis=0)).astype(int) - margin, 0, np.array(image.GetSize()))
    high = np.clip(np.ceil(indices.max(axis=0)).astype(int) + margin + 1, 0, np.array(image.GetSize()))
    if np.any(high - low < 1):
        return image
    return sitk.RegionOfInterest(image, (high - low).tolist(), low.tolist())


def smoothed_within(hu: np.ndarray, mask: np.ndarray, spacing_mm: Sequence[float], sigma_mm: float) -> np.ndarray:
    """HU averaged over a Gaussian of this SD within a mask only; float32, valid in and near the mask.

    ``hu``, ``mask``: (z, y, x), ``spacing_mm`` in the same order.
    """
    sigma = [sigma_mm / each for each in spacing_mm]
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="constant", truncate=2.5)
    total = ndimage.gaussian_filter(np.where(mask, hu, 0).astype(np.float32), sigma, mode="constant", truncate=2.5)
    return total / np.maximum(weight, 1e-3)
