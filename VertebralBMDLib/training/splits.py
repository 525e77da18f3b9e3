"""Which patients of a cohort are for the locked test and which for each fold: drawn once, and kept in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..diagnosis import load_thresholds
from ..simulation.cohort import PAPER_CASES, PAPER_TEST, stratified_split
from .manifest import Manifest
from .manifest_rows import FOLDS, Row

#: What stands for the locked test where folds have numbers.
TEST = -1
_FEWEST = 2 * FOLDS


@dataclass(frozen=True)
class CohortSplit:
    """``folds``: by patient 0 to 4, or ``TEST``."""

    folds: Mapping[str, int]

    def of(self, patient: np.ndarray) -> np.ndarray:
        """The fold of each row by its patient, shape (n,): 0 to 4 for training and selection, -1 for the locked test."""
        return np.array([self.folds[each] for each in patient.tolist()], dtype=int)


def split_of(manifest: Manifest, path: Path, seed: int) -> CohortSplit:
    """The split that ``path`` holds (JSON); where there is none it is made of the manifest's columns split and fold, or drawn by
    ``seed``, and written there once.

    A fifth of the patients (the paper's 150 of 749) is for the locked test, the others for five folds, each stratum of sex and
    category (mean reference by the ACR's limits) dealt out evenly; a patient is in one part only.
    Raises ValueError for fewer than ten patients, and where ``path`` was drawn for other patients, another seed or other columns.
    """
    patients = _patients(manifest)
    wanted = {"seed": seed, "patients": sorted(patients), "given": _given(manifest)}
    if path.exists():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if {key: stored[key] for key in wanted} != wanted:
            raise ValueError(
                f"{path.name} was drawn for another cohort, seed or columns split and fold. Give another --output; a locked test that is to "
                "stay locked goes into the manifest's column split."
            )
        return CohortSplit(stored["folds"])
    if len(patients) < _FEWEST:
        raise ValueError(f"manifest {manifest.name} has {len(patients)} patients; {_FEWEST} are needed for five folds and a locked test")
    folds = _drawn(patients, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(wanted | {"folds": folds}, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
    return CohortSplit(folds)


def _patients(manifest: Manifest) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in manifest.rows:
        found.setdefault(row.patient, []).append(row)
    return found


def _given(manifest: Manifest) -> dict[str, list]:
    """What the manifest says about each patient's split; empty where it leaves it to be drawn."""
    return {row.patient: [row.split, row.fold] for row in manifest.rows if row.split is not None}


def _drawn(patients: Mapping[str, list[Row]], seed: int) -> dict[str, int]:
    """The given parts, and what is not given drawn."""
    names = sorted(patients)
    given = {name: patients[name][0] for name in names if patients[name][0].split is not None}
    folds = {name: TEST if row.split == "test" else row.fold for name, row in given.items()}
    free = [name for name in names if folds.get(name) is None]
    share = 0.0 if given else PAPER_TEST / PAPER_CASES
    acr = load_thresholds("acr")
    strata = [(patients[name][0].sex, acr.band(float(np.mean([row.vbmd for row in patients[name]]))).label) for name in free]
    _splits, drawn = stratified_split(np.random.default_rng(seed), strata, share)
    return folds | {name: TEST if fold is None else fold for name, fold in zip(free, drawn)}
