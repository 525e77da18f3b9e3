"""A phantom scanned alone: daily QA, asynchronous calibration, the spine phantom.

A drifting scanner is scanned `phantom_age_days` before the examination it belongs to, so a row of
specifications with falling ages is a control chart.
"""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass, replace

import numpy as np
import SimpleITK as sitk

from VertebralBMDLib.calibration.catalogue import Phantom, load_phantom
from VertebralBMDLib.simulation.beam import effective_kev
from VertebralBMDLib.simulation.couch import Couch
from VertebralBMDLib.simulation.dicom import Examination
from VertebralBMDLib.simulation.esp import CENTER_Y_MM, esp_back, esp_vertebrae, paint_esp
from VertebralBMDLib.simulation.materials import MINERALS
from VertebralBMDLib.simulation.patient import ideal_line, to_image
from VertebralBMDLib.simulation.scanner import TYPICAL, Scanner, to_int16
from VertebralBMDLib.simulation.shapes import Canvas, Grid
from VertebralBMDLib.simulation.support import ALONE, Mounting, Support, lay, plain_mounting

YEAR_DAYS = 365.25


@dataclass(frozen=True)
class PhantomScanSpec:
    """One scan of a phantom; fields are checked and a ValueError names the wrong one.

    phantom: catalogue name or JSON path. spacing_mm: x, y, z; size: in-plane matrix; slices: their number.
    scanner: as it is on exam_date (ISO). phantom_age_days: how long before that the phantom was scanned;
    drift_hu_per_year: what clinical scanners do is -0.55 to -2.29 HU (qct_facts 5.14).
    """

    seed: int
    phantom: str = "mindways-model3-qa"
    scanner: Scanner = TYPICAL
    spacing_mm: tuple[float, float, float] = (0.8, 0.8, 2.5)
    size: tuple[int, int] = (512, 512)
    slices: int = 48
    mounting: Mounting | None = None
    couch: Couch = Couch()
    scanner_id: str = "SIM-1"
    exam_date: str = "2024-01-15"
    phantom_age_days: int = 0
    drift_hu_per_year: float = 0.0

    def __post_init__(self) -> None:
        if not all(0.3 <= s <= 10.0 for s in self.spacing_mm):
            raise ValueError(f"spacing_mm must be within 0.3-10 mm, not {self.spacing_mm}")
        if not all(1 <= n <= 2048 for n in self.size):
            raise ValueError(f"size must be within 1-2048 pixels, not {self.size}")
        if not 1 <= self.slices <= 2000:
            raise ValueError(f"slices must be within 1-2000, not {self.slices}")
        if not 0 <= self.phantom_age_days <= 20000:
            raise ValueError(f"phantom_age_days must be within 0-20000 days, not {self.phantom_age_days}")
        if not abs(self.drift_hu_per_year) <= 20.0:
            raise ValueError(f"drift_hu_per_year must be within -20 to 20 HU, not {self.drift_hu_per_year}")
        try:
            datetime.date.fromisoformat(self.exam_date)
        except ValueError as error:
            raise ValueError(f"exam_date must be a date like 2024-01-15, not {self.exam_date!r}") from error

    @property
    def scan_date(self) -> datetime.date:
        return datetime.date.fromisoformat(self.exam_date) - datetime.timedelta(days=self.phantom_age_days)

    @property
    def examination(self) -> Examination:
        """What a DICOM header says about the scan."""
        return Examination.of(self, study_date=self.scan_date.isoformat(), phantom=load_phantom(self.phantom).title)

    @property
    def drifted_scanner(self) -> Scanner:
        """The scanner on the day of the phantom scan."""
        drift = self.drift_hu_per_year * self.phantom_age_days / YEAR_DAYS
        return self.scanner if drift == 0.0 else replace(self.scanner, intercept_hu=self.scanner.intercept_hu - drift)


@dataclass(frozen=True)
class PhantomScan:
    """int16 HU image and uint8 label maps on its grid (LPS, identity direction), and the truth.

    bodies, rois: VerSe labels of the spine phantom's vertebrae; empty for rods in a slab.
    """

    image: sitk.Image
    bodies: sitk.Image
    rois: sitk.Image
    truth: dict


def simulate_phantom_scan(spec: PhantomScanSpec) -> PhantomScan:
    """Draw the phantom on the couch, scan it, and say what is true about it."""
    noise, table = np.random.SeedSequence(spec.seed).spawn(2)
    phantom, scanner, rng = load_phantom(spec.phantom), spec.drifted_scanner, np.random.default_rng(table)
    offset = rng.uniform([-12.0, -12.0, -700.0], [12.0, 12.0, 700.0])
    alone = phantom.name == ALONE
    if alone:
        support = lay(spec.couch, esp_back())
    else:
        support = lay(spec.couch, None, phantom, spec.mounting or plain_mounting(rng, phantom))
    grid = _grid(spec, scanner, support, rng)
    if support.placed is not None:
        support.placed.check_in_field(grid)

    def draw(canvas: Canvas) -> None:
        if alone:
            paint_esp(canvas, phantom)
        support.paint(canvas)

    canvas = Canvas(grid, scanner.beam)
    draw(canvas)
    hu = to_int16(scanner.acquire(canvas.hu, grid, np.random.default_rng(noise), draw))
    images = [to_image(array, canvas.grid, offset) for array in (hu, canvas.bodies, canvas.rois)]
    return PhantomScan(*images, truth=_truth(spec, canvas, phantom, support, offset))


def _grid(spec: PhantomScanSpec, scanner: Scanner, support: Support, rng: np.random.Generator) -> Grid:
    """The phantom in the middle of the field, a few millimetres off."""
    if support.placed is None:
        middle = np.array([0.0, CENTER_Y_MM, 0.0])
    else:
        middle = support.placed.to_world(np.zeros(1), np.zeros(1), np.zeros(1))[0]
    size = np.array([*spec.size, spec.slices])
    center = middle + rng.uniform(-5.0, 5.0, 3)
    return scanner.grid(center - 0.5 * (size - 1) * np.array(spec.spacing_mm), spec.spacing_mm, size)


def _truth(spec: PhantomScanSpec, canvas: Canvas, phantom: Phantom, support: Support, offset: np.ndarray) -> dict:
    """JSON-able; world coordinates of the image. A rod's `hu` is what a perfect scanner shows."""
    vertebrae = esp_vertebrae(phantom) if phantom.name == ALONE else ()
    return {
        "seed": spec.seed,
        "spec": asdict(spec),
        "scanner_id": spec.scanner_id,
        "scan_date": spec.scan_date.isoformat(),
        "effective_kev": effective_kev(canvas.beam),
        "calibration": {m: ideal_line(spec.drifted_scanner, m) for m in MINERALS},
        "phantom": {"name": phantom.name, "material": phantom.material, "use": phantom.use},
        **support.truth(canvas, offset),
        "levels": {v.level: v.truth(canvas, offset) for v in vertebrae},
    }
