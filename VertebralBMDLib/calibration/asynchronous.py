"""Asynchronous calibration: a phantom scanned alone, kept in a file, and used for the patients of the same scanner."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..grid import field_grid, resampled
from ..scan import Acquisition, Scan
from .catalogue import MATERIALS, Phantom
from .checks import reading_checks
from .line import Calibration, Rod, RodReading, fit
from .matching import matching_checks
from .rods import find_phantom

SCHEMA = "vertebral-bmd/calibration/1"

#: Largest accuracy error of asynchronous QCT on the spine phantom, 6.7 % (PMC5524691, qct_facts 2.10), at 100 mg/cm³.
ASYNCHRONOUS_MG_CM3 = 6.7

#: Rods are looked for behind a spine; this far in front of the phantom a spine would be.
_SPINE_ABOVE_PHANTOM_MM = 100.0
_COARSE_MM, _SOLID_HU = 4.0, -200.0
#: What a file says of the line besides its rods and checks.
_LINE = (
    "material", "slope_mg_cm3_per_hu", "intercept_mg_cm3", "slope_se", "intercept_se", "r_squared", "rmse_mg_cm3", "uncertainty_mg_cm3",
)  # fmt: skip


@dataclass(frozen=True)
class PhantomScan:
    """The line that a phantom scan gave, with its readings and checks, and how the phantom was scanned."""

    calibration: Calibration
    acquisition: Acquisition


def read_phantom(scan: Scan, phantom: Phantom) -> Calibration | None:
    """The line of a phantom scanned alone, with the checks of its rods, or None when its rods were not found."""
    found = find_phantom(scan.image, _spine_above(scan.image), [phantom], scan.acquisition.kvp)
    if found is None:
        return None
    return replace(found, checks=found.checks + reading_checks(found.readings, scan.acquisition.sharp_kernel))


def _spine_above(image: sitk.Image) -> np.ndarray:
    """Where a spine would be (LPS mm) if a patient lay on the phantom: in front of the middle of what is solid.

    A couch top is carbon and foam, too thin and too light to count."""
    coarse = resampled(image, field_grid(image, _COARSE_MM))
    solid = np.argwhere(sitk.GetArrayViewFromImage(coarse) > _SOLID_HU)
    if not len(solid):
        return np.array(coarse.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in coarse.GetSize()]))
    middle = coarse.TransformContinuousIndexToPhysicalPoint(np.median(solid, axis=0)[::-1].tolist())
    return np.array(middle) - [0.0, _SPINE_ABOVE_PHANTOM_MM, 0.0]


def calibration_document(calibration: Calibration, phantom: Phantom, acquisition: Acquisition) -> dict:
    """What calibration.json holds (``vertebral-bmd/calibration/1``). A value that could not be had is absent; no patient is in it."""
    certificate = {name: getattr(phantom, name) for name in ("name", "title", "serial", "source", "confidence")}
    rods = [
        _known(asdict(reading.rod) | {key: value for key, value in asdict(reading).items() if key != "rod"} | {"residual_mg_cm3": residual})
        for reading, residual in zip(calibration.readings, calibration.residuals_mg_cm3)
    ]
    return {
        "schema": SCHEMA,
        "phantom": _known(certificate),
        **_known({name: getattr(calibration, name) for name in _LINE}),
        "rods": rods,
        "checks": [_known(asdict(check)) for check in calibration.checks],
        "acquisition": _known(asdict(acquisition)),
    }


def _known(mapping: dict) -> dict:
    return {key: value for key, value in mapping.items() if value is not None}


def load_calibration(path: str | Path) -> PhantomScan:
    """Read a calibration.json; its line is fitted again from its rods, and its checks are those of this version.

    Raises ValueError, naming the file, when it is none, when it holds no line, or when its line does not follow from its rods.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise ValueError(f"it is not of the form {SCHEMA}; make it with vertebral-bmd phantom")
        if "slope_mg_cm3_per_hu" not in document:
            raise ValueError("it holds no line, because the phantom could not be read; scan the phantom again")
        return _phantom_scan(document)
    except FileNotFoundError as error:
        raise ValueError(f"calibration file {path.name}: there is no such file") from error
    except KeyError as error:
        raise ValueError(f"calibration file {path.name} lacks {error.args[0]}") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"calibration file {path.name} is not of the form {SCHEMA}: {error!r}") from error
    except (ValueError, OSError) as error:
        raise ValueError(f"calibration file {path.name}: {error}") from error


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _phantom_scan(document: dict) -> PhantomScan:
    if document["material"] not in MATERIALS:
        raise ValueError(f"material must be {' or '.join(MATERIALS)}, not {document['material']!r}")
    acquisition = _acquisition(document["acquisition"])
    readings = tuple(_reading(entry) for entry in document["rods"])
    line = fit(readings, document["material"], document["phantom"]["name"], acquisition.kvp)
    for name in ("slope_mg_cm3_per_hu", "intercept_mg_cm3"):
        if not math.isclose(getattr(line, name), document[name], rel_tol=1e-6, abs_tol=1e-6):
            raise ValueError(f"its {name} does not follow from its rods; scan the phantom again")
    return PhantomScan(replace(line, checks=line.checks + reading_checks(readings, acquisition.sharp_kernel)), acquisition)


def _reading(entry: dict) -> RodReading:
    rod = Rod(entry["id"], _number(entry, "density_mg_cm3"), _number(entry, "water_mg_cm3") if "water_mg_cm3" in entry else None)
    optional = {name: _number(entry, name) for name in ("mean_hu", "median_hu", "drift_hu") if name in entry}
    x, y, z = entry["centre_lps_mm"]
    return RodReading(rod, _number(entry, "hu"), _number(entry, "sd_hu"), (x, y, z), _number(entry, "radius_mm"), **optional)


def _number(entry: dict, name: str) -> float:
    value = entry[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} must be a number, not {value!r}")
    return float(value)


def _acquisition(entry: dict) -> Acquisition:
    for each in fields(Acquisition):
        if each.name in entry and not isinstance(entry[each.name], (int, float) if each.type.startswith("float") else str):
            raise ValueError(f"{each.name} must be a {'number' if each.type.startswith('float') else 'text'}, not {entry[each.name]!r}")
    if "acquired_on" in entry:
        date.fromisoformat(entry["acquired_on"])
    return Acquisition(**entry)


def asynchronous(phantom_scan: PhantomScan, acquisition: Acquisition) -> Calibration:
    """The calibration of a patient's scan (taken as ``acquisition`` says) from a phantom scan, with the checks between both.

    Its uncertainty is at least the published accuracy error of asynchronous QCT. It carries no readings: the rods lie in
    another scan, and stay in its file.
    """
    line = phantom_scan.calibration
    return replace(
        line,
        source="asynchronous",
        readings=(),
        residuals_mg_cm3=(),
        checks=line.checks + matching_checks(phantom_scan.acquisition, acquisition),
        uncertainty_mg_cm3=max(ASYNCHRONOUS_MG_CM3, line.uncertainty_mg_cm3 or 0.0),
    )
