"""One vertebra measured: its densities, heights and flags, and whether it may count for the patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import densitometry
from .densitometry import HEIGHT_LOSS_FRACTURE, HEIGHT_LOSS_WARN, HETEROGENEOUS_SD_HU, Density, Heights
from .diagnosis import MeasuredLevel
from .quality import Code
from .regions import Region
from .roi.findings import Exclusion
from .roi.region import LARGEST_EXCLUDED_SHARE
from .scan import THICK_SLICE_MM, Scan
from .segmentation.vertebrae import Vertebra

#: Share of an edited ROI that may lie outside its body, and how far ROI mean and network may differ.
_OUTSIDE_BODY, _NETWORK_DISAGREEMENT_MG_CM3 = 0.05, 20.0

#: Height of a usual lumbar body (qct_facts 5.6).
_BODY_HEIGHT_MM = 26.0

#: Flags for which a vertebra is left out of the patient's mean.
UNUSABLE = (Code.LEVEL_EXCLUDED, Code.FRACTURE, Code.LESION)


@dataclass(frozen=True)
class VertebraMeasurement:
    """One measured vertebra. The network's values are None where there is no calibration.

    ``height_loss``: fraction of height lost against its neighbours and its own shape (None: nothing to compare it with);
    ``exclusions``: what was left out of the ROI.
    """

    vertebra: Vertebra
    heights: Heights
    density: Density
    vbmd_network_mg_cm3: float | None
    low_bone_mass_probability: float | None
    flags: tuple[Code, ...]
    height_loss: float | None = None
    exclusions: tuple[Exclusion, ...] = ()

    @property
    def as_level(self) -> MeasuredLevel:
        """What the vertebra brings to the patient's value; a fractured or largely diseased one does not count."""
        density = self.density
        unusable = next((code for code in UNUSABLE if code in self.flags), None)
        return MeasuredLevel(self.vertebra.level, density.roi_mean_hu, density.vbmd_roi_mg_cm3, density.integral_mg_cm3, unusable)


def measure_vertebra(
    scan: Scan,
    region: Region,
    heights: Mapping[str, Heights],
    density: Callable[[float], float] | None,
    network: tuple[float, float] | None,
) -> VertebraMeasurement:
    """Measure one vertebra.

    ``heights``: of every whole body by its level; ``density``: from HU to mg/cm³, or None without a calibration; ``network``:
    the network's vBMD and probability of low bone mass, or None.
    """
    roi = region.roi
    value = densitometry.measure(region.hu, region.body, roi.eroded, roi.roi, scan.voxel_cm3, density, roi.excluded, scan.spacing_mm[::-1])
    loss = densitometry.height_loss(heights, region.vertebra.level)
    flags = [*region.vertebra.flags, *roi_flags(region, value, scan.acquisition.sharp_kernel), *_height_flags(loss, scan)]
    if network and abs(network[0] - value.vbmd_roi_mg_cm3) > _NETWORK_DISAGREEMENT_MG_CM3:
        flags.append(Code.NETWORK_DISAGREES)
    own = heights[region.vertebra.level]
    return VertebraMeasurement(region.vertebra, own, value, *(network or (None, None)), tuple(flags), loss, roi.exclusions)


def unusable(scan: Scan, region: Region, heights: Mapping[str, Heights]) -> Code | None:
    """Why a vertebra is left out of the patient's mean, known before it is measured."""
    found = (
        *region.vertebra.flags,
        *_finding_flags(region),
        *_height_flags(densitometry.height_loss(heights, region.vertebra.level), scan),
    )
    return next((code for code in UNUSABLE if code in found), None)


def roi_flags(region: Region, value: Density, sharp_kernel: bool) -> list[Code]:
    """What there is to say about a ROI and what it holds; a sharp kernel makes any bone look uneven."""
    flags = []
    if region.edited:
        flags.append(Code.ROI_EDITED)
        if (region.roi.roi & ~region.body).sum() > _OUTSIDE_BODY * region.roi.roi.sum():
            flags.append(Code.ROI_OUTSIDE_BODY)
    if not sharp_kernel and value.roi_texture_sd_hu is not None and value.roi_texture_sd_hu > HETEROGENEOUS_SD_HU:
        flags.append(Code.ROI_HETEROGENEOUS)
    return flags + _finding_flags(region)


def _finding_flags(region: Region) -> list[Code]:
    """ROI_FINDING_EXCLUDED, and LESION where the findings fill too much of the ROI."""
    if not region.roi.exclusions:
        return []
    return [Code.ROI_FINDING_EXCLUDED] + ([Code.LESION] if region.roi.excluded_share > LARGEST_EXCLUDED_SHARE else [])


def _height_flags(loss: float | None, scan: Scan) -> list[Code]:
    """HEIGHT_LOSS or FRACTURE; an end plate is known to half a slice only, so thick slices need more loss."""
    unsure = max(0.0, max(scan.spacing_mm) - THICK_SLICE_MM) / _BODY_HEIGHT_MM
    if loss is None or loss < HEIGHT_LOSS_WARN + unsure:
        return []
    return [Code.FRACTURE if loss >= HEIGHT_LOSS_FRACTURE + unsure else Code.HEIGHT_LOSS]
