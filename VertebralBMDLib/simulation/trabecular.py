"""The trabecular bone of one vertebral body: density field, venous canal and the truth ROI.

The field lives on a 1 mm lattice in the body's own frame. Truth is defined there, before any
scanner: the ROI is the body eroded by a 3 mm box, its middle half in height, without the canal of
the basivertebral vein; the field is scaled so that its mean over the ROI is the stated density.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from VertebralBMDLib.simulation.beam import Beam, reference_beam
from VertebralBMDLib.simulation.materials import Mineral, bone, tissue
from VertebralBMDLib.simulation.shapes import Canvas, coverage
from VertebralBMDLib.simulation.vertebra import BodyShape

LATTICE_MM = 1.0
EROSION_MM = 3.0
TEXTURE_SD = 0.25  # relative, before blur: 20-40 HU after a soft kernel at 120 mg/cm3
TEXTURE_SIGMA_MM = 0.7
VEIN = tissue({"blood": 0.5, "triglyceride": 0.15, "water": 0.35})
WALL_MM, ENDPLATE_MM = 0.45, 0.65  # true shell 0.35 +- 0.10 mm, endplates 0.4-0.6 mm
WALL_MG, ENDPLATE_MG = 850.0, 950.0


@dataclass(frozen=True)
class BoneQuality:
    """What one body is made of: reading at 120 kV (mg/cm3 CaHA) and marrow fat (volume fraction)."""

    vbmd_120: float
    fat_fraction: float

    @property
    def mineral(self) -> float:
        """True mineral in the ROI, mg CaHA per cm3 of tissue."""
        return reference_beam(120).mineral_for_qct(self.vbmd_120, self.fat_fraction)

    def reading(self, mineral: Mineral, beam: Beam) -> float:
        """Density an ideally calibrated scan reads in this beam, mg/cm3 of that mineral."""
        return beam.qct_equivalent(beam.hu(bone(self.mineral, self.fat_fraction)), mineral)


@dataclass(frozen=True)
class TrabecularField:
    """Relative density (mean 1 over `roi`) and ROI on the lattice, indexed (w, v, u) from `low`."""

    low: np.ndarray
    relative: np.ndarray
    roi: np.ndarray

    def sample(self, values: np.ndarray, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Linear interpolation of a lattice array at local points."""
        at = [(c - low) / LATTICE_MM for c, low in zip((w, v, u), self.low[::-1])]
        return ndimage.map_coordinates(values, at, order=1, mode="nearest", prefilter=False)


def vein_distance(body: BodyShape, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> np.ndarray:
    """mm to the basivertebral canal: a flat cone in the midline, 18 % of the depth long."""
    back = 0.5 * body.depth * (1.0 - body.hollow)
    tip = back - 0.18 * body.depth
    along = np.clip((v - tip) / (back - tip), 0.0, 1.0)
    across = np.sqrt((u / 2.0) ** 2 + (w - 0.06 * body.height) ** 2)
    return np.maximum(across - (0.8 + 1.6 * along), tip - v)


def make_field(body: BodyShape, rng: np.random.Generator, footprint_mm: float) -> TrabecularField:
    """Gradient and texture of one body.

    Denser towards the endplates (10-25 % above the core), behind and under the shell. The texture
    is averaged over the samples of a coarse grid, as a scanner would.
    """
    half = 0.5 * np.array([body.width, body.depth, body.height]) * 1.2 + EROSION_MM
    axes = [LATTICE_MM * np.arange(-np.ceil(h), np.ceil(h) + 1) for h in half]
    low = np.array([a[0] for a in axes])
    u, v, w = (a.astype(np.float32).reshape(s) for a, s in zip(axes, ((1, 1, -1), (1, -1, 1), (-1, 1, 1))))
    distance, _ = body.surfaces(u, v, w)
    texture = rng.standard_normal(distance.shape, dtype=np.float32)
    texture = ndimage.gaussian_filter(texture, TEXTURE_SIGMA_MM / LATTICE_MM)
    texture *= TEXTURE_SD / texture.std()
    if footprint_mm > LATTICE_MM:
        texture = ndimage.gaussian_filter(texture, 0.3 * footprint_mm / LATTICE_MM)
    shape = 1.0 + 0.22 * (2.0 * w / body.height) ** 2 + 0.10 * v / body.depth + 0.10 * np.exp(np.minimum(distance, 0) / 2)
    relative = np.maximum(shape * (1.0 + texture), 0.05)
    reach = round(EROSION_MM / LATTICE_MM)
    roi = ndimage.minimum_filter((distance < 0).astype(np.uint8), size=2 * reach + 1) > 0
    roi &= (np.abs(w) <= 0.25 * body.height) & (vein_distance(body, u, v, w) > LATTICE_MM)
    return TrabecularField(low, (relative / relative[roi].mean()).astype(np.float32), roi.astype(np.float32))


def paint_body(canvas: Canvas, body: BodyShape, label: int, quality: BoneQuality, rng: np.random.Generator) -> None:
    """Draw shell, trabecular bone and vein of one body, and write its label and truth ROI."""
    window = canvas.grid.window(body.bounds)
    if window is None:
        return
    footprint = canvas.grid.footprint_mm
    u, v, w = body.frame.to_local(*canvas.grid.points(window))
    distance, at_endplate = body.surfaces(u, v, w)
    field = make_field(body, rng, footprint)
    touched = distance < footprint
    local = tuple(c[touched] for c in (u, v, w))
    empty, per_mg = (np.float32(x) for x in canvas.beam.bone_line(quality.fat_fraction))
    inner = np.full(distance.shape, empty, np.float32)
    inner[touched] += per_mg * np.float32(quality.mineral) * field.sample(field.relative, *local)
    vein = coverage(vein_distance(body, *local), footprint)
    inner[touched] += vein * (np.float32(canvas.beam.hu(VEIN)) - inner[touched])
    outside = coverage(distance, footprint)
    marrow = coverage(distance + np.where(at_endplate, np.float32(ENDPLATE_MM), np.float32(WALL_MM)), footprint)
    shell = np.where(at_endplate, *(np.float32(canvas.beam.hu(bone(mg, 0.0))) for mg in (ENDPLATE_MG, WALL_MG)))
    share = canvas.blend(window, outside, (outside - marrow) * shell + marrow * inner)
    canvas.bodies[window][share >= 0.5] = label
    canvas.structures[window][share >= 0.5] = 1
    in_roi = np.zeros(distance.shape, np.float32)
    in_roi[touched] = field.sample(field.roi, *local)
    canvas.rois[window][canvas.slice_mean(in_roi) >= 0.5] = label
