"""A simulated cohort on disk: two coarse patients as DICOM with the label maps of their truth, and small scans for manifests."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from VertebralBMDLib.simulation.cohort import Case
from VertebralBMDLib.simulation.files import write_cohort
from VertebralBMDLib.simulation.patient import PatientSpec

FIELDS = dict(spacing_mm=(2.0, 2.0, 3.0), levels=("T11", "L3"))
CASES = (
    Case("P0001", "north", "train", 0, PatientSpec(5, "F", 61.0, 105.0, **FIELDS)),
    Case("P0002", "south", "test", None, PatientSpec(6, "M", 54.0, 150.0, **FIELDS)),
)


def write_two_patients(folder: Path) -> Path:
    """Their DICOM series, truth and manifest; returns the path of cohort.csv."""
    return write_cohort(CASES, folder, dicom=True)


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
