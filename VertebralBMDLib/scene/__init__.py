"""MRML in, MRML out: a volume node becomes a Scan, a measurement becomes segmentation and table nodes.

The only room of the library that imports slicer; never Qt. Works in 3D Slicer and in the slicer-core package alike, so it
uses MRML and logic classes where Slicer's own helpers reach for the application. Node names may be patient names and are
never logged.
"""

from .results import find_result, measurement_of, show_layers, show_measurement
from .save import save_scene, save_segmentation, scene_for
from .segments import layers_of
from .slices import show_in_slices
from .volume_check import COPY_HELPS, preview, rectangular_copy
from .volumes import add_volume, scan_from_volume, scan_maker

__all__ = [
    "COPY_HELPS",
    "add_volume",
    "find_result",
    "layers_of",
    "measurement_of",
    "preview",
    "rectangular_copy",
    "save_scene",
    "save_segmentation",
    "scan_from_volume",
    "scan_maker",
    "scene_for",
    "show_in_slices",
    "show_layers",
    "show_measurement",
]
