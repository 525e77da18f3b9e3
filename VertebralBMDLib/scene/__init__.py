"""MRML in, MRML out: a volume node becomes a Scan, a measurement becomes segmentation and table nodes.

The only room of the library that imports slicer; never Qt. Works in 3D Slicer and in the slicer-core package alike, so it
uses MRML and logic classes where Slicer's own helpers reach for the application. Node names may be patient names and are
never logged.
"""

from .plots import show_fit
from .results import find_result, measurement_of, show_layers, show_measurement
from .rods import show_rods, with_own_rods
from .roi_edit import RoiFollower, awaiting_reading, edited_rois, followed_rois, reset_roi, show_readings
from .roi_masks import layers, segments
from .save import save_scene, save_segmentation, scene_for
from .segment_display import filled, set_filled, set_visible, visible
from .segments import layers_of
from .slices import show_in_slices
from .volume_check import COPY_HELPS, preview, rectangular_copy
from .volumes import add_volume, scan_from_volume, scan_maker
from .weights import find_weights, is_weights, set_weights_visible, show_weights, weights_current, weights_visible

__all__ = [
    "COPY_HELPS",
    "RoiFollower",
    "add_volume",
    "awaiting_reading",
    "edited_rois",
    "filled",
    "find_result",
    "find_weights",
    "followed_rois",
    "is_weights",
    "layers",
    "layers_of",
    "measurement_of",
    "preview",
    "rectangular_copy",
    "reset_roi",
    "save_scene",
    "save_segmentation",
    "scan_from_volume",
    "scan_maker",
    "scene_for",
    "segments",
    "set_filled",
    "set_visible",
    "set_weights_visible",
    "show_fit",
    "show_in_slices",
    "show_layers",
    "show_measurement",
    "show_readings",
    "show_rods",
    "show_weights",
    "visible",
    "weights_current",
    "weights_visible",
    "with_own_rods",
]
