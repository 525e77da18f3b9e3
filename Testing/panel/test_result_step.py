"""Step 5 through its real widgets: numbers, refusals overruled, earlier studies, verdict, export, all volumes."""

import json

import pytest
import SimpleITK as sitk
from panel_tools import add_volume, show_case, wait_for
from PySide6.QtGui import QGuiApplication

from VertebralBMDLib.quality import Code
from VertebralBMDLib.report.table import COLUMNS


@pytest.fixture
def asked(panel, monkeypatch):
    found = []
    monkeypatch.setattr(
        panel.logic, "process", lambda volume, settings, images=None, waitForCompletion=True: found.append((volume, settings))
    )
    return found


@pytest.fixture
def case(panel, volume):
    panel.enter()
    return show_case(panel, volume)


def shown(widget):
    return not widget.isHidden()


def test_the_title_says_how_the_result_stands_in_signs_and_words(panel, volume):
    panel.enter()
    assert panel.ui.resultButton.property("text") == "5. Result"
    show_case(panel, volume)
    assert panel.ui.resultButton.property("text").startswith("⚠") and "reservations" in panel.ui.resultButton.toolTip()
    show_case(panel, volume, refusals=["CONTRAST"])
    assert panel.ui.resultButton.property("text").startswith("✗") and panel.ui.resultButton.toolTip().endswith("Refused.")


def test_network_and_roi_stand_side_by_side_with_their_difference(panel, case):
    view = panel.ui.resultTableView
    names = [view.verticalHeaderItem(row).text() for row in range(view.rowCount())]
    assert view.item(names.index("Network − ROI (mg/cm³ CaHA-eq)"), 0).text() == "−1.2"
    assert "Network: 97.2 (ROI 98.4, difference −1.2 mg/cm³ CaHA-eq)" in panel.ui.patientLabel.text()


def test_only_a_refusal_that_may_be_overruled_is_offered_and_the_decision_is_passed_on(panel, volume, asked):
    panel.enter()
    show_case(panel, volume)
    assert not shown(panel.ui.allowWidget) and not shown(panel.ui.allowedWidget)
    show_case(panel, volume, refusals=["NO_VERTEBRAE"])
    assert not shown(panel.ui.allowWidget)
    show_case(panel, volume, refusals=["LEVEL_UNCERTAIN", "CONTRAST"])
    offered = [panel.ui.allowComboBox.itemText(index) for index in range(panel.ui.allowComboBox.count())]
    assert shown(panel.ui.allowWidget) and len(offered) == 2 and "intravenous contrast" in offered[0]
    panel.ui.allowButton.click()
    assert asked[-1][1].allow == {Code.CONTRAST}
    assert (
        shown(panel.ui.allowedWidget) and "by your decision" in panel.ui.allowedLabel.text() and "contrast" in panel.ui.allowedLabel.text()
    )
    panel.ui.withdrawButton.click()
    assert asked[-1][1].allow == frozenset() and not shown(panel.ui.allowedWidget)


def test_what_the_network_weighs_is_shown_over_the_slices_on_request(panel, slicer, volume):
    view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    box = panel.ui.showWeightsCheckBox
    panel.enter()
    assert not box.isEnabled() and not box.isChecked() and "highest weight in each vertebra" in box.toolTip()
    panel.ui.measureButton.click()
    wait_for(lambda: not panel.logic.running)
    assert box.isEnabled() and not box.isChecked() and view.GetForegroundVolumeID() is None
    box.click()
    node = slicer.mrmlScene.GetNodeByID(view.GetForegroundVolumeID())
    assert node.GetName() == "Knochen Ω network weights" and 0 < view.GetForegroundOpacity() < 1
    other = add_volume(slicer, "other")
    panel.ui.inputVolumeSelector.setCurrentNode(other)
    assert not box.isEnabled() and not box.isChecked()
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    assert box.isEnabled() and box.isChecked()
    box.click()
    assert view.GetForegroundVolumeID() is None


