"""What is measured of every body before it is judged: size, pieces, shape, HU, and its place in the column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial import ConvexHull

from ..scan import Scan

#: Bone further behind the middle of a body than half the deepest body (facts 5.6: AP 35.7 +- 3.5 mm) belongs to the arch.
ARCH_MM = 24.0
_RIM_MM = 2.0
#: Metal is far above bone; cement (1200 HU and more) is told from islands and blastic lesions by its size.
_AIR_HU, _DENSE_HU, _METAL_HU = -200.0, 1150.0, 2500.0
#: Deeper than this no cortex is seen, however thick it is and however the image blurs it.
_CORE_MM = 3.0


@dataclass(frozen=True)
class BodyFeatures:
    """One body as its mask and the scan show it; lengths in mm, shares from 0 to 1.

    ``largest_share``, ``second_cm3``: its largest piece as a share of all, and the size of the next; ``hole_share``:
    enclosed holes; ``solidity``: volume over that of its convex hull; ``elongation``: longest over shortest principal
    spread; ``behind_share``: part of it that lies more than ``ARCH_MM`` behind its thickest place; ``rim_hu``: mean in
    its outermost 2 mm; ``mean_hu``; ``air_share``: below -200 HU; ``metal_cm3``: above 2500 HU; ``dense_core_cm3``: above 1150 HU more
    than 3 mm under the surface.
    """

    volume_cm3: float
    largest_share: float
    second_cm3: float
    hole_share: float
    solidity: float
    elongation: float
    behind_share: float
    rim_hu: float
    mean_hu: float
    air_share: float
    metal_cm3: float
    dense_core_cm3: float


@dataclass(frozen=True)
class Crop:
    """One label cut out of a scan with a voxel around it: mask and HU (z, y, x), which begin at ``start`` (z, y, x) of the
    scan; spacing (z, y, x) in mm, and the direction to posterior as steps along (z, y, x)."""

    mask: np.ndarray
    hu: np.ndarray
    start: np.ndarray
    spacing: np.ndarray
    posterior: np.ndarray

    @property
    def voxel_cm3(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.spacing)) / 1000


def crops_of(scan: Scan, label_map: sitk.Image, labels: list[int]) -> dict[int, Crop]:
    """The crop of each of ``labels`` that occurs in ``label_map``, an image of uint8 on the scan's grid."""
    values = sitk.GetArrayViewFromImage(label_map)
    whole = _filled(values)
    if whole is None:
        return {}
    boxes = ndimage.find_objects(values[whole])
    spacing = np.array(scan.spacing_mm[::-1])
    # The columns of the direction are the axes i, j, k in LPS; posterior is the second of these.
    posterior = np.array(scan.image.GetDirection()).reshape(3, 3)[1, ::-1]
    crops = {}
    for label in labels:
        box = boxes[label - 1] if label <= len(boxes) else None
        if box is not None:
            starts = [outer.start + inner.start for outer, inner in zip(whole, box)]
            stops = [outer.start + inner.stop for outer, inner in zip(whole, box)]
            place = tuple(slice(max(0, low - 1), high + 1) for low, high in zip(starts, stops))
            crops[label] = Crop(values[place] == label, scan.hu[place].copy(), np.array([s.start for s in place]), spacing, posterior)
    return crops


