"""Measurements in a worker process, results in the scene; for the panel and for scripts."""

import logging
import time

from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from VertebralBMDLib import scene
from VertebralBMDLib.settings import Settings
from VertebralBMDLib.worker_client import MeasurementRun, WorkerProcess

from .parameters import VertebralBMDParameterNode

#: Time between two looks for news of the worker, in ms.
POLL_MS = 50


class VertebralBMDLogic(ScriptedLoadableModuleLogic):
    """One measurement at a time, in a worker process; its result appears beside its volume."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.createWorker = WorkerProcess
        self._run = self._volumeNode = None

    def getParameterNode(self):
        return VertebralBMDParameterNode(super().getParameterNode())

    @property
    def running(self):
        """True from ``process`` until ``poll`` has handed over the end, or ``cancel``."""
        return self._run is not None

    def process(self, volumeNode, settings=None, waitForCompletion=True):
        """Measure a CT volume and put the result beside it in the scene.

        settings: a VertebralBMDLib.settings.Settings. Returns the content of measurement.json, or None at once without
        waitForCompletion; then call ``poll`` while ``running``. Raises Refused for a volume that cannot be measured, OSError
        or RuntimeError when the measurement fails.
        """
        self.cancel()
        self._run = MeasurementRun(scene.scan_from_volume(volumeNode), settings or Settings(), self.createWorker())
        self._volumeNode = volumeNode
        while waitForCompletion:
            for event in self.poll():
                if event["event"] == "error":
                    raise RuntimeError(event["message"])
                if event["event"] == "done":
                    return scene.measurement_of(volumeNode)[0]
            time.sleep(POLL_MS / 1000)

    def poll(self):
        """The worker's events since the last call (see VertebralBMDLib.worker); with done, the result is in the scene."""
        events = self._run.worker.poll() if self._run else []
        last = events[-1]["event"] if events else None
        if last == "done":
            try:
                document, bodies, roi = self._run.results()
                scene.show_measurement(self._volumeNode, document, bodies, roi)
                scene.show_in_slices(self._volumeNode, document)
            except (OSError, ValueError, RuntimeError) as error:
                events[-1] = dict(event="error", code=None, message=_("The result could not be shown: {error}").format(error=error))
        if last == "error":
            logging.error("VertebralBMD: %s\n%s", events[-1]["message"], self._run.worker.stderr_tail)
        if last in ("done", "error"):
            self.cancel()
        return events

    def cancel(self):
        """Stop the measurement, if there is one, with all its processes, and delete its temporary files."""
        if self._run:
            self._run.close()
        self._run = self._volumeNode = None
