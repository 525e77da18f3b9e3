"""Muscles beside and behind the spine, the crura, and what lies in the spinal canal."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from VertebralBMDLib.simulation.materials import mixture
from VertebralBMDLib.simulation.shapes import Plate, Points, Tube, paint
from VertebralBMDLib.simulation.spine import canal_tubes
from VertebralBMDLib.simulation.strokes import Drawing, Rods, paint_rods
from VertebralBMDLib.simulation.vessels import along_spine
from VertebralBMDLib.simulation.wall import sheets

GRAINS_MM, ALONG_Z = (1.7, 4.5), 5.0  # fat streaks follow the fibres


def marbled(drawing: Drawing, infiltration: float, septa: float, low_down: float = 0.0) -> Callable[[Points], np.ndarray]:
    """Fill: muscle with streaks of fat over `infiltration` of it and septa of fat (0-1 strong) along the body.

    low_down: how much stronger the infiltration is at the lumbosacral junction.
    """
    muscle, fat = drawing.hu(drawing.tissues.muscle), drawing.hu(drawing.tissues.fat)

    def fill(points: Points) -> np.ndarray:
        grain = sum(drawing.noise(points, step, ALONG_Z) for step in GRAINS_MM)
        share = np.float32(infiltration) * (1.0 + np.float32(low_down) * np.clip((-30.0 - points[2]) / 90.0, 0.0, 1.0))
        streaks = 0.3 * (grain - np.float32(2.6) + np.float32(7.0) * share)
        fatty = np.clip(streaks, 0.0, 0.8) + np.float32(septa) * sheets(drawing.noise(points, 12.0, ALONG_Z), 0.16)
        return muscle + np.minimum(fatty, 0.95) * (fat - muscle)

    return fill


# Multifidus, longissimus, iliocostalis from below the sacrum to T1: beside the midline, behind the bodies' centres, half
# width, half depth (mm).
_ERECTOR = (
    (
        [14.0, 16.0, 16.0, 15.0, 14.0, 13.0, 12.0],
        [50.0, 48.0, 46.0, 45.0, 46.0, 50.0, 53.0],
        [10.0, 13.0, 13.0, 12.0, 11.0, 10.0, 9.0],
        [9.0, 16.0, 19.0, 17.0, 13.0, 9.0, 8.0],
    ),
    (
        [16.0, 30.0, 38.0, 37.0, 34.0, 32.0, 30.0],
        [70.0, 56.0, 50.0, 48.0, 49.0, 55.0, 57.0],
        [6.0, 12.0, 14.0, 15.0, 14.0, 12.0, 10.0],
        [5.0, 11.0, 13.5, 14.0, 12.0, 7.5, 6.5],
    ),
    (
        [20.0, 46.0, 60.0, 62.0, 56.0, 48.0, 44.0],
        [68.0, 58.0, 50.0, 47.0, 48.0, 56.0, 57.0],
        [4.0, 6.0, 9.0, 13.0, 12.0, 9.0, 7.0],
        [4.0, 6.0, 9.0, 11.0, 9.0, 5.0, 4.5],
    ),
)


def paint_muscles(drawing: Drawing) -> None:
    """Psoas, quadratus lumborum, the erector in three columns, the crura of the diaphragm."""
    rng, spine = drawing.rng("muscles"), drawing.spine
    s = spine.size
    infiltration = drawing.tissues.infiltration
    bulk = rng.normal(1.0, 0.12)
    z_l = {name: float(spine.landmark(name).frame.origin[2]) for name in ("T1", "T9", "T12", "L1", "L3", "L5")}
    lumbar = [z_l["L5"] - 90.0, z_l["L5"], z_l["L3"], z_l["L1"], z_l["T12"]]
    back = [z_l["L5"] - 75.0, z_l["L5"] - 30.0, z_l["L5"], z_l["L3"], z_l["T12"], z_l["T9"], z_l["T1"]]
    streaky, firm = marbled(drawing, 0.8 * infiltration, min(0.1 + 1.6 * infiltration, 0.8)), marbled(drawing, 0.4 * infiltration, 0.1)
    # the multifidus turns to fat first, from below
    deep = marbled(drawing, infiltration, min(0.12 + 1.6 * infiltration, 0.8), 1.2)
    for side in (-1.0, 1.0):
        quadratus = along_spine(
            spine,
            0.0,
            lumbar[1:],
            [26.0, 26.0, 24.0, 21.0],
            [16.0, 19.0, 14.0, 7.0],
            [8.0, 9.5, 7.5, 4.5],
            [side * v * s for v in (72.0, 57.0, 46.0, 42.0)],
        )
        psoas = along_spine(
            spine,
            0.0,
            lumbar,
            [-24.0, -3.0, 2.0, 2.0, 3.0],
            np.array([15.0, 20.0 * s, 17.0 * s, 8.0, 3.5]) * bulk,
            np.array([16.0, 25.0 * s, 21.0 * s, 10.0, 4.0]) * bulk,
            [side * v * s for v in (64.0, 43.0, 34.0, 24.0, 22.0)],
        )
        for muscle, fill in ((quadratus, firm), (psoas, marbled(drawing, 0.3 * infiltration, 0.12))):
            drawing.organ(muscle, fill, 1.5, 18.0)
        for (aside, behind, half_x, half_y), fill in zip(_ERECTOR, (deep, streaky, firm)):
            spread = [side * v * s for v in aside]
            size = [np.asarray(h) * s * (0.9 + 0.1 * bulk) for h in (half_x, half_y)]
            septum = along_spine(spine, 0.0, back, behind, *(v + 0.9 for v in size), spread)
            drawing.organ(septum, mixture((0.35, drawing.tissues.fat), (0.65, drawing.tissues.muscle)), 1.8, 11.0)
            drawing.organ(along_spine(spine, 0.0, back, behind, *size, spread), fill, 1.8, 11.0)
    paint_hip_muscles(drawing)
    paint_crura(drawing, rng)


def paint_hip_muscles(drawing: Drawing) -> None:
    """Iliacus inside and the small gluteal muscles outside the iliac wings: one layer, with the bone drawn into it."""
    origin, s = drawing.spine.sacral_frame.origin, drawing.spine.size
    for side in (-1.0, 1.0):
        flip = np.array([side, 1.0, 1.0]) * s
        hub, *rim = (
            origin + np.array(p) * flip for p in ((86.0, -16.0, -74.0), (68.0, 38.0, 12.0), (103.0, 6.0, 40.0), (119.0, -38.0, 12.0))
        )
        for p, q in pairwise(rim):
            drawing.organ(Plate(np.array([hub, p, q]), 16.0), marbled(drawing, 0.3 * drawing.tissues.infiltration, 0.1), 2.0)


def paint_crura(drawing: Drawing, rng: np.random.Generator) -> None:
    """Two straps in front of L1-L3 that pass beside the aorta up to the hiatus at T11; the right is the longer."""
    spine = drawing.spine
    thick = rng.uniform(3.2, 5.5)
    for side, levels in ((-1.0, ("T11", "T12", "L1", "L2", "L3")), (1.0, ("T11", "T12", "L1", "L2"))):
        ahead = [19.0, 12.0, 6.0, 4.0, 2.0]
        aside = np.array([24.0, 22.0, 19.0, 15.0, 9.0]) + (8.0 if side > 0 else 0.0) * np.array([1.0, 1.0, 0.8, 0.5, 0.0])
        bodies = [spine.landmark(name) for name in levels]
        points = [b.frame.to_world([side * a, -0.5 * b.depth - f, 0.0]) for b, a, f in zip(bodies, aside, ahead)]
        straps = [
            Rods.along(np.array(points) + [side * d * 1.5, d * 3.2, 0.0], np.array([1.0, 1.0, 1.0, 0.9, 0.6])[: len(points)] * thick)
            for d in (-1.0, 0.0, 1.0, 2.0)
        ]
        paint_rods(drawing, Rods.joined(straps), drawing.tissues.muscle)


def paint_canal_and_discs(drawing: Drawing) -> None:
    """Epidural fat, dural sac with cord and roots, flaval ligaments, roots leaving by the foramina, discs."""
    canvas, spine, tissues = drawing.canvas, drawing.spine, drawing.tissues
    paint_foramina(drawing)
    epidural, sac = canal_tubes(spine)
    rng = drawing.rng("nerves")
    paint(canvas, epidural, mixture((0.75, tissues.fat), (0.25, tissues.muscle)))
    paint(canvas, sac, tissues.csf)
    conus = float(spine.landmark("L1").frame.origin[2]) + rng.normal(-10.0, 12.0)
    z = np.array([conus, conus + 25.0, *sac.z[sac.z > conus + 40.0]])
    x, y = (np.interp(z, sac.z, c) for c in (sac.center_x, sac.center_y))
    thin = np.clip((z - conus) / 25.0, 0.15, 1.0)
    paint(canvas, Tube(z, x, y, 5.2 * thin, 3.9 * thin), tissues.cord)
    below = sac.z[sac.z < conus + 10.0]
    roots = []
    for aside, behind in rng.normal(0.0, [3.2, 1.2], (14, 2)) + [0.0, 2.5]:
        shift = np.array([aside, behind, 0.0])
        knots = np.column_stack([np.interp(below, sac.z, sac.center_x), np.interp(below, sac.z, sac.center_y), below])
        if len(knots) > 1:
            roots.append(Rods.along(knots + shift, 0.6))
    if roots:
        paint_rods(drawing, Rods.joined(roots), tissues.cord)
    for disc in spine.discs:
        paint(canvas, disc, tissues.disc)


def paint_foramina(drawing: Drawing) -> None:
    """At each disc: fat in the foramen around the root, and the flaval ligaments behind the sac."""
    spine, tissues = drawing.spine, drawing.tissues
    fat, nerves, ligaments = [], [], []
    for body in spine.bodies:
        s = body.height / 26.0
        back, low = 0.5 * body.depth, -0.5 * body.height
        for side in (-1.0, 1.0):
            root = [
                [side * 8.0, back + 6.0, low + 6.0],
                [side * 0.42 * body.width, back + 5.0, low],
                [side * (0.5 * body.width + 12.0), back + 2.0, low - 14.0],
            ]
            line = [body.frame.to_world(p) for p in root]
            fat.append(Rods.along(line, [5.0 * s, 7.0 * s, 4.0 * s]))
            nerves.append(Rods.along(line, [1.6, 2.4, 2.0]))
            flaval = [[side * 9.0 * s, back + 13.5 * s, low - 8.0], [side * 2.5, back + 19.0 * s, low - 8.0]]
            ligaments.append(Rods.along([body.frame.to_world(p) for p in flaval], 2.0))
    paint_rods(drawing, Rods.joined(fat), tissues.fat)
    paint_rods(drawing, Rods.joined(nerves), tissues.cord)
    paint_rods(drawing, Rods.joined(ligaments), tissues.muscle)
