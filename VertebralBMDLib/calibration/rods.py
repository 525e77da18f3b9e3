"""Finding a catalogue phantom under or beside the patient, and the calibration that its rods give."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import SimpleITK as sitk

from .catalogue import Phantom
from .discs import axial_slab, find_discs
from .line import Calibration, Check
from .reading import READ_HALF_LENGTH_MM, read_rod, stretches_beside
from .rows import Row, find_rows, plausible_line
from .tracking import follow

#: Half the length along z over which rods are looked for.
_SEARCH_HALF_LENGTH_MM = 8.0
#: Another phantom that costs less than this much more (see rows.Row) explains the rods as well ...
_AMBIGUOUS = 4.0
#: ... which matters when the density at 100 mg/cm³ differs by more than this.
_DIFFERENT_MG_CM3 = 1.0
_MOST_TRIED = 4


def find_phantom(
    image: sitk.Image, centres_lps_mm: Sequence[Sequence[float]] | Sequence[float], phantoms: Sequence[Phantom], kvp: float | None
) -> Calibration | None:
    """The calibration from the phantom that explains the rods beside the measured vertebrae best, or None.

    ``image``: HU in any orientation; ``centres_lps_mm``: (n, 3) centroids of the measured vertebrae, of which only z counts:
    rods are looked for in the whole slice, and read within 15 mm above and below each centroid, where the phantom is at
    least 10 mm long. Rods that the field cuts are left out; three must remain (two of a two-rod phantom). Phantoms of two
    rods are found only when they are the only ones asked for. When another of ``phantoms`` fits as well and gives another
    density, the calibration carries the warning PHANTOM_AMBIGUOUS.
    """
    heights = np.unique(np.atleast_2d(np.asarray(centres_lps_mm, dtype=float))[:, 2])
    low, high = _extent(image)
    for z_mm in heights[np.argsort(np.abs(heights - heights.mean()), kind="stable")].tolist():
        slab = axial_slab(image, z_mm, _SEARCH_HALF_LENGTH_MM, low[:2], high[:2])
        rows = find_rows(slab, find_discs(slab), phantoms, kvp)
        for row in rows[:_MOST_TRIED]:
            calibration = _calibration(image, row, z_mm, heights, kvp)
            if calibration is not None:
                return _with_doubt(calibration, row, rows)
    return None


def _extent(image: sitk.Image) -> np.ndarray:
    """(2, 3) LPS mm: lowest and highest coordinates of the voxel centres."""
    ends = itertools.product(*((0, n - 1) for n in image.GetSize()))
    points = np.array([image.TransformIndexToPhysicalPoint(end) for end in ends])
    return np.array([points.min(axis=0), points.max(axis=0)])


def _calibration(image: sitk.Image, row: Row, z_mm: float, heights: np.ndarray, kvp: float | None) -> Calibration | None:
    """The calibration from a row followed along z and read beside the vertebrae; None where no rods go on so far."""
    low, high = np.clip([heights[0] - READ_HALF_LENGTH_MM, heights[-1] + READ_HALF_LENGTH_MM], *_extent(image)[:, 2])
    axes = follow(image, row.section, z_mm, float(low), float(high))
    stretches = stretches_beside(heights.tolist(), *axes.z_range_mm)
    if not stretches:
        return None
    z = np.linspace(stretches[0][0], stretches[-1][1], 33)
    lines = [np.column_stack([xy, z]) for xy in axes.at(z)]
    readings = [read_rod(image, rod, line, row.section.radius, stretches) for rod, line in zip(row.phantom.rods, lines)]
    kept = [reading for reading in readings if reading is not None]
    calibration = plausible_line(kept, row.phantom, kvp) if len(kept) >= min(3, len(readings)) else None
    return calibration if calibration is None or len(kept) == len(readings) else with_missing_rods(calibration, row.phantom)


def with_missing_rods(calibration: Calibration, phantom: Phantom) -> Calibration:
    """The calibration with a warning that not all rods of the phantom could be read."""
    there, rods = len(calibration.readings), len(phantom.rods)
    message = f"{rods - there} of the {rods} rods lie partly outside the scan field and were left out."
    check = Check("RODS_CUT_OFF", "warn", there, f"all {rods} rods", message, "Reconstruct a field of view that holds the whole phantom.")
    return replace(calibration, checks=(*calibration.checks, check))


def _with_doubt(calibration: Calibration, row: Row, rows: Sequence[Row]) -> Calibration:
    """The calibration with a warning where another phantom explains the rods as well and would give another density."""
    hu = (100.0 - row.line.intercept_mg_cm3) / row.line.slope_mg_cm3_per_hu
    for other in rows:
        density = other.line.slope_mg_cm3_per_hu * hu + other.line.intercept_mg_cm3
        if other.phantom.name != row.phantom.name and other.cost - row.cost < _AMBIGUOUS and abs(density - 100.0) > _DIFFERENT_MG_CM3:
            check = Check(
                "PHANTOM_AMBIGUOUS",
                "warn",
                round(density, 1),
                "one phantom that fits clearly best",
                f"The rods could also be those of {other.phantom.title}, which would read {density:.0f} where {row.phantom.title} reads 100.",
                f"Name the phantom with --calibration phantom:{row.phantom.name} or phantom:{other.phantom.name}.",
            )
            return replace(calibration, checks=(*calibration.checks, check))
    return calibration
