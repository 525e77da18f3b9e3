"""How far a measurement is, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

#: Each stage of the pipeline in words, and its share of the whole run on a CPU, in per cent.
_STAGES = {
    "loading": ("Loading the scan…", 3),
    "segmentation": ("Finding the vertebrae…", 67),
    "roi": ("Placing the regions of interest…", 10),
    "calibration": ("Calibrating…", 5),
    "measurement": ("Measuring bone density…", 10),
    "assessment": ("Assessing…", 1),
    "report": ("Writing the report…", 4),
}

#: A forecast from less than this share of the run, or less time, is worth nothing.
_FORECAST_SHARE, _FORECAST_S = 0.05, 2.0


class RunProgress:
    """Turns the progress events of one run into words, per cent and remaining time.

    ``earlier_seconds``: what the stages of an earlier run took; a stage that it lacks, and a first run, go by the usual shares.
    """

    def __init__(self, earlier_seconds: Mapping[str, float] | None = None, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        shares = {stage: share for stage, (_text, share) in _STAGES.items()}
        known = dict(earlier_seconds or {})
        # Shares of stages that were not timed are put on the scale of those that were.
        scale = sum(known.values()) / sum(shares[stage] for stage in known) if known else 1.0
        self._weights = {stage: known.get(stage, share * scale) for stage, share in shares.items()}
        self._started: float | None = None  # The first event; what a worker needs to start tells nothing about the run.
        self._stage_started = 0.0
        self._stage, self.text, self.fraction = "", "", 0.0
        self.seconds: dict[str, float] = {}

    def update(self, event: dict) -> None:
        """Take in a progress event of the worker."""
        stage, now = event["stage"], self._clock()
        if self._started is None:
            self._started = now
        if stage != self._stage:
            self._stage, self._stage_started = stage, now
            self.text = _STAGES[stage][0]
        self.seconds[stage] = now - self._stage_started
        stages = list(_STAGES)
        done = sum(self._weights[each] for each in stages[: stages.index(stage)]) + self._weights[stage] * event["fraction"]
        self.fraction = done / (sum(self._weights.values()) or 1.0)

    @property
    def percent(self) -> int:
        """Per cent of the whole run that is done."""
        return round(100 * self.fraction)

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the end at the pace of this run, or None while that cannot be told."""
        elapsed = 0.0 if self._started is None else self._clock() - self._started
        if self.fraction < _FORECAST_SHARE or elapsed < _FORECAST_S:
            return None
        return elapsed * (1 - self.fraction) / self.fraction

    def sentence(self) -> str:
        """The stage in words, with the remaining time where it can be told."""
        remaining = self.remaining_s
        return self.text if remaining is None else f"{self.text} {_about(remaining)}"


def _about(seconds: float) -> str:
    """A time in words no finer than a forecast deserves."""
    if seconds < 10:
        return "A few seconds left."
    if seconds < 90:
        return f"About {10 * round(seconds / 10)} s left."
    return f"About {round(seconds / 60)} min left."
