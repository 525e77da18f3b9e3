"""Step 2 through its real widgets: the list of bodies, slice views, renumbering, excluding, own segmentations."""

import numpy as np
import pytest
from panel_tools import add_volume, show_case
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from VertebralBMDLib.quality import Code
from VertebralBMDLib.scene.choices import choices_of


def rows(panel):
    table = panel.ui.bodiesTable
    return [[table.item(row, column).text() for column in range(table.columnCount())] for row in range(table.rowCount())]


def choose(panel, level):
    table = panel.ui.bodiesTable
    table.selectRow([row[0] for row in rows(panel)].index(level))


@pytest.fixture
def asked(panel, monkeypatch):
    """What the panel asks its logic for: (volume, settings, images) of every run."""
    found = []
    monkeypatch.setattr(
        panel.logic, "process", lambda volume, settings, images=None, waitForCompletion=True: found.append((volume, settings, images))
    )
    return found


@pytest.fixture
def case(panel, volume):
    """A measured volume with three bodies: T12 cut off, L1 and L2 measured, L2 with a doubt."""
    panel.enter()
    return show_case(panel, volume)


@pytest.fixture
def view(slicer):
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(slicer.mrmlScene)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode", "Red")
    node.SetOrientation("Axial")
    return node


def place(view):
    return [view.GetSliceToRAS().GetElement(row, 3) for row in range(3)]


def test_the_bodies_found_are_listed_with_what_became_of_them(panel, slicer, case):
    assert rows(panel) == [
        ["T12", "60 %", "20.0", "⚠ cut off by the border"],
        ["L1", "98 %", "31.0", "✓ counts"],
        ["L2", "98 %", "31.0", "⚠ counts, 1 reason to doubt"],
    ]
    assert "vary by more than 60 HU" in panel.ui.bodiesTable.item(2, 0).toolTip()
    assert panel.ui.vertebraeButton.property("text").startswith("⚠")
    panel.ui.inputVolumeSelector.setCurrentNode(add_volume(slicer, "other"))
    assert rows(panel) == [] and not panel.ui.renumberButton.isEnabled() and not panel.ui.excludeButton.isEnabled()


def test_choosing_a_body_by_mouse_or_keyboard_brings_every_view_there(panel, case, view):
    table = panel.ui.bodiesTable
    panel.parent.show()
    panel.ui.vertebraeButton.setProperty("collapsed", False)
    QTest.mouseClick(table.viewport(), Qt.LeftButton, pos=table.visualItemRect(table.item(1, 0)).center())
    assert place(view) == [-14.0, -13.0, 8.0]
    QTest.keyClick(table, Qt.Key_Down)
    assert place(view) == [-14.0, -13.0, 17.0] and "L2: The HU inside" in panel.ui.bodyLabel.text()
    view.JumpSlice(0, 0, 0)
    QTest.mouseClick(table.viewport(), Qt.LeftButton, pos=table.visualItemRect(table.item(2, 0)).center())
    assert place(view) == [-14.0, -13.0, 17.0], "the same body again"
    panel.parent.hide()


def test_the_bodys_own_plane_is_shown_on_request_and_left_again(panel, case, view, monkeypatch):
    from VertebralBMDPanel import vertebrae_step

    wanted = []
    leaning = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
    monkeypatch.setattr(vertebrae_step, "rotation_of", lambda segmentation, document, level: (wanted.append(level), leaning)[1])
    choose(panel, "L1")
    assert wanted == [] and view.GetOrientation() == "Axial"
    panel.ui.obliqueCheckBox.setChecked(True)
    assert wanted == ["L1"] and [view.GetSliceToRAS().GetElement(row, 2) for row in range(3)] == pytest.approx([0, 0.6, 0.8])
    assert panel.logic.getParameterNode().obliqueViews is True and place(view) == [-14.0, -13.0, 8.0]
    panel.ui.obliqueCheckBox.setChecked(False)
    assert view.GetOrientation() == "Axial" and place(view) == [-14.0, -13.0, 8.0]


