"""The rods of a calibration as a table, and on their line and beside it as two charts for Slicer's plot view."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ..report import calibration
from .results import find_result, result_node

_TABLE, _SERIES, _CHART = "vtkMRMLTableNode", "vtkMRMLPlotSeriesNode", "vtkMRMLPlotChartNode"

#: Role of the reference from a node to its volume, for each node by its class and what it shows.
_ROLES = {
    "rods": (_TABLE, "VertebralBMD.rods"),
    "calibration line": (_TABLE, "VertebralBMD.line"),
    "rods on the line": (_SERIES, "VertebralBMD.rodSeries"),
    "line": (_SERIES, "VertebralBMD.lineSeries"),
    "rod residuals": (_SERIES, "VertebralBMD.residualSeries"),
    "zero": (_SERIES, "VertebralBMD.zeroSeries"),
    "calibration": (_CHART, "VertebralBMD.fit"),
    "calibration residuals": (_CHART, "VertebralBMD.residuals"),
}

#: Blue and vermilion of Okabe and Ito's palette, on the white ground of a chart.
_LINE_COLOUR, _ROD_COLOUR = (0.0, 0.45, 0.70), (0.84, 0.37, 0.0)


def show_fit(volume_node, document: dict) -> tuple | None:
    """Table of the rods, chart of their line and chart of their residuals; None, and the nodes removed, without rods in the scan.

    ``document``: the content of measurement.json. Columns carry their units. A Mindways rod is drawn where its water is
    taken off. A conversion is undone: rods and line are in the material of the phantom.
    """
    rods = calibration.fitted_rods(document)
    if not rods:
        for name, (kind, role) in _ROLES.items():
            node = find_result(volume_node, kind, role)
            if node is not None:
                volume_node.GetScene().RemoveNode(node)
        return None
    unit = calibration.rod_unit(document)
    water = any(rod.hu_on_line != rod.hu for rod in rods)
    hu = "HU, water taken off" if water else "HU"
    density, read, residual = f"Certificate ({unit})", f"Line ({unit})", f"Residual ({unit})"
    columns = {"Rod": [rod.id for rod in rods], density: [rod.density_mg_cm3 for rod in rods], "HU": [rod.hu for rod in rods]}
    columns |= {hu: [rod.hu_on_line for rod in rods]} if water else {}
    columns |= {"SD (HU)": [rod.sd_hu for rod in rods], read: [rod.line_mg_cm3 for rod in rods]}
    columns |= {residual: [rod.residual_mg_cm3 for rod in rods]}
    table = _filled(_node(volume_node, "rods"), columns)
    slope, intercept = calibration.line_of_rods(document)
    span = np.array([min(columns[hu]), max(columns[hu])])
    ends = span + 0.06 * np.ptp(span) * np.array([-1.0, 1.0])
    line = _filled(_node(volume_node, "calibration line"), {hu: ends, density: slope * ends + intercept, residual: 0.0 * ends}, digits=6)
    line.SetHideFromEditors(True)
    rod_series = _series(_node(volume_node, "rods on the line"), "Rods", table, hu, density)
    line_series = _series(_node(volume_node, "line"), "Line", line, hu, density)
    residual_series = _series(_node(volume_node, "rod residuals"), "Certificate minus line", table, hu, residual)
    zero = _series(_node(volume_node, "zero"), "Line", line, hu, residual)
    sign = "-" if intercept < 0 else "+"
    title = f"{document['calibration'].get('phantom', '')}: density = {slope:.4f} × HU {sign} {abs(intercept):.2f} {unit}"
    fit = _chart(_node(volume_node, "calibration"), title, hu, f"Density ({unit})", (line_series, rod_series))
    residuals = _chart(_node(volume_node, "calibration residuals"), "Residuals of the rods", hu, residual, (zero, residual_series))
    return table, fit, residuals


def find_fit(volume_node) -> tuple | None:
    """(table, chart of the line, chart of the residuals) that ``show_fit`` made, or None."""
    nodes = tuple(find_result(volume_node, *_ROLES[name]) for name in ("rods", "calibration", "calibration residuals"))
    return nodes if all(nodes) else None


def show_chart(chart_node) -> None:
    """Show a chart in the plot views, in a layout that has one; nothing happens where there is no layout, as in a script."""
    scene = chart_node.GetScene()
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if layout is not None:
        layout.SetViewArrangement(slicer.vtkSlicerPlotsLogic.GetLayoutWithPlot(layout.GetViewArrangement()))
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLPlotViewNode")):
        scene.GetNthNodeByClass(index, "vtkMRMLPlotViewNode").SetPlotChartNodeID(chart_node.GetID())


def _node(volume_node, name: str):
    kind, role = _ROLES[name]
    return result_node(volume_node, kind, name, role)


def _filled(table_node, columns: dict, digits: int = 2):
    """A table node with these columns, numbers rounded so that a view shows them as a reader wants them."""
    table_node.SetLocked(False)
    table_node.RemoveAllColumns()
    for title, values in columns.items():
        if isinstance(values[0], str):
            column = vtk.vtkStringArray()
            for value in values:
                column.InsertNextValue(value)
        else:
            column = numpy_to_vtk(np.round(np.asarray(values, dtype=float), digits), deep=True)
        table_node.AddColumn(column).SetName(title)
    table_node.SetUseColumnTitleAsColumnHeader(True)
    table_node.SetUseFirstColumnAsRowHeader(isinstance(next(iter(columns.values()))[0], str))
    table_node.SetLocked(True)
    return table_node


def _series(node, name: str, table_node, x: str, y: str):
    """A series of one table: rods as dots with their names, lines without dots."""
    dots = table_node.GetUseFirstColumnAsRowHeader()
    node.SetName(name)
    node.SetAndObserveTableNodeID(table_node.GetID())
    node.SetPlotType(node.PlotTypeScatter)
    node.SetXColumnName(x)
    node.SetYColumnName(y)
    node.SetLabelColumnName("Rod" if dots else "")
    node.SetLineStyle(node.LineStyleNone if dots else node.LineStyleSolid)
    node.SetMarkerStyle(node.MarkerStyleCircle if dots else node.MarkerStyleNone)
    node.SetMarkerSize(11)
    node.SetLineWidth(2)
    node.SetColor(*(_ROD_COLOUR if dots else _LINE_COLOUR))
    return node


def _chart(node, title: str, x: str, y: str, series: tuple):
    node.SetTitle(title)
    node.SetTitleFontSize(14)
    node.SetXAxisTitle(x)
    node.SetYAxisTitle(y)
    # What was read is not to be changed by dragging a dot.
    node.SetEnablePointMoveAlongX(False)
    node.SetEnablePointMoveAlongY(False)
    node.RemoveAllPlotSeriesNodeIDs()
    for each in series:
        node.AddAndObservePlotSeriesNodeID(each.GetID())
    return node
