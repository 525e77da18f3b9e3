"""A measurement as files: table, data, report, segmentation and a picture of the views."""

import importlib.util
import json
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from VertebralBMDLib import scene
from VertebralBMDLib.report.html import render
from VertebralBMDLib.report.rich_text import rich_text
from VertebralBMDLib.report.table import write_csv
from VertebralBMDLib.scene.review import reviewed_document

#: What can be exported, and the name of its file.
FILES = {
    "csv": "measurements.csv",
    "json": "measurement.json",
    "html": "report.html",
    "pdf": "report.pdf",
    "segmentation": "vertebrae.seg.nrrd",
    "screenshot": "views.png",
}


def export(volumeNode, folder, kinds=tuple(FILES)):
    """Write files of the volume's measurement, with the verdict on it, to a new numbered folder below ``folder``.

    Returns that folder, and the kinds that could not be written here. Raises OSError when nothing can be written there and
    ValueError for a volume without a measurement.
    """
    document = reviewed_document(volumeNode)
    if document is None:
        raise ValueError(_("This volume has not been measured."))
    target = _newFolder(Path(folder))
    picture = _screenshot(target / FILES["screenshot"])
    writers = {
        "csv": lambda path: write_csv(document, path),
        "json": lambda path: path.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n", "utf-8"),
        "html": lambda path: path.write_text(_page(document, picture), "utf-8"),
        "pdf": lambda path: _printPdf(rich_text(document, picture), path),
        "segmentation": lambda path: scene.save_segmentation(scene.find_result(volumeNode, "vtkMRMLSegmentationNode"), path),
    }
    for kind in kinds:
        if kind in writers:
            writers[kind](target / FILES[kind])
    if "screenshot" not in kinds:
        (target / FILES["screenshot"]).unlink(missing_ok=True)
    return target, [kind for kind in kinds if not (target / FILES[kind]).exists()]


def _newFolder(folder):
    """A folder that was not there; its name says nothing about the patient."""
    number = 1 + max((int(path.name[-3:]) for path in folder.glob("measurement-[0-9][0-9][0-9]")), default=0)
    target = folder / f"measurement-{number:03d}"
    target.mkdir(parents=True)
    return target


def _page(document, picture):
    """The full report where jinja2 is installed, else the simple one with the same content."""
    return render(document, picture) if importlib.util.find_spec("jinja2") else rich_text(document, picture)


def _printPdf(page, path):
    """Qt prints the page, because Slicer has no matplotlib; without a PDF printer there is no file."""
    if not hasattr(qt, "QPdfWriter"):
        return
    text = qt.QTextDocument()
    text.setHtml(page)
    # PySide6 calls it print_, PythonQt by its own name.
    getattr(text, "print_" if hasattr(text, "print_") else "print")(qt.QPdfWriter(str(path)))


def _screenshot(path):
    """Write a picture of all views, without the names that Slicer shows in their corners; its bytes, None without views."""
    if slicer.app.layoutManager() is None or importlib.util.find_spec("ScreenCapture") is None:
        return None
    import ScreenCapture

    annotations = _cornerAnnotations()
    shown = annotations is not None and annotations.sliceViewAnnotationsEnabled
    try:
        if shown:
            annotations.sliceViewAnnotationsEnabled = False
            annotations.updateSliceViewFromGUI()
        ScreenCapture.ScreenCaptureLogic().captureImageFromView(None, str(path))
    finally:
        if shown:
            annotations.sliceViewAnnotationsEnabled = True
            annotations.updateSliceViewFromGUI()
    return path.read_bytes() if path.exists() else None


def _cornerAnnotations():
    """The part of Slicer that writes patient data into the corners of views, or None."""
    probe = getattr(slicer.modules, "DataProbeInstance", None)
    return getattr(getattr(probe, "infoWidget", None), "sliceAnnotations", None)
