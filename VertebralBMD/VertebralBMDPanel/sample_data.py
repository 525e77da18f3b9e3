"""Simulated patients in Slicer's Sample Data. There is no server: a patient is drawn on this computer when it is asked for."""

import logging
import os
import subprocess
import time
from pathlib import Path

import qt
import SimpleITK as sitk
import slicer
from slicer.i18n import tr as _

from VertebralBMDLib import scene
from VertebralBMDLib.scan import checked
from VertebralBMDLib.simulation.samples import PACKAGE_PARENT, SAMPLES

CATEGORY = "VertebralBMD"

_ICONS = Path(__file__).resolve().parents[1] / "Resources" / "Icons"
_POLL_MS = 100

#: The patients that are being drawn, by name.
_drawings = {}


def registerSampleData():
    """Offer the simulated patients in the module Sample Data, where this Slicer has it."""
    try:
        from SampleData import SampleDataLogic
    except ImportError:
        return
    for sample in SAMPLES:
        SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=sample.title,
            nodeNames=sample.title,
            uris=f"simulated:{sample.name}",  # No address to load from; Sample Data wants one for each file.
            fileNames=sample.scan(Path()).as_posix(),
            thumbnailFileName=str(_ICONS / f"sample-{sample.name}.png"),
            customDownloader=lambda source, sample=sample: loadSample(sample),
        )


def loadSample(sample, waitForCompletion=False):
    """Load a simulated patient, which is drawn first where Slicer's cache does not hold it; the window stays usable meanwhile.

    sample: a Sample or the name of one. Returns the volume node, or None without waitForCompletion while it is being drawn.
    What goes wrong, and voxels that are not the recorded ones, are said in the status bar and the log; RuntimeError
    with waitForCompletion.
    """
    if isinstance(sample, str):
        sample = next(known for known in SAMPLES if known.name == sample)
    folder = Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory())
    if sample.name not in _drawings:
        if sample.is_drawn(folder):
            return _show(sample, folder, waitForCompletion)
        try:
            _drawings[sample.name] = _Drawing(sample, folder)
        except OSError as error:
            _fail(sample, str(error), waitForCompletion)
            return None
    drawing = _drawings[sample.name]
    while waitForCompletion and drawing.running:
        time.sleep(_POLL_MS / 1000)
    return drawing.finish(raising=True) if waitForCompletion else None


class _Drawing:
    """The process that draws a patient, and the timer that looks whether it has finished."""

    def __init__(self, sample, folder):
        self._sample, self._folder = sample, folder
        command = sample.prepare(folder)
        self._log = sample.scan(folder).with_name("log.txt")
        hidden = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=PACKAGE_PARENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, **hidden
            )
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(lambda: self.running or self.finish())
        self._timer.start()
        _say(_("Drawing “{title}” on this computer; this takes up to a minute…").format(title=sample.title))

    @property
    def running(self):
        return self._process.poll() is None

    def finish(self, raising=False):
        """Show the drawn patient, or say why there is none."""
        self._timer.stop()
        _drawings.pop(self._sample.name, None)
        if self._process.returncode == 0:
            return _show(self._sample, self._folder, raising)
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        _fail(self._sample, next((line for line in reversed(lines) if line.strip()), ""), raising)


def _show(sample, folder, raising):
    """The patient as a volume node, shown in the slice views; None for a file that cannot be read."""
    try:
        image = sitk.ReadImage(os.fspath(sample.scan(folder)))
    except RuntimeError:
        sample.scan(folder).unlink()  # So that the next try draws it anew.
        return _fail(sample, _("its file in the cache was damaged and is now deleted; try again"), raising)
    warning = sample.warning(sitk.GetArrayViewFromImage(image))
    volumeNode = scene.add_volume(slicer.mrmlScene, checked(image), sample.title)
    volumeNode.SetDescription(" ".join(filter(None, (_("Simulated; no real person."), warning))))
    if slicer.app.layoutManager():
        slicer.util.setSliceViewerLayers(background=volumeNode, fit=True)
    if warning:
        logging.warning("VertebralBMD: %s", warning)
    _say(warning or _("“{title}” is loaded; its voxels are the recorded ones (SHA-256).").format(title=sample.title))
    return volumeNode


def _fail(sample, reason, raising):
    message = _("“{title}” could not be drawn: {reason}").format(title=sample.title, reason=reason)
    logging.error("VertebralBMD: %s", message)
    _say(message)
    if raising:
        raise RuntimeError(message)


def _say(text):
    slicer.util.showStatusMessage(text, 10000)