def _filled(values: np.ndarray) -> tuple[slice, ...] | None:
    """The smallest block that holds everything that is not 0."""
    block = []
    for axis in range(3):
        # One axis at a time over what is left, so that the whole volume is read once.
        inside = np.flatnonzero(values[tuple(block)].any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(inside):
            return None
        block.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return tuple(block)


def features_of(crop: Crop) -> BodyFeatures:
    """Measure one body. ``crop.mask`` must not be empty."""
    mask = np.pad(crop.mask, 1)
    voxels = int(mask.sum())
    depth = ndimage.distance_transform_edt(mask, crop.spacing)
    hu, under = crop.hu[crop.mask], depth[mask]
    rim = under <= 1.01 * max(_RIM_MM, crop.spacing.min())
    sizes = np.sort(np.bincount(ndimage.label(mask)[0].ravel())[1:])[::-1]
    points = np.argwhere(mask) * crop.spacing
    return BodyFeatures(
        volume_cm3=voxels * crop.voxel_cm3,
        largest_share=float(sizes[0] / voxels),
        second_cm3=float(sizes[1] * crop.voxel_cm3) if len(sizes) > 1 else 0.0,
        hole_share=float(ndimage.binary_fill_holes(mask).sum() / voxels - 1),
        solidity=_solidity(mask, crop.spacing),
        elongation=_elongation(points, crop.spacing),
        behind_share=_behind_share(depth, points, crop),
        rim_hu=float(hu[rim].mean()),
        mean_hu=float(hu.mean()),
        air_share=float((hu < _AIR_HU).mean()),
        metal_cm3=float((hu > _METAL_HU).sum() * crop.voxel_cm3),
        dense_core_cm3=float(((hu > _DENSE_HU) & (under > _CORE_MM)).sum() * crop.voxel_cm3),
    )


def behind_share(crop: Crop) -> float:
    """``BodyFeatures.behind_share`` alone: near 0 for a body, a fifth and more for a whole vertebra with its arch."""
    mask = np.pad(crop.mask, 1)
    return _behind_share(ndimage.distance_transform_edt(mask, crop.spacing), np.argwhere(mask) * crop.spacing, crop)


def thickest_place(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Index (z, y, x) around which a mask is thickest: the middle of the body, also in a whole vertebra."""
    return _thickest(ndimage.distance_transform_edt(np.pad(mask, 1), spacing)) - 1


def _thickest(depth: np.ndarray) -> np.ndarray:
    return np.argwhere(depth > 0.8 * depth.max()).mean(axis=0)


def _behind_share(depth: np.ndarray, points: np.ndarray, crop: Crop) -> float:
    return float(((points - _thickest(depth) * crop.spacing) @ crop.posterior > ARCH_MM).mean())


def _elongation(points: np.ndarray, spacing: np.ndarray) -> float:
    # A voxel is spread over its own width, too: one slice is not flat.
    spread = np.linalg.eigvalsh(np.cov(points.T, bias=True) + np.diag(spacing**2 / 12))
    return float(np.sqrt(spread[-1] / spread[0]))


def _solidity(mask: np.ndarray, spacing: np.ndarray) -> float:
    """Volume over that of the convex hull of the voxels' corners; the two ends of every row of corners carry the hull."""
    rows = mask.any(axis=2)
    first = np.where(rows, mask.argmax(axis=2), mask.shape[2])
    last = np.where(rows, mask.shape[2] - mask[..., ::-1].argmax(axis=2), 0)
    low, high = np.full([n + 1 for n in rows.shape], mask.shape[2]), np.zeros([n + 1 for n in rows.shape], int)
    for place in ((slice(a, a + rows.shape[0]), slice(b, b + rows.shape[1])) for a in (0, 1) for b in (0, 1)):
        np.minimum(low[place], first, out=low[place])
        np.maximum(high[place], last, out=high[place])
    z, y = np.nonzero(high > low)
    corners = np.concatenate([np.stack([z, y, ends[z, y]], axis=1) for ends in (low, high)])
    return float(mask.sum() / ConvexHull(corners).volume)


def overlap_along_column(crops: Sequence[Crop]) -> list[float]:
    """For each two neighbours of a column, how far (mm) they reach into each other along the line between their centres.

    ``crops``: bodies of one scan from cranial to caudal. Negative: they lie apart.
    """
    # Lengths along the scan's own axes are those in LPS.
    points = [(np.argwhere(crop.mask) + crop.start) * crop.spacing for crop in crops]
    centres = [of.mean(axis=0) for of in points]
    reach = []
    for k in range(len(points) - 1):
        down = (centres[k + 1] - centres[k]) / np.linalg.norm(centres[k + 1] - centres[k])
        reach.append(float(np.percentile(points[k] @ down, 90) - np.percentile(points[k + 1] @ down, 10)))
    return reach
