"""What can be measured alike on real and on simulated scans: sizes of bodies, HU and texture inside them, image noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from VertebralBMDLib.anatomy import LEVELS
from VertebralBMDLib.densitometry import heights

CUT = 100  # added to the label of a body that the border of the scan cuts
INSIDE_MM = 4.5  # from the surface: beyond shell and blur
SOFT_HU = (0.0, 160.0)
PATCH = 24  # pixels; side of the squares in which noise is measured


@dataclass(frozen=True)
class Case:
    """A CT and its label map of vertebral bodies on one grid, both in LPS."""

    name: str
    image: sitk.Image
    bodies: sitk.Image


@dataclass(frozen=True)
class Body:
    """One complete body: sizes in mm and cm3, HU well inside, and how far texture is alike with itself."""

    level: str
    width: float
    depth: float
    anterior: float
    middle: float
    posterior: float
    volume_cm3: float
    hu: np.ndarray
    correlation_mm: tuple[float, float]


def bodies_of(case: Case) -> list[Body]:
    """Every complete body of a case that has a neighbour to tell its axis."""
    labels, hu = (sitk.GetArrayViewFromImage(image) for image in (case.bodies, case.image))
    windows = {label: window for label, window in enumerate(ndimage.find_objects(labels), start=1) if window and label < CUT}
    masks = {label: labels[window] == label for label, window in windows.items()}
    spacing = np.array(case.image.GetSpacing())
    points = {v: (np.argwhere(masks[v]) + [s.start for s in windows[v]])[:, ::-1] * spacing for v in masks}
    found = []
    for label, window in windows.items():
        column = [points[n].mean(axis=0) for n in (label - 1, label, label + 1) if n in points]
        if len(column) > 1:
            up = (column[0] - column[-1]) / np.linalg.norm(column[0] - column[-1])
            found.append(_body(LEVELS[label], masks[label], hu[window], points[label], up, spacing))
    return found


def _body(level: str, mask: np.ndarray, hu: np.ndarray, points: np.ndarray, up: np.ndarray, spacing: np.ndarray) -> Body:
    """One body; mask and hu in its window, points of its voxels in mm along the axes of the scan (LPS)."""
    forward = np.array([0.0, -1.0, 0.0]) + up[1] * up
    forward /= np.linalg.norm(forward)
    local = (points - points.mean(axis=0)) @ np.stack([np.cross(up, forward), forward, up], axis=1)
    waist = np.abs(local[:, 2]) < 0.15 * np.ptp(local[:, 2])
    # a row of voxels is as long as its outermost centres are apart, and one voxel more
    width, depth = (np.ptp(np.percentile(local[waist, k], [0.5, 99.5])) + spacing[k] for k in (0, 1))
    tall = heights(points, up, forward)
    inside = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing[::-1])[1:-1, 1:-1, 1:-1] > INSIDE_MM
    return Body(
        level,
        float(width),
        float(depth),
        *(float(h + spacing[2]) for h in (tall.anterior, tall.middle, tall.posterior)),
        float(mask.sum() * np.prod(spacing) / 1000.0),
        hu[inside].astype(np.float32),
        _correlation_mm(hu, inside, spacing),
    )


def _correlation_mm(hu: np.ndarray, inside: np.ndarray, spacing: np.ndarray) -> tuple[float, float]:
    """Distance (in plane, along z) at which the autocorrelation of HU inside a body falls to one half."""
    if not inside.any():
        return np.nan, np.nan
    values, valid = hu.astype(np.float32), inside
    # slow gradients of density are no texture
    smooth = [ndimage.gaussian_filter(a, 6.0 / spacing[::-1]) for a in (np.where(valid, values, 0.0), valid.astype(np.float32))]
    detail = np.where(valid, values - smooth[0] / np.maximum(smooth[1], 1e-3), 0.0)
    lengths = []
    for axis, step in ((2, spacing[0]), (0, spacing[2])):
        curve = [1.0]
        for lag in range(1, min(8, detail.shape[axis])):
            a, b = (np.take(detail, range(*r), axis) for r in ((0, detail.shape[axis] - lag), (lag, detail.shape[axis])))
            both = np.take(valid, range(0, detail.shape[axis] - lag), axis) & np.take(valid, range(lag, detail.shape[axis]), axis)
            if both.sum() < 50:
                break
            curve.append(float((a[both] * b[both]).mean() / detail[valid].var()))
        below = np.nonzero(np.array(curve) < 0.5)[0]
        if not len(below):
            lengths.append(np.nan)
            continue
        k = below[0]
        lengths.append(float(step * (k - 1 + (curve[k - 1] - 0.5) / (curve[k - 1] - curve[k]))))
    return lengths[0], lengths[1]


@dataclass(frozen=True)
class Noise:
    """Image noise in soft tissue: SD in HU, and its power over spatial frequency (lp/mm), area 1."""

    sd_hu: float
    frequency: np.ndarray
    power: np.ndarray


FREQUENCIES = np.linspace(0.05, 0.7, 27)


def noise_of(case: Case) -> Noise:
    """Noise in the quietest tenth of the soft-tissue squares of a scan."""
    hu = sitk.GetArrayViewFromImage(case.image)
    spacing = case.image.GetSpacing()[0]
    patches = []
    for plane in hu[:: max(1, hu.shape[0] // 60)]:
        rows, columns = (n // PATCH for n in plane.shape)
        tiles = plane[: rows * PATCH, : columns * PATCH].reshape(rows, PATCH, columns, PATCH).swapaxes(1, 2).reshape(-1, PATCH, PATCH)
        soft = (tiles.mean(axis=(1, 2)) > SOFT_HU[0]) & (tiles.mean(axis=(1, 2)) < SOFT_HU[1]) & (np.ptp(tiles, axis=(1, 2)) < 400)
        patches.append(tiles[soft].astype(np.float32))
    patches = np.concatenate(patches)
    ramp = np.linspace(-1, 1, PATCH, dtype=np.float32)
    slope_x, slope_y = (np.tensordot(patches, r, ([1, 2], [0, 1])) / (r**2).sum() for r in np.meshgrid(ramp, ramp))
    flat = patches - patches.mean(axis=(1, 2), keepdims=True) - slope_x[:, None, None] * ramp - slope_y[:, None, None] * ramp[:, None]
    sd = flat.std(axis=(1, 2))
    quiet = flat[sd <= np.quantile(sd, 0.1)]
    spectrum = (np.abs(np.fft.fft2(quiet * np.outer(*[np.hanning(PATCH)] * 2).astype(np.float32))) ** 2).mean(axis=0)
    f = np.hypot(*np.meshgrid(*[np.fft.fftfreq(PATCH, spacing)] * 2))
    nearest = np.abs(f.ravel()[:, None] - FREQUENCIES).argmin(axis=1)
    reached = (f.ravel() <= 0.5 / spacing) & (f.ravel() >= FREQUENCIES[0])
    power = np.array(
        [spectrum.ravel()[(nearest == k) & reached].mean() if ((nearest == k) & reached).any() else np.nan for k in range(len(FREQUENCIES))]
    )
    return Noise(float(quiet.std()), FREQUENCIES, power / np.nansum(power * np.gradient(FREQUENCIES)))
