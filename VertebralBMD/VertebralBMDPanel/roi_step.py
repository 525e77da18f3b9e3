"""Step 3, ROI: regions of interest as segments that can be edited, with the numbers following, and the rules that place them."""

from dataclasses import replace
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from VertebralBMDLib import scene
from VertebralBMDLib.edits import edited_levels
from VertebralBMDLib.report import words

from .roi_editor import RoiEditor
from .step import Step

#: What a segmentation says while it is edited: Undo only the first. Of an ROI that is emptied only its label map speaks.
_EVENTS = ("SegmentModified", "SegmentAdded", "SegmentRemoved", "SourceRepresentationModified", "RepresentationModified")

#: One stroke makes many events: the numbers follow once they are through. The network reads when the hand rests.
_FOLLOW_MS, _NETWORK_MS, _POLL_MS = 20, 1000, 50


class RoiStep(Step):
    """A table of the ROIs, the Segment Editor for one of them, and the rules."""

    UI = "RoiStep"

    def __init__(self, panel, button):
        Step.__init__(self, panel, button)
        self._state = self._follower = self._reading = None
        self._readOf, self._level, self._automatic = {}, "", set()
        self._problem = self._networkProblem = self._notice = ""
        self._editor = RoiEditor(self.ui.roiEditorFrame)
        self._followTimer = _timer(_FOLLOW_MS, self.onFollow, once=True)
        self._networkTimer = _timer(_NETWORK_MS, self.onNetwork, once=True)
        self._readingTimer = _timer(_POLL_MS, self.onReading)
        self.ui.roiTable.itemSelectionChanged.connect(self.onSelection)
        self.ui.editRoiButton.toggled.connect(self.onEdit)
        self.ui.insideBodyCheckBox.toggled.connect(self.onEdit)
        self.ui.resetRoiButton.clicked.connect(self.onReset)
        self.ui.showBodiesCheckBox.clicked.connect(self.onShow)
        self.ui.showRoisCheckBox.clicked.connect(self.onShow)
        self.ui.fillRoisCheckBox.clicked.connect(self.onShow)

    def update(self, state):
        self._state = state
        self._observe()
        document = state.document
        levels = _rows(document) if document else []
        self.ui.roiTable.setVisible(bool(levels))
        if self._level not in levels:
            self._level = levels[0] if levels else ""
        self._fillTable(levels)
        self._showButtons()
        self._showSegments()
        if state.running or not self._segment():
            self.ui.editRoiButton.setChecked(False)
        self._showWords()

    def cleanup(self):
        Step.cleanup(self)
        for timer in (self._followTimer, self._networkTimer, self._readingTimer):
            timer.stop()
        self._follower = self._reading = None
        self.ui.editRoiButton.setChecked(False)
        self._editor.cleanup()

    def handOver(self, volume, settings, images):
        """Let the next measurement keep the ROIs that were edited."""
        edited = scene.edited_rois(volume, self._automatic) if volume else None
        self._automatic, self._notice = set(), ""
        if edited is None:
            return settings
        image, levels = edited
        if not _same_bodies(settings, images, scene.measurement_of(volume)[0]["settings"]):
            self._notice = _("The edited ROIs of {levels} were given up, because the vertebrae were found anew.").format(
                levels=", ".join(levels)
            )
            return settings
        images["roi"] = image
        return replace(settings, roi=Path("roi.nrrd"), roi_levels=levels)

    def onSegments(self, caller=None, event=None):
        if not self._followTimer.isActive():
            self._followTimer.start()

    def onFollow(self):
        """The numbers follow the segments."""
        if self._follower is None:
            return
        changed, self._problem = False, ""
        try:
            changed = self._follower.follow()
        except ValueError as error:
            self._problem = str(error)
        self._observeLayers()
        if changed:
            self._networkProblem = self._notice = ""
            self.panel.refresh()
            self._networkTimer.start()
        else:
            self._showWords()

    def onNetwork(self):
        """The network reads the edited ROIs again, in the worker."""
        if self._state.volume is None:
            return
        if self._state.running or self._reading is not None:
            self._networkTimer.start()
            return
        self._readOf = scene.followed_rois(self._state.volume)
        self._reading = self.panel.logic.remeasure(self._state.volume)
        if self._reading is not None:
            self._readingTimer.start()
            self._showWords()

    def onReading(self):
        end = self._reading.end() if self._reading else None
        if end is None:
            return
        self._readingTimer.stop()
        self._reading = None
        if end["event"] == "error":
            self._networkProblem = _("The network could not read the edited ROI: {error}").format(error=end["message"])
            self._showWords()
            return
        # What was edited meanwhile has to be read again.
        followed = scene.followed_rois(self._state.volume)
        valid = {level: reading for level, reading in end["readings"].items() if followed.get(level) == self._readOf.get(level)}
        scene.show_readings(self._state.volume, valid)
        self.panel.refresh()
        if len(valid) < len(end["readings"]):
            self._networkTimer.start()

    def onSelection(self):
        level = self._selected()
        if level and level != self._level:
            self._level = level
            self._showButtons()
            self.onEdit()

    def onEdit(self, checked=None):
        """Show the Segment Editor for the ROI of the chosen level, or put it away."""
        segment = self._segment()
        if not self.ui.editRoiButton.isChecked() or segment is None:
            self._editor.hide()
            return
        body = scene.segments(self._state.segmentationNode, "body").get(self._level)
        inside = body if self.ui.insideBodyCheckBox.isChecked() else None
        self._editor.show(self._state.segmentationNode, self._state.volume, segment, inside)

    def onReset(self):
        """Back to the automatic ROI: at once where it is known, else by measuring again."""
        self._editor.saveStateForUndo()
        if scene.reset_roi(self._state.volume, self._level):
            self.onFollow()
        else:
            self._automatic = {self._level}
            self.panel.measure()

    def onShow(self, checked=None):
        node = self._state.segmentationNode
        scene.set_visible(node, "body", self.ui.showBodiesCheckBox.isChecked())
        scene.set_visible(node, "ROI", self.ui.showRoisCheckBox.isChecked())
        scene.set_filled(node, self.ui.fillRoisCheckBox.isChecked())

    def _observeLayers(self):
        """An edit may give a segment a label map of its own."""
        for layer in scene.layers(self._state.segmentationNode):
            if not self.hasObserver(layer, vtk.vtkCommand.ModifiedEvent, self.onSegments):
                self.addObserver(layer, vtk.vtkCommand.ModifiedEvent, self.onSegments)

    def _observe(self):
        node = self._state.segmentationNode
        if node is None:
            self.removeObservers()
            self._follower = None
        elif self._follower is None or self._follower.volume_node is not self._state.volume:
            self.removeObservers()
            self._follower = scene.RoiFollower(self._state.volume)
            self._networkProblem = self._notice = self._problem = ""
            for event in _EVENTS:
                self.addObserver(node, getattr(slicer.vtkSegmentation, event), self.onSegments)
            self.onSegments()  # It may have been edited elsewhere.

    def _segment(self):
        """ID of the chosen ROI's segment, or None."""
        node = self._state.segmentationNode if self._state else None
        return scene.segments(node, "ROI").get(self._level) if node else None

    def _selected(self):
        item = self.ui.roiTable.item(self.ui.roiTable.currentRow(), 0)
        return item.text() if item else ""

    def _fillTable(self, levels):
        table, document = self.ui.roiTable, self._state.document
        table.blockSignals(True)
        table.setRowCount(len(levels))
        for row, level in enumerate(levels):
            for column, text in enumerate(_cells(document, level)):
                table.setItem(row, column, qt.QTableWidgetItem(text))
        table.resizeColumnsToContents()
        if self._level in levels:
            table.selectRow(levels.index(self._level))
        table.blockSignals(False)

    def _showButtons(self):
        edited = self._level in edited_levels(self._state.document) if self._state.document else False
        self.ui.editRoiButton.setEnabled(self._segment() is not None)
        self.ui.editRoiButton.setText(_("Edit ROI of {level}").format(level=self._level) if self._level else _("Edit ROI"))
        self.ui.resetRoiButton.setEnabled(edited)
        self.ui.resetRoiButton.setText(_("Reset {level}").format(level=self._level) if self._level else _("Reset"))

    def _showSegments(self):
        node = self._state.segmentationNode
        for box in (self.ui.showBodiesCheckBox, self.ui.showRoisCheckBox, self.ui.fillRoisCheckBox):
            box.setEnabled(node is not None)
        if node:
            self.ui.showBodiesCheckBox.setChecked(scene.visible(node, "body"))
            self.ui.showRoisCheckBox.setChecked(scene.visible(node, "ROI"))
            self.ui.fillRoisCheckBox.setChecked(scene.filled(node))

    def _showWords(self):
        """Every sentence there is to say, and the step's mark."""
        state, reading = self._state, self._reading is not None
        said = [self._problem, self._notice, self._networkProblem, *(_doubts(state.document) if state.document else [])]
        if self._follower and self._follower.edited_bodies:
            text = _("The body of {levels} was edited. Its ROI does not follow: choose this segmentation as your own, then press Measure.")
            said.append(text.format(levels=", ".join(self._follower.edited_bodies)))
        if state.document and not _same_rules(state.parameterNode, state.document["settings"]):
            said.append(_("Press Measure to place the ROIs by the new rules; edited ROIs stay."))
        said = [sentence for sentence in said if sentence]
        wait = [_("The network reads the edited ROI…")] if reading else []
        self.ui.roiLabel.setText("\n".join([*said, *wait]))
        self.ui.roiLabel.setVisible(bool(said or wait))
        measured = state.document is not None and bool(words.measured(state.document))
        mark = "" if state.document is None else "running" if reading else "fail" if not measured else "warn" if said else "pass"
        self.setStatus(mark, "\n".join([*said, *wait]))


