"""Following a row of rods along z: where each rod's axis runs, and how far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .discs import Section, axial_slab, fitted_discs

#: A station every so often, each the mean over a stretch of z.
_STATION_STEP_MM, _STATION_HALF_LENGTH_MM = 5.0, 4.0
#: The row moves no faster than this between stations (8 degrees is 0.7 mm); rods move together.
_MOST_MOVED_MM, _TOGETHER_MM = 2.5, 1.5
#: A rod that reads differently by more than this much, and this share of its HU, has ended or is no rod.
_CHANGED_HU, _CHANGED_SHARE = 25.0, 0.08
_MARGIN_MM = 20.0
#: Two stations may be spoiled by a streak; after so many in a row the rods have ended.
_MOST_MISSED = 3
_WEAKEST_HU = 15.0


@dataclass(frozen=True)
class Axes:
    """The axes of a row of rods: ``section`` at the reference plane ``z_mm``, moved by a polynomial of z (LPS mm) as one piece.

    ``z_range_mm``: from where to where the rods were seen; ``shift``: (degree + 1, 2) coefficients of z - z_mm.
    """

    section: Section
    z_mm: float
    z_range_mm: tuple[float, float]
    shift: np.ndarray

    def at(self, z_mm: np.ndarray) -> np.ndarray:
        """(rods, ..., 2) LPS mm (x, y) of every rod at heights ``z_mm`` (...)."""
        moved = np.moveaxis(np.polynomial.polynomial.polyval(np.asarray(z_mm, dtype=float) - self.z_mm, self.shift), 0, -1)
        return self.section.centres.reshape(-1, *(1,) * (moved.ndim - 1), 2) + moved


def follow(image: sitk.Image, section: Section, z_mm: float, low_mm: float, high_mm: float) -> Axes:
    """Follow ``section`` from its plane ``z_mm`` down to ``low_mm`` and up to ``high_mm`` as far as it goes."""
    stations = [(z_mm, np.zeros(2))]
    for direction, end in ((-1.0, low_mm), (1.0, high_mm)):
        moved, step, z, missed = np.zeros(2), np.zeros(2), z_mm, 0
        while direction * (end - z) > 0.5 and missed < _MOST_MISSED:
            z += direction * min(_STATION_STEP_MM, direction * (end - z))
            found = _moved(image, section, z, moved + (missed + 1) * step)
            if found is None:
                missed += 1
                continue
            step, moved, missed = (found - moved) / (missed + 1), found, 0
            stations.append((z, moved))
    z, moved = np.array([at for at, _ in stations]), np.array([each for _, each in stations])
    degree = 0 if len(z) < 3 else 1 if np.ptp(z) < 30.0 else 2
    shift = np.polynomial.polynomial.polyfit(z - z_mm, moved, degree)
    return Axes(section, z_mm, (float(z.min()), float(z.max())), shift)


def _moved(image: sitk.Image, section: Section, z_mm: float, expected: np.ndarray) -> np.ndarray | None:
    """How far the row has moved (x, y) at another height, or None when the rods are not there any more."""
    if not section.seen.any():
        return None
    centres = section.centres + expected
    near = centres[section.seen]
    slab = axial_slab(image, z_mm, _STATION_HALF_LENGTH_MM, near.min(axis=0) - _MARGIN_MM, near.max(axis=0) + _MARGIN_MM)
    seen = np.flatnonzero(section.seen & slab.has(centres))
    found = fitted_discs(slab, centres[seen], np.full(len(seen), section.radius), _WEAKEST_HU)
    same = [pair and abs(pair[0].hu - section.hu[k]) < _CHANGED_HU + _CHANGED_SHARE * abs(section.hu[k]) for k, pair in zip(seen, found)]
    shifts = np.array([pair[0].centre - centres[k] for k, pair, ok in zip(seen, found, same) if ok])
    if not len(shifts):
        return None
    common = np.median(shifts, axis=0)
    together = np.linalg.norm(shifts - common, axis=1) < _TOGETHER_MM
    if together.sum() < 0.5 * len(seen) or np.linalg.norm(common) > _MOST_MOVED_MM:
        return None
    return expected + shifts[together].mean(axis=0)
