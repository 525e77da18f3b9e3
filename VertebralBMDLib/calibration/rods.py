"""Finding the rods of a catalogue phantom under the patient, and reading their HU.

A first version: rods are discs of one size in a straight, evenly spaced row across the patient, parallel to z.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage, signal, stats

from ..grid import cropped_to
from .catalogue import Phantom
from .line import Calibration, RodReading, fit

#: Part of a rod's radius within which it is read (qct_facts 2.7: at most 60-70 %), and half the length along z.
_READ_FRACTION, _READ_HALF_LENGTH_MM = 0.65, 15.0
_RADII_MM = (5.0, 6.5, 8.0, 9.5, 11.0)
_SEARCH_HALF_WIDTH_MM, _SEARCH_DEPTH_MM = 170.0, 220.0
#: A disc counts when it stands out by this much and is this even.
_CONTRAST_HU, _EVENNESS_HU, _MOST_DISCS = 35.0, 25.0, 40
_SPACING_TOLERANCE, _POSITION_TOLERANCE_MM, _TILT = 0.25, 3.5, 0.35
_R_SQUARED, _INTERCEPT_MG_CM3 = 0.99, 60.0
#: The body of a phantom: water-like and the same around every rod. Tissue around chance discs is not.
_BODY_HU, _BODY_EVENNESS_HU, _RADIUS_TOLERANCE = (-80.0, 160.0), 30.0, 0.3


@dataclass(frozen=True)
class _Slab:
    """Mean HU over a slab of slices at 1 mm in plane: ``hu`` (y, x); ``origin``: LPS mm of its first pixel."""

    hu: np.ndarray
    origin: np.ndarray


@dataclass(frozen=True)
class _Disc:
    """A round, even spot: centre in mm from the slab's origin (x, y), radius in mm."""

    centre: np.ndarray
    radius: float


def find_phantom(image: sitk.Image, centre_lps_mm: Sequence[float], phantoms: Sequence[Phantom], kvp: float | None) -> Calibration | None:
    """The calibration from the phantom that explains the rods beside a point of the spine best, or None.

    ``image``: HU; ``centre_lps_mm``: middle of the measured vertebrae. Phantoms of two rods are found only when they are
    the only ones asked for, because two rods prove nothing.
    """
    slab = _slab(image, np.asarray(centre_lps_mm, dtype=float))
    discs = _discs(slab.hu)
    best: tuple[tuple[int, float], Phantom, list[np.ndarray], float] | None = None
    for phantom in phantoms:
        if len(phantom.rods) < 3 and len(phantoms) > 1:
            continue
        for centres, radius in _rows(phantom, discs):
            score = _score(slab.hu, discs, phantom, centres, radius)
            if score is not None and (best is None or score > best[0]):
                best = (score, phantom, centres, radius)
    if best is None:
        return None
    _score_value, phantom, centres, radius = best
    points = [slab.origin[:2] + centre for centre in centres]
    readings = [_reading(image, rod, point, float(centre_lps_mm[2]), radius) for rod, point in zip(phantom.rods, points)]
    return fit(readings, phantom.material, phantom.name, kvp)


def _slab(image: sitk.Image, centre: np.ndarray) -> _Slab:
    """The mean of 16 mm of slices at 1 mm pixels, from the spine to posterior."""
    grid = sitk.Image([int(2 * _SEARCH_HALF_WIDTH_MM) + 1, int(_SEARCH_DEPTH_MM) + 1, 9], sitk.sitkUInt8)
    grid.SetSpacing((1.0, 1.0, 2.0))
    origin = centre + np.array([-_SEARCH_HALF_WIDTH_MM, 10.0, -8.0])
    grid.SetOrigin(origin.tolist())
    part = sitk.Resample(cropped_to(image, grid), grid, sitk.Transform(), sitk.sitkLinear, -1024.0, sitk.sitkFloat32)
    return _Slab(sitk.GetArrayViewFromImage(part).mean(axis=0), origin)


def _discs(hu: np.ndarray) -> list[_Disc]:
    """Round spots that are even inside and stand out from a ring around them, best first, without overlaps."""
    found = []
    for radius in _RADII_MM:
        inner, ring = _disc_kernel(0.0, 0.8 * radius), _disc_kernel(1.2 * radius, 1.5 * radius)
        mean = signal.fftconvolve(hu, inner, mode="same")
        spread = np.sqrt(np.maximum(signal.fftconvolve(hu**2, inner, mode="same") - mean**2, 0.0))
        around = signal.fftconvolve(hu, ring, mode="same")
        unevenness = np.sqrt(np.maximum(signal.fftconvolve(hu**2, ring, mode="same") - around**2, 0.0))
        quality = np.abs(mean - around) / (spread + unevenness + 10.0)
        good = (
            (np.abs(mean - around) > _CONTRAST_HU)
            & (spread < _EVENNESS_HU)
            & (quality == ndimage.maximum_filter(quality, 7))
            & (quality > 0.5)
        )
        found += [(quality[y, x], _Disc(np.array([x, y], dtype=float), radius)) for y, x in np.argwhere(good)]
    kept: list[_Disc] = []
    for _quality, disc in sorted(found, key=lambda item: -item[0]):
        if all(np.linalg.norm(disc.centre - other.centre) > max(disc.radius, other.radius) for other in kept):
            kept.append(disc)
    return kept[:_MOST_DISCS]


