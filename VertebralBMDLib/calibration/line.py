"""The calibration line, equations 1-3 of the paper, and the checks that decide whether it may be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Apparent volume of K2HPO4 in solution (cm³/g) and density of water (mg/cm³) in Mindways' equations (QCT PRO User Guide v5.0, via Ogo).
_K2HPO4_VOLUME, _WATER_DENSITY = 0.2174, 999.6

#: Expected slope in mg/cm³ per HU by tube voltage (qct_facts 2.9).
_SLOPE_BANDS = {80: (0.42, 0.55), 100: (0.53, 0.67), 120: (0.62, 0.82), 140: (0.70, 0.90)}


@dataclass(frozen=True)
class Rod:
    """A rod as the certificate states it. ``water_mg_cm3`` only for Mindways phantoms."""

    id: str
    density_mg_cm3: float
    water_mg_cm3: float | None = None


@dataclass(frozen=True)
class RodReading:
    """A rod as the scan shows it, and where its axis crosses the middle slice of the reading.

    ``hu``, ``sd_hu``: centre and width of the normal distribution fitted to its voxels (the paper's CT value);
    ``mean_hu``: their plain mean; ``median_hu``: the robust estimate; ``drift_hu``: change of the rod along the read length.
    """

    rod: Rod
    hu: float
    sd_hu: float
    centre_lps_mm: tuple[float, float, float]
    radius_mm: float
    mean_hu: float | None = None
    median_hu: float | None = None
    drift_hu: float | None = None


@dataclass(frozen=True)
class TissueReading:
    """A tissue of the patient: ``name`` is air, fat, muscle, blood or cortical_bone; ``hu`` its robust centre."""

    name: str
    hu: float
    sd_hu: float
    volume_cm3: float
    centre_lps_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Check:
    """One calibration check: ``status`` is pass, warn or fail; ``limit`` says in words what was asked."""

    code: str
    status: str
    value: float
    limit: str
    message: str
    remedy: str = ""


@dataclass(frozen=True)
class Calibration:
    """density = slope · HU + intercept, in mg/cm³ of ``material``; ``source`` "none" has no line.

    ``source``: phantom, asynchronous, tissue or none; ``method``: site or physics where the source is tissue;
    ``uncertainty_mg_cm3``: SD that the calibration adds to a density of 100 mg/cm³.
    """

    source: str
    material: str | None = None
    slope_mg_cm3_per_hu: float | None = None
    intercept_mg_cm3: float | None = None
    r_squared: float | None = None
    rmse_mg_cm3: float | None = None
    phantom: str | None = None
    readings: tuple[RodReading, ...] = ()
    checks: tuple[Check, ...] = ()
    slope_se: float | None = None
    intercept_se: float | None = None
    residuals_mg_cm3: tuple[float, ...] = ()
    method: str | None = None
    uncertainty_mg_cm3: float | None = None
    tissues: tuple[TissueReading, ...] = ()

    @property
    def usable(self) -> bool:
        """True when there is a line and no check failed."""
        return self.slope_mg_cm3_per_hu is not None and all(check.status != "fail" for check in self.checks)

    @property
    def carries_category(self) -> bool:
        """True for the tiers that a diagnostic category may rest on: a phantom, in the scan or not, or a site's own regression."""
        return self.usable and self.method != "physics"

    def density(self, hu):
        """mg/cm³ for HU (a number or an array). Raises ValueError without a usable line."""
        if not self.usable:
            raise ValueError("There is no usable calibration.")
        return self.slope_mg_cm3_per_hu * hu + self.intercept_mg_cm3


NO_CALIBRATION = Calibration("none")


def fit(readings: Sequence[RodReading], material: str, phantom: str, kvp: float | None = None) -> Calibration:
    """The line through a phantom's rods, with its checks.

    CaHA rods: least squares of density D on HU H, paper equations 2-3,
    a = Σ(Hi-H̄)(Di-D̄)/Σ(Hi-H̄)², b = D̄ - a·H̄. Rods with a water column (Mindways): fit
    H - ρwater = σref·ρK + βref, then HU = (σref - 0.2174)·ρ + (βref + 999.6), inverted.
    Raises ValueError for fewer than two distinct rods.
    """
    hu = np.array([reading.hu for reading in readings], dtype=float)
    density = np.array([reading.rod.density_mg_cm3 for reading in readings], dtype=float)
    if len(np.unique(density)) < 2 or len(np.unique(hu)) < 2:
        raise ValueError("A calibration line needs at least two rods of different density.")
    if all(reading.rod.water_mg_cm3 is not None for reading in readings):
        water = np.array([reading.rod.water_mg_cm3 for reading in readings], dtype=float)
        sigma_ref, beta_ref = _least_squares(density, hu - water)
        slope = 1.0 / (sigma_ref - _K2HPO4_VOLUME)
        intercept = -(beta_ref + _WATER_DENSITY) * slope
        predicted = (hu - water - beta_ref) / sigma_ref
    else:
        slope, intercept = _least_squares(hu, density)
        predicted = slope * hu + intercept
    residuals = density - predicted
    several = len(readings) >= 3
    r_squared = float(1 - np.sum(residuals**2) / np.sum((density - density.mean()) ** 2)) if several else None
    rmse = float(np.sqrt(np.mean(residuals**2))) if several else None
    checks = line_checks(slope, intercept, kvp) + rod_checks(len(readings), r_squared, rmse, float(density.max()))
    return Calibration("phantom", material, float(slope), float(intercept), r_squared, rmse, phantom, tuple(readings), checks)


def _least_squares(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    slope = float(np.sum((x - x.mean()) * (y - y.mean())) / np.sum((x - x.mean()) ** 2))
    return slope, float(y.mean() - slope * x.mean())


def line_checks(slope: float, intercept: float, kvp: float | None = None) -> tuple[Check, ...]:
    """Plausibility of a slope (mg/cm³ per HU) and intercept (mg/cm³); limits of qct_facts 2.10."""
    if slope > 1.15:
        message = f"A slope of {slope:.3f} looks like HU per mg/cm³: the line is inverted. Fit density on HU, not HU on density."
        slope_check = Check("SLOPE_INVERTED", "fail", slope, "at most 1.15 mg/cm³ per HU", message)
    elif slope < 0.35:
        slope_check = Check(
            "SLOPE", "fail", slope, "at least 0.35 mg/cm³ per HU", "The slope is physically implausible; check rods and certificate."
        )
    else:
        known = not kvp or round(kvp) in _SLOPE_BANDS
        low, high = _SLOPE_BANDS[round(kvp) if kvp else 120] if known else (0.35, 1.15)
        status = "pass" if known and low <= slope <= high else "warn"
        voltage = f"{kvp:.0f} kVp" if kvp else "120 kVp, assumed because the header gives none"
        slope_check = Check(
            "SLOPE",
            status,
            slope,
            f"{low} to {high} at {voltage}",
            "The slope agrees with the tube voltage."
            if status == "pass"
            else "The slope is unusual for this tube voltage; check rods and certificate."
            if known
            else "No usual slopes are known for this tube voltage; check rods and certificate.",
        )
    size = abs(intercept)
    status = "pass" if size <= 15 else "warn" if size <= 40 else "fail"
    message = (
        "The intercept is plausible."
        if status == "pass"
        else "Water does not read near zero; check the rods and the scanner's water calibration."
    )
    return slope_check, Check("INTERCEPT", status, intercept, "within ±15, at most ±40 mg/cm³", message)


def rod_checks(count: int, r_squared: float | None, rmse: float | None, largest_density: float) -> tuple[Check, ...]:
    """Quality of the fit; limits of qct_facts 2.10 (2 % of the largest rod where that is wider)."""
    if r_squared is None:
        return (Check("ROD_COUNT", "warn", count, "at least 3 rods", "Two rods give a line but no measure of its quality."),)
    r_status = "pass" if r_squared >= 0.998 else "warn" if r_squared >= 0.990 else "fail"
    wide = largest_density > 450
    good, bad = (0.01 * largest_density, 0.02 * largest_density) if wide else (3.0, 6.0)
    rmse_status = "pass" if rmse <= good else "warn" if rmse <= bad else "fail"
    return (
        Check(
            "R_SQUARED",
            r_status,
            r_squared,
            "at least 0.998, fails below 0.990",
            "Rods and line agree." if r_status == "pass" else "The rods do not lie on one line; check their order and the certificate.",
        ),
        Check(
            "RMSE",
            rmse_status,
            rmse,
            f"at most {good:.1f}, fails above {bad:.1f} mg/cm³",
            "Residuals are small." if rmse_status == "pass" else "Residuals are large; check artefacts in the rods and the certificate.",
        ),
    )
