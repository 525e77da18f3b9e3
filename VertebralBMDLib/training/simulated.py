"""Simulated patients as training scans: the same record as the annotated real ones."""

from __future__ import annotations

import logging
from concurrent.futures import as_completed
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..anatomy import label_of
from ..network.segmentation import LOCALISE_SPACING_MM, REFINE_SPACING_MM
from ..simulation.cohort import Case, draw_cohort
from ..simulation.patient import simulate_patient
from .annotated import Annotated, annotated, centres_of
from .workers import simulating_pool

#: Of the two networks that are trained on these patients.
SPACINGS_MM = (LOCALISE_SPACING_MM, REFINE_SPACING_MM)
_CUT = 100
#: Of the finer grid only the surroundings of the column are kept.
_AROUND_MM = 60.0


def simulated_scans(count: int, spacing_mm: float, seed: int, cache: Path) -> list[Annotated]:
    """``count`` simulated patients of many sites, findings and fields ("varied" of ``draw_cohort``), scanned at the resolution of
    their site and resampled to ``spacing_mm``, one of ``SPACINGS_MM``; deterministic by ``seed``.

    Each is kept in ``cache`` at every one of these as soon as it is made, so that an interrupted run goes on where it was.
    """
    cache.mkdir(parents=True, exist_ok=True)
    cases = draw_cohort(seed, count, "varied") if count else ()
    paths = {case.id: {s: cache / f"simulated-{seed}-{count}-{case.id}-{s:g}mm.npz" for s in SPACINGS_MM} for case in cases}
    missing = [case for case in cases if not all(path.exists() for path in paths[case.id].values())]
    with simulating_pool() as pool:
        waiting = [pool.submit(_make, case, paths[case.id]) for case in missing]
        for done, finished in enumerate(as_completed(waiting), start=1):
            finished.result()
            logging.getLogger(__name__).info("simulated %d of %d patients", done, len(missing))
    return [_load(paths[case.id][spacing_mm]) for case in cases]


def _make(case: Case, paths: dict[float, Path]) -> None:
    patient = simulate_patient(case.spec)
    bodies = _with_cut_bodies(patient)
    ribbed = [truth["label"] for truth in patient.truth["levels"].values() if truth["rib_pair"] != "none"]
    for spacing, path in paths.items():
        scan = annotated(case.id, patient.image, bodies, spacing, patient.structures)
        box = _around(scan.labels, _AROUND_MM / spacing) if spacing == min(SPACINGS_MM) else ...
        temporary = path.with_suffix(".part.npz")
        np.savez_compressed(temporary, hu=scan.hu[box], labels=scan.labels[box], structures=scan.structures[box], ribbed=ribbed)
        temporary.replace(path)


def _around(labels: np.ndarray, margin: float) -> tuple[slice, ...]:
    found = np.argwhere(labels > 0)
    low, high = found.min(axis=0) - margin, found.max(axis=0) + margin + 1
    return tuple(slice(max(0, int(a)), int(b)) for a, b in zip(low, high))


def _load(path: Path) -> Annotated:
    with np.load(path) as stored:
        hu, labels, structures, ribbed = (stored[key] for key in ("hu", "labels", "structures", "ribbed"))
    return Annotated(path.stem, hu, labels, structures, centres_of(labels), frozenset(ribbed.tolist()))


def _with_cut_bodies(patient) -> sitk.Image:
    """The label map with +100 on bodies that the field cuts, as in the annotated scans."""
    bodies = sitk.GetArrayFromImage(patient.bodies)
    for level, truth in patient.truth["levels"].items():
        if not truth["complete"]:
            bodies[bodies == label_of(level)] += _CUT
    image = sitk.GetImageFromArray(bodies)
    image.CopyInformation(patient.bodies)
    return image
