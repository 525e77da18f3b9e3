"""Where the density network looked, as a coloured map beside the scan and, on request, over it in the slice views."""

from __future__ import annotations

import json

import SimpleITK as sitk

from .results import find_result, nodes_of_class, result_node
from .roi_record import followed
from .volumes import fill_volume

#: Class of the map's node, and role of its reference to the volume.
_CLASS, _ROLE = "vtkMRMLScalarVolumeNode", "VertebralBMD.weights"

#: Attribute of the map's node: the ROIs that the network read it around, as ``roi_record.followed`` gives them.
_READ_AROUND = "VertebralBMD.readAround"

#: From red to yellow; every Slicer has a node of this colour table.
_COLOURS = "vtkMRMLColorTableNodeIron"

#: Per cent of a vertebra's highest weight below which nothing is coloured, and opacity of the map over the scan.
_SHOWN_FROM, OPACITY = 10, 0.5


def show_weights(volume_node, weights: sitk.Image | None):
    """Put the network's weights beside a volume whose measurement is in the scene already; returns the node or None.

    ``weights``: of ``network.weights.weight_map``, in LPS mm of the world. None takes an earlier map away, and so does a volume
    that was bent since it was measured. A new map is hidden; a refilled one is seen where the earlier one was. It follows the
    volume's parent transform.
    """
    node, transform = find_weights(volume_node), volume_node.GetParentTransformNode()
    if weights is None or (transform is not None and not transform.IsTransformToWorldLinear()):
        if node is not None:
            hide_weights(node)
            node.GetScene().RemoveNode(node)
        return None
    node = result_node(volume_node, _CLASS, "network weights", _ROLE)
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    fill_volume(node, weights)
    node.SetAttribute(_READ_AROUND, json.dumps(_rois(volume_node)))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(_COLOURS)
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(100, 50)
    display.SetThreshold(_SHOWN_FROM, 100)
    display.SetApplyThreshold(True)
    return node


def find_weights(volume_node):
    """The vtkMRMLScalarVolumeNode with the network's weights in this volume, or None."""
    return find_result(volume_node, _CLASS, _ROLE)


def is_weights(node) -> bool:
    """Whether a volume node is a map of weights, and no scan."""
    return node.GetAttribute(_READ_AROUND) is not None


def weights_current(volume_node) -> bool:
    """Whether the volume has a map that was read around its ROIs as they are now."""
    node = find_weights(volume_node)
    return node is not None and json.loads(node.GetAttribute(_READ_AROUND)) == _rois(volume_node)


def weights_visible(volume_node) -> bool:
    """Whether a slice view shows the map of this volume."""
    node = find_weights(volume_node)
    return node is not None and any(view.GetForegroundVolumeID() == node.GetID() for view in _views(node))


def set_weights_visible(volume_node, on: bool) -> None:
    """Show the volume with its map as the foreground in every slice view, or take the map away; nothing without a map."""
    node = find_weights(volume_node)
    if node is None:
        return
    if not on:
        hide_weights(node)
        return
    for view in _views(node):
        # Over no other scan, whatever was shown before.
        view.SetBackgroundVolumeID(volume_node.GetID())
        view.SetForegroundVolumeID(node.GetID())
        view.SetForegroundOpacity(OPACITY)


def hide_weights(node) -> None:
    """Take a map out of the slice views; another foreground stays."""
    for view in _views(node):
        if view.GetForegroundVolumeID() == node.GetID():
            view.SetForegroundVolumeID(None)
            view.SetForegroundOpacity(0.0)


def _views(node):
    return nodes_of_class(node.GetScene(), "vtkMRMLSliceCompositeNode")


def _rois(volume_node) -> dict[str, str]:
    """A digest of each ROI that the shown numbers were read from; none where the table has gone."""
    table_node = find_result(volume_node, "vtkMRMLTableNode")
    return followed(table_node) if table_node else {}
