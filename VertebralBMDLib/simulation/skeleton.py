"""Bones other than the bodies: arches, ribs, sacrum and pelvis, as unions of simple solids.

Each is a cortical shell of known thickness around patchy cancellous bone; partial volume does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.simulation.body import Trunk
from VertebralBMDLib.simulation.findings import FINDING_LABELS
from VertebralBMDLib.simulation.lesions import Blob, lay
from VertebralBMDLib.simulation.materials import bone
from VertebralBMDLib.simulation.pelvis import hip_bone
from VertebralBMDLib.simulation.sacrum import Sacrum
from VertebralBMDLib.simulation.shapes import LPS_FRAME, Canvas, Capsule, Frame, Solid, Window, coverage
from VertebralBMDLib.simulation.spine import Spine
from VertebralBMDLib.simulation.trabecular import TEXTURELESS_MM, BoneQuality, marrow_bone_hu
from VertebralBMDLib.simulation.vertebra import Waves

POSTERIOR, SACRUM, RIBS, PELVIS = 2, 3, 4, 5  # values in the structures map; 1 is the bodies
_JOINT_MM = 2.2  # sacroiliac joint, from bone to bone
_USUAL_WALL_MM, _USUAL_WALL_MG = 0.38, 850.0  # shell of a body: means of `population`
_PATCHES = Waves.make(np.random.default_rng(1), 3.0, 12.0, 7)

# By rib from the last but eleventh: angle (degrees, 90 = back) at which its bone ends, and how far it has dropped there (mm).
_RIB_END = {
    "T1": (-60, 40),
    "T2": (-65, 55),
    "T3": (-68, 70),
    "T4": (-70, 85),
    "T5": (-68, 100),
    "T6": (-65, 110),
    "T7": (-60, 120),
    "T8": (-52, 125),
    "T9": (-42, 122),
    "T10": (-28, 118),
    "T11": (8, 100),
    "T12": (47, 100),
}


@dataclass(frozen=True)
class BoneStuff:
    """Cortex thickness (mm), its mineral and the true mineral inside (mg CaHA/cm3), marrow fat.

    patchy: SD of the mineral inside, as a share, over patches of 3-12 mm.
    """

    cortex_mm: float
    cortex_mg: float
    inner_mg: float
    fat_fraction: float
    patchy: float = 0.0

    @classmethod
    def of(cls, first: BoneQuality, usual_mm: float, usual_mg: float, inner_share: float, patchy: float = 0.0) -> BoneStuff:
        """A bone of the person whose L1 is `first`, with that share of its mineral inside.

        Its cortex is as much thicker and denser than usual as the shell of L1 is (how much people differ: low confidence), so that
        no cortex is the same in everyone: a network would take it for a phantom.
        """
        cortex_mm = usual_mm * first.wall_mm / _USUAL_WALL_MM
        return cls(cortex_mm, usual_mg * first.wall_mg / _USUAL_WALL_MG, inner_share * first.mineral, first.fat_fraction, patchy)


def paint_bone(
    canvas: Canvas,
    solids: Sequence[Solid],
    stuff: BoneStuff,
    structure: int | None = None,
    finding: str | None = None,
    blobs: Sequence[Blob] = (),
    frame: Frame = LPS_FRAME,
    beside: Sequence[Solid] = (),
) -> None:
    """Draw the union of solids as one bone, label it and mark it; `blobs` are lesions in it, in `frame`.

    beside: solids of the bone with which it has a joint; it ends a joint space in front of them
    where samples are fine enough to show it.
    """
    boxes = [s.bounds for s in solids]
    whole = canvas.grid.window((np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)))
    if whole is None:
        return
    distance = _union(canvas, whole, list(zip(solids, boxes)))
    if beside and canvas.grid.footprint_mm < TEXTURELESS_MM:
        grown = [(solid, tuple(b + d for b, d in zip(solid.bounds, (-_JOINT_MM, _JOINT_MM)))) for solid in beside]
        np.maximum(distance, np.float32(_JOINT_MM) - _union(canvas, whole, grown), out=distance)
    footprint = canvas.grid.footprint_mm
    outside, inside = coverage(distance, footprint), coverage(distance + np.float32(stuff.cortex_mm), footprint)
    cortex = np.float32(canvas.beam.hu(bone(stuff.cortex_mg, 0.0)))
    inner = _cancellous(canvas, whole, stuff, inside, frame)
    shape = distance.shape
    shares: list[tuple[int, np.ndarray]] = []
    if blobs:
        inner, cortex = (np.broadcast_to(hu, shape).astype(np.float32) for hu in (inner, cortex))
        shares = lay(blobs, canvas.beam, frame.to_local(*canvas.grid.points(whole)), footprint, inner, cortex)
    share = canvas.blend(whole, outside, (outside - inside) * cortex + inside * inner)
    if structure is not None:
        canvas.structures[whole][share >= 0.5] = structure
    if finding is not None:
        canvas.findings[whole][share >= 0.5] = FINDING_LABELS[finding]
    for label, part in shares:
        canvas.findings[whole][canvas.slice_mean(part * outside) >= 0.5] = label


def _union(canvas: Canvas, whole: Window, solids: Sequence[tuple[Solid, tuple]]) -> np.ndarray:
    """Signed distance to solids, each in its own box, over the samples of a window; 50 mm far from all."""
    n = canvas.grid.subslices
    distance = np.full(tuple((s.stop - s.start) * (n if k == 0 else 1) for k, s in enumerate(whole)), 50.0, np.float32)
    for solid, box in solids:
        window = canvas.grid.window(box)
        if window is None:
            continue
        part = [slice(max(w.start, f.start), min(w.stop, f.stop)) for w, f in zip(window, whole)]
        if any(p.start >= p.stop for p in part):
            continue
        points = canvas.grid.points(tuple(part))
        low = [p.start - f.start for p, f in zip(part, whole)]
        z, y, x = (slice(k, k + p.stop - p.start) for k, p in zip(low, part))
        view = distance[z.start * n : z.stop * n, y, x]
        np.minimum(view, solid.distance(*points), out=view)
    return distance


def _cancellous(canvas: Canvas, whole: Window, stuff: BoneStuff, inside: np.ndarray, frame: Frame) -> np.ndarray | np.float32:
    """HU under the cortex; samples larger than the patches see none of them."""
    plain = np.float32(canvas.beam.hu(bone(stuff.inner_mg, stuff.fat_fraction)))
    within = inside > 0.0
    if not stuff.patchy or canvas.grid.footprint_mm > TEXTURELESS_MM or not within.any():
        return plain
    local = (np.broadcast_to(c, inside.shape)[within] for c in frame.to_local(*canvas.grid.points(whole)))
    inner = np.full(inside.shape, plain, np.float32)
    share = np.maximum(1.0 + np.float32(stuff.patchy) * _PATCHES.at(*local), 0.0)
    inner[within] = marrow_bone_hu(canvas.beam, np.float32(stuff.inner_mg) * share, np.float32(stuff.fat_fraction))
    return inner


def rib_pair(spine: Spine, trunk: Trunk, level: str) -> list[list[Capsule]]:
    """Left and right rib: head at the body's back corner, over the transverse process, then in the wall.

    A short rib ends 30-50 mm from its head, within the muscles of the back.
    """
    body, kind = spine.body(level), spine.ribs[spine.index(level)]
    if kind == "none":
        return []
    lowest = max(i for i, rib in enumerate(spine.ribs) if rib == "full")
    end_angle, drop = _RIB_END[f"T{np.clip(12 - lowest + spine.index(level), 1, 12)}"] if kind == "full" else (62.0, 0.0)
    # the heads of the upper ribs reach over the disc above; those of the last two sit on the body
    high = 0.42 if spine.index(level) < 9 else 0.22
    ribs = []
    for side in (-1.0, 1.0):
        head = body.frame.to_world([side * (0.44 * body.width + 3.0), 0.46 * body.depth, high * body.height])
        neck = body.frame.to_world([side * (0.5 * body.width + 17.0), 0.5 * body.depth + 15.0, 0.20 * body.height])
        points = [head, neck]
        if kind == "short":
            points.append(neck + np.array([side * 17.0, 5.0, -9.0]) * spine.size)
        angles = np.arange(62.0, end_angle - 1.0, -6.0) if kind == "full" else np.empty(0)
        share = (62.0 - angles + 8.0) / (62.0 - min(end_angle, 0.0) + 8.0)
        full = drop if end_angle <= 0 else drop * 1.15
        for angle, part in zip(angles, share):
            z = neck[2] - full * np.sin(0.5 * np.pi * min(part * 1.05, 1.0)) - 3.0
            point = trunk.wall_point(angle, z, 6.0)
            points.append(np.array([side * point[0], point[1], z]))
        thin = np.linspace(1.0, 0.8 if kind == "full" else 0.65, len(points))
        ribs.append([Capsule(LPS_FRAME, tuple(p), tuple(q), 3.4 * t, 3.4 * t, 1.8) for p, q, t in zip(points[:-1], points[1:], thin)])
    return ribs


def paint_skeleton(
    canvas: Canvas,
    spine: Spine,
    trunk: Trunk,
    levels: Sequence[str],
    first: BoneQuality,
    blobs: Mapping[str, Sequence[Blob]] = {},
) -> None:
    """Pelvis, sacrum, ribs and arches of the named levels; `first`, the bone of L1, scales them all.

    blobs: lesions of each level, which may reach from the body into the pedicle.
    """
    paint_pelvis(canvas, spine.sacrum, first)
    for level in levels:
        for rib in rib_pair(spine, trunk, level):
            paint_bone(canvas, rib, BoneStuff.of(first, 0.8, 950.0, 0.7), RIBS)
    stuff = BoneStuff.of(first, 0.9, 950.0, 1.2, 0.22)
    for level in levels:
        paint_bone(canvas, spine.arches(level), stuff, POSTERIOR, blobs=blobs.get(level, ()), frame=spine.body(level).frame)


def paint_pelvis(canvas: Canvas, sacrum: Sacrum, first: BoneQuality) -> None:
    """Hip bones, what is left of the sacral discs, and the sacrum."""
    origin, size = sacrum.frame.origin, sacrum.size
    if canvas.grid.window((origin - np.array([150.0, 120.0, 200.0]) * size, origin + np.array([150.0, 100.0, 75.0]) * size)) is None:
        return
    hips = [hip_bone(origin, size, side) for side in (-1.0, 1.0)]
    for whole, _ in hips:
        paint_bone(canvas, whole, BoneStuff.of(first, 1.2, 950.0, 0.75, 0.25), PELVIS)
    paint_bone(canvas, sacrum.remnants(), BoneStuff(0.0, 0.0, 0.35 * first.mineral, 0.1))
    stuff = BoneStuff.of(first, 0.55, 820.0, 1.0, 0.22)
    paint_bone(canvas, sacrum.solids(), stuff, SACRUM, frame=sacrum.frame, beside=[solid for _, facing in hips for solid in facing])
