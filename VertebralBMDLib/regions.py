"""The wanted vertebrae cut out of the scan, each with its ROI: what the stages after the segmentation work on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .quality import Code
from .roi.region import Roi, superior_axes, trabecular_roi
from .scan import Scan
from .segmentation.own import read_label_map
from .segmentation.vertebrae import Vertebra, Vertebrae
from .settings import Settings

_SMALLEST_ROI_CM3 = 1.0


@dataclass(frozen=True)
class Region:
    """One vertebra cut out of the scan: HU and masks of shape (z, y, x) at ``place`` in the scan's array."""

    vertebra: Vertebra
    place: tuple[slice, slice, slice]
    hu: np.ndarray
    body: np.ndarray
    roi: Roi
    centre_lps_mm: np.ndarray
    up: np.ndarray
    edited: bool


def regions_of(scan: Scan, vertebrae: Vertebrae, settings: Settings) -> tuple[list[Region], list[Code]]:
    """The wanted vertebrae that can be measured, and why others cannot."""
    ups = dict(zip([body.level for body in vertebrae.bodies], superior_axes([body.centroid_lps_mm for body in vertebrae.bodies])))
    edited = read_label_map(settings.roi, scan.image) if settings.roi else None
    regions, missing = [], []
    for level in settings.levels:
        vertebra = vertebrae.get(level)
        if vertebra is None:
            missing.append(Code.LEVEL_NOT_FOUND)
        elif vertebra.refusal is not None:
            missing.append(vertebra.refusal)
        else:
            region = _region(scan, vertebrae.label_map, vertebra, ups[level], edited, settings)
            voxels = int(region.roi.roi.sum())
            if voxels == 0:
                missing.append(Code.ROI_EMPTY)
            elif voxels * scan.voxel_cm3 < _SMALLEST_ROI_CM3:
                missing.append(Code.ROI_SMALL)
            else:
                regions.append(region)
    return regions, list(dict.fromkeys(missing))


def _region(scan: Scan, label_map: sitk.Image, vertebra: Vertebra, up: np.ndarray, edited: sitk.Image | None, settings: Settings) -> Region:
    """Cut one vertebra out of the scan with two voxels around it and find its ROI, or take the edited one."""
    ours = label_map == vertebra.label
    place = _bounding_box(ours if edited is None else sitk.Or(ours, edited == vertebra.label), margin=2)
    start, size = [s.start for s in place[::-1]], [s.stop - s.start for s in place[::-1]]
    body_image = sitk.RegionOfInterest(label_map, size, start) == vertebra.label
    roi = trabecular_roi(body_image, up, settings.erosion_mm, settings.erosion_shape)
    if edited is not None:
        mask = sitk.GetArrayFromImage(sitk.RegionOfInterest(edited, size, start)) == vertebra.label
        roi = Roi(roi.eroded, mask, roi.body_points_lps_mm)
    body = sitk.GetArrayFromImage(body_image) > 0
    middle = np.argwhere(roi.roi if roi.roi.any() else body).mean(axis=0)[::-1]
    centre = np.array(body_image.TransformContinuousIndexToPhysicalPoint(middle.tolist()))
    return Region(vertebra, place, scan.hu[place], body, roi, centre, up, edited is not None)


def _bounding_box(mask: sitk.Image, margin: int) -> tuple[slice, slice, slice]:
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(mask)
    x, y, z, width, height, depth = statistics.GetBoundingBox(1)
    extents = zip((z, y, x), (depth, height, width), mask.GetSize()[::-1])
    return tuple(slice(max(0, low - margin), min(whole, low + length + margin)) for low, length, whole in extents)
