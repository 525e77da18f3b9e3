"""A small simulated scan with three bodies and real dataclasses: the input of the tests of the report room."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from VertebralBMDLib import densitometry, diagnosis
from VertebralBMDLib.anatomy import label_of
from VertebralBMDLib.calibration.line import NO_CALIBRATION, Rod, RodReading, fit
from VertebralBMDLib.network.models import Model
from VertebralBMDLib.pipeline import Measurement, VertebraMeasurement
from VertebralBMDLib.quality import Code
from VertebralBMDLib.roi.region import trabecular_roi
from VertebralBMDLib.scan import Acquisition, Scan
from VertebralBMDLib.segmentation.vertebrae import Vertebra, Vertebrae
from VertebralBMDLib.settings import Settings

#: A patient's name as it may stand in paths and headers; no file may contain it.
NAME = "DOE^JANE"

SPACING_MM = (1.5, 1.5, 2.5)
SIZE = (70, 64, 44)
CENTRES_MM = {"T12": 95.0, "L1": 62.5, "L2": 30.0}
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
    line = fit(readings, "K2HPO4", "qrm-bdc3", 120) if calibrated else NO_CALIBRATION
    roi, measured = np.zeros_like(array), []
    for body in bodies[1:]:
        inside = array == body.label
        masks = trabecular_roi(labels == body.label, np.array([0.0, 0.0, 1.0]))
        roi[masks.roi] = body.label
        density = densitometry.measure(
            hu, inside, masks.eroded, masks.roi, float(np.prod(SPACING_MM) / 1000), line.density if calibrated else None
        )
        network = (density.vbmd_roi_mg_cm3 + 2, 0.25) if calibrated else (None, None)
        measured.append(
            VertebraMeasurement(
                body, densitometry.Heights(25.0, 24.0, 25.5), density, *network, (Code.ROI_SMALL,) if body.level == "L2" else ()
            )
        )
    roi_image = sitk.GetImageFromArray(roi)
    roi_image.CopyInformation(image)
    models = (Model("bodies", "0a" * 32),)
    return Measurement(
        Scan(image, Acquisition(kvp=120.0, kernel=kernel, slice_thickness_mm=2.5, series_uid="1.2.3")),
        Vertebrae(labels, tuple(bodies), "bundled", models),
        roi_image,
        line,
        tuple(measured),
        diagnosis.assess({m.vertebra.level: m.density.vbmd_roi_mg_cm3 for m in measured}, flags, ()),
        Settings(calibration=f"phantom:/data/{NAME}.json", allow=frozenset({Code.CONTRAST})),
        "cpu",
        models,
        {"segmentation": 1.5, "roi": 0.25},
    )
