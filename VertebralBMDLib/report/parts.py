"""The parts of measurement.json, each from the value that the pipeline holds; what is None is left out."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import SimpleITK as sitk

from .. import __version__
from ..calibration.catalogue import phantom_names
from ..calibration.request import parsed
from ..quality import Code

if TYPE_CHECKING:
    from ..calibration.line import Calibration, RodReading
    from ..densitometry import Density
    from ..diagnosis import Assessment
    from ..measurement import VertebraMeasurement
    from ..network.density import Reading
    from ..network.models import Model
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
    residuals = calibration.residuals_mg_cm3 or (None,) * len(calibration.readings)
    rods = [_rod(reading, residual) for reading, residual in zip(calibration.readings, residuals, strict=True)]
    tissues = [
        dict(name=t.name, hu=t.hu, sd_hu=t.sd_hu, volume_cm3=t.volume_cm3, centre_lps_mm=t.centre_lps_mm) for t in calibration.tissues
    ]
    return dict(
        source=calibration.source,
        material=calibration.material,
        **known(
            method=calibration.method,
            phantom=calibration.phantom,
            slope_mg_cm3_per_hu=calibration.slope_mg_cm3_per_hu,
            slope_se=calibration.slope_se,
            intercept_mg_cm3=calibration.intercept_mg_cm3,
            intercept_se=calibration.intercept_se,
            r_squared=calibration.r_squared,
            rmse_mg_cm3=calibration.rmse_mg_cm3,
            uncertainty_mg_cm3=calibration.uncertainty_mg_cm3,
            rods=rods or None,
            tissues=tissues or None,
        ),
        checks=[
            dict(code=c.code, status=c.status, **known(value=c.value), limit=c.limit, message=c.message, **known(remedy=c.remedy or None))
            for c in calibration.checks
        ],
    )


def _rod(reading: RodReading, residual_mg_cm3: float | None) -> dict:
    return dict(
        id=reading.rod.id,
        density_mg_cm3=reading.rod.density_mg_cm3,
        **known(water_mg_cm3=reading.rod.water_mg_cm3),
        hu=reading.hu,
        sd_hu=reading.sd_hu,
        **known(mean_hu=reading.mean_hu, median_hu=reading.median_hu, drift_hu=reading.drift_hu, residual_mg_cm3=residual_mg_cm3),
        centre_lps_mm=reading.centre_lps_mm,
        radius_mm=reading.radius_mm,
    )


def patient_entry(assessment: Assessment) -> dict:
    limits = assessment.thresholds
    return dict(
        levels=assessment.levels,
        **known(
            vbmd_mg_cm3=assessment.vbmd_mg_cm3,
            vbmd_source=None if assessment.vbmd_mg_cm3 is None else "roi",
            uncertainty_mg_cm3=assessment.uncertainty_mg_cm3,
            integral_mg_cm3=assessment.integral_mg_cm3,
        ),
        category=assessment.category,
        thresholds=dict(
            name=limits.name,
            title=limits.title,
            quantity=limits.quantity,
            **known(
                osteoporosis_below_mg_cm3=limits.osteoporosis_below,
                normal_above_mg_cm3=limits.normal_above,
                proposed_range_mg_cm3=limits.proposed_range,
            ),
            population=limits.population,
            source=limits.source,
            confidence=limits.confidence,
            use=limits.use,
        ),
        left_out=[dict(level=level, code=code) for level, code in assessment.left_out],
        **known(hu_band=assessment.hu_band),
        flags=once(assessment.flags),
        refusals=once(assessment.refusals),
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
    return roi_entry(density) | known(
        excluded=[dict(kind=e.kind, volume_cm3=e.volume_cm3, mean_hu=e.mean_hu) for e in measured.exclusions],
        **(network_entry(measured.network) if measured.network else {}),
        cortical_mg_cm3=density.cortical_mg_cm3,
        cortical_volume_cm3=density.cortical_volume_cm3,
        integral_mg_cm3=density.integral_mg_cm3,
        bmc_mg=density.bmc_mg,
        heights_mm=dict(anterior=heights.anterior, middle=heights.middle, posterior=heights.posterior),
        height_loss=measured.height_loss,
    )


def network_entry(reading: Reading) -> dict:
    """What the density network alone says of a vertebra."""
    return dict(
        vbmd_network_mg_cm3=reading.vbmd_mg_cm3,
        vbmd_network_interval95_mg_cm3=list(reading.interval95_mg_cm3),
        osteoporosis_probability=reading.osteoporosis_probability,
        low_bone_mass_probability=reading.low_bone_mass_probability,
    )


def roi_entry(density: Density) -> dict:
    """What the ROI alone says of a vertebra."""
    percentiles = density.roi_percentiles_hu
    return known(
        roi_volume_cm3=density.roi_volume_cm3,
        roi_mean_hu=density.roi_mean_hu,
        roi_sd_hu=density.roi_sd_hu,
        roi_texture_sd_hu=density.roi_texture_sd_hu,
        roi_median_hu=density.roi_median_hu,
        roi_percentiles_hu=None if percentiles is None else dict(zip(("p05", "p25", "p75", "p95"), percentiles, strict=True)),
        whole_roi_volume_cm3=density.whole_roi_volume_cm3,
        whole_roi_mean_hu=density.whole_roi_mean_hu,
        vbmd_roi_mg_cm3=density.vbmd_roi_mg_cm3,
        vbmd_whole_roi_mg_cm3=density.vbmd_whole_roi_mg_cm3,
    )


def settings_entry(settings: Settings) -> dict:
    """What was asked, so that the run can be repeated; of the user's own files only that they were used."""
    level_at = convert = None
    if settings.level_at:
        level, point = settings.level_at
        level_at = dict(level=level, point_lps_mm=point)
    if settings.convert:
        material, factor = settings.convert
        convert = dict(material=material, factor=factor)
    return dict(
        levels=settings.levels,
        engine=settings.engine,
        calibration=_calibration_asked(settings.calibration),
        own_rods=settings.rods is not None,
        **known(convert=convert),
        region=settings.region,
        erosion_mm=settings.erosion_mm,
        erosion_shape=settings.erosion_shape,
        central_fraction=settings.central_fraction,
        thresholds=settings.thresholds,
        device=settings.device,
        allow=sorted(Code(code).value for code in settings.allow),
        own_bodies=settings.bodies is not None,
        bodies_numbering=settings.bodies_numbering,
        own_roi=settings.roi is not None,
        **known(
            roi_levels=settings.roi_levels,
            level_at=level_at,
            exclude=[dict(level=level, reason=reason) for level, reason in settings.exclude] or None,
        ),
    )


def _calibration_asked(asked: str) -> str:
    """``--calibration`` without the paths it may hold: "phantom:qrm-bdc3,async:FILE" -> "phantom:qrm-bdc3,async"."""
    if asked in ("auto", "none"):
        return asked
    catalogue = phantom_names()
    kept = [f"{each.kind}:{each.name}" if each.kind == "phantom" and each.name in catalogue else each.kind for each in parsed(asked)]
    return ",".join(dict.fromkeys(kept))
