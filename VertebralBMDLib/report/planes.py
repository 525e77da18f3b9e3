"""Planes through the spine for drawing: axial, and sagittal and coronal ones that follow the centres of the bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk


@dataclass(frozen=True)
class Plane:
    """One picture. ``hu``, ``labels``, ``roi``, ``excluded``: 2D arrays on the same pixels; ``left`` and ``right``: letters of its sides.

    ``extent_mm``: left, right, bottom and top edge; in sagittal and coronal planes row 0 is caudal, in axial ones anterior.
    """

    hu: np.ndarray
    labels: np.ndarray
    roi: np.ndarray
    excluded: np.ndarray
    extent_mm: tuple[float, float, float, float]
    left: str
    right: str

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height."""
        left, right, bottom, top = self.extent_mm
        return abs(right - left), abs(top - bottom)

    @property
    def axes_mm(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixel centres: x of every column, y of every row."""
        left, right, bottom, top = self.extent_mm
        rows, columns = self.hu.shape
        x = left + (np.arange(columns) + 0.5) * (right - left) / columns
        return x, min(bottom, top) + (np.arange(rows) + 0.5) * abs(top - bottom) / rows


@dataclass(frozen=True)
class Box:
    """What to show: lowest and highest (x, y, z) in the volume's mm."""

    low: np.ndarray
    high: np.ndarray


class Volume:
    """A scan with its label maps, reoriented to LPS for drawing; lengths in mm from the centre of the first voxel."""

    def __init__(self, image: sitk.Image, label_map: sitk.Image, roi: sitk.Image | None, excluded: sitk.Image | None = None):
        self._image = sitk.DICOMOrient(image, "LPS")
        self.spacing = np.array(self._image.GetSpacing())
        self.hu = sitk.GetArrayViewFromImage(self._image)
        self.labels, self.roi, self.excluded = (self._oriented(part) for part in (label_map, roi, excluded))

    def _oriented(self, labels: sitk.Image | None) -> np.ndarray:
        return np.zeros(self.hu.shape, np.uint8) if labels is None else sitk.GetArrayFromImage(sitk.DICOMOrient(labels, "LPS"))

    def position_mm(self, point_lps_mm) -> np.ndarray:
        """(x, y, z) of a physical point along the volume's own axes."""
        return np.array(self._image.TransformPhysicalPointToContinuousIndex([float(c) for c in point_lps_mm])) * self.spacing

    def roi_height_mm(self, label: int) -> float | None:
        """z of the slice of one level's ROI with most of what it leaves out, else of its middle slice; None without a ROI."""
        areas = (self.excluded == label).sum(axis=(1, 2))
        if areas.any():
            return float(areas.argmax() * self.spacing[2])
        slices = np.flatnonzero((self.roi == label).any(axis=(1, 2)))
        return float(np.median(slices) * self.spacing[2]) if len(slices) else None

    def sagittal(self, line_mm: np.ndarray, box: Box) -> Plane:
        """The sagittal plane through ``line_mm``, points (n, 3) of the spine."""
        return self._along(line_mm, box, across=0, within=1, sides=("A", "P"))

    def coronal(self, line_mm: np.ndarray, box: Box) -> Plane:
        """The coronal plane through ``line_mm``, points (n, 3) of the spine."""
        return self._along(line_mm, box, across=1, within=0, sides=("R", "L"))

    def axial(self, z_mm: float, box: Box | None = None) -> Plane:
        """The axial slice nearest to ``z_mm``, whole or cut to ``box``."""
        k = int(np.clip(round(z_mm / self.spacing[2]), 0, self.hu.shape[0] - 1))
        (i0, i1), (j0, j1) = (self._range(axis, box) for axis in (0, 1))
        cut = (k, slice(j0, j1), slice(i0, i1))
        extent = (*self._edges(0, i0, i1), *self._edges(1, j0, j1)[::-1])
        return self._cut(cut, extent, "R", "L")

    def _along(self, line_mm: np.ndarray, box: Box, across: int, within: int, sides: tuple[str, str]) -> Plane:
        """For every slice, the row or column at the line's position on axis ``across`` (0 = x, 1 = y)."""
        (k0, k1), (a0, a1) = self._range(2, box), self._range(within, box)
        line = line_mm[np.argsort(line_mm[:, 2])]
        slices = np.arange(k0, k1)
        centre = np.interp(slices * self.spacing[2], line[:, 2], line[:, across]) / self.spacing[across]
        index = np.clip(np.round(centre).astype(int), 0, self.hu.shape[2 - across] - 1)
        cut, along = index[:, None], np.arange(a0, a1)[None, :]
        pick = (slices[:, None], along, cut) if across == 0 else (slices[:, None], cut, along)
        extent = (*self._edges(within, a0, a1), *self._edges(2, k0, k1))
        return self._cut(pick, extent, *sides)

    def _cut(self, place: tuple, extent: tuple[float, float, float, float], left: str, right: str) -> Plane:
        return Plane(self.hu[place], self.labels[place], self.roi[place], self.excluded[place], extent, left, right)

    def _range(self, axis: int, box: Box | None) -> tuple[int, int]:
        size = self.hu.shape[2 - axis]
        if box is None:
            return 0, size
        low, high = box.low[axis] / self.spacing[axis], box.high[axis] / self.spacing[axis]
        start = int(np.clip(np.floor(low), 0, size - 1))
        return start, int(np.clip(np.ceil(high) + 1, start + 1, size))

    def _edges(self, axis: int, start: int, stop: int) -> tuple[float, float]:
        return (start - 0.5) * self.spacing[axis], (stop - 0.5) * self.spacing[axis]
