"""A site's own regression from the tissues of its patients to the calibration line; fitted by `site_fit`, applied here."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..scan import Acquisition
from .checks import Check, line_checks
from .line import Calibration, TissueReading

SCHEMA = "vertebral-bmd/site/1"
FEWEST_SCANS = 10
DENSITIES_MG_CM3 = (50.0, 100.0, 150.0)
_SAME_KVP = 0.5
#: How far beyond the fitted scans a tissue may lie, as a share of their range, before the regression is not believed.
_BEYOND = 0.5


@dataclass(frozen=True)
class Term:
    """One tissue of a regression: mean and range over the fitted scans (HU), and what each HU more changes in the line."""

    tissue: str
    mean_hu: float
    lowest_hu: float
    highest_hu: float
    slope_per_hu: float
    intercept_per_hu: float


@dataclass(frozen=True)
class SiteError:
    """Error of the density (mg/cm³) at one density over scans that were left out of the fit one at a time."""

    density_mg_cm3: float
    bias_mg_cm3: float
    sd_mg_cm3: float


@dataclass(frozen=True)
class SiteGroup:
    """The regression of one scanner, tube voltage and kernel class.

    ``slope_mg_cm3_per_hu``, ``intercept_mg_cm3``: the line where every tissue reads its mean. ``scanner``: manufacturer and
    model, None where the table does not say.
    """

    scanner: str | None
    kvp: float
    kernel_class: str
    scans: int
    slope_mg_cm3_per_hu: float
    intercept_mg_cm3: float
    terms: tuple[Term, ...]
    errors: tuple[SiteError, ...]

    @property
    def name(self) -> str:
        """What scans the group holds for."""
        return f"{self.scanner or 'unknown scanner'}, {self.kvp:g} kVp, {self.kernel_class} kernel"

    @property
    def uncertainty_mg_cm3(self) -> float:
        """Cross-validated SD at 100 mg/cm³, without what the phantoms' own lines are unsure of."""
        return {error.density_mg_cm3: error.sd_mg_cm3 for error in self.errors}[100.0]


@dataclass(frozen=True)
class SiteModel:
    """All groups of a site, in mg/cm³ of one ``material``."""

    material: str
    groups: tuple[SiteGroup, ...]

    def __post_init__(self) -> None:
        if self.material not in ("K2HPO4", "CaHA"):
            raise ValueError(f"material must be K2HPO4 or CaHA, not {self.material!r}")
        if not self.groups:
            raise ValueError("it holds no group")
        for group in self.groups:
            _check_numbers(group)


def _check_numbers(group: SiteGroup) -> None:
    """Raise ValueError for numbers that no fit gives."""
    lines = [number for term in group.terms for name, number in asdict(term).items() if name != "tissue"]
    numbers = [group.kvp, group.slope_mg_cm3_per_hu, group.intercept_mg_cm3, group.uncertainty_mg_cm3, *lines]
    if not all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers):
        raise ValueError(f"{group.name}: a number is missing or not finite")
    if group.scans < FEWEST_SCANS:
        raise ValueError(f"{group.name}: {group.scans} scans, fewer than {FEWEST_SCANS}")


def scanner_name(manufacturer: str | None, model: str | None) -> str | None:
    """Manufacturer and model as one name, None where neither is known."""
    return " ".join(part.strip() for part in (manufacturer, model) if part and part.strip()) or None


def kernel_class(kernel: str | None) -> str:
    """soft, sharp or unknown."""
    return "unknown" if not kernel else "sharp" if Acquisition(kernel=kernel).sharp_kernel else "soft"


def save_site(site: SiteModel, path: Path) -> None:
    """Write a site's regression as JSON (vertebral-bmd/site/1); it holds no dates and no identifiers of scans."""
    path.write_text(json.dumps({"schema": SCHEMA, **asdict(site)}, indent=1) + "\n", encoding="utf-8")


def load_site(path: str | Path) -> SiteModel:
    """Read what `save_site` wrote. Raises ValueError for anything else, FileNotFoundError where there is no file."""
    path = Path(path)
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        if entry["schema"] != SCHEMA:
            raise ValueError(f"its schema is {entry['schema']!r}")
        return SiteModel(entry["material"], tuple(_group(group) for group in entry["groups"]))
    except FileNotFoundError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise ValueError(f"site file {path.name} is not of the form {SCHEMA}: {error}") from error


