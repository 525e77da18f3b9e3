"""Time from a stroke of the brush to new numbers in the panel, on a 512 x 512 x 300 scan with nine bodies and two ROIs.

Real MRML nodes, real Qt, and the panel on the stand-in host of the tests. Timed from when the segmentation logic has changed the
segment, which is Slicer's own work, until mean, volume, vBMD and category stand in the panel: the wait of the timer that gathers
events, the reading of the segment, and every widget of the panel. The CPU time is given beside it because it does not grow with
what else the machine does; the wait is not in it. The picture is a simple one; only its size counts here.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from documents import parser, publish

TESTING = Path(__file__).resolve().parents[1]
sys.path += [str(TESTING / "slicer_host"), str(TESTING / "report")]

import host  # noqa: E402
import report_case  # noqa: E402

from VertebralBMDLib.report.document import document  # noqa: E402
from VertebralBMDLib.scan import Scan  # noqa: E402

SIZE = (512, 512, 300)
ASKED_MS = 100


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--strokes", type=int, default=40)
    options = arguments.parse_args()
    slicer = host.start()
    panel = host.open_panel(host.load_module())
    from VertebralBMDLib import scene

    case = enlarged(report_case.measurement())
    volume = scene.add_volume(slicer.mrmlScene, case.scan, "CT")
    layers = scene.layers_of(case.vertebrae.label_map, case.roi)
    start = time.process_time()
    segmentation, _table = scene.show_layers(volume, document(case), layers)
    shown = time.process_time() - start
    panel.logic.remeasure = lambda volume: None  # The network reads in another process, later.
    panel.enter()
    settle(slicer, 0.5)
    wall, cpu, logic = strokes(slicer, panel, volume, segmentation, options.strokes)
    panel.cleanup()
    lines = [
        f"{' x '.join(map(str, SIZE))} voxels, {options.strokes} strokes of the brush on L1; {os.cpu_count()} CPU cores, "
        f"load {os.getloadavg()[0]:.0f}",
        f"from an edit to new numbers in the panel: median {np.median(wall):.0f} ms, longest {max(wall):.0f} ms (asked: {ASKED_MS} ms)",
        f"  of that CPU time of the panel: median {np.median(cpu):.0f} ms, longest {max(cpu):.0f} ms",
        f"before that, 3D Slicer's own change of the segment: median {np.median(logic):.0f} ms",
        f"the measurement put into the scene, once: {1000 * shown:.0f} ms of CPU time",
    ]
    publish("roi_edit_time", "\n".join(lines), options.write)


def enlarged(case):
    """The case at half the voxel size, with bodies above and below, in a field of 512 x 512 x 300."""
    images = [sitk.Expand(image, [2, 2, 2], sitk.sitkNearestNeighbor) for image in (case.scan.image, case.vertebrae.label_map, case.roi)]
    hu, bodies, roi = (sitk.GetArrayFromImage(image) for image in images)
    bodies = np.concatenate([np.where(bodies > 0, bodies.astype(int) + step, 0) for step in (3, 0, -3)]).astype(np.uint8)
    hu, roi = np.tile(hu, (3, 1, 1)), np.concatenate([0 * roi, roi, 0 * roi])
    noise = np.random.default_rng(1).normal(0, 25, hu.shape)
    made = []
    for array, outside in ((np.round(hu + noise).astype(np.int16), -1000), (bodies, 0), (roi, 0)):
        low = [(n - m) // 2 for n, m in zip(SIZE[::-1], array.shape)]
        padded = np.full(SIZE[::-1], outside, dtype=array.dtype)
        padded[tuple(slice(a, a + m) for a, m in zip(low, array.shape))] = array
        image = sitk.GetImageFromArray(padded)
        image.SetSpacing(images[0].GetSpacing())
        made.append(image)
    scan, vertebrae = Scan(made[0], case.scan.acquisition), replace(case.vertebrae, label_map=made[1])
    return replace(case, scan=scan, vertebrae=vertebrae, roi=made[2])


def strokes(slicer, panel, volume, segmentation, count: int) -> tuple[list[float], list[float], list[float]]:
    """Wall and CPU milliseconds from each edit to new numbers, and the wall milliseconds of the edit itself."""
    from VertebralBMDLib.scene.roi_masks import Mask, label_map_of, masks, within

    automatic = masks(segmentation, volume, "ROI")["L1"]
    place = tuple(slice(part.start - 8, part.stop + 8) for part in automatic.place)
    middle = [(part.stop - part.start) // 2 for part in place]
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    wall, cpu, own = [], [], []
    for number in range(count):
        # The ROI with a block of its body's front, large and small in turn, so that every stroke shows in the first decimal.
        inside, half = within(automatic, place), 2 + 4 * (number % 2)
        inside[middle[0] - half : middle[0] + half, 4:14, middle[2] - half : middle[2] + half] = True
        label_map = label_map_of(Mask(place, inside), volume)
        before = cells(panel)
        start = time.perf_counter()
        logic.SetBinaryLabelmapToSegment(label_map, segmentation, "L1 ROI", logic.MODE_REPLACE)
        edited, busy = time.perf_counter(), time.process_time()
        while cells(panel) == before:
            slicer.qtApplication.processEvents()
            assert time.perf_counter() < edited + 10, "the numbers did not follow"
            time.sleep(0.001)
        wall.append(1000 * (time.perf_counter() - edited))
        cpu.append(1000 * (time.process_time() - busy))
        own.append(1000 * (edited - start))
    return wall, cpu, own


def cells(panel) -> list[str]:
    table = panel.ui.roiTable
    return [table.item(0, column).text() for column in range(table.columnCount())]


def settle(slicer, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        slicer.qtApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main()
