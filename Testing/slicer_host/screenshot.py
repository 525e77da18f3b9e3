"""Pictures of the panel: ``python Testing/slicer_host/screenshot.py FOLDER [ICONS]`` or ``... OUT.png STUB``.

Of the sample patient with a phantom after a real measurement: panel.png and one picture of each step in FOLDER; with ICONS, the
thumbnails of all sample patients too, in that folder. With STUB, one of the modes of Testing/panel/stub_worker.py, only the
panel, for the states that are hard to reach (refuse, torch, hang ...).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[2])]

import host  # noqa: E402
import numpy as np  # noqa: E402
import SimpleITK as sitk  # noqa: E402

_SECONDS = {"hang": 3}
_WIDTH, _HEIGHT = 480, 760
_STEPS = ("scan", "vertebrae", "roi", "calibration", "result")
_THUMBNAIL = (180, 200)


def main(path, mode_or_icons=None):
    slicer = host.start()
    panel = host.open_panel(host.load_module())
    panel.parent.resize(_WIDTH, _HEIGHT)
    panel.parent.show()
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(os.environ.get("VERTEBRAL_BMD_SAMPLES", folder))  # Drawn before, to spare the time.
        if path.endswith(".png"):
            _measure(slicer, panel, _drawn("phantom", samples), mode_or_icons)
            panel.parent.grab().save(path)
        else:
            _measure(slicer, panel, _drawn("phantom", samples))
            _pictures(slicer, panel, Path(path))
        if mode_or_icons and not path.endswith(".png"):
            for name in ("phantom", "tissue", "metastasis"):
                _thumbnail(_drawn(name, samples), Path(mode_or_icons) / f"sample-{name}.png")
    panel.cleanup()


def _drawn(name, folder):
    """The scan of a sample patient, drawn where it is not there yet."""
    from VertebralBMDLib.simulation.samples import PACKAGE_PARENT, SAMPLES

    sample = next(sample for sample in SAMPLES if sample.name == name)
    if not sample.is_drawn(folder):
        subprocess.run(sample.prepare(folder), cwd=PACKAGE_PARENT, check=True, stdout=subprocess.DEVNULL)
    return sample.scan(folder)


def _measure(slicer, panel, scan, mode=None):
    from VertebralBMDLib import scene
    from VertebralBMDLib.scan import checked
    from VertebralBMDLib.worker_client import Worker

    scene.add_volume(slicer.mrmlScene, checked(sitk.ReadImage(os.fspath(scan))), "Simulated patient with phantom")
    panel.enter()
    if mode:
        environment = os.environ | {"STUB": mode, "STUB_PID": os.devnull}
        panel.logic.createWorker = lambda: Worker(environment, arguments=(str(host.ROOT / "Testing/panel/stub_worker.py"),))
    panel.ui.measureButton.click()
    end = time.monotonic() + _SECONDS.get(mode, 300)
    while panel.logic.running and time.monotonic() < end:
        slicer.qtApplication.processEvents()
        time.sleep(0.01)
    slicer.qtApplication.processEvents()


def _pictures(slicer, panel, folder):
    """panel.png as it is after a measurement; then each step alone, unfolded."""
    folder.mkdir(parents=True, exist_ok=True)
    _fit(slicer, panel)
    _save(panel.parent, folder / "panel.png")
    for number, name in enumerate(_STEPS, 1):
        for other in _STEPS:
            getattr(panel.ui, f"{other}Button").setProperty("collapsed", other != name)
        _fit(slicer, panel)
        _save(getattr(panel.ui, f"{name}Button"), folder / f"step-{number}-{name}.png")


def _save(widget, path):
    """A picture in 128 colours, which is a third of the bytes."""
    from PIL import Image

    widget.grab().save(str(path))
    Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def _fit(slicer, panel):
    """As high as the contents ask for at this width, as in the scroll area that holds a module's panel in Slicer."""
    slicer.qtApplication.processEvents()
    panel.parent.resize(_WIDTH, panel.parent.layout().totalHeightForWidth(_WIDTH))
    slicer.qtApplication.processEvents()


def _thumbnail(scan, path):
    """The sagittal plane through L1, in a bone window, in the shape that Sample Data shows."""
    image = sitk.ReadImage(os.fspath(scan))
    truth = json.loads(scan.with_name("truth.json").read_text(encoding="utf-8"))
    centre = np.array(truth["levels"]["L1"]["centroid_lps_mm"])
    step = 1.2
    grid = sitk.Image(1, *_THUMBNAIL, sitk.sitkInt16)
    grid.SetSpacing((1.0, step, step))
    grid.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))
    grid.SetOrigin((centre[0], centre[1] - 0.6 * step * _THUMBNAIL[0], centre[2] + 0.45 * step * _THUMBNAIL[1]))
    plane = sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, -1000)
    grey = sitk.IntensityWindowing(plane[0], -200, 800, 0, 255)
    sitk.WriteImage(sitk.Cast(grey, sitk.sitkUInt8), os.fspath(path), useCompression=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
