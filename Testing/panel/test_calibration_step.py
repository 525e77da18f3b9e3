"""Step 4 of the panel, through its real widgets: the request, the rods as points, charts, checks and certificates."""

import json
import sys
from dataclasses import replace
from functools import cache

import pytest
import report_case
from rod_scans import Drawn

from VertebralBMDLib import scene
from VertebralBMDLib.calibration.asynchronous import calibration_document
from VertebralBMDLib.calibration.catalogue import load_phantom
from VertebralBMDLib.calibration.checks import Check
from VertebralBMDLib.calibration.placed_files import placed_rods
from VertebralBMDLib.calibration.tiers import calibrate
from VertebralBMDLib.report.document import document
from VertebralBMDLib.scan import Acquisition, checked
from VertebralBMDLib.scene import rods, volumes

PHANTOM = load_phantom("qrm-bdc3")
TAKEN = Acquisition(
    kvp=120.0, kernel="STANDARD", manufacturer="MAKER", model="ONE", device_serial="7",
    table_height_mm=135.0, reconstruction_diameter_mm=400.0, acquired_on="2024-03-01",
)  # fmt: skip


CASE = cache(report_case.measurement)


@pytest.fixture(scope="module")
def scan():
    return checked(Drawn(PHANTOM, noise=5.0).image(), TAKEN)


@pytest.fixture(scope="module")
def line(scan):
    """The calibration of the drawn phantom, as the pipeline makes it."""
    return calibrate(scan, "auto", [[0.0, -10.0, 18.0], [0.0, -10.0, -18.0]])[0]


@pytest.fixture
def volume(slicer, scan):
    return scene.add_volume(slicer.mrmlScene, scan, "Knochen Ω")


@pytest.fixture
def show(panel, volume):
    """Puts a measurement with a calibration beside the volume, as the logic does at the end of a run."""

    def shown(calibration, **more):
        panel.enter()
        said = document(replace(CASE(), calibration=calibration, **more))
        scene.show_measurement(volume, said, None, None)
        scene.show_rods(volume, said)
        scene.show_fit(volume, said)
        panel.refresh()
        return said

    return shown


def pick(comboBox, text):
    """Choose the item that begins with a text, as a user does."""
    index = next(i for i in range(comboBox.count()) if comboBox.itemText(i).startswith(text))
    comboBox.setCurrentIndex(index)


def visible(*widgets):
    return [not widget.isHidden() for widget in widgets]


def asked(panel):
    return panel.logic.getParameterNode().calibration


def handed_over(panel, monkeypatch):
    """The settings of the next measurement, and the text of its rods, instead of measuring."""
    found = {}

    class Run:
        def __init__(self, first, second, *more):
            settings = next(each for each in (first, second, *more) if hasattr(each, "erosion_mm"))
            found.update(settings=settings, rods=settings.rods and settings.rods.read_text(encoding="utf-8"))
            raise RuntimeError("handed over")

    monkeypatch.setattr(sys.modules["VertebralBMDPanel.logic"], "MeasurementRun", Run)
    return found


def test_the_choice_of_a_calibration_becomes_settings(panel, volume):
    panel.enter()
    ui = panel.ui
    assert panel.settings().calibration == "auto" and visible(ui.calibrationPhantomComboBox, ui.calibrationFileEdit) == [False, False]
    pick(ui.calibrationKindComboBox, "Phantom in the scan")
    assert panel.settings().calibration == "phantom" and visible(ui.calibrationPhantomComboBox, ui.calibrationFileEdit) == [True, False]
    pick(ui.calibrationPhantomComboBox, "Mindways Model 3 CT")
    assert panel.settings().calibration == "phantom:mindways-model3"
    for text in ("/d", "/data/our certificate", "/data/our certificate.json"):  # As it is typed.
        ui.calibrationCertificateEdit.edit.setText(text)
    assert panel.settings().calibration == "phantom:/data/our certificate.json" and not ui.calibrationPhantomComboBox.isEnabled()
    ui.calibrationCertificateEdit.edit.clear()
    assert panel.settings().calibration == "phantom:mindways-model3" and ui.calibrationPhantomComboBox.isEnabled()
    pick(ui.calibrationKindComboBox, "Patient's own tissues")
    pick(ui.calibrationMaterialComboBox, "K₂HPO₄")
    assert panel.settings().calibration == "tissue:K2HPO4"
    ui.calibrationSiteEdit.edit.setText("/data/site.json")
    assert panel.settings().calibration == "tissue:/data/site.json" and not ui.calibrationMaterialComboBox.isEnabled()
    pick(ui.calibrationKindComboBox, "None")
    assert panel.settings().calibration == "none"
    assert not any(visible(ui.calibrationSiteEdit, ui.calibrationMaterialComboBox, ui.calibrationPhantomComboBox))


