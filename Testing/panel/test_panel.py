"""What a radiologist does with the panel, through its real widgets."""

import ast
import re
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import host
import pytest
from panel_tools import add_volume, alive, longest_block, use_stub, wait_for

from VertebralBMDLib.settings import Settings

MODULE_FOLDER = host.MODULE.parent


def shown(widget):
    return not widget.isHidden()


def status(panel):
    return panel.ui.statusLabel.text() if shown(panel.ui.statusLabel) else ""


def table(panel):
    """The table as {vertebra: {quantity: text}}, from the view itself."""
    view = panel.ui.resultTableView
    names = [view.verticalHeaderItem(row).text() for row in range(view.rowCount())]
    return {
        view.horizontalHeaderItem(column).text(): {name: view.item(row, column).text() for row, name in enumerate(names)}
        for column in range(view.columnCount())
    }


def measure(panel):
    panel.ui.measureButton.click()
    wait_for(lambda: not panel.logic.running)


def test_without_a_volume_there_is_nothing_to_measure(panel):
    assert not panel.ui.measureButton.isEnabled() and "Select" in panel.ui.measureButton.toolTip()
    assert not shown(panel.ui.progressBar) and not shown(panel.ui.resultTableView) and status(panel) == ""
    assert "research use only" in panel.ui.researchUseLabel.text()


def test_a_loaded_volume_is_offered_and_the_first_one_chosen(panel, slicer, volume):
    panel.enter()
    assert panel.ui.inputVolumeSelector.currentNode() is volume
    assert panel.ui.measureButton.isEnabled() and panel.ui.measureButton.text() == "Measure"
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    assert [panel.ui.inputVolumeSelector.itemText(i) for i in range(panel.ui.inputVolumeSelector.count())] == ["None", "Knochen Ω"]


def test_measuring_shows_progress_then_the_result(panel, slicer, volume):
    panel.stub("slow")
    panel.enter()
    said = []
    panel.say = lambda text, percent=0, say=panel.say: (said.append((text, percent)), say(text, percent))
    panel.ui.measureButton.click()
    assert panel.ui.measureButton.text() == "Cancel" and shown(panel.ui.progressBar) and not panel.ui.inputVolumeSelector.isEnabled()
    wait_for(lambda: not panel.logic.running)
    texts, percents = zip(*said[:-1])
    assert said[0] == ("Starting…", 0) and {"Finding the vertebrae…", "Assessing…"} <= {text.partition("…")[0] + "…" for text in texts}
    assert list(percents) == sorted(percents) and len(set(percents)) > 5 and percents[-1] > 90
    assert panel.ui.measureButton.text() == "Measure" and not shown(panel.ui.progressBar) and panel.ui.inputVolumeSelector.isEnabled()
    assert status(panel) == ""
    assert table(panel)["L1"]["vBMD (mg/cm³ CaHA-eq)"] == "98.4"
    patient = panel.ui.patientLabel.text()
    assert "98.4 mg/cm³ CaHA-eq: Low bone mass" in patient and "qrm-bdc3" in patient and "80 to 120" in patient
    segmentation = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode").GetSegmentation()
    assert [segmentation.GetNthSegment(i).GetName() for i in range(4)] == ["L1 body", "L2 body", "L1 ROI", "L2 ROI"]
    assert list(panel.temporary.iterdir()) == []


def test_options_reach_the_pipeline(panel, volume):
    panel.enter()
    panel.ui.levelsLineEdit.setText("l2 ; l3")
    panel.ui.erosionSpinBox.setValue(4.5)
    assert panel.logic.getParameterNode().erosionMm == 4.5
    measure(panel)
    assert list(table(panel)) == ["L2", "L3"]


@pytest.mark.parametrize(("levels", "words"), [("L9", "Unknown vertebral level 'L9'"), (" , ", "at least one level")])
def test_levels_that_do_not_exist_are_named_at_once(panel, volume, levels, words):
    panel.enter()
    panel.ui.levelsLineEdit.setText(levels)
    panel.ui.measureButton.click()
    assert words in status(panel) and not panel.logic.running and panel.ui.measureButton.text() == "Measure"


