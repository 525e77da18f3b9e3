"""Cohorts of simulated patients: who they are, how they were scanned, and who is held back for the test.

Everything follows from the seed and the number of the case, so a cohort can be made in parts, by several
processes and again. `files.write_cohort` simulates and writes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from scipy import stats

from VertebralBMDLib.calibration.catalogue import load_phantom
from VertebralBMDLib.diagnosis import load_thresholds
from VertebralBMDLib.simulation.contrast import Contrast
from VertebralBMDLib.simulation.couch import draw_couch
from VertebralBMDLib.simulation.findings import draw_findings
from VertebralBMDLib.simulation.kernels import KERNELS
from VertebralBMDLib.simulation.noise import noise_for_dose
from VertebralBMDLib.simulation.population import VBMD_SD, expected_vbmd
from VertebralBMDLib.simulation.scanner import Scanner, in_plane_spacing
from VertebralBMDLib.simulation.subject import PatientSpec
from VertebralBMDLib.simulation.support import draw_mounting

Protocol = Literal["paper", "varied"]
Split = Literal["train", "test"]
FOLDS = 5
MATRIX = 512

# The paper: 749 patients, 462 men, 56 +- 9 years within 35-82, 150 held back.
PAPER_CASES, PAPER_MEN, PAPER_TEST = 749, 462, 150
_AGE_MEAN, _AGE_SD, _AGE_RANGE = 56.0, 9.0, (35.0, 82.0)
_METASTATIC_SHARE = 0.95  # of the curve's density; gives 10-15 % below 80 mg/cm3 as the paper implies
_LOWEST_VBMD = 15.0
# Spread between scanners of different models, within one model, and of the intercept (qct_facts 5.12).
_MODEL_SD, _WITHIN_MODEL_SD, _INTERCEPT_SD_HU = 0.05, 0.014, 5.0
_VARIED_PHANTOMS = (None, None, "mindways-model3", "qrm-bdc3", "qrm-bdc6", "b-mas200", "image-analysis-qct3d-plus", "intable")


@dataclass(frozen=True)
class Case:
    """One patient of a cohort; ``fold`` (0-4) is for cross-validation inside the training part, None in the test part."""

    id: str
    site: str
    split: Split
    fold: int | None
    spec: PatientSpec


def draw_cohort(seed: int, cases: int = PAPER_CASES, protocol: Protocol = "paper", scanners: int | None = None) -> tuple[Case, ...]:
    """A cohort of the paper's population, split by patient within sex and category.

    protocol: "paper" scans everyone as the paper did (lung apex to L2, 120 kV, LUNG, 1.25 mm, two scanners);
    "varied" draws site, voltage, kernel, slices, field, contrast and phantom. scanners: the seed of the cohort on whose scanners
    these patients lie, its own by default. ValueError names what is wrong.
    """
    if seed < 0:
        raise ValueError(f"seed must be at least 0, not {seed}")
    if not 1 <= cases <= 100_000:
        raise ValueError(f"cases must be within 1-100000, not {cases}")
    if protocol not in get_args(Protocol):
        raise ValueError(f"protocol must be one of {', '.join(get_args(Protocol))}, not {protocol!r}")
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0]))
    sexes = rng.permutation(np.where(np.arange(cases) < round(cases * PAPER_MEN / PAPER_CASES), "M", "F"))
    low, high = ((limit - _AGE_MEAN) / _AGE_SD for limit in _AGE_RANGE)
    ages = stats.truncnorm.rvs(low, high, _AGE_MEAN, _AGE_SD, cases, random_state=rng)
    means = np.array([_METASTATIC_SHARE * expected_vbmd(sex, age) for sex, age in zip(sexes, ages)])
    densities = np.maximum(rng.normal(means, VBMD_SD), _LOWEST_VBMD)
    acr = load_thresholds("acr")
    splits, folds = stratified_split(rng, [(sex, acr.band(vbmd).label) for sex, vbmd in zip(sexes, densities)])
    drawn = []
    for i in range(cases):
        person = dict(seed=int(rng.integers(2**31)), sex=str(sexes[i]), age=round(float(ages[i]), 1), vbmd=float(densities[i]))
        own = np.random.default_rng(np.random.SeedSequence([seed, 1, i]))
        site, spec = (_as_in_the_paper if protocol == "paper" else _at_some_site)(own, person, seed if scanners is None else scanners)
        drawn.append(Case(f"P{i + 1:04d}", site, splits[i], folds[i], spec))
    return tuple(drawn)


def at_low_resolution(spec: PatientSpec, spacing_mm: float = 3.0) -> PatientSpec:
    """The same patient on a coarse isotropic grid over the whole body, for training the localisation."""
    return replace(spec, spacing_mm=(spacing_mm,) * 3, size=None, scanner=replace(spec.scanner, thickness_mm=None, circular_fov=False))


def stratified_split(
    rng: np.random.Generator, strata: Sequence[tuple], test_share: float = PAPER_TEST / PAPER_CASES
) -> tuple[list[Split], list[int | None]]:
    """Every fifth of each stratum for the test (150 of 749), the others dealt out to the folds."""
    held_back = round(len(strata) * test_share)
    shuffled = rng.permutation(len(strata))
    in_strata = sorted(shuffled, key=lambda i: strata[i])
    test = set(np.array(in_strata)[np.floor((np.arange(held_back) + 0.5) * len(strata) / max(held_back, 1)).astype(int)].tolist())
    fold = {i: k % FOLDS for k, i in enumerate(i for i in in_strata if i not in test)}
    return ["test" if i in test else "train" for i in range(len(strata))], [fold.get(i) for i in range(len(strata))]


def _scanner_of(seed: int, model: int, unit: int) -> tuple[float, float]:
    """(slope error, intercept in HU) of one scanner: its model's and its own."""
    shared, own = (np.random.default_rng(np.random.SeedSequence([seed, 2, *which])) for which in ((model,), (model, unit)))
    slope = shared.normal(0.0, _MODEL_SD) + own.normal(0.0, _WITHIN_MODEL_SD)
    return float(np.clip(slope, -0.25, 0.25)), float(np.clip(shared.normal(0.0, _INTERCEPT_SD_HU), -20.0, 20.0))


