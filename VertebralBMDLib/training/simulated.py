"""Simulated patients as training scans: the same record as the annotated real ones."""

from __future__ import annotations

from collections.abc import Iterator

import SimpleITK as sitk

from ..anatomy import label_of
from ..simulation.cohort import at_low_resolution, draw_cohort
from ..simulation.patient import simulate_patient
from .annotated import Annotated, annotated

_CUT = 100


def simulated_scans(count: int, spacing_mm: float, seed: int) -> Iterator[Annotated]:
    """``count`` simulated patients of many sites, findings and fields at ``spacing_mm``; deterministic by ``seed``."""
    for case in draw_cohort(seed, count, "varied") if count else ():
        patient = simulate_patient(at_low_resolution(case.spec, spacing_mm))
        yield annotated(f"simulated-{case.id}", patient.image, _with_cut_bodies(patient), spacing_mm)


def _with_cut_bodies(patient) -> sitk.Image:
    """The label map with +100 on bodies that the field cuts, as in the annotated scans."""
    bodies = sitk.GetArrayFromImage(patient.bodies)
    for level, truth in patient.truth["levels"].items():
        if not truth["complete"]:
            bodies[bodies == label_of(level)] += _CUT
    image = sitk.GetImageFromArray(bodies)
    image.CopyInformation(patient.bodies)
    return image
