"""The density network as a function on a scan: a crop around each ROI in, vBMD with its uncertainty out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from ..grid import box_grid, resampled
from .models import card, import_torch, load, one_thread

DENSITY = "density"

#: Reference material of what the network reads; it is never converted.
MATERIAL = "CaHA"

#: mg/cm³ CaHA per HU by tube voltage (kV): the reference beams of the simulation, within published bands (qct_facts 2.9).
_NOMINAL_SLOPES = {80: 0.5361, 100: 0.6497, 120: 0.7416, 140: 0.8217}
_USUAL_KVP = 120.0
_KVPS = (70.0, 150.0)

#: ACR limits in mg/cm³ (qct_facts 3.1): below the first osteoporosis, up to the second low bone mass.
_OSTEOPOROSIS_MG_CM3, _LOW_BONE_MASS_MG_CM3 = 80.0, 120.0
_TWO_SIDED_95 = 1.959964


@dataclass(frozen=True)
class Beam:
    """What is known of how HU arose: tube voltage in kV (None unknown), the CaHA line of a phantom in the scan, if any, and whether the
    scanner is one that the network was trained on."""

    kvp: float | None = None
    slope_mg_cm3_per_hu: float | None = None
    intercept_mg_cm3: float = 0.0
    own: bool = False

    @property
    def known(self) -> bool:
        """Whether the tube voltage is one that the network has a slope for."""
        return self.kvp is not None and _KVPS[0] <= self.kvp <= _KVPS[1]

    @property
    def calibrated(self) -> bool:
        """Whether a phantom says what HU mean."""
        return self.slope_mg_cm3_per_hu is not None

    def calibrated_hu(self, hu: np.ndarray) -> np.ndarray:
        """HU as the usual tube voltage shows them on an ideal scanner, by the phantom's line; ``hu`` itself without one."""
        if not self.calibrated:
            return hu
        return (self.slope_mg_cm3_per_hu * hu + self.intercept_mg_cm3) / nominal_slope(_USUAL_KVP)

    @property
    def features(self) -> tuple[float, float, float, float]:
        """The network's second input: nominal slope in mg/cm³ CaHA per HU, voltage known, calibrated, own scanner and not calibrated."""
        kvp = self.kvp if self.known and not self.calibrated else _USUAL_KVP
        known = self.known or self.calibrated
        return nominal_slope(kvp), float(known), float(self.calibrated), float(self.own and not self.calibrated)


@dataclass(frozen=True)
class Reading:
    """vBMD in mg/cm³ (CaHA, 120 kVp) as a normal distribution, and where wanted the trabecular weights it rests on (sum 1)."""

    vbmd_mg_cm3: float
    sd_mg_cm3: float
    weights: sitk.Image | None = None

    @property
    def interval95_mg_cm3(self) -> tuple[float, float]:
        """Central 95 % interval."""
        half = _TWO_SIDED_95 * self.sd_mg_cm3
        return self.vbmd_mg_cm3 - half, self.vbmd_mg_cm3 + half

    @property
    def osteoporosis_probability(self) -> float:
        """P(true vBMD < 80)."""
        return probability_below(_OSTEOPOROSIS_MG_CM3, self.vbmd_mg_cm3, self.sd_mg_cm3)

    @property
    def low_bone_mass_probability(self) -> float:
        """P(true vBMD <= 120)."""
        return probability_below(_LOW_BONE_MASS_MG_CM3, self.vbmd_mg_cm3, self.sd_mg_cm3)


def read_density(image: sitk.Image, centre_lps_mm: Sequence[float], device: str, beam: Beam = Beam()) -> Reading:
    """Reading of the vertebra around a point: one crop of HU, of the size and spacing that the network's card names.

    ``image``: HU; ``centre_lps_mm``: centroid of the ROI. The scanner is the network's own where its card says that it was trained for
    the scanners it reads (on a hospital's cohort). Raises Refused (MODEL_DAMAGED, TORCH_MISSING).
    """
    torch = import_torch()
    grid = crop_grid(centre_lps_mm)
    hu = beam.calibrated_hu(sitk.GetArrayFromImage(resampled(image, grid)).astype(np.float32))
    network = load(DENSITY, device)
    with one_thread(torch), torch.inference_mode():
        own = replace(beam, own=beam.own or card(DENSITY)["own_scanners"])
        features = torch.tensor([own.features], device=device)
        reading, weights = network(torch.from_numpy(hu)[None, None].to(device), features)
    map_ = sitk.GetImageFromArray(weights[0, 0].cpu().numpy())
    map_.CopyInformation(grid)
    return Reading(*reading[0].tolist(), map_)


def crop_grid(centre_lps_mm: Sequence[float]) -> sitk.Image:
    """The empty grid that the network reads around a point. Raises Refused (MODEL_DAMAGED)."""
    crop = card(DENSITY)["crop"]
    return box_grid(centre_lps_mm, crop["shape"][::-1], crop["spacing_mm"])


def nominal_slope(kvp: float) -> float:
    """mg/cm³ CaHA per HU at a tube voltage in kV, between the tabulated ones linearly."""
    return float(np.interp(kvp, list(_NOMINAL_SLOPES), list(_NOMINAL_SLOPES.values())))


def probability_below(limit_mg_cm3: float, vbmd_mg_cm3: float, sd_mg_cm3: float) -> float:
    """P(true vBMD < limit) for a normal distribution around the reading."""
    return 0.5 * (1 + math.erf((limit_mg_cm3 - vbmd_mg_cm3) / (sd_mg_cm3 * math.sqrt(2))))
