"""What the tests of the panel share: a stub in place of the worker, volumes, and waiting with the event loop running."""

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
