"""Step 1, Scan: the CT volume, and what its acquisition means for a density."""

import html

import slicer
import vtk
from slicer.i18n import tr as _

from VertebralBMDLib import scene
from VertebralBMDLib.quality import MESSAGES
from VertebralBMDLib.scan_words import acquisition_line, meanings

from .step import Step


class ScanStep(Step):
    """The volume selector, how the volume was taken, and the remedy where its geometry cannot be measured."""

    UI = "ScanStep"

    def __init__(self, panel, button):
        Step.__init__(self, panel, button)
        self.ui.hardenButton.clicked.connect(self.onHarden)
        self._seen = None

    def update(self, state):
        """Show how the chosen volume was taken; read again when the volume, its transform or its voxels have changed."""
        volume = state.volume
        seen = (volume.GetID(), volume.GetMTime(), _transformTime(volume)) if volume else ()
        if seen == self._seen:
            return
        self._seen = seen
        self.removeObservers()
        if volume:
            self.addObserver(volume, vtk.vtkCommand.ModifiedEvent, self._onVolume)
            self.addObserver(volume, slicer.vtkMRMLTransformableNode.TransformModifiedEvent, self._onVolume)
        self.ui.acquisitionLabel.setVisible(volume is not None)
        self.ui.hardenButton.setVisible(False)
        self.setStatus("")
        if volume:
            self._show(scene.preview(volume))

    def _onVolume(self, caller, event):
        self.update(self.panel.state())

    def _show(self, preview):
        line = acquisition_line(preview.acquisition, preview.spacing_mm, preview.size)
        said = meanings(preview.acquisition, preview.spacing_mm, preview.size)
        if preview.refusal:
            said = [str(MESSAGES[preview.refusal])]
        items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in said)
        self.ui.acquisitionLabel.setText(html.escape(line) + (f'<ul style="margin: 4px 0px 0px -24px">{items}</ul>' if items else ""))
        self.ui.hardenButton.setVisible(preview.refusal in scene.COPY_HELPS)
        self.setStatus("fail" if preview.refusal else "warn" if said else "pass", said[0] if said else "")

    def cleanup(self):
        Step.cleanup(self)
        self._seen = None

    def onHarden(self):
        """Make a copy that can be measured, and choose it."""
        copy = scene.rectangular_copy(self.panel.state().volume)
        self.panel.state().parameterNode.inputVolume = copy
        self.panel.say(_("The transform was hardened on a copy. The original is unchanged."))

    def chooseFirstVolume(self, parameterNode):
        """Choose the first loaded image volume when none is chosen."""
        if not parameterNode.inputVolume:
            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            scans = (node for node in volumes if not node.IsA("vtkMRMLLabelMapVolumeNode") and not scene.is_weights(node))
            parameterNode.inputVolume = next(scans, None)


def _transformTime(volume):
    transform = volume.GetParentTransformNode()
    return transform.GetTransformToWorldMTime() if transform else 0