def test_a_measurement_that_the_network_took_no_part_in_takes_its_weights_away(panel, slicer, volume):
    panel.enter()
    panel.ui.measureButton.click()
    wait_for(lambda: not panel.logic.running)
    panel.ui.showWeightsCheckBox.click()
    panel.stub("refuse")
    panel.ui.measureButton.click()
    wait_for(lambda: not panel.logic.running)
    assert not panel.ui.showWeightsCheckBox.isEnabled() and not panel.ui.showWeightsCheckBox.isChecked()
    assert [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")] == ["Knochen Ω"]


def test_an_earlier_study_is_compared_with_the_least_significant_change(panel, slicer, volume, case):
    assert "No earlier study" in panel.ui.changeLabel.text()
    other = add_volume(slicer, "three years ago")
    panel.ui.earlierStudySelector.setCurrentNode(other)
    assert "has not been measured" in panel.ui.changeLabel.text()
    show_case(panel, other, density=130.0)
    text = panel.ui.changeLabel.text()
    assert "130.0 → 98.4" in text and "decrease beyond the least significant change" in text and "CV 4.9 %" in text
    assert "⚠ The scanners differ or are unknown." in text
    panel.ui.precisionSpinBox.setValue(20)
    assert "within the least significant change" in panel.ui.changeLabel.text() and "CV 20 %" in panel.ui.changeLabel.text()
    assert "three years ago" not in json.dumps(panel.state().document)


def test_a_verdict_is_kept_and_said_to_be_old_when_the_volume_is_measured_anew(panel, volume, case):
    assert panel.ui.reviewLabel.text() == "Not reviewed yet."
    panel.ui.commentLineEdit.setText("moved the ROI of L2")
    panel.refresh()
    assert panel.ui.commentLineEdit.text() == "moved the ROI of L2", "what is being typed stays"
    panel.ui.correctedButton.click()
    assert panel.ui.reviewLabel.text().startswith("Corrected on ") and panel.ui.reviewLabel.text().endswith("UTC")
    show_case(panel, volume, density=120.0)
    assert "review it again" in panel.ui.reviewLabel.text() and panel.ui.commentLineEdit.text() == "moved the ROI of L2"


def test_export_writes_a_new_folder_each_time_with_the_verdict_inside(panel, slicer, volume, case, tmp_path):
    panel.ui.exportRunButton.click()
    assert "Choose a folder" in panel.ui.exportLabel.text()
    panel.ui.acceptedButton.click()
    panel.ui.exportFolderEdit.setCurrentPath(str(tmp_path / "Ωut"))
    panel.ui.exportRunButton.click()
    folder = tmp_path / "Ωut" / "measurement-001"
    assert {path.name for path in folder.iterdir()} == {
        "measurements.csv", "measurement.json", "report.html", "report.pdf", "vertebrae.seg.nrrd",
    }  # fmt: skip
    assert "Written to measurement-001. Not possible here: Picture of the views." == panel.ui.exportLabel.text()
    assert json.loads((folder / "measurement.json").read_text(encoding="utf-8"))["review"]["status"] == "accepted"
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF") and "Accepted on" in (folder / "report.html").read_text("utf-8")
    assert "L1 body" in {sitk.ReadImage(str(folder / "vertebrae.seg.nrrd")).GetMetaData(f"Segment{k}_Name") for k in range(4)}
    for path in folder.iterdir():
        assert b"Knochen" not in path.read_bytes(), "the node's name may be the patient's"
    panel.ui.exportComboBox.setCurrentIndex(1)
    panel.ui.exportRunButton.click()
    assert [path.name for path in (tmp_path / "Ωut" / "measurement-002").iterdir()] == ["measurements.csv"]
    (tmp_path / "file").write_text("")
    panel.ui.exportFolderEdit.setCurrentPath(str(tmp_path / "file"))
    panel.ui.exportRunButton.click()
    assert "Nothing can be written there" in panel.ui.exportLabel.text()


def test_without_jinja2_the_simple_page_is_written(panel, volume, case, tmp_path, monkeypatch):
    from VertebralBMDPanel import export

    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    folder, missing = export.export(volume, tmp_path, ("html", "screenshot"))
    assert "Reasons to doubt" in (folder / "report.html").read_text("utf-8") and missing == ["screenshot"]


def test_the_views_are_pictured_without_the_names_in_their_corners(panel, slicer, volume, case, tmp_path, monkeypatch):
    import sys
    import types

    annotations = types.SimpleNamespace(sliceViewAnnotationsEnabled=True, updates=[])
    annotations.updateSliceViewFromGUI = lambda: annotations.updates.append(annotations.sliceViewAnnotationsEnabled)

    class ScreenCaptureLogic:
        """As in Slicer's ScreenCapture module."""

        def captureImageFromView(self, view, path):
            assert view is None and not annotations.sliceViewAnnotationsEnabled
            panel.ui.ResultStep.grab().save(path)

    monkeypatch.setitem(
        sys.modules, "ScreenCapture", types.SimpleNamespace(ScreenCaptureLogic=ScreenCaptureLogic, __spec__=types.SimpleNamespace())
    )
    monkeypatch.setattr(slicer.app, "layoutManager", lambda: object())
    probe = types.SimpleNamespace(infoWidget=types.SimpleNamespace(sliceAnnotations=annotations))
    monkeypatch.setattr(slicer.modules, "DataProbeInstance", probe, raising=False)
    from VertebralBMDPanel.export import export

    folder, missing = export(volume, tmp_path)
    assert missing == [] and (folder / "views.png").read_bytes().startswith(b"\x89PNG")
    assert annotations.sliceViewAnnotationsEnabled and annotations.updates == [False, True]
    assert "data:image/png" in (folder / "report.html").read_text("utf-8")


def test_rows_are_copied_for_a_spreadsheet(panel, case):
    panel.ui.copyButton.click()
    lines = [line.split("\t") for line in QGuiApplication.clipboard().text().split("\n")]
    assert lines[0] == list(COLUMNS) and [line[COLUMNS.index("level")] for line in lines[1:]] == ["L1", "L2"]


def test_all_volumes_are_measured_and_a_refusal_does_not_stop_the_rest(panel, slicer, volume):
    mr, last = add_volume(slicer, "MR", values=(400, 30)), add_volume(slicer, "last")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    panel.enter()
    panel.ui.measureAllButton.click()
    assert "Measuring 1 of 3" in panel.ui.queueLabel.text() and not panel.ui.measureAllButton.isEnabled()
    wait_for(lambda: not panel.logic.running and panel.ui.queueLabel.text().count("\n") == 2, seconds=60)
    panel.ui.measureAllButton.click()
    assert "Measuring 1 of 3" in panel.ui.queueLabel.text(), "what the network weighs is no scan"
    wait_for(lambda: not panel.logic.running and panel.ui.queueLabel.text().count("\n") == 2, seconds=60)
    lines = panel.ui.queueLabel.text().split("\n")
    assert lines[0].startswith("✓ Knochen Ω: 98.4") and lines[2].startswith("✓ last: 98.4")
    assert lines[1].startswith("✗ MR: The voxel values are not Hounsfield units.")
    from VertebralBMDLib import scene

    assert [scene.measurement_of(node)[0] is not None for node in (volume, mr, last)] == [True, False, True]
    assert panel.ui.inputVolumeSelector.currentNode() is volume and "98.4" in panel.ui.patientLabel.text()


def test_cancel_stops_all_volumes(panel, slicer, volume):
    panel.stub("hang")
    other = add_volume(slicer, "other")
    panel.enter()
    panel.ui.measureAllButton.click()
    panel.ui.measureButton.click()
    assert not panel.logic.running and "Stopped after 0 of 2" in panel.ui.queueLabel.text()
    from VertebralBMDLib import scene

    assert scene.measurement_of(other) == (None, None)