def test_conversion_and_limits_become_settings(panel, volume):
    panel.enter()
    assert panel.settings().convert is None and panel.settings().thresholds == "acr" and not panel.ui.calibrationFactorSpinBox.isEnabled()
    pick(panel.ui.calibrationConvertComboBox, "K₂HPO₄")
    panel.ui.calibrationFactorSpinBox.setValue(0.87)
    assert panel.settings().convert == ("K2HPO4", 0.87) and panel.ui.calibrationFactorSpinBox.isEnabled()
    names = [panel.ui.calibrationLimitsComboBox.itemText(i) for i in range(panel.ui.calibrationLimitsComboBox.count())]
    assert len(names) == 4 and all(names)
    panel.ui.calibrationLimitsComboBox.setCurrentIndex(3)
    assert panel.settings().thresholds == "pickhardt-hu"


@pytest.mark.parametrize("request_text", ["phantom:qrm-bdc6", "async:/data/c.json", "tissue:CaHA", "none", "auto", "phantom,tissue"])
def test_what_a_script_or_a_saved_scene_asks_for_is_shown_and_kept(panel, volume, request_text):
    panel.enter()
    node = panel.logic.getParameterNode()
    node.calibration, node.convertTo, node.thresholds = request_text, "CaHA", "integral"
    assert asked(panel) == request_text, "showing changes nothing"
    panel.exit()
    panel.enter()
    assert panel.settings().calibration == request_text and panel.settings().convert == ("CaHA", 1.0)
    shown = panel.ui.calibrationKindComboBox.currentText()
    assert shown == request_text if "," in request_text else shown.split()[0] in ("Phantom", "Patient's", "None:", "Automatic:")
    pick(panel.ui.calibrationKindComboBox, "None" if request_text != "none" else "Automatic")
    assert asked(panel) != request_text


def phantom_scan(folder, line, **acquisition):
    path = folder / "calibration.json"
    path.write_text(json.dumps(calibration_document(line, PHANTOM, replace(TAKEN, **acquisition))), encoding="utf-8")
    return str(path)


def test_a_phantom_scan_is_judged_before_anything_is_measured(panel, volume, line, tmp_path, monkeypatch):
    panel.enter()
    pick(panel.ui.calibrationKindComboBox, "Phantom scanned alone")
    assert "Choose the file" in panel.ui.calibrationFileCheckLabel.text()
    panel.ui.measureButton.click()
    assert "Choose the calibration.json of a phantom scan" in panel.ui.statusLabel.text() and not panel.logic.running
    monkeypatch.setattr(volumes, "acquisition_of", lambda path: replace(TAKEN, acquired_on="2024-04-15"))
    panel.ui.calibrationFileEdit.edit.setText(phantom_scan(tmp_path, line))
    said = panel.ui.calibrationFileCheckLabel.text()
    assert panel.settings().calibration == f"async:{tmp_path / 'calibration.json'}"
    assert "scanned on 2024-03-01" in said and "⚠ warn" in said and "45 days before" in said and "✗" not in said
    phantom_scan(tmp_path, line, device_serial="8")
    monkeypatch.setattr("os.path.getmtime", lambda path: 1.0)  # As another day.
    panel.refresh()
    assert "✗ fail" in panel.ui.calibrationFileCheckLabel.text() and "another scanner" in panel.ui.calibrationFileCheckLabel.text()
    panel.ui.calibrationFileEdit.edit.setText(str(tmp_path / "absent.json"))
    assert "absent.json: there is no such file" in panel.ui.calibrationFileCheckLabel.text()


