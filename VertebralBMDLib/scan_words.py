"""How a scan was taken, in words, and what that means for a density."""

from __future__ import annotations

from collections.abc import Sequence

from .quality import MESSAGES, Code
from .scan import Acquisition, has_thick_slices

_CONTRAST = {"yes": "with contrast", "no": "no contrast", "unknown": "contrast not stated"}

#: Calibrations, thresholds and the network's training data are of this tube voltage (qct_facts 1.4, 3.8).
_USUAL_KVP = 120

#: A smaller field of view does not show the whole trunk of an adult, nor what lies below it on the table.
_WHOLE_TRUNK_MM = 320


def acquisition_line(acquisition: Acquisition, spacing_mm: Sequence[float], size: Sequence[int]) -> str:
    """Tube voltage, kernel, thickness, contrast and field of view (mm), as far as known; ``size`` and ``spacing_mm``: i, j, k."""
    thickness = acquisition.slice_thickness_mm or spacing_mm[2]
    parts = [
        f"{acquisition.kvp:g} kVp" if acquisition.kvp else "kVp unknown",
        f"kernel {acquisition.kernel}" if acquisition.kernel else "kernel unknown",
        f"{thickness:.3g} mm slices" + (f" every {spacing_mm[2]:.3g} mm" if abs(spacing_mm[2] - thickness) > 0.05 else ""),
        _CONTRAST[acquisition.contrast],
        f"field of view {_field_of_view_mm(spacing_mm, size):.0f} mm",
    ]
    return ", ".join(parts)


def meanings(acquisition: Acquisition, spacing_mm: Sequence[float], size: Sequence[int]) -> list[str]:
    """What there is to know before measuring, a sentence each, the gravest first; empty for a scan as it should be."""
    said = []
    if acquisition.contrast == "yes":
        said.append(str(MESSAGES[Code.CONTRAST]))
    if has_thick_slices(acquisition, spacing_mm):
        said.append(str(MESSAGES[Code.THICK_SLICES]))
    if acquisition.sharp_kernel:
        said.append(f"The kernel {acquisition.kernel} is sharp: single voxels are noisy, the mean of an ROI is not biased by it.")
    if acquisition.kvp and acquisition.kvp != _USUAL_KVP:
        said.append(f"HU of bone depend on the tube voltage: only a calibration at {acquisition.kvp:g} kVp holds, and HU limits do not.")
    if _field_of_view_mm(spacing_mm, size) < _WHOLE_TRUNK_MM:
        said.append("The field of view is small: a phantom, or the fat and muscle that calibrate without one, may be cut off.")
    if acquisition == Acquisition():
        said.append("The header of the scan is not known: load it from DICOM to see how it was taken. The aorta tells about contrast.")
    return said


def _field_of_view_mm(spacing_mm: Sequence[float], size: Sequence[int]) -> float:
    """The smaller extent within the slice."""
    return min(spacing_mm[0] * size[0], spacing_mm[1] * size[1])
