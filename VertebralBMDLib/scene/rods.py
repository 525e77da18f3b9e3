"""The rods of the phantom as points that the user can move, and what the user moved as the rods of the next measurement."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import slicer

from ..calibration.catalogue import Phantom, phantom_names
from ..calibration.request import parsed
from ..report import calibration, words
from ..settings import Settings
from .results import find_result, result_node

_CLASS = "vtkMRMLMarkupsFiducialNode"

#: Attributes of the points: the phantom they belong to, and whether the user placed them ("yes").
_PHANTOM, _PLACED = "VertebralBMD.phantom", "VertebralBMD.placed"

#: Less than this is no move but the rounding of a saved scene.
_MOVED_MM = 0.05

_COLOUR = (0.90, 0.62, 0.00)


def show_rods(volume_node, document: dict):
    """Put a movable point on every rod that was read in the scan, named after it and its density; returns the node or None.

    ``document``: the content of measurement.json. Points that the user has placed stay where they are; what is said of them
    is brought up to date. Without rods in the scan, points that nobody placed go.
    """
    rods, node = calibration.rods_in_scan(document), find_rods(volume_node)
    placed = node is not None and node.GetAttribute(_PLACED) == "yes"
    if not rods:
        if node is not None and not placed:
            volume_node.GetScene().RemoveNode(node)
        return node if placed else None
    unit = calibration.rod_unit(document)
    labels = {rod["id"]: f"{rod['id']}: {words.number(rod['density_mg_cm3'], 0)} {unit}" for rod in rods}
    if not placed:
        node = _empty_node(volume_node)
        node.SetAttribute(_PHANTOM, document["calibration"].get("phantom", ""))
        for rod in rods:
            x, y, z = rod["centre_lps_mm"]
            node.AddControlPointWorld(-x, -y, z, labels[rod["id"]])
    for rod in rods:
        told = f"certificate {words.number(rod['density_mg_cm3'], 2)} {unit}, reads {words.number(rod['hu'])} HU"
        for index in range(node.GetNumberOfControlPoints()):
            if node.GetNthControlPointLabel(index) == labels[rod["id"]]:
                node.SetNthControlPointDescription(index, told)
    return node


def find_rods(volume_node):
    """The vtkMRMLMarkupsFiducialNode with the points on the volume's rods, or None."""
    return find_result(volume_node, _CLASS)


def rods_status(volume_node, document: dict | None) -> str:
    """How the points stand: "" without any, "found" where the measurement read them, "moved" or "placed" by the user."""
    node = find_rods(volume_node)
    if node is None:
        return ""
    if node.GetAttribute(_PLACED) == "yes":
        return "placed"
    read = [rod["centre_lps_mm"] for rod in calibration.rods_in_scan(document)] if document else []
    points = [point for _label, point in _points(node)]
    same = len(read) == len(points) and np.allclose(read, points, rtol=0.0, atol=_MOVED_MM)
    return "found" if same else "moved"


def place_rods(volume_node, phantom: Phantom):
    """Start to place the rods of ``phantom`` by hand, one click a rod in the order of its certificate; returns the node.

    In Slicer the mouse places points from now on, until every rod has one.
    """
    node = _empty_node(volume_node)
    node.SetAttribute(_PHANTOM, phantom.name)
    node.SetAttribute(_PLACED, "yes")
    for rod in phantom.rods:
        index = node.AddControlPoint(0.0, 0.0, 0.0, f"{rod.id}: {words.number(rod.density_mg_cm3, 0)} mg/cm³ {phantom.material}")
        node.UnsetNthControlPointPosition(index)
    node.SetFixedNumberOfControlPoints(True)
    scene = volume_node.GetScene()
    selection, interaction = (scene.GetFirstNodeByClass(f"vtkMRML{name}Node") for name in ("Selection", "Interaction"))
    if selection and interaction:
        selection.SetReferenceActivePlaceNodeClassName(_CLASS)
        selection.SetActivePlaceNodeID(node.GetID())
        interaction.SwitchToPersistentPlaceMode()
    return node


def forget_rods(volume_node) -> None:
    """Remove the points, so that the next measurement looks for the rods itself."""
    node = find_rods(volume_node)
    if node is not None:
        volume_node.GetScene().RemoveNode(node)


def with_own_rods(volume_node, settings: Settings, document: dict | None, folder: Path) -> Settings:
    """``settings`` with the rods that the user moved or placed in this volume, written to ``folder`` as a table in LPS mm.

    The points count as placed from now on. Settings that ask for no phantom, and rods that nobody touched, are left alone.
    Raises ValueError where it is not known whose rods they are, and OSError when the file cannot be written.
    """
    asked = [each for each in parsed(settings.calibration) if each.kind == "phantom"]
    if not asked or settings.rods is not None or rods_status(volume_node, document) not in ("moved", "placed"):
        return settings
    node = find_rods(volume_node)
    request = settings.calibration
    if not any(each.name for each in asked):
        request = f"phantom:{_known_phantom(node)}"
    path = folder / "rods.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("id", "x", "y", "z"))
        table.writerows((label, *point) for label, point in _points(node))
    node.SetAttribute(_PLACED, "yes")
    return replace(settings, calibration=request, rods=path)


def _known_phantom(node) -> str:
    name = node.GetAttribute(_PHANTOM)
    if name not in phantom_names():
        raise ValueError("Choose the phantom to which the moved rods belong, or its certificate, in the step Calibration.")
    return name


def _empty_node(volume_node):
    """The node for the points, without any, in the frame of the volume."""
    # In a scene without Slicer's markups module the points would not be saved.
    if not volume_node.GetScene().GetClassNameByTag("MarkupsJsonStorage"):
        volume_node.GetScene().RegisterNodeClass(slicer.vtkMRMLMarkupsJsonStorageNode())
    node = result_node(volume_node, _CLASS, "rods")
    node.SetFixedNumberOfControlPoints(False)
    node.RemoveAllControlPoints()
    node.RemoveAttribute(_PLACED)
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSelectedColor(*_COLOUR)
    display.SetGlyphType(slicer.vtkMRMLMarkupsDisplayNode.CrossDot2D)
    display.SetTextScale(2.5)
    return node


def _points(node) -> list[tuple[str, tuple[float, float, float]]]:
    """(label, world LPS mm) of every point that has a place."""
    points = []
    for index in range(node.GetNumberOfControlPoints()):
        if node.GetNthControlPointPositionStatus(index) == node.PositionDefined:
            x, y, z = node.GetNthControlPointPositionWorld(index)
            points.append((node.GetNthControlPointLabel(index), (-x, -y, z)))
    return points
