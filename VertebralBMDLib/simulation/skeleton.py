"""Bones other than the bodies: arches, ribs, sacrum and pelvis, as unions of simple solids.

Each is a cortical shell of known thickness around cancellous bone; partial volume does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from VertebralBMDLib.simulation.body import Trunk
from VertebralBMDLib.simulation.findings import FINDING_LABELS
from VertebralBMDLib.simulation.lesions import Blob, lay
from VertebralBMDLib.simulation.materials import bone
from VertebralBMDLib.simulation.shapes import LPS_FRAME, Canvas, Capsule, Frame, Plate, Solid, coverage
from VertebralBMDLib.simulation.spine import Spine
from VertebralBMDLib.simulation.vertebra import BodyShape

POSTERIOR, SACRUM, RIBS, PELVIS = 2, 3, 4, 5  # values in the structures map; 1 is the bodies

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
    """Cortex thickness (mm), its mineral and the true mineral inside (mg CaHA/cm3), marrow fat."""

    cortex_mm: float
    cortex_mg: float
    inner_mg: float
    fat_fraction: float


def paint_bone(
    canvas: Canvas,
    solids: Sequence[Solid],
    stuff: BoneStuff,
    structure: int | None = None,
    finding: str | None = None,
    blobs: Sequence[Blob] = (),
    frame: Frame = LPS_FRAME,
) -> None:
    """Draw the union of solids as one bone, label it and mark it; `blobs` are lesions in it, in `frame`."""
    boxes = [s.bounds for s in solids]
    whole = canvas.grid.window((np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)))
    if whole is None:
        return
    n = canvas.grid.subslices
    shape = tuple((s.stop - s.start) * (n if k == 0 else 1) for k, s in enumerate(whole))
    distance = np.full(shape, 50.0, np.float32)
    for solid, box in zip(solids, boxes):
        window = canvas.grid.window(box)
        if window is None:
            continue
        part = [slice(w.start - f.start, w.stop - f.start) for w, f in zip(window, whole)]
        part[0] = slice(part[0].start * n, part[0].stop * n)
        view = distance[tuple(part)]
        np.minimum(view, solid.distance(*canvas.grid.points(window)), out=view)
    footprint = canvas.grid.footprint_mm
    outside, inside = coverage(distance, footprint), coverage(distance + np.float32(stuff.cortex_mm), footprint)
    cortex = np.float32(canvas.beam.hu(bone(stuff.cortex_mg, 0.0)))
    inner = np.float32(canvas.beam.hu(bone(stuff.inner_mg, stuff.fat_fraction)))
    shares: list[tuple[int, np.ndarray]] = []
    if blobs:
        inner, cortex = (np.full(shape, hu, np.float32) for hu in (inner, cortex))
        shares = lay(blobs, canvas.beam, frame.to_local(*canvas.grid.points(whole)), footprint, inner, cortex)
    share = canvas.blend(whole, outside, (outside - inside) * cortex + inside * inner)
    if structure is not None:
        canvas.structures[whole][share >= 0.5] = structure
    if finding is not None:
        canvas.findings[whole][share >= 0.5] = FINDING_LABELS[finding]
    for label, part in shares:
        canvas.findings[whole][canvas.slice_mean(part * outside) >= 0.5] = label


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


def sacrum(spine: Spine) -> list[Solid]:
    """S1 body, four more segments curving down and back, and the alae towards the pelvis."""
    f, s = spine.sacral_frame, spine.size
    solids: list[Solid] = [BodyShape(f, 50.0 * s, 33.0 * s, 30.0 * s, flare=(-0.05, -0.05), cups=(1.0, 1.0), wedge=0.15, hollow=0.05)]
    column = [(0, 3, -12, 17), (0, 7, -32, 14), (0, 9, -54, 12), (0, 4, -74, 10), (0, -10, -92, 7), (0, -30, -108, 4)]
    for (x0, y0, z0, r0), (x1, y1, z1, r1) in pairwise(column):
        solids.append(Capsule(f, (x0 * s, y0 * s, z0 * s), (x1 * s, y1 * s, z1 * s), r0 * s, r1 * s))
    for side in (-1.0, 1.0):
        for a, b, ra, rb in (
            ((12, 4, -4), (44, 14, -10), 14, 13),
            ((12, 6, -22), (44, 16, -26), 13, 12),
            ((10, 8, -42), (36, 14, -46), 11, 10),
            ((8, 6, -62), (26, 8, -64), 9, 7),
            ((6, 0, -78), (18, 0, -80), 7, 5),
        ):
            solids.append(
                Capsule(
                    f,
                    (side * a[0] * s, a[1] * s, a[2] * s),
                    (side * b[0] * s, b[1] * s, b[2] * s),
                    ra * s,
                    rb * s,
                    1.25,
                )
            )
        solids.append(Capsule(f, (side * 20.0 * s, 26.0 * s, 8.0 * s), (side * 14.0 * s, 30.0 * s, -60.0 * s), 5.0, 4.0))
    solids.append(Capsule(f, (0.0, 36.0 * s, 0.0), (0.0, 30.0 * s, -62.0 * s), 5.0, 4.0))
    return solids


def pelvis(spine: Spine) -> list[list[Solid]]:
    """Left and right wing: a fan of plates from above the hip to a thick crest, and the sacroiliac part."""
    origin, s = spine.sacral_frame.origin, spine.size
    crest = np.array(
        [
            [44, 50, -40],
            [47, 52, -8],
            [59, 50, 20],
            [76, 44, 42],
            [98, 22, 54],
            [118, -6, 52],
            [129, -32, 36],
            [129, -52, 12],
            [122, -62, -14],
        ],
        float,
    )
    hub = np.array([88.0, -10.0, -78.0])
    wings = []
    for side in (-1.0, 1.0):
        flip = np.array([side, 1.0, 1.0]) * s
        rim, base = origin + crest * flip, origin + hub * flip
        solids: list[Solid] = [Plate(np.array([base, p, q]), 2.8) for p, q in pairwise(rim)]
        solids += [Capsule(LPS_FRAME, tuple(p), tuple(q), 6.0, 6.0, 1.1) for p, q in pairwise(rim)]
        solids.append(Capsule(LPS_FRAME, tuple(origin + np.array([54, 36, -22]) * flip), tuple(base), 10.0, 14.0, 1.2))
        solids.append(
            Capsule(
                LPS_FRAME,
                tuple(origin + np.array([52, 46, 4]) * flip),
                tuple(origin + np.array([52, 44, -42]) * flip),
                8.0,
                8.0,
            )
        )
        solids.append(Capsule(LPS_FRAME, tuple(rim[-1]), tuple(base), 6.0, 14.0, 1.0))
        solids.append(Capsule(LPS_FRAME, tuple(base), tuple(base + np.array([4.0, -4.0, -45.0]) * flip), 20.0, 26.0))
        wings.append(solids)
    return wings


def paint_skeleton(
    canvas: Canvas,
    spine: Spine,
    trunk: Trunk,
    levels: Sequence[str],
    inner_mg: float,
    fat_fraction: float,
    blobs: Mapping[str, Sequence[Blob]] = {},
) -> None:
    """Pelvis, sacrum, ribs and arches of the named levels; `inner_mg`, the mineral of L1, scales them all.

    blobs: lesions of each level, which may reach from the body into the pedicle.
    """
    for wing in pelvis(spine):
        paint_bone(canvas, wing, BoneStuff(1.1, 950.0, 0.7 * inner_mg, fat_fraction), PELVIS)
    for level in levels:
        for rib in rib_pair(spine, trunk, level):
            paint_bone(canvas, rib, BoneStuff(0.8, 950.0, 0.7 * inner_mg, fat_fraction), RIBS)
    paint_bone(canvas, sacrum(spine), BoneStuff(0.7, 900.0, 0.85 * inner_mg, fat_fraction), SACRUM)
    stuff = BoneStuff(1.3, 1000.0, 1.25 * inner_mg, fat_fraction)
    for level in levels:
        paint_bone(canvas, spine.arches(level), stuff, POSTERIOR, blobs=blobs.get(level, ()), frame=spine.body(level).frame)
