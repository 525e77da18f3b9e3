"""Which calibration a scan gets: the one that can be trusted most among those that were asked for (qct_facts 4.9)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..quality import Code
from ..scan import Scan
from .asynchronous import asynchronous, load_calibration
from .catalogue import MATERIALS, Phantom, load_phantom, phantom_names
from .checks import reading_checks
from .line import NO_CALIBRATION, Calibration, TissueReading
from .physics import physics_calibration
from .placed import read_placed
from .placed_files import placed_rods
from .rods import find_phantom
from .site import load_site, site_calibration

#: What can be asked for, from the most to the least trusted; "tissue:FILE" (a site's regression) comes before "tissue".
KINDS = ("phantom", "async", "tissue", "none")
_SYNTAX = "auto, none, or one or more of phantom[:NAME], async:FILE, tissue:FILE and tissue[:CaHA|K2HPO4], separated by commas"

#: Reference material of the physics calibration unless another is asked for: that of the density network.
_PHYSICS_MATERIAL = "CaHA"

#: Errors that all rods share, SD at 100 mg/cm³: of the certificate (about 1 % between phantoms, qct_facts 2.6) and of the field
#: between phantom and spine (2 %, 5.13).
_SHARED_MG_CM3 = (1.0, 2.0)


def calibrate(
    scan: Scan, request: str, centres_lps_mm: Sequence[Sequence[float]], tissues: tuple[TissueReading, ...] = (), rods: Path | None = None
) -> tuple[Calibration, tuple[Code, ...]]:
    """The calibration for ``request`` and what there is to say about it.

    ``request``: "auto" (a phantom in the scan, else the patient's own tissues), "none", or kinds separated by commas:
    "phantom[:NAME]" (name or JSON file), "async:FILE" (a calibration that ``vertebral-bmd phantom`` wrote), "tissue:FILE" (a
    site's regression), "tissue[:MATERIAL]" (physics). They are tried from the most to the least trusted whatever their order;
    one that is absent gives way to the next, one that fails its checks does not: its failure is what the user must see.
    ``centres_lps_mm``: (n, 3) centroids of the measured vertebrae; ``rods``: the user's own rod positions for "phantom:NAME".
    Raises ValueError for any other request and for files that cannot be read.
    """
    asked = parsed(request)
    if rods is not None and not any(kind == "phantom" and name for kind, name in asked):
        raise ValueError("rods of your own need the name of their phantom; use --calibration phantom:NAME")
    missing: list[Code] = []
    for kind, name in asked:
        if kind == "phantom":
            found = _from_phantom(scan, name, centres_lps_mm, rods)
            missing += [Code.PHANTOM_NOT_FOUND] if found is None and request != "auto" else []
        elif kind == "async":
            found = asynchronous(load_calibration(Path(name)), scan.acquisition)
        elif name and name not in MATERIALS:
            found = site_calibration(load_site(Path(name)), tissues, scan.acquisition)
        else:
            found = physics_calibration(tissues, scan.acquisition, name or _PHYSICS_MATERIAL)
        if kind == "tissue" and found is None:
            missing.append(Code.TISSUES_NOT_FOUND)
        if found is not None:
            return replace(found, tissues=tissues), (*missing, *_said_of(found))
    return replace(NO_CALIBRATION, tissues=tissues), tuple(dict.fromkeys(missing))


def parsed(request: str) -> tuple[tuple[str, str], ...]:
    """(kind, argument) of each calibration that ``request`` asks for, from the most to the least trusted; ValueError."""
    if request == "none":
        return ()
    if request == "auto":
        return ("phantom", ""), ("tissue", "")
    asked = [tuple(part.partition(":")[::2]) for part in re.split(rf",(?=(?:{'|'.join(KINDS)})\b)", request)]
    for kind, name in asked:
        if kind not in KINDS or kind == "none" or (kind == "async" and not name):
            raise ValueError(f"calibration must be {_SYNTAX}; {request!r} is not")
    return tuple(sorted(asked, key=lambda each: (KINDS.index(each[0]), each[1] in ("", *MATERIALS))))


def converted(calibration: Calibration, material: str, factor: float) -> Calibration:
    """The calibration in another reference material, by the user's own factor (qct_facts 2.8: there is no universal one)."""
    scaled = ("slope_mg_cm3_per_hu", "intercept_mg_cm3", "slope_se", "intercept_se", "rmse_mg_cm3", "uncertainty_mg_cm3")
    values = {name: getattr(calibration, name) for name in scaled}
    return replace(calibration, material=material, **{name: factor * value for name, value in values.items() if value is not None})


def _from_phantom(scan: Scan, name: str, centres_lps_mm: Sequence[Sequence[float]], rods: Path | None) -> Calibration | None:
    kvp = scan.acquisition.kvp
    if rods is not None:
        phantom = load_phantom(name)
        return _judged(read_placed(scan.image, placed_rods(rods, scan.image, phantom), phantom, centres_lps_mm, kvp), scan)
    candidates = [phantom for phantom in map(load_phantom, [name] if name else phantom_names()) if _offered(phantom, name)]
    if not candidates:
        raise ValueError(f"{name} is a phantom for validation, not for calibration.")
    return _judged(find_phantom(scan.image, centres_lps_mm, candidates, kvp), scan)


def _judged(calibration: Calibration | None, scan: Scan) -> Calibration | None:
    """With the checks of how its rods read, and with what no fit of the rods can show in its uncertainty."""
    if calibration is None:
        return None
    checks = calibration.checks + reading_checks(calibration.readings, scan.acquisition.sharp_kernel)
    return replace(calibration, checks=checks, uncertainty_mg_cm3=math.hypot(calibration.uncertainty_mg_cm3 or 0.0, *_SHARED_MG_CM3))


def _offered(phantom: Phantom, name: str) -> bool:
    return phantom.use == "calibration" and (bool(name) or phantom.automatic)


def _said_of(calibration: Calibration) -> tuple[Code, ...]:
    if not calibration.usable:
        return (Code.CALIBRATION_FAILED,)
    said = () if calibration.carries_category else (Code.RESEARCH_CALIBRATION,)
    return said + ((Code.CALIBRATION_WARNING,) if any(check.status == "warn" for check in calibration.checks) else ())
