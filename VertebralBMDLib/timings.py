"""Wall time and peak memory of each stage, collected from the progress that the pipeline reports."""

from __future__ import annotations

import sys
import time


class Timings:
    """A progress listener. ``say``: also show each stage on stderr as it begins."""

    def __init__(self, say: bool = False):
        self._say = say
        self._started: dict[str, float] = {}
        self._rows: dict[str, tuple[float, float]] = {}

    def __call__(self, stage: str, fraction: float) -> None:
        if stage not in self._started:
            self._started[stage] = time.perf_counter()
            if self._say:
                print(f"{stage} ...", file=sys.stderr)
        if fraction >= 1.0:
            self._rows[stage] = time.perf_counter() - self._started[stage], peak_memory_gb()

    def table(self) -> str:
        """One line a stage: seconds, and the peak memory of the process up to its end."""
        lines = [f"{'stage':14}{'seconds':>9}{'peak GB':>9}"]
        lines += [f"{stage:14}{seconds:9.2f}{peak:9.2f}" for stage, (seconds, peak) in self._rows.items()]
        total = sum(seconds for seconds, _peak in self._rows.values())
        return "\n".join([*lines, f"{'total':14}{total:9.2f}{peak_memory_gb():9.2f}"])


def peak_memory_gb() -> float:
    """Largest resident memory of this process so far, in GB (0 where the system does not tell)."""
    try:
        import resource
    except ImportError:
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
