"""measurement.json ("vertebral-bmd/1") as a plain dictionary.

A value that could not be had is absent, never 0 and never NaN. Units are in the key names; points are LPS mm. No path and
no file name is recorded, because they may carry a patient's name.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

from ..quality import MESSAGES, Code
from .parts import calibration_entry, known, once, patient_entry, scan_entry, settings_entry, software_entry, vertebra_entry

if TYPE_CHECKING:
    from ..pipeline import Measurement
    from ..scan import Scan
    from ..segmentation.vertebrae import Vertebrae
    from ..settings import Settings

SCHEMA = "vertebral-bmd/1"

#: Refusals whose detail holds geometry, counts, levels or series UIDs only; the detail of any other may name a file.
_DETAIL_WITHOUT_NAMES = frozenset({
    Code.SEVERAL_SERIES, Code.SERIES_NOT_FOUND, Code.NOT_CT, Code.NOT_3D, Code.NOT_HU, Code.TOO_FEW_SLICES, Code.IRREGULAR_SPACING,
    Code.LEVEL_NOT_FOUND, Code.LEVEL_UNCERTAIN, Code.LEVEL_POINT_OUTSIDE, Code.TRANSITIONAL_ANATOMY, Code.BODY_CUT_OFF,
    Code.ROI_EMPTY, Code.ROI_SMALL, Code.LABEL_MAP_UNUSABLE,
})  # fmt: skip


def document(measurement: Measurement) -> dict:
    """The document of a run that measured. Raises ValueError when a number in it is not finite."""
    measured = {item.vertebra.label: item for item in measurement.measured}
    return completed(
        software=software_entry(measurement.vertebrae.engine, measurement.models, measurement.device),
        scan=scan_entry(measurement.scan),
        calibration=calibration_entry(measurement.calibration),
        vertebrae=[vertebra_entry(body, measured.get(body.label)) for body in measurement.vertebrae.bodies],
        patient=patient_entry(measurement.assessment),
        settings=settings_entry(measurement.settings),
        timings_s=measurement.seconds,
    )


def refusal_document(code: Code, detail: str, settings: Settings, scan: Scan | None = None, vertebrae: Vertebrae | None = None) -> dict:
    """The document of a run that was refused before anything was measured; ``scan`` and ``vertebrae`` as far as known.

    ``detail`` is recorded only for codes whose detail never names a file.
    """
    known_detail = detail if detail and code in _DETAIL_WITHOUT_NAMES else None
    return completed(
        software=software_entry(vertebrae.engine if vertebrae else settings.engine, vertebrae.models if vertebrae else ()),
        scan=scan_entry(scan) if scan else dict(contrast="unknown"),
        calibration=dict(source="none", material=None, checks=[]),
        vertebrae=[vertebra_entry(body) for body in vertebrae.bodies] if vertebrae else [],
        patient=dict(
            levels=settings.levels,
            category="withheld",
            flags=once(vertebrae.flags) if vertebrae else (),
            refusals=(code,),
            **known(refusal_detail=known_detail),
        ),
        settings=settings_entry(settings),
        timings_s={},
    )


def codes(document: dict) -> set[str]:
    """Every flag, refusal, reason to leave a level out and allowed refusal in a document."""
    patient = document["patient"]
    found = {*patient["flags"], *patient["refusals"], *document["settings"]["allow"]}
    found.update(entry["code"] for entry in patient.get("left_out", []))
    return found.union(*(vertebra["flags"] for vertebra in document["vertebrae"]))


def completed(**parts) -> dict:
    """The document of these parts, as JSON knows it, with a message for every code. Raises ValueError for a number that is not finite."""
    result = _plain(dict(schema=SCHEMA, **parts), "")
    result["messages"] = {code: str(MESSAGES[Code(code)]) for code in sorted(codes(result))}
    return result


def _plain(value, where: str):
    """``value`` with tuples, enums and numpy numbers turned into what JSON knows; ValueError for a number that is not finite."""
    if isinstance(value, dict):
        return {key: _plain(item, f"{where}.{key}" if where else key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}; a value that could not be had must be None.")
    return value
