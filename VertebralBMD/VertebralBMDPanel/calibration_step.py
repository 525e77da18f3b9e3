"""Step 4, Calibration: how Hounsfield units become densities, the rods behind it, and the checks that it passed or failed."""

import html
import os

import ctk
from slicer.i18n import tr as _

from VertebralBMDLib import calibration_choice as choice
from VertebralBMDLib.quality import Refused
from VertebralBMDLib.report import calibration
from VertebralBMDLib.scan import Acquisition
from VertebralBMDLib.scene import plots, rods, volumes

from .certificate_editor import CertificateEditor
from .menu import Menu
from .step import PanelState, Step, value_of


class CalibrationStep(Step):
    """The request, its files, the rods as points, table and charts, the checks, and an editor of certificates."""

    UI = "CalibrationStep"

    def __init__(self, panel, button):
        Step.__init__(self, panel, button)
        self._state = PanelState()
        self._filling = False
        self._observed = None
        self._fileSaid = (None, "", "")
        kinds = [
            ("auto", _("Automatic: a phantom in the scan, else tissues")),
            ("phantom", _("Phantom in the scan")),
            ("async", _("Phantom scanned alone")),
            ("tissue", _("Patient's own tissues")),
            ("none", _("None: HU only")),
        ]
        materials = [("CaHA", "CaHA"), ("K2HPO4", "K₂HPO₄")]
        ui = self.ui
        self._kind = Menu(ui.calibrationKindComboBox, kinds, self._onRequest)
        self._phantom = Menu(ui.calibrationPhantomComboBox, [("", _("Any of the catalogue")), *choice.phantoms()], self._onRequest)
        self._material = Menu(ui.calibrationMaterialComboBox, [("", _("Default (CaHA)")), *materials], self._onRequest)
        self._convert = Menu(ui.calibrationConvertComboBox, [("", _("No conversion")), *materials], self._onOption)
        self._limits = Menu(ui.calibrationLimitsComboBox, choice.limits(), self._onOption)
        for edit, what in ((ui.calibrationCertificateEdit, _("Certificate")), (ui.calibrationFileEdit, _("Phantom scan")),
                           (ui.calibrationSiteEdit, _("Site regression")), (ui.certificatePathEdit, _("Certificate"))):  # fmt: skip
            edit.filters = ctk.ctkPathLineEdit.Files
            edit.nameFilters = [f"{what} (*.json)"]
            if edit is not ui.certificatePathEdit:
                edit.currentPathChanged.connect(lambda: self._onRequest())
        #: The widgets of a kind, which are shown for it only.
        self._rows = {
            "phantom": (ui.calibrationPhantomLabel, ui.calibrationPhantomComboBox, ui.calibrationCertificateLabel, ui.calibrationCertificateEdit),
            "async": (ui.calibrationFileLabel, ui.calibrationFileEdit, ui.calibrationFileCheckLabel),
            "tissue": (ui.calibrationMaterialLabel, ui.calibrationMaterialComboBox, ui.calibrationSiteLabel, ui.calibrationSiteEdit),
        }  # fmt: skip
        self._editor = CertificateEditor(ui, lambda: self._chosenPhantom() or self._readPhantom(), self._useCertificate)
        ui.rodsPlaceButton.clicked.connect(lambda: self._onPlaceRods())
        ui.rodsForgetButton.clicked.connect(lambda: self._onForgetRods())
        ui.rodsMeasureButton.clicked.connect(lambda: self.panel.measure())
        ui.lineChartButton.clicked.connect(lambda: self._showChart(1))
        ui.residualChartButton.clicked.connect(lambda: self._showChart(2))

    def update(self, state):
        """Show the choices of the parameter node, and line, rods and checks of the chosen volume's measurement."""
        self._state = state
        if state.parameterNode:
            self._filling = True
            self._showRequest(state.parameterNode)
            self._filling = False
        self._showMeasurement()
        self._showRods()

    def cleanup(self):
        Step.cleanup(self)
        self._observed = None

    def _showRequest(self, parameterNode):
        kind, name = choice.kind_and_name(parameterNode.calibration)
        self._kind.show(name if kind == "several" else kind)
        certificate = choice.is_certificate(name)
        if kind == "phantom":
            self._showPath(self.ui.calibrationCertificateEdit, name if certificate else "")
            if not certificate:
                self._phantom.show(name)
        elif kind == "async":
            self._showPath(self.ui.calibrationFileEdit, name)
        elif kind == "tissue":
            self._showPath(self.ui.calibrationSiteEdit, "" if name in ("", "CaHA", "K2HPO4") else name)
            if name in ("", "CaHA", "K2HPO4"):
                self._material.show(name)
        for each, widgets in self._rows.items():
            for widget in widgets:
                widget.setVisible(each == kind)
        self.ui.calibrationPhantomComboBox.setEnabled(not certificate)
        self.ui.calibrationMaterialComboBox.setEnabled(not value_of(self.ui.calibrationSiteEdit.currentPath))
        self._convert.show(parameterNode.convertTo)
        self.ui.calibrationFactorSpinBox.setEnabled(bool(parameterNode.convertTo))
        self._limits.show(parameterNode.thresholds)
        if kind == "async":
            self.ui.calibrationFileCheckLabel.setText(self._fileText(name))

    @staticmethod
    def _showPath(edit, path):
        if value_of(edit.currentPath) != path:
            edit.setCurrentPath(path)

    def _fileText(self, path):
        """What a calibration file says of itself and of the chosen volume; read again only when one of them is another."""
        if not path:
            return _("Choose the file of a phantom scan.")
        volume = self._state.volume
        key = (path, os.path.getmtime(path) if os.path.exists(path) else None, volume and volume.GetID())
        if self._fileSaid[0] != key:
            try:
                acquisition = volumes.acquisition_of(volumes.dicom_file(volume) if volume else "")
            except Refused:  # No scan to calibrate; the step Scan says why.
                acquisition = Acquisition()
            self._fileSaid = (key, *choice.phantom_scan_html(path, acquisition))
        return self._fileSaid[2]

    def _onRequest(self):
        """Write what the widgets ask for into the parameter node."""
        if self._filling or not self._state.parameterNode:
            return
        kind, ui = self._kind.value, self.ui
        name = {
            "phantom": value_of(ui.calibrationCertificateEdit.currentPath) or self._phantom.value,
            "async": value_of(ui.calibrationFileEdit.currentPath),
            "tissue": value_of(ui.calibrationSiteEdit.currentPath) or self._material.value,
        }.get(kind, "")
        self._state.parameterNode.calibration = choice.request_of(kind, name)

    def _onOption(self):
        if not self._filling and self._state.parameterNode:
            self._state.parameterNode.convertTo = self._convert.value
            self._state.parameterNode.thresholds = self._limits.value

    def _showMeasurement(self):
        document = self._state.document
        mark, words = choice.calibration_status(document) if document else ("", _("Not measured yet."))
        self.setStatus("running" if self._state.running else mark, words)
        in_use = _("In use: {line}").format(line=calibration.summary(document)) if document else words
        self.ui.calibrationTierLabel.setText(html.escape(in_use))
        checks = document["calibration"]["checks"] if document else []
        self.ui.calibrationChecksLabel.setText(choice.checks_html(checks))
        self.ui.calibrationChecksLabel.setVisible(bool(checks))

    def _showRods(self, caller=None, event=None):
        """Say how the rods stand. Also called while the user drags a point."""
        volume, document = self._state.volume, self._state.document
        node = rods.find_rods(volume) if volume else None
        self._observe(node)
        fit = plots.find_fit(volume) if volume else None
        status = rods.rods_status(volume, document) if volume else ""
        self.ui.rodsGroupBox.setVisible(bool(volume and (fit or status or self._chosenPhantom())))
        self.ui.rodsTableView.setVisible(fit is not None)
        self.ui.rodsTableView.setMRMLTableNode(fit[0] if fit else None)
        if fit:
            self.ui.rodsTableView.setProperty("transposed", True)  # Without a node the view refuses it.
        self.ui.rodsLabel.setText(_rods_text(status, node))
        self.ui.rodsPlaceButton.setEnabled(bool(self._chosenPhantom()))
        for button in (self.ui.rodsForgetButton, self.ui.rodsMeasureButton):
            button.setEnabled(status in ("moved", "placed"))
        for button in (self.ui.lineChartButton, self.ui.residualChartButton):
            button.setEnabled(fit is not None)

    def _observe(self, node):
        if node is self._observed:
            return
        self.removeObservers()
        self._observed = node
        if node is not None:
            self.addObserver(node, node.PointModifiedEvent, self._showRods)

    def _chosenPhantom(self):
        """Name or certificate of the one phantom that is asked for, or ""."""
        return choice.phantom_name(self._state.parameterNode.calibration) if self._state.parameterNode else ""

    def _readPhantom(self):
        """The phantom that the measurement found, or ""."""
        return self._state.document["calibration"].get("phantom", "") if self._state.document else ""

    def _onPlaceRods(self):
        from VertebralBMDLib.calibration.catalogue import load_phantom

        try:
            rods.place_rods(self._state.volume, load_phantom(self._chosenPhantom()))
        except ValueError as error:
            self.panel.say(str(error))
        self._showRods()

    def _onForgetRods(self):
        rods.forget_rods(self._state.volume)
        document = self._state.document
        if document and not document["settings"].get("own_rods"):
            rods.show_rods(self._state.volume, document)  # Back to where they were found.
        self._showRods()

    def _useCertificate(self, path):
        self._state.parameterNode.calibration = choice.request_of("phantom", path)

    def _showChart(self, index):
        plots.show_chart(plots.find_fit(self._state.volume)[index])


def _rods_text(status, node):
    """How the rods stand, in words."""
    if status == "found":
        return _("Found in the scan. Drag a point in a slice view to read a rod elsewhere.")
    if status == "moved":
        return _("<b>Moved by you:</b> measure again to read the rods where their points are now.")
    if status == "placed":
        counts = dict(there=node.GetNumberOfDefinedControlPoints(), all=node.GetNumberOfControlPoints())
        return _("<b>Placed by you:</b> {there} of {all} points. The next measurement reads the rods where they are.").format(**counts)
    return _("No rods were read in this scan. Place them by hand where they are not found.")
