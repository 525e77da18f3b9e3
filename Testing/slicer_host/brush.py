"""What the effects of the Segment Editor do to a segment, through real MRML: the editor itself exists only in 3D Slicer."""

import numpy as np
import slicer

from VertebralBMDLib.scene import find_result
from VertebralBMDLib.scene.roi_masks import Mask, label_map_of, masks, segments, within


def paint(volume, level, place, kind="ROI"):
    """Add a box (slices k, j, i) to a segment."""
    _change(volume, level, place, kind, lambda old, box: old | box)


def erase(volume, level, place, kind="ROI"):
    """Take a box away from a segment."""
    _change(volume, level, place, kind, lambda old, box: old & ~box)


def erase_all(volume, level, kind="ROI"):
    """Empty a segment."""
    erase(volume, level, tuple(slice(0, n) for n in _shape(volume)), kind)


def history(volume):
    """The editor's memory of states for Undo and Redo: SaveState before each stroke, RestorePreviousState, RestoreNextState."""
    result = slicer.vtkSegmentationHistory()
    result.SetSegmentation(find_result(volume, "vtkMRMLSegmentationNode").GetSegmentation())
    result.SetMaximumNumberOfStates(10)
    return result


def _shape(volume):
    return volume.GetImageData().GetDimensions()[::-1]


def _change(volume, level, place, kind, how):
    node = find_result(volume, "vtkMRMLSegmentationNode")
    whole = tuple(slice(0, n) for n in _shape(volume))
    box = np.zeros(_shape(volume), dtype=bool)
    box[place] = True
    label_map = label_map_of(Mask(whole, how(within(masks(node, volume, kind)[level], whole), box)), volume)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.SetBinaryLabelmapToSegment(label_map, node, segments(node, kind)[level], logic.MODE_REPLACE)
