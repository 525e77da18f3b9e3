"""A worker process that stays, for programs that measure more than once. Knows neither Qt nor Slicer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_WORKER = ("-m", "VertebralBMDLib.worker")

#: Where the worker runs, so that -m finds this package and nothing in the caller's folder can stand in for it.
_PACKAGE_PARENT = Path(__file__).resolve().parents[1]

#: Lines of stderr that are kept for diagnostics.
_TAIL_LINES = 200

#: Longest wait for what an ended process wrote last.
_LAST_WORDS_S = 1.0


def python_executable() -> str:
    """The interpreter for the worker: PythonSlicer beside the Slicer executable, elsewhere the one that runs now."""
    running = Path(sys.executable)
    beside = running.with_name("PythonSlicer" + running.suffix)
    return str(beside if beside.exists() else running)


class Worker:
    """Answers one request after the other in a child process, which keeps its networks from one to the next.

    The process starts with the first request, and a new one takes its place when it has died or was killed. ``cancel`` and
    ``close`` may be called from any thread.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        log: bool = False,
        arguments: Sequence[str] = _WORKER,
        executable: str | None = None,
    ):
        """``log``: what the worker says on stderr, which may name files, is shown on stderr here instead of being kept."""
        self._command = [executable or python_executable(), *arguments]
        self._environment = os.environ if environment is None else environment
        self._log = log
        self._process: _Process | None = None
        self._closed = False
        self._lock = threading.Lock()

    def ask(self, request: dict) -> Iterator[dict]:
        """Hand over a request (see ``worker``); its events, as they come, the last of which is done or error.

        Waiting for an event blocks. A death of the process, or its killing, is an error event. Raises OSError when the
        process cannot start.
        """
        with self._lock:
            if self._closed:
                return iter([_STOPPED])
            if not self.alive:
                self._process = _Process(self._command, self._environment, self._log)
                weakref.finalize(self, self._process.kill)
            process = self._process
        return process.ask(request)

    def answer(self, request: dict) -> dict:
        """Wait for the done or error event of a request. Raises OSError when the process cannot start."""
        *_events, end = self.ask(request)
        return end

    @property
    def alive(self) -> bool:
        """True while there is a process that can be asked."""
        return self._process is not None and self._process.alive

    @property
    def stderr_tail(self) -> str:
        """The last lines that the process logged."""
        return "".join(self._process.tail) if self._process else ""

    def cancel(self) -> None:
        """Kill the process with all its children, so that the request it works on ends; the next one starts a new process."""
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """As ``cancel``, and for good."""
        self._closed = True
        self.cancel()


_STOPPED = dict(event="error", code=None, message="The measurement was stopped.")


class _Process:
    """One process; reads its answers where they are waited for, and its log in a thread."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: bool):
        # In a session (a process group) of its own, so that killing it reaches its children as well.
        grouping = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {"start_new_session": True}
        texts = dict(env={**environment, "PYTHONUTF8": "1"}, encoding="utf-8", errors="replace")
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None if log else subprocess.PIPE)
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._killed = False
        self._popen = subprocess.Popen(command, cwd=_PACKAGE_PARENT, **pipes, **texts, **grouping)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        threading.Thread(target=self._bury, daemon=True).start()

    @property
    def alive(self) -> bool:
        return not self._killed and self._popen.poll() is None

    def ask(self, request: dict) -> Iterator[dict]:
        try:
            self._popen.stdin.write(json.dumps(request, ensure_ascii=False) + "\n")
            self._popen.stdin.flush()
        except OSError:
            pass  # It died; its exit status tells.
        return self._events()

    def kill(self) -> None:
        if self.alive:
            self._killed = True
            _kill_tree(self._popen)

    def _events(self) -> Iterator[dict]:
        for line in self._popen.stdout:
            event = _event(line)
            if event is None:
                self.tail.append(line)
                continue
            yield event
            if event["event"] in ("done", "error"):
                return
        status = self._popen.wait()
        self._reader.join(timeout=_LAST_WORDS_S)
        yield _STOPPED if self._killed else dict(event="error", code=None, message=_death(status))

    def _read_log(self) -> None:
        if self._popen.stderr is not None:
            with self._popen.stderr as stream:
                self.tail.extend(stream)

    def _bury(self) -> None:
        """Children of a dead worker would go on working for nobody, and keep its pipes open."""
        self._popen.wait()
        _kill_tree(self._popen)


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
