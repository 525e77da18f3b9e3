"""Wall time and peak memory from array to bodies on a simulated 512 x 512 x 300 scan, and beside it the forward time of a network
of the size and patch schedule of TotalSegmentator's fast model.

Of that model only the time is compared, with random weights. Known: 3 mm voxels, patches of 112 x 112 x 128 that overlap by
half, Gaussian weighting, no mirroring, 118 outputs (TotalSegmentator 2, dataset 297, plain nnU-Net plans). Assumed, by nnU-Net's
published rules for such a patch: six stages of two convolutions with 32, 64, 128, 256, 320 and 320 features (the deepest is the
least sure and takes a fiftieth of the work). Its resampling, and everything else that TotalSegmentator does, is not counted.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import numpy as np
import SimpleITK as sitk
from documents import parser, publish

from VertebralBMDLib.grid import field_grid, resampled
from VertebralBMDLib.network import models
from VertebralBMDLib.network import segmentation as network
from VertebralBMDLib.scan import Scan
from VertebralBMDLib.segmentation import bundled, engines, refined
from VertebralBMDLib.simulation.patient import simulate_patient
from VertebralBMDLib.simulation.scanner import TYPICAL
from VertebralBMDLib.simulation.subject import PatientSpec

SLICES = 300
SPEC = PatientSpec(seed=7003, spacing_mm=(0.8, 0.8, 1.5), size=(512, 512), levels=("T5", "S4"), scanner=TYPICAL)
#: Asked: seconds and GB.
SECONDS, GIGABYTES = 8.0, 3.0
#: What is timed: the function, where it is called, and the step it belongs to.
STEPS = (
    (bundled, "oriented", "turn"),
    (bundled, "resampled", "resample"),
    (refined, "resampled", "resample"),
    (network, "localise", "localise"),
    (network, "refine", "refine"),
    (bundled, "numbered_bodies", "numbering"),
    (bundled, "name_levels", "naming"),
    (engines, "checked_bodies", "checks"),
)
PATCH = (112, 112, 128)
STRIDES = ((1, 1, 1), *[(2, 2, 2)] * 4, (1, 1, 2))
FEATURES, OUTPUTS, OVERLAP = (32, 64, 128, 256, 320, 320), 118, 0.5


class Clock:
    """Wall seconds by step, each without the steps that it calls."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)
        self._within: list[float] = []

    def watch(self, module: ModuleType, name: str, step: str) -> None:
        """Time every call of ``module.name`` as ``step``. AttributeError where there is no such function."""
        function = getattr(module, name)

        def timed(*arguments, **options):
            start = time.perf_counter()
            self._within.append(0.0)
            try:
                return function(*arguments, **options)
            finally:
                whole = time.perf_counter() - start
                self.seconds[step] += whole - self._within.pop()
                if self._within:
                    self._within[-1] += whole

        setattr(module, name, timed)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--alone", action="store_true", help="leave out the network beside it")
    options = arguments.parse_args()
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.mha"
        in_a_process(_simulate, scan)
        ready, seconds, before, peak, found = in_a_process(_segment, scan)
        forward = None if options.alone else in_a_process(_forward, scan)
    whole = sum(seconds.values())
    lines = [f"simulated 512 x 512 x {SLICES}, {os.cpu_count()} cores, CPU; load of the machine before {busy:.1f}; {found} bodies found"]
    lines += [f"{step:12}{value:8.2f} s" for step, value in seconds.items()]
    lines.append(f"{'all':12}{whole:8.2f} s (at most {SECONDS:g} s: {'reached' if whole <= SECONDS else 'NOT reached'})")
    lines.append(f"before that, to import torch and to load the networks: {ready:.2f} s")
    lines.append(
        f"peak memory {peak:.2f} GB, of which {before:.2f} GB with the array before it (at most {GIGABYTES:g} GB: {_reached(peak)})"
    )
    if forward is not None:
        patches, theirs = forward
        lines.append(
            f"a network like TotalSegmentator's fast model, forward only, {patches} patches: {theirs:.1f} s, {theirs / whole:.1f} times as long"
        )
    publish("segmentation_time", "\n".join(lines), options.write)


def _reached(peak: float) -> str:
    return "reached" if peak <= GIGABYTES else "NOT reached"


def in_a_process(work, scan: Path):
    """``work(scan)`` in a process of its own, so that its peak of memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (scan,))


def _simulate(path: Path) -> None:
    image = simulate_patient(SPEC).image
    if image.GetSize()[2] < SLICES:
        raise RuntimeError(f"the field has {image.GetSize()[2]} slices only")
    sitk.WriteImage(image[:, :, -SLICES:], str(path))


def _segment(path: Path) -> tuple[float, dict[str, float], float, float, int]:
    """Seconds to get ready, seconds by step, GB before and at the peak, bodies found."""
    scan = Scan(sitk.ReadImage(str(path)))
    start = time.perf_counter()
    for name in (network.LOCALISE, network.REFINE):
        models.load(name, "cpu")
    ready, before = time.perf_counter() - start, _peak_gb()
    clock = Clock()
    for module, name, step in STEPS:
        clock.watch(module, name, step)
    engine = engines.engine_for("bundled", None, "cpu")
    start = time.perf_counter()
    vertebrae = engine.segment(scan, lambda fraction: None)
    whole = time.perf_counter() - start
    seconds = dict.fromkeys((step for _module, _name, step in STEPS), 0.0) | clock.seconds
    return ready, seconds | {"the rest": whole - sum(seconds.values())}, before, _peak_gb(), len(vertebrae.bodies)


def _forward(path: Path) -> tuple[int, float]:
    """Number of patches and seconds of a DynUNet with random weights over the same field at 3 mm."""
    import torch
    from monai.inferers import sliding_window_inference
    from monai.networks.nets import DynUNet

    models.import_torch()
    image = sitk.ReadImage(str(path))
    hu = sitk.GetArrayFromImage(resampled(image, field_grid(image, 3.0)))
    unet = DynUNet(3, 1, OUTPUTS, [3] * len(STRIDES), STRIDES, STRIDES[1:], FEATURES, norm_name=("INSTANCE", {"affine": True})).eval()
    counted = []

    def predictor(patch: torch.Tensor) -> torch.Tensor:
        counted.append(len(patch))
        return unet(patch)

    field = torch.from_numpy((hu / 500.0).astype(np.float32))[None, None]
    start = time.perf_counter()
    with torch.inference_mode():
        sliding_window_inference(field, PATCH, 1, predictor, overlap=OVERLAP, mode="gaussian")
    return sum(counted), time.perf_counter() - start


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
