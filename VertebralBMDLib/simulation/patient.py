"""A whole simulated CT with its truth: `simulate_patient(PatientSpec(seed=1))`.

Truth is written from the material map, never from the noisy image: the density of a body is the
mean over its truth ROI (see `trabecular`), as an ideally calibrated scan at that energy reads it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import SimpleITK as sitk

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.calibration.catalogue import Phantom, load_phantom
from VertebralBMDLib.simulation.beam import effective_kev
from VertebralBMDLib.simulation.couch import Couch
from VertebralBMDLib.simulation.materials import MINERALS, Mineral
from VertebralBMDLib.simulation.person import Person, draw_person, make_person
from VertebralBMDLib.simulation.scanner import TYPICAL, Scanner, to_int16
from VertebralBMDLib.simulation.shapes import Canvas, Grid
from VertebralBMDLib.simulation.spine import LEVELS, Sex, Spine
from VertebralBMDLib.simulation.support import Back, Mounting, Support, lay, plain_mounting

BOTTOMS = (*LEVELS[LEVELS.index("L1") :], "S1", "S2", "S3")
TOPS = LEVELS[LEVELS.index("T6") : LEVELS.index("L1") + 1]
BELOW_BACK_MM = 80.0  # of the field, for phantom and couch


@dataclass(frozen=True)
class PatientSpec:
    """One simulated examination; fields are checked and a ValueError names the wrong one.

    vbmd: QCT-equivalent mg/cm3 CaHA of L1 at 120 kVp, None draws it from the age and sex curve.
    spacing_mm, size: x, y, z spacing and in-plane matrix (None fits body and couch).
    levels: uppermost and lowest level in the field. phantom: catalogue name, JSON path or None;
    mounting: how it lies, None for a level slab.
    """

    seed: int
    sex: Sex = "F"
    age: float = 60.0
    vbmd: float | None = None
    spacing_mm: tuple[float, float, float] = (0.8, 0.8, 2.5)
    size: tuple[int, int] | None = None
    phantom: str | None = None
    levels: tuple[str, str] = ("T9", "S1")
    mounting: Mounting | None = None
    couch: Couch = Couch()
    scanner: Scanner = TYPICAL

    def __post_init__(self) -> None:
        if self.sex not in ("F", "M"):
            raise ValueError(f"sex must be F or M, not {self.sex!r}")
        if not 18.0 <= self.age <= 100.0:
            raise ValueError(f"age must be within 18-100 years, not {self.age}")
        if self.vbmd is not None and not 0.0 <= self.vbmd <= 400.0:
            raise ValueError(f"vbmd must be within 0-400 mg/cm3, not {self.vbmd}")
        if not all(0.3 <= s <= 6.0 for s in self.spacing_mm):
            raise ValueError(f"spacing_mm must be within 0.3-6 mm, not {self.spacing_mm}")
        if self.size is not None and min(self.size) < 1:
            raise ValueError(f"size must be at least 1 x 1 pixels, not {self.size}")
        if self.levels[0] not in TOPS or self.levels[1] not in BOTTOMS:
            raise ValueError(f"levels must run from one of {', '.join(TOPS)} to one of {', '.join(BOTTOMS)}, not {self.levels}")


@dataclass(frozen=True)
class SimulatedPatient:
    """int16 HU image, uint8 label maps on its grid (LPS, identity direction) and the truth.

    bodies: VerSe labels of vertebral bodies (cortex included, no pedicles). structures: 1 body,
    2 posterior elements, 3 sacrum, 4 ribs, 5 pelvis. rois: the truth ROI, with the body's label.
    """

    image: sitk.Image
    bodies: sitk.Image
    structures: sitk.Image
    rois: sitk.Image
    truth: dict


def simulate_patient(spec: PatientSpec) -> SimulatedPatient:
    """Draw a patient, scan it, and say what is true about it."""
    person_seed, noise, table = np.random.SeedSequence(spec.seed).spawn(3)
    person = make_person(person_seed, spec.sex, spec.age, spec.vbmd)
    phantom = load_phantom(spec.phantom) if spec.phantom else None
    table_rng = np.random.default_rng(table)
    offset = table_rng.uniform([-12.0, -12.0, -700.0], [12.0, 12.0, 700.0])
    canvas = Canvas(_field_of_view(spec, person, table_rng), spec.scanner.beam)
    draw_person(canvas, person)
    support = _support(spec, person, phantom, table_rng)
    if support.placed is not None:
        support.placed.check_in_field(canvas.grid)
    support.paint(canvas)
    hu = to_int16(spec.scanner.acquire(canvas.hu, canvas.grid.spacing_mm, np.random.default_rng(noise)))
    images = [to_image(array, canvas.grid, offset) for array in (hu, canvas.bodies, canvas.structures, canvas.rois)]
    return SimulatedPatient(*images, truth=_truth(spec, canvas, person, phantom, support, offset))


def _field_of_view(spec: PatientSpec, person: Person, rng: np.random.Generator) -> Grid:
    """Grid of the scan: levels in z, body and couch (or the asked matrix) in the plane."""
    top = person.spine.body(spec.levels[0])
    high = top.frame.origin[2] + 0.5 * top.height + 5.0
    low = _bottom_z(person.spine, spec.levels[1])
    sx, sy, sz = spec.spacing_mm
    near, far = person.trunk.extent()
    far = far + [0.0, BELOW_BACK_MM]
    nx, ny = spec.size or (int(np.ceil((far[0] - near[0] + 30.0) / sx)), int(np.ceil((far[1] - near[1] + 15.0) / sy)))
    center = 0.5 * (near + far) + rng.uniform(-8.0, 8.0, 2)
    origin = (center[0] - 0.5 * (nx - 1) * sx, center[1] - 0.5 * (ny - 1) * sy, low)
    nz = int(np.ceil((high - low) / sz)) + 1
    return spec.scanner.grid(origin, spec.spacing_mm, (nx, ny, nz))


def _bottom_z(spine: Spine, level: str) -> float:
    """z of the lower edge of a level, with 5 mm to spare."""
    if level.startswith("S"):
        return float(spine.sacral_frame.to_world([0.0, 0.0, 15.0 - 30.0 * int(level[1])])[2]) - 5.0
    body = spine.body(level)
    return float(body.frame.origin[2] - 0.5 * body.height - 5.0)


def _support(spec: PatientSpec, person: Person, phantom: Phantom | None, rng: np.random.Generator) -> Support:
    """Couch under the patient, with the phantom between if there is one."""
    mounting = spec.mounting
    if phantom is not None and mounting is None:
        mounting = plain_mounting(rng, phantom)
    back = Back.of(lambda canvas: draw_person(canvas, person, ()))
    return lay(spec.couch, back, phantom, mounting)


def ideal_line(scanner: Scanner, mineral: Mineral) -> dict[str, float]:
    """The calibration that undoes this scanner's slope and intercept: density = slope * HU + intercept."""
    slope = 1.0 / (scanner.beam.hu_per_mg_cm3(mineral) * (1.0 + scanner.slope_error))
    return {"slope_mg_cm3_per_hu": slope, "intercept_mg_cm3": -slope * scanner.intercept_hu}


