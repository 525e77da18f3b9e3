"""How one plane and the result are drawn: bone window, outlines, level names, rods, text."""

from __future__ import annotations

import textwrap

import numpy as np

from . import calibration, words
from .planes import Plane, Volume

BACKGROUND = "#101214"
_BODY, _MEASURED, _ROI, _EXCLUDED, _ROD = "#7d9cc0", "#4fc3f7", "#ffb000", "#ff66d9", "#7dff8a"
_INK, _DIM, _WARN = "#f2f2f2", "#a9b0b7", "#ffb74d"
_LOWEST_HU, _HIGHEST_HU = -250, 950
_LINE_CHARACTERS, _LAST_LINE = 60, 0.03

#: Flags that put a question mark behind every level name.
_UNSURE_LEVELS = {"LEVEL_UNCERTAIN", "TRANSITIONAL_ANATOMY"}


def draw(axes, plane: Plane, title: str, document: dict) -> None:
    """The picture in true proportions, outlines of bodies (dashed when cut off), ROI and what it leaves out, sides, a scale bar."""
    left, right, bottom, top = plane.extent_mm
    origin = "lower" if bottom < top else "upper"
    axes.imshow(plane.hu, cmap="gray", vmin=_LOWEST_HU, vmax=_HIGHEST_HU, extent=plane.extent_mm, origin=origin, interpolation="bilinear")
    reported = words.measured(document)
    for vertebra in document["vertebrae"]:
        measured = vertebra in reported
        style = dict(
            colors=_MEASURED if measured else _BODY,
            linewidths=1.1 if measured else 0.8,
            linestyles="solid" if vertebra["complete"] else "dashed",
        )
        _outline(axes, plane, plane.labels == vertebra["label"], **style)
        if measured:
            _outline(axes, plane, plane.roi == vertebra["label"], colors=_ROI, linewidths=1.1)
            _outline(axes, plane, plane.excluded == vertebra["label"], colors=_EXCLUDED, linewidths=1.3)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    _write(axes, 0, 1, title + " ", size=8, va="bottom", color=_DIM, clip_on=False)
    _write(axes, 0.015, 0.5, plane.left, size=7, va="center", color=_DIM)
    _write(axes, 0.985, 0.5, plane.right, size=7, va="center", ha="right", color=_DIM)
    _scale_bar(axes, plane)


def name_levels(axes, plane: Plane, document: dict) -> None:
    """Each level's name beside its body, and whether it was left out; with a question mark where the levels are uncertain."""
    patient = document["patient"]
    doubt = "?" if _UNSURE_LEVELS & {*patient["flags"], *patient["refusals"]} else ""
    columns, rows = plane.axes_mm
    reported = words.measured(document)
    for vertebra in document["vertebrae"]:
        inside = plane.labels == vertebra["label"]
        if inside.any():
            x = columns[np.flatnonzero(inside.any(axis=0))[0]] - 3
            y = rows[np.flatnonzero(inside.any(axis=1))].mean()
            counts = words.counts(document, vertebra)
            name = vertebra["level"] + doubt + ("" if counts else "\nleft out")
            color = _WARN if not counts else _MEASURED if vertebra in reported else _INK
            _write(axes, x, y, name, size=8, va="center", ha="right", color=color, transform=axes.transData)


def circle_rods(axes, rods: list[tuple[np.ndarray, dict]]) -> None:
    """A circle around each rod with its name; ``rods``: position in the volume's mm and the document's entry."""
    from matplotlib.patches import Circle

    for position, rod in rods:
        x, y = position[:2]
        axes.add_patch(Circle((x, y), rod["radius_mm"], fill=False, edgecolor=_ROD, linewidth=0.9))
        _write(axes, x, y - 1.6 * rod["radius_mm"], rod["id"], size=6, va="bottom", ha="center", color=_ROD, transform=axes.transData)


def draw_legend(figure, document: dict, volume: Volume, left: float, y: float) -> None:
    """A line of what the colours mean, for those that occur, from the fraction ``left`` at the height ``y`` of the figure."""
    from matplotlib.lines import Line2D

    cut_off = any(not vertebra["complete"] for vertebra in document["vertebrae"])
    entries = [("vertebral body", _BODY, "solid", True), ("cut off", _BODY, "dashed", cut_off)]
    entries += [("measured body", _MEASURED, "solid", bool(words.measured(document))), ("ROI", _ROI, "solid", volume.roi.any())]
    entries += [("finding left out of the ROI", _EXCLUDED, "solid", volume.excluded.any())]
    entries += [("calibration rod", _ROD, "solid", bool(calibration.rods_in_scan(document)))]
    width = figure.get_size_inches()[0]
    for text, color, style, occurs in entries:
        if occurs:
            figure.add_artist(Line2D([left, left + 0.25 / width], [y, y], color=color, linewidth=1.8, linestyle=style))
            figure.text(left + 0.32 / width, y, text, fontsize=8, color=_DIM, va="center")
            left += (0.32 + 0.06 * len(text) + 0.25) / width


