"""What the tests of the panel share: a stub in place of the worker, volumes, and waiting with the event loop running."""

import os
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

STUB = Path(__file__).parent / "stub_worker.py"


def use_stub(panel, mode):
    from VertebralBMDLib.worker_client import WorkerProcess

    environment = os.environ | {"STUB": mode, "STUB_PID": str(panel.pids)}
    panel.logic.createWorker = lambda: WorkerProcess(environment=environment, arguments=(str(STUB),))


def add_volume(slicer, name, values=(-20, 80)):
    from VertebralBMDLib import scene
    from VertebralBMDLib.scan import Scan

    voxels = np.random.default_rng(1).normal(*values, (20, 24, 28)).astype(np.int16)
    voxels[0, 0, 0] = 700
    return scene.add_volume(slicer.mrmlScene, Scan(sitk.GetImageFromArray(voxels)), name)


def wait_for(condition, seconds=20):
    """Run the event loop until the condition holds."""
    import slicer

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        slicer.qtApplication.processEvents()
        time.sleep(0.005)
