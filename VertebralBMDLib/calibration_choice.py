"""What the user chooses about the calibration in words of the panel, and what can be said of it before anything is measured."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .calibration.request import KINDS, parsed
from .report import calibration

if TYPE_CHECKING:
    from .calibration.checks import Check
    from .scan import Acquisition


def kind_and_name(request: str) -> tuple[str, str]:
    """("phantom", "qrm-bdc3") of "phantom:qrm-bdc3", ("auto", "") of "auto"; ("several", request) of what has no single kind.

    A kind without the file that it needs ("async:"), as it stands while the user chooses, is told as well.
    """
    kind, _colon, name = request.partition(":")
    if request in ("auto", "none") or (kind in KINDS and not name):
        return kind, ""
    try:
        asked = parsed(request)
    except ValueError:
        return "several", request
    return (asked[0].kind, asked[0].name) if len(asked) == 1 else ("several", request)


def request_of(kind: str, name: str = "") -> str:
    """The request of a kind ("auto", "phantom", "async", "tissue", "none") and what it names."""
    return f"{kind}:{name}" if name or kind == "async" else kind


def calibration_settings(request: str, convert_to: str, factor: float, thresholds: str) -> dict:
    """The fields of Settings for these choices; ``convert_to``: a material or "". Raises ValueError where a file is not chosen yet."""
    if kind_and_name(request) == ("async", ""):
        raise ValueError("Choose the calibration.json of a phantom scan in the step Calibration, or another way to calibrate.")
    return dict(calibration=request, convert=(convert_to, factor) if convert_to else None, thresholds=thresholds)


def phantoms() -> list[tuple[str, str]]:
    """(name, title) of the phantoms in the catalogue that calibrate."""
    from .calibration.catalogue import load_phantom, phantom_names

    known = [load_phantom(name) for name in phantom_names()]
    return [(phantom.name, f"{phantom.title} ({phantom.material})") for phantom in known if phantom.use == "calibration"]


def limits() -> list[tuple[str, str]]:
    """(name, title) of the limits of the categories."""
    from .diagnosis import load_thresholds, threshold_names

    return [(name, load_thresholds(name).title) for name in threshold_names()]


def checks_html(checks: Iterable[dict]) -> str:
    """The checks of measurement.json as HTML that Qt's rich text understands: failures first, each with a sign and in words.

    What did not pass says why, and what to do."""
    order = list(calibration.STATUS)[::-1]
    return "".join(f"<p style='margin: 2px 0px'>{_line(check)}</p>" for check in sorted(checks, key=lambda c: order.index(c["status"])))


def _line(check: dict) -> str:
    sign, word = calibration.STATUS[check["status"]]
    digits = ".4f" if check["code"] == "R_SQUARED" else ".4g"
    value = f": {check['value']:{digits}}".replace("-", "−") if check.get("value") is not None else ""
    told = f"{calibration.check_name(check['code'])}{value} ({check['limit']})"
    if check["status"] != "pass":
        told = f"{told}. {check['message']} {check.get('remedy') or ''}".rstrip()
    return f"<b>{sign} {word}</b> {html.escape(told)}"


def phantom_scan_html(path: str, acquisition: Acquisition) -> tuple[str, str]:
    """(status, HTML) of a calibration.json for a scan taken as ``acquisition`` says: its phantom, date, line, and whether it speaks
    for the scan; status: pass, warn or fail. A file that cannot be used is a failure in words.
    """
    from .calibration.asynchronous import asynchronous, load_calibration

    try:
        scanned = load_calibration(path)
    except ValueError as error:
        return "fail", f"<b>✗ fail</b> {html.escape(str(error))}"
    line = asynchronous(scanned, acquisition)
    facts = (line.phantom, scanned.acquisition.acquired_on and f"scanned on {scanned.acquisition.acquired_on}",
             scanned.acquisition.model, scanned.acquisition.kvp and f"{scanned.acquisition.kvp:g} kVp",
             f"{line.slope_mg_cm3_per_hu:.4f} mg/cm³ {line.material} per HU")  # fmt: skip
    worst = max((check.status for check in line.checks), key=list(calibration.STATUS).index)
    doubts = [_as_dict(check) for check in line.checks if check.status != "pass"]
    passed = f"{len(line.checks) - len(doubts)} of {len(line.checks)} checks passed"
    return worst, f"{html.escape(', '.join(filter(None, facts)))}; {passed}{checks_html(doubts)}"


def _as_dict(check: Check) -> dict:
    return dict(code=check.code, status=check.status, value=check.value, limit=check.limit, message=check.message, remedy=check.remedy)


def phantom_name(request: str) -> str:
    """The one phantom that a request names: a name in the catalogue or the path of a certificate, "" for none."""
    kind, name = kind_and_name(request)
    return name if kind == "phantom" else ""


def is_certificate(name: str) -> bool:
    """Whether the name of a phantom is the path of a certificate rather than a name in the catalogue."""
    from .calibration.catalogue import phantom_names

    return bool(name) and name not in phantom_names()


def calibration_status(document: dict) -> tuple[str, str]:
    """How the calibration of a measurement stands, "pass", "warn" or "fail", and in words why."""
    checks, patient = document["calibration"]["checks"], document["patient"]
    worst = max((check["status"] for check in checks), key=list(calibration.STATUS).index, default="pass")
    refused = [code for code in ("PHANTOM_NOT_FOUND", "TISSUES_NOT_FOUND", "CALIBRATION_FAILED") if code in patient["refusals"]]
    if refused:
        return "fail", document["messages"][refused[0]]
    category = document["calibration"]["source"] != "none" and document["calibration"].get("method") != "physics"
    return (worst if worst == "fail" or category else "warn"), calibration.summary(document)
