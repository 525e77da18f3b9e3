"""One vertebra measured: its densities, heights and flags, and whether it may count for the patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from . import densitometry
from .calibration.line import Calibration
from .densitometry import HEIGHT_LOSS_FRACTURE, HEIGHT_LOSS_WARN, HETEROGENEOUS_SD_HU, Density, Heights
from .diagnosis import MeasuredLevel
from .network.density import MATERIAL, Beam, Reading
from .quality import Code
from .regions import Region
from .roi.findings import Exclusion
from .roi.region import LARGEST_EXCLUDED_SHARE
from .scan import THICK_SLICE_MM, Scan
from .segmentation.vertebrae import Vertebra

#: Share of an edited ROI that may lie outside its body, and how far ROI mean and network may differ.
_OUTSIDE_BODY, _NETWORK_DISAGREEMENT_MG_CM3 = 0.05, 20.0

#: Sources of a calibration that a phantom is behind.
_PHANTOMS = ("phantom", "asynchronous")

#: Height of a usual lumbar body (qct_facts 5.6).
_BODY_HEIGHT_MM = 26.0

#: Flags for which a vertebra is left out of the patient's mean.
UNUSABLE = (Code.LEVEL_EXCLUDED, Code.FRACTURE, Code.LESION)


@dataclass(frozen=True)
class VertebraMeasurement:
    """One measured vertebra. ``network``: what the density network reads, None where there is no calibration in its material.

    ``height_loss``: fraction of height lost against its neighbours and its own shape (None: nothing to compare it with);
    ``exclusions``: what was left out of the ROI.
    """

    vertebra: Vertebra
    heights: Heights
    density: Density
    network: Reading | None
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
    network: Reading | None,
) -> VertebraMeasurement:
    """Measure one vertebra.

    ``heights``: of every whole body by its level; ``density``: from HU to mg/cm³, or None without a calibration.
    """
    roi = region.roi
    value = densitometry.measure(region.hu, region.body, roi.eroded, roi.roi, scan.voxel_cm3, density, roi.excluded, scan.spacing_mm[::-1])
    loss = densitometry.height_loss(heights, region.vertebra.level)
    flags = [*region.vertebra.flags, *roi_flags(region, value, scan.acquisition.sharp_kernel), *_height_flags(loss, scan)]
    flags += network_flags(network.vbmd_mg_cm3, value.vbmd_roi_mg_cm3) if network else []
    own = heights[region.vertebra.level]
    return VertebraMeasurement(region.vertebra, own, value, network, tuple(flags), loss, roi.exclusions)


def unusable(scan: Scan, region: Region, heights: Mapping[str, Heights]) -> Code | None:
    """Why a vertebra is left out of the patient's mean, known before it is measured."""
    found = (
        *region.vertebra.flags,
        *_finding_flags(region),
        *_height_flags(densitometry.height_loss(heights, region.vertebra.level), scan),
    )
    return next((code for code in UNUSABLE if code in found), None)


def roi_flags(region: Region, value: Density, sharp_kernel: bool) -> list[Code]:
    """What there is to say about a ROI and what it holds."""
    edited = edited_flags(region.roi.roi, region.body) if region.edited else []
    return edited + texture_flags(value, sharp_kernel) + _finding_flags(region)


def edited_flags(roi: np.ndarray, body: np.ndarray) -> list[Code]:
    """ROI_EDITED, and ROI_OUTSIDE_BODY for an edited ROI that has left its body. ``roi``, ``body``: masks of one shape."""
    return [Code.ROI_EDITED] + ([Code.ROI_OUTSIDE_BODY] if (roi & ~body).sum() > _OUTSIDE_BODY * roi.sum() else [])


def texture_flags(value: Density, sharp_kernel: bool) -> list[Code]:
    """ROI_HETEROGENEOUS for an ROI that is not one kind of bone; a sharp kernel makes any bone look uneven."""
    uneven = not sharp_kernel and value.roi_texture_sd_hu is not None and value.roi_texture_sd_hu > HETEROGENEOUS_SD_HU
    return [Code.ROI_HETEROGENEOUS] if uneven else []


def beam_of(calibration: Calibration, kvp: float | None) -> Beam:
    """What the network is told about HU: the tube voltage, and the line of a phantom in the network's own material."""
    line = calibration.usable and calibration.source in _PHANTOMS and calibration.material == MATERIAL
    return Beam(kvp, calibration.slope_mg_cm3_per_hu, calibration.intercept_mg_cm3) if line else Beam(kvp)


def network_flags(vbmd_network_mg_cm3: float, vbmd_roi_mg_cm3: float) -> list[Code]:
    """NETWORK_DISAGREES where the network's reading lies far from the ROI's mean."""
    far = abs(vbmd_network_mg_cm3 - vbmd_roi_mg_cm3) > _NETWORK_DISAGREEMENT_MG_CM3
    return [Code.NETWORK_DISAGREES] if far else []


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
