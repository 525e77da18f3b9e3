"""Running the worker from a program that must stay responsive. Knows neither Qt nor Slicer."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import SimpleITK as sitk

from .scan import Scan, with_acquisition
from .worker import settings_to_json

if TYPE_CHECKING:
    from .settings import Settings

_WORKER = ("-m", "VertebralBMDLib.worker")

#: Where the worker runs, so that -m finds this package and nothing in the caller's folder can stand in for it.
_PACKAGE_PARENT = Path(__file__).resolve().parents[1]

#: Lines of stderr that are kept for diagnostics.
_TAIL_LINES = 200

#: Longest wait for a killed process to go, and for what an ended one wrote last.
_LAST_WORDS_S = 1.0


def python_executable() -> str:
    """The interpreter for the worker: PythonSlicer beside the Slicer executable, elsewhere the one that runs now."""
    running = Path(sys.executable)
    beside = running.with_name("PythonSlicer" + running.suffix)
    return str(beside if beside.exists() else running)


class WorkerProcess:
    """One worker in a child process. Nothing blocks: threads read its output, ``poll`` hands over what has arrived.

    Every run ends with one done or one error event, also when the process dies; a cancelled run ends with none.
    """

    def __init__(self, executable: str | None = None, environment: Mapping[str, str] | None = None, arguments: tuple[str, ...] = _WORKER):
        self._command = [executable or python_executable(), *arguments]
        self._environment = os.environ if environment is None else environment
        self._process: subprocess.Popen | None = None
        self._events: queue.SimpleQueue[dict] = queue.SimpleQueue()
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def start(self, request: dict) -> None:
        """Start the process with one request (see ``worker``). RuntimeError while one is running; OSError when it cannot start."""
        if self.running:
            raise RuntimeError("The worker is still running.")
        self._events, self._tail = queue.SimpleQueue(), deque(maxlen=_TAIL_LINES)
        self._process = _started(self._command, self._environment, subprocess.PIPE)
        threading.Thread(target=_communicate, args=(self._process, request, self._events, self._tail), daemon=True).start()

    @property
    def running(self) -> bool:
        """True from ``start`` until the process has ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def stderr_tail(self) -> str:
        """The last lines the worker logged."""
        return "".join(self._tail)

    def poll(self) -> list[dict]:
        """The events that arrived since the last call."""
        events = []
        while not self._events.empty():
            events.append(self._events.get())
        return events

    def cancel(self) -> None:
        """Kill the worker with all its children and drop its events; harmless when none is running."""
        if self.running:
            _kill_tree(self._process)
            try:
                # A killed process is gone in milliseconds; only then may its folder be deleted.
                self._process.wait(timeout=_LAST_WORDS_S)
            except subprocess.TimeoutExpired:
                pass
        self._process = None
        self._events = queue.SimpleQueue()


class ServingWorker:
    """One worker that answers one request after the other, for a thread that can wait. When it dies, a new one takes its place."""

    def __init__(self, environment: Mapping[str, str] = os.environ, log: bool = False, arguments: tuple[str, ...] = _WORKER):
        """``log``: what the worker says on stderr, which may name files, is shown on stderr here."""
        self._command, self._environment = [python_executable(), *arguments], environment
        self._stderr = None if log else subprocess.DEVNULL
        self._process: subprocess.Popen | None = None
        self._closed = False
        self._lock = threading.Lock()

    def answer(self, request: dict) -> dict:
        """The done or error event for a request (see ``worker``); a death is an error event. Raises OSError when it cannot start."""
        with self._lock:
            if self._closed:
                return dict(event="error", code=None, message="The batch was stopped.")
            if self._process is None:
                self._process = _started(self._command, self._environment, self._stderr)
            process = self._process
        try:
            process.stdin.write(json.dumps(request, ensure_ascii=False) + "\n")
            process.stdin.flush()
            for event in map(_event, process.stdout):
                if event is not None and event["event"] in ("done", "error"):
                    return event
        except OSError:
            pass  # It died; its exit status tells.
        status = process.wait()
        _kill_tree(process)  # Its children would go on working for nobody.
        self._process = None
        return dict(event="error", code=None, message=_death(status))

    def close(self) -> None:
        """Kill the worker with all its children, also in the middle of a request, which ends as an error event."""
        with self._lock:
            self._closed = True
            process = self._process
        if process is not None:
            _kill_tree(process)
            process.wait()


