"""The worker's protocol and its client, with real processes; the pipeline behind it is stub_worker.py's unless said."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib import worker_client
from VertebralBMDLib.scan import checked
from VertebralBMDLib.settings import Settings
from VertebralBMDLib.worker_client import MeasurementRun, WorkerProcess

STUB = Path(__file__).resolve().parent / "panel" / "stub_worker.py"
ROOT = STUB.parents[2]


@pytest.fixture
def scan():
    voxels = np.random.default_rng(1).normal(-20, 80, (20, 24, 28)).astype(np.int16)
    voxels[0, 0, 0] = 700
    return checked(sitk.GetImageFromArray(voxels))


@pytest.fixture
def temporary(monkeypatch, tmp_path):
    """Temporary files of the code under test go to a folder with spaces and letters beyond ASCII."""
    folder = tmp_path / "Ωmega späce"
    folder.mkdir()
    monkeypatch.setattr(worker_client.tempfile, "tempdir", str(folder))
    return folder


def stub(mode="measure", **environment):
    return WorkerProcess(environment=os.environ | {"STUB": mode} | environment, arguments=(str(STUB),))


def events_until_end(worker, seconds=20):
    events, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        events += worker.poll()
        if events and events[-1]["event"] in ("done", "error"):
            return events
        time.sleep(0.01)
    raise AssertionError(f"no end after {events}; stderr: {worker.stderr_tail}")


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


def alive(pid):
    """True while a process runs (a zombie nobody has collected does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_progress_then_done_then_results(scan, temporary):
    run = MeasurementRun(scan, Settings(), stub())
    events = events_until_end(run.worker)
    assert [event["event"] for event in events[:2]] == ["ready", "progress"]
    assert {event["stage"] for event in events if event["event"] == "progress"} == {
        "segmentation",
        "roi",
        "calibration",
        "measurement",
        "assessment",
    }
    assert events[-1] == {"event": "done", "status": 0, "files": ["bodies.nii.gz", "measurement.json", "roi.nii.gz"]}
    document, bodies, roi = run.results()
    assert document["patient"]["vbmd_mg_cm3"] == 98.4
    assert bodies.GetSize() == roi.GetSize() == scan.image.GetSize()
    run.close()
    assert list(temporary.iterdir()) == []


def test_prints_and_children_do_not_disturb_the_protocol(scan):
    run = MeasurementRun(scan, Settings(), stub("chatter"))
    assert events_until_end(run.worker)[-1]["event"] == "done"
    wait_for(lambda: not run.worker.running)
    assert "a stray print" in run.worker.stderr_tail and "a stray child" in run.worker.stderr_tail
    run.close()


@pytest.mark.parametrize(
    ("mode", "code", "words"),
    [
        ("torch", "TORCH_MISSING", "PyTorch extension"),
        ("crash", None, "KeyError: 'Wirbelkörper'"),
        ("die", None, "ended unexpectedly (exit status 7)"),
    ],
)
def test_what_goes_wrong_is_one_error_event_with_a_sentence(scan, temporary, mode, code, words):
    run = MeasurementRun(scan, Settings(), stub(mode))
    events = events_until_end(run.worker)
    assert events[-1]["event"] == "error" and events[-1]["code"] == code and words in events[-1]["message"]
    assert len([event for event in events if event["event"] in ("done", "error")]) == 1
    run.close()
    assert list(temporary.iterdir()) == []


def test_an_interpreter_that_is_not_there_is_an_error(scan, temporary):
    with pytest.raises(OSError):
        MeasurementRun(scan, Settings(), WorkerProcess(executable=str(temporary / "no python")))
    assert list(temporary.iterdir()) == []


def test_a_program_that_is_no_worker_is_an_error_event():
    worker = WorkerProcess(arguments=("-c", "print('hello'); print([1])"))
    worker.start({})
    assert [event["event"] for event in events_until_end(worker)] == ["error"]
    assert "hello" in worker.stderr_tail


@needs_proc
@pytest.mark.parametrize("mode", ["hang", "silent"])
def test_cancel_kills_the_whole_tree_within_a_second(scan, temporary, tmp_path, mode):
    pid_file = tmp_path / "pids"
    run = MeasurementRun(scan, Settings(), stub(mode, STUB_PID=str(pid_file)))
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    pids = pid_file.read_text().split()
    assert len(pids) == 2 and all(map(alive, pids))
    run.close()
    wait_for(lambda: not any(map(alive, pids)), seconds=1)
    assert not run.worker.running and run.worker.poll() == [] and list(temporary.iterdir()) == []


def test_cancel_right_after_the_start_and_start_again(scan):
    worker = stub()
    run = MeasurementRun(scan, Settings(), worker)
    with pytest.raises(RuntimeError):
        worker.start({})
    run.close()
    wait_for(lambda: not worker.running, seconds=1)
    again = MeasurementRun(scan, Settings(), worker)
    assert events_until_end(worker)[-1]["event"] == "done"
    again.close()
    again.close()


@needs_proc
def test_a_worker_that_dies_takes_its_children_along(tmp_path):
    program = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); open(sys.argv[1], 'w').write(str(p.pid))"
    worker = WorkerProcess(arguments=("-c", program, str(tmp_path / "pid")))
    worker.start({})
    assert events_until_end(worker)[-1]["event"] == "error"
    wait_for(lambda: not alive((tmp_path / "pid").read_text()), seconds=1)


def test_several_requests_and_nonsense_on_one_stdin(scan, tmp_path):
    sitk.WriteImage(scan.image, str(tmp_path / "scan.nrrd"))
    good = {"command": "measure", "scan": str(tmp_path / "scan.nrrd"), "output": str(tmp_path)}
    lines = ["nonsense", "", json.dumps({"command": "dance"}), json.dumps(good), json.dumps(good | {"settings": {"colour": "red"}})]
    ran = subprocess.run(
        [sys.executable, str(STUB)], input="\n".join(lines), capture_output=True, encoding="utf-8", env=os.environ | {"PYTHONUTF8": "1"}
    )
    ends = [json.loads(line) for line in ran.stdout.splitlines() if '"progress"' not in line]
    assert [event["event"] for event in ends] == ["ready", "error", "error", "done", "error"]
    assert "dance" in ends[2]["message"] and "colour" in ends[4]["message"]


def test_the_client_knows_neither_qt_nor_slicer_nor_torch():
    code = "import sys, VertebralBMDLib.worker_client, VertebralBMDLib.worker; sys.exit(bool({'slicer', 'qt', 'PySide6', 'torch', 'monai', 'vtk'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
