"""Densities, volumes, bone mineral content and heights of one vertebral body."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .anatomy import COLUMN
from .grid import smoothed_within

#: From HU to mg/cm³.
DensityOf = Callable[[float], float]

#: A loss of height of this share is flagged, and from this share taken for a fracture (qct_facts 1.29, 3.11).
HEIGHT_LOSS_WARN, HEIGHT_LOSS_FRACTURE = 0.15, 0.20

#: Above this ``roi_texture_sd_hu`` the ROI is not one kind of bone (qct_facts 1.30).
HETEROGENEOUS_SD_HU = 60.0

#: Smoothing (SD in mm) that takes noise out of the SD of the ROI and leaves its lesions in.
_TEXTURE_MM = 1.5

#: Heights in mm of lumbar bodies and T12 (qct_facts 5.6); above and below they go on by 1 mm and 0.2 mm a level.
_HEIGHT_MM = {"T12": 24.0, "L1": 25.5, "L2": 26.5, "L3": 27.0}

#: (anterior - posterior) / mean height: T12 to L2 from angles of 4.2, 3.4 and 1.7 degrees over their depth (qct_facts 5.6,
#: mean of the sexes), then towards lordosis.
_WEDGE = {"T10": -0.06, "T11": -0.07, "T12": -0.08, "L1": -0.07, "L2": -0.03, "L3": 0.01, "L4": 0.05, "L5": 0.12}
_MIDDLE = 0.95

#: Neighbours up to this many levels away are compared, and so many make a body's own shape needless.
_REACH, _ENOUGH_NEIGHBOURS = 3, 2


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
    ``roi_percentiles_hu``: 5, 25, 75 and 95 %; ``roi_texture_sd_hu``: SD after smoothing over 1.5 mm, which is not noise;
    ``cortical_…``: of the outer shell as CT shows it (apparent).
    """

    roi_volume_cm3: float
    roi_mean_hu: float
    roi_sd_hu: float
    roi_median_hu: float | None = None
    roi_percentiles_hu: tuple[float, float, float, float] | None = None
    roi_texture_sd_hu: float | None = None
    whole_roi_volume_cm3: float | None = None
    whole_roi_mean_hu: float | None = None
    vbmd_roi_mg_cm3: float | None = None
    vbmd_whole_roi_mg_cm3: float | None = None
    integral_mg_cm3: float | None = None
    cortical_mg_cm3: float | None = None
    cortical_volume_cm3: float | None = None
    bmc_mg: float | None = None


def measure(
    hu: np.ndarray,
    body: np.ndarray,
    eroded: np.ndarray,
    roi: np.ndarray,
    voxel_cm3: float,
    density: DensityOf | None = None,
    excluded: np.ndarray | None = None,
    spacing_mm: Sequence[float] | None = None,
) -> Density:
    """Measure one body.

    ``hu``: HU, shape (z, y, x); ``body``, ``eroded`` (the body without its 3 mm shell), ``roi``, ``excluded`` (findings that
    are not part of ``roi``; None: there are none): boolean masks of the same shape; ``voxel_cm3``: volume of a voxel;
    ``density``: function from HU to mg/cm³, or None; ``spacing_mm`` (z, y, x): None leaves out the texture.
    Trabecular vBMD is the mean over the ROI. Integral vBMD is the mean over the whole body, which is the volume-weighted
    mean of its parts, never their sum (qct_facts 1.31); BMC = integral · volume. The cortical value is that of the outer
    shell as CT shows it (apparent). Raises ValueError for an empty ROI.
    """
    shell = body & ~eroded
    result = Density(**_roi_values(hu, roi, voxel_cm3, density, excluded, spacing_mm), cortical_volume_cm3=float(shell.sum()) * voxel_cm3)
    if density is None:
        return result
    integral = float(density(hu[body].mean(dtype=np.float64)))
    return replace(
        result,
        integral_mg_cm3=integral,
        cortical_mg_cm3=float(density(hu[shell].mean(dtype=np.float64))) if shell.any() else None,
        bmc_mg=integral * float(body.sum()) * voxel_cm3,
    )


