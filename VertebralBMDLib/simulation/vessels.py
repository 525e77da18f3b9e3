"""Vessels of the abdomen: aorta with branches and plaques, vena cava, portal and mesenteric vessels, azygos."""

from __future__ import annotations

import numpy as np

from VertebralBMDLib.simulation.materials import bone, mixture
from VertebralBMDLib.simulation.shapes import Tube, paint
from VertebralBMDLib.simulation.spine import Spine
from VertebralBMDLib.simulation.strokes import Drawing, Rods, grow_tree, paint_rods


def along_spine(
    spine: Spine,
    x: float,
    knots_z: list[float],
    behind: list[float],
    half_x: list[float],
    half_y: list[float],
    spread: list[float] | None = None,
) -> Tube:
    """Tube that follows the spine: `behind` mm behind the body centres, `x` (or spread) beside them."""
    line = spine.line()
    z = np.asarray(knots_z, float)
    fine = np.unique(np.concatenate([z, line[(line[:, 2] > z[0]) & (line[:, 2] < z[-1]), 2]]))
    below = np.minimum(fine - line[0, 2], 0.0)
    center_x = np.interp(fine, line[:, 2], line[:, 0]) + (x if spread is None else np.interp(fine, z, spread))
    center_y = np.interp(fine, line[:, 2], line[:, 1]) + np.interp(fine, z, behind) - 0.25 * below
    return Tube(fine, center_x, center_y, *(np.interp(fine, z, np.asarray(h, float)) for h in (half_x, half_y)))


def paint_vessels(drawing: Drawing) -> None:
    """Veins first, arteries over them, plaques in the arterial wall."""
    rng = drawing.rng("vessels")
    tissues, spine, canvas = drawing.tissues, drawing.spine, drawing.canvas
    aorta, cava = great_vessels(spine, rng)
    paint_azygos(drawing)
    paint(canvas, cava, mixture((0.7, tissues.vein), (0.3, tissues.artery)))
    z_l4 = float(spine.landmark("L4").frame.origin[2])
    front = float(aorta.center_y[0])
    iliac = []
    for side in (-1.0, 1.0):
        points = [[side * 5.0, front, z_l4 + 2.0], [side * 24.0, front + 2.0, z_l4 - 34.0], [side * 45.0, front + 14.0, z_l4 - 70.0]]
        points += [
            [side * 58.0, front + 2.0, z_l4 - 105.0],
            [side * 68.0, front - 26.0, z_l4 - 150.0],
            [side * 74.0, front - 40.0, z_l4 - 190.0],
        ]
        beside = np.array(points) + [-4.0 * side if side > 0 else -3.0, 10.0, -6.0]
        paint_rods(drawing, Rods.along(beside, [8.0, 7.5, 7.0, 7.0, 6.5, 6.5]), tissues.vein)
        iliac.append(Rods.along(points, np.array([6.5, 6.0, 5.5, 5.0, 5.0, 5.0]) * spine.size))
    paint(canvas, aorta, tissues.artery)
    paint_rods(drawing, Rods.joined(iliac), tissues.artery)
    paint_branches(drawing, aorta, cava, rng)
    paint_plaques(drawing, aorta)


def great_vessels(spine: Spine, rng: np.random.Generator) -> tuple[Tube, Tube]:
    """(aorta from T6 to its fork at L4, inferior vena cava from L4/5 to the heart)."""
    s = spine.size
    d_l4, d_l1, d_t10 = (0.5 * spine.landmark(name).depth for name in ("L4", "L1", "T10"))
    z_l4, z_t10, z_t6 = (float(spine.landmark(name).frame.origin[2]) for name in ("L4", "T10", "T6"))
    wide = s * rng.normal(1.0, 0.09)
    wander = rng.normal(0.0, 2.5, 4)
    half = np.array([8.5, 9.5, 11.5, 12.0]) * wide
    aorta = along_spine(
        spine,
        0.0,
        [z_l4, 0.0, z_t10, z_t6],
        [-d_l4 - half[0], -d_l1 - half[1], -d_t10 - 10.0, -d_t10 - 3.0],
        half,
        half,
        spread=list([6.0, 8.0, 10.0, 21.0] + wander * [1.0, 1.0, 1.8, 1.4]),  # it comes before the spine above the diaphragm
    )
    flat = rng.uniform(0.55, 1.0)
    cava = along_spine(
        spine,
        0.0,
        [z_l4 - 12.0, -20.0, 50.0, 105.0],
        [-d_l4 - 9.0 * flat, -d_l1 - 10.0 * flat - 1.0, -d_l1 - 24.0, -d_l1 - 44.0],
        [12.0, 12.0, 13.5, 14.0],
        [9.0 * flat, 10.0 * flat, 12.0 * flat, 13.0],
        spread=[-15.0, -20.0, -25.0, -28.0],
    )
    return aorta, cava


def center_at(tube: Tube, z: float) -> np.ndarray:
    """Middle of a tube at a height, LPS mm."""
    return np.array([np.interp(z, tube.z, tube.center_x), np.interp(z, tube.z, tube.center_y), z])


