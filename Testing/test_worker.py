"""The worker's protocol and its client, with real processes; the pipeline behind it is stub_worker.py's unless said."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib import measurement_run
from VertebralBMDLib.measurement_run import MeasurementRun
from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.scan import checked
from VertebralBMDLib.settings import Settings
from VertebralBMDLib.worker_client import Worker

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
    monkeypatch.setattr(measurement_run.tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def stub():
    """Workers around the stand-in for the pipeline, closed at the end."""
    workers = []

    def make(mode="measure", **environment):
        workers.append(Worker(os.environ | {"STUB": mode} | environment, arguments=(str(STUB),)))
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


def run_of(worker, scan, **options):
    return MeasurementRun(worker, lambda: scan, Settings(), **options)


def events_until_end(run, seconds=20):
    events, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        events += run.poll()
        if events and events[-1]["event"] in ("done", "error"):
            return events
        time.sleep(0.01)
    raise AssertionError(f"no end after {events}")


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


def test_progress_then_done_then_results(scan, temporary, stub):
    run = run_of(stub(), scan)
    events = events_until_end(run)
    assert [event["event"] for event in events[:3]] == ["ready", "device", "progress"]
    stages = {event["stage"] for event in events if event["event"] == "progress"}
    assert stages == {"segmentation", "roi", "calibration", "measurement", "assessment"}
    assert events[-1] == {"event": "done", "status": 0, "files": ["bodies.nii.gz", "measurement.json", "roi.nii.gz", "weights.nii.gz"]}
    document, bodies, roi, weights = run.result
    assert document["patient"]["vbmd_mg_cm3"] == 98.4
    assert bodies.GetSize() == roi.GetSize() == scan.image.GetSize() and weights.GetSize() == (8, 6, 9)
    run.close()
    assert list(temporary.iterdir()) == []


def test_one_process_answers_run_after_run(scan, stub):
    worker, pids = stub(), set()
    for number in range(3):
        run = run_of(worker, scan)
        events = events_until_end(run)
        assert events[-1]["event"] == "done" and (events[0]["event"] == "ready") == (number == 0)
        run.close()
        pids.add(worker._process._popen.pid)
        assert worker.alive
    assert len(pids) == 1


def test_requests_of_two_threads_are_answered_one_after_the_other(scan, stub):
    worker = stub()
    runs = [run_of(worker, scan) for _ in range(3)]
    for run in runs:
        events = events_until_end(run)
        assert events[-1]["event"] == "done" and [event["event"] for event in events].count("done") == 1
        assert run.result[0]["patient"]["vbmd_mg_cm3"] == 98.4
        run.close()


def test_label_maps_are_handed_over_as_files_of_the_settings(scan, stub):
    labels = sitk.Cast(scan.image > 0, sitk.sitkUInt8)
    run = run_of(stub("settings"), scan, images={"bodies": labels, "roi": labels})
    events_until_end(run)
    settings = run.result[0]["settings"]
    assert {Path(settings[name]).name for name in ("bodies", "roi")} == {"bodies.nrrd", "roi.nrrd"}
    run.close()


def test_what_is_made_of_the_results_is_made_in_the_thread_of_the_run(scan, stub):
    run = run_of(stub(), scan, prepare=lambda results: (threading.current_thread(), results[0]["schema"]))
    events_until_end(run)
    assert run.result[0] is not threading.current_thread() and run.result[1] == "vertebral-bmd/1"
    run.close()


def test_prints_and_children_do_not_disturb_the_protocol(scan, stub):
    worker = stub("chatter")
    run = run_of(worker, scan)
    assert events_until_end(run)[-1]["event"] == "done"
    wait_for(lambda: "a stray print" in worker.stderr_tail and "a stray child" in worker.stderr_tail)
    run.close()


@pytest.mark.parametrize(
    ("mode", "code", "words"),
    [
        ("torch", "TORCH_MISSING", "PyTorch extension"),
        ("crash", None, "KeyError: 'Wirbelkörper'"),
        ("die", None, "ended unexpectedly (exit status 7)"),
        ("memory", None, "not enough memory"),
    ],
)
def test_what_goes_wrong_is_one_error_event_with_a_sentence_and_the_next_run_works(scan, temporary, stub, tmp_path, mode, code, words):
    once = tmp_path / "once"
    once.touch()
    worker = stub(mode, STUB_ONCE=str(once))
    run = run_of(worker, scan)
    events = events_until_end(run)
    assert events[-1]["event"] == "error" and events[-1]["code"] == code and words in events[-1]["message"]
    assert len([event for event in events if event["event"] in ("done", "error")]) == 1
    run.close()
    assert list(temporary.iterdir()) == []
    again = run_of(worker, scan)
    assert events_until_end(again)[-1]["event"] == "done"
    again.close()


def test_a_graphics_card_that_fails_is_replaced_by_the_processor_and_said(scan, stub):
    run = run_of(stub("card"), scan)
    events = events_until_end(run)
    devices = [(event["kind"], event["name"], event["fallback"]) for event in events if event["event"] == "device"]
    assert devices == [("cuda", "Testcard 7", ""), ("cpu", "", "CUDA out of memory. Tried to allocate 2.00 GiB.")]
    assert events[-1]["event"] == "done"
    run.close()


def test_a_scan_that_cannot_be_made_is_an_error_event(temporary, stub):
    def refuse():
        raise Refused(Code.SHEARED)

    run = MeasurementRun(stub(), refuse, Settings())
    (event,) = events_until_end(run)
    assert event["code"] == "SHEARED" and "gantry tilt" in event["message"]
    run.close()
    assert list(temporary.iterdir()) == []


def test_an_interpreter_that_is_not_there_is_an_error(scan, temporary):
    run = run_of(Worker(executable=str(temporary / "no python")), scan)
    assert "No such file" in events_until_end(run)[-1]["message"]
    run.close()
    assert list(temporary.iterdir()) == []


def test_a_program_that_is_no_worker_is_an_error_event():
    worker = Worker(arguments=("-c", "print('hello'); print([1])"))
    assert worker.answer({})["event"] == "error"
    assert "hello" in worker.stderr_tail


@needs_proc
@pytest.mark.parametrize("mode", ["hang", "silent"])
def test_cancel_kills_the_whole_tree_within_a_second_and_does_not_wait(scan, temporary, tmp_path, stub, mode):
    pid_file = tmp_path / "pids"
    run = run_of(stub(mode, STUB_PID=str(pid_file)), scan)
    wait_for(lambda: pid_file.exists() and pid_file.read_text().count(" "))
    pids = pid_file.read_text().split()
    assert len(pids) == 2 and all(map(alive, pids))
    started = time.monotonic()
    run.close()
    assert time.monotonic() - started < 0.5
    wait_for(lambda: not any(map(alive, pids)) and list(temporary.iterdir()) == [], seconds=1)


def test_cancel_while_the_scan_is_written_does_not_wait_and_leaves_the_worker_alone(scan, temporary, stub):
    go, worker = threading.Event(), stub()

    def slow():
        go.wait(10)
        return scan

    run = MeasurementRun(worker, slow, Settings())
    run.close()
    threading.Timer(0.2, go.set).start()
    measurement_run.wait_for_closed_runs()
    assert go.is_set() and list(temporary.iterdir()) == []
    assert not worker.alive
    again = run_of(worker, scan)
    assert events_until_end(again)[-1]["event"] == "done"
    again.close()


def test_cancel_right_after_the_start_and_start_again(scan, stub):
    worker = stub()
    run_of(worker, scan).close()
    again = run_of(worker, scan)
    assert events_until_end(again)[-1]["event"] == "done"
    again.close()


@needs_proc
def test_a_worker_that_dies_takes_its_children_along(tmp_path):
    program = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); open(sys.argv[1], 'w').write(str(p.pid))"
    worker = Worker(arguments=("-c", program, str(tmp_path / "pid")))
    assert worker.answer({})["event"] == "error"
    wait_for(lambda: not alive((tmp_path / "pid").read_text()), seconds=1)


@needs_proc
def test_a_worker_that_nobody_has_any_more_ends(stub, scan):
    worker = Worker(os.environ | {"STUB": "measure"}, arguments=(str(STUB),))
    run = run_of(worker, scan)
    events_until_end(run)
    pid = worker._process._popen.pid
    assert alive(pid)
    run.close()
    del worker, run
    wait_for(lambda: not alive(pid))


def test_several_requests_and_nonsense_on_one_stdin(scan, tmp_path):
    sitk.WriteImage(scan.image, str(tmp_path / "scan.nrrd"))
    good = {"command": "measure", "scan": str(tmp_path / "scan.nrrd"), "output": str(tmp_path)}
    lines = ["nonsense", "", json.dumps({"command": "dance"}), json.dumps(good), json.dumps(good | {"settings": {"colour": "red"}})]
    ran = subprocess.run(
        [sys.executable, str(STUB)], input="\n".join(lines), capture_output=True, encoding="utf-8", env=os.environ | {"PYTHONUTF8": "1"}
    )
    ends = [json.loads(line) for line in ran.stdout.splitlines() if '"progress"' not in line]
    assert [event["event"] for event in ends] == ["ready", "error", "error", "device", "done", "error"]
    assert "dance" in ends[2]["message"] and "colour" in ends[5]["message"]


def test_the_client_knows_neither_qt_nor_slicer_nor_torch():
    code = "import sys, VertebralBMDLib.measurement_run, VertebralBMDLib.worker; sys.exit(bool({'slicer', 'qt', 'PySide6', 'torch', 'monai', 'vtk'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
