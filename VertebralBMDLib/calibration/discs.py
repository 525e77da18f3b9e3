"""Cross-sections of rods: an axial slab of the scan, and the even round discs in it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import fft, ndimage

from ..grid import AIR_HU, cropped_to, resampled

#: In-plane pixels are 1 mm; along z a slab is sampled so finely that no slice thicker than this is skipped.
_STEP_Z_MM = 2.0
#: Below this there is only padding: air reads -1000 and scanners store -1024 or less where they measured nothing.
_PADDING_HU = -1012.0
#: Discs are looked for between soft tissue's fat and the densest rod, so that air and metal beside them weigh little.
_CLIP_HU = (-300.0, 2200.0)
_SMOOTHING_MM = 1.0
#: No rod reads less, and what a rod lies in is near to water.
_LEAST_HU, _AROUND_HU = -180.0, (-130.0, 260.0)
_RADII_MM = (4.5, 5.5, 6.5, 8.0, 9.5, 11.5)
_RADIUS_LIMITS_MM = (3.5, 13.5)
_CONTRAST_HU, _MOST_CANDIDATES, _MOST_DISCS = 22.0, 160, 60
_ROUNDNESS, _WANDERED = 0.14, 0.7
_ANGLES = np.linspace(0.0, 2 * np.pi, 36, endpoint=False)
#: Where a disc is looked at: shares of its radius inside, mm from its edge around the edge; the last of those are the ring.
_CORE, _EDGE_STEP_MM = np.array([0.1, 0.3, 0.45, 0.6]), 0.5
_EDGE_MM = np.arange(-3.5, 3.6, _EDGE_STEP_MM)
_RING = _EDGE_MM > 1.7


@dataclass(frozen=True)
class Slab:
    """Mean HU over a stretch of z at 1 mm pixels, lightly smoothed.

    ``hu`` (y, x); ``origin``: LPS mm (x, y) of its first pixel; ``field``: (y, x), False outside the scan field.
    """

    hu: np.ndarray
    origin: np.ndarray
    field: np.ndarray

    def at(self, points: np.ndarray) -> np.ndarray:
        """HU at points (..., 2) of LPS mm (x, y); the border's value beyond it."""
        pixel = points - self.origin
        return ndimage.map_coordinates(self.hu, [pixel[..., 1], pixel[..., 0]], order=1, mode="nearest")

    def has(self, points: np.ndarray) -> np.ndarray:
        """True for points (..., 2) of LPS mm that lie in the scan field."""
        x, y = np.moveaxis(np.round(points - self.origin).astype(int), -1, 0)
        height, width = self.field.shape
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        return inside & self.field[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]


@dataclass(frozen=True)
class Disc:
    """An even round spot: ``centre`` LPS mm (x, y), ``radius`` mm, mean ``hu`` inside, ``contrast_hu`` to the ring around it."""

    centre: np.ndarray
    radius: float
    hu: float
    contrast_hu: float


@dataclass(frozen=True)
class Section:
    """A phantom's rods in an axial plane, in the order of its certificate.

    ``centres``: (rods, 2) LPS mm; ``radius``: mm; ``hu``: (rods,) roughly; ``seen``: (rods,) True where one stands out as a
    disc in the scan field.
    """

    centres: np.ndarray
    radius: float
    hu: np.ndarray
    seen: np.ndarray


