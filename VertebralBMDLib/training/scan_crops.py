"""The crops of one scan of a hospital's own cohort, read exactly as the network reads a scan that it measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..anatomy import LEVELS, label_of
from ..calibration.contrast import contrast_of
from ..calibration.tissues import find_tissues
from ..grid import box_grid, resampled
from ..loading import load
from ..network.models import working_device
from ..quality import MESSAGES, Code, Refused
from ..regions import regions_of
from ..scan import Scan
from ..segmentation.engines import engine_for
from ..segmentation.own import read_label_map
from ..settings import Settings

#: What withholds the level of every body of a scan, and a remedy that a manifest has.
_DOUBTS = {
    Code.LEVEL_UNCERTAIN: "Give the bodies or the ROI of this scan in the manifest.",
    Code.TRANSITIONAL_ANATOMY: "Give the bodies or the ROI of this scan in the manifest.",
}


@dataclass(frozen=True)
class Wanted:
    """One scan, and the vertebrae of it that are to be read: level ("" unknown) and ROI.

    ``shape``: (z, y, x) voxels of the crops, of ``spacing_mm``.
    """

    scan: Path
    series: str | None
    bodies: Path | None
    vertebrae: tuple[tuple[str, Path | None], ...]
    shape: tuple[int, int, int]
    spacing_mm: float


@dataclass(frozen=True)
class VertebraCrop:
    """One vertebra as it was read. ``hu``: int16; ``body``, ``roi``: uint8, 255 times the share of the body (0 everywhere where
    only the ROI is given) and of the ROI; all (z, y, x) along the patient's axes; ``roi_hu``: mean of the ROI;
    ``kvp``: NaN unknown; ``refusal``: why there is no crop, "" where there is one."""

    hu: np.ndarray
    body: np.ndarray
    roi: np.ndarray
    roi_hu: float
    kvp: float
    refusal: str = ""


def read_scan(wanted: Wanted) -> list[VertebraCrop]:
    """The vertebrae of one scan. Raises Refused for what is wrong with all of it."""
    scan = load(wanted.scan, wanted.series)
    levels = [level for level, roi in wanted.vertebrae if roi is None]
    of_levels = _by_level(scan, wanted, levels) if levels else {}
    return [of_levels[level] if roi is None else _by_roi(scan, wanted, roi, level) for level, roi in wanted.vertebrae]


def _by_level(scan: Scan, wanted: Wanted, levels: Sequence[str]) -> dict[str, VertebraCrop]:
    """Vertebrae that the engine, or the user's label map, finds. Raises Refused for doubtful levels and contrast medium."""
    vertebrae = engine_for("bundled", wanted.bodies, working_device("auto")).segment(scan, lambda fraction: None)
    for code in _DOUBTS:
        if code in vertebrae.flags:
            raise Refused(code)
    if contrast_of(find_tissues(scan.image, vertebrae.label_map), scan.acquisition).contrast == "yes":
        raise Refused(Code.CONTRAST)
    regions, missing = regions_of(scan, vertebrae, Settings(), levels)
    found = {level: left_out(reason(Refused(code)), wanted) for level, code in missing.items()}
    for region in regions:
        inside = np.zeros(scan.hu.shape, np.uint8)
        inside[region.place] = region.roi.roi
        roi = sitk.GetImageFromArray(inside)
        roi.CopyInformation(scan.image)
        body = vertebrae.label_map == region.vertebra.label
        found[region.vertebra.level] = _crop(scan, wanted, region.centre_lps_mm, body, roi)
    return found


def _by_roi(scan: Scan, wanted: Wanted, path: Path, level: str) -> VertebraCrop:
    """The vertebra of a given ROI."""
    try:
        if scan.acquisition.contrast == "yes":
            raise Refused(Code.CONTRAST)
        labels = read_label_map(path, scan.image)
        roi = labels == _roi_label(labels, level)
    except Refused as refusal:
        return left_out(reason(refusal), wanted)
    inside = sitk.GetArrayViewFromImage(roi) > 0
    centre = scan.image.TransformContinuousIndexToPhysicalPoint(np.argwhere(inside).mean(axis=0)[::-1].tolist())
    return _crop(scan, wanted, centre, None, roi)


def _roi_label(labels: sitk.Image, level: str) -> int:
    """The label of a ROI: the level's VerSe number, or the only one there is. Raises Refused (ROI_EMPTY, LABEL_MAP_UNUSABLE)."""
    found = [int(label) for label in np.unique(sitk.GetArrayViewFromImage(labels)) if label]
    if not found:
        raise Refused(Code.ROI_EMPTY)
    if level and label_of(level) in found:
        return label_of(level)
    if len(found) > 1 or (level and found[0] in LEVELS):
        raise Refused(Code.LABEL_MAP_UNUSABLE, f"the ROI file has the labels {', '.join(map(str, found))}, and none is of this level")
    return found[0]


def _crop(scan: Scan, wanted: Wanted, centre_lps_mm: Sequence[float], body: sitk.Image | None, roi: sitk.Image) -> VertebraCrop:
    """HU and shares around a point; ``body`` (where it is known) and ``roi``: masks on the scan's grid."""
    grid = box_grid(centre_lps_mm, wanted.shape[::-1], wanted.spacing_mm)
    hu = sitk.GetArrayFromImage(resampled(scan.image, grid)).round().astype(np.int16)
    body_share = np.zeros(hu.shape, np.uint8) if body is None else _share(body, grid)
    roi_hu = float(scan.hu[sitk.GetArrayViewFromImage(roi) > 0].mean())
    kvp = scan.acquisition.kvp
    return VertebraCrop(hu, body_share, _share(roi, grid), roi_hu, np.nan if kvp is None else kvp)


def _share(mask: sitk.Image, grid: sitk.Image) -> np.ndarray:
    """Share of a mask in every voxel of ``grid``, uint8, 255 is all."""
    share = sitk.GetArrayFromImage(resampled(sitk.Cast(mask, sitk.sitkFloat32), grid, outside=0.0))
    return (255 * share).round().astype(np.uint8)


def left_out(why: str, wanted: Wanted) -> VertebraCrop:
    """A vertebra without a crop, and why."""
    nothing = np.zeros(wanted.shape, np.uint8)
    return VertebraCrop(nothing.astype(np.int16), nothing, nothing, np.nan, np.nan, why)


def reason(refusal: Refused) -> str:
    """The refusal as a report has it; its options are columns of the manifest here."""
    message = MESSAGES[refusal.code]
    detail = f" ({refusal.detail})" if refusal.detail else ""
    remedy = _DOUBTS.get(refusal.code, "Use an unenhanced scan." if refusal.code is Code.CONTRAST else message.remedy)
    return f"{refusal.code.value}: {message.sentence} {remedy}{detail}"
