"""A measurement beside its volume: segmentation, table, and measurement.json kept with the table, so that a saved scene says all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import SimpleITK as sitk
import slicer
import vtk

from ..edits import edited_levels
from ..report import words
from ..summary import density_unit
from .roi_record import remember_rois
from .segments import Layer, fill_segmentation, layers_of

#: Role of the node reference from a result node to the volume it was measured on.
_VOLUME_ROLE = "VertebralBMD.volume"

#: Attribute of the table node that keeps measurement.json, so that a saved scene still says all about its numbers.
_DOCUMENT_ATTRIBUTE = "VertebralBMD.measurement"


def show_measurement(volume_node, document: dict, bodies_image: sitk.Image | None, roi_image: sitk.Image | None) -> tuple:
    """Put a measurement beside its volume; returns (vtkMRMLSegmentationNode, vtkMRMLTableNode).

    ``document``: the content of measurement.json; ``bodies_image`` and ``roi_image``: label maps with VerSe numbers on the
    volume's voxel grid, None where a refused run wrote none. Nodes of an earlier measurement of the same volume are
    refilled, so results never pile up. The segmentation follows the volume's parent transform. Raises ValueError for label
    maps of another size and for a volume that has been removed from its scene.
    """
    return show_layers(volume_node, document, layers_of(bodies_image, roi_image))


def show_layers(volume_node, document: dict, layers: Sequence[Layer]) -> tuple:
    """``show_measurement`` with label maps that ``layers_of`` has cut already, so that it does not take long."""
    if volume_node.GetScene() is None:
        raise ValueError("The volume is no longer in the scene.")
    if any(layer.size != volume_node.GetImageData().GetDimensions() for layer in layers):
        raise ValueError("The label maps are not on the grid of this volume.")
    segmentation_node = result_node(volume_node, "vtkMRMLSegmentationNode", "vertebrae")
    fill_segmentation(segmentation_node, volume_node, layers)
    table_node = result_node(volume_node, "vtkMRMLTableNode", "bone density")
    show_document(table_node, document)
    remember_rois(volume_node, segmentation_node, table_node, document)
    return segmentation_node, table_node


def show_document(table_node, document: dict) -> None:
    """Fill a measurement's table anew and keep the document with it."""
    _fill_table(table_node, document)
    table_node.SetAttribute(_DOCUMENT_ATTRIBUTE, json.dumps(document))


def measurement_of(volume_node) -> tuple:
    """(document, vtkMRMLTableNode) of the volume's measurement in the scene, also of a loaded one; (None, None) without."""
    table_node = find_result(volume_node, "vtkMRMLTableNode")
    text = table_node.GetAttribute(_DOCUMENT_ATTRIBUTE) if table_node else None
    return (json.loads(text), table_node) if text else (None, None)


def find_result(volume_node, class_name: str, role: str = _VOLUME_ROLE):
    """The result node of this class that refers to the volume in this role, or None."""
    nodes = nodes_of_class(volume_node.GetScene(), class_name)
    return next((node for node in nodes if node.GetNodeReferenceID(role) == volume_node.GetID()), None)


def nodes_of_class(scene, class_name: str) -> Iterator:
    """Every node of this class, or of one derived from it, in the order of the scene."""
    return (scene.GetNthNodeByClass(index, class_name) for index in range(scene.GetNumberOfNodesByClass(class_name)))


def result_node(volume_node, class_name: str, suffix: str, role: str = _VOLUME_ROLE):
    """The result node of this class for the volume, made when there is none, placed beside the volume in the hierarchy."""
    scene = volume_node.GetScene()
    node = find_result(volume_node, class_name, role)
    if node is None:
        node = scene.AddNewNodeByClass(class_name, f"{volume_node.GetName()} {suffix}")
        node.SetNodeReferenceID(role, volume_node.GetID())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    # In Slicer every node already has its item; without the application nobody has made them.
    volume_item = hierarchy.GetItemByDataNode(volume_node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume_node)
    item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    hierarchy.SetItemParent(item, hierarchy.GetItemParent(volume_item))
    return node


def _fill_table(table_node, document: dict) -> None:
    """One row per asked or measured vertebra; titles carry the units, and the reference material where there is one."""
    unit, edited = density_unit(document), edited_levels(document)
    columns = {
        "Vertebra": lambda v: v["level"],
        "ROI": lambda v: "edited" if v["level"] in edited else "automatic" if "roi_mean_hu" in v else "–",
        f"vBMD ({unit})": lambda v: words.number(v.get("vbmd_roi_mg_cm3")),
        f"vBMD network ({unit})": lambda v: words.number(v.get("vbmd_network_mg_cm3")),
        f"Network 95 % ({unit})": _interval,
        f"Network − ROI ({unit})": _disagreement,
        "ROI mean (HU)": lambda v: words.number(v.get("roi_mean_hu")),
        "ROI SD (HU)": lambda v: words.number(v.get("roi_sd_hu")),
        "ROI volume (cm³)": lambda v: words.number(v.get("roi_volume_cm3")),
        "Height lost": lambda v: words.percent(v.get("height_loss")),
        "Counts": lambda v: "yes" if v["level"] in document["patient"]["levels"] else "no",
        "Flags": lambda v: str(len(v["flags"])) if v["flags"] else "none",
    }
    table_node.SetLocked(False)
    table_node.RemoveAllColumns()
    for title, text in columns.items():
        column = vtk.vtkStringArray()
        for vertebra in words.reported(document):
            column.InsertNextValue(text(vertebra))
        table_node.AddColumn(column).SetName(title)
    table_node.SetUseColumnTitleAsColumnHeader(True)
    table_node.SetUseFirstColumnAsRowHeader(True)
    table_node.SetLocked(True)


def _interval(vertebra: dict) -> str:
    ends = vertebra.get("vbmd_network_interval95_mg_cm3")
    return f"{words.number(ends[0])} to {words.number(ends[1])}" if ends else "–"


def _disagreement(vertebra: dict) -> str:
    """In mg/cm³, with its sign; marked where it is more than the two usually differ."""
    if "vbmd_network_mg_cm3" not in vertebra:
        return "–"
    difference = vertebra["vbmd_network_mg_cm3"] - vertebra["vbmd_roi_mg_cm3"]
    mark = " ⚠" if "NETWORK_DISAGREES" in vertebra["flags"] else ""
    return ("+" if difference > 0 else "") + words.number(difference) + mark
