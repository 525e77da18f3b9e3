"""The real worker around a stand-in for the pipeline, for tests of the batch: the text in a scan says what happens to it.

measured, refused, fail (with the scan's path in its words), settings (ValueError), die (as kill -9 does), die once, hang, torch.
Each request adds a line to the file that STUB_LOG names.
"""

import csv
import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from VertebralBMDLib import run, worker  # noqa: E402
from VertebralBMDLib.quality import Code, Refused  # noqa: E402
from VertebralBMDLib.report.table import COLUMNS  # noqa: E402


def measure_to_folder(scan, output, settings, progress, series_uid=None, scene=False):
    """Same signature as ``VertebralBMDLib.run.measure_to_folder``."""
    progress("loading", 0.0)
    text = scan.read_text()
    with open(os.environ["STUB_LOG"], "a") as log:
        log.write(f"{scan.stem} {os.getpid()} {settings.erosion_mm:g} {series_uid} {scene}\n")
    if text == "fail":
        raise KeyError(f"{scan} is odd")
    if text == "settings":
        raise ValueError(f"{scan.name} lies in the output folder")
    if text == "torch":
        raise Refused(Code.TORCH_MISSING)
    if text == "die once":
        scan.write_text("measured")
    if text.startswith("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "hang":
        time.sleep(60)
    refusals = ["CONTRAST"] if text == "refused" else []
    output.mkdir(parents=True, exist_ok=True)
    with (output / "measurements.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(dict(level=level, roi_mean_hu=repr(settings.erosion_mm), flags="A;B") for level in ("L1", "L2") if not refusals)
    (output / "measurement.json").write_text(json.dumps({"patient": {"refusals": refusals}}), encoding="utf-8")
    return 3 if refusals else 0


if __name__ == "__main__":
    run.measure_to_folder = measure_to_folder
    worker._say_device = lambda wanted, answer: None
    worker.main()