def test_a_phantom_scan_is_read_once(panel, volume, line, tmp_path, monkeypatch):
    panel.enter()
    pick(panel.ui.calibrationKindComboBox, "Phantom scanned alone")
    panel.ui.calibrationFileEdit.edit.setText(phantom_scan(tmp_path, line))
    monkeypatch.setattr(volumes, "acquisition_of", lambda path: pytest.fail("read again"))
    panel.refresh()


def test_line_checks_and_rods_of_the_measurement_are_shown(panel, show, line):
    said = show(line)
    ui = panel.ui
    assert "Phantom in the scan (qrm-bdc3)" in ui.calibrationTierLabel.text() and "vBMD = 0." in ui.calibrationTierLabel.text()
    checks = ui.calibrationChecksLabel.text()
    assert checks.count("✓ pass") == len(said["calibration"]["checks"]) > 4 and "R²" in checks and "Rod noise" in checks
    assert ui.calibrationButton.property("text").startswith("✓") and "qrm-bdc3" in ui.calibrationButton.toolTip()
    view = ui.rodsTableView
    assert [view.horizontalHeaderItem(i).text() for i in range(view.columnCount())] == ["R1", "R2", "R3"]
    assert [view.verticalHeaderItem(i).text() for i in range(view.rowCount())] == [
        "Certificate (mg/cm³ CaHA)", "HU", "SD (HU)", "Line (mg/cm³ CaHA)", "Residual (mg/cm³ CaHA)"
    ]  # fmt: skip
    assert view.item(0, 1).text() in ("400", "400.0") and "Found in the scan" in ui.rodsLabel.text()
    assert [b.isEnabled() for b in (ui.rodsForgetButton, ui.rodsMeasureButton, ui.lineChartButton)] == [False, False, True]


@pytest.mark.parametrize(("status", "sign", "word"), [("warn", "⚠", "warn"), ("fail", "✗", "fail")])
def test_what_did_not_pass_comes_first_with_its_remedy(panel, show, line, status, sign, word):
    bad = Check("RMSE", status, 5.5, "at most <3.0", "The rods lie far from their line.", "Check the rods & the certificate.")
    show(replace(line, checks=(*line.checks, bad)))
    text = panel.ui.calibrationChecksLabel.text()
    first = text.partition("</p>")[0]
    assert f"{sign} {word}" in first and "RMSE: 5.5 (at most &lt;3.0)" in first and "Check the rods &amp; the certificate." in first
    assert panel.ui.calibrationButton.property("text").startswith(sign)


def test_without_a_calibration_the_step_warns(panel, show):
    case = report_case.measurement(calibrated=False)
    show(case.calibration, measured=case.measured, assessment=case.assessment)
    assert panel.ui.calibrationTierLabel.text() == "In use: None, HU only"
    assert panel.ui.calibrationButton.property("text").startswith("⚠") and panel.ui.rodsGroupBox.isHidden()


def test_a_volume_without_a_measurement_shows_nothing_of_another(panel, show, line, slicer, scan):
    show(line)
    other = scene.add_volume(slicer.mrmlScene, scan, "other")
    panel.ui.inputVolumeSelector.setCurrentNode(other)
    ui = panel.ui
    assert ui.calibrationTierLabel.text() == "Not measured yet." and ui.rodsGroupBox.isHidden() and ui.calibrationChecksLabel.isHidden()
    assert ui.calibrationButton.property("text") == "4. Calibration"


def move(node, index, by):
    x, y, z = node.GetNthControlPointPositionWorld(index)
    node.SetNthControlPointPositionWorld(index, x + by, y, z)


