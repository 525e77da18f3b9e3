"""The calibration from rods that the user has placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .catalogue import Phantom
from .discs import Section, axial_slab, fitted_discs
from .line import Calibration, Rod, fit
from .reading import READ_HALF_LENGTH_MM, read_rod, stretches_beside
from .rods import with_missing_rods
from .tracking import follow

#: Points of a rod this far apart along z give its direction; it goes on this far beyond its last point.
LEAST_APART_MM, _BEYOND_MM = 8.0, 5.0
#: A circle around a placed rod within this share of the certificate's diameter is the rod itself.
_RADIUS_TOLERANCE, _SLAB_HALF_LENGTH_MM, _MARGIN_MM = 0.3, 4.0, 20.0


@dataclass(frozen=True)
class PlacedRod:
    """A rod and points of its axis, (n, 3) LPS mm, ascending in z."""

    rod: Rod
    points_lps_mm: np.ndarray


def read_placed(
    image: sitk.Image,
    placed: Sequence[PlacedRod],
    phantom: Phantom,
    centres_lps_mm: Sequence[Sequence[float]],
    kvp: float | None,
) -> Calibration:
    """The calibration from rods placed by the user, read like found ones within 15 mm of each vertebra along z.

    ``centres_lps_mm``: (n, 3) centroids of the measured vertebrae. A rod with points at several heights runs straight from
    one to the next; when every rod has one point, they are put on the circles seen there and followed along z as in
    ``find_phantom``. Raises ValueError when they cannot be followed, lie beside no vertebra for 10 mm, or fewer than three
    (two of two) are wholly in the field.
    """
    heights = np.atleast_2d(np.asarray(centres_lps_mm, dtype=float))[:, 2]
    section, z_mm = _section(image, placed, phantom)
    if any(_has_direction(each) for each in placed):
        lines = _straight_lines(placed)
    else:
        axes = follow(image, section, z_mm, heights.min() - READ_HALF_LENGTH_MM, heights.max() + READ_HALF_LENGTH_MM)
        z = np.linspace(*axes.z_range_mm, 33)
        lines = [np.column_stack([xy, z]) for xy in axes.at(z)]
    stretches = stretches_beside(heights.tolist(), max(line[0, 2] for line in lines), min(line[-1, 2] for line in lines))
    if not stretches:
        raise ValueError("the placed rods run along no measured vertebra for 10 mm; place points of each above and below the vertebrae")
    readings = [read_rod(image, each.rod, line, section.radius, stretches) for each, line in zip(placed, lines)]
    kept, needed = [reading for reading in readings if reading is not None], min(3, len(phantom.rods))
    if len(kept) < needed:
        raise ValueError(f"only {len(kept)} of the placed rods lie wholly in the scan field; a calibration needs {needed}")
    calibration = fit(kept, phantom.material, phantom.name, kvp)
    return calibration if len(kept) == len(phantom.rods) else with_missing_rods(calibration, phantom)


def _has_direction(placed: PlacedRod) -> bool:
    return bool(np.ptp(placed.points_lps_mm[:, 2]) >= LEAST_APART_MM)


def _section(image: sitk.Image, placed: Sequence[PlacedRod], phantom: Phantom) -> tuple[Section, float]:
    """The rods in the plane of their points, and its z; put on the circles that are seen there, with their radius."""
    z_mm = float(np.median(np.concatenate([each.points_lps_mm[:, 2] for each in placed])))
    centres = np.array([_at(each.points_lps_mm, np.array(z_mm)) for each in placed])
    slab = axial_slab(image, z_mm, _SLAB_HALF_LENGTH_MM, centres.min(axis=0) - _MARGIN_MM, centres.max(axis=0) + _MARGIN_MM)
    usual = phantom.rod_diameter_mm / 2
    found = [pair[0] if pair else None for pair in fitted_discs(slab, centres, np.full(len(centres), usual))]
    seen = np.array([disc is not None and abs(disc.radius / usual - 1) <= _RADIUS_TOLERANCE for disc in found])
    radius = float(np.median([disc.radius for disc, use in zip(found, seen) if use])) if seen.any() else usual
    centres = np.array([disc.centre if use else centre for disc, use, centre in zip(found, seen, centres)])
    return Section(centres, radius, slab.at(centres), seen), z_mm


def _straight_lines(placed: Sequence[PlacedRod]) -> list[np.ndarray]:
    """(n, 3) axes from point to point; a rod of one point runs beside the nearest rod that has more."""
    lines = []
    for each in placed:
        like = min((other for other in placed if _has_direction(other)), key=lambda other: _distance(each, other))
        guide = like if not _has_direction(each) else each
        ends = guide.points_lps_mm[[0, -1], 2] + [-_BEYOND_MM, _BEYOND_MM]
        z = np.unique([*ends, *guide.points_lps_mm[:, 2]])
        moved = each.points_lps_mm[0, :2] - _at(guide.points_lps_mm, each.points_lps_mm[0, 2])
        lines.append(np.column_stack([_at(guide.points_lps_mm, z) + moved, z]))
    return lines


def _distance(one: PlacedRod, other: PlacedRod) -> float:
    return float(np.linalg.norm(one.points_lps_mm[:, :2].mean(axis=0) - other.points_lps_mm[:, :2].mean(axis=0)))


def _at(points: np.ndarray, z_mm: np.ndarray) -> np.ndarray:
    """(..., 2) x and y of an axis given by points, continued straight beyond its ends."""
    z = points[:, 2]
    inner = np.stack([np.interp(z_mm, z, points[:, k]) for k in (0, 1)], axis=-1)
    if np.ptp(z) < LEAST_APART_MM:
        return inner
    direction = (points[-1, :2] - points[0, :2]) / np.ptp(z)
    return inner + np.asarray(z_mm - np.clip(z_mm, z[0], z[-1]))[..., None] * direction
