"""The bone of one vertebral body: shell, density field, marrow, venous canal and the truth ROI.

The field lives on a 1 mm lattice in the body's own frame. Truth is defined there, before any scanner: the ROI is the
body eroded by a 3 mm box, its middle half in height, without the canal of the basivertebral vein and without lesions;
the field is scaled so that its mean over the ROI (before lesions and fractures) is the stated density.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from VertebralBMDLib.simulation.beam import Beam, reference_beam
from VertebralBMDLib.simulation.degeneration import SCLEROSIS_MM
from VertebralBMDLib.simulation.findings import FINDING_LABELS
from VertebralBMDLib.simulation.lesions import Blob, HuOf, lay
from VertebralBMDLib.simulation.materials import Mineral, bone, tissue
from VertebralBMDLib.simulation.shapes import Canvas, coverage
from VertebralBMDLib.simulation.vertebra import BodyShape

LATTICE_MM = 1.0
EROSION_MM = 3.0
# Grain of the trabecular network across and along the body axis, mm, and of the patches in which it varies; the share
# of the variance in the patches. Set against six public scans: inside their bodies neighbours 0.8, 1.6 and 3 mm apart
# correlate by 0.55-0.7, 0.2-0.4 and 0.1-0.25 in the plane, 1, 2 and 3 mm apart along the axis by 0.75, 0.47 and 0.28.
FINE_MM, FINE_UP_MM, COARSE_MM, COARSE_UP_MM, COARSE_SHARE = 0.52, 1.5, 2.6, 3.6, 0.38
TEXTURELESS_MM = 4.5
FOCAL_FAT = 0.05  # SD of the marrow's fat fraction within a body, beside the pockets at the vein
VEIN = tissue({"blood": 0.5, "triglyceride": 0.15, "water": 0.35})
IMPACTION = 1.1  # extra density, as a share, of the band that a fracture packs under the endplate


@dataclass(frozen=True)
class BoneQuality:
    """What one body is made of: reading at 120 kV (mg/cm3 CaHA) and marrow fat (volume fraction).

    wall_mm, endplate_mm: true thickness of the shell (0.35 +- 0.10 mm at L1, Silva 1994; endplates 0.4-0.6 mm, low
    confidence), which blur makes 1-2 mm thick in CT; wall_mg, endplate_mg: its mineral, mg CaHA/cm3. texture: SD of
    the density between neighbouring millimetres as a share. gradient: how much denser the endplates' bone is than
    the core, as a share (outer thirds 10-25 %, low confidence). sclerosis: extra density right under worn endplates.
    vein_depth, vein_count: length of the basivertebral canal as a share of the depth, and one canal, two or none.
    """

    vbmd_120: float
    fat_fraction: float
    wall_mm: float = 0.40
    endplate_mm: float = 0.55
    wall_mg: float = 850.0
    endplate_mg: float = 900.0
    texture: float = 0.30
    gradient: float = 0.35
    sclerosis: float = 0.0
    vein_depth: float = 0.17
    vein_count: int = 1

    @property
    def mineral(self) -> float:
        """True mineral in the ROI, mg CaHA per cm3 of tissue."""
        return reference_beam(120).mineral_for_qct(self.vbmd_120, self.fat_fraction)

    def reading(self, mineral: Mineral, beam: Beam) -> float:
        """Density an ideally calibrated scan reads in this beam, mg/cm3 of that mineral."""
        return beam.qct_equivalent(beam.hu(bone(self.mineral, self.fat_fraction)), mineral)


@dataclass(frozen=True)
class TrabecularField:
    """Mineral (mg CaHA/cm3), fat fraction of the marrow and ROI (0 or 1) on the lattice, (w, v, u) from `low`.

    `whole_roi`: before lesions are taken out. `points`: the lattice's own coordinates; `distance` and `at_endplate`: of the body's surface there.
    """

    low: np.ndarray
    points: tuple[np.ndarray, np.ndarray, np.ndarray]
    distance: np.ndarray
    at_endplate: np.ndarray
    mineral: np.ndarray
    fat: np.ndarray
    roi: np.ndarray
    whole_roi: np.ndarray

    def sample(self, values: np.ndarray, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Linear interpolation of a lattice array at local points."""
        at = [(c - low) / LATTICE_MM for c, low in zip((w, v, u), self.low[::-1])]
        return ndimage.map_coordinates(values, at, order=1, mode="nearest", prefilter=False)


