"""measurement.json after the user edited ROIs, at once: what measuring again with ``Settings.roi`` gives.

Everything that does not depend on the edited ROIs is kept. The network's reading of an edited ROI comes later, because it
needs a process of its own: ``awaiting_network`` says where, ``with_network`` adds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from . import diagnosis
from .calibration.checks import Check
from .calibration.line import Calibration
from .densitometry import DensityOf, measure_roi
from .measurement import UNUSABLE, beam_of, edited_flags, network_flags, texture_flags
from .network.density import MATERIAL, Beam
from .quality import Code
from .regions import too_small
from .report.document import completed
from .report.parts import once, patient_entry, roi_entry
from .scan import Acquisition

#: What an edited ROI makes out of date in a vertebra's entry; the body's values stay.
OF_NETWORK = ("vbmd_network_mg_cm3", "vbmd_network_interval95_mg_cm3", "osteoporosis_probability", "low_bone_mass_probability")
_OF_ROI = ("roi_", "whole_roi_", "vbmd_roi_", "vbmd_whole_roi_")
_OF_ROI_FLAGS = {
    Code.ROI_EDITED, Code.ROI_OUTSIDE_BODY, Code.ROI_HETEROGENEOUS, Code.ROI_FINDING_EXCLUDED, Code.LESION, Code.NETWORK_DISAGREES
}  # fmt: skip
_OF_HEIGHT = {Code.HEIGHT_LOSS, Code.FRACTURE}

#: What an entry has before it is measured.
_OF_BODY = ("level", "label", "level_confidence", "centroid_lps_mm", "body_volume_cm3", "complete")

#: Flags of the patient that say how the levels went together, or which has no ROI: they are found anew.
_OF_LEVELS = {
    Code.LEVEL_SUBSTITUTED, Code.ONE_LEVEL_ONLY, Code.LEVELS_OUTSIDE_RULE, Code.LEVELS_DISAGREE, Code.NOT_CALIBRATED,
    Code.LIMITS_WITHOUT_CATEGORY, Code.ROI_EMPTY, Code.ROI_SMALL,
}  # fmt: skip


@dataclass(frozen=True)
class EditedRoi:
    """An ROI as the user left it, cut out of the scan.

    ``hu``: HU, ``roi``, ``body``: masks, all of one shape (z, y, x), which may be empty; ``spacing_mm``: (z, y, x).
    """

    hu: np.ndarray
    roi: np.ndarray
    body: np.ndarray
    spacing_mm: tuple[float, float, float]

    @property
    def volume_cm3(self) -> float:
        return float(self.roi.sum() * np.prod(self.spacing_mm)) / 1000


def after_edits(document: dict, edited: Mapping[str, EditedRoi]) -> dict:
    """The document with the ROIs of some levels edited.

    ``document``: of the measurement that the edits started from, however many came since; ``edited``: by level. An ROI that
    was emptied, or made too small, is named as the reason why its level is not measured (ROI_EMPTY, ROI_SMALL), never 0; no
    other level takes its place before the next measurement.
    """
    if not edited:
        return document
    line = calibration_of(document)
    density = line.density if _calibrated(document, line) else None
    sharp = _acquisition(document).sharp_kernel
    vertebrae, missing = [], _missing(document)
    for entry in document["vertebrae"]:
        roi = edited.get(entry["level"])
        if roi is not None:
            code = too_small(roi.volume_cm3)
            missing.pop(entry["level"], None)
            missing |= {entry["level"]: code} if code else {}
            entry = _body_alone(entry) if code else _measured(entry, roi, density, sharp)
        vertebrae.append(entry)
    changed = dict(
        vertebrae=vertebrae,
        patient=_patient(document, vertebrae, missing, line),
        settings=document["settings"] | _edited_settings(document, edited),
    )
    return _with(document, **changed)


def edited_levels(document: dict) -> tuple[str, ...]:
    """The levels whose ROI the user edited, from cranial to caudal, also those that were emptied."""
    settings = document["settings"]
    if not settings.get("own_roi"):
        return ()
    levels = settings.get("roi_levels") or [entry["level"] for entry in document["vertebrae"] if "roi_mean_hu" in entry]
    return tuple(sorted(levels, key=diagnosis.height_of))


def awaiting_network(document: dict) -> tuple[str, ...]:
    """The levels that the network could read and has not: those edited since the measurement."""
    line = calibration_of(document)
    if not _calibrated(document, line) or line.material != MATERIAL:
        return ()
    levels = [entry["level"] for entry in document["vertebrae"] if "roi_mean_hu" in entry and OF_NETWORK[0] not in entry]
    return tuple(level for level in levels if level in edited_levels(document))


def with_network(document: dict, readings: Mapping[str, Mapping]) -> dict:
    """The document with what the network says (``report.parts.network_entry``) of some measured levels."""
    vertebrae = []
    for entry in document["vertebrae"]:
        reading = readings.get(entry["level"])
        if reading is not None:
            flags = [flag for flag in entry["flags"] if flag != Code.NETWORK_DISAGREES.value]
            flags += network_flags(reading["vbmd_network_mg_cm3"], entry["vbmd_roi_mg_cm3"])
            entry = entry | dict(reading) | dict(flags=flags)
        vertebrae.append(entry)
    return _with(document, vertebrae=vertebrae)


def network_beam(document: dict) -> Beam:
    """What the network was told about the HU of this measurement."""
    return beam_of(calibration_of(document), document["scan"].get("kvp"))


def calibration_of(document: dict) -> Calibration:
    """The calibration line of a document and its checks, without readings."""
    entry = document["calibration"]
    checks = tuple(Check(each["code"], each["status"], each.get("value"), each["limit"], each["message"]) for each in entry["checks"])
    names = ("slope_mg_cm3_per_hu", "intercept_mg_cm3", "method", "uncertainty_mg_cm3")
    return Calibration(entry["source"], entry["material"], checks=checks, **{name: entry.get(name) for name in names})


def _with(document: dict, **changed) -> dict:
    return completed(**{name: part for name, part in (document | changed).items() if name not in ("schema", "messages")})


def _calibrated(document: dict, line: Calibration) -> bool:
    return line.usable and Code.CONTRAST.value not in document["patient"]["refusals"]


def _acquisition(document: dict) -> Acquisition:
    scan = document["scan"]
    return Acquisition(kvp=scan.get("kvp"), kernel=scan.get("kernel"), contrast=scan["contrast"])


def _measured(entry: dict, roi: EditedRoi, density: DensityOf | None, sharp_kernel: bool) -> dict:
    """A measured vertebra's entry with the values of its edited ROI and without the network's reading of the old one."""
    kept = {name: value for name, value in entry.items() if name not in OF_NETWORK and not name.startswith(_OF_ROI)}
    voxel_cm3 = float(np.prod(roi.spacing_mm)) / 1000
    value = measure_roi(roi.hu, roi.roi, voxel_cm3, density, roi.spacing_mm)
    flags = [Code(flag) for flag in entry["flags"] if flag not in _OF_ROI_FLAGS]
    flags = [
        *(flag for flag in flags if flag not in _OF_HEIGHT),
        *edited_flags(roi.roi, roi.body),
        *texture_flags(value, sharp_kernel),
        *(flag for flag in flags if flag in _OF_HEIGHT),
    ]
    return kept | roi_entry(value) | dict(excluded=[], flags=once(flags))


def _body_alone(entry: dict) -> dict:
    flags = [flag for flag in entry["flags"] if flag not in _OF_ROI_FLAGS | _OF_HEIGHT]
    return {name: entry[name] for name in _OF_BODY} | dict(flags=flags)


def _missing(document: dict) -> dict[str, Code]:
    """Why levels were not measured, as far as the document says."""
    measured = {entry["level"] for entry in document["vertebrae"] if "roi_mean_hu" in entry}
    return {each["level"]: Code(each["code"]) for each in document["patient"]["left_out"] if each["level"] not in measured}


def _patient(document: dict, vertebrae: list[dict], missing: dict[str, Code], line: Calibration) -> dict:
    """The patient's value and category by the same rule as at the measurement."""
    before, requested = document["patient"], tuple(document["settings"]["levels"])
    reasons = {each["code"] for each in before["left_out"]}
    # Without a level that counts, the reasons of the levels stood among the refusals.
    refusals = [Code(code) for code in before["refusals"] if before["levels"] or code not in reasons]
    flags = [Code(code) for code in before["flags"] if code not in _OF_LEVELS]
    flags += [missing[level] for level in requested if level in missing]
    return patient_entry(
        diagnosis.assess(
            [_level(entry) for entry in vertebrae if "roi_mean_hu" in entry],
            requested,
            missing,
            diagnosis.load_thresholds(before["thresholds"]["name"]),
            carries_category=line.carries_category,
            uncertainty_mg_cm3=line.uncertainty_mg_cm3,
            acquisition=_acquisition(document),
            flags=flags,
            refusals=refusals,
        )
    )


def _level(entry: dict) -> diagnosis.MeasuredLevel:
    unusable = next((code for code in UNUSABLE if code.value in entry["flags"]), None)
    return diagnosis.MeasuredLevel(
        entry["level"], entry["roi_mean_hu"], entry.get("vbmd_roi_mg_cm3"), entry.get("integral_mg_cm3"), unusable
    )


def _edited_settings(document: dict, edited: Mapping[str, EditedRoi]) -> dict:
    """That, and of which levels, the ROI was edited: as ``Settings.roi`` and ``roi_levels`` record it."""
    if document["settings"].get("own_roi") and "roi_levels" not in document["settings"]:
        return {}
    return dict(own_roi=True, roi_levels=sorted({*edited, *edited_levels(document)}, key=diagnosis.height_of))
