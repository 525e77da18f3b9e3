"""Solid organs of the abdomen and pelvis: liver, gall bladder, spleen, pancreas, kidneys, adrenals, bladder.

LPS mm with the L1 body centre at the origin, so the patient's right is negative x.
"""

from __future__ import annotations

import numpy as np

from VertebralBMDLib.simulation.materials import mixture
from VertebralBMDLib.simulation.shapes import Ellipsoid, Frame, Points
from VertebralBMDLib.simulation.strokes import Drawing, Rods, grow_tree, paint_rods, turned, within_all

_INTO_MM = 5.0  # drawn on into wall and diaphragm, which are laid over it: no gap between them


def paint_organs(drawing: Drawing) -> None:
    """The organs behind and under the ribs; bowel comes before them, lungs and wall after."""
    rng = drawing.rng("organs")
    paint_spleen(drawing, rng)
    for side in (-1.0, 1.0):
        paint_kidney(drawing, side, rng)
    paint_pancreas(drawing, rng)
    paint_liver(drawing)
    paint_bladder(drawing, rng)


def paint_liver(drawing: Drawing) -> None:
    """Right lobe along the wall and dome, thin left lobe across the midline, hepatic and portal veins, gall bladder."""
    rng, trunk, tissues = drawing.rng("liver"), drawing.trunk, drawing.tissues
    top = trunk.dome_mm[0]
    tip = rng.uniform(-95.0, -25.0)
    left_end = rng.uniform(0.25, 0.75)
    # how far the visceral surface rises from the tip to the edge of the left lobe in front, 60-125 mm below the dome
    rise = top - rng.uniform(60.0, 125.0) - tip
    center, half_x, half_y = (float(v) for v in trunk.ellipse(np.array(20.0)))

    def surface(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        outside, ring, _, _ = trunk.layers(x, y, z)
        u = x / half_x
        under = tip + rise * np.interp(u, [-1.0, -0.75, -0.45, -0.15, 0.15, 0.6], [0.0, 0.28, 0.72, 0.95, 1.0, 1.25])
        # the visceral surface rises backwards, over kidney and stomach, from the wall in front for the left lobe
        under = under + np.maximum(y - center + half_y * np.interp(u, [-0.6, -0.2], [0.1, 0.85]), 0.0) * np.interp(
            u, [-0.9, -0.4, 0.0], [0.1, 0.8, 0.6]
        )
        medial = np.interp(y, [center - 55.0, center - 20.0, -22.0, -5.0], [left_end * half_x, 0.25 * half_x, -16.0, -40.0])
        dome = trunk.dome(x, y, trunk.ellipse(z)[0]) + _INTO_MM
        return within_all(outside + ring - _INTO_MM, 0.75 * (under - z), 0.8 * (x - medial), 0.7 * (z - dome))

    low = np.array([-half_x, center - half_y, tip - 8.0])
    high = np.array([left_end * half_x + 12.0, center + half_y, top + 4.0])

    def parenchyma(points: Points) -> np.ndarray:
        return drawing.hu(tissues.liver) + np.float32(2.0) * drawing.noise(points, 22.0)

    drawing.region((low, high), surface, parenchyma, 4.5)
    hilum = np.array([-38.0, center - 22.0, top - 66.0])
    portal = grow_tree(
        rng, np.repeat(hilum[None], 3, axis=0), _unit([[-0.9, 0.1, 0.2], [-0.7, 0.5, -0.3], [0.2, -0.7, 0.6]]), 5.0, 27.0, 4, 0.5
    )
    cava = np.array([-24.0, -38.0, top - 18.0])
    hepatic = grow_tree(
        rng, np.repeat(cava[None], 3, axis=0), _unit([[-0.9, 0.2, -0.25], [-0.5, -0.75, -0.3], [0.3, -0.9, -0.2]]), 5.0, 30.0, 4, 0.45
    )
    for tree, blood in ((portal, tissues.portal_vein), (hepatic, mixture((0.5, tissues.vein), (0.5, tissues.portal_vein)))):
        x, y, z = tree.end.T
        inside = surface(x, y, z) < -6.0
        paint_rods(drawing, Rods(*(getattr(tree, n)[inside] for n in ("start", "end", "radius_start", "radius_end"))), blood)
    fundus = np.array([-0.42 * half_x, center - 0.45 * half_y, tip + 0.62 * rise])
    neck = fundus + [16.0, 26.0, 26.0]
    bag = Rods.along([fundus, 0.5 * (fundus + neck), neck], np.array([13.0, 12.0, 5.0]) * rng.uniform(0.6, 1.2))
    paint_rods(drawing, bag, tissues.gut, 1.2)
    paint_rods(drawing, bag, tissues.bile)


def _unit(directions: list[list[float]]) -> np.ndarray:
    d = np.asarray(directions)
    return d / np.linalg.norm(d, axis=1, keepdims=True)


def paint_spleen(drawing: Drawing, rng: np.random.Generator) -> None:
    """A crescent under the left dome, against the wall behind."""
    trunk = drawing.trunk
    z = trunk.dome_mm[1] - rng.uniform(46.0, 66.0)
    at = trunk.wall_point(rng.uniform(30.0, 42.0), z, 31.0)
    half = np.array([24.0, 46.0, 50.0]) * rng.normal(1.0, 0.14) * rng.normal(1.0, 0.06, 3)
    drawing.organ(Ellipsoid(turned(at, -38.0), tuple(half)), drawing.tissues.spleen, 3.0)


def paint_pancreas(drawing: Drawing, rng: np.random.Generator) -> None:
    """Head beside the duodenum, neck over the mesenteric vein, body and tail towards the spleen; lobulated."""
    tissues = drawing.tissues
    fatty = rng.uniform(0.0, 0.35)
    head = np.array([-30.0, -52.0, -22.0]) + rng.normal(0.0, 5.0, 3)
    points = [
        head + [2.0, 3.0, -18.0],
        head,
        head + [24.0, -8.0, 20.0],
        head + [52.0, -3.0, 31.0],
        head + [84.0, 16.0, 38.0],
        head + [108.0, 34.0, 42.0],
    ]
    rods = Rods.along(points, np.array([11.0, 15.0, 11.0, 11.0, 10.5, 8.0]) * rng.uniform(0.75, 1.15))

    def lobules(points: Points) -> np.ndarray:
        gaps = np.clip(drawing.noise(points, 4.0) - np.float32(1.4 - 2.5 * fatty), 0.0, 0.8)
        return drawing.hu(tissues.pancreas) + gaps * (drawing.hu(tissues.fat) - drawing.hu(tissues.pancreas))

    paint_rods(drawing, rods, lobules)
    splenic = [np.array(p) + [0.0, 9.0, 0.0] for p in points[2:]]
    paint_rods(drawing, Rods.along(splenic, 4.0), tissues.portal_vein)


def paint_kidney(drawing: Drawing, side: float, rng: np.random.Generator) -> None:
    """Kidney with cortex, pyramids, sinus fat and pelvis, in perirenal fat; adrenal above it."""
    tissues, size = drawing.tissues, drawing.spine.size
    center = np.array([side * 67.0 * size, -8.0, -18.0 + 9.0 * side]) + rng.normal(0.0, [4.0, 4.0, 8.0])
    half = np.array([23.0, 29.0, 55.0]) * size * rng.normal(1.0, 0.06) * rng.normal(1.0, 0.04, 3)
    yaw, lean = np.radians(side * rng.uniform(25.0, 45.0)), np.radians(side * rng.uniform(8.0, 18.0))
    about_z = np.array([[np.cos(yaw), -np.sin(yaw), 0.0], [np.sin(yaw), np.cos(yaw), 0.0], [0.0, 0.0, 1.0]])
    # the lower pole lies farther out
    about_y = np.array([[np.cos(lean), 0.0, -np.sin(lean)], [0.0, 1.0, 0.0], [np.sin(lean), 0.0, np.cos(lean)]])
    # and, on the slope of the psoas, farther forward
    tilt = np.radians(rng.uniform(5.0, 12.0))
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(tilt), np.sin(tilt)], [0.0, -np.sin(tilt), np.cos(tilt)]])
    frame = Frame(center, about_x @ about_y @ about_z)
    # its fat lies mostly behind and below
    around = Frame(center + [0.0, 4.0, -5.0], frame.rotation)
    drawing.organ(Ellipsoid(around, tuple(half + rng.uniform(2.0, 6.0) + [0.0, 1.0, 3.0])), tissues.fat, 3.5)
    cortex, medulla = drawing.hu(tissues.cortex), drawing.hu(tissues.medulla)

    def parenchyma(points: Points) -> np.ndarray:
        depth = Ellipsoid(frame, tuple(half)).distance(*points)
        pyramids = np.clip((-depth - 6.0) / 3.0, 0.0, 1.0) * np.clip(0.6 + 0.8 * drawing.noise(points, 9.0), 0.0, 1.0)
        return cortex + pyramids * (medulla - cortex)

    drawing.organ(Ellipsoid(frame, tuple(half)), parenchyma, 1.6, 22.0)
    sinus = frame.to_world([-side * 0.6 * half[0], 0.0, 0.0])
    drawing.organ(Ellipsoid(Frame(sinus, frame.rotation), (0.60 * half[0], 0.22 * half[1], 0.46 * half[2])), tissues.fat, 2.0, 9.0)
    pelvis = frame.to_world([-side * 0.75 * half[0], 0.0, -3.0])
    drawing.organ(Ellipsoid(Frame(pelvis, frame.rotation), (9.0, 3.5, 12.0)), tissues.urine, 1.5, 9.0)
    paint_adrenal(drawing, frame.to_world([-side * 0.5 * half[0], -0.3 * half[1], 0.98 * half[2]]), side)


