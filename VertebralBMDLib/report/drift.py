"""Pictures of a phantom scan: the rods on their line with their residuals, and the control charts of a history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..calibration.history import SHEWHART_FAIL, SHEWHART_WARN
from ..calibration.line import REFERENCE_MG_CM3, density_of

if TYPE_CHECKING:
    from ..calibration.history import Chart
    from ..calibration.line import Calibration

_DPI = 150
_LINE, _ROD, _WARN, _FAIL, _DIM = "#1f6fb2", "#0b3d64", "#d98200", "#c0392b", "#666666"


def write_fit(calibration: Calibration, path: str | Path) -> None:
    """The rods against their line, and their residuals below, as PNG. A Mindways rod is drawn where its water is taken off.

    ``calibration``: with its readings, in HU and mg/cm³ of its material.
    """
    figure, (upper, lower) = _figure((7.0, 6.2), 2, height_ratios=(3, 1.3), sharex=True)
    slope, intercept = calibration.slope_mg_cm3_per_hu, calibration.intercept_mg_cm3
    density = np.array([reading.rod.density_mg_cm3 for reading in calibration.readings])
    read = np.array([density_of(reading, slope, intercept) for reading in calibration.readings])
    # HU of the certificate's density on the line, moved by what the rod reads beside it: Mindways rods have no water of their own here.
    hu = (read - intercept) / slope
    ends = np.array([hu.min() - 0.06 * np.ptp(hu), hu.max() + 0.06 * np.ptp(hu)])
    upper.plot(ends, slope * ends + intercept, color=_LINE, linewidth=1.5)
    upper.plot(hu, density, "o", color=_ROD, markersize=7)
    for k, (reading, x, y) in enumerate(zip(calibration.readings, hu, density)):
        # Two rods may be nearly of one density: their names stand on different sides of the line.
        upper.annotate(reading.rod.id, (x, y), ((-14, 7), (8, -13))[k % 2], textcoords="offset points", fontsize=10, color=_ROD)
    sign = "−" if intercept < 0 else "+"
    upper.set_title(
        f"{calibration.phantom}: density = {slope:.4f} × HU {sign} {abs(intercept):.2f} mg/cm³ {calibration.material}", fontsize=11
    )
    upper.set_ylabel(f"Density (mg/cm³ {calibration.material})")
    lower.axhline(0.0, color=_LINE, linewidth=1.2)
    lower.stem(hu, density - read, linefmt=_ROD, markerfmt="o", basefmt=" ")
    reach = max(1.0, 1.25 * float(np.abs(density - read).max()))
    lower.set(ylim=(-reach, reach), ylabel="Residual\n(mg/cm³)")
    water = any(reading.rod.water_mg_cm3 is not None for reading in calibration.readings)
    lower.set_xlabel("HU of the rod, its water taken off" if water else "HU of the rod")
    _save(figure, path)


def write_drift(charts: Sequence[Chart], path: str | Path) -> None:
    """A control chart each, one below the other, as PNG: the value at 100 mg/cm³ over time with its Shewhart limits.

    Raises ValueError when there is no chart.
    """
    if not charts:
        raise ValueError("There is no phantom scan to draw.")
    figure, panels = _figure((8.0, 0.6 + 2.7 * len(charts)), len(charts))
    for axes, chart in zip(panels, charts):
        _draw_chart(axes, chart)
    _save(figure, path)


def _draw_chart(axes, chart: Chart) -> None:
    days = [date.fromisoformat(day) for day in chart.dates]
    values = np.array(chart.values_mg_cm3)
    axes.axhline(REFERENCE_MG_CM3, color=_DIM, linewidth=1.0)
    for percent, color, word in ((SHEWHART_WARN, _WARN, "warns"), (SHEWHART_FAIL, _FAIL, "fails")):
        for side in (-1, 1):
            axes.axhline(REFERENCE_MG_CM3 * (1 + side * percent / 100), color=color, linewidth=1.0, linestyle="--")
        axes.text(
            1.005, REFERENCE_MG_CM3 * (1 + percent / 100), word, color=color, fontsize=8, va="center", transform=axes.get_yaxis_transform()
        )
    axes.plot(days, values, "o-", color=_ROD, linewidth=1.0, markersize=5)
    reach = max(REFERENCE_MG_CM3 * SHEWHART_FAIL / 100, float(np.abs(values - REFERENCE_MG_CM3).max())) * 1.2
    axes.set_ylim(REFERENCE_MG_CM3 - reach, REFERENCE_MG_CM3 + reach)
    axes.set_ylabel(f"mg/cm³ {chart.material}")
    axes.tick_params(axis="x", labelsize=8)
    axes.set_title(chart_title(chart), fontsize=10, loc="left")


def chart_title(chart: Chart) -> str:
    """Scanner, tube voltage and phantom of a chart, with its variation and trend where they are known."""
    voltage = f"{chart.kvp:g} kVp" if chart.kvp else "unknown kVp"
    parts = [f"{chart.scanner}, {voltage}, {chart.phantom}"]
    if chart.cv_percent is not None:
        parts.append(f"CV {chart.cv_percent:.1f} %")
    if chart.hu_per_year is not None:
        parts.append(f"{chart.hu_per_year:+.1f} ± {chart.hu_per_year_se:.1f} HU/year")
    return "; ".join(parts)


def _figure(size: tuple[float, float], rows: int, **arrangement):
    """A figure and its panels, one below the other."""
    from matplotlib.figure import Figure

    sharex = arrangement.pop("sharex", False)
    figure = Figure(size, dpi=_DPI, layout="constrained")
    panels = figure.subplots(rows, sharex=sharex, gridspec_kw=arrangement, squeeze=False)[:, 0]
    for axes in panels:
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _save(figure, path: str | Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).print_png(path)
