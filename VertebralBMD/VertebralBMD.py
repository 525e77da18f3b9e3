"""The VertebralBMD panel of 3D Slicer: registration, widget and self-test. The steps lie in VertebralBMDPanel, the work is done in VertebralBMDLib."""

import importlib.util
import os
import sys

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import *  # noqa: F403
from slicer.util import VTKObservationMixin

# In a source tree the library lies beside this folder, and only this folder is on Slicer's path.
if importlib.util.find_spec("VertebralBMDLib") is None:
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from VertebralBMDLib import scene
from VertebralBMDLib.quality import Refused, in_panel
from VertebralBMDLib.report import words
from VertebralBMDPanel.calibration_step import CalibrationStep
from VertebralBMDPanel.logic import POLL_MS, VertebralBMDLogic
from VertebralBMDPanel.parameters import settings_of
from VertebralBMDPanel.queue import Queue
from VertebralBMDPanel.result_step import ResultStep
from VertebralBMDPanel.roi_step import RoiStep
from VertebralBMDPanel.sample_data import registerSampleData
from VertebralBMDPanel.scan_step import ScanStep
from VertebralBMDPanel.step import PanelState
from VertebralBMDPanel.support import Support
from VertebralBMDPanel.vertebrae_step import VertebraeStep

#: Packages that a reload of the module must read anew.
_PACKAGES = ("VertebralBMDLib", "VertebralBMDPanel")


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
        slicer.app.connect("startupCompleted()", registerSampleData)


class VertebralBMDWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel. A run goes on while the user works elsewhere in Slicer; its result appears with its own volume."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = self._parameterNode = self._guiTag = None
        self.steps, self.said = [], ""

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/VertebralBMD.ui"))
        self.layout.addWidget(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        self.logic = VertebralBMDLogic()
        self.queue = Queue(self)
        self.scanStep = ScanStep(self, self.ui.scanButton)
        self.steps = [
            self.scanStep,
            VertebraeStep(self, self.ui.vertebraeButton),
            RoiStep(self, self.ui.roiButton),
            CalibrationStep(self, self.ui.calibrationButton),
            ResultStep(self, self.ui.resultButton),
        ]
        self.ui = slicer.util.childWidgetVariables(uiWidget)  # Now with the widgets of all steps.
        self.support = Support(self)
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.onPoll)
        self.ui.measureButton.clicked.connect(self.onMeasureButton)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        for event in (slicer.mrmlScene.EndCloseEvent, slicer.mrmlScene.EndImportEvent):
            self.addObserver(slicer.mrmlScene, event, self.onSceneThere)
        self.ui.researchUseLabel.setText(words.RESEARCH_USE)
        self.enter()

    def cleanup(self):
        self.onSceneStartClose()
        self.logic.close()
        self.removeObservers()

    def enter(self):
        self.setParameterNode(self.logic.getParameterNode())
        self.scanStep.chooseFirstVolume(self._parameterNode)

    def exit(self):
        self.setParameterNode(None)

    def onSceneStartClose(self, caller=None, event=None):
        self.queue.clear()
        self.stop("")
        self.setParameterNode(None)

    def onSceneThere(self, caller=None, event=None):
        if self.parent.isEntered:
            self.enter()

    def onReload(self):
        for name in [name for name in sys.modules if name.partition(".")[0] in _PACKAGES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def setParameterNode(self, parameterNode):
        """Bind the panel to a parameter node, or to none."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onChoice)
        self._parameterNode = parameterNode
        if parameterNode:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.onChoice)
        else:
            for step in self.steps:
                step.cleanup()
        self.refresh()

    def onChoice(self, caller=None, event=None):
        if not self.logic.running:
            self.say("")  # What was said holds for the choices before this one.
        self.refresh()

    def settings(self, volumeNode=None):
        """The Settings for a volume, by default the chosen one. Raises ValueError for choices that make no sense."""
        return settings_of(self.logic.getParameterNode(), volumeNode)

    def state(self):
        """What there is to show now, a PanelState."""
        volume = self._parameterNode.inputVolume if self._parameterNode else None
        document, tableNode = scene.measurement_of(volume) if volume else (None, None)
        segmentationNode = scene.find_result(volume, "vtkMRMLSegmentationNode") if volume else None
        return PanelState(self._parameterNode, volume, document, tableNode, segmentationNode, self.logic.running)

    def refresh(self):
        """Make every widget say what is so: ready or running, and the measurement of the chosen volume only."""
        state = self.state()
        self.ui.measureButton.setText(_("Cancel") if state.running else _("Measure"))
        self.ui.measureButton.setEnabled(state.running or state.volume is not None)
        self.ui.measureButton.setToolTip(
            _("Stop the measurement") if state.running else _("Measure") if state.volume else _("Select a CT volume")
        )
        self.ui.progressBar.setVisible(state.running)
        for step in self.steps:
            step.widget.setEnabled(step.USABLE_WHILE_RUNNING or not state.running)
            step.update(state)

    def onMeasureButton(self):
        if self.logic.running:
            self.queue.clear()
            self.stop(_("Cancelled."))
        else:
            self.measure()

    def measure(self, volumeNode=None):
        """Start to measure a volume, by default the chosen one, with the chosen settings; what prevents it is said.

        Returns whether it started.
        """
        parameterNode = self.logic.getParameterNode()
        volumeNode, images = volumeNode or parameterNode.inputVolume, {}
        try:
            settings = self.settings(volumeNode)
            for step in self.steps:
                settings = step.handOver(volumeNode, settings, images)
            self.logic.process(volumeNode, settings, images, waitForCompletion=False)
            self.say(_("Starting…"))
            self._timer.start()
        except (Refused, ValueError, OSError, RuntimeError) as error:
            self.say(in_panel(error.code.value) if isinstance(error, Refused) else str(error))
        self.refresh()
        return self.logic.running

    def onPoll(self):
        events = {event["event"]: event for event in self.logic.poll()}  # Of each kind, the last one tells.
        if "device" in events:
            self.support.showDevice()
        if "progress" in events:
            self.say(self.logic.progress.sentence(), self.logic.progress.percent)
        end = events.get("error") or events.get("done")
        if end:
            self.support.showTorch(end.get("code") != "TORCH_MISSING")
            self.stop(in_panel(end.get("code") or "") or end.get("message", ""))
            self.queue.proceed(ended=True)

    def stop(self, text):
        """End the measurement, if there is one, and say ``text``."""
        self._timer.stop()
        self.logic.cancel()
        self.say(text)
        self.refresh()

    def say(self, text, percent=0):
        """Show a sentence below the Measure button, and how far a measurement is."""
        self.said = text
        self.ui.progressBar.setValue(percent)
        self.ui.statusLabel.setText(text)
        self.ui.statusLabel.setVisible(bool(text))


class VertebralBMDTest(ScriptedLoadableModuleTest):
    """The panel's flow in a real Slicer, on a simulated patient and without the network."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_simulatedPatient()

    def test_simulatedPatient(self):
        """Choose the volume, press Measure, wait; then measure again with the same worker, and cancel."""
        from VertebralBMDLib.scan import checked
        from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient

        patient = simulate_patient(PatientSpec(seed=1, spacing_mm=(1.2, 1.2, 2.5), levels=("T11", "L4")))
        volumeNode = scene.add_volume(slicer.mrmlScene, checked(patient.image), "Simulated patient")
        panel = slicer.util.getModuleWidget("VertebralBMD")
        panel.enter()
        panel.state().parameterNode.inputVolume = volumeNode
        panel.ui.measureButton.click()
        self.assertTrue(panel.logic.running)
        while panel.logic.running:
            slicer.app.processEvents()
        if importlib.util.find_spec("torch") is None:
            return self.assertIn("PyTorch extension", panel.said)
        self.assertEqual(panel.said, "")
        state = panel.state()
        self.assertEqual([vertebra["level"] for vertebra in words.measured(state.document)], ["L1", "L2"])
        self.assertEqual(state.tableNode.GetNumberOfRows(), 2)
        names = [state.segmentationNode.GetSegmentation().GetSegment(f"{level} ROI").GetName() for level in ("L1", "L2")]
        self.assertEqual(names, ["L1 ROI", "L2 ROI"])
        panel.ui.measureButton.click()
        panel.ui.measureButton.click()
        self.assertFalse(panel.logic.running)
        self.assertIsNotNone(panel.state().document)
