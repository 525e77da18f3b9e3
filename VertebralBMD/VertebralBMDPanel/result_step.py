"""Step 5, Result: the density of every vertebra, the patient's category, every reason to doubt or withhold it, and what a reader says."""

from dataclasses import replace

import qt
import slicer
from slicer.i18n import tr as _

from VertebralBMDLib import scene
from VertebralBMDLib.quality import MESSAGES, Code
from VertebralBMDLib.report import words
from VertebralBMDLib.report.table import tab_separated
from VertebralBMDLib.scene.choices import choices_of, set_choices
from VertebralBMDLib.scene.review import review_of, reviewed_document, set_review
from VertebralBMDLib.scene.studies import comparisons
from VertebralBMDLib.summary import can_be_allowed, patient_summary

from .export import FILES, export
from .step import Step, value_of

_EXPORTS = {
    "all": _("Everything"),
    "csv": _("Table (CSV)"),
    "json": _("All values (JSON)"),
    "html": _("Report (HTML)"),
    "pdf": _("Report (PDF)"),
    "segmentation": _("Segmentation"),
    "screenshot": _("Picture of the views"),
}

#: Widest that the names of the rows may be; so two vertebrae fit into a panel of 480 pixels.
_ROW_NAMES_PX = 225


class ResultStep(Step):
    """Shows the measurement of the chosen volume, and of no other."""

    UI = "ResultStep"
    USABLE_WHILE_RUNNING = True

    def __init__(self, panel, button):
        Step.__init__(self, panel, button)
        self._state, self._reviewed, self._allowable = None, None, []
        for text in _EXPORTS.values():
            self.ui.exportComboBox.addItem(text)
        for status in words.REVIEWS:
            getattr(self.ui, f"{status}Button").clicked.connect(lambda checked=False, status=status: self.onVerdict(status))
        self.ui.resultTableView.verticalHeader().setMaximumWidth(_ROW_NAMES_PX)
        self.ui.showWeightsCheckBox.clicked.connect(self.onShowWeights)
        self.ui.allowButton.clicked.connect(lambda: self.onAllow())
        self.ui.withdrawButton.clicked.connect(lambda: self.onWithdraw())
        self.ui.copyButton.clicked.connect(lambda: self.onCopy())
        self.ui.exportRunButton.clicked.connect(lambda: self.onExport())
        self.ui.measureAllButton.clicked.connect(lambda: self.onMeasureAll())

    def update(self, state):
        """Show numbers, refusals, earlier studies and the verdict of the chosen volume."""
        self._state = state
        document = state.document
        self.ui.patientLabel.setText(patient_summary(document) if document else _("This volume has not been measured."))
        self.ui.resultTableView.setVisible(document is not None)
        self.ui.resultTableView.setMRMLTableNode(state.tableNode)
        if state.tableNode:
            self.ui.resultTableView.setProperty("transposed", True)  # Without a node the view refuses it.
        self._showWeights()
        self._showRefusals()
        self._showStudies()
        self._showReview()
        for widget in (self.ui.exportRunButton, self.ui.copyButton):
            widget.setEnabled(document is not None)
        self.ui.measureAllButton.setEnabled(not state.running and bool(_volumes()))
        said = self.panel.queue.sentences()
        self.ui.queueLabel.setText(said)
        self.ui.queueLabel.setVisible(bool(said))
        self.setStatus("running" if state.running else _mark(document))

    def onShowWeights(self, checked=None):
        scene.set_weights_visible(self._state.volume, self.ui.showWeightsCheckBox.isChecked())

    def onAllow(self):
        """Measure in spite of the chosen refusal, which is recorded."""
        code = self._allowable[value_of(self.ui.allowComboBox.currentIndex)]
        choices = choices_of(self._state.volume)
        self._decide(replace(choices, allow=choices.allow | {code}))

    def onWithdraw(self):
        self._decide(replace(choices_of(self._state.volume), allow=frozenset()))

    def onVerdict(self, status):
        set_review(self._state.volume, status, value_of(self.ui.commentLineEdit.text))
        self._showReview()

    def onCopy(self):
        qt.QApplication.clipboard().setText(tab_separated(reviewed_document(self._state.volume)))
        self._say(_("The measured rows are on the clipboard."))

    def onExport(self):
        """Export to the chosen folder, and say where."""
        folder = value_of(self.ui.exportFolderEdit.currentPath)
        if not folder:
            self._say(_("Choose a folder first."))
            return
        kind = list(_EXPORTS)[value_of(self.ui.exportComboBox.currentIndex)]
        try:
            target, missing = export(self._state.volume, folder, tuple(FILES) if kind == "all" else (kind,))
        except OSError as error:
            self._say(_("Nothing can be written there: {error}").format(error=error.strerror or error))
            return
        text = _("Written to {folder}.").format(folder=target.name)
        if missing:
            text += " " + _("Not possible here: {kinds}.").format(kinds=", ".join(_EXPORTS[each] for each in missing))
        self._say(text)

    def onMeasureAll(self):
        self.panel.queue.start(_volumes())

    def _decide(self, choices):
        set_choices(self._state.volume, choices)
        self.panel.measure()

    def _say(self, text):
        self.ui.exportLabel.setText(text)
        self.ui.exportLabel.setVisible(bool(text))

    def _showWeights(self):
        volume = self._state.volume
        there = volume is not None and scene.weights_current(volume)
        self.ui.showWeightsCheckBox.setEnabled(there)
        self.ui.showWeightsCheckBox.setChecked(there and scene.weights_visible(volume))

    def _showRefusals(self):
        """Offer what may be overruled, and say what was."""
        state = self._state
        self._allowable = can_be_allowed(state.document) if state.document else []
        self.ui.allowComboBox.clear()
        self.ui.allowComboBox.addItems([MESSAGES[code].sentence for code in self._allowable])
        self.ui.allowWidget.setVisible(bool(self._allowable))
        self.ui.allowWidget.setEnabled(not state.running)
        allowed = sorted(choices_of(state.volume).allow) if state.volume else []
        sentences = " ".join(MESSAGES[Code(code)].sentence for code in allowed)
        self.ui.allowedLabel.setText(_("⚠ Measured in spite of this, by your decision: {refusals}").format(refusals=sentences))
        self.ui.allowedWidget.setVisible(bool(allowed))
        self.ui.allowedWidget.setEnabled(not state.running)

    def _showStudies(self):
        parameters, lines = self._state.parameterNode, []
        if parameters and self._state.document:
            chosen = parameters.earlierStudy
            own = parameters.precisionPercent or None
            for each in comparisons(self._state.volume, None if chosen is self._state.volume else chosen, own):
                lines.append(f"{each.earlier.GetName()} → {each.later.GetName()}")
                lines.append(str(each.change) if each.change else each.reason)
                lines += [f"⚠ {doubt}" for doubt in (each.change.doubts if each.change else ())]
        self.ui.changeLabel.setText("\n".join(lines) or _("No earlier study of this patient was found in the scene."))

    def _showReview(self):
        volume = self._state.volume
        review = review_of(volume) if volume else None
        if (volume, review) != self._reviewed:
            self.ui.commentLineEdit.setText(review.comment if review else "")
            self._reviewed = (volume, review)
        for status in words.REVIEWS:
            getattr(self.ui, f"{status}Button").setEnabled(self._state.document is not None)
        text = ""
        if review:
            text = words.review(dict(review=dict(status=review.status, time=review.time)))
            text += "" if review.current else ". " + _("⚠ The volume was measured anew since, with another result: review it again.")
        self.ui.reviewLabel.setText(text or _("Not reviewed yet."))


def _volumes():
    """Every CT volume of the scene."""
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    nodes = [node for node in nodes if node.GetClassName() == "vtkMRMLScalarVolumeNode" and node.GetImageData() is not None]
    return [node for node in nodes if not scene.is_weights(node)]


def _mark(document):
    if document is None:
        return ""
    if document["patient"]["refusals"] or "vbmd_mg_cm3" not in document["patient"]:
        return "fail"
    return "warn" if words.reasons(document) else "pass"
