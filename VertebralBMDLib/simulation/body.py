"""The trunk's shape: rib cage and belly wall, muscle over it, fat and skin, diaphragm.

Everything is a polar profile around the middle of the trunk at each z: the radius of the wall (ribs and
pelvis are placed in it), the muscle that covers it and the fat over that. LPS mm, L1 centre at 0.
Dimensions are adult means of low confidence, checked by eye against CT.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from VertebralBMDLib.simulation.spine import Sex, Spine

EXPONENT = 2.35
SKIN_MM = 1.8


_LANDMARKS = ("hip", "S3", "L5", "L3", "L1", "T12", "T10", "T8", "T6", "T4", "T3", "T2", "T1", "neck")
_HALF_X = [172.0, 163.0, 147.0, 131.0, 137.0, 140.0, 145.0, 144.0, 138.0, 126.0, 114.0, 96.0, 74.0, 62.0]
_HALF_Y = [99.0, 97.0, 93.0, 91.0, 97.0, 100.0, 103.0, 101.0, 94.0, 83.0, 74.0, 66.0, 60.0, 56.0]
# Wall thickness inside the wall's surface, muscle over it (back, side, front) and share of the fat.
_RING = {
    "back": [50.0, 40.0, 22.0, 16.0, 13.0, 11.0, 9.5, 9.5, 9.5, 9.5, 9.5, 9.5, 9.5, 9.5],
    "side": [76.0, 54.0, 20.0, 13.5, 11.5, 10.5, 9.5, 9.5, 9.5, 9.5, 9.5, 9.5, 9.5, 9.5],
    "front": [12.0, 11.0, 10.0, 9.5, 9.0, 9.5, 9.5, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0],
    # beside the spine the muscles of the back fill the gutter behind the ribs and transverse processes
    "gutter": [0.0, 26.0, 54.0, 45.0, 40.0, 33.0, 26.0, 24.0, 22.0, 20.0, 18.0, 16.0, 14.0, 12.0],
}
_COVER = {
    "back": [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 3.0, 5.0, 8.0, 12.0, 20.0, 28.0, 34.0, 36.0],
    "side": [0.0, 0.0, 0.0, 0.0, 1.0, 3.0, 6.0, 9.0, 16.0, 34.0, 58.0, 84.0, 98.0, 70.0],
    "front": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 9.0, 12.0, 12.0, 9.0, 6.0, 6.0],
}
_FAT = [1.5, 1.4, 1.25, 1.1, 0.95, 0.85, 0.7, 0.6, 0.55, 0.5, 0.5, 0.5, 0.5, 0.5]
_ANGLES = 121
_STEP_MM = 5.0


@dataclass(frozen=True)
class Trunk:
    """One person's trunk: midline and half axes over z, polar profiles (z, angle from -180 to 180 degrees), diaphragm.

    Angles: 0 the left side, 90 the back, -90 the front. `wall` is a radius; ring, cover and fat are thicknesses.
    visceral: fat inside the belly, standard deviations from the usual.
    """

    z: np.ndarray
    center_y: np.ndarray
    half_x: np.ndarray
    half_y: np.ndarray
    wall: np.ndarray
    ring: np.ndarray
    cover: np.ndarray
    fat: np.ndarray
    dome_mm: tuple[float, float]
    apex_mm: float
    visceral: float

    def ellipse(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(centre y, half x, half y) of the wall at z."""
        return tuple(np.interp(z, self.z, v) for v in (self.center_y, self.half_x, self.half_y))

    @functools.cached_property
    def _layers(self) -> np.ndarray:
        """(z * angle, 5): wall, ring, cover, fat, and what a step along the radius is worth across the wall, no circle."""
        bend = np.gradient(np.concatenate([self.wall[:, -2:-1], self.wall, self.wall[:, 1:2]], axis=1), axis=1)[:, 1:-1]
        across = 1.0 / np.hypot(1.0, bend / np.radians(360.0 / (_ANGLES - 1)) / self.wall)
        return np.stack([self.wall, self.ring, self.cover, self.fat, across], axis=-1).astype(np.float32).reshape(-1, 5)

    def polar(self, profiles: np.ndarray, angle_deg: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Profiles (z * angle, ...) at broadcastable angles and heights (bilinear)."""
        row = np.clip((np.asarray(z, float) - self.z[0]) / _STEP_MM, 0.0, len(self.z) - 1.001).astype(np.float32)
        column = np.clip((np.asarray(angle_deg) + 180.0) * ((_ANGLES - 1) / 360.0), 0.0, _ANGLES - 1.001).astype(np.float32)
        i, j = row.astype(np.int32), column.astype(np.int32)
        row, column, at = row - i, column - j, i * _ANGLES + j
        row, column = (share.reshape(share.shape + (1,) * (profiles.ndim - 1)) for share in (row, column))
        corners = [profiles[at + step] for step in (0, 1, _ANGLES, _ANGLES + 1)]
        near, far = (a + column * (b - a) for a, b in (corners[:2], corners[2:]))
        return near + row * (far - near)

    def wall_point(self, angle_deg: float, z: float, inset_mm: float) -> np.ndarray:
        """Point inside the left wall: 90 degrees is the back, 0 the side, -90 the front."""
        radius = float(self.polar(self._layers[:, 0], angle_deg, z)) - inset_mm
        c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
        return np.array([radius * c, float(np.interp(z, self.z, self.center_y)) + radius * s, z])

    def layers(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, ...]:
        """(mm outside the wall, ring, cover, fat) at broadcastable points."""
        dy = y - np.interp(z, self.z, self.center_y)
        angle = np.degrees(np.arctan2(dy, x))
        wall, ring, cover, fat, across = np.moveaxis(self.polar(self._layers, angle, z), -1, 0)
        return (np.hypot(x, dy) - wall) * across, ring, cover, fat

    def skin_outline(self, low_mm: float, high_mm: float) -> tuple[np.ndarray, np.ndarray]:
        """(x, y) of the skin between two heights: (z, angle)."""
        rows = slice(*np.clip(np.searchsorted(self.z, [low_mm - _STEP_MM, high_mm + _STEP_MM]), 1, len(self.z)) - [1, 0])
        radius = (self.wall + self.cover + self.fat)[rows] + SKIN_MM
        angle = np.radians(np.linspace(-180.0, 180.0, _ANGLES))
        return radius * np.cos(angle), self.center_y[rows, None] + radius * np.sin(angle)

    def extent(self, low_mm: float = -170.0, high_mm: float = 190.0) -> tuple[np.ndarray, np.ndarray]:
        """Axial (x, y) box of the skin between two heights."""
        x, y = self.skin_outline(low_mm, high_mm)
        return np.array([x.min(), y.min()]), np.array([x.max(), y.max()])

    def dome(self, x: np.ndarray, y: np.ndarray, center_y: np.ndarray) -> np.ndarray:
        """z of the diaphragm above a point: a dome on each side, deep sulcus at the rim."""
        half_x, half_y = (float(np.interp(0.7 * self.dome_mm[0], self.z, v)) for v in (self.half_x, self.half_y))
        # the centre stays high under the heart, and the front is attached at the xiphoid
        aside, ahead = np.abs(x) - 0.42 * half_x, y - center_y + 8.0
        ring = (aside / (half_x * np.where(aside > 0, 0.60, 1.1))) ** 2 + (ahead / (half_y * np.where(ahead > 0, 0.97, 1.25))) ** 2
        deep = 52.0 + 36.0 * np.clip(ahead / half_y, 0.0, 1.0)  # the sulcus behind reaches lowest
        return np.where(x < 0, *self.dome_mm) - deep * np.minimum(ring**1.3, 2.0)


def make_trunk(rng: np.random.Generator, sex: Sex, spine: Spine) -> Trunk:
    """Draw a trunk that holds this spine: the wall runs just behind the spinous processes."""
    at = _landmark_z(spine)
    z = np.arange(np.floor(at[0] / _STEP_MM) - 8, np.ceil(at[-1] / _STEP_MM) + 8) * _STEP_MM

    def over_z(knots: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter1d(np.interp(z, at, knots), 3.0, mode="nearest")

    scale = {"F": 0.97, "M": 1.06}[sex] * spine.size / 0.99
    girth = scale * rng.normal(1.0, 0.045)
    visceral = float(np.clip(rng.normal(0.0, 1.1), -1.6, 2.8)) + (0.3 if sex == "M" else 0.0)
    belly = 1.0 + (0.085 * visceral + 0.06 * max(visceral - 1.0, 0.0)) * np.interp(z, [at[1], at[3], at[5], at[7]], [0.3, 1.0, 0.8, 0.1])
    waist = {"F": 0.95, "M": 1.0}[sex]
    half_x = over_z(_HALF_X) * girth * np.interp(z, [at[1], at[3], at[5]], [1.0, waist, 1.0]) * (1.0 + 0.4 * (belly - 1.0))
    half_y = over_z(_HALF_Y) * scale * rng.normal(1.0, 0.045) * belly
    line = spine.line(0.0)
    spine_y = np.polyval(np.polyfit(line[2:, 2], line[2:, 1], 3), np.clip(z, line[0, 2] - 20.0, line[-1, 2]))
    back = spine_y + 67.0 * spine.size + rng.uniform(0.0, 5.0) + np.interp(z, [-150.0, -60.0], [30.0, 0.0])
    back -= np.interp(z, [at[9], at[-1]], [0.0, 14.0])
    center_y = back - half_y
    lumbar = np.interp(z, [at[1], at[2], at[4], at[5]], [0.0, 1.0, 1.0, 0.0])[:, None]
    wall = _superellipse(half_x, half_y, 3.0 + 5.0 * lumbar)
    notch = rng.uniform(6.0, 13.0) * lumbar * np.exp(-(((np.abs(_degrees() - 90.0) - 56.0) / 11.0) ** 2))
    wall -= notch
    ring, cover = ({k: over_z(v) for k, v in table.items()} for table in (_RING, _COVER))
    strength = {"F": 0.85, "M": 1.1}[sex] * rng.normal(1.0, 0.12)
    cover = strength * _sectors(cover)
    width = np.interp(z, [at[4], at[6]], [41.0, 27.0])[:, None]
    gutter = ring.pop("gutter")[:, None] * np.exp(-(((_degrees() - 90.0) / width) ** 4))
    ring = _sectors(ring) * (1.0 - 0.04 * notch) * rng.normal(1.0, 0.1) * _bands(rng, z, at, visceral) + gutter
    fat = _draw_fat(rng, sex, z, at, over_z(_FAT), visceral) + notch
    fat = _lie_flat(rng, center_y, wall + cover, fat)
    top = rng.uniform(70.0, 118.0)
    domes = (top, top - rng.uniform(5.0, 20.0))
    return Trunk(z, center_y, half_x, half_y, wall, ring, cover, fat, domes, float(at[-2] + 2.0), visceral)


def _landmark_z(spine: Spine) -> np.ndarray:
    """z of `_LANDMARKS`, ascending."""
    sacrum = float(spine.sacral_frame.origin[2])
    levels = [float(spine.landmark(name).frame.origin[2]) for name in _LANDMARKS[2:-1]]
    return np.array([sacrum - 95.0 * spine.size, sacrum - 40.0, *levels, levels[-1] + 45.0])


def _degrees() -> np.ndarray:
    return np.linspace(-180.0, 180.0, _ANGLES)


def _superellipse(half_x: np.ndarray, half_y: np.ndarray, furrow_mm: np.ndarray) -> np.ndarray:
    """Radius over (z, angle); the back is flatter than the front."""
    c, s = np.cos(np.radians(_degrees())), np.sin(np.radians(_degrees()))
    exponent = EXPONENT + 0.35 * s
    level = (np.abs(c) / half_x[:, None]) ** exponent + (np.abs(s) / half_y[:, None]) ** exponent
    radius = level ** (-1.0 / exponent)
    # the furrow over the spinous processes lies between the muscles of the back
    return radius + furrow_mm * np.exp(-(((np.abs(_degrees() - 90.0) - 22.0) / 12.0) ** 2))


def _bands(rng: np.random.Generator, z: np.ndarray, at: np.ndarray, visceral: float) -> np.ndarray:
    """Share of the wall's thickness over (z, angle): thin at the white line and beside the two straight muscles of the belly."""
    low = ndimage.gaussian_filter1d(((z > at[0]) & (z < at[6])).astype(float), 2.0)[:, None]
    aside = np.abs(_degrees() + 90.0)
    wide = rng.uniform(3.5, 5.5) + 1.2 * max(visceral, 0.0)
    edge = rng.uniform(37.0, 44.0)
    line, border = np.exp(-((aside / wide) ** 4)), np.exp(-(((aside - edge) / 6.0) ** 2))
    straight = np.exp(-(((aside - 0.55 * edge) / 13.0) ** 4))
    return 1.0 + low * (rng.uniform(-0.15, 0.35) * straight - 0.62 * line - 0.5 * border)


def _sectors(thickness: dict[str, np.ndarray]) -> np.ndarray:
    """Back, side and front thickness over (z,) blended over (z, angle)."""
    s = np.sin(np.radians(_degrees()))
    back, front = np.clip(s, 0.0, 1.0) ** 2, np.clip(-s, 0.0, 1.0) ** 2
    return thickness["back"][:, None] * back + thickness["front"][:, None] * front + thickness["side"][:, None] * (1.0 - back - front)


def _draw_fat(rng: np.random.Generator, sex: Sex, z: np.ndarray, at: np.ndarray, share: np.ndarray, visceral: float) -> np.ndarray:
    """Subcutaneous fat over (z, angle), mm: thin to obese, hips, belly, breasts, navel, furrow of the back."""
    median = {"F": 20.0, "M": 15.0}[sex]
    mean = float(np.clip(median * np.exp(rng.normal(0.06 * visceral, 0.5)), 4.0, 60.0))
    sectors = {"back": rng.uniform(0.5, 0.9), "side": rng.uniform(0.6, 1.0), "front": rng.uniform(0.8, 1.35)}
    fat = mean * share[:, None] * _sectors({k: np.full(len(z), v) for k, v in sectors.items()})
    angle = _degrees()

    def bump(center_deg: float, width_deg: float, center_mm: float, width_mm: float) -> np.ndarray:
        away = (angle - center_deg + 180.0) % 360.0 - 180.0
        return np.exp(-0.5 * (((z - center_mm) / width_mm) ** 2)[:, None] - 0.5 * (away / width_deg) ** 2)

    for side in (35.0, 145.0):
        fat += mean * rng.uniform(0.2, 0.7) * bump(side, 22.0, at[2] + rng.uniform(-10.0, 25.0), 32.0)
    fat += mean * rng.uniform(0.0, 0.5) * bump(-90.0, 40.0, at[2] + 20.0, 45.0)
    # an apron of fat sinks to the groin and ends there in a fold; thin people have a hollow belly
    apron = max(mean / median - 1.2, 0.0) * median * rng.uniform(0.1, 0.8)
    fat += apron * bump(-90.0, 45.0, at[2] - 15.0, 38.0)
    for height in at[1] - 25.0, rng.uniform(at[3], at[4] + 10.0):
        depth = float(np.clip(rng.normal(0.25, 0.2) * mean / median, 0.0, 0.6))
        fat *= 1.0 - depth * bump(-90.0, 55.0, height, 9.0)
    size = rng.lognormal(np.log(24.0), 0.35) if sex == "F" else rng.uniform(0.0, 0.25) * mean
    for side in (-52.0, -128.0):
        fat += size * bump(side + rng.normal(0.0, 3.0), 19.0, 0.5 * (at[7] + at[8]) + rng.normal(0.0, 6.0), 38.0)
    wavy = ndimage.gaussian_filter(rng.standard_normal(fat.shape), (6.0, 7.0), mode=("nearest", "wrap"))
    fat *= 1.0 + 0.11 * wavy / wavy.std()
    fat *= 1.0 - rng.uniform(0.2, 0.5) * bump(90.0, 7.0, 40.0, 400.0)
    fat *= 1.0 - rng.uniform(0.3, 0.65) * bump(-90.0, 5.0, at[3] - 12.0, 8.0)
    return np.maximum(fat, 2.0)


def _lie_flat(rng: np.random.Generator, center_y: np.ndarray, inner: np.ndarray, fat: np.ndarray) -> np.ndarray:
    """Fat after the weight of the body has flattened the back on the couch."""
    s = np.sin(np.radians(_degrees()))[None, :]
    skin_y = center_y[:, None] + (inner + fat) * s
    plane = ndimage.gaussian_filter1d(skin_y.max(axis=1), 12.0, mode="nearest")[:, None] - rng.uniform(5.0, 12.0)
    beyond = np.maximum(skin_y - plane, 0.0)
    return np.maximum(fat - np.where(s > 0.3, 0.7 * beyond / np.maximum(s, 0.3), 0.0), np.minimum(fat, 3.0))
