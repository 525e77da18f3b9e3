"""Scenes and segmentations as files."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk
import slicer

from ..scan import Scan
from .plots import show_fit
from .results import show_measurement
from .rods import show_rods
from .volumes import add_volume
from .weights import show_weights


def save_segmentation(segmentation_node, path: str | Path) -> None:
    """Write a segmentation node as .seg.nrrd. Raises OSError when that fails."""
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(segmentation_node):
        raise OSError(f"The segmentation could not be written to {path}.")


def save_scene(scene, path: str | Path) -> None:
    """Write a scene with all its data as one .mrb file. Raises OSError when that fails."""
    if not scene.WriteToMRB(str(Path(path).resolve())):
        raise OSError(f"The scene could not be written to {path}.")


def scene_for(scan: Scan, document: dict, bodies: sitk.Image, roi: sitk.Image, weights: sitk.Image | None):
    """A new vtkMRMLScene with the scan as a volume and its measurement, ready for ``save_scene``; the network's weights are hidden."""
    scene = slicer.vtkMRMLScene()
    slicer.vtkSlicerSegmentationsModuleLogic().SetMRMLScene(scene)
    volume_node = add_volume(scene, scan, "CT")
    show_measurement(volume_node, document, bodies, roi)
    show_weights(volume_node, weights)
    show_rods(volume_node, document)
    show_fit(volume_node, document)
    return scene