def test_a_result_belongs_to_its_volume(panel, slicer, volume):
    panel.enter()
    measure(panel)
    other = add_volume(slicer, "other")
    panel.ui.inputVolumeSelector.setCurrentNode(other)
    assert "has not been measured" in panel.ui.patientLabel.text() and not shown(panel.ui.resultTableView)
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    assert "98.4" in panel.ui.patientLabel.text() and shown(panel.ui.resultTableView)


def test_a_volume_that_is_no_ct_is_refused_with_the_remedy(panel, slicer):
    add_volume(slicer, "MR", values=(400, 30))
    panel.enter()
    measure(panel)
    assert "not Hounsfield units" in status(panel) and "Export the scan" in status(panel)
    assert not panel.logic.running and list(panel.temporary.iterdir()) == []
    assert not panel.logic._worker.alive, "nothing to ask the worker"
    panel.ui.inputVolumeSelector.setCurrentNode(add_volume(slicer, "CT"))
    assert status(panel) == ""


def test_a_refused_run_says_why_and_what_to_do(panel, volume):
    panel.stub("refuse")
    panel.enter()
    measure(panel)
    patient = panel.ui.patientLabel.text()
    assert "Category withheld" in patient and "Refused: The scan was taken with intravenous contrast" in patient and "unenhanced" in patient
    assert "L1: The HU inside the ROI vary" in patient
    assert table(panel)["L1"]["vBMD (mg/cm³)"] == "–" and table(panel)["L1"]["Flags"] == "1"


@pytest.mark.parametrize(
    ("mode", "words"), [("torch", "install the PyTorch extension"), ("die", "ended unexpectedly"), ("crash", "failed unexpectedly")]
)
def test_errors_of_the_worker_are_sentences_and_the_panel_is_ready_again(panel, volume, mode, words):
    panel.stub(mode)
    panel.enter()
    measure(panel)
    assert words in status(panel) and panel.ui.measureButton.text() == "Measure" and list(panel.temporary.iterdir()) == []
    panel.stub("measure")
    measure(panel)
    assert "98.4" in panel.ui.patientLabel.text()


def start_hanging(panel, mode="hang"):
    """Start a measurement that never ends; the ids of its two processes."""
    panel.stub(mode)
    panel.enter()
    panel.ui.measureButton.click()
    wait_for(lambda: panel.pids.exists() and panel.pids.read_text())
    pids = panel.pids.read_text().split()
    assert len(pids) == 2 and all(map(alive, pids))
    return pids


def assert_gone(panel, pids):
    assert not panel.logic.running
    wait_for(lambda: not any(map(alive, pids)) and list(panel.temporary.iterdir()) == [], seconds=1)


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


@needs_proc
@pytest.mark.parametrize("mode", ["hang", "silent"])
def test_cancel_kills_everything_within_a_second(panel, volume, mode):
    pids = start_hanging(panel, mode)
    started = time.monotonic()
    panel.ui.measureButton.click()
    assert_gone(panel, pids)
    assert time.monotonic() - started < 1
    assert status(panel) == "Cancelled." and panel.ui.measureButton.text() == "Measure" and not panel._timer.isActive()


def test_the_window_stays_responsive_from_the_click_to_the_result(panel, slicer):
    add_volume(slicer, "large", shape=(100, 256, 256))
    panel.stub("slow")
    panel.enter()
    sys.modules["qt"].QTimer.singleShot(0, panel.ui.measureButton.click)
    assert longest_block(lambda: panel.logic.running) < 0.1
    assert longest_block(lambda: not panel.logic.running) < 0.1
    assert "98.4" in panel.ui.patientLabel.text()


@needs_proc
def test_closing_the_scene_stops_the_run_and_the_panel_goes_on(panel, slicer, volume):
    pids = start_hanging(panel)
    slicer.mrmlScene.Clear()
    assert_gone(panel, pids)
    assert not panel.ui.measureButton.isEnabled() and panel.ui.inputVolumeSelector.currentNode() is None
    panel.stub("measure")
    panel.ui.inputVolumeSelector.setCurrentNode(add_volume(slicer, "next"))
    measure(panel)
    assert "98.4" in panel.ui.patientLabel.text()


def ours():
    """The modules of the panel and the library that are loaded, by name."""
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in ("VertebralBMDLib", "VertebralBMDPanel")}


