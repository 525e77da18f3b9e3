"""The history of a scanner's phantom scans: one JSON line a scan, and the drift that it shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from scipy import stats

from ..scan import Acquisition
from .checks import Check
from .line import REFERENCE_MG_CM3, Calibration

#: Shewhart limits of the value at 100 mg/cm³ and the long-term coefficient of variation, in percent (qct_facts 2.10).
SHEWHART_WARN, SHEWHART_FAIL, LONG_TERM_CV = 1.5, 2.5, 1.5
#: The first scans, which later ones are compared with (our choice).
_BASELINE_SCANS = 10
_DAYS_PER_YEAR = 365.25
_SERVICE = "Scan the phantom again; if it stays so, have the scanner's calibration checked and use no older phantom scan."


@dataclass(frozen=True)
class PhantomRecord:
    """One line of a history: when (ISO date) and how a phantom was scanned, its line in mg/cm³ per HU, and its rods' HU."""

    date: str
    scanner: str
    phantom: str
    material: str
    slope_mg_cm3_per_hu: float
    intercept_mg_cm3: float
    rods_hu: dict[str, float]
    kvp: float | None = None
    kernel: str | None = None
    series_uid: str | None = None

    @property
    def reference_hu(self) -> float:
        """The HU that this line calls 100 mg/cm³."""
        return (REFERENCE_MG_CM3 - self.intercept_mg_cm3) / self.slope_mg_cm3_per_hu

    def same_scan(self, other: PhantomRecord) -> bool:
        """True for the same series read as the same phantom; without series UIDs, when everything else agrees."""
        if self.series_uid and other.series_uid:
            return (self.series_uid, self.phantom) == (other.series_uid, other.phantom)
        return replace(self, series_uid=None) == replace(other, series_uid=None)


@dataclass(frozen=True)
class Chart:
    """The drift of one phantom on one scanner at one tube voltage, oldest scan first.

    ``values_mg_cm3``: what the baseline's line reads at the HU that each scan's own line calls 100 mg/cm³;
    ``cv_percent``: their coefficient of variation; ``hu_per_year``: change of those HU with its standard error, None for
    fewer than three days. A single scan has no checks, because there is nothing to compare it with.
    """

    scanner: str
    kvp: float | None
    phantom: str
    material: str
    dates: tuple[str, ...]
    values_mg_cm3: tuple[float, ...]
    checks: tuple[Check, ...]
    cv_percent: float | None = None
    hu_per_year: float | None = None
    hu_per_year_se: float | None = None


def record_of(calibration: Calibration, acquisition: Acquisition) -> PhantomRecord:
    """The line of a history for a phantom scan. Raises ValueError where the header gives no date."""
    if acquisition.acquired_on is None:
        raise ValueError("A history needs the date of the phantom scan, which its header does not give; use the DICOM series.")
    scanner = " ".join(filter(None, (acquisition.manufacturer, acquisition.model, acquisition.device_serial)))
    return PhantomRecord(
        acquisition.acquired_on,
        scanner or "unknown scanner",
        calibration.phantom,
        calibration.material,
        calibration.slope_mg_cm3_per_hu,
        calibration.intercept_mg_cm3,
        {reading.rod.id: reading.hu for reading in calibration.readings},
        acquisition.kvp,
        acquisition.kernel,
        acquisition.series_uid,
    )