def vein_distance(body: BodyShape, quality: BoneQuality, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> np.ndarray:
    """mm to the basivertebral canal: flat cones in or beside the midline, widest at the posterior wall."""
    back = 0.5 * body.depth * (1.0 - body.hollow)
    length = quality.vein_depth * body.depth
    along = np.clip((v - back + length) / length, 0.0, 1.0)
    distance = np.float32(50.0)
    for side in {0: (), 1: (0.0,), 2: (-3.5, 3.5)}[quality.vein_count]:
        across = np.sqrt(((u - np.float32(side)) / 2.0) ** 2 + (w - 0.06 * body.height) ** 2)
        distance = np.minimum(distance, np.maximum(across - (0.7 + 1.7 * along), back - length - v))
    return distance


def lay_vein(
    body: BodyShape,
    quality: BoneQuality,
    beam: HuOf,
    local: tuple[np.ndarray, np.ndarray, np.ndarray],
    footprint_mm: float,
    *layers: np.ndarray,
) -> None:
    """Blend the basivertebral canal into HU layers at local points; it leaves through the posterior wall."""
    share = coverage(vein_distance(body, quality, *local), footprint_mm)
    contents = np.float32(beam.hu(VEIN))
    for layer in layers:
        layer += share * (contents - layer)


def make_field(
    body: BodyShape, quality: BoneQuality, rng: np.random.Generator, footprint_mm: float = 0.0, blobs: Sequence[Blob] = ()
) -> TrabecularField:
    """The field of one body. The texture is averaged over the samples of a coarse grid, as a scanner would."""
    half = body.reach + EROSION_MM
    axes = [LATTICE_MM * np.arange(-np.ceil(h), np.ceil(h) + 1) for h in half]
    low = np.array([a[0] for a in axes])
    u, v, w = points = tuple(a.astype(np.float32).reshape(s) for a, s in zip(axes, ((1, 1, -1), (1, -1, 1), (-1, 1, 1))))
    distance, at_endplate = body.surfaces(u, v, w)
    vein = vein_distance(body, quality, u, v, w)
    roi = ndimage.minimum_filter((distance < 0).astype(np.uint8), size=2 * round(EROSION_MM / LATTICE_MM) + 1) > 0
    roi &= (np.abs(w) <= 0.25 * body.height) & (vein > LATTICE_MM)
    texture, fatty = _textures(rng, distance.shape, footprint_mm)
    under = np.exp(np.minimum(distance, 0.0) / np.float32(2.0))
    pattern = 1.0 + np.float32(quality.gradient) * (2.0 * w / body.height) ** 2 + 0.14 * v / body.depth + 0.10 * under
    pattern = pattern * np.exp(np.float32(quality.texture) * texture)
    fat = np.float32(FOCAL_FAT) * (fatty + 1.2 * np.maximum(fatty - 1.3, 0.0)) + 0.25 * np.exp(-np.maximum(vein, 0.0) / np.float32(3.0))
    inside = roi if roi.any() else distance < 0
    mineral = np.float32(quality.mineral) * (pattern / pattern[inside].mean())
    fat = np.clip(quality.fat_fraction + fat - fat[inside].mean(), 0.0, 0.98)
    mineral *= 1.0 + _packed(body, quality, u, v, w, distance, at_endplate)
    whole_roi = roi.copy()
    for blob in blobs:
        roi &= blob.share(u, v, w, LATTICE_MM) < 0.02
    arrays = (a.astype(np.float32) for a in (mineral, fat, roi, whole_roi))
    return TrabecularField(low, points, distance, at_endplate, *arrays)


def _textures(rng: np.random.Generator, shape: tuple[int, ...], footprint_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """(density, fat): unit-variance fields on the lattice; the first has a fine grain upon coarse patches.

    Nothing of them is left in samples as large as the patches of the coarse twin.
    """
    if footprint_mm > TEXTURELESS_MM:
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    blur = 0.3 * footprint_mm / LATTICE_MM if footprint_mm > LATTICE_MM else 0.0
    fields = []
    for sigma in ((FINE_UP_MM, FINE_MM, FINE_MM), (COARSE_UP_MM, COARSE_MM, COARSE_MM), (COARSE_MM,) * 3):
        noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), np.array(sigma) / LATTICE_MM, truncate=2.5)
        noise /= noise.std()
        fields.append(ndimage.gaussian_filter(noise, blur, truncate=3.0) if blur and not fields else noise)
    fine, coarse, fatty = fields
    return np.float32(np.sqrt(1.0 - COARSE_SHARE)) * fine + np.float32(np.sqrt(COARSE_SHARE)) * coarse, fatty


def _packed(
    body: BodyShape, quality: BoneQuality, u: np.ndarray, v: np.ndarray, w: np.ndarray, distance: np.ndarray, at_endplate: np.ndarray
) -> np.ndarray:
    """Extra density, as a share, of worn endplates and of the band that a fracture impacts under the upper one."""
    extra = np.float32(quality.sclerosis) * np.where(at_endplate, np.exp(distance / np.float32(0.5 * SCLEROSIS_MM)), 0.0)
    if body.intact_heights_mm is not None:
        lost = 1.0 - min(now / was for now, was in zip(body.heights_mm, body.intact_heights_mm))
        below = np.where(w > 0, body.under_endplate(u, v, w), np.float32(50.0))
        front = np.clip(0.8 - 0.8 * v / body.depth, 0.0, 1.0)
        extra = extra + np.float32(IMPACTION * (0.5 + lost)) * front * np.exp(-(((below - 3.5) / 2.0) ** 2))
    return np.minimum(extra, 3.0)


