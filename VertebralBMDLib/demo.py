"""``vertebral-bmd demo``: a simulated patient with an in-scan phantom, measured, with the truth beside the result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import SimpleITK as sitk

from .pipeline import Settings
from .report.table import text_table
from .run import measure_to_folder
from .simulation.patient import PatientSpec, simulate_patient
from .simulation.scanner import TYPICAL

#: Drawn once: an older woman near the lower limit, on a scanner that reads 4 % too high.
_DEMO = dict(sex="F", age=68.0, vbmd=92.0, phantom="qrm-bdc3", scanner=replace(TYPICAL, slope_error=0.04), levels=("T10", "S1"))


def write_patient(spec: PatientSpec, folder: Path, dicom: bool = False) -> Path:
    """Simulate a patient and write scan.nii.gz, truth-bodies.nii.gz, truth.json (and dicom/); returns the scan's path."""
    patient = simulate_patient(spec)
    folder.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(patient.image, str(folder / "scan.nii.gz"))
    sitk.WriteImage(patient.bodies, str(folder / "truth-bodies.nii.gz"), useCompression=True)
    (folder / "truth.json").write_text(json.dumps(patient.truth, indent=1) + "\n", encoding="utf-8")
    if dicom:
        from .simulation.dicom import Examination, write_dicom_series

        examination = Examination(
            seed=spec.seed,
            kvp=spec.scanner.kvp,
            kernel=spec.scanner.kernel,
            thickness_mm=spec.scanner.thickness_mm or spec.spacing_mm[2],
            table_height_mm=spec.couch.table_height_mm,
            sex=spec.sex,
            age=spec.age,
        )
        write_dicom_series(patient.image, folder / "dicom", examination.tags(patient.image))
    return folder / "scan.nii.gz"


def run_demo(folder: Path, seed: int) -> int:
    """Simulate, measure and print the table with the truth; returns the exit status of the measurement."""
    print("Simulating a patient with a calibration phantom (no real person; its true density is known) ...", flush=True)
    scan = write_patient(PatientSpec(seed=seed, **_DEMO), folder)
    print("Measuring ...", flush=True)
    status = measure_to_folder(scan, folder, Settings(), lambda stage, fraction: fraction == 0 and print(f"  {stage}", flush=True))
    document = json.loads((folder / "measurement.json").read_text(encoding="utf-8"))
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    print("\n" + text_table(document) + "\n" + truth_table(document, truth))
    print(f"\nPicture: {folder / 'overview.png'}\nReport:  {folder / 'report.html'}\nTable:   {folder / 'measurements.csv'}")
    return status


def truth_table(document: dict, truth: dict) -> str:
    """Measured beside true QCT-equivalent vBMD of each measured vertebra, in the material of the calibration."""
    material = document["calibration"]["material"]
    lines = [f"Against the known truth of this simulated patient (mg/cm³ {material}):", f"{'level':8}{'truth':>9}{'ROI':>9}{'network':>9}"]
    for vertebra in document["vertebrae"]:
        if "vbmd_roi_mg_cm3" in vertebra:
            true = truth["levels"][vertebra["level"]]["qct_equivalent_vbmd_mg_cm3"][material]
            lines.append(f"{vertebra['level']:8}{true:9.1f}{vertebra['vbmd_roi_mg_cm3']:9.1f}{vertebra['vbmd_network_mg_cm3']:9.1f}")
    return "\n".join(lines)
