"""The bodies of a measurement as the panel lists them: name, certainty, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass

from .quality import Code, in_panel
from .report import words
from .segmentation.levels import CERTAIN


@dataclass(frozen=True)
class FoundBody:
    """One row of the panel's list of bodies. ``mark``: pass, warn or fail; ``told``: all that is to say, in sentences."""

    level: str
    certainty: str
    volume: str
    mark: str
    state: str
    told: str


def found_bodies(document: dict) -> list[FoundBody]:
    """The bodies of a measurement, from cranial to caudal."""
    return [_found_body(document, vertebra) for vertebra in document["vertebrae"]]


def _found_body(document: dict, vertebra: dict) -> FoundBody:
    level, flags = vertebra["level"], list(vertebra["flags"])
    lost = {entry["level"]: entry["code"] for entry in document["patient"].get("left_out", [])}
    if "roi_mean_hu" not in vertebra:
        wanted = level in document["settings"]["levels"] or not vertebra["complete"]
        state = "cut off by the border" if not vertebra["complete"] else "not measured" if wanted else "found"
        mark = "fail" if level in document["settings"]["levels"] else ""
    elif level in lost or level in words.exclusions(document):
        reason = words.exclusions(document).get(level)
        mark, state = "fail", f"excluded: {reason}" if reason else "measured, left out"
    else:
        counts = level in document["patient"]["levels"] and "vbmd_mg_cm3" in document["patient"]
        mark, state = "pass", "counts" if counts else "measured"
    if vertebra["level_confidence"] < CERTAIN:
        flags, mark = [*flags, Code.LEVEL_UNCERTAIN.value], mark or "warn"
    if mark == "pass" and flags:
        mark, state = "warn", f"{state}, {len(flags)} reason{'s' if len(flags) > 1 else ''} to doubt"
    told = " ".join(in_panel(code) or document["messages"][code] for code in dict.fromkeys(flags))
    return FoundBody(level, words.percent(vertebra["level_confidence"]), words.number(vertebra.get("body_volume_cm3")), mark, state, told)
