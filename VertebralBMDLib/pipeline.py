"""The arrows: scan -> vertebrae -> ROI -> calibration -> measurement -> assessment."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from . import densitometry, diagnosis
from .calibration.line import Calibration
from .calibration.phantom import calibrate
from .densitometry import Density, Heights
from .diagnosis import Assessment
from .network.density import DENSITY, MATERIAL, read_density
from .network.models import Model, identity, working_device
from .quality import Code, Refused
from .regions import Region, regions_of
from .roi.region import Exclusion
from .scan import Scan
from .segmentation.engines import engine_for, renumbered
from .segmentation.vertebrae import Vertebra, Vertebrae
from .settings import Settings

#: Called with the name of the stage and the fraction of it that is done.
Progress = Callable[[str, float], None]

STAGES = ("segmentation", "roi", "calibration", "measurement", "assessment")

_THICK_SLICE_MM = 3.0
_HETEROGENEOUS_SD_HU = 60.0
_HEIGHT_LOSS = 0.15
_OUTSIDE_BODY = 0.05
_CALIBRATION_REFUSALS = (Code.PHANTOM_NOT_FOUND, Code.CALIBRATION_FAILED)
_NETWORK_DISAGREEMENT_MG_CM3 = 20.0


@dataclass(frozen=True)
class VertebraMeasurement:
    """One measured vertebra. The network's values are None where there is no calibration.

    ``height_loss``: fraction of height lost against its own and its neighbours' heights; ``exclusions``: what was left out
    of the ROI.
    """

    vertebra: Vertebra
    heights: Heights
    density: Density
    vbmd_network_mg_cm3: float | None
    low_bone_mass_probability: float | None
    flags: tuple[Code, ...]
    height_loss: float | None = None
    exclusions: tuple[Exclusion, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """Everything one run found. ``roi``: uint8 label map on the scan's grid, VerSe numbers."""

    scan: Scan
    vertebrae: Vertebrae
    roi: sitk.Image
    calibration: Calibration
    measured: tuple[VertebraMeasurement, ...]
    assessment: Assessment
    settings: Settings
    device: str
    models: tuple[Model, ...]
    seconds: dict[str, float] = field(default_factory=dict)


class NotMeasured(Refused):
    """Refused after the vertebrae were found: they are kept, so that the user can see what is there."""

    def __init__(self, code: Code, vertebrae: Vertebrae):
        super().__init__(code)
        self.vertebrae = vertebrae


def measure(scan: Scan, settings: Settings = Settings(), progress: Progress = lambda stage, fraction: None) -> Measurement:
    """Measure a scan.

    Raises Refused when nothing can be measured (NO_VERTEBRAE, MODEL_DAMAGED, ...), and NotMeasured, which carries the
    vertebrae, when none of the wanted levels can be. What withholds only the patient's value or category is not raised
    but listed in ``assessment.refusals`` and ``assessment.flags``. Raises ValueError for settings that make no sense.
    """
    seconds: dict[str, float] = {}
    device = working_device(settings.device)
    with _stage("segmentation", seconds, progress):
        vertebrae = _vertebrae(scan, settings, device, progress)
    with _stage("roi", seconds, progress):
        regions, missing = regions_of(scan, vertebrae, settings)
    if not regions:
        raise NotMeasured(missing[0], vertebrae)
    with _stage("calibration", seconds, progress):
        centre = np.mean([region.vertebra.centroid_lps_mm for region in regions], axis=0)
        calibration, calibration_flags = calibrate(scan, settings.calibration, centre)
    refusals = _refusals(scan, vertebrae, calibration, calibration_flags, settings)
    with _stage("measurement", seconds, progress):
        density = calibration.density if calibration.usable and Code.CONTRAST not in refusals else None
        same_material = density is not None and calibration.material == MATERIAL
        readings = [read_density(scan.image, region.centre_lps_mm, device) if same_material else None for region in regions]
        measured = tuple(_measured(scan, region, density, reading) for region, reading in zip(regions, readings))
    with _stage("assessment", seconds, progress):
        flags = [*vertebrae.flags, *_scan_flags(scan), *missing, *calibration_flags]
        flags += [Code.DEVICE_FALLBACK] if settings.device == "cuda" != device else []
        flags += [Code.NETWORK_OTHER_MATERIAL] if density and not same_material else []
        values = {each.vertebra.level: each.density.vbmd_roi_mg_cm3 for each in measured}
        assessment = diagnosis.assess(values, tuple(dict.fromkeys(flag for flag in flags if flag not in refusals)), refusals)
    models = vertebrae.models + ((identity(DENSITY),) if same_material else ())
    return Measurement(scan, vertebrae, _roi_map(scan, regions), calibration, measured, assessment, settings, device, models, seconds)


