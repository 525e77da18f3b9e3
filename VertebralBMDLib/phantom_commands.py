"""``vertebral-bmd phantom``: a phantom scan becomes a calibration file; the spine phantom judges one; a history shows drift."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from .quality import MESSAGES, Code, Refused
from .report.files import keep_inputs
from .report.parts import known

if TYPE_CHECKING:
    from .calibration.catalogue import Phantom
    from .calibration.checks import Check
    from .calibration.line import Calibration
    from .scan import Scan

#: The first is meant when none is given: `phantom SCAN ...` is `phantom read SCAN ...`.
KINDS = ("read", "history", "fit-site")

#: Files of `read` (with the spine phantom: only the last) and of `history`.
CALIBRATION, FIT, VALIDATION = "calibration.json", "fit.png", "validation.json"
DRIFT, DRIFT_CHART = "drift.json", "drift.png"

READ, REFUSED = 0, 3

#: A phantom has no fat, which is how other scans are known to be in HU; its line shows wrong HU instead.
_ALLOW = frozenset({Code.NOT_HU})
_VALIDATION_SCHEMA, _DRIFT_SCHEMA = "vertebral-bmd/validation/1", "vertebral-bmd/drift/1"


def add_phantom(commands) -> None:
    """Add the command to the parser of `cli`."""
    phantom = commands.add_parser("phantom", help="read a phantom scan; its file calibrates patients of the same scanner")
    kinds = phantom.add_subparsers(required=True, metavar="|".join(KINDS))
    for add in (_add_read, _add_history, _add_fit_site):
        add(kinds)


def _add_read(kinds) -> None:
    read = kinds.add_parser("read", help="one phantom scan (the default: `phantom SCAN ...` works too)")
    read.add_argument("scan", type=Path, help="DICOM folder, NIfTI, NRRD or MetaImage of a phantom without a patient")
    read.add_argument("--phantom", required=True, metavar="NAME", help="a name in the catalogue or a JSON file of that form")
    read.add_argument("--output", type=Path, required=True, metavar="DIR")
    read.add_argument("--history", type=Path, metavar="FILE", help="add the line to this history, one JSON line a scan")
    read.add_argument(
        "--calibration", type=Path, metavar="FILE", help="with the spine phantom (esp): the calibration.json that it is to judge"
    )
    read.add_argument("--series", metavar="UID", help="which series of a DICOM folder")
    read.set_defaults(command=_read)


def _add_history(kinds) -> None:
    history = kinds.add_parser("history", help="drift of the scanners in a history, with Shewhart limits")
    history.add_argument("history", type=Path, metavar="FILE")
    history.add_argument("--output", type=Path, required=True, metavar="DIR")
    history.set_defaults(command=_history)


def _add_fit_site(kinds) -> None:
    fit = kinds.add_parser("fit-site", help="relate the tissues of a site's own patients to its phantom, for scans without one")
    fit.add_argument("table", type=Path, help="measurements.csv rows of patients scanned with a phantom")
    fit.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="the site's JSON file, for measure --calibration tissue:FILE"
    )
    fit.set_defaults(command=_fit_site)


def _fit_site(options) -> int:
    """Fit a site's regression and print its groups with their errors."""
    from .calibration.site import save_site
    from .calibration.site_fit import fit_site, site_text

    fit = fit_site(options.table)
    save_site(fit.site, options.output)
    print(site_text(fit))
    return READ


def _read(options) -> int:
    """Read a phantom scan and write its files; 3 when it is refused or a check fails."""
    from .calibration.catalogue import load_phantom
    from .calibration.history import read_history
    from .loading import load

    phantom = load_phantom(options.phantom)
    validation = phantom.use == "validation"
    if validation and (options.calibration is None or options.history is not None):
        raise ValueError(
            f"{phantom.name} is for validation: give the calibration that it judges with --calibration FILE, and no --history."
        )
    if options.calibration is not None and not validation:
        raise ValueError(f"--calibration is what a phantom for validation judges; {phantom.name} gives a calibration of its own.")
    files = (VALIDATION,) if validation else (CALIBRATION, FIT)
    keep_inputs(options.output, files, (options.scan, options.history, options.calibration, Path(options.phantom)))
    if options.history is not None and options.history.exists():
        # A damaged history is to be known before anything is measured.
        read_history(options.history)
    options.output.mkdir(parents=True, exist_ok=True)
    for name in files:
        (options.output / name).unlink(missing_ok=True)
    try:
        scan = load(options.scan, options.series, _ALLOW)
        return _validate(scan, phantom, options) if validation else _calibrate(scan, phantom, options)
    except Refused as refusal:
        schema = _VALIDATION_SCHEMA if validation else _calibration_schema()
        code, message = refusal.code.value, str(MESSAGES[refusal.code])
        document = {"schema": schema, "phantom": {"name": phantom.name}, "refusals": [code], "messages": {code: message}}
        _write_json(options.output / files[0], document)
        print(f"refused {refusal}", file=sys.stderr)
        return REFUSED


def _calibration_schema() -> str:
    from .calibration.asynchronous import SCHEMA

    return SCHEMA


def _calibrate(scan: Scan, phantom: Phantom, options) -> int:
    """Line, files and history of a phantom with rods. Raises Refused when its rods are not found."""
    from .calibration.asynchronous import calibration_document, read_phantom
    from .calibration.history import add_to_history, record_of
    from .report.drift import write_fit

    calibration = read_phantom(scan, phantom)
    if calibration is None:
        raise Refused(Code.PHANTOM_NOT_FOUND)
    record = record_of(calibration, scan.acquisition) if options.history is not None else None
    _write_json(options.output / CALIBRATION, calibration_document(calibration, phantom, scan.acquisition))
    print(_line_text(calibration, phantom, scan))
    if record is not None:
        # A line that no patient may be measured with says nothing about drift.
        if not calibration.usable:
            print(f"not added to {options.history.name}, because a check failed", file=sys.stderr)
        elif not add_to_history(options.history, record):
            print(f"{options.history.name} has this scan already; nothing was added", file=sys.stderr)
    write_fit(calibration, options.output / FIT)
    return READ if calibration.usable else REFUSED


