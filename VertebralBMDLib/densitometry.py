"""Densities, volumes, bone mineral content and heights of one vertebral body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Heights:
    """Heights of a body in mm, in its mid-sagittal slab."""

    anterior: float
    middle: float
    posterior: float

    @property
    def loss(self) -> float:
        """1 - smallest / largest height."""
        heights = (self.anterior, self.middle, self.posterior)
        return 1 - min(heights) / max(heights)


@dataclass(frozen=True)
class Density:
    """HU and, when calibrated, density of one body. mg/cm³ values are None without a calibration.

    Everything named roi is of the ROI without what was excluded from it; ``whole_…`` is of the ROI with it.
    ``roi_percentiles_hu``: 5, 25, 75 and 95 %; ``cortical_…``: of the outer shell as CT shows it (apparent).
    """

    roi_volume_cm3: float
    roi_mean_hu: float
    roi_sd_hu: float
    roi_median_hu: float | None = None
    roi_percentiles_hu: tuple[float, float, float, float] | None = None
    whole_roi_volume_cm3: float | None = None
    whole_roi_mean_hu: float | None = None
    vbmd_roi_mg_cm3: float | None = None
    vbmd_whole_roi_mg_cm3: float | None = None
    integral_mg_cm3: float | None = None
    cortical_mg_cm3: float | None = None
    cortical_volume_cm3: float | None = None
    bmc_mg: float | None = None


def measure(hu: np.ndarray, body: np.ndarray, eroded: np.ndarray, roi: np.ndarray, voxel_cm3: float, density=None) -> Density:
    """Measure one body.

    ``hu``: HU, shape (z, y, x); ``body``, ``eroded`` (the body without its 3 mm shell), ``roi``: boolean masks of the
    same shape; ``voxel_cm3``: volume of a voxel; ``density``: function from HU to mg/cm³, or None.
    Trabecular vBMD is the mean over the ROI. Integral vBMD is the mean over the whole body, which is the volume-weighted
    mean of its parts, never their sum (qct_facts 1.31); BMC = integral · volume. The cortical value is that of the outer
    shell as CT shows it (apparent).
    """
    values = hu[roi].astype(np.float64)
    mean = float(values.mean())
    result = dict(roi_volume_cm3=float(roi.sum() * voxel_cm3), roi_mean_hu=mean, roi_sd_hu=float(values.std(ddof=1)))
    if density is None:
        return Density(**result)
    integral = float(density(hu[body].astype(np.float64).mean()))
    return Density(
        **result,
        vbmd_roi_mg_cm3=float(density(mean)),
        integral_mg_cm3=integral,
        cortical_mg_cm3=float(density(hu[body & ~eroded].astype(np.float64).mean())),
        bmc_mg=integral * float(body.sum()) * voxel_cm3,
    )


def heights(points_mm: np.ndarray, up: np.ndarray, forward: np.ndarray) -> Heights:
    """Anterior, middle and posterior height of a body.

    ``points_mm``: (n, 3) centres of its voxels; ``up`` and ``forward``: unit vectors to cranial and anterior in the same
    frame. Heights are the extents along ``up`` at 15, 50 and 85 % of the depth, in the central third of the width.
    """
    across = np.cross(up, forward)
    centred = points_mm - points_mm.mean(axis=0)
    height, depth, width = centred @ up, centred @ forward, centred @ across
    slab = np.abs(width) <= np.ptp(width) / 6
    back, front = np.percentile(depth[slab], [0.5, 99.5])
    measured = []
    for fraction in (0.85, 0.5, 0.15):
        near = slab & (np.abs(depth - (back + fraction * (front - back))) <= 0.08 * (front - back))
        low, high = np.percentile(height[near], [1, 99])
        measured.append(float(high - low))
    return Heights(*measured)
