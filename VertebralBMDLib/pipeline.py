"""The arrows: scan -> vertebrae -> ROI -> calibration -> measurement -> assessment."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import SimpleITK as sitk

from . import diagnosis
from .calibration.contrast import contrast_of
from .calibration.line import Calibration
from .calibration.tiers import calibrate, check_request, converted
from .calibration.tissues import find_tissues
from .densitometry import Heights
from .diagnosis import Assessment
from .measurement import VertebraMeasurement, beam_of, measure_vertebra, unusable
from .network.density import DENSITY, MATERIAL, read_density
from .network.models import Model, identity, working_device
from .network.weights import weight_map
from .quality import Code, Refused
from .regions import Region, heights_of, regions_of
from .scan import Scan, has_thick_slices
from .segmentation.engines import engine_for, renumbered
from .segmentation.vertebrae import Vertebrae
from .settings import Settings

#: Called with the name of the stage and the fraction of it that is done.
Progress = Callable[[str, float], None]

STAGES = ("segmentation", "roi", "calibration", "measurement", "assessment")

_CALIBRATION_REFUSALS = (Code.PHANTOM_NOT_FOUND, Code.TISSUES_NOT_FOUND, Code.CALIBRATION_FAILED)


@dataclass(frozen=True)
class Measurement:
    """Everything one run found.

    ``scan``: with contrast as the blood in the aorta tells it; ``roi``, ``excluded``: uint8 label maps on the scan's grid, VerSe
    numbers: the ROIs, and the findings that were left out of them; ``weights``: where the density network looked (see
    ``network.weights.weight_map``), None where it read nothing.
    """

    scan: Scan
    vertebrae: Vertebrae
    roi: sitk.Image
    excluded: sitk.Image
    calibration: Calibration
    measured: tuple[VertebraMeasurement, ...]
    weights: sitk.Image | None
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
    thresholds = diagnosis.load_thresholds(settings.thresholds)
    check_request(settings.calibration, scan, settings.rods)
    device = working_device(settings.device)
    with _stage("segmentation", seconds, progress):
        vertebrae = _vertebrae(scan, settings, device, progress)
    with _stage("roi", seconds, progress):
        heights = heights_of(vertebrae)
        regions, missing = _regions(scan, vertebrae, heights, settings)
    if not regions:
        raise NotMeasured(missing[settings.levels[0]], vertebrae)
    with _stage("calibration", seconds, progress):
        scan, calibration, calibration_flags = _calibrated(scan, vertebrae, regions, settings)
    refusals = _refusals(scan, vertebrae, calibration, calibration_flags, settings)
    with _stage("measurement", seconds, progress):
        density = calibration.density if calibration.usable and Code.CONTRAST not in refusals else None
        same_material = density is not None and calibration.material == MATERIAL
        beam = beam_of(calibration, scan.acquisition.kvp)
        readings = [read_density(scan.image, region.centre_lps_mm, device, beam) if same_material else None for region in regions]
        measured = tuple(measure_vertebra(scan, region, heights, density, reading) for region, reading in zip(regions, readings))
        weights = weight_map([reading for reading in readings if reading is not None])
    with _stage("assessment", seconds, progress):
        flags = [
            *vertebrae.flags,
            *_scan_flags(scan),
            *(missing[level] for level in settings.levels if level in missing),
            *calibration_flags,
        ]
        flags += [Code.DEVICE_FALLBACK] if settings.device == "cuda" != device else []
        flags += [Code.NETWORK_OTHER_MATERIAL] if density and not same_material else []
        assessment = diagnosis.assess(
            [each.as_level for each in measured],
            settings.levels,
            missing,
            thresholds,
            carries_category=calibration.carries_category,
            uncertainty_mg_cm3=calibration.uncertainty_mg_cm3,
            acquisition=scan.acquisition,
            flags=flags,
            refusals=refusals,
        )
    models = vertebrae.models + ((identity(DENSITY),) if same_material else ())
    maps = [_label_map(scan, regions, name) for name in ("roi", "excluded")]
    return Measurement(scan, vertebrae, *maps, calibration, measured, weights, assessment, settings, device, models, seconds)


@contextmanager
def _stage(name: str, seconds: dict[str, float], progress: Progress):
    progress(name, 0.0)
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start
    progress(name, 1.0)


def _vertebrae(scan: Scan, settings: Settings, device: str, progress: Progress) -> Vertebrae:
    engine = engine_for(settings.engine, settings.bodies, device, settings.bodies_numbering)
    vertebrae = engine.segment(scan, lambda fraction: progress("segmentation", fraction))
    named = renumbered(vertebrae, *settings.level_at) if settings.level_at else vertebrae
    return named.flagged(Code.LEVEL_EXCLUDED, dict(settings.exclude))


def _regions(scan: Scan, vertebrae: Vertebrae, heights: dict[str, Heights], settings: Settings) -> tuple[list[Region], dict[str, Code]]:
    """The wanted vertebrae that can be measured, and why others cannot; stand-ins only where one of L1 and L2 cannot count."""
    regions, missing = regions_of(scan, vertebrae, settings, settings.levels)
    if regions and (missing or any(unusable(scan, region, heights) for region in regions)):
        others = [level for level in diagnosis.levels_to_measure(settings.levels) if level not in settings.levels]
        more, absent = regions_of(scan, vertebrae, settings, [level for level in others if vertebrae.get(level) is not None])
        regions, missing = regions + more, missing | absent
    return regions, missing


def _calibrated(scan: Scan, vertebrae: Vertebrae, regions: list[Region], settings: Settings) -> tuple[Scan, Calibration, list[Code]]:
    """The scan with its contrast as the blood tells it, the calibration, and what there is to say about both."""
    tissues = find_tissues(scan.image, vertebrae.label_map)
    found = contrast_of(tissues, scan.acquisition)
    scan = replace(scan, acquisition=replace(scan.acquisition, contrast=found.contrast))
    centres = [region.vertebra.centroid_lps_mm for region in regions]
    enhanced = found.contrast == "yes" and Code.CONTRAST not in settings.allow
    calibration, flags = calibrate(scan, settings.calibration, centres, tissues, settings.rods, enhanced)
    said = [*flags, *([Code.CONTRAST_TAG_WRONG] if found.header_disagrees else [])]
    if settings.convert is not None and calibration.usable:
        return scan, converted(calibration, *settings.convert), [*said, Code.MATERIAL_CONVERTED]
    return scan, calibration, said


def _refusals(
    scan: Scan, vertebrae: Vertebrae, calibration: Calibration, calibration_flags: Sequence[Code], settings: Settings
) -> tuple[Code, ...]:
    """What withholds the patient's value, unless the user allowed it."""
    found = [flag for flag in (Code.TRANSITIONAL_ANATOMY, Code.LEVEL_UNCERTAIN) if flag in vertebrae.flags]
    if scan.acquisition.contrast == "yes" and calibration.usable:
        found.append(Code.CONTRAST)
    # With auto these are flags; a calibration that was asked for must be there and good.
    if settings.calibration != "auto" and not calibration.usable:
        found += [flag for flag in calibration_flags if flag in _CALIBRATION_REFUSALS]
    return tuple(code for code in found if code not in settings.allow)


def _scan_flags(scan: Scan) -> list[Code]:
    flags = [Code.THICK_SLICES] if has_thick_slices(scan.acquisition, scan.spacing_mm) else []
    if scan.acquisition.sharp_kernel:
        flags.append(Code.SHARP_KERNEL)
    contrast = {"yes": [Code.CONTRAST], "unknown": [Code.CONTRAST_UNKNOWN]}
    return flags + contrast.get(scan.acquisition.contrast, [])


def _label_map(scan: Scan, regions: list[Region], name: str) -> sitk.Image:
    """The masks ``name`` of the regions' ROIs on the scan's grid, with VerSe numbers."""
    labels = np.zeros(scan.hu.shape, dtype=np.uint8)
    for region in regions:
        mask = getattr(region.roi, name)
        if mask is not None:
            labels[region.place][mask] = region.vertebra.label
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(scan.image)
    return image