def read_history(path: Path) -> tuple[PhantomRecord, ...]:
    """The records of a history in the order of the file. Raises ValueError, naming the number of the first damaged line."""
    records = []
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError as error:
        raise ValueError(f"history {path.name}: there is no such file") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            records.append(_record(json.loads(line)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"history {path.name}, line {number} is damaged ({error}); remove or repair it") from error
    return tuple(records)


def _record(entry: object) -> PhantomRecord:
    if not isinstance(entry, dict):
        raise ValueError("not a record")
    record = PhantomRecord(**entry)
    date.fromisoformat(record.date)
    for name in ("scanner", "phantom", "material"):
        if not isinstance(getattr(record, name), str):
            raise ValueError(f"{name} must be a text")
    if not isinstance(record.rods_hu, dict):
        raise ValueError("rods_hu must be an object")
    numbers = {"kvp": record.kvp or 0.0, "slope_mg_cm3_per_hu": record.slope_mg_cm3_per_hu, "intercept_mg_cm3": record.intercept_mg_cm3}
    for name, value in (numbers | record.rods_hu).items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
            raise ValueError(f"{name} must be a number")
    if record.slope_mg_cm3_per_hu <= 0:
        raise ValueError("slope_mg_cm3_per_hu must be positive")
    return record


def add_to_history(path: Path, record: PhantomRecord) -> bool:
    """Append a record; False, and nothing is written, when that scan is in the history already.

    Raises ValueError for a damaged history, as ``read_history``.
    """
    old = path.read_bytes() if path.exists() else b""
    if old and any(record.same_scan(other) for other in read_history(path)):
        return False
    known = {key: value for key, value in asdict(record).items() if value is not None}
    line = json.dumps(known, ensure_ascii=False, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        # An editor may have left the last line without its end.
        stream.write((b"" if not old or old.endswith(b"\n") else b"\n") + line.encode("utf-8") + b"\n")
    return True


def charts(records: Sequence[PhantomRecord]) -> tuple[Chart, ...]:
    """A chart for each phantom, scanner and tube voltage, in the order of their first scan; a scan that is there twice counts once."""
    groups: dict[tuple, list[PhantomRecord]] = {}
    for record in sorted(records, key=lambda each: each.date):
        group = groups.setdefault((record.scanner, record.kvp, record.phantom, record.material), [])
        if not any(record.same_scan(other) for other in group):
            group.append(record)
    return tuple(_chart(group) for group in groups.values())


def _chart(group: list[PhantomRecord]) -> Chart:
    hu = np.array([record.reference_hu for record in group])
    baseline = slice(0, max(1, min(_BASELINE_SCANS, len(group) - 1)))
    slope = np.mean([record.slope_mg_cm3_per_hu for record in group[baseline]])
    values = REFERENCE_MG_CM3 + slope * (hu - hu[baseline].mean())
    cv = float(100 * values.std(ddof=1) / values.mean()) if len(group) > 1 else None
    years = np.array([date.fromisoformat(record.date).toordinal() for record in group]) / _DAYS_PER_YEAR
    trend = stats.linregress(years, hu) if len(np.unique(years)) > 2 else None
    first = group[0]
    return Chart(
        first.scanner,
        first.kvp,
        first.phantom,
        first.material,
        tuple(record.date for record in group),
        tuple(values.tolist()),
        _checks(float(100 * (values[-1] / REFERENCE_MG_CM3 - 1)), cv) if cv is not None else (),
        cv,
        float(trend.slope) if trend else None,
        float(trend.stderr) if trend else None,
    )


def _checks(deviation: float, cv: float) -> tuple[Check, ...]:
    """SHEWHART of the newest scan and LONG_TERM_CV of all."""
    size = abs(deviation)
    status = "pass" if size <= SHEWHART_WARN else "warn" if size <= SHEWHART_FAIL else "fail"
    message = f"The newest phantom scan reads {deviation:+.1f} % at 100 mg/cm³ against the first ones."
    limit = f"within ±{SHEWHART_WARN} %, fails beyond ±{SHEWHART_FAIL} %"
    newest = Check("SHEWHART", status, deviation, limit, message, "" if status == "pass" else _SERVICE)
    status = "pass" if cv <= LONG_TERM_CV else "warn"
    message = f"The phantom scans vary by {cv:.1f} % at 100 mg/cm³."
    return newest, Check("LONG_TERM_CV", status, cv, f"at most {LONG_TERM_CV} %", message, "" if status == "pass" else _SERVICE)