def _disc_kernel(inner_mm: float, outer_mm: float) -> np.ndarray:
    """Average over a ring at 1 mm pixels; ``inner_mm`` 0 is a disc."""
    reach = int(np.ceil(outer_mm))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    distance = np.hypot(x, y)
    kernel = ((distance <= outer_mm) & (distance >= inner_mm)).astype(float)
    return kernel / kernel.sum()


def _rows(phantom: Phantom, discs: list[_Disc]):
    """Hypotheses: centres (mm in the slab) of all rods in certificate order, from each pair of discs and both directions."""
    count = len(phantom.rods)
    for first, second in itertools.permutations(discs, 2):
        if abs(first.radius - second.radius) > 3.0:
            continue
        step = second.centre - first.centre
        if abs(step[1]) > _TILT * abs(step[0]):
            continue
        radius = (first.radius + second.radius) / 2
        if abs(2 * radius / phantom.rod_diameter_mm - 1) > _RADIUS_TOLERANCE:
            continue
        for i, j in itertools.combinations(range(count), 2):
            spacing = np.linalg.norm(step) / (j - i)
            if abs(spacing / phantom.rod_spacing_mm - 1) <= _SPACING_TOLERANCE:
                yield [first.centre + step * (k - i) / (j - i) for k in range(count)], radius
    if count == 2:
        # One of two rods may read like the body around it, so that a single disc is all there is to see.
        for disc, side in itertools.product(discs, (-1.0, 1.0)):
            other = disc.centre + np.array([side * phantom.rod_spacing_mm, 0.0])
            yield [disc.centre, other], disc.radius
            yield [other, disc.centre], disc.radius


def _score(hu: np.ndarray, discs: list[_Disc], phantom: Phantom, centres: list[np.ndarray], radius: float) -> tuple[int, float] | None:
    """How many discs the hypothesis explains, then how well the rods lie on a line; None when it cannot be this phantom."""
    reading = []
    for centre in centres:
        x, y = np.round(centre).astype(int)
        reach = max(1, round(_READ_FRACTION * radius))
        if not (reach <= x < hu.shape[1] - reach and reach <= y < hu.shape[0] - reach):
            return None
        reading.append(hu[y - reach // 2 : y + reach // 2 + 1, x - reach // 2 : x + reach // 2 + 1].mean())
    if len(np.unique(np.round(reading, 1))) < len(reading):
        return None
    line = fit(
        [RodReading(rod, value, 0.0, (0.0, 0.0, 0.0), radius) for rod, value in zip(phantom.rods, reading)], phantom.material, phantom.name
    )
    if not 0.35 <= line.slope_mg_cm3_per_hu <= 1.15 or abs(line.intercept_mg_cm3) > _INTERCEPT_MG_CM3:
        return None
    if (line.r_squared is not None and line.r_squared < _R_SQUARED) or not _in_one_body(hu, centres, radius):
        return None
    explained = [any(np.linalg.norm(disc.centre - centre) < _POSITION_TOLERANCE_MM for disc in discs) for centre in centres]
    # A rod that reads like the body of the phantom is invisible; every other one must be seen.
    background = np.median([value for value, seen in zip(reading, explained) if not seen] or [0.0])
    if sum(explained) < (1 if len(centres) == 2 else max(2, len(centres) - 2)) or any(
        not seen and abs(value - background) > _CONTRAST_HU for value, seen in zip(reading, explained)
    ):
        return None
    return sum(explained), line.r_squared or 0.0


def _in_one_body(hu: np.ndarray, centres: list[np.ndarray], radius: float) -> bool:
    """True when the gaps between the rods are filled by one even, water-like material."""
    gaps = [(a + b) / 2 for a, b in zip(centres, centres[1:])]
    values = np.array([hu[int(round(y)), int(round(x))] for x, y in gaps])
    return bool(np.all((values > _BODY_HU[0]) & (values < _BODY_HU[1])) and np.ptp(values) < _BODY_EVENNESS_HU)


def _reading(image: sitk.Image, rod, point_xy: np.ndarray, z_mm: float, radius: float) -> RodReading:
    """HU of a rod in the scan's own voxels: the centre of the normal distribution fitted to them, as the paper does."""
    centre = (float(point_xy[0]), float(point_xy[1]), z_mm)
    box = sitk.Image([3, 3, 3], sitk.sitkUInt8)
    box.SetSpacing((radius, radius, _READ_HALF_LENGTH_MM))
    box.SetOrigin([centre[0] - radius, centre[1] - radius, centre[2] - _READ_HALF_LENGTH_MM])
    part = cropped_to(image, box, margin=1)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in part.GetSize()], indexing="ij"), axis=-1) * np.array(part.GetSpacing())
    offset = index @ np.array(part.GetDirection()).reshape(3, 3).T + np.array(part.GetOrigin()) - np.array(centre)
    inside = (np.hypot(offset[..., 0], offset[..., 1]) <= _READ_FRACTION * radius) & (np.abs(offset[..., 2]) <= _READ_HALF_LENGTH_MM)
    values = sitk.GetArrayViewFromImage(part).transpose(2, 1, 0)[inside]
    mean, sd = stats.norm.fit(values)
    return RodReading(rod, float(mean), float(sd), centre, float(radius))