def site_calibration(site: SiteModel, tissues: Sequence[TissueReading], acquisition: Acquisition) -> Calibration:
    """The line for one scan by the site's regression; without a line where no group or not every tissue is there.

    line = line at the means + sum over tissues of (HU - mean) * change per HU. Checks: SITE_GROUP, SITE_SCANNER,
    SITE_TISSUE_RANGE for each tissue, and those of the line.
    """
    found = {tissue.name: tissue.hu for tissue in tissues}
    group = _group_for(site, acquisition)
    if group is None:
        return Calibration("tissue", site.material, checks=(_no_group(site, acquisition),), method="site", tissues=tuple(tissues))
    missing = [term.tissue for term in group.terms if term.tissue not in found]
    checks = [
        *_scanner_check(group, acquisition),
        *(_range_check(term, found[term.tissue]) for term in group.terms if term.tissue in found),
    ]
    if missing:
        message = f"The regression needs tissues that were not found: {', '.join(missing)}."
        checks.append(Check("SITE_TISSUES", "fail", float(len(missing)), "every tissue of the regression", message, "Use a phantom."))
        return Calibration("tissue", site.material, checks=tuple(checks), method="site", tissues=tuple(tissues))
    slope = group.slope_mg_cm3_per_hu + sum((found[term.tissue] - term.mean_hu) * term.slope_per_hu for term in group.terms)
    intercept = group.intercept_mg_cm3 + sum((found[term.tissue] - term.mean_hu) * term.intercept_per_hu for term in group.terms)
    return Calibration(
        "tissue",
        site.material,
        slope,
        intercept,
        checks=(*line_checks(slope, intercept, acquisition.kvp), *checks),
        method="site",
        uncertainty_mg_cm3=group.uncertainty_mg_cm3,
        tissues=tuple(tissues),
    )


def _group(entry: dict) -> SiteGroup:
    terms, errors = (tuple(kind(**each) for each in entry[name]) for name, kind in (("terms", Term), ("errors", SiteError)))
    return SiteGroup(**(entry | {"terms": terms, "errors": errors}))


def _group_for(site: SiteModel, acquisition: Acquisition) -> SiteGroup | None:
    """The group of the same tube voltage, kernel class and scanner; one of an unknown scanner where none is the same."""
    scanner = scanner_name(acquisition.manufacturer, acquisition.model)
    alike = [
        group
        for group in site.groups
        if acquisition.kvp is not None
        and abs(group.kvp - acquisition.kvp) <= _SAME_KVP
        and group.kernel_class == kernel_class(acquisition.kernel)
    ]
    same = [group for group in alike if _same(group.scanner, scanner)]
    unknown = [group for group in alike if group.scanner is None or scanner is None]
    # Several scanners and a header that names none: nothing says which.
    return same[0] if same else unknown[0] if len(unknown) == 1 else None


def _same(first: str | None, second: str | None) -> bool:
    return (first or "").casefold() == (second or "").casefold()


def _no_group(site: SiteModel, acquisition: Acquisition) -> Check:
    scanner = scanner_name(acquisition.manufacturer, acquisition.model) or "unknown scanner"
    voltage = f"{acquisition.kvp:g} kVp" if acquisition.kvp else "unknown tube voltage"
    message = f"The site's regression was not fitted for {scanner}, {voltage}, {kernel_class(acquisition.kernel)} kernel."
    limit = "one of: " + "; ".join(group.name for group in site.groups)
    return Check("SITE_GROUP", "fail", float(len(site.groups)), limit, message, "Fit this group with phantom fit-site, or use a phantom.")


def _scanner_check(group: SiteGroup, acquisition: Acquisition) -> tuple[Check, ...]:
    if group.scanner and scanner_name(acquisition.manufacturer, acquisition.model):
        return (Check("SITE_SCANNER", "pass", float(group.scans), group.name, "The regression was fitted on this scanner."),)
    message = "It is not known whether the regression was fitted on this scanner."
    remedy = "Fit it from a table with the columns manufacturer and model, on scans in DICOM."
    return (Check("SITE_SCANNER", "warn", float(group.scans), group.name, message, remedy),)


def _range_check(term: Term, hu: float) -> Check:
    beyond = max(term.lowest_hu - hu, hu - term.highest_hu, 0.0)
    allowed = _BEYOND * (term.highest_hu - term.lowest_hu)
    status = "pass" if beyond == 0 else "warn" if beyond <= allowed else "fail"
    limit = f"{term.tissue} {term.lowest_hu:.0f} to {term.highest_hu:.0f} HU, fails {allowed:.0f} HU beyond"
    if status == "pass":
        return Check("SITE_TISSUE_RANGE", status, hu, limit, f"The HU of {term.tissue} are like those of the fitted scans.")
    message = f"The HU of {term.tissue} lie outside those of the fitted scans."
    return Check("SITE_TISSUE_RANGE", status, hu, limit, message, "Look for contrast medium or a wrong tissue; use a phantom.")
