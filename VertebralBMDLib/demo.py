"""``vertebral-bmd demo``: a simulated patient with an in-scan phantom, measured, with the truth beside the result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from .report.table import text_table
from .run import measure_to_folder
from .settings import Settings
from .simulation.files import write_case
from .simulation.patient import PatientSpec, simulate_patient
from .simulation.scanner import PHYSICS, TYPICAL

#: Drawn once: an older woman near the lower limit, on a scanner that reads 4 % too high, with hardening and scatter.
_DEMO = dict(sex="F", age=68.0, vbmd=92.0, phantom="qrm-bdc3", scanner=replace(TYPICAL, slope_error=0.04, **PHYSICS), levels=("T10", "S1"))


def run_demo(folder: Path, seed: int) -> int:
    """Simulate, measure and print the table with the truth; returns the exit status of the measurement."""
    print("Simulating a patient with a calibration phantom (no real person; its true density is known) ...", flush=True)
    scan = write_case(simulate_patient(PatientSpec(seed=seed, **_DEMO)), folder)
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
            true = truth["levels"][vertebra["level"]]["roi"]["qct_equivalent_mg_cm3"][material]
            lines.append(f"{vertebra['level']:8}{true:9.1f}{vertebra['vbmd_roi_mg_cm3']:9.1f}{vertebra['vbmd_network_mg_cm3']:9.1f}")
    return "\n".join(lines)