@needs_proc
def test_reload_ends_the_run_and_brings_a_working_panel_with_fresh_code(panel, slicer, volume):
    pids = start_hanging(panel)
    library = sys.modules["VertebralBMDLib.scene"]
    kept = ours()
    try:
        panel.onReload()
        assert_gone(panel, pids)
        fresh = slicer.modules.VertebralBMDWidget
        assert fresh is not panel and sys.modules["VertebralBMDLib.scene"] is not library
        fresh.pids = panel.pids
        use_stub(fresh, "measure")
        measure(fresh)
        assert "98.4" in fresh.ui.patientLabel.text()
    finally:
        for name in ours():
            del sys.modules[name]
        sys.modules.update(kept)


def test_a_volume_removed_during_the_run_is_said(panel, slicer, volume):
    panel.enter()
    panel.ui.measureButton.click()
    slicer.mrmlScene.RemoveNode(volume)
    wait_for(lambda: not panel.logic.running)
    assert "no longer in the scene" in status(panel)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 0


def test_a_run_goes_on_in_another_module_and_its_result_waits(panel, volume):
    panel.enter()
    panel.ui.measureButton.click()
    panel.exit()
    wait_for(lambda: not panel.logic.running)
    panel.enter()
    assert "98.4" in panel.ui.patientLabel.text()


def test_choices_live_in_the_parameter_node(panel, slicer, volume):
    panel.enter()
    panel.ui.levelsLineEdit.setText("L1, L3")
    panel.exit()
    panel.logic.getParameterNode().levels = "T12, L1"
    panel.enter()
    assert panel.ui.levelsLineEdit.text() == "T12, L1"


def test_scripts_measure_without_the_panel(panel, volume):
    document = panel.logic.process(volume, Settings(levels=("T12", "L1"), erosion_mm=2.0))
    assert document["patient"]["levels"] == ["T12", "L1"] and not panel.logic.running
    panel.stub("torch")
    with pytest.raises(RuntimeError, match="PyTorch extension"):
        panel.logic.process(volume)


def test_the_log_carries_no_node_name(panel, volume, caplog):
    panel.stub("die")
    panel.enter()
    measure(panel)
    assert "ended unexpectedly" in caplog.text and "Knochen" not in caplog.text


def test_the_module_says_what_it_is(panel):
    from types import SimpleNamespace

    parent = SimpleNamespace()
    sys.modules["VertebralBMD"].VertebralBMD(parent)
    assert parent.categories == ["Quantification"]
    assert "research use only" in parent.helpText and "10.1016/j.jbo.2024.100641" in parent.acknowledgementText


def test_every_widget_of_the_ui_has_a_known_class_and_every_parameter_at_most_one_widget(panel):
    bound, named = [], []
    for file in (MODULE_FOLDER / "Resources" / "UI").glob("*.ui"):
        ui = ElementTree.parse(file)
        custom = {item.findtext("class") for item in ui.iter("customwidget")}
        assert {widget.get("class") for widget in ui.iter("widget") if not widget.get("class").startswith("Q")} == custom, file.name
        bound += [item.findtext("string") for item in ui.iter("property") if item.get("name") == "SlicerParameterName"]
        named += [item.get("name") for kind in ("widget", "layout", "spacer") for item in ui.iter(kind)]
    assert len(bound) == len(set(bound)) and {"inputVolume", "levels", "erosionMm"} <= set(bound)
    assert set(bound) <= set(panel.logic.getParameterNode()._hints)
    assert len(named) == len(set(named)), "names are unique in the whole panel"


#: What the panel reads of Qt through ``value_of`` only, because PythonQt has these as attributes and PySide6 as methods.
PROPERTIES = "text|currentText|currentIndex|value|checked|visible|enabled|rowCount|columnCount|currentPath|toolTip|collapsed"


@pytest.mark.parametrize("file", sorted(MODULE_FOLDER.rglob("*.py")), ids=lambda file: file.name)
def test_the_panel_keeps_to_its_rules(file):
    """What works in PythonQt and PySide6 alike, never torch or a modal dialog, and _ for the translator only."""
    source = file.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= (250 if file == host.MODULE else 300)
    assert not re.search(r"import (torch|PySide6|imp\b)|print\(|exec_?\(|MessageBox|[a-z]Display\(", source)
    assert not re.search(rf"ui\.\w+\.({PROPERTIES})\(", source), "read it with value_of"
    assert not [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name) and node.id == "_" and isinstance(node.ctx, ast.Store)
    ]
