"""The VertebralBMD panel of 3D Slicer: registration, widget, thin logic and self-test. The work is done in VertebralBMDLib."""

import importlib.util
import logging
import os
import re
import sys
import time
from typing import Annotated

import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import *  # noqa: F403
from slicer.util import VTKObservationMixin

# In a source tree the library lies beside this folder, and only this folder is on Slicer's path.
if importlib.util.find_spec("VertebralBMDLib") is None:
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from VertebralBMDLib import scene
from VertebralBMDLib.anatomy import label_of
from VertebralBMDLib.quality import MESSAGES, Refused
from VertebralBMDLib.report import words
from VertebralBMDLib.summary import overall_progress, patient_summary
from VertebralBMDLib.worker_client import MeasurementRun, WorkerProcess

_POLL_MS = 50


class VertebralBMD(ScriptedLoadableModule):
    """What Slicer's module list says about the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Vertebral BMD")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Quantification")]
        parent.contributors = ["VertebralBMD developers"]
        purpose = _("Measures the volumetric bone mineral density (vBMD, mg/cm³) of L1 and L2 on CT, with every reason to doubt it.")
        parent.helpText = f"<p>{purpose}</p><p><b>{words.RESEARCH_USE}</b></p>"
        parent.acknowledgementText = _(
            'Implements the method of Wang Z. et al., J Bone Oncol 2024, <a href="https://doi.org/10.1016/j.jbo.2024.100641">doi:10.1016/j.jbo.2024.100641</a>. Please cite it.'
        )


@parameterNodeWrapper
class VertebralBMDParameterNode:
    """The user's choices: the CT, the levels as typed, and the erosion margin of the ROI in mm."""

    inputVolume: vtkMRMLScalarVolumeNode
    levels: str = "L1, L2"
    erosionMm: Annotated[float, WithinRange(2, 20)] = 3.0


class VertebralBMDWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel. A run goes on while the user works elsewhere in Slicer; its result appears with its own volume."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = self._parameterNode = self._guiTag = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/VertebralBMD.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = VertebralBMDLogic()
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self.onPoll)
        self.ui.measureButton.clicked.connect(self.onMeasureButton)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.researchUseLabel.setText(words.RESEARCH_USE)
        self.enter()

    def cleanup(self):
        self.onSceneStartClose()
        self.removeObservers()

    def enter(self):
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            self._parameterNode.inputVolume = next((node for node in volumes if not node.IsA("vtkMRMLLabelMapVolumeNode")), None)

    def exit(self):
        self.setParameterNode(None)

    def onSceneStartClose(self, caller=None, event=None):
        self._stop("")
        self.setParameterNode(None)

    def onSceneEndClose(self, caller=None, event=None):
        if self.parent.isEntered:
            self.enter()

    def onReload(self):
        for name in [name for name in sys.modules if name.partition(".")[0] == "VertebralBMDLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def setParameterNode(self, parameterNode):
        """Bind the panel to a parameter node, or to none."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.updateGui)
        self._parameterNode = parameterNode
        if parameterNode:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.updateGui)
        self.updateGui()

    def updateGui(self, caller=None, event=None):
        """Make every widget say what is so: ready or running, and the measurement of the chosen volume only."""
        running = self.logic.running
        if caller and not running:
            self._setStatus("")  # What was said holds for the choices before this one.
        volume = self._parameterNode.inputVolume if self._parameterNode else None
        self.ui.measureButton.setText(_("Cancel") if running else _("Measure"))
        self.ui.measureButton.setEnabled(running or volume is not None)
        self.ui.measureButton.setToolTip(_("Stop the measurement") if running else _("Measure") if volume else _("Select a CT volume"))
        self.ui.inputsWidget.setEnabled(not running)
        self.ui.progressBar.setVisible(running)
        document, tableNode = scene.measurement_of(volume) if volume else (None, None)
        self.ui.patientLabel.setText(patient_summary(document) if document else _("This volume has not been measured."))
        self.ui.resultTableView.setVisible(tableNode is not None)
        self.ui.resultTableView.setMRMLTableNode(tableNode)
        if tableNode:
            self.ui.resultTableView.setProperty("transposed", True)  # Without a node the view refuses it.

    def onMeasureButton(self):
        if self.logic.running:
            self._stop(_("Cancelled."))
            return
        values = self._parameterNode
        try:
            self.logic.process(values.inputVolume, re.findall(r"\w+", values.levels.upper()), values.erosionMm, waitForCompletion=False)
            self._setStatus(_("Starting…"))
            self._timer.start()
        except (Refused, ValueError, OSError, RuntimeError) as error:
            self._setStatus(str(MESSAGES[error.code] if isinstance(error, Refused) else error))
        self.updateGui()

    def onPoll(self):
        for event in self.logic.poll():
            if event["event"] == "progress":
                self._setStatus(*overall_progress(event))
            elif event["event"] in ("done", "error"):
                self._stop(event.get("message", ""))

    def _stop(self, status):
        self._timer.stop()
        self.logic.cancel()
        self._setStatus(status)
        self.updateGui()

    def _setStatus(self, text, percent=0):
        self.ui.progressBar.setValue(percent)
        self.ui.statusLabel.setText(text)
        self.ui.statusLabel.setVisible(bool(text))


class VertebralBMDLogic(ScriptedLoadableModuleLogic):
    """Measurements in a worker process, results in the scene; for the panel and for scripts."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.createWorker = WorkerProcess
        self._run = self._volumeNode = None

    def getParameterNode(self):
        return VertebralBMDParameterNode(super().getParameterNode())

    @property
    def running(self):
        """True from ``process`` until ``poll`` has handed over the end, or ``cancel``."""
        return self._run is not None

    def process(self, volumeNode, levels=("L1", "L2"), erosionMm=3.0, waitForCompletion=True):
        """Measure a CT volume and put the result beside it in the scene.

        levels: names such as "L1"; erosionMm: margin of the ROI in mm. Returns the content of measurement.json, or None at
        once without waitForCompletion; then call ``poll`` while ``running``. Raises Refused for a volume that cannot be
        measured, ValueError for wrong arguments, OSError or RuntimeError when the measurement fails.
        """
        from VertebralBMDLib.settings import Settings

        if not [label_of(level) for level in levels]:
            raise ValueError(_("Name at least one level, for example L1, L2."))
        self.cancel()
        settings = Settings(levels=tuple(levels), erosion_mm=erosionMm)
        self._run = MeasurementRun(scene.scan_from_volume(volumeNode), settings, self.createWorker())
        self._volumeNode = volumeNode
        while waitForCompletion:
            for event in self.poll():
                if event["event"] == "error":
                    raise RuntimeError(event["message"])
                if event["event"] == "done":
                    return scene.measurement_of(volumeNode)[0]
            time.sleep(_POLL_MS / 1000)

    def poll(self):
        """The worker's events since the last call (see VertebralBMDLib.worker); with done, the result is in the scene."""
        events = self._run.worker.poll() if self._run else []
        last = events[-1]["event"] if events else None
        if last == "done":
            try:
                document, bodies, roi = self._run.results()
                scene.show_measurement(self._volumeNode, document, bodies, roi)
                scene.show_in_slices(self._volumeNode, document)
            except (OSError, ValueError, RuntimeError) as error:
                events[-1] = dict(event="error", code=None, message=_("The result could not be shown: {error}").format(error=error))
        if last == "error":
            logging.error("VertebralBMD: %s\n%s", events[-1]["message"], self._run.worker.stderr_tail)
        if last in ("done", "error"):
            self.cancel()
        return events

    def cancel(self):
        """Stop the measurement, if there is one, with all its processes, and delete its temporary files."""
        if self._run:
            self._run.close()
        self._run = self._volumeNode = None


class VertebralBMDTest(ScriptedLoadableModuleTest):
    """The same case in a real Slicer: a simulated patient, measured without the network."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def test_simulatedPatient(self):
        from VertebralBMDLib.scan import checked
        from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient

        volumeNode = scene.add_volume(slicer.mrmlScene, checked(simulate_patient(PatientSpec(seed=1)).image), "Simulated patient")
        try:
            document = VertebralBMDLogic().process(volumeNode)
        except RuntimeError as error:
            if importlib.util.find_spec("torch"):
                raise
            return self.assertIn("PyTorch extension", str(error))
        self.assertEqual([vertebra["level"] for vertebra in words.measured(document)], ["L1", "L2"])
