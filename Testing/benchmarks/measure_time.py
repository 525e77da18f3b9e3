"""Wall time and peak memory of ``vertebral-bmd measure`` on a simulated 512 x 512 x 160 scan, stage by stage."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import SimpleITK as sitk
from documents import parser, publish

from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient


def main() -> None:
    options = parser(__doc__).parse_args()
    spec = PatientSpec(seed=7001, spacing_mm=(0.8, 0.8, 2.2), size=(512, 512), phantom="qrm-bdc3", levels=("T9", "S3"))
    with tempfile.TemporaryDirectory() as folder:
        image = simulate_patient(spec).image[:, :, :160]
        scan = Path(folder) / "scan.nii.gz"
        sitk.WriteImage(image, str(scan))
        command = [sys.executable, "-m", "VertebralBMDLib", "measure", str(scan), "--output", folder, "--timings"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    table = done.stdout[done.stdout.index("stage ") :].rstrip()
    size = " x ".join(map(str, image.GetSize()))
    publish(
        "measure_time",
        f"simulated scan of {size} voxels, {os.cpu_count()} cores, CPU; torch is imported within the first stage that needs it\n{table}",
        options.write,
    )


if __name__ == "__main__":
    main()
