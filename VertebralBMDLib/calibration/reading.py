"""The CT value of a rod from the voxels around its axis, in the scan's own grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from scipy import stats

from ..grid import cropped_to
from .line import Rod, RodReading

#: Part of a rod's radius within which it is read (qct_facts 2.7: at most 60-70 %).
READ_FRACTION = 0.65
#: Voxels further from the centre of the normal distribution than this many SD are not fitted: rim, air bubbles, dirt.
_WITHIN_SD = 3.0
#: SD of a normal distribution that is cut off there, relative to the whole one.
_CUT_OFF_SD = float(stats.truncnorm.std(-_WITHIN_SD, _WITHIN_SD))
#: A rod of which more than this share reads as air is cut off by the padding around the scan field (an air bubble is smaller).
_AIR_HU, _MOST_AIR = -800.0, 0.1
_FEWEST_VOXELS = 20
#: Rods are read this far above and below a vertebra's centre, and at least so long (qct_facts 2.7).
READ_HALF_LENGTH_MM, _LEAST_LENGTH_MM = 15.0, 10.0


def fitted_normal(values: np.ndarray) -> tuple[float, float]:
    """Centre and SD (HU) of the normal distribution fitted to the histogram of ``values``: qct_facts 1.5.

    By maximum likelihood on its part within 3 SD, found by iteration from median and MAD, so that a few voxels of
    something else do not pull.
    """
    centre = float(np.median(values))
    sd = float(stats.median_abs_deviation(values, scale="normal"))
    for _ in range(50):
        part = values[np.abs(values - centre) <= max(_WITHIN_SD * sd, 1.0)]
        before = centre
        centre, sd = float(part.mean()), float(part.std()) / _CUT_OFF_SD
        if abs(centre - before) < 1e-4:
            break
    return centre, sd


def stretches_beside(heights_mm: Sequence[float], low_mm: float, high_mm: float) -> list[tuple[float, float]]:
    """Where rods that run from ``low_mm`` to ``high_mm`` are read: 15 mm above and below each of the vertebrae's ``heights_mm``.

    Beside a vertebra where less than 10 mm is left they are not read.
    """
    beside = ((max(low_mm, z - READ_HALF_LENGTH_MM), min(high_mm, z + READ_HALF_LENGTH_MM)) for z in sorted(heights_mm))
    return [(low, high) for low, high in beside if high - low >= _LEAST_LENGTH_MM]


def read_rod(
    image: sitk.Image, rod: Rod, axis_lps_mm: np.ndarray, radius_mm: float, stretches_mm: Sequence[tuple[float, float]]
) -> RodReading | None:
    """The reading of one rod, or None where it is partly outside the scan field.

    ``axis_lps_mm``: (n, 3) points of its axis, ascending in z; ``stretches_mm``: from where to where it is read along z.
    Voxels count when their centres are within 65 % of the radius from the axis, in the axial plane.
    """
    if not _in_field(image, axis_lps_mm, radius_mm, stretches_mm):
        return None
    points, values = _voxels(image, axis_lps_mm, radius_mm)
    inside = np.linalg.norm(points[:, :2] - _along(axis_lps_mm, points[:, 2]), axis=1) <= READ_FRACTION * radius_mm
    inside &= np.any([(points[:, 2] >= low) & (points[:, 2] <= high) for low, high in stretches_mm], axis=0)
    z, values = points[inside, 2], values[inside]
    if len(values) < _FEWEST_VOXELS or np.mean(values < _AIR_HU) > _MOST_AIR:
        return None
    hu, sd = fitted_normal(values)
    middle = (min(low for low, _ in stretches_mm) + max(high for _, high in stretches_mm)) / 2
    centre = (*(float(c) for c in _along(axis_lps_mm, np.array(middle))), float(middle))
    return RodReading(rod, hu, sd, centre, float(radius_mm), float(values.mean()), float(np.median(values)), _drift(z, values, hu, sd))


def _drift(z: np.ndarray, values: np.ndarray, hu: float, sd: float) -> float:
    """HU by which the rod changes from the lowest to the highest voxel read, by a straight line through them."""
    kept = np.abs(values - hu) <= max(3.0 * sd, 1.0)
    length = float(np.ptp(z[kept]))
    return float(stats.linregress(z[kept], values[kept]).slope) * length if length > 0.0 else 0.0


def _along(axis_lps_mm: np.ndarray, z_mm: np.ndarray) -> np.ndarray:
    """(..., 2) x and y of an axis at heights (...)."""
    return np.stack([np.interp(z_mm, axis_lps_mm[:, 2], axis_lps_mm[:, k]) for k in (0, 1)], axis=-1)


def _voxels(image: sitk.Image, axis_lps_mm: np.ndarray, radius_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """(centres (n, 3) LPS mm, HU (n,)) of the voxels in a box around an axis, whatever the orientation of the image."""
    low, high = axis_lps_mm.min(axis=0) - [radius_mm, radius_mm, 0.0], axis_lps_mm.max(axis=0) + [radius_mm, radius_mm, 0.0]
    box = sitk.Image([2, 2, 2], sitk.sitkUInt8)
    box.SetSpacing(np.maximum(high - low, 0.1).tolist())
    box.SetOrigin(low.tolist())
    part = cropped_to(image, box, margin=1)
    matrix = np.array(part.GetDirection()).reshape(3, 3) * part.GetSpacing()
    index = np.indices(part.GetSize()[::-1]).reshape(3, -1)[::-1]
    return (matrix @ index).T + part.GetOrigin(), sitk.GetArrayFromImage(part).ravel().astype(float)


def _in_field(image: sitk.Image, axis_lps_mm: np.ndarray, radius_mm: float, stretches_mm: Sequence[tuple[float, float]]) -> bool:
    """True when the surface of what is to be read lies inside the image."""
    angles = np.linspace(0.0, 2 * np.pi, 16, endpoint=False)
    z = np.concatenate([np.linspace(low, high, 9) for low, high in stretches_mm])
    ring = READ_FRACTION * radius_mm * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    points = np.concatenate([_along(axis_lps_mm, z)[:, None] + ring, np.broadcast_to(z[:, None, None], (len(z), 16, 1))], axis=-1)
    matrix = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    index = (points.reshape(-1, 3) - image.GetOrigin()) @ np.linalg.inv(matrix).T
    return bool(np.all((index >= -0.5) & (index <= np.array(image.GetSize()) - 0.5)))
