"""Which calibration a scan gets: the one that can be trusted most among those that were asked for (qct_facts 4.9)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..quality import Code
from ..scan import Scan
from .asynchronous import asynchronous, load_calibration
from .catalogue import Phantom, load_phantom, phantom_names
from .checks import reading_checks
from .line import NO_CALIBRATION, Calibration, TissueReading
from .physics import physics_calibration
from .placed import read_placed
from .placed_files import placed_rods
from .request import Asked, parsed
from .rods import find_phantom
from .site import load_site, site_calibration

#: Reference material of the physics calibration unless another is asked for: that of the density network.
_PHYSICS_MATERIAL = "CaHA"

#: Errors that all rods share, SD at 100 mg/cm³: of the certificate (about 1 % between phantoms, qct_facts 2.6) and of the field
#: between phantom and spine (2 %, 5.13).
_SHARED_MG_CM3 = (1.0, 2.0)


def calibrate(
    scan: Scan,
    request: str,
    centres_lps_mm: Sequence[Sequence[float]],
    tissues: tuple[TissueReading, ...] = (),
    rods: Path | None = None,
    enhanced: bool = False,
) -> tuple[Calibration, tuple[Code, ...]]:
    """The calibration for ``request`` and what there is to say about it.

    ``request``: "auto" (a phantom in the scan, else the patient's own tissues), "none", or kinds separated by commas:
    "phantom[:NAME]" (name or JSON file), "async:FILE" (a calibration that ``vertebral-bmd phantom`` wrote), "tissue:FILE" (a
    site's regression), "tissue[:MATERIAL]" (physics). They are tried from the most to the least trusted whatever their order;
    one that is absent gives way to the next, one that fails its checks does not: its failure is what the user must see.
    ``centres_lps_mm``: (n, 3) centroids of the measured vertebrae; ``rods``: the user's own rod positions for "phantom:NAME";
    ``enhanced``: contrast medium makes densities worthless, so that "auto" does not estimate a line that nobody may use.
    Raises ValueError for any other request and for files that cannot be read.
    """
    missing: list[Code] = []
    for asked in parsed(request):
        if enhanced and request == "auto" and asked.tier == "physics":
            continue
        found = _tried(scan, asked, centres_lps_mm, tissues, rods)
        if found is not None:
            return replace(found, tissues=tissues), (*missing, *_said_of(found))
        if request != "auto" or asked.kind == "tissue":
            missing.append(Code.PHANTOM_NOT_FOUND if asked.kind == "phantom" else Code.TISSUES_NOT_FOUND)
    return replace(NO_CALIBRATION, tissues=tissues), tuple(dict.fromkeys(missing))


def check_request(request: str, scan: Scan, rods: Path | None = None) -> None:
    """Raise ValueError where a request names a phantom or a file that cannot be used on this scan, before anything is measured."""
    for asked in parsed(request):
        if asked.tier == "phantom" and asked.name:
            phantom = _candidates(asked.name)[0]
            if rods is not None:
                placed_rods(rods, scan.image, phantom)
        elif asked.tier == "asynchronous":
            load_calibration(asked.path)
        elif asked.tier == "site":
            load_site(asked.path)
    if rods is not None and not any(asked.kind == "phantom" and asked.name for asked in parsed(request)):
        raise ValueError("rods of your own need the name of their phantom; use --calibration phantom:NAME")


def _tried(
    scan: Scan, asked: Asked, centres_lps_mm: Sequence[Sequence[float]], tissues: tuple[TissueReading, ...], rods: Path | None
) -> Calibration | None:
    """One calibration that was asked for; None where the scan does not hold what it needs."""
    if asked.tier == "phantom":
        return _from_phantom(scan, asked.name, centres_lps_mm, rods)
    if asked.tier == "asynchronous":
        return asynchronous(load_calibration(asked.path), scan.acquisition)
    if asked.tier == "site":
        return _less_sure(site_calibration(load_site(asked.path), tissues, scan.acquisition))
    return physics_calibration(tissues, scan.acquisition, asked.name or _PHYSICS_MATERIAL)


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
    return _judged(find_phantom(scan.image, centres_lps_mm, _candidates(name), kvp), scan)


def _candidates(name: str) -> list[Phantom]:
    """The phantom of that name, or all that are looked for when none is named. Raises ValueError."""
    if not name:
        known = [load_phantom(each) for each in phantom_names()]
        return [phantom for phantom in known if phantom.use == "calibration" and phantom.automatic]
    phantom = load_phantom(name)
    if phantom.use != "calibration":
        raise ValueError(f"{name} is a phantom for validation, not for calibration.")
    return [phantom]


def _judged(calibration: Calibration | None, scan: Scan) -> Calibration | None:
    """With the checks of how its rods read, and less sure than its fit."""
    if calibration is None:
        return None
    checks = calibration.checks + reading_checks(calibration.readings, scan.acquisition.sharp_kernel)
    return _less_sure(replace(calibration, checks=checks))


def _less_sure(calibration: Calibration) -> Calibration:
    """With the errors that all rods of a phantom share in its uncertainty: no fit to the rods can show them."""
    if calibration.uncertainty_mg_cm3 is None:
        return calibration
    return replace(calibration, uncertainty_mg_cm3=math.hypot(calibration.uncertainty_mg_cm3, *_SHARED_MG_CM3))


def _said_of(calibration: Calibration) -> tuple[Code, ...]:
    if not calibration.usable:
        return (Code.CALIBRATION_FAILED,)
    said = () if calibration.carries_category else (Code.RESEARCH_CALIBRATION,)
    return said + ((Code.CALIBRATION_WARNING,) if any(check.status == "warn" for check in calibration.checks) else ())
