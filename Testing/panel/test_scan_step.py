"""Step 1 of the panel: what is said of a volume, and the remedy for its geometry."""

import numpy as np
import SimpleITK as sitk
from panel_tools import add_volume, show_case

from VertebralBMDLib import scene
from VertebralBMDLib.scan import Acquisition
from VertebralBMDLib.scene import volume_check
from VertebralBMDLib.scene.volumes import vtk_matrix


def shear(slicer, volume):
    matrix = np.eye(4)
    matrix[1, 2] = 0.3
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(vtk_matrix(matrix))
    volume.SetAndObserveTransformNodeID(transform.GetID())


def shown(widget):
    return not widget.isHidden()


def test_a_volume_without_header_says_so(panel, volume):
    panel.enter()
    text = panel.ui.acquisitionLabel.text()
    assert shown(panel.ui.acquisitionLabel) and "kVp unknown" in text and "load it from DICOM" in text
    assert panel.ui.scanButton.text.startswith("⚠") and not shown(panel.ui.hardenButton)


def test_the_header_is_shown_with_what_it_means(panel, volume, monkeypatch):
    taken = Acquisition(kvp=120.0, kernel="LUNG", slice_thickness_mm=1.25, contrast="yes")
    monkeypatch.setattr(volume_check, "acquisition_of", lambda path: taken)
    panel.enter()
    text = panel.ui.acquisitionLabel.text()
    assert "120 kVp, kernel LUNG, 1.25 mm slices every 1 mm, with contrast" in text
    assert "<li>The scan was taken with intravenous contrast" in text and "LUNG is sharp" in text
    assert "contrast" in panel.ui.scanButton.toolTip()


def test_a_sheared_volume_is_refused_and_its_copy_is_not(panel, slicer, volume):
    panel.enter()
    shear(slicer, volume)  # The panel notices by itself.
    assert panel.ui.scanButton.text.startswith("✗") and "gantry tilt" in panel.ui.acquisitionLabel.text()
    assert shown(panel.ui.hardenButton)
    panel.ui.hardenButton.click()
    copy = panel.ui.inputVolumeSelector.currentNode()
    assert copy is not volume and copy.GetName() == "Knochen Ω hardened" and volume.GetParentTransformNode() is not None
    assert scene.preview(copy).refusal is None and not shown(panel.ui.hardenButton) and not panel.ui.scanButton.text.startswith("✗")
    assert "original is unchanged" in panel.ui.statusLabel.text()


def test_what_the_network_weighs_in_a_scan_is_not_chosen_in_its_place(panel, slicer, volume):
    show_case(panel, volume)
    scene.show_weights(volume, sitk.Image((8, 6, 9), sitk.sitkUInt8))
    slicer.mrmlScene.RemoveNode(volume)
    panel.enter()
    assert panel.ui.inputVolumeSelector.currentNode() is None
    scan = add_volume(slicer, "next")
    panel.enter()
    assert panel.ui.inputVolumeSelector.currentNode() is scan


def test_without_a_volume_nothing_is_said(panel, slicer, volume):
    panel.enter()
    slicer.mrmlScene.Clear()
    assert not shown(panel.ui.acquisitionLabel) and panel.ui.scanButton.text == "1. Scan"
    panel.ui.inputVolumeSelector.setCurrentNode(add_volume(slicer, "next"))
    assert shown(panel.ui.acquisitionLabel)
