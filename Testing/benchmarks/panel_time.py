"""Times of the panel on a 512 x 512 x 300 scan: ``python Testing/benchmarks/panel_time.py``.

Opening (without torch), Cancel, and the longest time for which a run keeps the window's thread, from the click to the result
in the scene. The worker is the one of Testing/panel/stub_worker.py, because what it computes is not the window's affair. On
Linux, time in which the thread was ready but the processor was busy elsewhere is not counted as a block.
"""

import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "slicer_host"), str(HERE.parent / "panel")]

import host  # noqa: E402
import panel_tools  # noqa: E402
from documents import parser, publish  # noqa: E402


def main():
    options = parser(__doc__.splitlines()[0]).parse_args()
    slicer = host.start()
    started, ready = time.perf_counter(), time.thread_time()
    panel = host.open_panel(host.load_module())
    opened, computed = time.perf_counter() - started, time.thread_time() - ready
    torch = "torch" in sys.modules
    lines = [f"panel opens in {opened:.2f} s ({computed:.2f} s of processor time; asked 0.5 s), torch loaded: {torch}"]
    panel.pids = Path(tempfile.mkdtemp()) / "pids"
    volume = panel_tools.add_volume(slicer, "large", shape=(300, 512, 512))
    panel.enter()
    size = " x ".join(map(str, volume.GetImageData().GetDimensions()))
    lines.append(f"longest block of the window: {1000 * longest_block(panel):.0f} ms on {size} voxels (asked 100 ms)")
    for mode, when in (("silent", "while the worker starts"), ("hang", "in the middle of a stage")):
        lines.append(f"Cancel {when}: {1000 * cancel(panel, mode):.0f} ms (asked 1 s)")
    panel.cleanup()
    publish("panel_time", "\n".join(lines), options.write)


def longest_block(panel):
    panel_tools.use_stub(panel, "slow")
    qt = SimpleNamespace(**vars(sys.modules["qt"]))
    qt.QTimer.singleShot(0, panel.ui.measureButton.click)
    starting = panel_tools.longest_block(lambda: panel.logic.running)
    return max(starting, panel_tools.longest_block(lambda: not panel.logic.running, 300))


def cancel(panel, mode):
    """Seconds from the click until the worker and its child are gone."""
    panel.pids.unlink(missing_ok=True)
    panel_tools.use_stub(panel, mode)
    panel.ui.measureButton.click()
    panel_tools.wait_for(lambda: panel.pids.exists() and " " in panel.pids.read_text(), 120)
    pids = panel.pids.read_text().split()
    started = time.perf_counter()
    panel.ui.measureButton.click()
    panel_tools.wait_for(lambda: not any(map(panel_tools.alive, pids)))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
