"""Simulated cases as files: scan, label maps and truth of one, and whole cohorts that resume where they stopped."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import SimpleITK as sitk

from VertebralBMDLib.simulation.cohort import Case, at_low_resolution
from VertebralBMDLib.simulation.crops import crop_of
from VertebralBMDLib.simulation.dicom import Examination, write_dicom_series
from VertebralBMDLib.simulation.patient import SimulatedPatient, simulate_patient
from VertebralBMDLib.simulation.phantom_scan import PhantomScan

Kind = Literal["scans", "fields", "crops"]
TRUTH = "truth.json"  # written last: a case that has it is complete
CROP_LEVELS = ("L1", "L2")
CROP_SIZE, CROP_SPACING_MM = 38, 2.0  # the density network's 32 with room to shift


def write_case(patient: SimulatedPatient | PhantomScan, folder: Path, examination: Examination | None = None) -> Path:
    """Write scan.nii.gz, its truth label maps and truth.json, and with `examination` dicom/; returns the path of the scan.

    truth-bodies: VerSe numbers. truth-roi: the ROI of the true density. truth-structures, truth-findings:
    see `SimulatedPatient` (a phantom scan has neither).
    """
    folder.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(patient.image, str(folder / "scan.nii.gz"))
    for name, maps in (("bodies", "bodies"), ("roi", "rois"), ("structures", "structures"), ("findings", "findings")):
        if hasattr(patient, maps):
            sitk.WriteImage(getattr(patient, maps), str(folder / f"truth-{name}.nii.gz"), useCompression=True)
    if examination is not None:
        write_dicom_series(patient.image, folder / "dicom", examination.tags(patient.image))
    (folder / TRUTH).write_text(json.dumps(patient.truth, indent=1) + "\n", encoding="utf-8")
    return folder / "scan.nii.gz"


def write_cohort(
    cases: Sequence[Case],
    folder: Path,
    kind: Kind = "scans",
    dicom: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Simulate the cases that ``folder`` does not hold yet; returns the manifest cohort.csv (a row per vertebra).

    kind: "scans" as drawn, "fields" the whole body at 3 mm, "crops" 38^3 voxels of 2 mm around L1 and L2 (crops.npz).
    A case is written beside its place and moved there when whole, so nothing half-made survives a kill. One run at a
    time for each folder.
    ValueError when ``folder`` holds another cohort or kind.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, not {kind!r}")
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    folder.mkdir(parents=True, exist_ok=True)
    _keep_apart(folder, cases, kind, dicom)
    for half_made in folder.glob("*.part-*"):  # by a run that was killed
        shutil.rmtree(half_made)
    missing = [case for case in cases if not (folder / case.id / TRUTH).exists()]
    done = len(cases) - len(missing)
    progress(done, len(cases))
    for _ in _made(missing, folder, kind, dicom, workers):
        done += 1
        progress(done, len(cases))
    return _write_manifest(cases, folder)


def _keep_apart(folder: Path, cases: Sequence[Case], kind: Kind, dicom: bool) -> None:
    """Cases of two cohorts in one folder would pass for one."""
    path = folder / "cohort.json"
    plan = json.loads(json.dumps({"kind": kind, "dicom": dicom, "cases": [asdict(case) for case in cases]}))
    if not path.exists():
        path.write_text(json.dumps(plan) + "\n", encoding="utf-8")
    elif json.loads(path.read_text(encoding="utf-8")) != plan:
        raise ValueError(f"output {folder} holds another cohort (other seed, cases, protocol or kind); choose an empty folder")


def _made(cases: Sequence[Case], folder: Path, kind: Kind, dicom: bool, workers: int) -> Iterator[str]:
    if workers == 1 or len(cases) < 2:
        for case in cases:
            yield _make(case, folder, kind, dicom)
        return
    with ProcessPoolExecutor(min(workers, len(cases)), mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(_make, case, folder, kind, dicom) for case in cases]):
            yield future.result()


def _make(case: Case, folder: Path, kind: Kind, dicom: bool) -> str:
    part = folder / f"{case.id}.part-{os.getpid()}"
    shutil.rmtree(part, ignore_errors=True)
    if kind == "crops":
        _write_crops(case, part)
    else:
        spec = case.spec if kind == "scans" else at_low_resolution(case.spec)
        write_case(simulate_patient(spec), part, spec.examination if dicom else None)
    shutil.rmtree(folder / case.id, ignore_errors=True)
    part.rename(folder / case.id)
    return case.id


def _write_crops(case: Case, folder: Path) -> None:
    folder.mkdir(parents=True)
    crops = {level: crop_of(case.spec, level, (CROP_SIZE,) * 3, CROP_SPACING_MM) for level in CROP_LEVELS}
    np.savez_compressed(
        folder / "crops.npz",
        hu=np.stack([np.rint(crop.hu).astype(np.int16) for crop in crops.values()]),
        body=np.stack([crop.body for crop in crops.values()]),
        roi=np.stack([crop.roi for crop in crops.values()]),
    )
    truth = {"spec": asdict(case.spec), "spacing_mm": CROP_SPACING_MM, "levels": {level: crop.truth for level, crop in crops.items()}}
    (folder / TRUTH).write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


def _write_manifest(cases: Sequence[Case], folder: Path) -> Path:
    """A row per complete lumbar vertebra or crop, as training and evaluation read it."""
    rows = []
    for case in cases:
        truth = json.loads((folder / case.id / TRUTH).read_text(encoding="utf-8"))
        scan = next(name for name in ("dicom", "scan.nii.gz", "crops.npz") if (folder / case.id / name).exists())
        for level, of in truth["levels"].items():
            if level in CROP_LEVELS and of.get("complete", True):
                density = of["roi"]["qct_equivalent_120_kvp_mg_cm3"]
                if density is None:  # lesions leave no ROI
                    continue
                rows.append(
                    {
                        "patient": case.id,
                        "scan": f"{case.id}/{scan}",
                        "level": level,
                        "reference_vbmd_mg_cm3_CaHA": round(density["CaHA"], 3),
                        "reference_vbmd_mg_cm3_K2HPO4": round(density["K2HPO4"], 3),
                        "age": case.spec.age,
                        "sex": case.spec.sex,
                        "site": case.site,
                        "split": case.split,
                        "fold": "" if case.fold is None else case.fold,
                    }
                )
    path = folder / "cohort.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["patient"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path
