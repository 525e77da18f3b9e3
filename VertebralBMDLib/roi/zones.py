"""Where in a body bone is read, in the body's own axes: the central layers, the posterior venous zone, the classic ellipse."""

from __future__ import annotations

import numpy as np

from .axes import BodyAxes
from .erosion import FineBody

#: The posterior venous zone: this share of the depth, in the midline (qct_facts 5.8: canal of 12-22 % of the depth) and as
#: wide as this share of the body, which holds double canals (37 % of people) too.
_VENOUS_DEPTH, _VENOUS_WIDTH = 0.25, 0.40

#: The classic ellipse (paper Fig. 3; sizes and place of qct_facts 5.8): axes as shares of width and depth, its centre as a
#: share of the depth in front of the posterior wall, so that the venous plexus stays behind it.
_ELLIPSE_WIDTH, _ELLIPSE_DEPTH, _ELLIPSE_CENTRE = 0.65, 0.50, 0.58


def central_layers(body: FineBody, axes: BodyAxes, fraction: float) -> np.ndarray:
    """Voxels of the fine grid in the middle ``fraction`` of the height, along the body's own axis.

    Raises ValueError for a fraction outside 0-1 or 0.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"central_fraction must be above 0 and at most 1, not {fraction}")
    if fraction == 1:
        return np.ones(body.depth_mm.shape, dtype=bool)
    return np.abs(body.along(axes.up, axes.origin_lps_mm)) <= fraction * axes.height_mm / 2


def venous_zone(body: FineBody, axes: BodyAxes) -> np.ndarray:
    """Voxels of the fine grid where the basivertebral veins run: the posterior quarter of the midline."""
    behind = body.along(axes.back, axes.origin_lps_mm) >= axes.rear_mm - _VENOUS_DEPTH * axes.depth_mm
    return behind & (np.abs(body.along(axes.left, axes.origin_lps_mm)) <= _VENOUS_WIDTH * axes.width_mm / 2)


def classic_ellipse(body: FineBody, axes: BodyAxes) -> np.ndarray:
    """Voxels of the fine grid in the elliptic cylinder that a reader draws in front of the venous plexus."""
    across = body.along(axes.left, axes.origin_lps_mm) / (_ELLIPSE_WIDTH * axes.width_mm / 2)
    centre = axes.rear_mm - _ELLIPSE_CENTRE * axes.depth_mm
    along = (body.along(axes.back, axes.origin_lps_mm) - centre) / (_ELLIPSE_DEPTH * axes.depth_mm / 2)
    return across**2 + along**2 <= 1
