"""A whole simulated CT with its truth: `simulate_patient(PatientSpec(seed=1))`.

Truth is written from the material of the bones, never from the noisy image; see `truth`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import SimpleITK as sitk

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.simulation.beam import effective_kev
from VertebralBMDLib.simulation.hardening import QUICK_MM
from VertebralBMDLib.simulation.materials import MINERALS, Mineral
from VertebralBMDLib.simulation.scanner import Scanner, to_int16
from VertebralBMDLib.simulation.shapes import Canvas, Grid
from VertebralBMDLib.simulation.subject import PatientSpec, Streams, Subject, field_of_view, make_subject
from VertebralBMDLib.simulation.truth import body_truth, column_truth

SCHEMA = "vertebral-bmd/simulated/1"
_OFFSET_MM = (12.0, 12.0, 700.0)  # where the scanner's origin may lie


@dataclass(frozen=True)
class SimulatedPatient:
    """int16 HU image, uint8 label maps on its grid (LPS, identity direction) and the truth.

    bodies: VerSe labels of vertebral bodies (cortex included, no pedicles). structures: 1 body, 2 posterior
    elements, 3 sacrum, 4 ribs, 5 pelvis. rois: the ROI of the true density, with the body's label. findings: values of
    `findings.FINDING_LABELS`.
    """

    image: sitk.Image
    bodies: sitk.Image
    structures: sitk.Image
    rois: sitk.Image
    findings: sitk.Image
    truth: dict


def simulate_patient(spec: PatientSpec) -> SimulatedPatient:
    """Draw a patient, scan it, and say what is true about it. ValueError for a phantom outside the field."""
    streams = Streams.of(spec.seed)
    subject = make_subject(spec)
    grid = field_of_view(spec, subject)
    if subject.support.placed is not None:
        subject.support.placed.check_in_field(grid)
    canvas = Canvas(grid, spec.scanner.beam)
    subject.draw(canvas)
    around = subject.draw_bulk if min(spec.spacing_mm) >= QUICK_MM else subject.draw
    hu = to_int16(spec.scanner.acquire(canvas.hu, grid, np.random.default_rng(streams.noise), around))
    offset = np.random.default_rng(streams.field).uniform(-np.array(_OFFSET_MM), _OFFSET_MM)
    arrays = (hu, canvas.bodies, canvas.structures, canvas.rois, canvas.findings)
    return SimulatedPatient(*(to_image(array, grid, offset) for array in arrays), truth=_truth(spec, canvas, subject, offset))


def ideal_line(scanner: Scanner, mineral: Mineral) -> dict[str, float]:
    """The calibration that undoes this scanner's slope and intercept: density = slope * HU + intercept."""
    slope = 1.0 / (scanner.beam.hu_per_mg_cm3(mineral) * (1.0 + scanner.slope_error))
    return {"slope_mg_cm3_per_hu": slope, "intercept_mg_cm3": -slope * scanner.intercept_hu}


def to_image(array: np.ndarray, grid: Grid, offset: np.ndarray) -> sitk.Image:
    """A volume (z, y, x) as an image whose origin is moved by `offset` (LPS mm)."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(tuple(float(o) for o in np.asarray(grid.origin_mm) + offset))
    return image


def _truth(spec: PatientSpec, canvas: Canvas, subject: Subject, offset: np.ndarray) -> dict:
    """JSON-able truth of the bodies and rods in the field; world coordinates of the image.

    A rod's `hu` is what a perfect scanner shows, before slope, intercept, blur and noise.
    """
    person, support = subject.person, subject.support
    shown = set(np.unique(canvas.bodies).tolist())
    z = canvas.grid.axis(2)
    levels = {}
    for level in person.spine.levels:
        if LABELS[level] not in shown:
            continue
        low, high = person.spine.body(level).bounds
        of_body = body_truth(person, level, canvas.beam)
        of_body["centroid_lps_mm"] = [float(c) for c in np.array(of_body["centroid_lps_mm"]) + offset]
        levels[level] = {"label": LABELS[level], "complete": bool(low[2] >= z[0] and high[2] <= z[-1]), **of_body}
    return {
        "schema": SCHEMA,
        "simulated": True,
        "seed": spec.seed,
        "spec": asdict(spec),
        "effective_kev": effective_kev(canvas.beam),
        "calibration": {m: ideal_line(spec.scanner, m) for m in MINERALS},
        "column": column_truth(person),
        "levels": levels,
        "phantom": None if subject.phantom is None else {"name": subject.phantom.name, "material": subject.phantom.material},
        **support.truth(canvas, offset),
    }