def write_result(figure, document: dict, left: float) -> None:
    """The text column from the fraction ``left`` of the figure's width: value, levels, calibration, reasons to doubt."""
    height_points = 72 * figure.get_size_inches()[1]
    y = 0.975
    for text, size, color, weight in _result_lines(document):
        for line in textwrap.wrap(text, int(_LINE_CHARACTERS * 7.5 / size)) or [""]:
            if y < _LAST_LINE:
                return
            if y < _LAST_LINE + 2 * 1.32 * size / height_points:
                line = "More in report.html."
                y, color, weight = _LAST_LINE, _DIM, "normal"
            figure.text(left, y, line, fontsize=size, color=color, fontweight=weight, va="top")
            y -= 1.32 * size / height_points


def _result_lines(document: dict) -> list[tuple[str, float, str, str]]:
    """(text, size in points, colour, weight) from top to bottom."""
    patient, unit = document["patient"], words.unit(document)
    lines = [
        (f"VertebralBMD {document['software']['version']}", 9, _DIM, "normal"),
        (words.RESEARCH_USE, 7, _WARN, "normal"),
        ("", 6, _DIM, "normal"),
    ]
    if "vbmd_mg_cm3" in patient:
        lines.append((f"{words.number(patient['vbmd_mg_cm3'])} {unit}", 15, _INK, "bold"))
    lines.append((f"{words.SYMBOLS[patient['category']]} {words.CATEGORIES[patient['category']]}", 12, _INK, "bold"))
    if words.measured(document) and patient["levels"]:
        meaning = "Mean of" if "vbmd_mg_cm3" in patient else "Measured:"
        lines.append((f"{meaning} {', '.join(patient['levels'])} {words.uncertainty(document)}", 7.5, _DIM, "normal"))
    lines += [(f"Left out: {words.left_out(document)}", 7.5, _WARN, "normal")] if words.left_out(document) else []
    if "thresholds" in patient and patient["category"] != "withheld":
        lines.append((f"Limits ({patient['thresholds']['name']}): {words.limits(document)}", 7.5, _DIM, "normal"))
    lines += [(patient["hu_band"], 7.5, _INK, "normal")] if "hu_band" in patient else []
    lines.append(("", 6, _DIM, "normal"))
    for vertebra in words.measured(document):
        lines += _vertebra_lines(vertebra, words.counts(document, vertebra))
    lines += [("", 6, _DIM, "normal"), (f"Calibration: {calibration.summary(document)}", 7.5, _DIM, "normal"), ("", 6, _DIM, "normal")]
    for reason in words.reasons(document):
        where = f" ({', '.join(reason.levels)})" if reason.levels else ""
        lines.append((("Refused: " if reason.refusal else "") + reason.code + where, 8, _WARN, "bold"))
        lines.append((reason.message, 7.5, _INK, "normal"))
    return lines


def _vertebra_lines(vertebra: dict, counts: bool) -> list[tuple[str, float, str, str]]:
    network = f" (network {words.number(vertebra['vbmd_network_mg_cm3'])})" if "vbmd_network_mg_cm3" in vertebra else ""
    density = f"{words.number(vertebra['vbmd_roi_mg_cm3'])}{network} mg/cm³   " if "vbmd_roi_mg_cm3" in vertebra else ""
    hu = f"{words.number(vertebra['roi_mean_hu'])} ± {words.number(vertebra['roi_sd_hu'])} HU"
    lines = [(f"{vertebra['level']}   {density}{hu}", 8, _MEASURED if counts else _WARN, "normal")]
    return lines + ([(f"      without {words.excluded(vertebra)}", 7.5, _EXCLUDED, "normal")] if vertebra.get("excluded") else [])


def _outline(axes, plane: Plane, mask: np.ndarray, **style) -> None:
    if mask.any() and not mask.all():
        axes.contour(*plane.axes_mm, mask.astype(np.float32), levels=[0.5], **style)


def _scale_bar(axes, plane: Plane) -> None:
    left, right, bottom, top = plane.extent_mm
    length = 50 if right - left > 2.5 * 50 else 20
    y = bottom + 0.025 * (top - bottom)
    end = right - 0.04 * (right - left)
    axes.plot([end - length, end], [y, y], color=_INK, linewidth=1.6, solid_capstyle="butt")
    _write(axes, end - length / 2, y + 0.012 * (top - bottom), f"{length} mm", size=6, ha="center", va="bottom", transform=axes.transData)


def _write(axes, x: float, y: float, text: str, size: float, **style) -> None:
    """Text with a dark rim, in fractions of the axes unless ``transform`` says otherwise."""
    from matplotlib.patheffects import withStroke

    style = dict(color=_INK, transform=axes.transAxes, clip_on=True) | style
    axes.text(x, y, text, fontsize=size, path_effects=[withStroke(linewidth=1.8, foreground="black")], **style)
