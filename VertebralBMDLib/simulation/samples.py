"""The simulated patients of Slicer's Sample Data: how each is drawn, and the SHA-256 of the voxels that were drawn first.

A patient is what ``vertebral-bmd simulate`` makes of the options here, so it costs no download and is on no server.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from VertebralBMDLib.worker_client import python_executable

#: Name of the warning that the voxels are not those that were recorded.
DIFFERS = "SAMPLE_DATA_DIFFERS"

#: Where the module VertebralBMDLib is found with -m.
PACKAGE_PARENT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Sample:
    """A simulated patient. options: of ``vertebral-bmd simulate``; findings: see ``findings.Findings.from_dict``.

    sha256: of the int16 HU (k, j, i), little-endian, as drawn with numpy 2.4.6 and scipy 1.17.1 on x86-64; see ``warning``.
    """

    name: str
    title: str
    options: Sequence[str]
    sha256: str
    findings: Mapping = field(default_factory=dict)

    def scan(self, folder: Path) -> Path:
        """Where the scan lies below a folder of sample data."""
        return folder / f"VertebralBMD-{self.name}" / "scan.nii.gz"

    def is_drawn(self, folder: Path) -> bool:
        """Whether the folder holds the whole patient: its truth is written last."""
        return self.scan(folder).is_file() and (self.scan(folder).parent / "truth.json").is_file()

    def prepare(self, folder: Path) -> list[str]:
        """Make the patient's folder; the command, to be run in ``PACKAGE_PARENT``, that draws it there. Raises OSError."""
        target = self.scan(folder).parent
        target.mkdir(parents=True, exist_ok=True)
        (target / "truth.json").unlink(missing_ok=True)
        command = [python_executable(), "-m", "VertebralBMDLib", "simulate", "--output", os.fspath(target.absolute()), *self.options]
        if self.findings:
            path = target / "findings.json"
            path.write_text(json.dumps(self.findings, indent=1) + "\n", encoding="utf-8")
            command += ["--findings", os.fspath(path.absolute())]
        return command

    def warning(self, voxels: np.ndarray) -> str:
        """Empty for the recorded voxels (int16, k, j, i), else a sentence that begins with ``DIFFERS`` and says what it means.

        Another version of numpy or scipy, or another processor, can round a few voxels another way.
        """
        if voxels_sha256(voxels) == self.sha256:
            return ""
        return (
            f"{DIFFERS}: the simulated patient {self.title!r} is not, voxel for voxel, the one that was recorded (SHA-256). "
            f"Python {sys.version_info[0]}.{sys.version_info[1]} and numpy {np.__version__} of this computer may round otherwise, or "
            "the file was changed. Use it to learn the panel, but do not compare its numbers with the tutorial's."
        )


def voxels_sha256(voxels: np.ndarray) -> str:
    """Hexadecimal SHA-256 of voxels as little-endian int16, last axis fastest."""
    return hashlib.sha256(np.ascontiguousarray(voxels, dtype="<i2")).hexdigest()


SAMPLES = tuple(
    Sample(**sample)
    for sample in (
        dict(
            name="phantom",
            title="Simulated patient with phantom",
            options="--seed 11 --sex F --age 68 --vbmd 92 --phantom qrm-bdc3 --levels T10,S1".split(),
            sha256="de0220054e02bb9cde9559f4c9352b48ed71727dc629700f76b79fcee05e4b48",
        ),
        dict(
            name="tissue",
            title="Simulated patient without phantom",
            options="--seed 12 --sex M --age 55 --vbmd 130 --levels T10,S1".split(),
            sha256="25d005b9996f8fd60397e11b498467e3c980749020fb4b280688e88489ae8448",
        ),
        dict(
            name="metastasis",
            title="Simulated fracture and metastasis",
            options="--seed 13 --sex F --age 63 --vbmd 110 --phantom qrm-bdc3 --levels T10,S1".split(),
            sha256="8f11ea095dd225201ac055aeaa25ca98eee806fedf66a898a7e71fb0313b1cbd",
            findings={
                "fractures": [{"level": "L1", "kind": "wedge", "loss": 0.3}],
                "lesions": [
                    dict(level="L2", kind="blastic", across=0.3, back=-0.2, up=0.1, radius_mm=7.0, mineral_mg_cm3=600.0, seed=1),
                ],
            },
        ),
    )
)
