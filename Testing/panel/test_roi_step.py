"""The ROI step on real Qt and MRML: numbers that follow an edit, the editor, reset, the network's reading, measuring again."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import brush
import numpy as np
import pytest
import SimpleITK as sitk
from panel_tools import wait_for
from segment_editor import qMRMLSegmentEditorWidget

sys.path.append(str(Path(__file__).resolve().parents[1] / "report"))

import report_case  # noqa: E402

from VertebralBMDLib.network.density import Reading  # noqa: E402
from VertebralBMDLib.report.document import document  # noqa: E402
from VertebralBMDLib.report.parts import network_entry  # noqa: E402

#: Parts of the shells (400 HU) of L1 and L2, in front of their ROIs.
FRONT = (slice(23, 27), slice(15, 20), slice(30, 40))
FRONT_OF_L2 = (slice(10, 13), slice(15, 20), slice(30, 40))


@pytest.fixture(scope="module")
def case():
    case = report_case.measurement()
    return replace(case, calibration=replace(case.calibration, material="CaHA"))


class Network:
    """In place of the resident worker's network: answers at once or when told; ``asked``: the levels of every request."""

    def __init__(self, panel):
        self.panel, self.asked, self.waits, self.message = panel, [], False, None
        panel.logic.remeasure = self.remeasure

    def remeasure(self, volume):
        from VertebralBMDLib import scene

        rois = scene.awaiting_reading(volume)
        if not rois:
            return None
        self.asked.append(sorted(rois))
        reading = dict(event="done", readings={level: network_entry(Reading(140.0, 5.0)) for level in rois})
        end = dict(event="error", code=None, message=self.message) if self.message else reading
        return type("Reading", (), dict(end=lambda run: None if self.waits else end))()


@pytest.fixture
def step(panel, slicer, case, monkeypatch):
    """The ROI step of a panel with a measured volume, its timers quick."""
    scene = __import__("VertebralBMDLib.scene").scene
    volume = scene.add_volume(slicer.mrmlScene, case.scan, "Knochen Ω")
    scene.show_measurement(volume, document(case), case.vertebrae.label_map, case.roi)
    step = next(each for each in panel.steps if each.UI == "RoiStep")
    step._networkTimer.setInterval(30)
    step.volume, step.network = volume, Network(panel)
    panel.enter()
    wait_for(lambda: not step._followTimer.isActive())
    return step


def rows(step):
    table = step.ui.roiTable
    return [[table.item(row, column).text() for column in range(table.columnCount())] for row in range(table.rowCount())]


def now(step):
    from VertebralBMDLib import scene

    return scene.measurement_of(step.volume)[0]


def entry(step, level="L1"):
    return next(each for each in now(step)["vertebrae"] if each["level"] == level)


def stroke(step, place=FRONT, level="L1"):
    """A stroke of the brush; waits until the panel shows it."""
    before = rows(step)
    brush.paint(step.volume, level, place)
    wait_for(lambda: rows(step) != before)


def choose(step, level):
    step.ui.roiTable.selectRow([row[0] for row in rows(step)].index(level))


def said(step):
    return step.ui.roiLabel.text()


def test_the_rois_stand_in_a_table_with_their_units(step):
    assert rows(step) == [["L1", "automatic", "6.9 cm³", "160.0 ± 0.0 HU", "128.0 mg/cm³"], rows(step)[1]]
    assert rows(step)[1][:2] == ["L2", "automatic"] and said(step) == ""
    assert step.button.property("text").startswith("✓") and not step.ui.resetRoiButton.isEnabled()


def test_numbers_follow_the_brush_without_a_click(step, panel):
    patient = panel.ui.patientLabel.text()
    started = time.monotonic()
    stroke(step)
    assert time.monotonic() - started < 5
    level, state, volume, hu, density = rows(step)[0]
    assert (level, state) == ("L1", "edited") and rows(step)[1][1] == "automatic"
    assert hu == f"{entry(step)['roi_mean_hu']:.1f} ± {entry(step)['roi_sd_hu']:.1f} HU" and density != "128.0 mg/cm³"
    assert panel.ui.patientLabel.text() != patient, "the patient line follows too"
    assert "edited by the user" in panel.ui.patientLabel.text()


def test_many_events_of_one_stroke_are_one_update(step, panel):
    refreshed = []
    panel.refresh = lambda refresh=panel.refresh: (refreshed.append(1), refresh())
    for part in range(5):
        brush.paint(step.volume, "L1", (FRONT[0], FRONT[1], slice(30 + 2 * part, 32 + 2 * part)))
    wait_for(lambda: refreshed)
    assert len(refreshed) == 1 and rows(step)[0][1] == "edited"


def test_the_network_reads_when_the_hand_rests(step):
    stroke(step)
    assert "vbmd_network_mg_cm3" not in entry(step)
    wait_for(lambda: entry(step).get("vbmd_network_mg_cm3") == 140.0)
    assert step.network.asked == [["L1"]] and entry(step, "L2")["vbmd_network_mg_cm3"] != 140.0
    assert "reads" not in said(step)


