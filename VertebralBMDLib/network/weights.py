"""What the density network weighs in a scan: the weights of all vertebrae it read as one small image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from ..grid import box_grid, resampled
from .density import Reading


def weight_map(readings: Sequence[Reading]) -> sitk.Image | None:
    """Where the network looked, in per cent of the highest weight of each vertebra; None without readings.

    uint8, 0 to 100, with the network's own spacing along the patient's axes (LPS mm), just large enough for all crops. Where
    crops of neighbours overlap, the higher value counts.
    """
    maps = [reading.weights for reading in readings]
    if not maps:
        return None
    grid = _grid_over(maps)
    weights = [sitk.GetArrayFromImage(resampled(each, grid, outside=0.0)) for each in maps]
    # Each by the highest value that this grid shows of it, so that every vertebra reaches 100.
    percent = np.maximum.reduce([100 * each / each.max() for each in weights])
    image = sitk.GetImageFromArray(np.rint(percent).astype(np.uint8))
    image.CopyInformation(grid)
    return image


def _grid_over(maps: Sequence[sitk.Image]) -> sitk.Image:
    """An empty grid over the voxels of all crops, which have one isotropic spacing and lie along the patient's axes."""
    spacing_mm = maps[0].GetSpacing()[0]
    first = np.min([each.GetOrigin() for each in maps], axis=0)
    last = np.max([each.TransformIndexToPhysicalPoint([n - 1 for n in each.GetSize()]) for each in maps], axis=0)
    # Less a little, so that rounding adds no voxel.
    steps = np.ceil((last - first) / spacing_mm - 1e-3).astype(int)
    return box_grid((first + last) / 2, steps + 1, spacing_mm)
