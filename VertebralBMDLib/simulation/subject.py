"""What lies in the scanner: a person as specified, on the couch, with the phantom. `PatientSpec` says all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np

from VertebralBMDLib.calibration.catalogue import Phantom, load_phantom
from VertebralBMDLib.simulation.contrast import Contrast
from VertebralBMDLib.simulation.couch import Couch
from VertebralBMDLib.simulation.dicom import Examination
from VertebralBMDLib.simulation.findings import Findings
from VertebralBMDLib.simulation.person import Person, draw_bulk, draw_outside, draw_person, make_person
from VertebralBMDLib.simulation.scanner import TYPICAL, Scanner
from VertebralBMDLib.simulation.shapes import Canvas, Grid
from VertebralBMDLib.simulation.spine import LEVELS, Sex
from VertebralBMDLib.simulation.support import Back, Mounting, Support, lay, plain_mounting

SACRAL = ("S1", "S2", "S3", "S4", "S5")
BOTTOMS = (*LEVELS[LEVELS.index("T10") :], *SACRAL)
TOPS = LEVELS[: LEVELS.index("L1") + 1]
_ORDER = (*LEVELS, *SACRAL)
SPARE_MM = 5.0  # of the field above and below the levels asked for
BELOW_BACK_MM = {True: 80.0, False: 50.0}  # of the field, for couch with and without a phantom


@dataclass(frozen=True)
class PatientSpec:
    """One simulated examination; fields are checked and a ValueError names the wrong one.

    vbmd: QCT-equivalent mg/cm3 CaHA of L1 at 120 kVp, None draws it from the age and sex curve. findings: what is
    unusual. spacing_mm, size: x, y, z spacing and in-plane matrix (None fits body and couch). levels: uppermost and
    lowest level in the field, counted in the usual column. phantom: catalogue name, JSON path or None; mounting: how
    it lies, None for a level slab.
    """

    seed: int
    sex: Sex = "F"
    age: float = 60.0
    vbmd: float | None = None
    findings: Findings = Findings()
    contrast: Contrast = "none"
    oral_contrast: bool = False
    levels: tuple[str, str] = ("T9", "S1")
    spacing_mm: tuple[float, float, float] = (0.8, 0.8, 2.5)
    size: tuple[int, int] | None = None
    phantom: str | None = None
    mounting: Mounting | None = None
    couch: Couch = Couch()
    scanner: Scanner = TYPICAL
    scanner_id: str = "SIM-1"

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, not {self.seed}")
        if self.sex not in get_args(Sex):
            raise ValueError(f"sex must be F or M, not {self.sex!r}")
        if not 18.0 <= self.age <= 100.0:
            raise ValueError(f"age must be within 18-100 years, not {self.age}")
        if self.vbmd is not None and not 0.0 <= self.vbmd <= 400.0:
            raise ValueError(f"vbmd must be within 0-400 mg/cm3, not {self.vbmd}")
        if self.contrast not in get_args(Contrast):
            raise ValueError(f"contrast must be one of {', '.join(get_args(Contrast))}, not {self.contrast!r}")
        if not all(0.3 <= s <= 6.0 for s in self.spacing_mm):
            raise ValueError(f"spacing_mm must be within 0.3-6 mm, not {self.spacing_mm}")
        if self.size is not None and not all(1 <= n <= 2048 for n in self.size):
            raise ValueError(f"size must be within 1-2048 pixels, not {self.size}")
        if self.levels[0] not in TOPS or self.levels[1] not in BOTTOMS or _ORDER.index(self.levels[0]) > _ORDER.index(self.levels[1]):
            raise ValueError(f"levels must run from one of {', '.join(TOPS)} down to one of {', '.join(BOTTOMS)}, not {self.levels}")

    @property
    def examination(self) -> Examination:
        """What a DICOM header says about the scan."""
        return Examination.of(self, sex=self.sex, age=self.age, contrast=self.contrast)


@dataclass(frozen=True)
class Subject:
    """A person, and what carries it; `draw` shows both on any canvas."""

    person: Person
    support: Support
    phantom: Phantom | None

    def draw(self, canvas: Canvas) -> None:
        """Paint everything."""
        draw_person(canvas, self.person)
        self.support.paint(canvas)

    def draw_bulk(self, canvas: Canvas) -> None:
        """Paint what weighs on the beam, for the coarse twin of a coarse field."""
        draw_bulk(canvas, self.person, self.person.spine.levels)
        self.support.paint(canvas)


@dataclass(frozen=True)
class Streams:
    """Independent seeds of one examination."""

    person: np.random.SeedSequence
    noise: np.random.SeedSequence
    table: np.random.SeedSequence
    field: np.random.SeedSequence

    @classmethod
    def of(cls, seed: int) -> Streams:
        return cls(*np.random.SeedSequence(seed).spawn(4))


def person_of(spec: PatientSpec) -> Person:
    """The person of an examination."""
    seed = Streams.of(spec.seed).person
    return make_person(seed, spec.sex, spec.age, spec.vbmd, spec.findings, spec.contrast, spec.oral_contrast)


def make_subject(spec: PatientSpec) -> Subject:
    """The subject of an examination."""
    person = person_of(spec)
    phantom = load_phantom(spec.phantom) if spec.phantom else None
    mounting = spec.mounting
    if phantom is not None and mounting is None:
        mounting = plain_mounting(np.random.default_rng(Streams.of(spec.seed).table), phantom)
    return Subject(person, lay(spec.couch, Back.of(lambda canvas: draw_outside(canvas, person)), phantom, mounting), phantom)


def field_of_view(spec: PatientSpec, subject: Subject) -> Grid:
    """Grid of the scan: levels in z, body and couch (or the asked matrix) in the plane."""
    spine = subject.person.spine
    top = spine.landmark(spec.levels[0])
    high = top.frame.origin[2] + 0.5 * top.height + SPARE_MM
    low = _bottom_z(subject.person, spec.levels[1]) - SPARE_MM
    sx, sy, sz = spec.spacing_mm
    near, far = subject.person.trunk.extent()
    far = far + [0.0, BELOW_BACK_MM[subject.phantom is not None]]
    nx, ny = spec.size or (int(np.ceil((far[0] - near[0] + 30.0) / sx)), int(np.ceil((far[1] - near[1] + 15.0) / sy)))
    rng = np.random.default_rng(Streams.of(spec.seed).field)
    center = 0.5 * (near + far) + rng.uniform(-8.0, 8.0, 2)
    origin = (center[0] - 0.5 * (nx - 1) * sx, center[1] - 0.5 * (ny - 1) * sy, low)
    nz = int(np.ceil((high - low) / sz)) + 1
    return spec.scanner.grid(origin, spec.spacing_mm, (nx, ny, nz))


def _bottom_z(person: Person, level: str) -> float:
    """z of the lower edge of a level."""
    if level in SACRAL:
        return float(person.spine.sacrum.segments[SACRAL.index(level)].bounds[0][2])
    body = person.spine.landmark(level)
    return float(body.frame.origin[2] - 0.5 * body.height)
