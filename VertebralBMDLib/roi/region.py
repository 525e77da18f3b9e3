"""The trabecular region of interest of one body: eroded, central layers, without veins and without findings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from . import CENTRAL_FRACTION
from .axes import BodyAxes, body_axes
from .erosion import FineBody, eroded, fine_body
from .findings import Bone, Exclusion, find
from .zones import central_layers, classic_ellipse, venous_zone

#: A vertebra that had to lose more of its ROI than this to findings does not belong into a patient's mean: in simulated lesions
#: the error of what is left grows with the share, as far as there were cases (Testing/benchmarks/roi_agreement.py).
LARGEST_EXCLUDED_SHARE = 0.4


@dataclass(frozen=True)
class RoiRules:
    """What of a body is its ROI.

    ``erosion_mm``; ``erosion_shape``: "box" (the paper's X, Y and Z, along the patient's axes), "vertebra" (the same box along
    the body's own axes) or "ball"; ``region``: "eroded", or "ellipse" (the classic elliptic ROI, as far as it lies in the
    eroded body); ``central_fraction``: of the body's height; ``venous_zone``, ``findings``: whether these are left out.
    """

    erosion_mm: float = 3.0
    erosion_shape: str = "box"
    region: str = "eroded"
    central_fraction: float = CENTRAL_FRACTION
    venous_zone: bool = True
    findings: bool = True


@dataclass(frozen=True)
class Roi:
    """Masks of shape (z, y, x) on the grid of the image that was eroded: body without its shell, and ROI.

    ``body_points_lps_mm``: (n, 3) evenly spaced points that fill the uneroded body, on a finer grid; ``excluded``: the
    voxels of ``exclusions``, which are not part of ``roi`` (None: nothing was looked for); ``axes``: the body's own (None:
    too small to tell).
    """

    eroded: np.ndarray
    roi: np.ndarray
    body_points_lps_mm: np.ndarray
    excluded: np.ndarray | None = None
    exclusions: tuple[Exclusion, ...] = ()
    axes: BodyAxes | None = None

    @property
    def excluded_share(self) -> float:
        """Share of the ROI that findings took; 0 where nothing was found or looked for."""
        lost = 0 if self.excluded is None else int(self.excluded.sum())
        return lost / (lost + int(self.roi.sum())) if lost else 0.0


def trabecular_roi(
    body: sitk.Image, up: np.ndarray, rules: RoiRules = RoiRules(), hu: np.ndarray | None = None, usual: Bone | None = None
) -> Roi:
    """ROI of one body.

    ``body``: binary image with some background around the body, any spacing and direction; ``up``: unit vector (LPS) to
    cranial from the column around it (``axes.superior_axes``); ``hu``: HU (z, y, x) on the same grid, in which findings are
    looked for (None: they are not); ``usual``: what the bone of this body and those around it is like
    (``findings.common_bone``). Raises ValueError for rules that make no sense.
    """
    if rules.region not in ("eroded", "ellipse"):
        raise ValueError(f"Unknown region {rules.region!r}; use eroded or ellipse.")
    fine = fine_body(body, rules.erosion_mm)
    points = fine.points_lps_mm()
    axes = body_axes(fine.points_lps_mm(skin=True), up)
    inner = _eroded(fine, body, axes, rules)
    if axes is None:
        inside = fine.cut_into(inner, body)
        return Roi(inside, inside, points)
    kept = inner & central_layers(fine, axes, rules.central_fraction)
    if rules.region == "ellipse":
        kept &= classic_ellipse(fine, axes)
    bone = inner
    if rules.venous_zone:
        veins = venous_zone(fine, axes)
        kept, bone = kept & ~veins, inner & ~veins
    roi, shell_free = fine.cut_into(kept, body), fine.cut_into(inner, body)
    if not rules.findings or hu is None or not roi.any():
        return Roi(shell_free, roi, points, axes=axes)
    searched = shell_free if bone is inner else fine.cut_into(bone, body)
    excluded, exclusions = find(hu, searched, roi, body.GetSpacing()[::-1], _in_index_axes(body, axes.up), usual)
    return Roi(shell_free, roi & ~excluded, points, excluded, exclusions, axes)


def _eroded(fine: FineBody, body: sitk.Image, axes: BodyAxes | None, rules: RoiRules) -> np.ndarray:
    """The eroded body on the grid of ``fine``; a box along the vertebra's axes is cut on a grid that is turned like it."""
    if rules.erosion_shape != "vertebra" or axes is None:
        return eroded(fine, rules.erosion_mm, "box" if rules.erosion_shape == "vertebra" else rules.erosion_shape)
    turned = fine_body(body, rules.erosion_mm, axes.rotation)
    return turned.cut_into(eroded(turned, rules.erosion_mm, "box"), fine.grid)


def eroded_volume_cm3(body: sitk.Image, margin_mm: float, shape: str = "box") -> float:
    """Volume of the eroded body (shape "box" or "ball") before it is cut into the image's own voxels."""
    fine = fine_body(body, margin_mm)
    return float(eroded(fine, margin_mm, shape).sum() * fine.step_mm**3 / 1000)


def core(body: sitk.Image, up: np.ndarray, depth_mm: float = 4.5) -> np.ndarray:
    """Voxels (z, y, x) deep in the middle half of a body: quickly found, for comparing the bone of vertebrae.

    ``body``: binary image; ``up``: unit vector (LPS) to cranial.
    """
    inside = sitk.GetArrayViewFromImage(body) > 0
    if not inside.any():
        return np.zeros(inside.shape, dtype=bool)
    spacing = body.GetSpacing()[::-1]
    axes = np.ogrid[tuple(slice(n) for n in inside.shape)]
    height = sum(index * step * part for index, step, part in zip(axes, spacing, _in_index_axes(body, up)))
    low, high = np.percentile(height[inside], [1, 99])
    return (ndimage.distance_transform_edt(inside, spacing) >= depth_mm) & (np.abs(height - (low + high) / 2) <= (high - low) / 4)


def _in_index_axes(image: sitk.Image, direction: np.ndarray) -> np.ndarray:
    """A direction (LPS) along the axes (z, y, x) of the image's array."""
    return (np.array(image.GetDirection()).reshape(3, 3).T @ direction)[::-1]
