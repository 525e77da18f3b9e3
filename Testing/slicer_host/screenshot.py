"""A picture of the panel: ``python Testing/slicer_host/screenshot.py OUT.png [STUB]``.

After a real measurement of a simulated patient with an in-scan phantom; with STUB, one of the modes of
Testing/panel/stub_worker.py, for the states that are hard to reach (refuse, torch, hang ...).
"""

import os
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[2])]

import host  # noqa: E402

_SECONDS = {"hang": 3}


def main(path, mode=None):
    slicer = host.start()
    panel = host.open_panel(host.load_module())
    from VertebralBMDLib import scene
    from VertebralBMDLib.scan import checked
    from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient
    from VertebralBMDLib.worker_client import Worker

    patient = simulate_patient(PatientSpec(seed=1, phantom="qrm-bdc3"))
    scene.add_volume(slicer.mrmlScene, checked(patient.image), "Simulated patient")
    panel.enter()
    if mode:
        environment = os.environ | {"STUB": mode, "STUB_PID": os.devnull}
        panel.logic.createWorker = lambda: Worker(environment, arguments=(str(host.ROOT / "Testing/panel/stub_worker.py"),))
    panel.parent.resize(480, 640)
    panel.parent.show()
    panel.ui.measureButton.click()
    end = time.monotonic() + _SECONDS.get(mode, 300)
    while panel.logic.running and time.monotonic() < end:
        slicer.qtApplication.processEvents()
        time.sleep(0.01)
    slicer.qtApplication.processEvents()
    panel.parent.grab().save(path)
    panel.cleanup()


if __name__ == "__main__":
    main(*sys.argv[1:])