def test_a_dragged_rod_is_read_where_it_is_in_the_next_measurement(panel, show, line, volume, scan, tmp_path, monkeypatch):
    said = show(line)
    node = rods.find_rods(volume)
    move(node, 0, 3.0)
    assert "Moved by you" in panel.ui.rodsLabel.text() and panel.ui.rodsMeasureButton.isEnabled()
    found = handed_over(panel, monkeypatch)
    panel.ui.rodsMeasureButton.click()
    assert panel.ui.statusLabel.text() == "handed over"
    assert found["settings"].calibration == "phantom:qrm-bdc3"
    (tmp_path / "again.csv").write_text(found["rods"], encoding="utf-8")
    placed = placed_rods(tmp_path / "again.csv", scan.image, PHANTOM)
    x = said["calibration"]["rods"][0]["centre_lps_mm"][0]
    assert [each.rod.id for each in placed] == ["R1", "R2", "R3"] and placed[0].points_lps_mm[0, 0] == pytest.approx(x - 3.0)
    assert "Placed by you" in panel.ui.rodsLabel.text()


def test_rods_that_were_moved_can_be_forgotten(panel, show, line, volume, monkeypatch):
    show(line)
    move(rods.find_rods(volume), 0, 3.0)
    panel.ui.rodsForgetButton.click()
    assert "Found in the scan" in panel.ui.rodsLabel.text() and not panel.ui.rodsForgetButton.isEnabled()
    found = handed_over(panel, monkeypatch)
    panel.ui.measureButton.click()
    assert found["settings"].rods is None and found["settings"].calibration == "auto"


def test_rods_are_placed_by_hand_where_none_are_found(panel, volume, slicer, monkeypatch):
    panel.enter()
    assert panel.ui.rodsGroupBox.isHidden()
    panel.logic.getParameterNode().calibration = "phantom:qrm-bdc3"
    assert not panel.ui.rodsGroupBox.isHidden() and "No rods were read" in panel.ui.rodsLabel.text()
    panel.ui.rodsPlaceButton.click()
    node = rods.find_rods(volume)
    assert "0 of 3 points" in panel.ui.rodsLabel.text()
    for index in range(3):
        node.SetNthControlPointPositionWorld(index, 30.0 - 30.0 * index, -60.0, 0.0)
    assert "3 of 3 points" in panel.ui.rodsLabel.text()
    found = handed_over(panel, monkeypatch)
    panel.ui.measureButton.click()
    assert len(found["rods"].splitlines()) == 4
    panel.logic.getParameterNode().calibration = "phantom:unknown"
    panel.ui.rodsPlaceButton.click()
    assert "phantom must be one of" in panel.ui.statusLabel.text()


def test_the_charts_are_shown_in_the_plot_view(panel, show, line, slicer):
    show(line)
    view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotViewNode")
    panel.ui.lineChartButton.click()
    assert view.GetPlotChartNode().GetTitle().startswith("qrm-bdc3: density")
    panel.ui.residualChartButton.click()
    assert view.GetPlotChartNode().GetTitle() == "Residuals of the rods"


def test_closing_the_scene_lets_go_of_the_rods(panel, show, line, volume, slicer):
    show(line)
    node = rods.find_rods(volume)
    slicer.mrmlScene.Clear()
    assert panel.ui.rodsGroupBox.isHidden()
    move(node, 0, 1.0)
    assert panel.ui.rodsGroupBox.isHidden() and panel.ui.calibrationTierLabel.text() == "Not measured yet."


def test_the_end_of_a_run_shows_rods_and_line(panel, volume, monkeypatch):
    shown = []
    for name in ("show_rods", "show_fit"):
        monkeypatch.setattr(scene, name, lambda node, said, name=name: shown.append((name, node, said["calibration"]["phantom"])))
    panel.logic.process(volume)
    assert shown == [("show_rods", volume, "qrm-bdc3"), ("show_fit", volume, "qrm-bdc3")]


def cell(panel, row, column):
    return panel.ui.certificateTable.item(row, column).text()