def paint_azygos(drawing: Drawing) -> None:
    """Azygos right in front of the thoracic spine, hemiazygos left behind the aorta, lumbar vessels round the bodies."""
    spine, tissues = drawing.spine, drawing.tissues
    for aside, ahead, levels in ((-7.0, 4.5, ("L1", "T12", "T10", "T8", "T6", "T5")), (13.0, 2.0, ("T12", "T10", "T9"))):
        points = [spine.landmark(name).frame.to_world([aside, -0.5 * spine.landmark(name).depth - ahead, 0.0]) for name in levels]
        paint_rods(drawing, Rods.along(points, 2.8), tissues.vein)
    for name in ("T11", "T12", "L1", "L2", "L3", "L4"):
        body = spine.landmark(name)
        for side in (-1.0, 1.0):
            u, v = 0.5 * body.width + 2.2, 0.5 * body.depth
            around = [
                [side * 6.0, -v - 3.0, 0.0],
                [side * 0.75 * u, -0.72 * v, 0.0],
                [side * u, -0.1 * v, 0.0],
                [side * (u + 1.0), 0.7 * v, 0.0],
            ]
            paint_rods(drawing, Rods.along([body.frame.to_world(p) for p in around], 1.3), tissues.vein)


def paint_branches(drawing: Drawing, aorta: Tube, cava: Tube, rng: np.random.Generator) -> None:
    """Coeliac trunk, superior mesenteric artery and vein, portal vein, renal vessels."""
    tissues = drawing.tissues
    z_sma = rng.normal(2.0, 5.0)
    origin, coeliac = center_at(aorta, z_sma), center_at(aorta, z_sma + 14.0)
    ahead = origin + [0.0, -20.0, -8.0]
    sma = [origin, ahead, ahead + [-1.0, -6.0, -30.0], ahead + [-6.0, -10.0, -70.0], ahead + [-22.0, -12.0, -110.0]]
    smv = [np.asarray(p) + [-13.0, -1.0, 0.0] for p in sma[1:]]
    confluence = smv[0] + [0.0, 2.0, 14.0]
    hilum = np.array([-38.0, confluence[1] + 2.0, confluence[2] + 34.0])
    paint_rods(drawing, Rods.along([hilum, confluence, *smv], [6.5, 6.5, 5.5, 5.0, 4.5, 3.5]), tissues.portal_vein)
    arteries = [Rods.along(sma, [3.6, 3.6, 3.4, 3.0, 2.2])]
    fork = coeliac + [0.0, -22.0, 2.0]
    arteries.append(Rods.along([coeliac, fork], 3.4))
    arteries.append(Rods.along([fork, fork + [-26.0, -2.0, 6.0], hilum + [4.0, -4.0, 0.0]], 2.4))
    arteries.append(Rods.along([fork, fork + [32.0, 10.0, 4.0], fork + [70.0, 34.0, 16.0]], 2.6))
    z = z_sma - 12.0
    renal = center_at(aorta, z)
    for side in (-1.0, 1.0):
        hilum = np.array([side * 44.0, -4.0, -18.0 + 9.0 * side])
        arteries.append(Rods.along([renal, renal + [side * 16.0, 12.0, -2.0], hilum], 2.6))
    paint_rods(drawing, Rods.joined(arteries), tissues.artery)
    into = center_at(cava, z - 2.0)
    left = [into, renal + [0.0, -13.5, -2.0], renal + [16.0, -6.0, -3.0], np.array([44.0, -7.0, -9.0])]
    right = [into, np.array([-44.0, -7.0, -27.0])]
    paint_rods(drawing, Rods.joined([Rods.along(left, 4.0), Rods.along(right, 4.5)]), mixture((0.5, tissues.vein), (0.5, tissues.artery)))


def paint_mesentery(drawing: Drawing) -> None:
    """Before the bowel and the wall: vessels that fan out in the fat towards the loops, in pairs, and the gonadal veins on the psoas."""
    rng, tissues = drawing.rng("mesentery"), drawing.tissues
    aorta, _ = great_vessels(drawing.spine, drawing.rng("vessels"))
    start = np.array([center_at(aorta, z) + [-6.0, -34.0, 0.0] for z in (-15.0, -35.0, -55.0, -75.0, -95.0, -110.0)])
    fan = np.column_stack([rng.normal(0.0, 0.8, len(start)), np.full(len(start), -0.6), rng.normal(-0.3, 0.35, len(start))])
    tree = grow_tree(rng, start, fan / np.linalg.norm(fan, axis=1, keepdims=True), 2.0, 24.0, 5, 0.55)
    paint_rods(drawing, tree, tissues.portal_vein)
    shift = np.array([3.5, 1.5, 2.0])
    paint_rods(drawing, Rods(tree.start + shift, tree.end + shift, 0.7 * tree.radius_start, 0.7 * tree.radius_end), tissues.artery)
    for side in (-1.0, 1.0):
        z = np.array([-30.0, -80.0, -130.0, -170.0])
        y = center_at(aorta, -40.0)[1] + np.array([10.0, 6.0, 2.0, -4.0])
        paint_rods(drawing, Rods.along(np.column_stack([side * np.array([34.0, 44.0, 50.0, 62.0]), y, z]), 1.7), tissues.vein)


def paint_plaques(drawing: Drawing, aorta: Tube) -> None:
    """Calcified plaques in the wall of the aorta, more with age, mostly low and behind."""
    rng = drawing.rng("plaques")
    count = min(int(rng.poisson(drawing.tissues.plaques)), 40)
    for _ in range(count):
        z = rng.triangular(aorta.z[0], aorta.z[0] + 10.0, aorta.z[-1])
        angle = rng.normal(0.5 * np.pi, 1.5)
        radius = np.interp(z, aorta.z, aorta.half_x) - 0.6
        wide, tall, mineral = rng.uniform(0.1, 0.5), rng.uniform(0.5, 6.0), rng.uniform(250.0, 800.0)
        angles = angle + wide * np.array([-1.0, 0.0, 1.0])
        arc = center_at(aorta, z) + np.column_stack([radius * np.cos(angles), radius * np.sin(angles), [-0.5 * tall, 0.0, 0.5 * tall]])
        paint_rods(drawing, Rods.along(arc, [0.6, 1.1, 0.6]), bone(mineral, 0.0))
