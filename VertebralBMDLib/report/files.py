"""Writing the files of one run. Each appears whole or not at all, and measurement.json last: where it is, the run is complete."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import SimpleITK as sitk

from ..quality import Code
from .document import document, refusal_document
from .figure import write_overview
from .html import render
from .table import write_csv

if TYPE_CHECKING:
    from ..pipeline import Measurement
    from ..scan import Scan
    from ..segmentation.vertebrae import Vertebrae
    from ..settings import Settings

FILES = ("measurement.json", "measurements.csv", "bodies.nii.gz", "roi.nii.gz", "weights.nii.gz", "overview.png", "report.html")

_log = logging.getLogger(__name__)


def write(measurement: Measurement, folder: str | Path) -> dict:
    """Write the files of a measurement and return its document. Files of an earlier run in ``folder`` are replaced.

    weights.nii.gz is written where the density network read a vertebra.
    overview.png needs matplotlib and report.html needs jinja2; without them the other files are written.
    """
    images = (measurement.roi, measurement.excluded, measurement.weights)
    return _write(document(measurement), Path(folder), measurement.scan, measurement.vertebrae, *images)


def write_refusal(
    code: Code, detail: str, settings: Settings, folder: str | Path, scan: Scan | None = None, vertebrae: Vertebrae | None = None
) -> dict:
    """Write the files of a run that was refused before measurement, and return its document.

    The label map and the picture are written when ``scan`` and ``vertebrae`` are known.
    """
    return _write(refusal_document(code, detail, settings, scan, vertebrae), Path(folder), scan, vertebrae)


def keep_inputs(output: Path, names: Sequence[str], given: Sequence[Path | None]) -> None:
    """Raise ValueError when writing the files ``names`` to ``output`` would replace one that the user gave."""
    results = {(output / name).resolve() for name in names}
    for path in given:
        if path is not None and path.resolve() in results:
            raise ValueError(f"{path.name} lies in the output folder and would be replaced; choose another --output")


def _write(
    result: dict,
    folder: Path,
    scan: Scan | None,
    vertebrae: Vertebrae | None,
    roi: sitk.Image | None = None,
    excluded: sitk.Image | None = None,
    weights: sitk.Image | None = None,
) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    picture = None
    if scan is not None and vertebrae is not None and vertebrae.bodies:
        _whole(folder / "bodies.nii.gz", lambda path: _write_image(vertebrae.label_map, path))
        if roi is not None:
            _whole(folder / "roi.nii.gz", lambda path: _write_image(roi, path))
        if weights is not None:
            _whole(folder / "weights.nii.gz", lambda path: _write_image(weights, path))
        if _installed("matplotlib", "overview.png"):
            picture = _whole(
                folder / "overview.png", lambda path: write_overview(result, scan.image, vertebrae.label_map, path, roi, excluded)
            )
    if _installed("jinja2", "report.html"):
        _whole(folder / "report.html", lambda path: _write_text(render(result, picture), path))
    _whole(folder / "measurements.csv", lambda path: write_csv(result, path))
    text = json.dumps(result, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    _whole(folder / "measurement.json", lambda path: _write_text(text, path))
    return result


def _whole(path: Path, write: Callable[[Path], bytes | None]) -> bytes | None:
    """Let ``write`` fill a temporary file beside ``path``, put it in its place in one step, and pass on what it returned."""
    part = path.with_name(f".part-{path.name}")
    try:
        returned = write(part)
        part.replace(path)
        return returned
    finally:
        part.unlink(missing_ok=True)


def _write_text(text: str, path: Path) -> None:
    path.write_bytes(text.encode("utf-8"))


def _write_image(image: sitk.Image, path: Path) -> None:
    """An image without the header texts it may have brought along, which can hold a patient's name."""
    clean = sitk.Image(image)
    for key in clean.GetMetaDataKeys():
        clean.EraseMetaData(key)
    sitk.WriteImage(clean, str(path), useCompression=True)


def _installed(module: str, name: str) -> bool:
    if find_spec(module) is not None:
        return True
    _log.warning("%s is not installed, so %s is not written.", module, name)
    return False
