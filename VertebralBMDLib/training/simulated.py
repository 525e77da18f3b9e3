"""Simulated patients as training scans: the same record as the annotated real ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk

from ..anatomy import label_of
from ..simulation.patient import PatientSpec, simulate_patient
from ..simulation.scanner import Scanner
from .annotated import Annotated, annotated

_TOPS, _BOTTOMS = ("T7", "T8", "T9", "T10", "T11", "T12"), ("L2", "L3", "L4", "L5", "S1", "S3")
_PHANTOMS = (None, None, "qrm-bdc3", "b-mas200", "mindways-model3")
_CUT = 100


def simulated_scans(count: int, spacing_mm: float, seed: int) -> Iterator[Annotated]:
    """``count`` simulated patients of varied field, dose, kernel and voltage at ``spacing_mm``; deterministic by ``seed``."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        spec = _a_patient(rng, spacing_mm)
        patient = simulate_patient(spec)
        yield annotated(f"simulated-{index}", patient.image, _with_cut_bodies(patient), spacing_mm)


def _a_patient(rng: np.random.Generator, spacing_mm: float) -> PatientSpec:
    return PatientSpec(
        seed=int(rng.integers(2**31)),
        sex=str(rng.choice(["F", "M"])),
        age=float(rng.uniform(35, 85)),
        vbmd=float(rng.uniform(30, 230)),
        scanner=Scanner(
            kvp=int(rng.choice([80, 100, 120, 120, 140])),
            kernel=str(rng.choice(["SOFT", "STANDARD", "LUNG"])),
            thickness_mm=None,
            noise_hu=float(rng.uniform(5, 40)),
        ),
        spacing_mm=(spacing_mm,) * 3,
        phantom=_PHANTOMS[rng.integers(len(_PHANTOMS))],
        levels=(str(rng.choice(_TOPS)), str(rng.choice(_BOTTOMS))),
    )


def _with_cut_bodies(patient) -> sitk.Image:
    """The label map with +100 on bodies that the field cuts, as in the annotated scans."""
    bodies = sitk.GetArrayFromImage(patient.bodies)
    for level, truth in patient.truth["levels"].items():
        if not truth["complete"]:
            bodies[bodies == label_of(level)] += _CUT
    image = sitk.GetImageFromArray(bodies)
    image.CopyInformation(patient.bodies)
    return image
