"""The calibration in words: its tier, its line, its uncertainty, its checks, and whether it was converted."""

from __future__ import annotations

from dataclasses import dataclass

from .words import material, number, unit

TISSUES = {"air": "air", "fat": "fat", "muscle": "muscle", "blood": "blood", "cortical_bone": "cortical bone"}

#: Each status of a check, from good to bad: a sign and a word, so that neither rests on colour.
STATUS = {"pass": ("✓", "pass"), "warn": ("⚠", "warn"), "fail": ("✗", "fail")}

_CHECKS = {"R_SQUARED": "R²", "RMSE": "RMSE", "SLOPE_INVERTED": "Slope, inverted", "TISSUE_GATE": "Tissue"}

_TIERS = {"phantom": "Phantom in the scan", "asynchronous": "Asynchronous phantom scan", "none": "None"}
_TISSUE_TIERS = {"site": "Site regression on the patient's own tissues", "physics": "Patient's own tissues (physics, research only)"}


def tier(document: dict) -> str:
    """Where the line comes from: "Asynchronous phantom scan of 12 days before"."""
    line = document["calibration"]
    if line["source"] == "tissue":
        return _TISSUE_TIERS.get(line.get("method"), "Patient's own tissues")
    days = next((check.get("value") for check in line["checks"] if check["code"] == "PHANTOM_AGE"), None)
    if line["source"] != "asynchronous" or days is None:
        return _TIERS[line["source"]]
    apart = f"{number(abs(days), 0)} day{'' if round(abs(days)) == 1 else 's'} {'before' if days >= 0 else 'after'}"
    return f"{_TIERS['asynchronous']} of {apart if round(days) else 'the same day'}"


def rods_in_scan(document: dict) -> list[dict]:
    """The rods that lie in the patient's scan; those of another scan have their places there."""
    line = document["calibration"]
    return line.get("rods", []) if line["source"] == "phantom" else []


@dataclass(frozen=True)
class FittedRod:
    """A rod beside the line: what its certificate says, what it reads, what the line gives it, and certificate minus line.

    Densities in mg/cm³ of the phantom's material, also after a conversion; ``hu_on_line``: HU without the rod's own water
    (Mindways), for other rods ``hu``.
    """

    id: str
    density_mg_cm3: float
    hu: float
    sd_hu: float
    line_mg_cm3: float
    residual_mg_cm3: float
    hu_on_line: float


def fitted_rods(document: dict) -> list[FittedRod]:
    """The rods in the patient's scan with their line; none where the document does not hold both."""
    rods, line = rods_in_scan(document), line_of_rods(document)
    if line is None or any("residual_mg_cm3" not in rod for rod in rods):
        return []
    found = []
    for rod in rods:
        read = rod["density_mg_cm3"] - rod["residual_mg_cm3"]
        hu = (read - line[1]) / line[0] if "water_mg_cm3" in rod else rod["hu"]
        found.append(FittedRod(rod["id"], rod["density_mg_cm3"], rod["hu"], rod["sd_hu"], read, rod["residual_mg_cm3"], hu))
    return found


def line_of_rods(document: dict) -> tuple[float, float] | None:
    """Slope and intercept of the line in the phantom's own material, before a conversion; None without a line."""
    line = document["calibration"]
    if "slope_mg_cm3_per_hu" not in line:
        return None
    factor = document["settings"]["convert"]["factor"] if conversion(document) else 1.0
    return line["slope_mg_cm3_per_hu"] / factor, line["intercept_mg_cm3"] / factor


def rod_unit(document: dict) -> str:
    """The unit of the rods, in letters that the fonts of slice and plot views have."""
    name = None if conversion(document) else document["calibration"]["material"]
    return f"mg/cm³ {name or 'before the conversion'}"


def equation(document: dict) -> str:
    """The line with its numbers, or "" without one."""
    line = document["calibration"]
    if "slope_mg_cm3_per_hu" not in line:
        return ""
    sign = "−" if line["intercept_mg_cm3"] < 0 else "+"
    return f"vBMD = {line['slope_mg_cm3_per_hu']:.4f} × HU {sign} {abs(line['intercept_mg_cm3']):.2f} {unit(document)}"


def quality(document: dict) -> list[str]:
    """What is known of the line: its uncertainty, R², RMSE."""
    return _known(document, uncertainty_mg_cm3="SD {:.1f} mg/cm³ at 100 mg/cm³", r_squared="R² {:.4f}", rmse_mg_cm3="RMSE {:.1f} mg/cm³")


def standard_errors(document: dict) -> str:
    """Those of slope and intercept, or ""."""
    return ", ".join(_known(document, slope_se="slope {:.4f} mg/cm³ per HU", intercept_se="intercept {:.2f} mg/cm³"))


def _known(document: dict, **texts: str) -> list[str]:
    line = document["calibration"]
    return [text.format(line[key]) for key, text in texts.items() if key in line]


def conversion(document: dict) -> str:
    """The conversion that the user asked for, or ""."""
    asked = document["settings"].get("convert")
    if not asked or "MATERIAL_CONVERTED" not in document["patient"]["flags"]:
        return ""
    return f"converted to {material(asked['material'])} by the factor {asked['factor']:g}"


def check_name(code: str) -> str:
    """The name of a check: "Rod noise" for ROD_NOISE."""
    return _CHECKS.get(code, code.replace("_", " ").capitalize())


def doubtful(document: dict) -> list[dict]:
    """The checks that did not pass."""
    return [check for check in document["calibration"]["checks"] if check["status"] != "pass"]


def passed(document: dict) -> str:
    """How many checks passed, or "" without checks."""
    checks = document["calibration"]["checks"]
    return f"{len(checks) - len(doubtful(document))} of {len(checks)} checks passed" if checks else ""


def summary(document: dict) -> str:
    """One line: tier, phantom, equation, conversion and quality of the fit."""
    line = document["calibration"]
    if line["source"] == "none":
        return "None, HU only"
    source = tier(document) + (f" ({line['phantom']})" if "phantom" in line else "")
    unusable = ["not used, because a check failed"] if any(check["status"] == "fail" for check in line["checks"]) else []
    return "; ".join(filter(None, (source, equation(document), conversion(document), *quality(document), *unusable)))


def tissues(document: dict) -> str:
    """The patient's own tissues in one line, "air −998, fat −104, muscle 55 HU", or ""."""
    read = ", ".join(f"{TISSUES[each['name']]} {number(each['hu'], 0)}" for each in document["calibration"].get("tissues", []))
    return f"{read} HU" if read else ""
