"""The parts of measurement.json, each from the value that the pipeline holds; what is None is left out."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING

import SimpleITK as sitk

from .. import __version__
from ..quality import Code
from ..roi.region import CENTRAL_FRACTION

if TYPE_CHECKING:
    from ..calibration.line import Calibration
    from ..network.models import Model
    from ..pipeline import VertebraMeasurement
    from ..scan import Scan
    from ..segmentation.vertebrae import Vertebra
    from ..settings import Settings


def known(**values) -> dict:
    """The values that could be had."""
    return {key: value for key, value in values.items() if value is not None}


def once(found: tuple[Code, ...]) -> list[Code]:
    """The codes without repeats, in their order."""
    return list(dict.fromkeys(found))


def software_entry(engine: str, models: tuple[Model, ...], device: str | None = None) -> dict:
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = None
    listed = [dict(name=model.name, sha256=model.sha256) for model in models]
    return dict(version=__version__, engine=engine, models=listed, **known(torch=torch, device=device))


def scan_entry(scan: Scan) -> dict:
    taken = scan.acquisition
    return dict(
        size=scan.image.GetSize(),
        spacing_mm=scan.spacing_mm,
        orientation=sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(scan.image.GetDirection()),
        contrast=taken.contrast,
        **known(
            series_uid=taken.series_uid,
            kvp=taken.kvp,
            kernel=taken.kernel,
            slice_thickness_mm=taken.slice_thickness_mm,
            manufacturer=taken.manufacturer,
            model=taken.model,
            table_height_mm=taken.table_height_mm,
            reconstruction_diameter_mm=taken.reconstruction_diameter_mm,
        ),
    )


def calibration_entry(calibration: Calibration) -> dict:
    rods = [
        dict(
            id=reading.rod.id,
            density_mg_cm3=reading.rod.density_mg_cm3,
            **known(water_mg_cm3=reading.rod.water_mg_cm3),
            hu=reading.hu,
            sd_hu=reading.sd_hu,
            centre_lps_mm=reading.centre_lps_mm,
            radius_mm=reading.radius_mm,
        )
        for reading in calibration.readings
    ]
    return dict(
        source=calibration.source,
        material=calibration.material,
        **known(
            phantom=calibration.phantom,
            slope_mg_cm3_per_hu=calibration.slope_mg_cm3_per_hu,
            intercept_mg_cm3=calibration.intercept_mg_cm3,
            r_squared=calibration.r_squared,
            rmse_mg_cm3=calibration.rmse_mg_cm3,
            rods=rods or None,
        ),
        checks=[dict(code=c.code, status=c.status, value=c.value, limit=c.limit, message=c.message) for c in calibration.checks],
    )


def vertebra_entry(body: Vertebra, measured: VertebraMeasurement | None = None) -> dict:
    """One body as found, with its measurement where there is one (then ``roi_mean_hu`` is present)."""
    return dict(
        level=body.level,
        label=body.label,
        level_confidence=body.level_confidence,
        centroid_lps_mm=body.centroid_lps_mm,
        body_volume_cm3=body.volume_cm3,
        complete=body.complete,
        **(_densities(measured) if measured else {}),
        flags=once(body.flags + (measured.flags if measured else ())),
    )


def _densities(measured: VertebraMeasurement) -> dict:
    density, heights = measured.density, measured.heights
    return known(
        roi_volume_cm3=density.roi_volume_cm3,
        roi_mean_hu=density.roi_mean_hu,
        roi_sd_hu=density.roi_sd_hu,
        vbmd_roi_mg_cm3=density.vbmd_roi_mg_cm3,
        vbmd_network_mg_cm3=measured.vbmd_network_mg_cm3,
        low_bone_mass_probability=measured.low_bone_mass_probability,
        cortical_mg_cm3=density.cortical_mg_cm3,
        integral_mg_cm3=density.integral_mg_cm3,
        bmc_mg=density.bmc_mg,
        heights_mm=dict(anterior=heights.anterior, middle=heights.middle, posterior=heights.posterior),
    )


def settings_entry(settings: Settings) -> dict:
    """What was asked, so that the run can be repeated; of the user's own files only that they were used."""
    level_at = None
    if settings.level_at:
        level, point = settings.level_at
        level_at = dict(level=level, point_lps_mm=point)
    return dict(
        levels=settings.levels,
        engine=settings.engine,
        calibration=_calibration_asked(settings.calibration),
        erosion_mm=settings.erosion_mm,
        erosion_shape=settings.erosion_shape,
        central_fraction=CENTRAL_FRACTION,
        device=settings.device,
        allow=sorted(Code(code).value for code in settings.allow),
        own_bodies=settings.bodies is not None,
        own_roi=settings.roi is not None,
        **known(level_at=level_at),
    )


def _calibration_asked(asked: str) -> str:
    """``--calibration`` without the path it may hold: "async:FILE" -> "async", a catalogue name stays."""
    kind, colon, name = asked.partition(":")
    return asked if kind == "phantom" and re.fullmatch(r"[a-z0-9-]+", name) else kind
