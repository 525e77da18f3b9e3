"""Crops around one vertebra with a known density: of a given patient, or of a random one for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.simulation.findings import Findings
from VertebralBMDLib.simulation.patient import ideal_line
from VertebralBMDLib.simulation.person import draw_bulk, draw_person
from VertebralBMDLib.simulation.scanner import Scanner
from VertebralBMDLib.simulation.shapes import Canvas
from VertebralBMDLib.simulation.spine import rotation
from VertebralBMDLib.simulation.subject import PatientSpec, Streams, person_of
from VertebralBMDLib.simulation.truth import body_truth


@dataclass(frozen=True)
class SimulatedCrop:
    """hu (float32), body and roi (bool), all (z, y, x) with ascending LPS axes, and the truth."""

    hu: np.ndarray
    body: np.ndarray
    roi: np.ndarray
    truth: dict

    @property
    def vbmd_mg_cm3(self) -> float:
        """What an ideally calibrated 120 kV scan reads in the ROI, as CaHA."""
        return self.truth["roi"]["qct_equivalent_120_kvp_mg_cm3"]["CaHA"]


@dataclass(frozen=True)
class CropRanges:
    """What is drawn for a training crop: uniform over a pair or a tuple of choices, normal with an SD."""

    vbmd_mg_cm3: tuple[float, float] = (20.0, 260.0)
    levels: tuple[str, ...] = ("T12", "L1", "L2", "L3")
    kvps: tuple[int, ...] = (100, 120, 120, 120, 140)
    kernels: tuple[str, ...] = ("SOFT", "STANDARD", "STANDARD", "LUNG")
    noise_hu: tuple[float, float] = (3.0, 40.0)
    slope_sd: float = 0.05
    intercept_sd_hu: float = 5.0
    beam_hardening: tuple[float, float] = (0.0, 0.5)
    scatter: tuple[float, float] = (0.0, 0.02)
    age: tuple[float, float] = (30.0, 85.0)
    degeneration: tuple[float, float] = (0.0, 0.8)
    shift_mm: float = 5.0
    turn_deg: float = 8.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.vbmd_mg_cm3[0] <= self.vbmd_mg_cm3[1] <= 400.0:
            raise ValueError(f"vbmd_mg_cm3 must be an ascending pair within 0-400 mg/cm3, not {self.vbmd_mg_cm3}")


def crop_of(
    spec: PatientSpec,
    level: str,
    shape: tuple[int, int, int] = (32, 32, 32),
    spacing_mm: float = 2.0,
    shift_mm: Sequence[float] = (0.0, 0.0, 0.0),
    turn: np.ndarray | None = None,
) -> SimulatedCrop:
    """A crop of the patient that `simulate_patient(spec)` scans whole; its field and pixels are not those of the spec.

    The beam around it is that of the bulk of the body, without couch, phantom and bowel. shape: (z, y, x) voxels. shift_mm: of the middle of the crop from that of the body. turn: rotation of the spine
    about L1. The truth is `truth.body_truth` with the calibration line of this very scan.
    """
    if min(shape) < 1:
        raise ValueError(f"shape must be at least 1 voxel along each axis, not {shape}")
    if not 0.3 <= spacing_mm <= 6.0:
        raise ValueError(f"spacing_mm must be within 0.3-6 mm, not {spacing_mm}")
    person = person_of(spec, turn)
    center = person.spine.body(level).frame.origin + shift_mm
    origin = center - 0.5 * spacing_mm * (np.array(shape[::-1]) - 1)
    scanner = replace(spec.scanner, thickness_mm=spec.scanner.thickness_mm and None)  # 0 stays off
    grid = scanner.grid(origin, (spacing_mm,) * 3, shape[::-1])
    at = person.spine.index(level)
    canvas = Canvas(grid, scanner.beam)
    draw_person(canvas, person, person.spine.levels[max(at - 2, 0) : at + 3])

    def draw_around(twin: Canvas) -> None:
        draw_bulk(twin, person, person.spine.levels[max(at - 1, 0) : at + 2])

    hu = scanner.acquire(canvas.hu, grid, np.random.default_rng(Streams.of(spec.seed).noise), draw_around)
    truth = {"level": level, "sex": spec.sex, "age": spec.age, "kvp": scanner.kvp, "calibration": ideal_line(scanner, "CaHA")}
    truth |= body_truth(person, level, scanner.beam)
    return SimulatedCrop(np.maximum(hu, -1024.0).astype(np.float32), canvas.bodies == LABELS[level], canvas.rois == LABELS[level], truth)


def draw_crop(
    rng: np.random.Generator,
    shape: tuple[int, int, int] = (32, 32, 32),
    spacing_mm: float = 2.0,
    ranges: CropRanges = CropRanges(),
) -> SimulatedCrop:
    """One random crop centred near a vertebral body. shape: (z, y, x) voxels."""
    level = str(rng.choice(ranges.levels))
    scanner = Scanner(
        int(rng.choice(ranges.kvps)),
        str(rng.choice(ranges.kernels)),
        None,
        noise_hu=float(rng.uniform(*ranges.noise_hu)),
        slope_error=float(np.clip(rng.normal(0.0, ranges.slope_sd), -0.3, 0.3)),
        intercept_hu=float(np.clip(rng.normal(0.0, ranges.intercept_sd_hu), -100.0, 100.0)),
        beam_hardening=float(rng.uniform(*ranges.beam_hardening)),
        scatter=float(rng.uniform(*ranges.scatter)),
    )
    spec = PatientSpec(
        int(rng.integers(2**31)),
        str(rng.choice(["F", "M"])),
        float(rng.uniform(*ranges.age)),
        float(rng.uniform(*ranges.vbmd_mg_cm3)),
        findings=Findings(degeneration=float(rng.uniform(*ranges.degeneration))),
        scanner=scanner,
    )
    turn = rotation(*np.radians(rng.uniform(-ranges.turn_deg, ranges.turn_deg, 3)))
    shift = rng.uniform(-ranges.shift_mm, ranges.shift_mm, 3)
    return crop_of(spec, level, shape, spacing_mm, shift, turn)