@contextmanager
def _stage(name: str, seconds: dict[str, float], progress: Progress):
    progress(name, 0.0)
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start
    progress(name, 1.0)


def _vertebrae(scan: Scan, settings: Settings, device: str, progress: Progress) -> Vertebrae:
    engine = engine_for(settings.engine, settings.bodies, device)
    vertebrae = engine.segment(scan, lambda fraction: progress("segmentation", fraction))
    return renumbered(vertebrae, *settings.level_at) if settings.level_at else vertebrae


def _refusals(
    scan: Scan, vertebrae: Vertebrae, calibration: Calibration, calibration_flags: tuple[Code, ...], settings: Settings
) -> tuple[Code, ...]:
    """What withholds the patient's value, unless the user allowed it."""
    found = [flag for flag in (Code.TRANSITIONAL_ANATOMY, Code.LEVEL_UNCERTAIN) if flag in vertebrae.flags]
    if scan.acquisition.contrast == "yes" and calibration.usable:
        found.append(Code.CONTRAST)
    # With auto these are flags; a phantom that was asked for must be there and good.
    found += [flag for flag in calibration_flags if flag in _CALIBRATION_REFUSALS and settings.calibration != "auto"]
    return tuple(code for code in found if code not in settings.allow)


def _scan_flags(scan: Scan) -> list[Code]:
    thickness = max(scan.acquisition.slice_thickness_mm or 0.0, *scan.spacing_mm)
    flags = [Code.THICK_SLICES] if thickness > _THICK_SLICE_MM else []
    if scan.acquisition.sharp_kernel:
        flags.append(Code.SHARP_KERNEL)
    if scan.acquisition.contrast == "yes":
        flags.append(Code.CONTRAST)
    return flags


def _measured(scan: Scan, region: Region, density, reading: tuple[float, float] | None) -> VertebraMeasurement:
    value = densitometry.measure(
        region.hu, region.body, region.roi.eroded, region.roi.roi, scan.voxel_cm3, density, region.roi.excluded, scan.spacing_mm[::-1]
    )
    heights = densitometry.heights(region.roi.body_points_lps_mm, region.up, region.forward)
    network = reading or (None, None)
    flags = list(region.vertebra.flags)
    if region.edited:
        flags.append(Code.ROI_EDITED)
        if (region.roi.roi & ~region.body).sum() > _OUTSIDE_BODY * region.roi.roi.sum():
            flags.append(Code.ROI_OUTSIDE_BODY)
    if value.roi_sd_hu > _HETEROGENEOUS_SD_HU and not scan.acquisition.sharp_kernel:
        flags.append(Code.ROI_HETEROGENEOUS)
    if region.roi.exclusions:
        flags.append(Code.ROI_FINDING_EXCLUDED)
    if heights.loss > _HEIGHT_LOSS:
        flags.append(Code.HEIGHT_LOSS)
    if reading and abs(network[0] - value.vbmd_roi_mg_cm3) > _NETWORK_DISAGREEMENT_MG_CM3:
        flags.append(Code.NETWORK_DISAGREES)
    return VertebraMeasurement(region.vertebra, heights, value, *network, tuple(flags), exclusions=region.roi.exclusions)


def _roi_map(scan: Scan, regions: list[Region]) -> sitk.Image:
    labels = np.zeros(scan.hu.shape, dtype=np.uint8)
    for region in regions:
        labels[region.place][region.roi.roi] = region.vertebra.label
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(scan.image)
    return image
