"""Wall time and peak memory of simulating a full patient, a low-resolution field and a crop, every effect switched on."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from dataclasses import replace

import numpy as np
from documents import parser, publish

from VertebralBMDLib.simulation.crops import crop_of
from VertebralBMDLib.simulation.findings import draw_findings
from VertebralBMDLib.simulation.patient import simulate_patient
from VertebralBMDLib.simulation.scanner import PHYSICS, Scanner
from VertebralBMDLib.simulation.subject import PatientSpec

CROPS = 20


def main() -> None:
    options = parser(__doc__).parse_args()
    lines = [f"{os.cpu_count()} cores, CPU", f"{'what':32}{'wall s':>8}{'peak GB':>9}{'asked':>16}"]
    for name, work, asked in (
        ("patient 512 x 512 x 300", _full, "60 s, 4 GB"),
        ("whole field at 3 mm", _field, "3 s"),
        ("crop of 32^3 voxels at 2 mm", _crop, "0.3 s"),
    ):
        # a process each, so that the peak is its own
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            size, seconds, peak = pool.apply(work)
        lines.append(f"{name:32}{seconds:8.2f}{peak:9.2f}{asked:>16}   ({size})")
    publish("simulation_time", "\n".join(lines), options.write)


def _spec(**changes) -> PatientSpec:
    findings = draw_findings(np.random.default_rng(3), "M", 66.0, 95.0, "metastatic")
    scanner = Scanner(120, "LUNG", None, noise_hu=60.0, motion_mm=0.5, **PHYSICS)
    return PatientSpec(7002, "M", 66.0, 95.0, findings=findings, contrast="portal", phantom="qrm-bdc6", scanner=scanner, **changes)


def _simulated(spec: PatientSpec) -> tuple[str, float, float]:
    crop_of(_spec(), "L1", (4, 4, 4))  # tables are read once per process
    start = time.perf_counter()
    image = simulate_patient(spec).image
    return " x ".join(map(str, image.GetSize())), time.perf_counter() - start, _peak_gb()


def _full() -> tuple[str, float, float]:
    return _simulated(_spec(levels=("T3", "S3"), spacing_mm=(0.86, 0.86, 1.62), size=(512, 512)))


def _field() -> tuple[str, float, float]:
    return _simulated(_spec(levels=("T1", "S3"), spacing_mm=(3.0, 3.0, 3.0)))


def _crop() -> tuple[str, float, float]:
    crop_of(_spec(), "L1")
    start = time.perf_counter()
    for seed in range(CROPS):
        crop_of(replace(_spec(), seed=seed), "L1")
    return f"mean of {CROPS}", (time.perf_counter() - start) / CROPS, _peak_gb()


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


if __name__ == "__main__":
    main()
