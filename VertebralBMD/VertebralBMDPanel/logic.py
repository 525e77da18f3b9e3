"""Measurements in a resident worker process, results in the scene; for the panel and for scripts."""

import logging
import tempfile
import time
from pathlib import Path

from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from VertebralBMDLib import scene
from VertebralBMDLib.diagnostics import without_paths
from VertebralBMDLib.edits import network_beam
from VertebralBMDLib.measurement_run import MeasurementRun, wait_for_closed_runs
from VertebralBMDLib.reading_run import ReadingRun
from VertebralBMDLib.run_progress import RunProgress
from VertebralBMDLib.settings import Settings
from VertebralBMDLib.worker_client import Worker

from .parameters import VertebralBMDParameterNode

#: Time between two looks for news of the worker, in ms.
POLL_MS = 50


class VertebralBMDLogic(ScriptedLoadableModuleLogic):
    """One measurement at a time; its result appears beside its volume. The worker starts with the first one and stays.

    ``device``: the worker's last word about where networks run (see VertebralBMDLib.worker), or None; ``progress``: a
    RunProgress of the present or last measurement.
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.createWorker = Worker
        self.device = None
        self.progress = RunProgress()
        self._worker = self._run = self._volumeNode = self._files = None

    def getParameterNode(self):
        return VertebralBMDParameterNode(super().getParameterNode())

    @property
    def running(self):
        """True from ``process`` until ``poll`` has handed over the end, or ``cancel``."""
        return self._run is not None

    @property
    def log(self):
        """The worker's last lines."""
        return self._worker.stderr_tail if self._worker else ""

    def process(self, volumeNode, settings=None, images=None, waitForCompletion=True):
        """Measure a CT volume and put the result beside it in the scene.

        settings: a VertebralBMDLib.settings.Settings; images: SimpleITK label maps for settings that name a file, such as
        {"bodies": image}. Returns the content of measurement.json, or None at once without waitForCompletion; then call
        ``poll`` while ``running``. Rods that the user moved or placed in the volume are read where they are. Raises Refused
        for a volume that cannot be handed over, ValueError for rods of an unknown phantom, OSError or RuntimeError when the
        measurement fails.
        """
        self.cancel()
        makeScan = scene.scan_maker(volumeNode)
        self._files = tempfile.TemporaryDirectory(prefix="VertebralBMD-", ignore_cleanup_errors=True)
        settings = scene.with_own_rods(volumeNode, settings or Settings(), scene.measurement_of(volumeNode)[0], Path(self._files.name))
        self._run = MeasurementRun(self._resident(), makeScan, settings, images, _prepared)
        self._volumeNode = volumeNode
        self.progress = RunProgress(self.progress.seconds)
        while waitForCompletion:
            for event in self.poll():
                if event["event"] == "error":
                    raise RuntimeError(event["message"])
                if event["event"] == "done":
                    return scene.measurement_of(volumeNode)[0]
            time.sleep(POLL_MS / 1000)

    def poll(self):
        """The worker's events since the last call (see VertebralBMDLib.worker); with done, the result is in the scene."""
        events = self._run.poll() if self._run else []
        for event in events:
            if event["event"] == "device":
                self.device = event
            if event["event"] == "progress":
                self.progress.update(event)
        if events and events[-1]["event"] == "done":
            try:
                document, layers, weights = self._run.result
                scene.show_layers(self._volumeNode, document, layers)
                scene.show_weights(self._volumeNode, weights)
                scene.show_rods(self._volumeNode, document)
                scene.show_fit(self._volumeNode, document)
                scene.show_in_slices(self._volumeNode, document)
            except (OSError, ValueError, RuntimeError) as error:
                events[-1] = dict(event="error", code=None, message=_("The result could not be shown: {error}").format(error=error))
        if events and events[-1]["event"] == "error":
            logging.error("VertebralBMD: %s\n%s", *map(without_paths, (events[-1]["message"], self.log)))
        if events and events[-1]["event"] in ("done", "error"):
            self.cancel()
        return events

    def remeasure(self, volumeNode):
        """Let the network read the edited ROIs of a measured volume; a ReadingRun, or None where none waits for it."""
        rois = scene.awaiting_reading(volumeNode)
        if not rois:
            return None
        return ReadingRun(self._resident().answer, rois, network_beam(scene.measurement_of(volumeNode)[0]))

    def cancel(self):
        """Stop the measurement, if there is one, with all its processes, and delete its temporary files."""
        if self._run:
            self._run.close()
        if self._files:
            self._files.cleanup()
        self._run = self._volumeNode = self._files = None

    def close(self):
        """As ``cancel``, and end the worker too; the next measurement starts a new one."""
        self.cancel()
        if self._worker:
            self._worker.close()
        self._worker = None
        wait_for_closed_runs()

    def _resident(self):
        if self._worker is None:
            self._worker = self.createWorker()
        return self._worker


def _prepared(results):
    """What the scene needs of the results, made in the thread of the run."""
    document, bodies, roi, weights = results
    return document, scene.layers_of(bodies, roi), weights