def test_what_the_network_weighed_before_an_edit_is_hidden_until_the_edit_is_taken_back(step, panel, slicer, case):
    from VertebralBMDLib import scene

    view, box = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode"), panel.ui.showWeightsCheckBox
    scene.show_weights(step.volume, case.weights)
    panel.refresh()
    box.click()
    assert view.GetForegroundVolumeID() == scene.find_weights(step.volume).GetID()
    stroke(step)
    assert not box.isEnabled() and not box.isChecked() and view.GetForegroundVolumeID() is None
    wait_for(lambda: entry(step).get("vbmd_network_mg_cm3") == 140.0)
    assert not box.isEnabled(), "the network's new reading brings no weights"
    step.ui.resetRoiButton.click()
    assert box.isEnabled() and not box.isChecked()


def test_a_reading_of_an_roi_that_changed_meanwhile_is_made_again(step):
    step.network.waits = True
    stroke(step)
    wait_for(lambda: step.network.asked)
    assert "The network reads" in said(step) and step.button.property("text").startswith("…")
    stroke(step, (FRONT[0], FRONT[1], slice(25, 30)))
    step.network.waits = False
    wait_for(lambda: len(step.network.asked) == 2 and "vbmd_network_mg_cm3" in entry(step))


def test_a_network_that_cannot_read_is_said_and_the_rest_stays(step):
    step.network.message = "There is not enough memory for this scan."
    stroke(step)
    wait_for(lambda: "not enough memory" in said(step))
    assert rows(step)[0][1] == "edited" and step.button.property("text").startswith("⚠")
    step.network.message = None
    stroke(step, FRONT_OF_L2, "L2")
    wait_for(lambda: "vbmd_network_mg_cm3" in entry(step) and "vbmd_network_mg_cm3" in entry(step, "L2"))
    assert "memory" not in said(step)


def test_the_editor_opens_on_the_chosen_roi_inside_its_body(step, slicer):
    before = len(qMRMLSegmentEditorWidget.made)
    assert not step.ui.roiEditorFrame.isVisibleTo(step.widget) and before == len(qMRMLSegmentEditorWidget.made)
    choose(step, "L2")
    assert step.ui.editRoiButton.text() == "Edit ROI of L2"
    step.ui.editRoiButton.click()
    editor = qMRMLSegmentEditorWidget.made[-1]
    assert len(qMRMLSegmentEditorWidget.made) == before + 1 and step.ui.roiEditorFrame.isVisibleTo(step.widget)
    assert editor.told["setCurrentSegmentID"] == "L2 ROI" and editor.told["setSourceVolumeNode"] is step.volume
    assert editor.told["setEffectNameOrder"] == ["Paint", "Erase", "Scissors", "Smoothing"] and editor.unorderedEffectsVisible is False
    node = editor.told["setMRMLSegmentEditorNode"]
    assert node.GetOverwriteMode() == node.OverwriteNone and node.GetMaskSegmentID() == "L2 body"
    assert node.GetMaskMode() == slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment
    assert editor.calls.index("setMRMLSegmentEditorNode") < editor.calls.index("setMRMLScene")
    choose(step, "L1")
    assert editor.told["setCurrentSegmentID"] == "L1 ROI" and node.GetMaskSegmentID() == "L1 body"
    step.ui.insideBodyCheckBox.click()
    assert node.GetMaskMode() == slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere
    assert editor.calls.count("setupViewObservations") == 1
    step.ui.editRoiButton.click()
    assert editor.told["setActiveEffect"] is None and editor.calls[-1] == "removeViewObservations"
    assert not step.ui.roiEditorFrame.isVisibleTo(step.widget)


def test_leaving_the_panel_and_closing_the_scene_put_the_tools_away(step, panel, slicer):
    step.ui.editRoiButton.click()
    editor = qMRMLSegmentEditorWidget.made[-1]
    panel.exit()
    assert editor.told["setSegmentationNode"] is None and "uninstallKeyboardShortcuts" in editor.calls
    panel.enter()
    assert not step.ui.editRoiButton.isChecked() and rows(step)
    step.ui.editRoiButton.click()
    slicer.mrmlScene.Clear()
    assert editor.told["setSegmentationNode"] is None and not step.ui.editRoiButton.isEnabled() and rows(step) == []


def test_edits_go_on_after_the_panel_was_left_and_entered(step, panel):
    panel.exit()
    brush.paint(step.volume, "L1", FRONT)
    panel.enter()
    wait_for(lambda: rows(step)[0][1] == "edited")
    stroke(step, FRONT_OF_L2, "L2")


def test_undo_of_the_editor_brings_the_automatic_numbers_back(step):
    before, document = rows(step), now(step)
    history = brush.history(step.volume)
    history.SaveState()
    stroke(step)
    history.RestorePreviousState()
    wait_for(lambda: rows(step) == before)
    assert now(step) == document