def measure_roi(
    hu: np.ndarray, roi: np.ndarray, voxel_cm3: float, density: DensityOf | None = None, spacing_mm: Sequence[float] | None = None
) -> Density:
    """The values of an ROI alone, for one that was edited; nothing of its body. Arguments and errors as in ``measure``."""
    return Density(**_roi_values(hu, roi, voxel_cm3, density, None, spacing_mm))


def _roi_values(
    hu: np.ndarray,
    roi: np.ndarray,
    voxel_cm3: float,
    density: DensityOf | None,
    excluded: np.ndarray | None,
    spacing_mm: Sequence[float] | None,
) -> dict[str, float | tuple[float, ...] | None]:
    if not roi.any():
        raise ValueError("the ROI is empty")
    values = hu[roi].astype(np.float64)
    whole = values if excluded is None else np.concatenate([values, hu[excluded & ~roi].astype(np.float64)])
    low, quarter, middle, three, high = np.percentile(values, [5, 25, 50, 75, 95])
    mean, whole_mean = float(values.mean()), float(whole.mean())
    return dict(
        roi_volume_cm3=len(values) * voxel_cm3,
        roi_mean_hu=mean,
        roi_sd_hu=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        roi_median_hu=float(middle),
        roi_percentiles_hu=(float(low), float(quarter), float(three), float(high)),
        roi_texture_sd_hu=None if spacing_mm is None else float(smoothed_within(hu, roi, spacing_mm, _TEXTURE_MM)[roi].std()),
        whole_roi_volume_cm3=len(whole) * voxel_cm3,
        whole_roi_mean_hu=whole_mean,
        vbmd_roi_mg_cm3=None if density is None else float(density(mean)),
        vbmd_whole_roi_mg_cm3=None if density is None else float(density(whole_mean)),
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


def height_loss(heights_by_level: Mapping[str, Heights], level: str) -> float | None:
    """Share of height that a body has lost, by the worst of its anterior, middle and posterior height; below 0 none is lost.

    Expected is what the vertebrae up to three levels away would have at this level, by the middle one of them: bodies grow
    down the spine, and T12 to L2 are naturally wedged (qct_facts 5.6). With fewer than two neighbours the body's own
    shape counts too, which tells a wedge and a fish vertebra but not a crushed one. None for a level without heights.
    """
    own = heights_by_level.get(level)
    if own is None:
        return None
    measured, usual = _triple(own), _usual_heights(level)
    place = COLUMN.index(level) if level in COLUMN else None
    near = [other for other in heights_by_level if other != level and place is not None and other in COLUMN]
    near = [other for other in near if abs(COLUMN.index(other) - place) <= _REACH]
    losses = []
    if near:
        expected = np.median([_triple(heights_by_level[other]) * usual / _usual_heights(other) for other in near], axis=0)
        losses.append((1 - measured / expected).max())
    if len(near) < _ENOUGH_NEIGHBOURS:
        shape, usual_shape = measured / measured.max(), usual / usual.max()
        losses.append((1 - shape / usual_shape).max())
    return float(max(losses))


def _triple(found: Heights) -> np.ndarray:
    return np.array([found.anterior, found.middle, found.posterior])


def _usual_heights(level: str) -> np.ndarray:
    """Anterior, middle and posterior height in mm of a usual body; only their ratios count."""
    place = COLUMN.index(level) if level in COLUMN else COLUMN.index("T12")
    first, last = COLUMN.index("T12"), COLUMN.index("L3")
    height = _HEIGHT_MM[COLUMN[min(max(place, first), last)]] - max(first - place, 0) + 0.2 * max(place - last, 0)
    wedge = _WEDGE[COLUMN[min(max(place, COLUMN.index("T10")), COLUMN.index("L5"))]]
    return height * np.array([1 + wedge / 2, _MIDDLE, 1 - wedge / 2])
