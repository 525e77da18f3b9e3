"""Edited ROIs handed to a worker, whose network reads them, without ever blocking the program that wants it. Knows neither Qt nor Slicer."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import SimpleITK as sitk

from .network.density import Beam


class ReadingRun:
    """The network's reading around some ROIs, asked for in a thread; it cannot be stopped, only forgotten."""

    def __init__(
        self,
        answer: Callable[[dict], dict],
        rois: Mapping[str, tuple[sitk.Image, Sequence[float]]],
        beam: Beam = Beam(),
        device: str = "auto",
    ):
        """``answer``: what a worker makes of a request (``Worker.answer``); ``rois``, ``beam``: see ``run.read_again``, with images
        for paths."""
        self._answer, self._rois, self._beam, self._device = answer, dict(rois), beam, device
        self._end: dict | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def end(self) -> dict | None:
        """None while the network reads; then the done event, with ``readings``, or the error event (see ``worker``)."""
        return self._end

    def _work(self) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="VertebralBMD-", ignore_cleanup_errors=True) as folder:
                end = self._answer(
                    dict(command="remeasure", rois=self._written(Path(folder)), beam=asdict(self._beam), device=self._device)
                )
        except Exception as error:  # A thread that dies in silence would leave the panel waiting for ever.
            end = dict(event="error", code=None, message=str(error))
        self._end = end

    def _written(self, folder: Path) -> dict[str, dict]:
        request = {}
        for level, (image, centre) in self._rois.items():
            sitk.WriteImage(image, str(folder / f"{level}.nrrd"), useCompression=False)
            request[level] = dict(scan=str(folder / f"{level}.nrrd"), centre_lps_mm=list(centre))
        return request