def _started(command: Sequence[str], environment: Mapping[str, str], stderr: int | None) -> subprocess.Popen:
    """A process in a session (a process group) of its own, so that killing it reaches its children as well."""
    grouping = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {"start_new_session": True}
    texts = dict(env={**environment, "PYTHONUTF8": "1"}, encoding="utf-8", errors="replace")
    return subprocess.Popen(command, cwd=_PACKAGE_PARENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, **texts, **grouping)


def _communicate(process: subprocess.Popen, request: dict, events: queue.SimpleQueue, tail: deque) -> None:
    """Body of the thread that looks after one process: hand over the request, wait for the end, say so if it came too early."""
    finished = threading.Event()
    readers = [
        threading.Thread(target=_read_events, args=(process.stdout, events, finished, tail), daemon=True),
        threading.Thread(target=_read_log, args=(process.stderr, tail), daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        with process.stdin:
            process.stdin.write(json.dumps(request, ensure_ascii=False) + "\n")
    except OSError:
        pass  # It died at once; its exit status tells.
    status = process.wait()
    readers[0].join(timeout=_LAST_WORDS_S)
    if not finished.is_set():
        # Children of a dead worker would go on working for nobody.
        _kill_tree(process)
        readers[1].join(timeout=_LAST_WORDS_S)
        events.put(dict(event="error", code=None, message=_death(status)))


def _read_events(stream, events: queue.SimpleQueue, finished: threading.Event, tail: deque) -> None:
    with stream:
        for line in stream:
            event = _event(line)
            if event is None:
                tail.append(line)
                continue
            events.put(event)
            if event["event"] in ("done", "error"):
                finished.set()


def _read_log(stream, tail: deque) -> None:
    with stream:
        tail.extend(stream)


def _event(line: str) -> dict | None:
    """The event in a line of output; None for what a launcher printed before the worker took over."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _death(status: int) -> str:
    sentence = f"The measurement process ended unexpectedly (exit status {status})."
    if status == -getattr(signal, "SIGKILL", 9):
        return sentence + " The computer may have run out of memory; close other programs and try again."
    return sentence + " The application log says more."


def _kill_tree(process: subprocess.Popen) -> None:
    if os.name == "nt":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, creationflags=subprocess.CREATE_NO_WINDOW)
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # All of them have ended by themselves (macOS says it the second way).


class MeasurementRun:
    """One scan measured by a worker in a temporary folder, which holds image data and goes when the run is closed."""

    def __init__(self, scan: Scan, settings: Settings, worker: WorkerProcess | None = None):
        """Start measuring. Raises OSError or RuntimeError when the scan cannot be handed over or the worker not started."""
        self._folder = tempfile.TemporaryDirectory(prefix="VertebralBMD-", ignore_cleanup_errors=True)
        self._output = Path(self._folder.name) / "output"
        self._output.mkdir()
        self.worker = worker or WorkerProcess()
        path = Path(self._folder.name) / "scan.nrrd"
        try:
            sitk.WriteImage(with_acquisition(scan.image, scan.acquisition), str(path), useCompression=False)
            self.worker.start(dict(command="measure", scan=str(path), output=str(self._output), settings=settings_to_json(settings)))
        except BaseException:
            self.close()
            raise

    def results(self) -> tuple[dict, sitk.Image | None, sitk.Image | None]:
        """After the done event: measurement.json, and the label maps of bodies and ROIs where they were written."""
        document = json.loads((self._output / "measurement.json").read_text(encoding="utf-8"))
        paths = [self._output / name for name in ("bodies.nii.gz", "roi.nii.gz")]
        return document, *(sitk.ReadImage(str(path)) if path.exists() else None for path in paths)

    def close(self) -> None:
        """End the worker if it is still running and delete the temporary folder."""
        self.worker.cancel()
        self._folder.cleanup()
