"""Pieces of a scan around one vertebra with a known density, without the cost of the whole scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.simulation.patient import ideal_line
from VertebralBMDLib.simulation.person import Person, draw_bulk, draw_person
from VertebralBMDLib.simulation.projection import Draw
from VertebralBMDLib.simulation.scanner import Scanner
from VertebralBMDLib.simulation.shapes import Canvas, Grid
from VertebralBMDLib.simulation.subject import PatientSpec, Streams, make_subject, person_of
from VertebralBMDLib.simulation.truth import body_truth


@dataclass(frozen=True)
class SimulatedCrop:
    """hu (float32), body and roi (bool), all (z, y, x) on `grid` with ascending LPS axes, and the truth."""

    grid: Grid
    hu: np.ndarray
    body: np.ndarray
    roi: np.ndarray
    truth: dict

    @property
    def vbmd_mg_cm3(self) -> float | None:
        """What an ideally calibrated 120 kV scan reads in the ROI, as CaHA; None where lesions leave no ROI."""
        reading = self.truth["roi"]["qct_equivalent_120_kvp_mg_cm3"]
        return None if reading is None else reading["CaHA"]


def crop_of(
    spec: PatientSpec,
    level: str,
    shape: tuple[int, int, int] = (32, 32, 32),
    spacing_mm: float = 2.0,
) -> SimulatedCrop:
    """A crop of the patient that `simulate_patient(spec)` scans whole; its field and pixels are not those of the spec.

    The beam around it is roughly that of the bulk of the body, without couch, phantom and bowel. shape: (z, y, x) voxels. The truth is
    `truth.body_truth` with the calibration line of this very scan.
    """
    if min(shape) < 1:
        raise ValueError(f"shape must be at least 1 voxel along each axis, not {shape}")
    if not 0.3 <= spacing_mm <= 6.0:
        raise ValueError(f"spacing_mm must be within 0.3-6 mm, not {spacing_mm}")
    person = person_of(spec)
    scanner = replace(spec.scanner, thickness_mm=spec.scanner.thickness_mm and None)  # 0 stays off
    grid = _grid_around(scanner, person.spine.body(level).frame.origin, (spacing_mm,) * 3, shape[::-1])
    at = person.spine.index(level)

    def draw_around(twin: Canvas) -> None:
        draw_bulk(twin, person, person.spine.levels[max(at - 1, 0) : at + 2])

    return _acquired(spec, person, level, scanner, grid, draw_around, rough=True)


def scan_piece(spec: PatientSpec, level: str, extent_mm: Sequence[float]) -> SimulatedCrop:
    """The piece of the patient's own scan around a level: its pixels, slices and slice profile, at a random place of its lattice, and
    the beam of everything that is in the scanner.

    extent_mm: (x, y, z) that it covers at least, centred on the body to half a voxel.
    """
    if min(extent_mm) <= 0:
        raise ValueError(f"extent_mm must be above 0 along each axis, not {tuple(extent_mm)}")
    subject = make_subject(spec)
    person = subject.person
    spacing = np.array(spec.spacing_mm)
    size = np.ceil(np.asarray(extent_mm) / spacing).astype(int) + 2
    phase = np.random.default_rng(Streams.of(spec.seed).field).uniform(-0.5, 0.5, 3) * spacing
    grid = _grid_around(spec.scanner, person.spine.body(level).frame.origin + phase, spacing, size)
    return _acquired(spec, person, level, spec.scanner, grid, subject.draw)


def _grid_around(scanner: Scanner, middle: np.ndarray, spacing_mm: Sequence[float], size: Sequence[int]) -> Grid:
    spacing = np.asarray(spacing_mm, dtype=float)
    return scanner.grid(middle - 0.5 * spacing * (np.array(size) - 1), spacing, size)


def _acquired(
    spec: PatientSpec, person: Person, level: str, scanner: Scanner, grid: Grid, draw_around: Draw, rough: bool = False
) -> SimulatedCrop:
    at = person.spine.index(level)
    canvas = Canvas(grid, scanner.beam)
    draw_person(canvas, person, person.spine.levels[max(at - 2, 0) : at + 3])
    hu = scanner.acquire(canvas.hu, grid, np.random.default_rng(Streams.of(spec.seed).noise), draw_around, rough)
    truth = {"level": level, "sex": spec.sex, "age": spec.age, "kvp": scanner.kvp, "calibration": ideal_line(scanner, "CaHA")}
    truth |= body_truth(person, level, scanner.beam)
    hu = np.maximum(hu, -1024.0).astype(np.float32)
    return SimulatedCrop(grid, hu, canvas.bodies == LABELS[level], canvas.rois == LABELS[level], truth)