def test_reset_puts_one_level_back(step):
    before = rows(step)
    stroke(step)
    stroke(step, FRONT_OF_L2, "L2")
    choose(step, "L1")
    step.ui.resetRoiButton.click()
    assert rows(step)[0] == before[0] and rows(step)[1][1] == "edited" and not step.ui.resetRoiButton.isEnabled()
    choose(step, "L2")
    assert step.ui.resetRoiButton.isEnabled()


def test_reset_can_be_undone_in_the_editor(step):
    step.ui.editRoiButton.click()
    stroke(step)
    step.ui.resetRoiButton.click()
    assert qMRMLSegmentEditorWidget.made[-1].calls.count("saveStateForUndo") == 1


def test_an_emptied_roi_is_refused_by_name_and_can_be_reset(step, panel):
    before = rows(step)
    brush.erase_all(step.volume, "L1")
    wait_for(lambda: rows(step) != before)
    assert rows(step)[0] == ["L1", "edited", "–", "–", "–"]
    assert "L1: The ROI of this body is empty" in said(step) and "draw its ROI again" in said(step)
    assert step.button.property("text").startswith("⚠") and "empty" in panel.ui.patientLabel.text()
    step.ui.resetRoiButton.click()
    assert rows(step) == before and said(step) == ""


def test_an_edited_body_is_said(step):
    before = rows(step)
    brush.paint(step.volume, "L2", (slice(10, 13), slice(0, 5), slice(30, 40)), kind="body")
    wait_for(lambda: "The body of L2 was edited" in said(step))
    assert "press Measure" in said(step) and rows(step) == before


def test_new_rules_hold_from_the_next_measurement(step, panel):
    step.ui.centralFractionSpinBox.setValue(0.4)
    step.ui.erosionShapeComboBox.setCurrentText("vertebra")
    step.ui.regionComboBox.setCurrentText("ellipse")
    assert "Press Measure" in said(step)
    settings = panel.settings()
    assert (settings.central_fraction, settings.erosion_shape, settings.region) == (0.4, "vertebra", "ellipse")


def handed(panel):
    """What measuring hands to the logic: settings and images."""
    given = []
    panel.logic.process = lambda volume, settings, images, waitForCompletion: given.append((settings, images))
    panel.measure()
    return given[0]


def test_measuring_again_keeps_the_edits(step, panel):
    stroke(step)
    settings, images = handed(panel)
    assert settings.roi_levels == ("L1",) and set(images) == {"roi"}
    assert set(np.unique(sitk.GetArrayViewFromImage(images["roi"]))) == {0, 20}


def test_nothing_is_handed_over_without_an_edit(step, panel):
    settings, images = handed(panel)
    assert settings.roi_levels is None and images == {}


def test_edits_are_given_up_where_the_vertebrae_are_found_anew(step, panel):
    stroke(step)
    panel.settings = lambda volume, settings=panel.settings: replace(settings(volume), level_at=("L1", (0.0, 0.0, 0.0)))
    settings, images = handed(panel)
    assert settings.roi_levels is None and images == {} and "edited ROIs of L1 were given up" in said(step)


def test_reset_of_an_roi_that_was_measured_as_edited_measures_again(step, panel, case):
    from VertebralBMDLib import scene

    edited = document(case)
    edited["settings"] |= dict(own_roi=True, roi_levels=["L1", "L2"])
    scene.show_measurement(step.volume, edited, case.vertebrae.label_map, case.roi)
    panel.refresh()
    assert [row[1] for row in rows(step)] == ["edited", "edited"]
    choose(step, "L2")
    given = []
    panel.logic.process = lambda volume, settings, images, waitForCompletion: given.append(settings.roi_levels)
    step.ui.resetRoiButton.click()
    assert given == [("L1",)]


def test_bodies_and_rois_are_shown_as_chosen(step):
    from VertebralBMDLib import scene

    node = scene.find_result(step.volume, "vtkMRMLSegmentationNode")
    step.ui.showBodiesCheckBox.click()
    step.ui.fillRoisCheckBox.click()
    assert not scene.visible(node, "body") and scene.visible(node, "ROI") and not scene.filled(node)
    step.ui.showBodiesCheckBox.click()
    step.ui.fillRoisCheckBox.click()
    step.ui.showRoisCheckBox.click()
    assert scene.visible(node, "body") and not scene.visible(node, "ROI") and scene.filled(node)


def test_another_volume_is_another_step(step, panel, slicer, case):
    from VertebralBMDLib import scene

    stroke(step)
    other = scene.add_volume(slicer.mrmlScene, case.scan, "other")
    panel.ui.inputVolumeSelector.setCurrentNode(other)
    assert rows(step) == [] and not step.ui.editRoiButton.isEnabled()
    brush.paint(step.volume, "L1", (slice(10, 13), slice(15, 20), slice(30, 40)))
    panel.ui.inputVolumeSelector.setCurrentNode(step.volume)
    assert rows(step)[0][1] == "edited"
