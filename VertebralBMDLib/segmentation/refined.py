"""Bodies from the bundled refining network: one around each given centre, and all of them painted on the scan's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..grid import cropped_to, cube_grid, oriented, resampled, stored_like
from ..network import segmentation as network
from .labelled import cut_by_border

#: Probability from which a voxel is body: half the Dice that can be reached (0.95) is the limit that reaches it (Lipton et al.,
#: ECML 2014). At 0.5 bodies of scans that the networks never saw are 3 % smaller in the median than their annotation.
_INSIDE = 0.475
_SMALLEST_BODY_CM3 = 4.0
_RECENTRE_MM = 3.0
#: A body is read last of all from the corners of a tetrahedron around its centre, half a voxel along each axis: where thick
#: slices leave the place of an endplate open, one reading tips to either side, their mean hardly.
_LAST_READINGS_MM = 0.5 * network.REFINE_SPACING_MM * np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)])


@dataclass(frozen=True)
class RefinedBody:
    """One refined body: its probability on a crop along the patient's axes, and its centre in LPS mm."""

    probability: sitk.Image
    centre: np.ndarray
    volume_cm3: float
    score: float


def refined_body(image: sitk.Image, centre: np.ndarray, device: str) -> RefinedBody | None:
    """The body around ``centre`` (LPS mm), read again around its own centre where that lies elsewhere, and then as the mean of
    four readings around it; None where there is none.

    Raises Refused (MODEL_DAMAGED, TORCH_MISSING).
    """
    for _attempt in range(3):
        grid = cube_grid(centre, network.REFINE_SIZE, network.REFINE_SPACING_MM)
        mask = central_part(network.refine([resampled(image, grid)], device)[0] >= _INSIDE)
        if _volume_cm3(mask) < _SMALLEST_BODY_CM3:
            return None
        before, centre = centre, _middle(mask, grid)
        if np.linalg.norm(centre - before) < _RECENTRE_MM:
            break
    probability = _mean_of_readings(image, grid, centre, device)
    mask = central_part(probability >= _INSIDE)
    if _volume_cm3(mask) < _SMALLEST_BODY_CM3:
        return None
    kept = sitk.GetImageFromArray(np.where(ndimage.binary_dilation(mask, iterations=2), probability, 0.0).astype(np.float32))
    kept.CopyInformation(grid)
    return RefinedBody(kept, _middle(mask, grid), _volume_cm3(mask), float(probability[mask].mean()))


def _mean_of_readings(image: sitk.Image, grid: sitk.Image, centre: np.ndarray, device: str) -> np.ndarray:
    """Probability (z, y, x) on ``grid`` of the body around ``centre`` (LPS mm)."""
    size, spacing = network.REFINE_SIZE, network.REFINE_SPACING_MM
    crops = [resampled(image, cube_grid(centre + off, size, spacing)) for off in _LAST_READINGS_MM]
    total = np.zeros((size,) * 3, dtype=np.float32)
    for crop, probability in zip(crops, network.refine(crops, device)):
        reading = sitk.GetImageFromArray(probability)
        reading.CopyInformation(crop)
        total += sitk.GetArrayFromImage(sitk.Resample(reading, grid, sitk.Transform(), sitk.sitkLinear, 0.0))
    return total / len(crops)


def _volume_cm3(mask: np.ndarray) -> float:
    return float(mask.sum()) * network.REFINE_SPACING_MM**3 / 1000


def _middle(mask: np.ndarray, grid: sitk.Image) -> np.ndarray:
    """Centre of ``mask`` (z, y, x) on ``grid`` in LPS mm."""
    return np.array(grid.GetOrigin()) + network.REFINE_SPACING_MM * np.argwhere(mask).mean(axis=0)[::-1]


def central_part(mask: np.ndarray) -> np.ndarray:
    """The connected part nearest to the middle of the crop."""
    labelled, count = ndimage.label(mask)
    if count < 2:
        return mask
    middle = (np.array(mask.shape) - 1) / 2
    distances = [np.linalg.norm(np.argwhere(labelled == k) - middle, axis=1).min() for k in range(1, count + 1)]
    sizes = ndimage.sum_labels(mask, labelled, range(1, count + 1))
    near = [k for k in range(count) if sizes[k] > 0.2 * max(sizes)]
    return labelled == 1 + min(near, key=lambda k: distances[k])


def numbered_bodies(image: sitk.Image, bodies: Sequence[RefinedBody]) -> tuple[sitk.Image, list[bool]]:
    """``bodies`` numbered 1, 2, ... in their order on the scan's grid (uint8), and whether each lies whole in the scan."""
    stored, image = image, oriented(image)
    labels = np.zeros(image.GetSize()[::-1], dtype=np.uint8)
    best = np.full(labels.shape, _INSIDE, dtype=np.float32)
    complete = []
    for number, body in enumerate(bodies, start=1):
        region = cropped_to(image, body.probability, margin=1)
        start = image.TransformPhysicalPointToIndex(region.GetOrigin())
        part = tuple(slice(s, s + n) for s, n in zip(start[::-1], region.GetSize()[::-1]))
        probability = sitk.GetArrayFromImage(sitk.Resample(body.probability, region, sitk.Transform(), sitk.sitkLinear, 0.0))
        inside = probability > best[part]
        labels[part][inside] = number
        best[part][inside] = probability[inside]
        complete.append(not inside.any() or not cut_by_border(inside, start, image))
    label_map = sitk.GetImageFromArray(labels)
    label_map.CopyInformation(image)
    return stored_like(label_map, stored), complete
