"""What the slice views show."""

from __future__ import annotations

import slicer

from ..report import words


def show_in_slices(volume_node, document: dict) -> None:
    """Show the volume in every slice view, at the first vertebra that was asked for and found."""
    scene = volume_node.GetScene()
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode").SetBackgroundVolumeID(volume_node.GetID())
    for vertebra in words.reported(document)[:1]:
        x, y, z = vertebra["centroid_lps_mm"]
        slicer.vtkMRMLSliceNode.JumpAllSlices(scene, -x, -y, z)
