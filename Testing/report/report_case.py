"""A small simulated scan with three bodies and real dataclasses: the input of the tests of the report room."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import SimpleITK as sitk

from VertebralBMDLib import densitometry, diagnosis
from VertebralBMDLib.anatomy import label_of
from VertebralBMDLib.calibration.line import NO_CALIBRATION, Calibration, Check, Rod, RodReading, TissueReading
from VertebralBMDLib.diagnosis import Assessment, MeasuredLevel, load_thresholds
from VertebralBMDLib.grid import box_grid
from VertebralBMDLib.measurement import VertebraMeasurement
from VertebralBMDLib.network.density import Reading
from VertebralBMDLib.network.models import Model
from VertebralBMDLib.pipeline import Measurement
from VertebralBMDLib.quality import Code
from VertebralBMDLib.roi.region import Exclusion, trabecular_roi
from VertebralBMDLib.scan import Acquisition, Scan
from VertebralBMDLib.segmentation.vertebrae import Vertebra, Vertebrae
from VertebralBMDLib.settings import Settings

#: A patient's name as it may stand in paths and headers; no file may contain it.
NAME = "DOE^JANE"

SPACING_MM = (1.5, 1.5, 2.5)
SIZE = (70, 64, 44)
CENTRES_MM = {"T12": 95.0, "L1": 62.5, "L2": 30.0}
TISSUES = {"air": -998.0, "fat": -104.0, "muscle": 52.0, "blood": 41.0, "cortical_bone": 1210.0}
RODS = {"A": (20.0, 0.0), "B": (50.0, 100.0), "C": (80.0, 200.0)}


def simulated() -> tuple[sitk.Image, sitk.Image]:
    """Cylinders of 160 HU with a 400 HU shell in soft tissue, T12 to L2 from above, and three rods behind them; in LPS."""
    z, y, x = np.meshgrid(*(np.arange(n) * s for n, s in zip(SIZE[::-1], SPACING_MM[::-1])), indexing="ij")
    hu = np.full(z.shape, 40, np.int16)
    labels = np.zeros(z.shape, np.uint8)
    radius = np.hypot(x - 52, y - 40)
    for level, centre in CENTRES_MM.items():
        body = (radius <= 18) & (np.abs(z - centre) <= 12.5)
        hu[body] = np.where((radius <= 16) & (np.abs(z - centre) <= 10.5), 160, 400)[body]
        labels[body] = label_of(level)
    for x_mm, density in RODS.values():
        hu[np.hypot(x - x_mm, y - 82) <= 7] = density / 0.8
    images = sitk.GetImageFromArray(hu), sitk.GetImageFromArray(labels)
    for image in images:
        image.SetSpacing(SPACING_MM)
        image.SetOrigin((-50.0, -40.0, 300.0))
    return images


def measurement(calibrated: bool = True, orientation: str = "LPS", flags: tuple[Code, ...] = (), kernel: str = "STANDARD") -> Measurement:
    """L1 and L2 measured, T12 found but cut off; calibrated by three rods or not at all."""
    image, labels = (sitk.DICOMOrient(part, orientation) for part in simulated())
    labels.SetMetaData("aux_file", NAME)
    array, hu = sitk.GetArrayFromImage(labels), sitk.GetArrayFromImage(image)
    bodies = []
    for level, centre in CENTRES_MM.items():
        cut = (Code.BODY_CUT_OFF,) if level == "T12" else ()
        volume = float((array == label_of(level)).sum() * np.prod(SPACING_MM) / 1000)
        bodies.append(Vertebra(level, label_of(level), (2.0, 0.0, 300 + centre), 0.9, not cut, volume, cut))
    readings = tuple(RodReading(Rod(id, density), density / 0.8, 5.0, (x - 50, 42.0, 362.5), 7.0) for id, (x, density) in RODS.items())
    check = Check("R_SQUARED", "pass", 1.0, "at least 0.998", "Rods and line agree.")
    line = Calibration("phantom", "K2HPO4", 0.8, 0.0, 1.0, 0.0, "qrm-bdc3", readings, (check,)) if calibrated else NO_CALIBRATION
    roi, measured = np.zeros_like(array), []
    for body in bodies[1:]:
        inside = array == body.label
        masks = trabecular_roi(labels == body.label, np.array([0.0, 0.0, 1.0]))
        roi[masks.roi] = body.label
        density = densitometry.measure(
            hu, inside, masks.eroded, masks.roi, float(np.prod(SPACING_MM) / 1000), line.density if calibrated else None
        )
        network = Reading(density.vbmd_roi_mg_cm3 + 2, 5.0) if calibrated else None
        measured.append(
            VertebraMeasurement(
                body, densitometry.Heights(25.0, 24.0, 25.5), density, network, (Code.ROI_SMALL,) if body.level == "L2" else ()
            )
        )
    roi_image = sitk.GetImageFromArray(roi)
    roi_image.CopyInformation(image)
    models = (Model("bodies", "0a" * 32),)
    return Measurement(
        Scan(image, Acquisition(kvp=120.0, kernel=kernel, slice_thickness_mm=2.5, series_uid="1.2.3")),
        Vertebrae(labels, tuple(bodies), "bundled", models),
        roi_image,
        sitk.Image(labels) * 0,
        line,
        tuple(measured),
        weights() if calibrated else None,
        assessed(measured, line, flags=flags),
        Settings(calibration=f"phantom:/data/{NAME}.json", allow=frozenset({Code.CONTRAST})),
        "cpu",
        models,
        {"segmentation": 1.5, "roi": 0.25},
    )


def weights() -> sitk.Image:
    """Weights of the density network as they may be: 80 % in a box around L1."""
    grid = box_grid((2.0, 0.0, 300 + CENTRES_MM["L1"]), (16, 14, 12), 2.0)
    return grid + 80


def assessed(measured, line: Calibration, limits: str = "acr", lost: dict[str, Code] | None = None, **more) -> Assessment:
    """The patient's value of L1 and L2; ``lost``: levels that must not count."""
    levels = [
        MeasuredLevel(level, m.density.roi_mean_hu, m.density.vbmd_roi_mg_cm3, m.density.integral_mg_cm3, (lost or {}).get(level))
        for level, m in ((m.vertebra.level, m) for m in measured)
    ]
    given = dict(carries_category=line.carries_category, uncertainty_mg_cm3=line.uncertainty_mg_cm3) | more
    return diagnosis.assess(levels, ("L1", "L2"), {"T12": Code.BODY_CUT_OFF}, load_thresholds(limits), **given)


