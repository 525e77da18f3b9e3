"""Bone where there should be none: ossified discs and the flowing bands of an ankylosed spine, painted into training cubes.

In ankylosing spondylitis and diffuse idiopathic skeletal hyperostosis the column becomes one piece of bone: what divides
bodies is then the line of the endplates, and what bounds them is the line of the cortex, not the border of bone.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from monai.transforms import Randomizable, Transform
from scipy import ndimage

#: Discs higher than this are not filled: there the next body was not labelled.
_HIGHEST_DISC_MM = 15.0
_THICKEST_BAND_MM = 9.0
#: Scale of the patches in which ossification comes and goes.
_PATCH_MM = 18.0
#: HU below which nothing is bone of a body, for the mean of its marrow.
_MARROW_HU = (0.0, 400.0)


class RandOssified(Randomizable, Transform):
    """Ossifies discs, the front and the sides of the column, in patches or throughout; labels stay as they are.

    ``image``: HU first, then the map of bodies that are asked for; ``structures`` 1: bodies. Bone only grows: no HU falls.
    """

    def __init__(self, prob: float, spacing_mm: float):
        self._prob, self._spacing = prob, spacing_mm

    def __call__(self, cube: dict) -> dict:
        if self.R.random() >= self._prob:
            return cube
        image = torch.as_tensor(cube["image"]).clone()
        hu, bodies = image[0].numpy(), np.asarray(cube["structures"])[0] == 1
        if not bodies.any():
            return cube
        discs = disc_spaces(bodies, round(_HIGHEST_DISC_MM / self._spacing))
        # Marrow, as it is between the trabeculae of this patient: new bone is of its density or denser.
        marrow = float(np.clip(hu[bodies].mean(), *_MARROW_HU))
        which = self.R.random()
        if which < 0.8:
            self._grow(hu, discs * self._patches(hu.shape), marrow * self.R.uniform(0.7, 1.3) + self.R.uniform(0.0, 120.0))
        if which >= 0.3:
            self._grow(hu, self._band(bodies | discs), self.R.uniform(200.0, 900.0))
        return {**cube, "image": image}

    def _grow(self, hu: np.ndarray, share: np.ndarray, bone_hu: float) -> None:
        """Mix bone of about ``bone_hu`` into ``hu`` (z, y, x), as much as ``share`` says."""
        grain = ndimage.gaussian_filter(self.R.normal(size=hu.shape), self.R.uniform(0.5, 1.5))
        texture = grain / grain.std() * self.R.uniform(10.0, 80.0) + self._smooth(hu.shape) * self.R.uniform(0.0, 80.0)
        hu += share * np.maximum(bone_hu + texture - hu, 0.0)

    def _patches(self, shape: tuple[int, ...]) -> np.ndarray:
        """How much of a disc is bone, 0 to 1: all of it in every other patient, patches in the others."""
        if self.R.random() < 0.5:
            return np.full(shape, self.R.uniform(0.6, 1.0))
        return np.clip(0.5 + 2.0 * (self._smooth(shape) + self.R.uniform(-0.5, 1.0)), 0.0, 1.0)

    def _band(self, column: np.ndarray) -> np.ndarray:
        """How much of a voxel before or beside the column, (z, y, x), is the band, 0 to 1."""
        if self.R.random() < 0.5:
            thickness = self.R.uniform(1.5, _THICKEST_BAND_MM) * np.clip(0.6 + 0.6 * self._smooth(column.shape), 0.0, 1.5)
        else:
            # Thin bridges of even thickness, like syndesmophytes.
            thickness = np.full(column.shape, self.R.uniform(1.0, 3.0))
        distance, nearest = ndimage.distance_transform_edt(~column, sampling=self._spacing, return_indices=True)
        _z, y, x = np.indices(column.shape, sparse=True)
        seen = np.argwhere(column)
        middle = seen[:, 1:].mean(axis=0)
        # 0: straight to the front, +-pi: to the canal.
        angle = np.arctan2(x - middle[1], -(y - middle[0]))
        centre, half_width = self.R.uniform(-1.2, 1.2), self.R.uniform(0.3, 1.6)
        beside = (np.abs(angle - centre) < half_width) & (np.abs(angle) < 0.6 * math.pi)
        # Not over the cut ends of the column.
        level = np.zeros_like(column)
        level[seen[:, 0].min() : seen[:, 0].max() + 1] = True
        beside = beside & level & (nearest[0] > seen[:, 0].min()) & (nearest[0] < seen[:, 0].max())
        return np.where(column, 0.0, np.clip((thickness - distance) / self._spacing + 0.5, 0.0, 1.0)) * beside

    def _smooth(self, shape: tuple[int, ...]) -> np.ndarray:
        """A random field (z, y, x) of mean 0 and SD about 1 that changes over ``_PATCH_MM``."""
        coarse = [max(2, round(n * self._spacing / _PATCH_MM)) for n in shape]
        field = torch.from_numpy(self.R.normal(size=(1, 1, *coarse)).astype(np.float32))
        return 1.6 * torch.nn.functional.interpolate(field, shape, mode="trilinear", align_corners=True)[0, 0].numpy()


def disc_spaces(bodies: np.ndarray, highest: int) -> np.ndarray:
    """What lies between bodies, (z, y, x) along the patient's axes, that are at most ``highest`` voxels apart along z."""
    padding = ((highest, highest), (0, 0), (0, 0))
    line = np.ones((highest + 1, 1, 1), dtype=bool)
    closed = ndimage.binary_closing(np.pad(bodies, padding), line)[highest:-highest]
    return closed & ~bodies
