"""Step 1, Scan: the CT volume, and what its acquisition means for a density."""

import slicer

from .step import Step


class ScanStep(Step):
    """The volume selector."""

    UI = "ScanStep"

    def update(self, state):
        """Nothing to show yet besides the selector."""

    def chooseFirstVolume(self, parameterNode):
        """Choose the first loaded image volume when none is chosen."""
        if not parameterNode.inputVolume:
            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            parameterNode.inputVolume = next((node for node in volumes if not node.IsA("vtkMRMLLabelMapVolumeNode")), None)