def asynchronous(line: Calibration) -> Calibration:
    """``line`` as a phantom scan of 12 days before gives it, with everything that can be known of it."""
    readings = tuple(replace(r, mean_hu=r.hu + 0.5, median_hu=r.hu - 0.5, drift_hu=6.5) for r in line.readings)
    tissues = tuple(TissueReading(name, hu, 9.0, 12.0, (1.0, 2.0, 3.0)) for name, hu in TISSUES.items())
    checks = (
        *line.checks,
        Check("ROD_DRIFT", "warn", 6.5, "at most 5 HU", "The rods change along their length.", "Look for air beside the phantom."),
        Check("PHANTOM_AGE", "pass", 12.0, "at most 30 days", "The phantom scan is recent."),
        Check("TABLE_HEIGHT", "warn", None, "within 30 mm", "The header gives no table height.", "Compare the heights by hand."),
    )
    return replace(
        line, source="asynchronous", slope_se=0.0021, intercept_se=0.45, residuals_mg_cm3=(0.25, -0.5, 0.25), uncertainty_mg_cm3=2.4,
        readings=readings, tissues=tissues, checks=checks,
    )  # fmt: skip


@cache
def _plain() -> Measurement:
    return measurement()


def full(**more) -> Measurement:
    """Everything that a run can say: an asynchronous line, findings left out of the ROI of L1, tissues, heights."""
    case = _plain()
    line, first = asynchronous(case.calibration), case.measured[0]
    density = replace(
        first.density, roi_median_hu=158.5, roi_percentiles_hu=(101.0, 131.0, 188.0, 222.0), whole_roi_volume_cm3=9.5,
        whole_roi_mean_hu=181.5, vbmd_whole_roi_mg_cm3=145.2, cortical_volume_cm3=7.7,
    )  # fmt: skip
    findings = (Exclusion("island", 0.21, 512.0), Exclusion("lytic", 0.63, -12.0))
    first = replace(first, density=density, height_loss=0.17, exclusions=findings, flags=(Code.ROI_FINDING_EXCLUDED, Code.HEIGHT_LOSS))
    measured = (first, replace(case.measured[1], height_loss=-0.02))
    return replace(case, calibration=line, measured=measured, assessment=assessed(measured, line, **more))


def excluded_map(case: Measurement) -> sitk.Image:
    """A ball of 5 mm inside the ROI of L1."""
    z, y, x = np.meshgrid(*(np.arange(n) * s for n, s in zip(SIZE[::-1], SPACING_MM[::-1])), indexing="ij")
    ball = np.sqrt((x - 52) ** 2 + (y - 40) ** 2 + (z - CENTRES_MM["L1"] - 2.5) ** 2) <= 5
    image = sitk.GetImageFromArray(np.where(ball, 20, 0).astype(np.uint8))
    image.CopyInformation(case.scan.image)
    return image
