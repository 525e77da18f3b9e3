"""One scan handed to a worker, measured and read back, without ever blocking the program that wants it. Knows neither Qt nor Slicer."""

from __future__ import annotations

import json
import queue
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import SimpleITK as sitk

from .quality import MESSAGES, Refused
from .scan import Scan, with_acquisition
from .worker import NO_MEMORY, settings_to_json
from .worker_client import Worker

if TYPE_CHECKING:
    from .settings import Settings

#: Content of measurement.json, and where they were written the label maps of bodies and ROIs and the network's weights.
Results = tuple[dict, "sitk.Image | None", "sitk.Image | None", "sitk.Image | None"]


_THREAD = "VertebralBMD measurement"

#: Longest wait for the threads of closed runs, which may be writing a scan.
_LAST_WAIT_S = 2.0


def wait_for_closed_runs() -> None:
    """Wait for the threads of runs that were closed: a program that ends while one is in a library may abort."""
    for thread in threading.enumerate():
        if thread.name == _THREAD:
            thread.join(_LAST_WAIT_S)


class MeasurementRun:
    """A measurement in a temporary folder, which holds image data and goes when the run is closed.

    A thread writes the scan, asks the worker and reads the results, because each of these takes too long for a window to wait.
    """

    def __init__(
        self,
        worker: Worker,
        make_scan: Callable[[], Scan],
        settings: Settings,
        images: Mapping[str, sitk.Image] | None = None,
        prepare: Callable[[Results], Any] = lambda results: results,
        command: str = "measure",
    ):
        """Start measuring. ``make_scan`` and ``prepare``, which makes ``result`` of the results, are called in the thread.

        ``images``: label maps for the settings that name a file, such as {"bodies": ...}. Raises OSError where no temporary
        folder can be made.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="VertebralBMD-", ignore_cleanup_errors=True)
        self._worker = worker
        self._events: queue.SimpleQueue[dict] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = self._asked = self._ended = False
        self.result: Any = None
        self._thread = threading.Thread(
            target=self._work, name=_THREAD, args=(make_scan, settings, images or {}, prepare, command), daemon=True
        )
        self._thread.start()

    def poll(self) -> list[dict]:
        """The events that arrived since the last call (see ``worker``); the last one of a run is done, with ``result``, or error."""
        events = []
        while not self._events.empty():
            events.append(self._events.get())
        return events

    def close(self) -> None:
        """End the work if it still goes on, then delete the temporary folder, both without waiting. The worker stays for others."""
        with self._lock:
            self._closed = True
            if self._asked and not self._ended:
                self._worker.cancel()
            if self._ended:
                self._folder.cleanup()

    def _work(self, make_scan: Callable[[], Scan], settings: Settings, images: Mapping[str, sitk.Image], prepare: Callable, command: str):
        try:
            end = self._measured(make_scan, settings, images, prepare, command)
        except Refused as refusal:
            end = dict(event="error", code=refusal.code.value, message=str(MESSAGES[refusal.code]))
        except MemoryError:
            end = dict(event="error", code=None, message=NO_MEMORY)
        except Exception as error:  # A thread that dies in silence would leave the panel waiting for ever.
            end = dict(event="error", code=None, message=f"The measurement was not possible: {error}")
        with self._lock:
            self._ended = True
            if self._closed:
                self._folder.cleanup()
        self._events.put(end)

    def _measured(self, make_scan: Callable, settings: Settings, images: Mapping[str, sitk.Image], prepare: Callable, command: str) -> dict:
        """Do all the work; the last event, while the others are on their way."""
        folder = Path(self._folder.name)
        output = folder / "output"
        output.mkdir()
        scan = make_scan()
        sitk.WriteImage(with_acquisition(scan.image, scan.acquisition), str(folder / "scan.nrrd"), useCompression=False)
        for name, image in images.items():
            sitk.WriteImage(image, str(folder / f"{name}.nrrd"), useCompression=False)
        settings = replace(settings, **{name: folder / f"{name}.nrrd" for name in images})
        request = dict(command=command, scan=str(folder / "scan.nrrd"), output=str(output), settings=settings_to_json(settings))
        with self._lock:
            if self._closed:
                return dict(event="error", code=None, message="")
            self._asked = True
            events = self._worker.ask(request)
        for event in events:
            if event["event"] in ("done", "error"):
                break
            self._events.put(event)
        if event["event"] == "done":
            self.result = prepare(_results(output))
        return event


def _results(output: Path) -> Results:
    document = json.loads((output / "measurement.json").read_text(encoding="utf-8"))
    paths = [output / name for name in ("bodies.nii.gz", "roi.nii.gz", "weights.nii.gz")]
    return document, *(sitk.ReadImage(str(path)) if path.exists() else None for path in paths)