def axial_slab(image: sitk.Image, z_mm: float, half_length_mm: float, low_xy: Sequence[float], high_xy: Sequence[float]) -> Slab:
    """The mean of ``image`` over z_mm ± half_length_mm between two corners (LPS mm), whatever its orientation."""
    low, high = np.floor(low_xy), np.ceil(high_xy)
    planes = max(2, int(np.ceil(2 * half_length_mm / _STEP_Z_MM)) + 1)
    grid = sitk.Image([*(int(n) + 1 for n in high - low), planes], sitk.sitkUInt8)
    grid.SetSpacing((1.0, 1.0, 2 * half_length_mm / (planes - 1)))
    grid.SetOrigin((*low.tolist(), z_mm - half_length_mm))
    planes_hu = sitk.GetArrayFromImage(resampled(cropped_to(image, grid), grid, outside=np.nan))
    there = np.isfinite(planes_hu)
    mean = np.where(there, planes_hu, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    field = there.any(axis=0) & (mean > _PADDING_HU)
    return Slab(ndimage.gaussian_filter(np.clip(np.where(field, mean, AIR_HU), *_CLIP_HU), _SMOOTHING_MM), low, field)


def find_discs(slab: Slab) -> list[Disc]:
    """Even round spots that stand out from the ring around them, the best first, without overlaps."""
    found = fitted_discs(slab, *_candidates(slab.hu, slab.origin))
    kept: list[Disc] = []
    for disc, _roundness in sorted((pair for pair in found if pair), key=lambda pair: pair[1]):
        if all(np.linalg.norm(disc.centre - other.centre) > max(disc.radius, other.radius) for other in kept):
            kept.append(disc)
    return kept[:_MOST_DISCS]


def _candidates(hu: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(centres (n, 2) LPS mm, radii (n,)) where a disc differs from the ring around it more than the two vary themselves."""
    shape = [fft.next_fast_len(n + 2 * int(1.45 * max(_RADII_MM)), real=True) for n in hu.shape]
    padded = np.pad(hu, [(0, n - m) for n, m in zip(shape, hu.shape)], mode="edge")
    image, square = (fft.rfft2(values) for values in (padded, padded**2))
    quality, centres, radii = [], [], []
    for radius in _RADII_MM:
        inner, ring = (_ring_filter(shape, *limits) for limits in ((0.0, 0.75 * radius), (1.15 * radius, 1.4 * radius)))
        rows, columns = (slice(0, n) for n in hu.shape)
        mean, mean_square, around, around_square = (
            fft.irfft2(a * b, s=shape)[rows, columns] for a, b in itertools.product((inner, ring), (image, square))
        )
        contrast = np.abs(mean - around)
        score = contrast / (
            np.sqrt(np.maximum(mean_square - mean**2, 0.0)) + 0.5 * np.sqrt(np.maximum(around_square - around**2, 0.0)) + 10.0
        )
        good = (score == ndimage.maximum_filter(score, 5)) & (contrast > _CONTRAST_HU) & (score > 0.7)
        good &= (mean > _LEAST_HU) & (around > _AROUND_HU[0]) & (around < _AROUND_HU[1])
        places = np.argwhere(good)
        quality.append(score[good])
        centres.append(places[:, ::-1] + origin)
        radii.append(np.full(len(places), radius))
    best = np.argsort(-np.concatenate(quality))[:_MOST_CANDIDATES]
    return np.concatenate(centres)[best], np.concatenate(radii)[best]


def _ring_filter(shape: Sequence[int], inner_mm: float, outer_mm: float) -> np.ndarray:
    """rfft2 of the average over a ring around pixel 0 at 1 mm pixels."""
    y, x = (np.minimum(np.arange(n), n - np.arange(n)) for n in shape)
    distance = np.hypot(y[:, None], x[None, :])
    ring = ((distance <= outer_mm) & (distance >= inner_mm)).astype(float)
    return fft.rfft2(ring / ring.sum())


def fitted_discs(slab: Slab, centres: np.ndarray, radii: np.ndarray, contrast_hu: float = _CONTRAST_HU) -> list[tuple[Disc, float] | None]:
    """A circle fitted to the edge around each of the centres (n, 2), with its roundness (0 is a perfect circle).

    None where the edge is not round, the inside not even, or the centre runs away.
    """
    if not len(centres):
        return []
    start, centres, radii = centres, centres.astype(float), radii.astype(float)
    for _ in range(4):
        edge, inside, around, spread = _edges(slab, centres, radii)
        shift = 2 * np.stack([(edge * np.cos(_ANGLES)).mean(axis=1), (edge * np.sin(_ANGLES)).mean(axis=1)], axis=1)
        centres, radii = centres + shift, np.clip(edge.mean(axis=1), *_RADIUS_LIMITS_MM)
    left_over = edge - edge.mean(axis=1, keepdims=True) - shift[:, :1] * np.cos(_ANGLES) - shift[:, 1:] * np.sin(_ANGLES)
    roundness = left_over.std(axis=1) / radii
    contrast = inside - around
    good = (
        (roundness < _ROUNDNESS)
        & (np.abs(contrast) > contrast_hu)
        & (spread < 10.0 + 0.25 * np.abs(contrast))
        & (np.linalg.norm(centres - start, axis=1) < _WANDERED * radii)
        & (radii > _RADIUS_LIMITS_MM[0])
        & (radii < _RADIUS_LIMITS_MM[1])
        & slab.has(centres)
    )
    return [
        (Disc(centre, float(radius), float(hu), float(against)), float(round_)) if ok else None
        for centre, radius, hu, against, round_, ok in zip(centres, radii, inside, contrast, roundness, good)
    ]


def _edges(slab: Slab, centres: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, ...]:
    """(distance of the edge (n, angles) mm, HU inside, HU of the ring, SD inside), each (n,).

    The edge is where the profile, cut off at the two levels, has fallen by half: its integral, so that noise averages out
    and what lies behind the ring (air, the next rod) does not pull.
    """
    rays = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=-1)
    reach = np.concatenate([radii[:, None] * _CORE, radii[:, None] + _EDGE_MM], axis=1)
    values = slab.at(centres[:, None, None] + reach[:, None, :, None] * rays[None, :, None])
    core, profile = np.split(values, [len(_CORE)], axis=2)
    inside, around = np.median(core, axis=(1, 2)), np.median(profile[..., _RING], axis=(1, 2))
    step = np.where(np.abs(inside - around) < 1.0, 1.0, inside - around)
    share = np.clip((profile - around[:, None, None]) / step[:, None, None], 0.0, 1.0)
    edge = radii[:, None] + _EDGE_MM[0] + _EDGE_STEP_MM * (share.sum(axis=2) - 0.5)
    return edge, inside, around, core.std(axis=(1, 2))
