"""When something does not work: diagnostics for the clipboard, and the way to PyTorch where it is missing."""

import importlib.util

import qt
import slicer
from slicer.i18n import tr as _

from VertebralBMDLib.diagnostics import device_sentence, diagnostics

#: For a hospital without access to the internet.
OFFLINE = _(
    "Without access to the internet: download the PyTorch extension for this version of Slicer from extensions.slicer.org and "
    "the torch wheel for its Python from pypi.org on another computer; install the first with Extensions Manager > Install from "
    "file, the second with PythonSlicer -m pip install FILE."
)


class Support:
    """The row of small controls below the Measure button."""

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self.ui.copyDiagnosticsButton.clicked.connect(self.onCopyDiagnostics)
        self.ui.installTorchButton.clicked.connect(self.onInstallTorch)
        self.showTorch(importlib.util.find_spec("torch") is not None)

    def showDevice(self):
        """Say where the networks run, above all when it is not where they should."""
        device = self.panel.logic.device
        self.ui.deviceLabel.setText(device_sentence(device))
        self.ui.deviceLabel.setVisible(bool(device))

    def showTorch(self, present):
        """Offer PyTorch where it is missing; in a test nothing is offered that would open a dialog."""
        self.ui.installTorchButton.setVisible(not present)
        self.ui.installTorchButton.setToolTip(_("Install the PyTorch extension of Slicer.") + " " + OFFLINE)

    def onCopyDiagnostics(self):
        """Versions, device, stage and log to the clipboard, without names of patients or files."""
        logic = self.panel.logic
        host = f"{slicer.app.applicationName} {slicer.app.applicationVersion}, Qt {qt.qVersion()}"
        text = diagnostics(host, logic.device, logic.progress.text, self.panel.said, logic.log)
        qt.QApplication.clipboard().setText(text)
        self.panel.say(_("Diagnostics were copied to the clipboard. They hold no name of a patient or file."))

    def onInstallTorch(self):
        """Lead to the module that installs PyTorch, after installing its extension; say how it is done by hand where that fails."""
        if importlib.util.find_spec("PyTorchUtils"):
            slicer.util.selectModule("PyTorchUtils")
            return
        manager = slicer.app.extensionsManagerModel() if hasattr(slicer.app, "extensionsManagerModel") else None
        if manager is None or slicer.app.testingEnabled():
            self.panel.say(_("This Slicer cannot install extensions.") + " " + OFFLINE)
            return
        manager.setInteractive(False)
        if manager.installExtensionFromServer("PyTorch", False):
            self.panel.say(_("The PyTorch extension is installed. Restart Slicer, then press this button again."))
        else:
            self.panel.say(_("The PyTorch extension could not be installed.") + " " + OFFLINE)
