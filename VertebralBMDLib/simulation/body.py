"""The trunk: skin, subcutaneous fat, muscle wall, lungs above the diaphragm.

Everything is measured from the outer surface of the muscle wall, a superellipse whose centre and
half axes change with z; ribs and pelvis are placed in that same wall. LPS mm, L1 centre at 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.simulation.materials import AIR
from VertebralBMDLib.simulation.shapes import Canvas, coverage
from VertebralBMDLib.simulation.spine import Sex, Spine
from VertebralBMDLib.simulation.tissues import SmoothField, Tissues

EXPONENT = 2.45
SKIN_MM = 1.8
SLAB = 12  # slices drawn at once: bounds the memory of a full field

_Z = np.array([-280.0, -200.0, -140.0, -70.0, 0.0, 80.0, 170.0, 260.0])
_HALF_X = np.array([165.0, 160.0, 147.0, 134.0, 138.0, 146.0, 150.0, 140.0])
_HALF_Y = np.array([100.0, 94.0, 88.0, 84.0, 90.0, 98.0, 102.0, 92.0])
_FAT = np.array([1.4, 1.3, 1.2, 1.1, 0.9, 0.7, 0.6, 0.6])
_RING = np.array([46.0, 40.0, 18.0, 13.0, 12.0, 12.0, 12.0, 12.0])
_RING_BACK, _RING_FRONT = 20.0, 11.0


@dataclass(frozen=True)
class Trunk:
    """One person's trunk: profiles over z, fat thickness (back, side, front) and the diaphragm."""

    half_x: np.ndarray
    half_y: np.ndarray
    back_y: np.ndarray
    fat_mm: tuple[float, float, float]
    dome_mm: tuple[float, float]

    def profile(self, values: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.interp(z, _Z, values)

    def ellipse(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(centre y, half x, half y) of the outer muscle surface at z."""
        half_x, half_y = self.profile(self.half_x, z), self.profile(self.half_y, z)
        return self.profile(self.back_y, z) - half_y, half_x, half_y

    def wall_point(self, angle_deg: float, z: float, inset_mm: float) -> np.ndarray:
        """Point inside the left wall: 90 degrees is the back, 0 the side, -90 the front."""
        center, a, b = (float(c) for c in self.ellipse(np.array(z)))
        c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
        radius = (np.abs(c / (a - inset_mm)) ** EXPONENT + np.abs(s / (b - inset_mm)) ** EXPONENT) ** (-1 / EXPONENT)
        return np.array([radius * c, center + radius * s, z])

    def skin_back(self, z: np.ndarray) -> np.ndarray:
        """y of the skin in the midline of the back."""
        return self.profile(self.back_y, z) + self.fat_mm[0] * self.profile(_FAT, z) + SKIN_MM

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Axial (x, y) box of the skin."""
        margin = max(self.fat_mm) * _FAT.max() + SKIN_MM
        center, a, b = self.ellipse(_Z)
        return np.array([-a.max() - margin, (center - b).min() - margin]), np.array([a.max() + margin, self.skin_back(_Z).max()])

    def dome(self, x: np.ndarray, y: np.ndarray, center_y: np.ndarray) -> np.ndarray:
        """z of the diaphragm above a point: a dome on each side, deep sulcus at the rim."""
        a, b = 0.55 * self.half_x[5], 0.95 * self.half_y[5]
        ring = ((np.abs(x) - 0.45 * self.half_x[5]) / a) ** 2 + ((y - center_y) / b) ** 2
        return np.where(x < 0, *self.dome_mm) - 100.0 * ring


def make_trunk(rng: np.random.Generator, sex: Sex, spine: Spine) -> Trunk:
    """Draw a trunk that holds this spine: the wall runs just behind the spinous processes."""
    scale = {"F": 0.97, "M": 1.06}[sex] * spine.size / 0.99
    girth = rng.normal(1.0, 0.05)
    line = spine.line(0.0)
    spine_y = np.polyval(np.polyfit(line[2:, 2], line[2:, 1], 3), np.clip(_Z, line[0, 2] - 20.0, line[-1, 2]))
    back = spine_y + 67.0 * spine.size + rng.uniform(0.0, 5.0) + np.interp(_Z, [-150.0, -60.0], [30.0, 0.0])
    fat = float(np.clip(rng.lognormal(np.log(19.0), 0.4), 7.0, 50.0))
    fats = (fat * rng.uniform(0.6, 1.0), fat * rng.uniform(0.7, 1.1), fat * rng.uniform(0.8, 1.4))
    top = rng.uniform(85.0, 120.0)
    belly = 1.0 + rng.uniform(-0.08, 0.25) * np.interp(_Z, [-200.0, -70.0, 120.0], [0.3, 1.0, 0.0])
    return Trunk(
        _HALF_X * scale * girth,
        _HALF_Y * scale * rng.normal(1.0, 0.05) * belly,
        back,
        fats,
        (top, top - rng.uniform(5.0, 18.0)),
    )


def paint_trunk(canvas: Canvas, trunk: Trunk, tissues: Tissues, texture: SmoothField, grain_mm: float) -> None:
    """Close the body around what has been drawn: lungs, wall, fat, skin and the air outside."""
    grid = canvas.grid
    x, y, z_all = (grid.axis(k) for k in range(3))
    x3, y3 = x.astype(np.float32)[None, None, :], y.astype(np.float32)[None, :, None]
    for start in range(0, grid.size[2], SLAB):
        z = z_all[start : start + SLAB]
        hu = canvas.hu[start : start + SLAB]
        field = texture.at(x, y, z, grain_mm)
        center, half_x, half_y, fat_share, ring = (
            p.astype(np.float32)[:, None, None] for p in (*trunk.ellipse(z), trunk.profile(_FAT, z), trunk.profile(_RING, z))
        )
        dy = y3 - center
        radius2 = x3**2 + dy**2
        level = (np.abs(x3 / half_x) ** EXPONENT + np.abs(dy / half_y) ** EXPONENT) ** np.float32(1.0 / EXPONENT)
        outside = np.sqrt(radius2) * (1.0 - 1.0 / np.maximum(level, 1e-3))
        sideways = x3**2 / np.maximum(radius2, 1.0)
        back, side, front = trunk.fat_mm
        fat_mm = fat_share * (side * sideways + (1.0 - sideways) * np.where(dy > 0, np.float32(back), np.float32(front)))
        # gluteal muscle below; behind, room for the muscles of the back; a thin wall in front
        rearward = np.clip(dy / half_y, -1.0, 1.0)
        ring = ring + np.where(rearward > 0, np.maximum(np.float32(_RING_BACK) - ring, 0.0), ring - np.float32(_RING_FRONT)) * rearward
        _paint_lungs(hu, trunk, canvas.beam.hu(tissues.lung), (x3, y3, z.astype(np.float32)[:, None, None]), outside + ring, center, field)
        for distance, material in (
            (-ring - outside, tissues.muscle),
            (-outside, tissues.fat),
            (fat_mm - outside, tissues.skin),
            (fat_mm + SKIN_MM - outside, AIR),
        ):
            share = coverage(distance, grid.spacing_mm[0])
            hu += share * (np.float32(canvas.beam.hu(material)) - hu)
        hu += np.where(hu > -300.0, np.float32(5.0), np.float32(0.0)) * field


def _paint_lungs(
    hu: np.ndarray,
    trunk: Trunk,
    lung_hu: float,
    points: tuple,
    beyond_cavity: np.ndarray,
    center_y: np.ndarray,
    field: np.ndarray,
) -> None:
    """Lungs: inside the chest wall, above the diaphragm, beside the mediastinum."""
    x, y, z = points
    if z.max() < min(trunk.dome_mm) - 120.0:
        return
    mediastinum = np.interp(y.ravel() - float(center_y.mean()), [-40.0, 10.0, 45.0, 75.0], [48.0, 30.0, 20.0, 26.0])
    inside = np.maximum(beyond_cavity + 2.0, mediastinum.astype(np.float32)[None, :, None] - np.abs(x))
    inside = np.maximum(inside, 0.6 * (trunk.dome(x, y, center_y).astype(np.float32) - z))
    share = coverage(inside, 2.0)
    hu += share * (np.float32(lung_hu) + 45.0 * np.maximum(field, -1.0) - hu)
