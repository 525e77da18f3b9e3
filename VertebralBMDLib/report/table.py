"""measurements.csv, one row per vertebra, and the table that the command line prints."""

from __future__ import annotations

import csv
import textwrap
from pathlib import Path

from . import calibration, words

#: Columns of measurements.csv. An absent value is an empty cell; floats carry full precision; flags are joined with ";".
#: mg/cm³ and mg are of ``material``; confidence, probability and height loss are fractions; ``label`` is the VerSe number;
#: ``excluded_mean_hu`` is the mean over all findings by volume; ``patient_left_out`` holds LEVEL:CODE;
#: ``exclusion_reason``: why the user left this level out.
COLUMNS = (
    "software_version", "engine", "series_uid", "manufacturer", "model", "contrast", "kvp", "kernel", "slice_thickness_mm",
    "calibration_source", "calibration_method", "phantom", "material", "slope_mg_cm3_per_hu", "slope_se", "intercept_mg_cm3",
    "intercept_se", "r_squared", "rmse_mg_cm3", "calibration_uncertainty_mg_cm3",
    "air_hu", "fat_hu", "muscle_hu", "blood_hu", "cortical_bone_hu",
    "level", "label", "level_confidence", "complete", "body_volume_cm3", "roi_volume_cm3", "roi_mean_hu", "roi_sd_hu", "roi_texture_sd_hu", "roi_median_hu",
    "roi_p05_hu", "roi_p25_hu", "roi_p75_hu", "roi_p95_hu", "whole_roi_volume_cm3", "whole_roi_mean_hu",
    "vbmd_roi_mg_cm3", "vbmd_whole_roi_mg_cm3", "excluded_kinds", "excluded_volume_cm3", "excluded_mean_hu",
    "vbmd_network_mg_cm3", "vbmd_network_low_mg_cm3", "vbmd_network_high_mg_cm3", "osteoporosis_probability",
    "low_bone_mass_probability", "cortical_mg_cm3", "cortical_volume_cm3", "integral_mg_cm3", "bmc_mg",
    "height_anterior_mm", "height_middle_mm", "height_posterior_mm", "height_loss", "flags", "exclusion_reason",
    "patient_levels", "patient_left_out", "patient_vbmd_mg_cm3", "patient_vbmd_source", "patient_uncertainty_mg_cm3",
    "patient_integral_mg_cm3", "patient_category", "thresholds", "patient_flags", "patient_refusals",
    "review", "review_time", "review_comment",
)  # fmt: skip

_WIDTH = 110

#: A terminal may know Latin-1 only.
_TERMINAL = str.maketrans("₂₄−–", "24--")


def rows(document: dict) -> list[dict]:
    """One dictionary per vertebra of the document, with the keys of COLUMNS; absent values are ""."""
    scan, line, software = document["scan"], document["calibration"], document["software"]
    common = scan | line | _patient_cells(document["patient"]) | _review_cells(document.get("review", {}))
    common |= {f"{tissue['name']}_hu": tissue["hu"] for tissue in line.get("tissues", [])}
    common |= dict(
        software_version=software["version"],
        engine=software["engine"],
        calibration_source=line["source"],
        calibration_method=line.get("method"),
        calibration_uncertainty_mg_cm3=line.get("uncertainty_mg_cm3"),
    )
    table = []
    reasons = words.exclusions(document)
    for vertebra in document["vertebrae"]:
        row = common | vertebra | _vertebra_cells(vertebra) | dict(exclusion_reason=reasons.get(vertebra["level"]))
        table.append({column: _cell(row.get(column)) for column in COLUMNS})
    return table


def _patient_cells(patient: dict) -> dict:
    return dict(
        patient_levels=";".join(patient["levels"]),
        patient_left_out=";".join(f"{entry['level']}:{entry['code']}" for entry in patient.get("left_out", [])),
        patient_vbmd_mg_cm3=patient.get("vbmd_mg_cm3"),
        patient_vbmd_source=patient.get("vbmd_source"),
        patient_uncertainty_mg_cm3=patient.get("uncertainty_mg_cm3"),
        patient_integral_mg_cm3=patient.get("integral_mg_cm3"),
        patient_category=patient["category"],
        thresholds=patient["thresholds"]["name"] if "thresholds" in patient else None,
        patient_flags=";".join(patient["flags"]),
        patient_refusals=";".join(patient["refusals"]),
    )


def _review_cells(review: dict) -> dict:
    """A comment that a spreadsheet would take for a formula is made text."""
    comment = review.get("comment", "")
    formula = comment[:1] in ("=", "+", "-", "@")
    return dict(review=review.get("status"), review_time=review.get("time"), review_comment="'" * formula + comment)


def _vertebra_cells(vertebra: dict) -> dict:
    """What a row says in other columns than the document's keys."""
    cells = {f"height_{part}_mm": value for part, value in vertebra.get("heights_mm", {}).items()}
    cells |= {f"roi_{name}_hu": value for name, value in vertebra.get("roi_percentiles_hu", {}).items()}
    interval = vertebra.get("vbmd_network_interval95_mg_cm3", ())
    cells |= {f"vbmd_network_{name}_mg_cm3": value for name, value in zip(("low", "high"), interval)}
    findings = vertebra.get("excluded", [])
    if findings:
        volume = sum(each["volume_cm3"] for each in findings)
        cells["excluded_kinds"] = ";".join(each["kind"] for each in findings)
        cells["excluded_volume_cm3"] = volume
        cells["excluded_mean_hu"] = sum(each["volume_cm3"] * each["mean_hu"] for each in findings) / volume
    return cells | dict(flags=";".join(vertebra["flags"]), complete="yes" if vertebra["complete"] else "no")


