"""What the tests of the panel share: a stub in place of the worker, volumes, and waiting with the event loop running."""

import json
import os
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

STUB = Path(__file__).parent / "stub_worker.py"


def use_stub(panel, mode):
    from VertebralBMDLib.worker_client import Worker

    environment = os.environ | {"STUB": mode, "STUB_PID": str(panel.pids)}
    panel.logic.close()
    panel.logic.createWorker = lambda: Worker(environment, arguments=(str(STUB),))


def add_volume(slicer, name, values=(-20, 80), shape=(20, 24, 28)):
    from VertebralBMDLib import scene
    from VertebralBMDLib.scan import Scan

    voxels = np.random.default_rng(1).normal(*values, shape).astype(np.int16)
    voxels[0, 0, 0] = 700
    return scene.add_volume(slicer.mrmlScene, Scan(sitk.GetImageFromArray(voxels)), name)


def longest_block(condition, seconds=60):
    """Run the event loop until the condition holds; the longest time in s that one pass of it kept this thread.

    Time in which the thread could run but the processor was busy elsewhere is not counted, where the system tells it.
    """
    import slicer

    longest, end = 0.0, time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        started, waited = time.monotonic(), _waiting_for_the_processor()
        slicer.qtApplication.processEvents()
        longest = max(longest, time.monotonic() - started - (_waiting_for_the_processor() - waited))
        time.sleep(0.002)
    return longest


def _waiting_for_the_processor():
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def wait_for(condition, seconds=20):
    """Run the event loop until the condition holds."""
    import slicer

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        slicer.qtApplication.processEvents()
        time.sleep(0.005)


def show_case(panel, volume, density=98.4, refusals=()):
    """Put a measurement beside a volume of ``add_volume`` without a worker: T12 cut off, L1 and L2 measured, L2 with a doubt."""
    import stub_worker

    from VertebralBMDLib import scene
    from VertebralBMDLib.quality import MESSAGES, Code
    from VertebralBMDLib.report.parts import settings_entry
    from VertebralBMDLib.report.schema import validate
    from VertebralBMDLib.settings import Settings

    document = stub_worker.document(["L1", "L2"])
    for k, vertebra in enumerate(document["vertebrae"]):
        vertebra.update(centroid_lps_mm=[14.0, 13.0, 8.0 + 9 * k], vbmd_roi_mg_cm3=density, vbmd_network_mg_cm3=density - 1.2)
        vertebra["heights_mm"] = dict(anterior=25.0, middle=24.0, posterior=25.0)
    document["vertebrae"][1]["flags"] = ["ROI_HETEROGENEOUS"]
    cut = dict(level="T12", label=19, complete=False, level_confidence=0.6, centroid_lps_mm=[14.0, 13.0, 1.0], body_volume_cm3=20.0)
    document["vertebrae"].insert(0, cut | dict(flags=["BODY_CUT_OFF"]))
    document["patient"].update(vbmd_mg_cm3=density, refusals=list(refusals))
    document["scan"] = dict(contrast="no", size=[28, 24, 20], spacing_mm=[1.0, 1.0, 1.0])
    document["software"] = dict(version="0", engine="stub", models=[])
    document["settings"] = json.loads(json.dumps(settings_entry(Settings())))
    document["scan"]["orientation"] = "LPS"
    document["timings_s"] = {}
    if refusals:
        del document["patient"]["vbmd_mg_cm3"], document["patient"]["vbmd_source"]
        document["patient"]["category"] = "withheld"
    codes = ["ROI_HETEROGENEOUS", "BODY_CUT_OFF", *refusals]
    document["messages"] = {code: str(MESSAGES[Code(code)]) for code in codes}
    validate(document)
    labels = []
    for margin in (0, 2):
        array = np.zeros((20, 24, 28), np.uint8)
        for index in range(2):
            z = 4 + 9 * index
            array[z + margin : z + 7 - margin, 4 + margin : 18 - margin, 6 + margin : 20 - margin] = 20 + index
        labels.append(sitk.GetImageFromArray(array))
    nodes = scene.show_measurement(volume, document, *labels)
    panel.refresh()
    return nodes


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
