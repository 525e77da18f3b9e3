"""measurements.csv, one row per vertebra, and the table that the command line prints."""

from __future__ import annotations

import csv
import textwrap
from pathlib import Path

from . import words

#: Columns of measurements.csv. An absent value is an empty cell; floats carry full precision; flags are joined with ";".
#: mg/cm³ and mg are of ``material``; confidence and probability run from 0 to 1; ``label`` is the VerSe number.
COLUMNS = (
    "software_version", "engine", "series_uid", "contrast", "kvp", "kernel", "slice_thickness_mm",
    "calibration_source", "phantom", "material", "slope_mg_cm3_per_hu", "intercept_mg_cm3", "r_squared", "rmse_mg_cm3",
    "level", "label", "level_confidence", "complete", "body_volume_cm3", "roi_volume_cm3", "roi_mean_hu", "roi_sd_hu",
    "vbmd_roi_mg_cm3", "vbmd_network_mg_cm3", "low_bone_mass_probability", "cortical_mg_cm3", "integral_mg_cm3", "bmc_mg",
    "height_anterior_mm", "height_middle_mm", "height_posterior_mm", "flags",
    "patient_vbmd_mg_cm3", "patient_vbmd_source", "patient_category", "patient_flags", "patient_refusals",
)  # fmt: skip

_WIDTH = 110

#: A terminal may know Latin-1 only.
_TERMINAL = str.maketrans("₂₄−–", "24--")


def rows(document: dict) -> list[dict]:
    """One dictionary per vertebra of the document, with the keys of COLUMNS; absent values are ""."""
    scan, line, patient, software = (document[part] for part in ("scan", "calibration", "patient", "software"))
    common = (
        scan
        | line
        | dict(
            software_version=software["version"],
            engine=software["engine"],
            calibration_source=line["source"],
            patient_vbmd_mg_cm3=patient.get("vbmd_mg_cm3", ""),
            patient_vbmd_source=patient.get("vbmd_source", ""),
            patient_category=patient["category"],
            patient_flags=";".join(patient["flags"]),
            patient_refusals=";".join(patient["refusals"]),
        )
    )
    table = []
    for vertebra in document["vertebrae"]:
        heights = {f"height_{part}_mm": value for part, value in vertebra.get("heights_mm", {}).items()}
        row = common | vertebra | heights | dict(flags=";".join(vertebra["flags"]), complete="yes" if vertebra["complete"] else "no")
        table.append({column: _cell(row.get(column)) for column in COLUMNS})
    return table


def write_csv(document: dict, path: str | Path) -> None:
    """Write ``document`` as UTF-8 with LF line ends; only the header when it has no vertebra."""
    with Path(path).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows(document))


def _cell(value) -> str:
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def text_table(document: dict) -> str:
    """The result as aligned text: patient line, vertebrae, calibration, then every flag and refusal with its remedy."""
    title = f"VertebralBMD {document['software']['version']}. {words.RESEARCH_USE}"
    parts = [title, "\n".join(_patient(document)), _vertebrae(document), "\n".join(_calibration(document)), "\n".join(_reasons(document))]
    return ("\n\n".join(part for part in parts if part) + "\n").translate(_TERMINAL)


def _patient(document: dict) -> list[str]:
    patient = document["patient"]
    levels = ", ".join(patient["levels"]) or "no level measured"
    value = f"{words.number(patient['vbmd_mg_cm3'])} {words.unit(document)}, " if "vbmd_mg_cm3" in patient else ""
    lines = [f"Patient ({levels}): {value}{words.CATEGORIES[patient['category']].lower()}"]
    if words.limits(document) and patient["category"] != "withheld":
        lines.append(f"Limits: {words.limits(document)} ({patient['thresholds']['source']})")
    return lines


def _vertebrae(document: dict) -> str:
    shown = words.reported(document)
    if not shown:
        return f"Found: {words.others(document)}" if document["vertebrae"] else ""
    table = [
        ["", "certainty", "body", "ROI", "ROI mean ± SD", "vBMD ROI", "vBMD net", "P(low)", "integral", "cortical", "BMC"],
        ["", "of level", "cm³", "cm³", "HU", "mg/cm³", "mg/cm³", "", "mg/cm³", "mg/cm³", "mg"],
    ]
    for v in shown:
        hu = f"{words.number(v['roi_mean_hu'])} ± {words.number(v['roi_sd_hu'])}" if "roi_mean_hu" in v else "not measured"
        densities = [words.number(v.get(key)) for key in ("vbmd_roi_mg_cm3", "vbmd_network_mg_cm3")]
        probability = words.number(v.get("low_bone_mass_probability"), 2)
        content = [words.number(v.get("integral_mg_cm3")), words.number(v.get("cortical_mg_cm3")), words.number(v.get("bmc_mg"), 0)]
        volumes = [words.number(v["body_volume_cm3"]), words.number(v.get("roi_volume_cm3"))]
        table.append([v["level"], f"{100 * v['level_confidence']:.0f} %", *volumes, hu, *densities, probability, *content])
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)).rstrip() for row in table]
    if words.others(document):
        lines.append(f"Also found: {words.others(document)}")
    return "\n".join(lines)


def _calibration(document: dict) -> list[str]:
    checks = document["calibration"]["checks"]
    doubtful = [f"  {c['status']} {c['code']} {c['value']:.4g} ({c['limit']}): {c['message']}" for c in checks if c["status"] != "pass"]
    passed = sum(check["status"] == "pass" for check in checks)
    return [f"Calibration: {words.calibration(document)}" + (f"; {passed} of {len(checks)} checks passed" if checks else "")] + doubtful


def _reasons(document: dict) -> list[str]:
    lines = []
    for reason in words.reasons(document):
        where = f" ({', '.join(reason.levels)})" if reason.levels else ""
        text = f"{'Refused' if reason.refusal else 'Flag'} {reason.code}{where}: {reason.message}"
        lines.append(textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))
    if "refusal_detail" in document["patient"]:
        lines.append(f"Seen: {document['patient']['refusal_detail']}")
    return lines
