"""Fitting a site's regression from a table of its own scans with a phantom in them: ``phantom fit-site TABLE --output FILE``."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .contrast import ENHANCED_HU
from .site import DENSITIES_MG_CM3, FEWEST_SCANS, SiteError, SiteGroup, SiteModel, Term, kernel_class, scanner_name

_NEEDED = ("calibration_source", "material", "kvp", "kernel", "slope_mg_cm3_per_hu", "intercept_mg_cm3", "fat_hu", "muscle_hu", "blood_hu")
#: HU between which each tissue can lie at all; outside, the column is not in HU.
_POSSIBLE_HU = {"fat": (-200.0, -30.0), "muscle": (-60.0, 150.0), "blood": (-60.0, 1000.0), "air": (-1100.0, -900.0)}
_SLOPE, _INTERCEPT = (0.35, 1.15), 40.0
#: Ridge penalties tried, on tissues scaled to SD 1; the largest leaves the mean line of the group.
_PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 1e6)


@dataclass(frozen=True)
class SiteScan:
    """One scan of the table: its group, the line of its phantom, and the HU of its tissues (air may be unknown)."""

    group: tuple[str | None, float, str]
    material: str
    slope_mg_cm3_per_hu: float
    intercept_mg_cm3: float
    tissues_hu: dict[str, float]


@dataclass(frozen=True)
class SiteFit:
    """The regression and what of the table it does without: (reason, rows), and (group, scans) too small to fit."""

    site: SiteModel
    left_out: tuple[tuple[str, int], ...]
    too_small: tuple[tuple[str, int], ...]


def fit_site(table: Path) -> SiteFit:
    """Fit every group of scanner, tube voltage and kernel class that has ten scans or more.

    ``table``: CSV with the columns of measurements.csv (_NEEDED, and series_uid, manufacturer, model, contrast, air_hu where
    they are known), one row a vertebra. Only scans with a phantom in them teach; a scan counts once. Slope and intercept
    are each a ridge regression on the HU of fat, muscle, blood, and of air where every scan has it; the penalty is chosen
    by leave-one-out, and the reported error comes from leaving each scan out of all of that (nested). Raises ValueError,
    naming what is wrong, for missing columns, mixed materials and no group large enough.
    """
    scans, left_out = read_scans(table)
    materials = sorted({scan.material for scan in scans})
    if len(materials) > 1:
        raise ValueError(f"{table.name} mixes {' and '.join(materials)}, which have no common scale; fit a table of one material.")
    groups = {key: [scan for scan in scans if scan.group == key] for key in {scan.group for scan in scans}}
    order = sorted(groups, key=str)
    fitted = tuple(_fitted(key, groups[key]) for key in order if len(groups[key]) >= FEWEST_SCANS)
    too_small = tuple((_name(key), len(groups[key])) for key in order if len(groups[key]) < FEWEST_SCANS)
    reasons = tuple(sorted(left_out.items()))
    if not fitted:
        listed = "; ".join(
            [f"{name}: {count} scans" for name, count in too_small] + [f"{reason}: {count} rows" for reason, count in reasons]
        )
        raise ValueError(f"{table.name} has no group of {FEWEST_SCANS} scans with a phantom. {listed or 'It is empty'}.")
    return SiteFit(SiteModel(materials[0], fitted), reasons, too_small)


def read_scans(table: Path) -> tuple[list[SiteScan], Counter]:
    """The scans of a table that can teach, each once, and why rows were left out. Raises ValueError for missing columns."""
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"{table.name} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}.")
        rows = list(reader)
    scans: dict[object, SiteScan] = {}
    conflicts: set[object] = set()
    left_out: Counter = Counter()
    for row in rows:
        scan = _scan(row)
        if isinstance(scan, str):
            left_out[scan] += 1
            continue
        key = row.get("series_uid") or repr(scan)
        if scans.setdefault(key, scan) != scan:
            conflicts.add(key)
    if conflicts:
        left_out["the rows of one scan contradict each other"] += len(conflicts)
    return [scan for key, scan in scans.items() if key not in conflicts], left_out


def _scan(row: dict[str, str]) -> SiteScan | str:
    """A row as a scan, or why it cannot teach."""
    if row["calibration_source"] != "phantom":
        return "not calibrated by a phantom in the scan"
    if row["material"] not in ("K2HPO4", "CaHA"):
        return "material is not K2HPO4 or CaHA"
    kvp, slope, intercept = (_number(row[name]) for name in ("kvp", "slope_mg_cm3_per_hu", "intercept_mg_cm3"))
    tissues = {name: _number(row.get(f"{name}_hu")) for name in _POSSIBLE_HU}
    if kvp is None or slope is None or intercept is None:
        return "tube voltage, slope or intercept is missing"
    if not _SLOPE[0] <= slope <= _SLOPE[1]:
        return "slope outside 0.35 to 1.15 mg/cm³ per HU: inverted, or another unit"
    if abs(intercept) > _INTERCEPT:
        return "intercept beyond 40 mg/cm³: a bad line, or another unit"
    if any(tissues[name] is None for name in ("fat", "muscle", "blood")):
        return "fat, muscle or blood was not found"
    known = {name: hu for name, hu in tissues.items() if hu is not None}
    if any(not low <= known.get(name, low) <= high for name, (low, high) in _POSSIBLE_HU.items()):
        return "a tissue that is not in HU"
    if row.get("contrast") == "yes" or known["blood"] > ENHANCED_HU:
        return "contrast medium"
    group = scanner_name(row.get("manufacturer"), row.get("model")), round(kvp, 1), kernel_class(row["kernel"])
    return SiteScan(group, row["material"], slope, intercept, known)


def _number(text: str | None) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None


def _name(key: tuple[str | None, float, str]) -> str:
    return SiteGroup(*key, 0, 0.0, 0.0, (), ()).name


def _fitted(key: tuple[str | None, float, str], scans: list[SiteScan]) -> SiteGroup:
    """The regression of one group with its cross-validated error."""
    names = [name for name in _POSSIBLE_HU if all(name in scan.tissues_hu for scan in scans)]
    hu = np.array([[scan.tissues_hu[name] for name in names] for scan in scans])
    lines = np.array([[scan.slope_mg_cm3_per_hu, scan.intercept_mg_cm3] for scan in scans])
    mean, change = _regression(hu, lines)
    terms = tuple(
        Term(name, *(float(v) for v in (hu[:, k].mean(), hu[:, k].min(), hu[:, k].max(), *change[k]))) for k, name in enumerate(names)
    )
    left = np.arange(len(scans))
    predicted = []
    for k in left:
        others = left != k
        at_mean, per_hu = _regression(hu[others], lines[others])
        predicted.append(at_mean + (hu[k] - hu[others].mean(axis=0)) @ per_hu)
    error = _density_errors(lines, np.array(predicted))
    errors = tuple(SiteError(d, float(e.mean()), float(e.std(ddof=1))) for d, e in zip(DENSITIES_MG_CM3, error))
    return SiteGroup(*key, len(scans), float(mean[0]), float(mean[1]), terms, errors)


def _regression(hu: np.ndarray, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(line at the mean tissues, change of slope and intercept per HU of each tissue); hu (n, tissues), lines (n, 2).

    The penalty is the one whose leave-one-out error of the density, by the leverage of each scan, is least.
    """
    centred, mean = hu - hu.mean(axis=0), lines.mean(axis=0)
    scale = np.where(centred.std(axis=0) > 0, centred.std(axis=0), 1.0)
    z, best = centred / scale, None
    for penalty in _PENALTIES:
        solved = np.linalg.solve(z.T @ z + penalty * np.eye(z.shape[1]), z.T)
        coefficients = solved @ (lines - mean)
        leverage = 1.0 / len(z) + np.einsum("ij,ji->i", z, solved)
        left_out = lines - (lines - mean - z @ coefficients) / (1.0 - leverage)[:, None]
        misfit = float((_density_errors(lines, left_out) ** 2).mean())
        if best is None or misfit < best[0]:
            best = misfit, coefficients / scale[:, None]
    return mean, best[1]


def _density_errors(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(densities, n) error in mg/cm³ where the true lines read `DENSITIES_MG_CM3`; lines (n, 2) as slope, intercept."""
    density = np.array(DENSITIES_MG_CM3)[:, None]
    hu = (density - true[:, 1]) / true[:, 0]
    return predicted[:, 0] * hu + predicted[:, 1] - density


def site_text(fit: SiteFit) -> str:
    """Groups with their cross-validated errors, then what was left out, as text."""
    lines = [f"{'scans':>5}  {'bias ± SD at 50':>16}{'100':>16}{'150 mg/cm³ ' + fit.site.material:>24}  group, each scan left out once"]
    for group in fit.site.groups:
        errors = [f"{error.bias_mg_cm3:+.1f} ± {error.sd_mg_cm3:.1f}" for error in group.errors]
        lines.append(f"{group.scans:5d}  {errors[0]:>16}{errors[1]:>16}{errors[2]:>24}  {group.name}")
    lines += [f"left out: {name}: {count} scans, fewer than {FEWEST_SCANS}" for name, count in fit.too_small]
    lines += [f"left out: {reason}: {count} rows" for reason, count in fit.left_out]
    return "\n".join(lines)
