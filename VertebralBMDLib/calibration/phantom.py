"""Which calibration a scan gets: from a phantom in it, or none."""

from __future__ import annotations

from collections.abc import Sequence

from ..quality import Code
from ..scan import Scan
from .catalogue import load_phantom, phantom_names
from .line import NO_CALIBRATION, Calibration
from .rods import find_phantom


def calibrate(scan: Scan, request: str, centre_lps_mm: Sequence[float]) -> tuple[Calibration, tuple[Code, ...]]:
    """The calibration for ``request`` and what there is to say about it.

    ``request``: "auto" (a phantom if there is one), "phantom", "phantom:NAME" (name or JSON file), or "none";
    ``centre_lps_mm``: middle of the measured vertebrae. Raises ValueError for any other request.
    """
    kind, _colon, name = request.partition(":")
    if kind not in ("auto", "phantom", "none") or (name and kind != "phantom"):
        raise ValueError(f"Unknown calibration {request!r}; use auto, phantom, phantom:NAME or none.")
    if kind == "none":
        return NO_CALIBRATION, ()
    phantoms = [load_phantom(each) for each in ([name] if name else phantom_names())]
    candidates = [phantom for phantom in phantoms if phantom.use == "calibration" and (name or phantom.automatic)]
    if not candidates:
        raise ValueError(f"{name} is a phantom for validation, not for calibration.")
    found = find_phantom(scan.image, centre_lps_mm, candidates, scan.acquisition.kvp)
    if found is None:
        return NO_CALIBRATION, (Code.PHANTOM_NOT_FOUND,) if kind == "phantom" else ()
    if not found.usable:
        return found, (Code.CALIBRATION_FAILED,)
    return found, (Code.CALIBRATION_WARNING,) if any(check.status == "warn" for check in found.checks) else ()
