"""Scans for the tests of rods: a phantom of plain shapes under a block of tissue, drawn in a moment, with known axes and HU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from VertebralBMDLib.calibration.catalogue import Phantom

#: HU per mg/cm³ of the drawn rods, and what the drawn scanner adds.
SLOPE_HU, INTERCEPT_HU = 1.35, 4.0


@dataclass(frozen=True)
class Drawn:
    """A block of water with rods in it under a block of soft tissue, in air.

    LPS mm, z from -length/2 to length/2. ``middle``: of the row at z = 0; ``lean``: mm in x and y that the rods move per mm
    of z; ``z``: where the phantom begins and ends; ``noise``: SD in HU; ``hu``: of each rod, where it is not on the line.
    """

    phantom: Phantom
    middle: tuple[float, float] = (0.0, 60.0)
    lean: tuple[float, float] = (0.0, 0.0)
    roll_deg: float = 0.0
    mirrored: bool = False
    z: tuple[float, float] = (-200.0, 200.0)
    noise: float = 10.0
    field_mm: tuple[tuple[float, float], tuple[float, float]] = ((-110.0, 110.0), (-60.0, 100.0))
    spacing: tuple[float, float, float] = (1.0, 1.0, 3.0)
    length_mm: float = 90.0
    hu: dict | None = None

    def hu_of(self, rod) -> float:
        return self.hu[rod.id] if self.hu else SLOPE_HU * rod.density_mg_cm3 + INTERCEPT_HU

    def axis(self, number: int, z: np.ndarray) -> np.ndarray:
        """(..., 2) x and y of a rod's axis."""
        count = len(self.phantom.rods)
        along = (number - 0.5 * (count - 1)) * self.phantom.rod_spacing_mm * (-1.0 if self.mirrored else 1.0)
        row = np.array([np.cos(np.radians(self.roll_deg)), np.sin(np.radians(self.roll_deg))])
        return np.array(self.middle) + along * row + np.multiply.outer(z, self.lean)

    def image(self) -> sitk.Image:
        (x0, x1), (y0, y1) = self.field_mm
        sx, sy, sz = self.spacing
        x, y, z = np.arange(x0, x1, sx), np.arange(y0, y1, sy), np.arange(-0.5 * self.length_mm, 0.5 * self.length_mm + 0.1, sz)
        hu = np.full((len(z), len(y), len(x)), -1000.0, np.float32)
        hu[:, np.abs(y + 10.0) < 45.0] = 40.0
        for k in np.flatnonzero((z >= self.z[0]) & (z <= self.z[1])):
            self._draw(hu[k], x, y, z[k])
        hu = ndimage.gaussian_filter(hu, (0.0, 0.6 / sy, 0.6 / sx))
        hu += np.random.default_rng(7).normal(0.0, self.noise, hu.shape)
        image = sitk.GetImageFromArray(np.round(hu).astype(np.int16))
        image.SetSpacing(self.spacing)
        image.SetOrigin((x0, y0, float(z[0])))
        return image

    def _draw(self, hu: np.ndarray, x: np.ndarray, y: np.ndarray, z: float) -> None:
        radius = self.phantom.rod_diameter_mm / 2
        axes = np.array([self.axis(k, np.array(z)) for k in range(len(self.phantom.rods))])
        u, v = x[None, :] - axes[:, 0].mean(), y[:, None] - axes[:, 1].mean()
        turn = np.radians(self.roll_deg)
        across, deep = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
        half = 0.5 * (len(axes) - 1) * self.phantom.rod_spacing_mm + radius + 12.0
        hu[(np.abs(across) < half) & (np.abs(deep) < radius + 5.0)] = INTERCEPT_HU
        for rod, (cx, cy) in zip(self.phantom.rods, axes):
            share = np.clip(radius - np.hypot(x[None, :] - cx, y[:, None] - cy) + 0.5, 0.0, 1.0)
            hu += share * (self.hu_of(rod) - INTERCEPT_HU)