def test_a_certificate_is_written_from_a_known_phantom_and_used(panel, volume, tmp_path):
    panel.enter()
    ui = panel.ui
    panel.logic.getParameterNode().calibration = "phantom:mindways-model3"
    ui.certificateStartButton.click()
    assert [cell(panel, 0, c) for c in range(3)] == ["A", "-51.83", "1012.25"] and ui.certificateTable.rowCount() == 5
    assert ui.certificateNameEdit.text() == "mindways-model3-own" and ui.certificateMaterialComboBox.currentText() == "K2HPO4"
    ui.certificateSerialEdit.setText("#1234")
    ui.certificateTable.item(0, 1).setText("−50,5")
    ui.certificateDiameterSpinBox.setValue(21.0)
    path = tmp_path / "ours Ω.json"
    ui.certificatePathEdit.edit.setText(str(path))
    ui.certificateSaveButton.click()
    assert "Saved and in use" in ui.certificateMessageLabel.text() and asked(panel) == f"phantom:{path}"
    phantom = load_phantom(str(path))
    assert (phantom.rods[0].density_mg_cm3, phantom.rods[1], phantom.serial) == (-50.5, load_phantom("mindways-model3").rods[1], "#1234")
    assert (phantom.rod_diameter_mm, phantom.rod_spacing_mm) == (21.0, 30.0)
    ui.certificateStartButton.click()
    assert cell(panel, 0, 1) == "-50.5", "the certificate in use is what is edited next"


def test_rods_can_be_added_and_removed_and_a_material_chosen(panel, volume, tmp_path):
    panel.enter()
    ui = panel.ui
    panel.logic.getParameterNode().calibration = "phantom:qrm-bdc3"
    ui.certificateStartButton.click()
    ui.certificateTable.setCurrentCell(0, 0)
    ui.certificateRemoveButton.click()
    ui.certificateAddButton.click()
    for column, text in enumerate(("R9", "1200")):
        ui.certificateTable.item(2, column).setText(text)
    pick(ui.certificateMaterialComboBox, "K2HPO4")
    ui.certificatePathEdit.edit.setText(str(tmp_path / "c.json"))
    ui.certificateSaveButton.click()
    phantom = load_phantom(str(tmp_path / "c.json"))
    assert [(rod.id, rod.density_mg_cm3) for rod in phantom.rods] == [("R2", 400.0), ("R3", 800.0), ("R9", 1200.0)]
    assert phantom.material == "K2HPO4"


def test_what_is_wrong_with_a_certificate_is_named_and_nothing_is_saved(panel, volume, tmp_path):
    panel.enter()
    ui = panel.ui
    ui.certificateSaveButton.click()
    assert "Start from a phantom first" in ui.certificateMessageLabel.text()
    ui.certificateStartButton.click()
    assert "Choose a phantom" in ui.certificateMessageLabel.text()
    panel.logic.getParameterNode().calibration = "phantom:qrm-bdc3"
    ui.certificateStartButton.click()
    ui.certificateSaveButton.click()
    assert "Choose a file" in ui.certificateMessageLabel.text()
    path = tmp_path / "c.json"
    ui.certificatePathEdit.edit.setText(str(path))
    ui.certificateTable.item(0, 1).setText("hundred")
    ui.certificateSaveButton.click()
    assert (
        "density_mg_cm3 of rod R1 must be a number" in ui.certificateMessageLabel.text()
        and "'hundred'" in ui.certificateMessageLabel.text()
    )
    ui.certificateTable.item(0, 1).setText("100")
    ui.certificatePathEdit.edit.setText(str(tmp_path / "absent" / "c.json"))
    ui.certificateSaveButton.click()
    assert "Not saved" in ui.certificateMessageLabel.text()
    assert not list(tmp_path.glob("**/*.json")) and asked(panel) == "phantom:qrm-bdc3"


def test_every_control_has_a_tooltip(panel):
    from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QLineEdit, QPushButton, QTableWidget

    step = panel.ui.calibrationButton
    names = [w.objectName() for kind in (QComboBox, QPushButton, QAbstractSpinBox, QTableWidget, QLineEdit) for w in step.findChildren(kind)
             if w.objectName() and not w.objectName().startswith("qt_") and not w.toolTip()]  # fmt: skip
    assert names == []
