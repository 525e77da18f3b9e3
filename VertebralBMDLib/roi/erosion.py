"""Erosion of a body in millimetres, exact below the voxel: its surface rebuilt from the voxels on a fine grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..grid import field_grid

#: Work grid of the erosion: fine enough that the margin is a whole number of steps of at most this size.
_LARGEST_STEP_MM = 0.6

#: Smoothing of the signed distance map that removes the voxels' staircase, in voxels of the finest axis.
_STAIRCASE_SIGMA_VOXELS = 0.7


@dataclass(frozen=True)
class FineBody:
    """A body on a fine isotropic grid, whose axes are the columns of ``rotation`` (LPS).

    ``grid``: empty image whose coordinates are those of the rotated frame, ``rotation.T @ LPS``; ``depth_mm`` (w, v, u): how
    deep each of its voxels lies under the body's surface (negative: outside).
    """

    grid: sitk.Image
    depth_mm: np.ndarray
    rotation: np.ndarray

    @property
    def step_mm(self) -> float:
        return self.grid.GetSpacing()[0]

    @property
    def inside(self) -> np.ndarray:
        return self.depth_mm > 0

    def points_lps_mm(self, skin: bool = False) -> np.ndarray:
        """(n, 3) centres of the voxels inside the body, or only of its outermost ones (``skin``)."""
        chosen = self.inside & ~ndimage.binary_erosion(self.inside) if skin else self.inside
        return (np.array(self.grid.GetOrigin()) + self.step_mm * np.argwhere(chosen)[:, ::-1]) @ self.rotation.T

    def along(self, direction: np.ndarray, origin_lps_mm: np.ndarray) -> np.ndarray:
        """mm from a point along a unit vector (LPS), of every voxel; shape of ``depth_mm``."""
        unit = self.rotation.T @ direction
        x, y, z = (low + self.step_mm * np.arange(n) for low, n in zip(self.grid.GetOrigin(), self.grid.GetSize()))
        offset = self.rotation.T @ origin_lps_mm @ unit
        return (unit[2] * z[:, None, None] + unit[1] * y[None, :, None] + unit[0] * x[None, None, :] - offset).astype(np.float32)

    def cut_into(self, mask: np.ndarray, image: sitk.Image) -> np.ndarray:
        """A mask of the fine grid as (z, y, x) voxels of ``image``: those whose centre lies inside or on its border, to 1e-3 of a
        step, so that the last digits of an origin decide nothing."""
        fine = sitk.GetImageFromArray(mask.astype(np.float32))
        fine.CopyInformation(self.grid)
        return (
            sitk.GetArrayFromImage(sitk.Resample(fine, _seen_from(image, self.rotation), sitk.Transform(), sitk.sitkLinear, 0.0)) >= 0.499
        )


def fine_body(body: sitk.Image, margin_mm: float, rotation: np.ndarray = np.eye(3)) -> FineBody:
    """The body (binary image, any spacing and direction) on a grid of which ``margin_mm`` is a whole number of steps.

    The surface is rebuilt from the voxels by shape-based interpolation: their signed distance map, smoothed over the
    staircase, at the level that keeps the volume of the mask. This holds the eroded volume of rounded bodies within 2 %
    for spacings of 0.7-3 mm in any direction; a box with sharp corners loses up to 3 % at 3 mm (Testing/roi).
    Raises ValueError for a negative margin.
    """
    if margin_mm < 0:
        raise ValueError(f"The erosion margin is {margin_mm} mm; it must be 0 or more.")
    step = margin_mm / math.ceil(margin_mm / _LARGEST_STEP_MM) if margin_mm > 0 else _LARGEST_STEP_MM
    seen = _seen_from(body, rotation)
    grid = field_grid(seen, step)
    mask = sitk.GetArrayViewFromImage(body) > 0
    if not mask.any():
        return FineBody(grid, np.full(grid.GetSize()[::-1], -np.inf), rotation)
    spacing = body.GetSpacing()[::-1]
    signed = ndimage.distance_transform_edt(mask, spacing) - ndimage.distance_transform_edt(~mask, spacing)
    sigma = _STAIRCASE_SIGMA_VOXELS * min(spacing) / np.array(spacing)
    smooth = sitk.GetImageFromArray(ndimage.gaussian_filter(signed, sigma).astype(np.float32))
    smooth.CopyInformation(seen)
    depth = sitk.GetArrayFromImage(sitk.Resample(smooth, grid, sitk.Transform(), sitk.sitkLinear, -1e3))
    voxels = round(mask.sum() * float(np.prod(spacing)) / step**3)
    return FineBody(grid, depth + np.partition(-depth, voxels, axis=None)[voxels], rotation)


def eroded(body: FineBody, margin_mm: float, shape: str) -> np.ndarray:
    """Voxels of the fine grid that stay inside wherever they are moved by the margin: by a "box" along the grid's axes or a "ball".

    Raises ValueError for another shape.
    """
    inside, steps = body.inside, round(margin_mm / body.step_mm)
    if shape == "box":
        for axis in range(3):
            inside = ndimage.minimum_filter1d(inside, 2 * steps + 1, axis=axis, mode="constant", cval=False)
        return inside
    if shape == "ball":
        # Distance to the nearest voxel outside, less how far that voxel lies beyond the surface.
        distance, nearest = ndimage.distance_transform_edt(inside, return_indices=True)
        return distance + np.clip(body.depth_mm[tuple(nearest)] / body.step_mm, -1.0, 0.0) >= steps
    raise ValueError(f"Unknown erosion shape {shape!r}; use box, vertebra or ball.")


def _seen_from(image: sitk.Image, rotation: np.ndarray) -> sitk.Image:
    """The same voxels in the coordinates ``rotation.T @ LPS``."""
    seen = sitk.Image(image)
    seen.SetOrigin((rotation.T @ np.array(image.GetOrigin())).tolist())
    seen.SetDirection((rotation.T @ np.array(image.GetDirection()).reshape(3, 3)).ravel().tolist())
    return seen
