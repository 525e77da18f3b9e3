"""The density network as a function on a scan: one crop around the ROI in, vBMD and probability of low bone mass out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from ..grid import cube_grid, resampled
from .models import import_torch, load

DENSITY = "density"
CROP_SIZE, SPACING_MM = 32, 2.0

#: Reference material of what the network reads; it is never converted.
MATERIAL = "CaHA"

#: Upper limit of low bone mass in mg/cm³, included (ACR; qct_facts 3.1).
_LOW_BONE_MASS_MG_CM3 = 120.0


def read_density(image: sitk.Image, centre_lps_mm: Sequence[float], device: str) -> tuple[float, float]:
    """vBMD in mg/cm³ (CaHA, 120 kVp) of the vertebra around a point, and the probability that it is 120 or less.

    ``image``: HU; ``centre_lps_mm``: centroid of the ROI.
    """
    torch = import_torch()
    crop = sitk.GetArrayFromImage(resampled(image, cube_grid(centre_lps_mm, CROP_SIZE, SPACING_MM))).astype(np.float32)
    with torch.inference_mode():
        vbmd, sd = load(DENSITY, device)(torch.from_numpy(crop)[None, None].to(device))[0].tolist()
    return vbmd, low_bone_mass_probability(vbmd, sd)


def low_bone_mass_probability(vbmd_mg_cm3: float, sd_mg_cm3: float) -> float:
    """P(true vBMD <= 120) for a normal distribution around the reading."""
    return 0.5 * (1 + math.erf((_LOW_BONE_MASS_MG_CM3 - vbmd_mg_cm3) / (sd_mg_cm3 * math.sqrt(2))))