def test_this_one_is_l1_counts_the_neighbours_and_measures_again(panel, volume, case, asked):
    choose(panel, "L2")
    panel.ui.renumberButton.click()
    ((node, settings, images),) = asked
    assert node is volume and settings.level_at == ("L1", (14.0, 13.0, 17.0)) and images == {}
    assert panel.ui.forgetNamesButton.isVisibleTo(panel.ui.VertebraeStep)
    panel.ui.forgetNamesButton.click()
    assert asked[-1][1].level_at is None


def test_a_level_is_excluded_with_a_reason_and_included_again(panel, volume, case, asked):
    choose(panel, "L2")
    panel.ui.reasonComboBox.setEditText("bridging osteophyte")
    panel.ui.excludeButton.click()
    assert asked[-1][1].exclude == (("L2", "bridging osteophyte"),)
    assert panel.ui.excludeButton.text() == "Include" and not panel.ui.reasonComboBox.isEnabled()
    panel.ui.excludeButton.click()
    assert asked[-1][1].exclude == () and panel.ui.excludeButton.text() == "Exclude"
    panel.ui.reasonComboBox.setEditText("=1+1")
    panel.ui.excludeButton.click()
    assert len(asked) == 2 and "needs a reason for L2" in panel.ui.statusLabel.text()
    assert choices_of(volume).exclude == ()


def test_decisions_about_one_volume_do_not_reach_the_next(panel, slicer, case, asked):
    choose(panel, "L1")
    panel.ui.renumberButton.click()
    panel.ui.inputVolumeSelector.setCurrentNode(add_volume(slicer, "other"))
    panel.ui.measureButton.click()
    assert asked[-1][1].level_at is None and asked[0][1].level_at is not None


def test_the_engine_and_what_numbers_mean_are_settings(panel, slicer, volume, asked):
    panel.enter()
    panel.ui.engineComboBox.setCurrentIndex(1)
    panel.measure()
    assert asked[-1][1].engine == "totalsegmentator"
    panel.logic.getParameterNode().engine = "bundled"
    assert panel.ui.engineComboBox.currentText() == "Bundled network" and not panel.ui.numberingComboBox.isEnabled()
    panel.ui.ownBodiesSelector.setCurrentNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels"))
    assert panel.ui.numberingComboBox.isEnabled() and not panel.ui.engineComboBox.isEnabled()
    panel.ui.numberingComboBox.setCurrentIndex(2)
    assert panel.settings().bodies_numbering == "totalsegmentator"
    panel.ui.measureButton.click()
    assert len(asked) == 1 and "cannot be used with this scan" in panel.ui.statusLabel.text(), "an empty label map"


def test_own_bodies_are_handed_over_for_the_chosen_volume_only(panel, slicer, volume, case, asked):
    segmentation, _table = case
    panel.ui.ownBodiesSelector.setCurrentNode(segmentation)
    assert panel.ui.ownBodiesStatusLabel.text() == "Named segments: L1, L2"
    panel.ui.measureButton.click()
    image = asked[-1][2]["bodies"]
    assert [image.GetMetaData(f"Segment{k}_Name") for k in (0, 1)] == ["L1", "L2"]
    panel.measure(add_volume(slicer, "other"))
    assert asked[-1][2] == {}
    segmentation.GetSegmentation().RemoveAllSegments()
    panel.refresh()
    assert "no segment is named" in panel.ui.ownBodiesStatusLabel.text()


def test_what_is_decided_comes_back_with_a_saved_scene(panel, slicer, volume, case, asked, tmp_path):
    choose(panel, "L2")
    panel.ui.excludeButton.click()
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    assert slicer.mrmlScene.Commit()
    table = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode")
    kept = table.GetAttribute("VertebralBMD.choices")
    assert kept and kept.replace('"', "&quot;") in (tmp_path / "scene.mrml").read_text(encoding="utf-8").replace("&amp;", "&")


def test_refusals_that_a_user_allowed_are_settings_too(panel, volume, case):
    from VertebralBMDLib.scene.choices import Choices, set_choices

    set_choices(volume, Choices(allow=frozenset({Code.CONTRAST})))
    assert panel.settings().allow == {Code.CONTRAST}
