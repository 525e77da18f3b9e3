"""The Segment Editor as an empty frame that remembers what it was told: its tools exist only in 3D Slicer."""

from PySide6.QtWidgets import QWidget


class qMRMLSegmentEditorWidget(QWidget):
    """``told``: the last argument of every method of Slicer's widget that was called, by name; ``calls``: the names in order."""

    _METHODS = (
        "setMRMLScene", "setMRMLSegmentEditorNode", "setSegmentationNode", "setSourceVolumeNode", "setCurrentSegmentID",
        "setActiveEffect", "setEffectNameOrder", "setMaximumNumberOfUndoStates", "setAutoShowSourceVolumeNode",
        "setSegmentationNodeSelectorVisible", "setSourceVolumeNodeSelectorVisible", "setSwitchToSegmentationsButtonVisible",
        "setAddRemoveSegmentButtonsVisible", "setSpecifyGeometryButtonVisible", "setMaskingSectionVisible", "setupViewObservations",
        "removeViewObservations", "installKeyboardShortcuts", "uninstallKeyboardShortcuts", "saveStateForUndo",
    )  # fmt: skip

    made = []

    def __init__(self, parent=None):
        super().__init__(parent)
        self.told, self.calls = {}, []
        self.made.append(self)

    def __getattr__(self, name):
        if name not in self._METHODS:
            raise AttributeError(name)

        def method(*arguments):
            self.told[name] = arguments[0] if arguments else True
            self.calls.append(name)

        return method
