"""Random pose, scanner and patient for training cubes: MONAI's transforms, and three of CT's own.

Cubes are dicts of arrays (channels, z, y, x) along the patient's axes: ``image`` holds HU first, then maps that are
interpolated with it; ``structures`` holds labels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from monai.data import set_track_meta
from monai.transforms import (
    Compose,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    Randomizable,
    RandScaleIntensityd,
    RandShiftIntensityd,
    Transform,
)

from ..grid import AIR_HU
from .annotated import UNNAMED
from .ossification import RandOssified

#: Tissues that are told apart by their HU alone when a scan is rendered from its labels: upper limits.
_TISSUE_LIMITS_HU = (-300.0, -20.0, 140.0)
#: Numbers of these tissues, from air to bone without a name, beyond those of structures.
_FIRST_TISSUE = 100


def augmentation(
    size: int, spacing_mm: float, shift_mm: float, rotation: float, seed: int, ossified: float = 0.0
) -> Callable[[dict], dict]:
    """The random transform of cubes to ``size``³: pose, rendering, slice thickness, kernel, noise, contrast, field of view.

    ``shift_mm``: largest shift along each axis; ``rotation``: largest angle about each, radians; ``ossified``: share of cubes
    in which discs and ligaments become bone.
    """
    set_track_meta(False)
    affine = RandAffined(
        ["image", "structures"],
        prob=1.0,
        rotate_range=(rotation,) * 3,
        scale_range=(0.2,) * 3,
        shear_range=(0.05,) * 6,
        translate_range=(shift_mm / spacing_mm,) * 3,
        spatial_size=(size,) * 3,
        mode=["bilinear", "nearest"],
        padding_mode=["border", "zeros"],
    )
    scanner = Compose(
        [
            RandThickSlices(0.5, (1.0, 6.0), spacing_mm),
            RandGaussianSmoothd("hu", prob=0.3, sigma_x=(0.1, 1.0), sigma_y=(0.1, 0.7), sigma_z=(0.1, 0.7)),
            RandScaleIntensityd("hu", prob=0.5, factors=0.25),
            RandShiftIntensityd("hu", prob=0.5, offsets=40.0),
            RandGaussianNoised("hu", prob=0.5, std=50.0),
            RandFieldOfView(0.15),
        ]
    )
    flip = RandFlipd(["image", "structures"], prob=0.5, spatial_axis=2)
    steps = Compose([affine, flip, RandOssified(ossified, spacing_mm), RandRendered(0.2), SplitHu(), scanner])
    return steps.set_random_state(seed)


class SplitHu(Transform):
    """``image`` into ``hu`` (1, z, y, x) and ``maps`` (the rest)."""

    def __call__(self, cube: dict) -> dict:
        return {"hu": cube["image"][:1], "maps": cube["image"][1:], "structures": cube["structures"]}


class RandRendered(Randomizable, Transform):
    """Rendering from labels: every structure, and every tissue that HU tell apart, gets a mean and contrast of its own.

    The idea of domain randomisation (Billot et al., SynthSeg, Med Image Anal 2023), within what CT can show: the order of
    air, fat, soft tissue and bone stays on the whole.
    """

    def __init__(self, prob: float):
        self._prob = prob

    def __call__(self, cube: dict) -> dict:
        if self.R.random() >= self._prob:
            return cube
        image, structures = torch.as_tensor(cube["image"]).clone(), torch.as_tensor(cube["structures"])[0]
        hu = image[0]
        tissue = torch.bucketize(hu, torch.tensor(_TISSUE_LIMITS_HU)) + _FIRST_TISSUE
        named = (structures > 0) & (structures != UNNAMED) & (hu >= _TISSUE_LIMITS_HU[0])
        part = torch.where(named, structures.long(), tissue)
        for label in part.unique().tolist():
            inside = part == label
            soft = _FIRST_TISSUE <= label < _FIRST_TISSUE + len(_TISSUE_LIMITS_HU)
            mean = hu[inside].mean()
            hu[inside] = (
                mean + self.R.uniform(*((-40.0, 60.0) if soft else (-60.0, 150.0))) + (hu[inside] - mean) * self.R.uniform(0.6, 1.4)
            )
        return {**cube, "image": image}


class RandThickSlices(Randomizable, Transform):
    """Thicker slices: means over the thickness, interpolated in between as resampling of a scan does."""

    def __init__(self, prob: float, thickness_mm: tuple[float, float], spacing_mm: float):
        self._prob, self._thickness, self._spacing = prob, thickness_mm, spacing_mm

    def __call__(self, cube: dict) -> dict:
        thickness = self.R.uniform(*self._thickness)
        if self.R.random() >= self._prob or thickness <= self._spacing:
            return cube
        hu = torch.as_tensor(cube["hu"])[None]
        depth, *plane = hu.shape[2:]
        slices = max(2, round(depth * self._spacing / thickness))
        thick = torch.nn.functional.interpolate(hu, (slices, *plane), mode="area")
        return {**cube, "hu": torch.nn.functional.interpolate(thick, (depth, *plane), mode="trilinear", align_corners=False)[0]}


class RandFieldOfView(Randomizable, Transform):
    """The scan ends inside the cube: padding beyond a random plane, and nothing to be found there."""

    def __init__(self, prob: float):
        self._prob = prob

    def __call__(self, cube: dict) -> dict:
        if self.R.random() >= self._prob:
            return cube
        cut = {key: torch.as_tensor(array).clone() for key, array in cube.items()}
        axis, size = self.R.choice([1, 1, 1, 2, 3]), cut["hu"].shape[1]
        kept = int(size * self.R.uniform(0.7, 0.95))
        beyond = [slice(None)] * 4
        beyond[axis] = slice(kept, None) if self.R.random() < 0.5 else slice(0, size - kept)
        for key, array in cut.items():
            array[tuple(beyond)] = AIR_HU if key == "hu" else 0
        return cut


def collated(cubes: list[dict]) -> dict[str, torch.Tensor]:
    """One batch of cubes as float32 tensors."""
    return {key: torch.stack([torch.as_tensor(np.asarray(cube[key])).float() for cube in cubes]) for key in cubes[0]}
