"""How the bodies and the ROIs of a measurement are shown: visible or not, filled or as outlines."""

from __future__ import annotations

from .roi_masks import segments

#: Opacity of a filled ROI in slice views; bodies are outlines.
FILLED = 0.5


def visible(segmentation_node, kind: str) -> bool:
    """True when a segment of the kind ("body" or "ROI") is shown."""
    display = segmentation_node.GetDisplayNode()
    return any(display.GetSegmentVisibility(identifier) for identifier in segments(segmentation_node, kind).values())


def set_visible(segmentation_node, kind: str, on: bool) -> None:
    for identifier in segments(segmentation_node, kind).values():
        segmentation_node.GetDisplayNode().SetSegmentVisibility(identifier, on)


def filled(segmentation_node) -> bool:
    """True when an ROI is filled in slice views."""
    display = segmentation_node.GetDisplayNode()
    return any(display.GetSegmentOpacity2DFill(identifier) > 0 for identifier in segments(segmentation_node, "ROI").values())


def set_filled(segmentation_node, on: bool) -> None:
    for identifier in segments(segmentation_node, "ROI").values():
        segmentation_node.GetDisplayNode().SetSegmentOpacity2DFill(identifier, FILLED if on else 0.0)
