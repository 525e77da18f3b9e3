"""The calibration line: what it is made of, and its fit by equations 1-3 of the paper or by Mindways' equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .checks import Check, fit_checks, line_checks

#: Apparent volume of K2HPO4 in solution (cm³/g) and density of water (mg/cm³) in Mindways' equations (QCT PRO User Guide v5.0, via Ogo).
_K2HPO4_VOLUME, _WATER_DENSITY = 0.2174, 999.6

#: Density at which the uncertainty of a line is told (mg/cm³).
REFERENCE_MG_CM3 = 100.0

#: Two rods lie on their line whatever they read: the largest RMSE that more rods would pass with (our policy, qct_facts 2.10).
_TWO_RODS_MG_CM3 = 3.0


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
    """The line through a phantom's rods, with the checks of line and fit (those of the rods: ``checks.reading_checks``).

    Without a water column: least squares of density D on HU H, paper equations 2-3, a = Σ(Hi-H̄)(Di-D̄)/Σ(Hi-H̄)²,
    b = D̄ - a·H̄. Rods with a water column (Mindways, qct_facts 2.2): H - ρwater = σref·ρK + βref, then
    HU = (σref - 0.2174)·ρ + (βref + 999.6), inverted; the covariance of (σref, βref) is carried over by its derivatives.

    Residuals are certificate minus line, in the order of ``readings``; RMSE is the root of their mean square. Standard errors
    rest on n-2 degrees of freedom; two rods have none, nor R² or RMSE. ``uncertainty_mg_cm3`` is the standard error of the
    line at 100 mg/cm³, for two rods 3 mg/cm³. It leaves out what the rods share: errors of the certificate, HU that differ
    between the phantom's place and the spine, beam hardening in the patient, marrow fat, and with a water column a scanner
    that stretches all HU (2 % too high cost a Mindways line about 1 mg/cm³).

    Raises ValueError for fewer than two distinct rods, water columns on some rods only, or on another material than K2HPO4.
    """
    hu = np.array([reading.hu for reading in readings], dtype=float)
    density = np.array([reading.rod.density_mg_cm3 for reading in readings], dtype=float)
    if len(np.unique(density)) < 2 or len(np.unique(hu)) < 2:
        raise ValueError("A calibration line needs at least two rods of different density.")
    if _has_water_column([reading.rod for reading in readings], material, phantom):
        line = _mindways_line(hu, density, np.array([reading.rod.water_mg_cm3 for reading in readings], dtype=float))
    else:
        line = _least_squares(hu, density)
    residuals = tuple(reading.rod.density_mg_cm3 - density_of(reading, line.slope, line.intercept) for reading in readings)
    several = len(readings) >= 3
    rmse = float(np.sqrt(np.mean(np.square(residuals)))) if several else None
    r_squared = line.r_squared if several else None
    slope_se, intercept_se = np.sqrt(np.diag(line.covariance)).tolist() if several else (None, None)
    return Calibration(
        "phantom",
        material,
        line.slope,
        line.intercept,
        r_squared,
        rmse,
        phantom,
        tuple(readings),
        line_checks(line.slope, line.intercept, kvp) + fit_checks(len(readings), r_squared, rmse, float(density.max())),
        slope_se,
        intercept_se,
        residuals,
        uncertainty_mg_cm3=_uncertainty(line) if several else _TWO_RODS_MG_CM3,
    )


def density_of(reading: RodReading, slope: float, intercept: float) -> float:
    """The density in mg/cm³ that a line gives a rod; with a water column by Mindways' equations (qct_facts 2.2)."""
    if reading.rod.water_mg_cm3 is None:
        return slope * reading.hu + intercept
    sigma_ref, beta_ref = 1.0 / slope + _K2HPO4_VOLUME, -intercept / slope - _WATER_DENSITY
    return (reading.hu - reading.rod.water_mg_cm3 - beta_ref) / sigma_ref


def _has_water_column(rods: Sequence[Rod], material: str, phantom: str) -> bool:
    """Whether the water equation is to be used. Raises ValueError for a certificate that leaves it open."""
    without = [rod.id for rod in rods if rod.water_mg_cm3 is None]
    if len(without) == len(rods):
        return False
    if without:
        raise ValueError(f"phantom {phantom}: rod {', '.join(without)} has no water_mg_cm3 but the others have; complete the certificate.")
    if material != "K2HPO4":
        raise ValueError(f"phantom {phantom}: water_mg_cm3 belongs to K2HPO4 rods, not to {material}; correct the certificate.")
    return True


@dataclass(frozen=True)
class _Line:
    """Slope and intercept with the (2, 2) covariance of both, and R²."""

    slope: float
    intercept: float
    covariance: np.ndarray
    r_squared: float


def _least_squares(x: np.ndarray, y: np.ndarray) -> _Line:
    """y on x. Written out because rod detection fits thousands of hypotheses: scipy's linregress takes ten times as long."""
    dx, dy = x - x.mean(), y - y.mean()
    sxx = float(dx @ dx)
    slope = float(dx @ dy) / sxx
    rest = dy - slope * dx
    variance = float(rest @ rest) / (len(x) - 2) if len(x) > 2 else 0.0
    mean = float(x.mean())
    covariance = variance * np.array([[1.0 / sxx, -mean / sxx], [-mean / sxx, 1.0 / len(x) + mean**2 / sxx]])
    return _Line(slope, float(y.mean()) - slope * mean, covariance, 1.0 - float(rest @ rest) / float(dy @ dy))


def _mindways_line(hu: np.ndarray, density: np.ndarray, water: np.ndarray) -> _Line:
    """Density on HU from the two columns of a Mindways certificate."""
    reference = _least_squares(density, hu - water)
    slope = 1.0 / (reference.slope - _K2HPO4_VOLUME)
    intercept = -(reference.intercept + _WATER_DENSITY) * slope
    # Rows: d(slope, intercept) by d(σref, βref).
    derivatives = np.array([[-(slope**2), 0.0], [-intercept * slope, -slope]])
    return _Line(slope, intercept, derivatives @ reference.covariance @ derivatives.T, reference.r_squared)


def _uncertainty(line: _Line) -> float | None:
    """Standard error in mg/cm³ of the density at the HU that the line calls 100 mg/cm³; None for a line that has no such HU."""
    if line.slope <= 0:
        return None
    at = np.array([(REFERENCE_MG_CM3 - line.intercept) / line.slope, 1.0])
    return float(np.sqrt(at @ line.covariance @ at))