def _timer(interval, slot, once=False):
    timer = qt.QTimer()
    timer.setInterval(interval)
    timer.setSingleShot(once)
    timer.timeout.connect(slot)
    return timer


def _rows(document):
    """The levels that have an ROI, or whose ROI was erased."""
    edited = edited_levels(document)
    return [entry["level"] for entry in words.reported(document) if "roi_mean_hu" in entry or entry["level"] in edited]


def _cells(document, level):
    entry = next(entry for entry in document["vertebrae"] if entry["level"] == level)
    measured = "roi_mean_hu" in entry
    edited = _("edited") if level in edited_levels(document) else _("automatic")
    volume = f"{words.number(entry['roi_volume_cm3'])} cm³" if measured else "–"
    hu = f"{words.number(entry['roi_mean_hu'])} ± {words.number(entry['roi_sd_hu'])} HU" if measured else "–"
    density = f"{words.number(entry['vbmd_roi_mg_cm3'])} mg/cm³" if "vbmd_roi_mg_cm3" in entry else "–"
    return level, edited, volume, hu, density


def _doubts(document):
    """What is wrong with single ROIs, in the words of the document."""
    found = {(entry["level"], entry["code"]) for entry in document["patient"].get("left_out", []) if entry["code"].startswith("ROI_")}
    found |= {(entry["level"], code) for entry in words.reported(document) for code in entry["flags"] if code in _DOUBTS}
    return [f"{level}: {document['messages'][code]}" for level, code in sorted(found)]


_DOUBTS = ("ROI_OUTSIDE_BODY", "ROI_HETEROGENEOUS", "LESION")


def _same_rules(parameterNode, settings):
    asked = (parameterNode.erosionMm, parameterNode.erosionShape, parameterNode.region, parameterNode.centralFraction)
    used = [settings.get(name) for name in ("erosion_mm", "erosion_shape", "region", "central_fraction")]
    return all(one == other or other is None for one, other in zip(asked, used))


def _same_bodies(settings, images, used):
    """Whether the next measurement names and outlines the bodies as the last one did, so that edited ROIs still fit."""
    own = settings.bodies is not None or "bodies" in images
    at = dict(level=settings.level_at[0], point_lps_mm=list(settings.level_at[1])) if settings.level_at else None
    asked = dict(engine=settings.engine, own_bodies=own, level_at=at)
    return all(used.get(name) == value for name, value in asked.items())
