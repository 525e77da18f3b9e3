"""overview.png: the spine in sagittal and coronal planes, the ROI of each measured level, the rods and the result."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from . import calibration, drawing, words
from .planes import Box, Plane, Volume

_DPI = 150

#: Inches: lowest and greatest height of a column of pictures, gap between them, title above each, legend below all, width of
#: the text, of both long planes together, of one axial slice.
_LOW, _HIGH, _GAP, _TITLE, _LEGEND, _TEXT, _LONG, _AXIAL = 4.4, 6.9, 0.12, 0.2, 0.26, 3.6, 7.0, 3.2

#: Millimetres shown around the centres of the bodies: to the sides, to the front, to the back, above and below, and in axial slices.
_SIDE, _FRONT, _BACK, _ABOVE, _AROUND = 62.0, 60.0, 72.0, 38.0, 52.0


@dataclass(frozen=True)
class _Panel:
    """A plane with its place in the figure, in inches from the lower left corner."""

    kind: str
    plane: Plane
    title: str
    left: float
    bottom: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width


def write_overview(
    document: dict,
    image: sitk.Image,
    label_map: sitk.Image,
    path: str | Path,
    roi: sitk.Image | None = None,
    excluded: sitk.Image | None = None,
) -> bytes:
    """Write the overview of ``document`` as PNG, and return it without its text as PNG, for a page that has the text already.

    ``image``: the scan in HU, any orientation; ``label_map``, ``roi`` and ``excluded`` (what was left out of the ROI): VerSe
    labels on its grid. Shows no patient identifier. Raises ValueError when the document has no vertebra.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.image import imsave

    if not document["vertebrae"]:
        raise ValueError("There is no vertebra to draw.")
    volume = Volume(image, label_map, roi, excluded)
    panels, height = _panels(document, volume)
    pictures = max(panel.right for panel in panels) + _GAP
    width = pictures + _TEXT + 2 * _GAP
    figure = Figure((width, height), dpi=_DPI, facecolor=drawing.BACKGROUND)
    canvas = FigureCanvasAgg(figure)
    for panel in panels:
        axes = figure.add_axes((panel.left / width, panel.bottom / height, panel.width / width, panel.height / height))
        drawing.draw(axes, panel.plane, panel.title, document)
        if panel.kind == "long":
            drawing.name_levels(axes, panel.plane, document)
        if panel.kind == "rods":
            drawing.circle_rods(axes, [(volume.position_mm(rod["centre_lps_mm"]), rod) for rod in calibration.rods_in_scan(document)])
    drawing.draw_legend(figure, document, volume, _GAP / width, (_GAP + _LEGEND / 2) / height)
    drawing.write_result(figure, document, (pictures + _GAP) / width)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())
    imsave(path, drawn, format="png", dpi=_DPI)
    without_text = io.BytesIO()
    imsave(without_text, drawn[:, : round(pictures * _DPI)], format="png", dpi=_DPI)
    return without_text.getvalue()


def _panels(document: dict, volume: Volume) -> tuple[list[_Panel], float]:
    """Long planes on the left, then the axial slices in columns; and the height of the figure in inches."""
    line = np.array([volume.position_mm(vertebra["centroid_lps_mm"]) for vertebra in document["vertebrae"]])
    box = Box(line.min(axis=0) - (_SIDE, _FRONT, _ABOVE), line.max(axis=0) + (_SIDE, _BACK, _ABOVE))
    long_planes = [(volume.sagittal(line, box), "Sagittal, along the spine"), (volume.coronal(line, box), "Coronal, along the spine")]
    long_width, long_height = sum(plane.size_mm[0] for plane, title in long_planes), long_planes[0][0].size_mm[1]
    scale = min(_LONG / long_width, (_HIGH - _TITLE) / long_height)
    column_height = max(_LOW, scale * long_height + _TITLE)
    top = _GAP + _LEGEND + column_height
    panels = []
    for plane, title in long_planes:
        panels.append(_placed("long", plane, title, panels[-1].right + _GAP if panels else _GAP, top, scale))
    slices = _axial_planes(document, volume)
    columns = max(1, math.ceil(len(slices) / 3))
    rows = max(1, math.ceil(len(slices) / columns))
    side = min(_AXIAL, (column_height - (rows - 1) * _GAP) / rows - _TITLE)
    left = panels[-1].right + _GAP
    for index, (kind, plane, title) in enumerate(slices):
        column, row = divmod(index, rows)
        cell_top = top - row * (side + _TITLE + _GAP)
        panels.append(_placed(kind, plane, title, left + column * (side + _GAP), cell_top, side / max(plane.size_mm)))
    return panels, top + _GAP


def _placed(kind: str, plane: Plane, title: str, left: float, top: float, inches_per_mm: float) -> _Panel:
    width, height = (inches_per_mm * side for side in plane.size_mm)
    return _Panel(kind, plane, title, left, top - _TITLE - height, width, height)


def _axial_planes(document: dict, volume: Volume) -> list[tuple[str, Plane, str]]:
    """(kind, plane, title): each measured level (each requested one when none was measured), then the rods' slice."""
    slices = []
    for vertebra in words.measured(document) or words.reported(document):
        centre = volume.position_mm(vertebra["centroid_lps_mm"])
        height = volume.roi_height_mm(vertebra["label"])
        plane = volume.axial(centre[2] if height is None else height, Box(centre - _AROUND, centre + _AROUND))
        slices.append(("axial", plane, _axial_title(vertebra)))
    rods = calibration.rods_in_scan(document)
    if rods:
        height = float(np.median([volume.position_mm(rod["centre_lps_mm"])[2] for rod in rods]))
        slices.append(("rods", volume.axial(height), "Calibration rods"))
    return slices


def _axial_title(vertebra: dict) -> str:
    if "roi_mean_hu" not in vertebra:
        return f"{vertebra['level']}, not measured"
    return f"{vertebra['level']}, ROI {words.number(vertebra['roi_volume_cm3'])} cm³"
