"""Training crops: one vertebra with its surroundings and a known density, in about 0.1 s."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.simulation.person import draw_person, make_person
from VertebralBMDLib.simulation.scanner import Scanner
from VertebralBMDLib.simulation.shapes import Canvas
from VertebralBMDLib.simulation.spine import rotation


@dataclass(frozen=True)
class CropRanges:
    """What is drawn for a crop: uniform over a pair or a tuple of choices, normal with an SD."""

    vbmd_mg_cm3: tuple[float, float] = (20.0, 260.0)
    levels: tuple[str, ...] = ("T12", "L1", "L2", "L3")
    kvps: tuple[int, ...] = (100, 120, 120, 120, 140)
    kernels: tuple[str, ...] = ("SOFT", "STANDARD", "STANDARD", "LUNG")
    noise_hu: tuple[float, float] = (3.0, 40.0)
    slope_sd: float = 0.05
    intercept_sd_hu: float = 5.0
    age: tuple[float, float] = (30.0, 85.0)
    shift_mm: float = 5.0
    turn_deg: float = 8.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.vbmd_mg_cm3[0] <= self.vbmd_mg_cm3[1] <= 400.0:
            raise ValueError(f"vbmd_mg_cm3 must be an ascending pair within 0-400 mg/cm3, not {self.vbmd_mg_cm3}")


@dataclass(frozen=True)
class SimulatedCrop:
    """hu (float32), body and roi (bool), all (z, y, x) with ascending LPS axes, and the truth."""

    hu: np.ndarray
    body: np.ndarray
    roi: np.ndarray
    truth: dict


def draw_crop(
    rng: np.random.Generator,
    shape: tuple[int, int, int] = (32, 32, 32),
    spacing_mm: float = 2.0,
    ranges: CropRanges = CropRanges(),
) -> SimulatedCrop:
    """One random crop centred near a vertebral body. shape: (z, y, x) voxels."""
    if min(shape) < 1:
        raise ValueError(f"shape must be at least 1 voxel along each axis, not {shape}")
    if not 0.3 <= spacing_mm <= 6.0:
        raise ValueError(f"spacing_mm must be within 0.3-6 mm, not {spacing_mm}")
    level = str(rng.choice(ranges.levels))
    kvp, kernel = int(rng.choice(ranges.kvps)), str(rng.choice(ranges.kernels))
    sex, age = str(rng.choice(["F", "M"])), float(rng.uniform(*ranges.age))
    scanner = Scanner(
        kvp,
        kernel,
        None,
        float(rng.uniform(*ranges.noise_hu)),
        float(np.clip(rng.normal(0.0, ranges.slope_sd), -0.3, 0.3)),
        float(np.clip(rng.normal(0.0, ranges.intercept_sd_hu), -100.0, 100.0)),
    )
    turn = rotation(*np.radians(rng.uniform(-ranges.turn_deg, ranges.turn_deg, 3)))
    seed = np.random.SeedSequence(int(rng.integers(2**63)))
    person = make_person(seed, sex, age, float(rng.uniform(*ranges.vbmd_mg_cm3)), turn)
    center = person.spine.body(level).frame.origin + rng.uniform(-ranges.shift_mm, ranges.shift_mm, 3)
    origin = center - 0.5 * spacing_mm * (np.array(shape[::-1]) - 1)
    grid = scanner.grid(origin, (spacing_mm,) * 3, shape[::-1])
    canvas = Canvas(grid, scanner.beam)
    at = person.spine.index(level)
    draw_person(canvas, person, person.spine.levels[max(at - 2, 0) : at + 3])
    hu = scanner.acquire(canvas.hu, grid.spacing_mm, rng)
    quality = person.quality(level)
    slope = 1.0 / (scanner.beam.hu_per_mg_cm3("CaHA") * (1.0 + scanner.slope_error))
    truth = {
        "level": level,
        "sex": sex,
        "age": age,
        "kvp": kvp,
        "kernel": kernel,
        "noise_hu": scanner.noise_hu,
        "slope_error": scanner.slope_error,
        "intercept_hu": scanner.intercept_hu,
        "vbmd_mg_cm3": quality.vbmd_120,
        "reading_at_kvp_mg_cm3": quality.reading("CaHA", scanner.beam),
        "true_mineral_mg_cm3": quality.mineral,
        "marrow_fat_fraction": quality.fat_fraction,
        "slope_mg_cm3_per_hu": slope,
        "intercept_mg_cm3": -slope * scanner.intercept_hu,
    }
    return SimulatedCrop(np.maximum(hu, -1024.0).astype(np.float32), canvas.bodies == LABELS[level], canvas.rois == LABELS[level], truth)


def simulate_crop(
    rng: np.random.Generator,
    shape: tuple[int, int, int] = (32, 32, 32),
    spacing_mm: float = 2.0,
    ranges: CropRanges = CropRanges(),
) -> tuple[np.ndarray, dict]:
    """(HU float32 (z, y, x), truth) of `draw_crop`.

    `vbmd_mg_cm3` is what an ideally calibrated 120 kV scan reads in the truth ROI, as CaHA; the
    calibration line of this very scan is `reading = slope_mg_cm3_per_hu * HU + intercept_mg_cm3`.
    """
    crop = draw_crop(rng, shape, spacing_mm, ranges)
    return crop.hu, crop.truth