def to_image(array: np.ndarray, grid: Grid, offset: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(tuple(float(o) for o in np.asarray(grid.origin_mm) + offset))
    return image


def _truth(
    spec: PatientSpec,
    canvas: Canvas,
    person: Person,
    phantom: Phantom | None,
    support: Support,
    offset: np.ndarray,
) -> dict:
    """JSON-able truth of the bodies and rods in the field; world coordinates of the image.

    A rod's `hu` is what a perfect scanner shows, before slope, intercept, blur and noise.
    """
    shown = set(np.unique(canvas.bodies).tolist())
    z = canvas.grid.axis(2)
    levels = {}
    for level, body, quality in zip(LEVELS, person.spine.bodies, person.qualities):
        if LABELS[level] not in shown:
            continue
        low, high = body.bounds
        levels[level] = {
            "label": LABELS[level],
            "complete": bool(low[2] >= z[0] and high[2] <= z[-1]),
            "qct_equivalent_vbmd_mg_cm3": {m: quality.reading(m, canvas.beam) for m in MINERALS},
            "qct_equivalent_at_120_kvp_mg_cm3_CaHA": quality.vbmd_120,
            "true_mineral_mg_cm3": quality.mineral,
            "marrow_fat_fraction": quality.fat_fraction,
            "centroid_lps_mm": [float(c) for c in body.frame.origin + offset],
        }
    return {
        "seed": spec.seed,
        "spec": asdict(spec),
        "effective_kev": effective_kev(canvas.beam),
        "calibration": {m: ideal_line(spec.scanner, m) for m in MINERALS},
        "levels": levels,
        **support.truth(canvas, offset),
        "phantom": None if phantom is None else {"name": phantom.name, "material": phantom.material},
    }
