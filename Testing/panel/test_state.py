"""What stays: choices and results in a saved scene; what helps: diagnostics, and PyTorch where it is missing."""

import sys
from types import SimpleNamespace

import pytest
from bundle import read_mrb
from panel_tools import add_volume, wait_for


def measure(panel):
    panel.ui.measureButton.click()
    wait_for(lambda: not panel.logic.running)


def shown(widget):
    return not widget.isHidden()


def test_a_saved_scene_brings_back_choices_and_results(panel, slicer, volume, tmp_path):
    add_volume(slicer, "other")
    panel.enter()
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    panel.ui.levelsLineEdit.setText("T12, L1")
    panel.ui.erosionSpinBox.setValue(4.5)
    measure(panel)
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "case.mrb"))
    slicer.mrmlScene.Clear()
    assert "has not been measured" in panel.ui.patientLabel.text() and panel.ui.inputVolumeSelector.currentNode() is None
    panel.ui.levelsLineEdit.setText("L5")
    read_mrb(slicer.mrmlScene, tmp_path / "case.mrb", tmp_path)
    assert panel.ui.inputVolumeSelector.currentNode().GetName() == "Knochen Ω"
    assert panel.ui.levelsLineEdit.text() == "T12, L1" and panel.ui.erosionSpinBox.value() == 4.5
    assert "98.4" in panel.ui.patientLabel.text() and panel.state().segmentationNode.GetSegmentation().GetSegment("L1 ROI")
    panel.ui.inputVolumeSelector.setCurrentIndex(2)
    assert panel.ui.inputVolumeSelector.currentNode().GetName() == "other" and "has not been measured" in panel.ui.patientLabel.text()


def test_the_panel_fits_a_small_laptop(panel, volume):
    """Half of 1280 pixels is for the views; what does not fit in height, Slicer scrolls."""
    panel.enter()
    measure(panel)
    for button in ("scanButton", "vertebraeButton", "roiButton", "calibrationButton", "resultButton"):
        getattr(panel.ui, button).setProperty("collapsed", False)
    panel.parent.show()
    assert panel.parent.minimumSizeHint().width() <= 500


def test_one_worker_serves_several_runs_and_goes_with_the_panel(panel, volume):
    panel.enter()
    measure(panel)
    worker, process = panel.logic._worker, panel.logic._worker._process
    measure(panel)
    assert panel.logic._worker is worker and worker._process is process and worker.alive
    assert panel.ui.deviceLabel.text() == "Processor (CPU)" and shown(panel.ui.deviceLabel)
    panel.cleanup()
    wait_for(lambda: not worker.alive)


def test_a_failed_graphics_card_is_said_and_the_measurement_goes_on(panel, volume):
    panel.stub("card")
    panel.enter()
    measure(panel)
    assert "Processor (CPU), because the graphics card failed: CUDA out of memory" in panel.ui.deviceLabel.text()
    assert "98.4" in panel.ui.patientLabel.text()


def test_diagnostics_go_to_the_clipboard_without_names(panel, volume):
    panel.stub("crash")
    panel.enter()
    measure(panel)
    panel.ui.copyDiagnosticsButton.click()
    text = sys.modules["qt"].QApplication.clipboard().text()
    for part in (
        "Stand-in 5.13.0, Qt 6",
        "SimpleITK",
        "Finding the vertebrae…",
        "failed unexpectedly",
        "Processor (CPU)",
        "stub_worker.py",
    ):
        assert part in text, part
    assert "Knochen" not in text and "Ωmega" not in text and str(panel.temporary) not in text
    assert "copied" in panel.ui.statusLabel.text()


def test_without_pytorch_its_extension_is_offered_and_the_way_without_internet(panel, slicer, volume, monkeypatch):
    assert not shown(panel.ui.installTorchButton)
    panel.stub("torch")
    panel.enter()
    measure(panel)
    assert shown(panel.ui.installTorchButton) and "Install from file" in panel.ui.installTorchButton.toolTip()
    panel.ui.installTorchButton.click()
    assert "cannot install extensions" in panel.said and "PythonSlicer -m pip install" in panel.said
    asked = []
    manager = SimpleNamespace(
        setInteractive=asked.append, installExtensionFromServer=lambda *options: asked.append(options) or len(asked) > 2
    )
    monkeypatch.setattr(slicer.app, "extensionsManagerModel", lambda: manager, raising=False)
    panel.ui.installTorchButton.click()
    assert asked == [], "nothing is installed in a test"
    monkeypatch.setattr(slicer.app, "testingEnabled", lambda: False)
    panel.ui.installTorchButton.click()
    assert asked == [False, ("PyTorch", False)] and "could not be installed" in panel.said
    panel.ui.installTorchButton.click()
    assert "is installed. Restart Slicer" in panel.said
    panel.stub("measure")
    measure(panel)
    assert not shown(panel.ui.installTorchButton)


@pytest.mark.parametrize("name", ["scan", "vertebrae", "roi", "calibration", "result"])
def test_every_step_folds_and_says_what_it_is_for(panel, name):
    assert getattr(panel.ui, f"{name}Button").toolTip()
