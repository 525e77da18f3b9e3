"""Where the vertebral bodies run through the coarse grid on which tissues are looked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..anatomy import LABELS

#: Levels between which the tissues are looked for.
_FIRST, _LAST = LABELS["T9"], LABELS["L4"]
_MIDLINE_MM, _FEWEST_VOXELS = 8.0, 60


@dataclass(frozen=True)
class Column:
    """The bodies slice by slice, LPS mm: ``middle`` x, ``front`` and ``back`` y, ``level`` as a VerSe label with fractions.

    ``z``: heights of the slices; ``origin_yx``: of the grid; ``step_mm``: its voxel size.
    """

    z: np.ndarray
    middle: np.ndarray
    front: np.ndarray
    back: np.ndarray
    level: np.ndarray
    origin_yx: np.ndarray
    step_mm: float


def column_of(bodies: sitk.Image, grid: sitk.Image) -> tuple[Column, sitk.Image] | None:
    """The column of T9 to L4 and the part of ``grid`` that is as high as it, or None where there is no body.

    ``bodies``: VerSe label map; ``grid``: along the patient's axes (LPS).
    """
    labels = sitk.GetArrayFromImage(sitk.Resample(bodies, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8))
    step, origin = grid.GetSpacing()[0], np.array(grid.GetOrigin())
    found = []
    for label in range(_FIRST, _LAST + 1):
        voxels = np.argwhere(labels == label)[:, ::-1]
        if len(voxels) < _FEWEST_VOXELS:
            continue
        points = origin + step * voxels
        centre = points.mean(axis=0)
        midline = points[np.abs(points[:, 0] - centre[0]) < _MIDLINE_MM, 1]
        found.append((centre[2], centre[0], *np.percentile(midline, [3.0, 97.0]), label, voxels[:, 2].min(), voxels[:, 2].max()))
    if not found:
        return None
    found = np.array(sorted(found))
    low, high = int(found[:, 5].min()), int(found[:, 6].max())
    part = grid[:, :, low : high + 1]
    z = origin[2] + step * np.arange(low, high + 1)
    middle, front, back, level = (np.interp(z, found[:, 0], found[:, k]) for k in range(1, 5))
    return Column(z, middle, front, back, level, origin[[1, 0]], step), part
