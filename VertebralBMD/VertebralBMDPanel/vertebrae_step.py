"""Step 2, Vertebrae: the levels to measure, the program that finds them, and the bodies found, to be seen, renamed or excluded."""

import qt
import slicer
from slicer.i18n import tr as _

from VertebralBMDLib.anatomy import COLUMN
from VertebralBMDLib.found_bodies import found_bodies
from VertebralBMDLib.quality import Refused, in_panel
from VertebralBMDLib.scene.choices import choices_of, set_choices
from VertebralBMDLib.scene.own_bodies import named_levels, own_bodies
from VertebralBMDLib.scene.views import jump_to, rotation_of, turn_slices

from .step import Step, value_of

_ENGINES = {"bundled": _("Bundled network"), "totalsegmentator": _("TotalSegmentator")}
_NUMBERINGS = {"auto": _("Tell by the labels"), "verse": _("VerSe (L1 = 20)"), "totalsegmentator": _("TotalSegmentator (L1 = 31)")}
_SIGNS = {"": "", "pass": "✓ ", "warn": "⚠ ", "fail": "✗ "}


class VertebraeStep(Step):
    """The list of bodies follows the measurement of the chosen volume; what is decided about a body is kept with that volume."""

    UI = "VertebraeStep"

    def __init__(self, panel, button):
        Step.__init__(self, panel, button)
        self._state = self._listed = None
        for combo, texts, name in (
            (self.ui.engineComboBox, _ENGINES, "engine"),
            (self.ui.numberingComboBox, _NUMBERINGS, "bodiesNumbering"),
        ):
            for key, text in texts.items():
                combo.addItem(text, key)
            combo.currentIndexChanged.connect(lambda index, name=name, keys=list(texts): self._choose(name, keys[index]))
        self.ui.levelComboBox.addItems(list(COLUMN))
        self.ui.levelComboBox.setCurrentIndex(COLUMN.index("L1"))
        self.ui.bodiesTable.itemSelectionChanged.connect(self.onBody)
        self.ui.bodiesTable.cellClicked.connect(lambda row, column: self.onBody())
        self.ui.obliqueCheckBox.toggled.connect(lambda checked: self._look())
        self.ui.renumberButton.clicked.connect(lambda: self.onRenumber())
        self.ui.excludeButton.clicked.connect(lambda: self.onExclude())
        self.ui.forgetNamesButton.clicked.connect(lambda: self.onForgetNames())

    def update(self, state):
        """Show the choices and the bodies of the chosen volume's measurement."""
        self._state = state
        parameters, measured = state.parameterNode, state.document is not None
        self.ui.engineComboBox.setCurrentIndex(list(_ENGINES).index(parameters.engine) if parameters else 0)
        self.ui.numberingComboBox.setCurrentIndex(list(_NUMBERINGS).index(parameters.bodiesNumbering) if parameters else 0)
        own = parameters.ownBodies if parameters else None
        self.ui.engineComboBox.setEnabled(own is None)
        self.ui.numberingComboBox.setEnabled(own is not None and own.IsA("vtkMRMLLabelMapVolumeNode"))
        self._showOwn(own)
        bodies = found_bodies(state.document) if measured else []
        if (state.volume, bodies) != self._listed:
            self._list(bodies)
            self._listed = (state.volume, bodies)
        renamed = state.volume is not None and choices_of(state.volume).level_at is not None
        self.ui.forgetNamesButton.setVisible(renamed)
        self._showBody()
        marks = [body.mark for body in bodies]
        self.setStatus("running" if state.running else next((mark for mark in ("fail", "warn", "pass") if mark in marks), ""), "")

    def handOver(self, volume, settings, images):
        """Hand over the user's own bodies of the chosen volume, where there are any. Raises Refused where they cannot be used."""
        parameters = self.panel.logic.getParameterNode()
        if parameters.ownBodies and volume is parameters.inputVolume:
            images["bodies"] = own_bodies(parameters.ownBodies, volume)
        return settings

    def onBody(self):
        self._showBody()
        self._look()

    def onRenumber(self):
        body = self._body()
        if body:
            name = COLUMN[value_of(self.ui.levelComboBox.currentIndex)]
            self._decide(lambda choices: choices.renumbered(self._state.document, body.level, name))

    def onExclude(self):
        """Exclude the chosen body, or let it count again."""
        body = self._body()
        if not body:
            return
        excluded = body.level in dict(choices_of(self._state.volume).exclude)
        reason = value_of(self.ui.reasonComboBox.currentText)
        self._decide(lambda choices: choices.including(body.level) if excluded else choices.excluding(body.level, reason))

    def onForgetNames(self):
        self._decide(lambda choices: choices.as_found())

    def _decide(self, change):
        """Keep a changed decision about the volume and measure again; say why where it makes no sense."""
        volume = self._state.volume
        try:
            set_choices(volume, change(choices_of(volume)))
        except ValueError as error:
            self.panel.say(str(error))
            return
        self.panel.measure()

    def _choose(self, name, key):
        parameters = self._state.parameterNode if self._state else None
        if parameters and getattr(parameters, name) != key:
            setattr(parameters, name, key)

    def _showOwn(self, own):
        text = ""
        if own is not None and own.IsA("vtkMRMLSegmentationNode"):
            try:
                levels = named_levels(own.GetSegmentation()).values()
                text = _("Named segments: {levels}").format(levels=", ".join(sorted(levels, key=_order)))
            except Refused as refusal:
                text = f"{in_panel(refusal.code.value)} ({refusal.detail})"
        self.ui.ownBodiesStatusLabel.setText(text)
        self.ui.ownBodiesStatusLabel.setVisible(bool(text))

    def _list(self, bodies):
        table = self.ui.bodiesTable
        chosen = self._body()
        table.blockSignals(True)
        table.setRowCount(len(bodies))
        for row, body in enumerate(bodies):
            for column, text in enumerate((body.level, body.certainty, body.volume, _SIGNS[body.mark] + body.state)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(body.told or _("There is nothing to doubt about this body."))
                table.setItem(row, column, item)
        table.resizeColumnsToContents()
        kept = next((row for row, body in enumerate(bodies) if chosen and body.level == chosen.level), -1)
        if kept >= 0:
            table.selectRow(kept)
        else:
            table.clearSelection()
            table.setCurrentCell(-1, -1)
        table.blockSignals(False)

    def _body(self):
        """The chosen body, or None."""
        row, bodies = self.ui.bodiesTable.currentRow(), self._listed[1] if self._listed else []
        return bodies[row] if 0 <= row < len(bodies) else None

    def _showBody(self):
        body = self._body()
        for widget in (self.ui.renumberButton, self.ui.excludeButton):
            widget.setEnabled(body is not None)
        excluded = body is not None and body.level in dict(choices_of(self._state.volume).exclude)
        self.ui.excludeButton.setText(_("Include") if excluded else _("Exclude"))
        self.ui.reasonComboBox.setEnabled(not excluded)
        self.ui.bodyLabel.setText(f"{body.level}: {body.told}" if body and body.told else "")
        self.ui.bodyLabel.setVisible(bool(body and body.told))

    def _look(self):
        """Show the chosen body in every slice view, in its own planes if asked for."""
        body, state = self._body(), self._state
        if body is None or state.document is None:
            return
        rotation = None
        if self.ui.obliqueCheckBox.isChecked() and state.segmentationNode is not None:
            rotation = rotation_of(state.segmentationNode, state.document, body.level)
        turn_slices(slicer.mrmlScene, rotation)
        point = next(vertebra["centroid_lps_mm"] for vertebra in state.document["vertebrae"] if vertebra["level"] == body.level)
        jump_to(slicer.mrmlScene, point)


def _order(level):
    return COLUMN.index(level) if level in COLUMN else len(COLUMN)
