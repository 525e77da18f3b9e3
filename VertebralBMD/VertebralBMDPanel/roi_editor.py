"""The Segment Editor inside the ROI step: Paint, Erase, Scissors and Smoothing on one ROI, with Undo."""

import slicer

#: The effects that serve an ROI, in this order.
EFFECTS = ("Paint", "Erase", "Scissors", "Smoothing")

#: The editor keeps its choices in a node of its own, apart from those of the Segment Editor module.
_TAG = "VertebralBMD"

_UNDO_STATES = 20


class RoiEditor:
    """qMRMLSegmentEditorWidget in ``parent``, made when it is first shown: it takes long, and most cases need no edit."""

    def __init__(self, parent):
        self._parent, self._widget = parent, None
        self.shown = False
        parent.setVisible(False)

    def show(self, segmentationNode, volumeNode, segmentId, bodyId=None):
        """Edit a segment; with ``bodyId`` only inside that segment."""
        if self._widget is None:
            self._widget = _new_editor()
            self._parent.layout().addWidget(self._widget)
        node = _editor_node()
        # The ROI lies inside its body: painting one must not erase the other.
        node.SetOverwriteMode(node.OverwriteNone)
        everywhere, inside = segmentationNode.EditAllowedEverywhere, segmentationNode.EditAllowedInsideSingleSegment
        node.SetMaskMode(inside if bodyId else everywhere)
        node.SetMaskSegmentID(bodyId or "")
        self._widget.setMRMLSegmentEditorNode(node)
        self._widget.setSegmentationNode(segmentationNode)
        self._widget.setSourceVolumeNode(volumeNode)
        self._widget.setCurrentSegmentID(segmentId)
        if not self.shown:
            self._widget.setupViewObservations()
            self._widget.installKeyboardShortcuts()
        self.shown = True
        self._parent.setVisible(True)

    def saveStateForUndo(self):
        """Let Undo take back what the panel does next to the segments."""
        if self.shown:
            self._widget.saveStateForUndo()

    def hide(self):
        """Put the tools away; the mouse is free for the views again."""
        if self.shown:
            self._widget.setActiveEffect(None)
            self._widget.uninstallKeyboardShortcuts()
            self._widget.removeViewObservations()
        self.shown = False
        self._parent.setVisible(False)

    def cleanup(self):
        """Let go of the scene."""
        self.hide()
        if self._widget is not None:
            self._widget.setSegmentationNode(None)


def _new_editor():
    editor = slicer.qMRMLSegmentEditorWidget()
    editor.setMaximumNumberOfUndoStates(_UNDO_STATES)
    editor.setAutoShowSourceVolumeNode(False)
    # Before the scene, so that what is selected by itself is kept in it.
    editor.setMRMLSegmentEditorNode(_editor_node())
    editor.setMRMLScene(slicer.mrmlScene)
    editor.setSegmentationNodeSelectorVisible(False)
    editor.setSourceVolumeNodeSelectorVisible(False)
    editor.setSwitchToSegmentationsButtonVisible(False)
    editor.setAddRemoveSegmentButtonsVisible(False)
    editor.setSpecifyGeometryButtonVisible(False)
    editor.setMaskingSectionVisible(False)
    editor.setEffectNameOrder(list(EFFECTS))
    editor.unorderedEffectsVisible = False
    return editor


def _editor_node():
    """Made anew where a closed scene took it away."""
    node = slicer.mrmlScene.GetSingletonNode(_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.vtkMRMLSegmentEditorNode()
        node.SetSingletonTag(_TAG)
        node = slicer.mrmlScene.AddNode(node)
    return node
