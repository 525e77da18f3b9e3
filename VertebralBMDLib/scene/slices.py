"""What the slice views show."""

from __future__ import annotations

import slicer

from ..report import words
from .results import nodes_of_class
from .weights import find_weights, hide_weights, is_weights


def show_in_slices(volume_node, document: dict) -> None:
    """Show the volume in every slice view, at the first vertebra that was asked for and found.

    The network's weights in another volume are taken away, so that they do not pass for those in this one.
    """
    scene = volume_node.GetScene()
    for view in nodes_of_class(scene, "vtkMRMLSliceCompositeNode"):
        view.SetBackgroundVolumeID(volume_node.GetID())
    own = find_weights(volume_node)
    for node in nodes_of_class(scene, "vtkMRMLScalarVolumeNode"):
        if is_weights(node) and node is not own:
            hide_weights(node)
    for vertebra in words.reported(document)[:1]:
        x, y, z = vertebra["centroid_lps_mm"]
        slicer.vtkMRMLSliceNode.JumpAllSlices(scene, -x, -y, z)
