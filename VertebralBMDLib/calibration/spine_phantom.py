"""The European Spine Phantom (ESP): its three vertebrae read through a calibration, for validation and never for calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..grid import field_grid, resampled
from .catalogue import Phantom
from .checks import Check
from .line import Calibration, Rod

#: What qct_facts 2.10 allows: 10 %, and up to 100 mg/cm³ no more than 6 mg/cm³.
_ERROR_PERCENT, _ERROR_MG_CM3, _UP_TO_MG_CM3 = 10.0, 6.0, 100.0

_GRID_MM = 1.5
#: More across the row than along it, where the bodies are 10 mm apart.
_SMOOTH_MM = (3.0, 3.0, 1.0)
#: The vertebrae are what is denser than the abdomen around them and thicker than an arch or a couch top.
_ABOVE_ABDOMEN_HU, _END_PLATE_HU, _OPENING_MM, _BODY_CM3 = 35.0, 120.0, 9.0, (8.0, 60.0)
_ABDOMEN_HU = (-150.0, 200.0)
#: A ball in the middle of each, which no cortex or end plate reaches.
_READ_RADIUS_MM = 8.0


@dataclass(frozen=True)
class SpineReading:
    """A vertebra of the spine phantom: certified density, HU inside its cortex, middle in LPS mm."""

    rod: Rod
    hu: float
    sd_hu: float
    centre_lps_mm: tuple[float, float, float]


def read_spine_phantom(image: sitk.Image, phantom: Phantom) -> tuple[SpineReading, ...] | None:
    """The vertebrae of a spine phantom scanned alone (``image``: HU, any orientation), or None when they are not all there.

    In slices thicker than 3 mm the 10 mm between them close, and they are not found. They are told apart by their order: along the row from one end, HU rise with the certified densities.
    """
    grid = resampled(image, field_grid(image, _GRID_MM))
    hu = sitk.GetArrayViewFromImage(grid)
    abdomen = hu[(hu > _ABDOMEN_HU[0]) & (hu < _ABDOMEN_HU[1])]
    if not len(abdomen):
        return None
    water = float(np.median(abdomen))
    # Cut down to what a body reads, the end plates of two neighbours do not flow together.
    even = sitk.SmoothingRecursiveGaussian(sitk.Clamp(grid, upperBound=water + _END_PLATE_HU), _SMOOTH_MM)
    dense = even > water + _ABOVE_ABDOMEN_HU
    thick = sitk.BinaryMorphologicalOpening(dense, [round(_OPENING_MM / _GRID_MM)] * 3, sitk.sitkBall)
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.Execute(sitk.ConnectedComponent(thick))
    found = [k for k in shapes.GetLabels() if _BODY_CM3[0] <= shapes.GetPhysicalSize(k) / 1000 <= _BODY_CM3[1]]
    if len(found) != len(phantom.rods):
        return None
    centres = sorted((shapes.GetCentroid(k) for k in found), key=lambda centre: centre[2])
    values = [hu[_ball(grid, centre)] for centre in centres]
    rods = sorted(phantom.rods, key=lambda rod: rod.density_mg_cm3, reverse=bool(values[0].mean() > values[-1].mean()))
    readings = tuple(SpineReading(rod, float(v.mean()), float(v.std()), centre) for rod, v, centre in zip(rods, values, centres))
    in_order = sorted(readings, key=lambda reading: reading.rod.density_mg_cm3)
    return readings if in_order == sorted(readings, key=lambda reading: reading.hu) else None


def _ball(grid: sitk.Image, centre_lps_mm: Sequence[float]) -> np.ndarray:
    """The voxels (z, y, x) of an isotropic grid along the patient's axes that are read around a point."""
    axes = [np.array(grid.GetOrigin())[k] + grid.GetSpacing()[k] * np.arange(grid.GetSize()[k]) - centre_lps_mm[k] for k in range(3)]
    x, y, z = axes
    return z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 <= _READ_RADIUS_MM**2


def validation_checks(readings: Sequence[SpineReading], phantom: Phantom, calibration: Calibration) -> tuple[Check, ...]:
    """A VALIDATION check for each vertebra: its error in mg/cm³ through ``calibration`` (qct_facts 2.10); and MATERIAL.

    Raises ValueError when the calibration is not usable.
    """
    checks = [_error_check(reading, float(calibration.density(reading.hu))) for reading in readings]
    if calibration.material != phantom.material:
        message = f"The spine phantom is made of {phantom.material} and the calibration reads {calibration.material}."
        remedy = "Judge the errors with that in mind; the two materials have no common scale."
        checks.append(Check("MATERIAL", "warn", None, f"a calibration in {phantom.material}", message, remedy))
    return tuple(checks)


def _error_check(reading: SpineReading, density: float) -> Check:
    true = reading.rod.density_mg_cm3
    error, allowed = density - true, _ERROR_PERCENT / 100 * true
    if true <= _UP_TO_MG_CM3:
        allowed = min(allowed, _ERROR_MG_CM3)
    limit = f"within ±{allowed:g} mg/cm³ of {true:g}"
    message = f"{reading.rod.id} reads {density:.1f} mg/cm³ instead of {true:g} ({100 * error / true:+.1f} %)."
    if abs(error) <= allowed:
        return Check("VALIDATION", "pass", error, limit, message)
    return Check(
        "VALIDATION", "fail", error, limit, message, "Scan the calibration phantom again; if it stays so, have the scanner checked."
    )
