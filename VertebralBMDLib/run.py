"""One scan from file to files: what the command line, the worker and the batch all call."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import SimpleITK as sitk

from .loading import load
from .network.density import Beam, read_density
from .network.models import working_device
from .pipeline import NotMeasured, Progress, measure
from .quality import Code, Refused
from .report.files import FILES, keep_inputs, write, write_refusal
from .report.parts import network_entry
from .settings import Settings

MEASURED, REFUSED = 0, 3

#: Problems of the installation, not of the scan: they are raised, because nothing can be said about the scan.
_INSTALLATION = (Code.TORCH_MISSING, Code.MODEL_DAMAGED)

_log = logging.getLogger(__name__)


def measure_to_folder(
    scan: Path,
    output: Path,
    settings: Settings,
    progress: Progress = lambda stage, fraction: None,
    series_uid: str | None = None,
    scene: bool = False,
) -> int:
    """Measure ``scan`` and write the files of the contract to ``output``; returns 0 (measured) or 3 (refused).

    A refusal is written like a result, with its reasons. ``scene`` also writes scene.mrb, which needs slicer-core or
    3D Slicer. Raises Refused only for an incomplete installation, ValueError for settings that make no sense.
    """
    keep_inputs(output, (*FILES, "scene.mrb"), (scan, settings.bodies, settings.rods, settings.roi))
    (output / "scene.mrb").unlink(missing_ok=True)
    loaded = None
    try:
        progress("loading", 0.0)
        loaded = load(scan, series_uid, settings.allow)
        progress("loading", 1.0)
        measurement = measure(loaded, settings, progress)
    except Refused as refusal:
        if refusal.code in _INSTALLATION:
            raise
        vertebrae = refusal.vertebrae if isinstance(refusal, NotMeasured) else None
        write_refusal(refusal.code, refusal.detail, settings, output, loaded, vertebrae)
        _log.info("refused: %s", refusal.code.value)
        return REFUSED
    progress("report", 0.0)
    document = write(measurement, output)
    if scene:
        from .scene import save_scene, scene_for

        images = (measurement.vertebrae.label_map, measurement.roi, measurement.weights)
        save_scene(scene_for(measurement.scan, document, *images), output / "scene.mrb")
    progress("report", 1.0)
    return REFUSED if document["patient"]["refusals"] else MEASURED


def read_again(rois: Mapping[str, tuple[Path, Sequence[float]]], beam: Beam, device: str = "auto") -> dict[str, dict]:
    """What the network says around ROIs that were edited, by level (see ``report.parts.network_entry``).

    ``rois``: for each level the part of the scan (HU) around its ROI, and the ROI's centre in LPS mm; the part must hold what
    the network reads, and some voxels around it. ``beam``: as when the scan was measured. Raises Refused for an incomplete installation.
    """
    device = working_device(device)
    return {level: network_entry(read_density(sitk.ReadImage(str(path)), centre, device, beam)) for level, (path, centre) in rois.items()}