def shell_of(
    body: BodyShape, quality: BoneQuality, at_endplate: np.ndarray, points: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> np.ndarray:
    """Thickness of the shell at local points, mm: endplates, and a wall thicker in front than behind (Ritzel 1997).

    Where a pedicle meets the body, spongy bone goes through.
    """
    u, v, w = points
    wall = np.float32(quality.wall_mm) * (1.0 - 0.3 * np.clip(v / body.depth, -0.5, 0.5))
    if body.pedicle is not None:
        lateral, width, height = body.pedicle
        off_axis = ((np.abs(u) - lateral) / (0.5 * width - 1.0)) ** 2 + ((w - 0.20 * body.height) / (0.5 * height - 1.0)) ** 2
        wall = wall * np.where(v > 0.25 * body.depth, np.clip(2.0 * off_axis - 1.0, 0.0, 1.0), np.float32(1.0))
    # an endplate is thinnest in the middle and thick at its rim
    off_center = (2.0 * u / body.width) ** 2 + (2.0 * v / body.depth) ** 2
    endplate = np.float32(quality.endplate_mm) * (0.65 + 0.7 * np.clip(off_center, 0.0, 1.0))
    return np.where(at_endplate, endplate, wall)


def paint_body(
    canvas: Canvas,
    body: BodyShape,
    label: int,
    quality: BoneQuality,
    rng: np.random.Generator,
    blobs: Sequence[Blob] = (),
    iodine_mg_ml: float = 0.0,
) -> None:
    """Draw shell, trabecular bone, vein and lesions of one body, and write its label, truth ROI and findings.

    iodine_mg_ml: contrast medium in its marrow.
    """
    window = canvas.grid.window(body.bounds)
    if window is None:
        return
    footprint, beam = canvas.grid.footprint_mm, canvas.beam
    u, v, w = body.frame.to_local(*canvas.grid.points(window))
    distance, at_endplate = body.surfaces(u, v, w)
    touched = distance < footprint
    if not touched.any():
        return
    field = make_field(body, quality, rng, footprint, blobs)
    local = tuple(c[touched] for c in (u, v, w))
    depth, endplate = distance[touched], at_endplate[touched]
    inner = marrow_bone_hu(beam, field.sample(field.mineral, *local), field.sample(field.fat, *local), iodine_mg_ml)
    shell = np.where(endplate, *(np.float32(beam.hu(bone(mg, 0.0))) for mg in (quality.endplate_mg, quality.wall_mg)))
    lay_vein(body, quality, beam, local, footprint, inner, shell)
    shares = lay(blobs, beam, local, footprint, inner, shell)
    outside, thickness = coverage(depth, footprint), shell_of(body, quality, endplate, local)
    marrow = coverage(depth + thickness, footprint)

    def spread(values: np.ndarray) -> np.ndarray:
        full = np.zeros(distance.shape, np.float32)
        full[touched] = values
        return full

    share = canvas.blend(window, spread(outside), spread((outside - marrow) * shell + marrow * inner))
    canvas.bodies[window][share >= 0.5] = label
    canvas.structures[window][share >= 0.5] = 1
    canvas.rois[window][canvas.slice_mean(spread(field.sample(field.roi, *local))) >= 0.5] = label
    if body.spurs:
        half = 0.5 * body.height * (1.0 - body.wedge * local[1] / body.depth)
        lip = body.lip(local[0], local[1], np.clip(local[2] / half, -1.3, 1.3))
        shares.append((FINDING_LABELS["degeneration"], outside * (lip > 1.0) * (depth + lip > 0.0)))
    for name, part in shares:
        canvas.findings[window][canvas.slice_mean(spread(part * outside)) >= 0.5] = name


def marrow_bone_hu(beam: Beam, mineral: np.ndarray, fat: np.ndarray, iodine_mg_ml: float = 0.0) -> np.ndarray:
    """HU of `materials.bone` for arrays of mineral (mg CaHA/cm3) and marrow fat; both enter linearly."""
    (lean_empty, lean_slope), (fat_empty, fat_slope) = (beam.bone_line(share, iodine_mg_ml) for share in (0.0, 1.0))
    empty = np.float32(lean_empty) + np.float32(fat_empty - lean_empty) * fat
    return empty + (np.float32(lean_slope) + np.float32(fat_slope - lean_slope) * fat) * mineral
