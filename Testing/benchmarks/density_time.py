"""Time of the density network on the CPU: loading it beyond importing torch, and one vertebra of a 512 x 512 x 160 scan."""

from __future__ import annotations

import os
import time

import numpy as np
import SimpleITK as sitk
from documents import parser, publish

from VertebralBMDLib.network.density import DENSITY, Beam, read_density
from VertebralBMDLib.network.models import checked_file, import_torch, load

_READINGS = 20
_SIZE, _SPACING = (512, 512, 160), (0.8, 0.8, 1.25)
_ASKED_LOAD_S, _ASKED_READ_MS = 1.0, 150.0


def main() -> None:
    options = parser(__doc__).parse_args()
    import_torch()
    start = time.perf_counter()
    load(DENSITY, "cpu")
    loaded = time.perf_counter() - start
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(100.0, 30.0, _SIZE[::-1]).astype(np.int16))
    image.SetSpacing(_SPACING)
    centre = image.TransformContinuousIndexToPhysicalPoint([0.5 * n for n in _SIZE])
    times = []
    for _ in range(_READINGS):
        start = time.perf_counter()
        read_density(image, centre, "cpu", Beam(120.0))
        times.append(1000.0 * (time.perf_counter() - start))
    lines = [
        f"{os.cpu_count()} cores, CPU; file {checked_file(DENSITY).stat().st_size / 1e6:.1f} MB",
        f"load with checksum, torch imported       {loaded:6.2f} s    (asked {_ASKED_LOAD_S:g} s)",
        f"first vertebra                           {times[0]:6.0f} ms",
        f"one vertebra, median of {_READINGS - 1}               {np.median(times[1:]):6.0f} ms   (asked {_ASKED_READ_MS:g} ms)",
    ]
    publish("density_time", "\n".join(lines), options.write)


if __name__ == "__main__":
    main()