def paint_adrenal(drawing: Drawing, apex: np.ndarray, side: float) -> None:
    """Two thin limbs opening backwards."""
    front = apex + [-side * 10.0, -6.0, 6.0]
    limbs = [
        Rods.along([front + [0, 0, dz], front + [d[0], d[1], dz]], [2.6, 1.6])
        for dz in (-4.0, 0.0, 4.0)
        for d in ((side * 13.0, 17.0), (-side * 2.0, 20.0))
    ]
    paint_rods(drawing, Rods.joined(limbs), drawing.tissues.pancreas)


def paint_bladder(drawing: Drawing, rng: np.random.Generator) -> None:
    """Bladder behind the pubis, prostate or uterus behind and below."""
    tissues = drawing.tissues
    sacrum = drawing.spine.sacral_frame.origin
    fill = rng.uniform(0.6, 1.5)
    at = np.array([rng.normal(0.0, 4.0), sacrum[1] - 68.0, sacrum[2] - 96.0 + 26.0 * fill])
    womb = at + [rng.normal(0.0, 10.0), 30.0 * min(fill, 1.2), 22.0 * fill]
    half = np.array([26.0, 18.0, 28.0]) * rng.uniform(0.7, 1.2)
    drawing.organ(Ellipsoid(turned(womb, 0.0), tuple(half)), tissues.muscle, 3.0)
    half = np.array([42.0, 32.0, 30.0]) * fill
    drawing.organ(Ellipsoid(turned(at, 0.0), tuple(half + 3.0)), tissues.gut, 2.0, 40.0)
    drawing.organ(Ellipsoid(turned(at, 0.0), tuple(half)), tissues.urine, 2.0, 40.0)
