"""A small simulated cohort on disk, as DICOM with the label maps of its truth, and small scans for manifests."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from VertebralBMDLib.simulation.cohort import Case
from VertebralBMDLib.simulation.dicom import write_dicom_series
from VertebralBMDLib.simulation.files import write_cohort
from VertebralBMDLib.simulation.patient import PatientSpec

SIMULATED = Case("P0001", "north", "train", 0, PatientSpec(5, "F", 61.0, 105.0, spacing_mm=(2.0, 2.0, 3.0), levels=("T11", "L3")))
#: How much higher the scanner of the second patient reads.
BRIGHTER_HU = 20


def write_two_patients(folder: Path) -> Path:
    """DICOM series, truth and manifest of a simulated patient, and of the same as another scanner shows them under another name (a
    simulation takes long); returns the path of cohort.csv."""
    path = write_cohort([SIMULATED], folder, dicom=True)
    shutil.copytree(folder / "P0001", folder / "P0002", ignore=shutil.ignore_patterns("dicom", "scan.nii.gz"))
    image = sitk.ReadImage(str(folder / "P0001" / "scan.nii.gz"))
    write_dicom_series(sitk.Cast(image + BRIGHTER_HU, sitk.sitkInt16), folder / "P0002" / "dicom", {"KVP": 100})
    first = path.read_text(encoding="utf-8").splitlines()
    second = [line.replace("P0001", "P0002").replace("north,train,0", "south,test,") for line in first[1:]]
    path.write_text("\n".join([*first, *second]) + "\n", encoding="utf-8")
    return path


def truth(folder: Path, patient: str, level: str) -> dict:
    """What is true about a vertebra, and the line that undoes the scanner."""
    document = json.loads((folder / patient / "truth.json").read_text(encoding="utf-8"))
    return document["levels"][level] | {"line": document["calibration"]["CaHA"]}


def write_scan(path: Path, seed: int = 1, shape=(4, 12, 10)) -> Path:
    """A small image of noise."""
    image = sitk.GetImageFromArray(np.random.default_rng(seed).normal(0, 80, shape).astype(np.int16))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def write_table(path: Path, rows: list[dict]) -> Path:
    """A manifest with the columns of the first row."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
