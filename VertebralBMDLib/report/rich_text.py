"""The report as plain HTML that Qt's text documents lay out, for printing to PDF inside 3D Slicer, which may lack jinja2."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

from . import calibration, words

_TITLE = "Vertebral bone mineral density on CT"
#: Of the printed page and the table on it.
_STYLE = "body { font-family: sans-serif; font-size: 9pt; } td, th { padding: 2px 6px; }"
_PICTURE_WIDTH = 660


def rich_text(document: dict, picture: bytes | None = None) -> str:
    """The page of ``document`` with the simplest HTML; ``picture``: a PNG. Every value is escaped."""
    reasons = [f"{'✕ Refused' if each.refusal else '! Flag'} {each.code}{_where(each)}: {each.message}" for each in words.reasons(document)]
    reasons += [f"! Allowed by the user: {code}" for code in document["settings"]["allow"]]
    parts = [
        f"<h2>{_TITLE}</h2><p><b>{html.escape(words.RESEARCH_USE)}</b></p>",
        _lines(_patient(document)),
        _picture(picture),
        _heading("Vertebrae", _vertebrae(document)),
        _heading("Reasons to doubt", _listed(reasons or ["✓ None was found by the program."])),
        _heading("Calibration", _lines(_calibration(document)), _rods(document), _checks(document)),
        _lines([_made_by(document)]),
    ]
    return f'<html><head><meta charset="utf-8"><title>{_TITLE}</title><style>{_STYLE}</style></head><body>{"".join(parts)}</body></html>'


def _patient(document: dict) -> list[str]:
    patient = document["patient"]
    category = f"{words.SYMBOLS[patient['category']]} {words.CATEGORIES[patient['category']]}"
    lines = [category]
    if "vbmd_mg_cm3" in patient:
        value = f"{words.number(patient['vbmd_mg_cm3'])} {words.unit(document)} {words.uncertainty(document)}".rstrip()
        lines = [f"{value}: {category}", f"Mean of {', '.join(patient['levels'])}"]
    lines += [f"Left out of the value: {words.left_out(document)}"] if words.left_out(document) else []
    if words.limits(document):
        lines.append(f"Limits ({patient['thresholds']['name']}): {words.limits(document)}, for {patient['thresholds']['population']}")
    lines += [f"Without calibration: {patient['hu_band']}"] if "hu_band" in patient else []
    return lines + ([f"Review: {words.review(document)}"] if words.review(document) else [])


def _vertebrae(document: dict) -> str:
    unit = words.unit(document)
    titles = (
        "Level",
        "Certainty",
        "ROI cm³",
        "ROI mean ± SD HU",
        f"vBMD ROI {unit}",
        f"vBMD network {unit}",
        f"Integral {unit}",
        "Height lost",
    )
    rows = []
    for v in words.reported(document):
        hu = f"{words.number(v['roi_mean_hu'])} ± {words.number(v['roi_sd_hu'])}" if "roi_mean_hu" in v else "not measured"
        values = [words.number(v.get(key)) for key in ("vbmd_roi_mg_cm3", "vbmd_network_mg_cm3", "integral_mg_cm3")]
        volume, lost = words.number(v.get("roi_volume_cm3")), words.percent(v.get("height_loss"))
        rows.append([v["level"], words.percent(v["level_confidence"]), volume, hu, *values, lost])
    found = words.others(document)
    return (_table(titles, rows) if rows else "") + (_lines([f"Also found: {found}"]) if found else "")


def _calibration(document: dict) -> list[str]:
    errors, tissues = calibration.standard_errors(document), calibration.tissues(document)
    return [calibration.summary(document)] + [f"Standard errors: {errors}"] * bool(errors) + [f"Tissues: {tissues}"] * bool(tissues)


def _rods(document: dict) -> str:
    rods = [
        [rod["id"], *(words.number(rod.get(key)) for key in ("density_mg_cm3", "hu", "sd_hu", "residual_mg_cm3"))]
        for rod in document["calibration"].get("rods", [])
    ]
    return _table(("Rod", "mg/cm³", "HU", "SD HU", "Residual mg/cm³"), rows=rods) if rods else ""


def _checks(document: dict) -> str:
    checks = [
        [
            check["status"],
            check["code"],
            words.number(check.get("value"), 3),
            check["limit"],
            f"{check['message']} {check.get('remedy', '')}",
        ]
        for check in document["calibration"]["checks"]
    ]
    return _table(("Check", "", "Value", "Limit", "Says"), checks) if checks else ""


def _made_by(document: dict) -> str:
    software, settings = document["software"], document["settings"]
    asked = f"{', '.join(settings['levels'])}; ROI {settings['region']}, erosion {settings['erosion_mm']:g} mm"
    return f"VertebralBMD {software['version']}, engine {software['engine']}; asked for {asked}"


def _where(reason: words.Reason) -> str:
    return f" ({', '.join(reason.levels)})" if reason.levels else ""


def _picture(picture: bytes | None) -> str:
    if picture is None:
        return ""
    return f'<p><img width="{_PICTURE_WIDTH}" src="data:image/png;base64,{base64.b64encode(picture).decode("ascii")}"></p>'


def _heading(title: str, *content: str) -> str:
    return f"<h3>{title}</h3>{''.join(content)}" if any(content) else ""


def _lines(lines: Sequence[str]) -> str:
    return f"<p>{'<br>'.join(map(html.escape, lines))}</p>"


def _listed(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th align="left">{html.escape(title)}</th>' for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table border="1" cellspacing="0"><tr>{head}</tr>{body}</table>'
