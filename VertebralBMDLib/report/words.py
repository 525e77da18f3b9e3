"""What every reader's page says in the same words: categories, units, limits, what counts, the reasons to doubt."""

from __future__ import annotations

from dataclasses import dataclass

RESEARCH_USE = "For research use only. Not a medical device, not for diagnosis."

CATEGORIES = {
    "osteoporosis": "Osteoporosis",
    "low_bone_mass": "Low bone mass",
    "normal": "Normal",
    "withheld": "Category withheld",
}

#: A shape for each category, so that it never rests on colour alone.
SYMBOLS = {"osteoporosis": "▼", "low_bone_mass": "◆", "normal": "●", "withheld": "○"}

#: What a reader may say of a measurement.
REVIEWS = {"accepted": "Accepted", "corrected": "Corrected", "rejected": "Rejected"}

KINDS = {"island": "bone island", "blastic": "blastic lesion", "lytic": "lytic lesion", "vacuum": "vacuum", "sclerosis": "sclerosis"}

_MATERIALS = {"K2HPO4": "K₂HPO₄", "CaHA": "CaHA"}


@dataclass(frozen=True)
class Reason:
    """A refusal or flag as a reader sees it. ``levels`` is empty where it holds for the whole run."""

    code: str
    refusal: bool
    levels: tuple[str, ...]
    message: str


def material(name: str | None) -> str:
    """K2HPO4 with its subscripts; "" for None."""
    return _MATERIALS.get(name, "")


def unit(document: dict) -> str:
    """mg/cm³ with the reference material, for example "mg/cm³ K₂HPO₄"."""
    return f"mg/cm³ {material(document['calibration']['material'])}".rstrip()


def number(value: float | None, digits: int = 1) -> str:
    """``value`` with ``digits`` decimals and a true minus sign; a dash for None."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return (text if float(text) else text.lstrip("-")).replace("-", "−")


def network(vertebra: dict) -> str:
    """The network's vBMD with its 95 % interval; a dash where there is none."""
    low, high = vertebra.get("vbmd_network_interval95_mg_cm3", (None, None))
    value = number(vertebra.get("vbmd_network_mg_cm3"))
    return value if low is None else f"{value} ({number(low, 0)}–{number(high, 0)})"


def percent(fraction: float | None) -> str:
    """A fraction in per cent; a dash for None."""
    return "–" if fraction is None else f"{number(100 * fraction, 0)} %"


def reported(document: dict) -> list[dict]:
    """The vertebrae a reader asked for or whose value counts, from cranial to caudal; not those measured in reserve."""
    shown = {*document["settings"]["levels"], *document["patient"]["levels"]}
    shown.update(entry["level"] for entry in document["patient"].get("left_out", []))
    return [vertebra for vertebra in document["vertebrae"] if vertebra["level"] in shown]


def measured(document: dict) -> list[dict]:
    """The reported vertebrae that were measured."""
    return [vertebra for vertebra in reported(document) if "roi_mean_hu" in vertebra]


def others(document: dict) -> str:
    """The bodies that were found besides the reported ones: "T11, T12 (cut off), L3 (in reserve)"."""
    shown, listed = reported(document), []
    for vertebra in document["vertebrae"]:
        note = " (in reserve)" if "roi_mean_hu" in vertebra else "" if vertebra["complete"] else " (cut off)"
        listed += [] if vertebra in shown else [vertebra["level"] + note]
    return ", ".join(listed)


def uncertainty(document: dict) -> str:
    """What the calibration adds to the patient's value: "± 1.2 (SD of the calibration alone)", or ""."""
    value = document["patient"].get("uncertainty_mg_cm3")
    return "" if value is None else f"± {number(value)} (SD of the calibration alone)"


def counts(document: dict, vertebra: dict) -> bool:
    """False for a vertebra that was left out of the patient's value."""
    return vertebra["level"] not in {entry["level"] for entry in document["patient"].get("left_out", [])}


def exclusions(document: dict) -> dict[str, str]:
    """The levels that the user excluded, each with the reason."""
    return {entry["level"]: entry["reason"] for entry in document["settings"].get("exclude", [])}


def left_out(document: dict) -> str:
    """The levels that do not count for the value, with the codes of the reasons, and what the user said:
    "L1 (FRACTURE), L2 (LEVEL_EXCLUDED: cement)"."""
    said = exclusions(document)
    entries = document["patient"].get("left_out", [])
    return ", ".join(
        f"{entry['level']} ({entry['code']}{': ' + said[entry['level']] if entry['code'] == 'LEVEL_EXCLUDED' else ''})" for entry in entries
    )


def excluded(vertebra: dict) -> str:
    """The findings that were left out of its ROI: "bone island 0.21 cm³ (512 HU), vacuum 0.10 cm³ (−310 HU)", or ""."""
    findings = vertebra.get("excluded", [])
    return ", ".join(f"{KINDS[each['kind']]} {number(each['volume_cm3'], 2)} cm³ ({number(each['mean_hu'], 0)} HU)" for each in findings)


def review(document: dict) -> str:
    """What the reader said: "Accepted on 2026-11-23 05:10 UTC: comment", or ""."""
    said = document.get("review")
    if not said:
        return ""
    when = said["time"].replace("T", " ")[:16]
    return f"{REVIEWS[said['status']]} on {when} UTC" + (f": {said['comment']}" if "comment" in said else "")


def limits(document: dict) -> str:
    """The limits of the categories in words, or "" in a refused run."""
    thresholds = document["patient"].get("thresholds")
    if thresholds is None:
        return ""
    low, high = thresholds.get("osteoporosis_below_mg_cm3"), thresholds.get("normal_above_mg_cm3")
    if low is None:
        return "HU of L1 in words only, no category"
    of = " of integral vBMD" if thresholds["quantity"] == "integral_vbmd" else ""
    if high is not None:
        return f"osteoporosis below {low:g}, low bone mass {low:g} to {high:g}, normal above {high:g} mg/cm³{of}"
    span = thresholds.get("proposed_range_mg_cm3")
    proposed = f" (proposed: {span[0]:g} to {span[1]:g})" if span else ""
    return f"osteoporosis below {low:g} mg/cm³{of}{proposed}; from there upwards no category, because the source gives no limit"


def reasons(document: dict) -> list[Reason]:
    """Refusals first, then the patient's flags, then what holds for single reported vertebrae, each with its levels."""
    patient, messages = document["patient"], document["messages"]
    levels: dict[str, list[str]] = {}
    for vertebra in reported(document):
        for code in vertebra["flags"]:
            levels.setdefault(code, []).append(vertebra["level"])
    for entry in patient.get("left_out", []):
        where = levels.setdefault(entry["code"], [])
        where += [] if entry["level"] in where else [entry["level"]]
    found = dict.fromkeys((*patient["refusals"], *patient["flags"], *levels))
    return [Reason(code, code in patient["refusals"], tuple(levels.get(code, ())), messages[code]) for code in found]
