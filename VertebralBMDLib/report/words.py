"""What every reader's page says in the same words: categories, units, the calibration line, the reasons to doubt."""

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

SOURCES = {"phantom": "Phantom in the scan", "asynchronous": "Asynchronous phantom scan", "tissue": "Patient's own tissues", "none": "None"}

_MATERIALS = {"K2HPO4": "K₂HPO₄", "CaHA": "CaHA"}


@dataclass(frozen=True)
class Reason:
    """A refusal or flag as a reader sees it. ``levels`` is empty where it holds for the whole run."""

    code: str
    refusal: bool
    levels: tuple[str, ...]
    message: str


def unit(document: dict) -> str:
    """mg/cm³ with the reference material, for example "mg/cm³ K₂HPO₄"."""
    return " ".join(filter(None, ("mg/cm³", _MATERIALS.get(document["calibration"]["material"]))))


def number(value: float | None, digits: int = 1) -> str:
    """``value`` with ``digits`` decimals and a true minus sign; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def measured(document: dict) -> list[dict]:
    """The vertebrae that were measured, from cranial to caudal."""
    return [vertebra for vertebra in document["vertebrae"] if "roi_mean_hu" in vertebra]


def reported(document: dict) -> list[dict]:
    """The vertebrae a reader asked for or got: measured ones, and requested ones that were found."""
    asked = document["settings"]["levels"]
    return [vertebra for vertebra in document["vertebrae"] if "roi_mean_hu" in vertebra or vertebra["level"] in asked]


def others(document: dict) -> str:
    """The bodies that were found besides the reported ones: "T11, T12 (cut off), L3"."""
    shown = reported(document)
    return ", ".join(v["level"] + ("" if v["complete"] else " (cut off)") for v in document["vertebrae"] if v not in shown)


def equation(document: dict) -> str:
    """The calibration line with its numbers, or "" without one."""
    line = document["calibration"]
    if "slope_mg_cm3_per_hu" not in line:
        return ""
    sign = "−" if line["intercept_mg_cm3"] < 0 else "+"
    return f"vBMD = {line['slope_mg_cm3_per_hu']:.4f} × HU {sign} {abs(line['intercept_mg_cm3']):.2f} {unit(document)}"


def calibration(document: dict) -> str:
    """One line: source, phantom, equation and quality of the fit."""
    line = document["calibration"]
    if line["source"] == "none":
        return "None, HU only"
    quality = [f"R² {line['r_squared']:.4f}"] if "r_squared" in line else []
    quality += [f"RMSE {line['rmse_mg_cm3']:.1f} mg/cm³"] if "rmse_mg_cm3" in line else []
    source = SOURCES[line["source"]] + (f" ({line['phantom']})" if "phantom" in line else "")
    unusable = ["not used, because a check failed"] if any(check["status"] == "fail" for check in line["checks"]) else []
    return "; ".join(filter(None, (source, equation(document), *quality, *unusable)))


def limits(document: dict) -> str:
    """The limits of the categories in words, or "" in a refused run."""
    if "thresholds" not in document["patient"]:
        return ""
    thresholds = document["patient"]["thresholds"]
    low, high = thresholds["osteoporosis_below_mg_cm3"], thresholds["normal_above_mg_cm3"]
    return f"osteoporosis below {low:g}, low bone mass {low:g} to {high:g}, normal above {high:g} mg/cm³"


def reasons(document: dict) -> list[Reason]:
    """Refusals first, then the patient's flags, then those of the reported vertebrae with their levels."""
    patient, messages = document["patient"], document["messages"]
    found = [Reason(code, True, (), messages[code]) for code in patient["refusals"]]
    found += [Reason(code, False, (), messages[code]) for code in patient["flags"] if code not in patient["refusals"]]
    levels: dict[str, list[str]] = {}
    for vertebra in reported(document):
        for code in vertebra["flags"]:
            levels.setdefault(code, []).append(vertebra["level"])
    said = {reason.code for reason in found}
    return found + [Reason(code, False, tuple(where), messages[code]) for code, where in levels.items() if code not in said]