def write_csv(document: dict, path: str | Path) -> None:
    """Write ``document`` as UTF-8 with LF line ends; only the header when it has no vertebra."""
    with Path(path).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows(document))


def tab_separated(document: dict) -> str:
    """The measured vertebrae with the titles of COLUMNS, as a spreadsheet takes them from the clipboard."""
    lines = [COLUMNS, *(row.values() for row in rows(document) if row["roi_mean_hu"])]
    return "\n".join("\t".join(" ".join(cell.split()) for cell in line) for line in lines)


def _cell(value) -> str:
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def text_table(document: dict) -> str:
    """The result as aligned text: patient line, vertebrae, calibration, then every flag and refusal with its remedy."""
    title = f"VertebralBMD {document['software']['version']}. {words.RESEARCH_USE}"
    parts = [title, "\n".join(_patient(document)), _vertebrae(document), "\n".join(_calibration(document)), "\n".join(_reasons(document))]
    return ("\n\n".join(part for part in parts if part) + "\n").translate(_TERMINAL)


def _patient(document: dict) -> list[str]:
    patient = document["patient"]
    levels = ", ".join(patient["levels"]) or "no level counts"
    value = f"{words.number(patient.get('vbmd_mg_cm3'))} {words.unit(document)} {words.uncertainty(document)}".rstrip() + ", "
    lines = [f"Patient ({levels}): {value if 'vbmd_mg_cm3' in patient else ''}{words.CATEGORIES[patient['category']].lower()}"]
    if words.left_out(document):
        lines.append(f"Left out: {words.left_out(document)}")
    if "thresholds" in patient and patient["category"] != "withheld":
        limits = patient["thresholds"]
        of = f"Integral vBMD {words.number(patient['integral_mg_cm3'])}. " if limits["quantity"] == "integral_vbmd" else ""
        lines.append(f"{of}Limits ({limits['name']}): {words.limits(document)}, for {limits['population']} ({limits['source']})")
    lines += [f"Without calibration: {patient['hu_band']}"] if "hu_band" in patient else []
    lines += [f"Review: {words.review(document)}"] if "review" in document else []
    return [_wrapped(line) for line in lines]


def _vertebrae(document: dict) -> str:
    shown = words.reported(document)
    if not shown:
        return f"Found: {words.others(document)}" if document["vertebrae"] else ""
    table = [
        ["", "certainty", "body", "ROI", "ROI mean ± SD", "vBMD ROI", "vBMD net", "P(low)", "integral", "cortical", "BMC", "height"],
        ["", "of level", "cm³", "cm³", "HU", "mg/cm³", "mg/cm³", "", "mg/cm³", "mg/cm³", "mg", "lost"],
    ]
    for v in shown:
        hu = f"{words.number(v['roi_mean_hu'])} ± {words.number(v['roi_sd_hu'])}" if "roi_mean_hu" in v else "not measured"
        densities = [words.number(v.get("vbmd_roi_mg_cm3")), words.network(v)]
        probability = words.number(v.get("low_bone_mass_probability"), 2)
        content = [words.number(v.get("integral_mg_cm3")), words.number(v.get("cortical_mg_cm3")), words.number(v.get("bmc_mg"), 0)]
        volumes = [words.number(v["body_volume_cm3"]), words.number(v.get("roi_volume_cm3"))]
        lost = words.percent(v.get("height_loss"))
        table.append([v["level"], words.percent(v["level_confidence"]), *volumes, hu, *densities, probability, *content, lost])
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)).rstrip() for row in table]
    lines += [_excluded(vertebra) for vertebra in shown if vertebra.get("excluded")]
    if words.others(document):
        lines.append(f"Also found: {words.others(document)}")
    return "\n".join(lines)


def _excluded(vertebra: dict) -> str:
    """What was left out of a ROI, and what it would be with it."""
    whole = [f"{words.number(vertebra['vbmd_whole_roi_mg_cm3'])} mg/cm³"] if "vbmd_whole_roi_mg_cm3" in vertebra else []
    whole += [f"{words.number(vertebra['whole_roi_mean_hu'])} HU"] if "whole_roi_mean_hu" in vertebra else []
    beside = f"; with it {', '.join(whole)}" if whole else ""
    return _wrapped(f"{vertebra['level']} without {words.excluded(vertebra)}{beside}")


def _calibration(document: dict) -> list[str]:
    """The line and the checks that did not pass; those that did are counted only."""
    lines = ["; ".join(filter(None, (f"Calibration: {calibration.summary(document)}", calibration.passed(document))))]
    for check in calibration.doubtful(document):
        value = f" {check['value']:.4g}" if "value" in check else ""
        lines.append(
            f"  {check['status']} {check['code']}{value} ({check['limit']}): {check['message']} {check.get('remedy', '')}".rstrip()
        )
    lines += [f"Tissues: {calibration.tissues(document)}"] if calibration.tissues(document) else []
    return [_wrapped(line) for line in lines]


def _reasons(document: dict) -> list[str]:
    lines = []
    for reason in words.reasons(document):
        where = f" ({', '.join(reason.levels)})" if reason.levels else ""
        text = f"{'Refused' if reason.refusal else 'Flag'} {reason.code}{where}: {reason.message}"
        lines.append(_wrapped(text))
    if "refusal_detail" in document["patient"]:
        lines.append(f"Seen: {document['patient']['refusal_detail']}")
    return lines


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
