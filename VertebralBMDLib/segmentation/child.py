"""A program in a child process that can be cancelled: nothing but an argument list, an environment and a log."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_POLL_S = 0.2
#: How long a child may take to end its own children before it is killed.
_GRACE_S = 5.0


def run_child(command: Sequence[str], environment: Mapping[str, str], log: Path, tick: Callable[[], None]) -> int:
    """Run ``command`` to its end and return its exit status; what it prints goes to ``log``.

    ``tick`` is called a few times a second; whatever it raises ends the child and is raised again. The child stays in
    this process's group, so that killing a worker with its group ends it as well. Raises OSError when it cannot start.
    """
    hidden = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {}
    with log.open("ab") as output:
        process = subprocess.Popen(list(command), env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output, **hidden)
        try:
            while True:
                tick()
                try:
                    return process.wait(timeout=_POLL_S)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            _end(process)


def last_line(log: Path) -> str:
    """The last line of a log that says something, at most 200 characters of it."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def _end(process: subprocess.Popen) -> None:
    """End a child that is still running, with its children."""
    if process.poll() is not None:
        return
    if os.name == "nt":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, creationflags=subprocess.CREATE_NO_WINDOW)
    else:
        # An interrupted Python program ends its own worker processes; a killed one leaves them behind.
        process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
