"""What the panel says: the patient line with every reason to doubt or withhold it."""

from __future__ import annotations

import html

from .report import calibration, words


def density_unit(document: dict) -> str:
    """mg/cm³ of the reference material's equivalent ("mg/cm³ CaHA-eq"), plain mg/cm³ without a calibration."""
    return words.unit(document) + ("-eq" if document["calibration"]["material"] else "")


def patient_summary(document: dict) -> str:
    """HTML that Qt's rich text understands, from the content of measurement.json."""
    patient = document["patient"]
    category = words.CATEGORIES[patient["category"]]
    lines = [f"<b>{category}</b>"]
    if "vbmd_mg_cm3" in patient:
        value = f"{words.number(patient['vbmd_mg_cm3'])} {density_unit(document)}"
        lines = [f"<b>{value}: {category}</b>", f"Mean of {', '.join(patient['levels'])} {words.uncertainty(document)}".rstrip()]
    if words.left_out(document):
        lines.append(f"Left out: {words.left_out(document)}")
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
    where = "Refused" if reason.refusal else ", ".join(reason.levels)
    return f"{where}: {reason.message}" if where else reason.message