def _line_text(calibration: Calibration, phantom: Phantom, scan: Scan) -> str:
    """The rods, the line and the checks, as the command prints them."""
    taken = scan.acquisition
    facts = (phantom.title, phantom.serial, taken.kvp and f"{taken.kvp:g} kVp", taken.kernel, taken.acquired_on)
    lines = [", ".join(filter(None, facts)), f"{'rod':<6}{'mg/cm³':>9}{'HU':>9}{'SD':>7}{'residual':>10}"]
    for reading, residual in zip(calibration.readings, calibration.residuals_mg_cm3):
        rod = reading.rod
        lines.append(f"{rod.id:<6}{rod.density_mg_cm3:>9.2f}{reading.hu:>9.1f}{reading.sd_hu:>7.1f}{residual:>+10.2f}")
    slope_se = f" (SE {calibration.slope_se:.4f})" if calibration.slope_se is not None else ""
    intercept_se = f" (SE {calibration.intercept_se:.2f})" if calibration.intercept_se is not None else ""
    lines.append(
        f"density = {calibration.slope_mg_cm3_per_hu:.4f}{slope_se} x HU {calibration.intercept_mg_cm3:+.2f}{intercept_se} "
        f"mg/cm³ {calibration.material}"
    )
    if calibration.r_squared is not None:
        quality = f"R² {calibration.r_squared:.5f}, RMSE {calibration.rmse_mg_cm3:.2f} mg/cm³"
        uncertainty = calibration.uncertainty_mg_cm3
        lines.append(quality + (f", SE {uncertainty:.2f} at 100 mg/cm³" if uncertainty is not None else ""))
    return "\n".join([*lines, *_check_lines(calibration.checks)])


def _validate(scan: Scan, phantom: Phantom, options) -> int:
    """Errors of a calibration at the spine phantom. Raises Refused when its vertebrae are not found."""
    from .calibration.asynchronous import asynchronous, load_calibration
    from .calibration.spine_phantom import read_spine_phantom, validation_checks

    calibration = asynchronous(load_calibration(options.calibration), scan.acquisition)
    readings = read_spine_phantom(scan.image, phantom)
    if readings is None:
        raise Refused(Code.PHANTOM_NOT_FOUND)
    usable = calibration.usable
    checks = (*calibration.checks, *(validation_checks(readings, phantom, calibration) if usable else ()))
    vertebrae = [
        {
            "id": each.rod.id,
            "density_mg_cm3": each.rod.density_mg_cm3,
            "hu": each.hu,
            "sd_hu": each.sd_hu,
            "centre_lps_mm": each.centre_lps_mm,
        }
        | ({"measured_mg_cm3": calibration.density(each.hu)} if usable else {})
        for each in readings
    ]
    document = {
        "schema": _VALIDATION_SCHEMA,
        "phantom": {"name": phantom.name, "title": phantom.title, "material": phantom.material},
        "calibration": {
            "phantom": calibration.phantom,
            "material": calibration.material,
            "slope_mg_cm3_per_hu": calibration.slope_mg_cm3_per_hu,
            "intercept_mg_cm3": calibration.intercept_mg_cm3,
        },
        "vertebrae": vertebrae,
        "checks": _check_entries(checks),
    }
    _write_json(options.output / VALIDATION, document)
    print("\n".join([f"{phantom.title} through {options.calibration.name} ({calibration.phantom})", *_check_lines(checks)]))
    return REFUSED if any(check.status == "fail" for check in checks) else READ


def _history(options) -> int:
    """Charts of a history; 3 when the newest scan of one is out of its limits."""
    from .calibration.history import charts, read_history
    from .report.drift import chart_title, write_drift

    keep_inputs(options.output, (DRIFT, DRIFT_CHART), (options.history,))
    found = charts(read_history(options.history))
    if not found:
        raise ValueError(f"history {options.history.name} holds no phantom scan")
    options.output.mkdir(parents=True, exist_ok=True)
    write_drift(found, options.output / DRIFT_CHART)
    entries = [
        {key: value for key, value in asdict(chart).items() if value is not None} | {"checks": _check_entries(chart.checks)}
        for chart in found
    ]
    _write_json(options.output / DRIFT, {"schema": _DRIFT_SCHEMA, "charts": entries})
    for chart in found:
        count = f"{len(chart.dates)} scans" if len(chart.dates) > 1 else "one scan, nothing to compare it with"
        print("\n".join([f"{chart_title(chart)}; {count}", *_check_lines(chart.checks)]))
    failed = any(check.status == "fail" for chart in found for check in chart.checks)
    return REFUSED if failed else READ


def _check_lines(checks: Sequence[Check]) -> list[str]:
    """What passed in one line, then each warning and failure with its remedy; readings of the spine phantom are always told."""
    quiet = [check.code for check in checks if check.status == "pass" and check.code != "VALIDATION"]
    told = [check for check in checks if check.status != "pass" or check.code == "VALIDATION"]
    lines = [f"passed: {', '.join(quiet)}"] if quiet else []
    return lines + [f"{check.status} {check.code}: {check.message} {check.remedy}".rstrip() for check in told]


def _check_entries(checks: Sequence[Check]) -> list[dict]:
    return [known(**asdict(check)) for check in checks]


def _write_json(path: Path, document: dict) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n", encoding="utf-8")
