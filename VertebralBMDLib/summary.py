"""What the panel says: the patient line with every reason to doubt or withhold it."""

from __future__ import annotations

import html

from .quality import ALLOWABLE, Code, in_panel
from .report import calibration, words

#: Background of each category, below white letters.
CATEGORY_COLOURS = {"osteoporosis": "#a3231f", "low_bone_mass": "#8a5a00", "normal": "#1b6b3a", "withheld": "#4d5965"}


def density_unit(document: dict) -> str:
    """mg/cm³ of the reference material's equivalent ("mg/cm³ CaHA-eq"), plain mg/cm³ without a calibration."""
    return words.unit(document) + ("-eq" if document["calibration"]["material"] else "")


def patient_summary(document: dict) -> str:
    """HTML that Qt's rich text understands, from the content of measurement.json."""
    patient = document["patient"]
    headline = words.CATEGORIES[patient["category"]]
    if "vbmd_mg_cm3" in patient:
        headline = f"{words.number(patient['vbmd_mg_cm3'])} {density_unit(document)}: {headline}"
    lines = [f'<span style="{_chip(patient["category"])}">&nbsp;{words.SYMBOLS[patient["category"]]} <b>{headline}</b>&nbsp;</span>']
    if "vbmd_mg_cm3" in patient:
        lines += [f"Mean of {', '.join(patient['levels'])} {words.uncertainty(document)}".rstrip()]
    if words.left_out(document):
        lines.append(f"Left out: {words.left_out(document)}")
    lines += _networks(document)
    if patient["category"] != "withheld":
        lines.append(f"Limits ({html.escape(patient['thresholds']['title'])}): {words.limits(document)}")
    if "hu_band" in patient:
        lines.append(html.escape(patient["hu_band"]))
    if document["calibration"]["source"] != "none":
        checks = calibration.passed(document)
        lines.append(f"Calibration: {html.escape(calibration.summary(document))}" + (f"; {checks}" if checks else ""))
    items = "".join(f"<li>{html.escape(_reason(reason))}</li>" for reason in words.reasons(document))
    return "<br>".join(lines) + (f'<ul style="margin: 6px 0px 6px -24px">{items}</ul>' if items else "")


def _reason(reason: words.Reason) -> str:
    message = in_panel(reason.code) or reason.message
    if reason.refusal:
        return f"✗ Refused: {message}"
    return f"⚠ {', '.join(reason.levels)}: {message}" if reason.levels else f"⚠ {message}"


def _chip(category: str) -> str:
    """White on the category's colour, which is readable on a light and on a dark panel alike."""
    return f"background-color:{CATEGORY_COLOURS[category]}; color:#ffffff"


def _networks(document: dict) -> list[str]:
    """What the network reads in place of the ROI, as the mean of the same levels: "Network: 97.2 (ROI 98.4, difference −1.2)"."""
    counting = [v for v in document["vertebrae"] if v["level"] in document["patient"]["levels"]]
    pairs = [(v.get("vbmd_roi_mg_cm3"), v.get("vbmd_network_mg_cm3")) for v in counting]
    if not pairs or any(None in pair for pair in pairs):
        return []
    roi, network = (sum(values) / len(values) for values in zip(*pairs))
    return [
        f"Network: {words.number(network)} (ROI {words.number(roi)}, difference {words.number(network - roi)} {density_unit(document)})"
    ]


def can_be_allowed(document: dict) -> list[Code]:
    """The refusals of a measurement that the user may overrule."""
    return [code for code in sorted(ALLOWABLE) if code.value in document["patient"]["refusals"]]