def _physics(rng: np.random.Generator) -> dict[str, float]:
    """What every real scan has beyond an ideal one."""
    return dict(
        beam_hardening=float(rng.uniform(0.0, 0.4)),
        scatter=float(rng.uniform(0.0, 0.01)),
        off_centre_mm=(float(rng.normal(0.0, 8.0)), float(rng.normal(0.0, 15.0))),
        metal=0.6,
        drift_hu=float(rng.normal(0.0, 1.0)),
        motion_mm=float(rng.exponential(0.4)),
    )


def _as_in_the_paper(rng: np.random.Generator, person: dict, seed: int) -> tuple[str, PatientSpec]:
    hospital = int(rng.integers(2))
    slope, intercept = _scanner_of(seed, 0, hospital)
    noise = noise_for_dose(float(rng.uniform(6.0, 14.0)), 120, "LUNG", 1.25, float(rng.normal(310.0, 25.0)))
    scanner = Scanner(120, "LUNG", 1.25, noise_hu=min(noise, 150.0), slope_error=slope, intercept_hu=intercept, **_physics(rng))
    spec = PatientSpec(
        **person,
        findings=draw_findings(rng, person["sex"], person["age"], person["vbmd"], "metastatic"),
        levels=("T1", "L2"),
        spacing_mm=(*[in_plane_spacing(float(rng.uniform(360.0, 430.0)), MATRIX)] * 2, 1.25),
        size=(MATRIX, MATRIX),
        scanner=scanner,
    )
    return f"hospital-{hospital + 1}", spec


def _at_some_site(rng: np.random.Generator, person: dict, seed: int) -> tuple[str, PatientSpec]:
    site = int(rng.integers(8))
    slope, intercept = _scanner_of(seed, site // 2, site)
    kvp, kernel = int(rng.choice([80, 100, 120, 120, 120, 140])), str(rng.choice([name for name in KERNELS if name != "NONE"]))
    thickness = float(rng.choice([0.625, 1.0, 1.25, 2.0, 2.5, 3.0, 5.0]))
    noise = noise_for_dose(float(rng.uniform(2.0, 15.0)), kvp, kernel, thickness, float(rng.normal(310.0, 25.0)))
    scanner = Scanner(kvp, kernel, thickness, noise_hu=min(noise, 150.0), slope_error=slope, intercept_hu=intercept, **_physics(rng))
    phantom = _VARIED_PHANTOMS[rng.integers(len(_VARIED_PHANTOMS))]
    contrast: Contrast = str(rng.choice(["none", "none", "none", "arterial", "portal"]))
    spec = PatientSpec(
        **person,
        findings=draw_findings(rng, person["sex"], person["age"], person["vbmd"], "general"),
        contrast=contrast,
        phantom=phantom,
        mounting=None if phantom is None else draw_mounting(rng, load_phantom(phantom)),
        couch=draw_couch(rng),
        levels=(str(rng.choice(["T1", "T6", "T8", "T10", "T11"])), str(rng.choice(["L2", "L3", "L5", "S1", "S3", "S5"]))),
        spacing_mm=(*[in_plane_spacing(float(rng.uniform(380.0, 500.0)), MATRIX)] * 2, thickness * float(rng.choice([0.8, 1.0, 1.0]))),
        size=(MATRIX, MATRIX),
        scanner=scanner,
    )
    return f"site-{site + 1}", spec
