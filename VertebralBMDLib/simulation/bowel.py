"""Stomach, duodenum, small bowel and colon: walled tubes with gas above fluid, or stool."""

from __future__ import annotations

import numpy as np

from VertebralBMDLib.simulation.loops import paint_packed_loops
from VertebralBMDLib.simulation.materials import AIR
from VertebralBMDLib.simulation.shapes import Points
from VertebralBMDLib.simulation.strokes import Drawing, Fill, Rods, paint_rods

WALL_MM = 1.8
_LOOPS, _LOOP_POINTS, _STEP_MM = 16, 9, 11.0
_BUMP_MM = 1.8  # unevenness of what lies soft and half empty


def paint_bowel(drawing: Drawing) -> None:
    """From back to front of what a surgeon would lift out."""
    rng = drawing.rng("gut")
    paint_packed_loops(drawing, rng)
    paint_duodenum(drawing, rng)
    paint_small_bowel(drawing, rng)
    paint_colon(drawing, rng)
    paint_stomach(drawing, rng)


def paint_gut(drawing: Drawing, rods: Rods, content: Fill, wall_mm: float = WALL_MM, bump_mm: float = _BUMP_MM) -> None:
    """All of the wall first, then the lumen: no partitions where rods meet."""
    paint_rods(drawing, rods, drawing.tissues.gut, 0.0, bump_mm)
    paint_rods(drawing, rods, content, -wall_mm, bump_mm)


def gas_above(drawing: Drawing, level_y: float, below: Fill) -> Fill:
    """Content with a horizontal surface: gas in front of `level_y` (the patient lies on the back)."""
    gas = drawing.hu(AIR)

    def fill(points: Points) -> np.ndarray:
        share = np.clip(0.5 + (np.float32(level_y) - points[1]) / np.float32(drawing.canvas.grid.spacing_mm[1]), 0.0, 1.0)
        fluid = drawing.filled(below, points)
        return fluid + share * (gas - fluid)

    return fill


def stool(drawing: Drawing, gassy: float) -> Fill:
    """Mottled: solid with gas bubbles of a few millimetres."""
    solid, gas = drawing.hu(drawing.tissues.stool), drawing.hu(AIR)

    def fill(points: Points) -> np.ndarray:
        bubbles = np.clip(drawing.noise(points, 3.2) + 0.6 * drawing.noise(points, 9.0) - np.float32(2.2 - 2.2 * gassy), 0.0, 0.9)
        return solid + np.float32(12.0) * drawing.noise(points, 5.0) + bubbles * (gas - solid)

    return fill


def paint_small_bowel(drawing: Drawing, rng: np.random.Generator) -> None:
    """Single loops in the front and middle of the cavity that are filled with fluid, or with gas over it."""
    trunk = drawing.trunk
    for _ in range(_LOOPS):
        z = rng.uniform(-215.0, 5.0)
        center, half_x, half_y = (float(v) for v in trunk.ellipse(np.array(z)))
        at = np.array([rng.uniform(-0.55, 0.62) * half_x, center - rng.uniform(-0.1, 0.62) * half_y, z])
        heading = rng.standard_normal(3)
        radius = rng.uniform(8.0, 14.0)
        points = [at]
        for turn in rng.standard_normal((_LOOP_POINTS - 1, 3)):
            heading = heading / np.linalg.norm(heading) + 0.55 * turn
            at = at + _STEP_MM * heading / np.linalg.norm(heading)
            points.append(at)
        path = _kept_inside(drawing, np.array(points), radius)
        radii = radius * (1.0 + 0.12 * rng.standard_normal(len(path)))
        gas, level = rng.uniform() < 0.3, float(path[:, 1].mean() - rng.uniform(-2.0, 8.0))
        content: Fill = drawing.tissues.chyme
        if gas:
            content = gas_above(drawing, level, content)
        paint_gut(drawing, Rods.along(path, radii), content)


def _kept_inside(drawing: Drawing, points: np.ndarray, radius: float) -> np.ndarray:
    """The path pushed towards the middle where it would leave the peritoneal cavity or meet the spine."""
    center, half_x, half_y = drawing.trunk.ellipse(points[:, 2])
    room_x, room_y = half_x - 22.0 - radius, half_y - 16.0 - radius
    level = np.sqrt((points[:, 0] / room_x) ** 2 + ((points[:, 1] - center) / room_y) ** 2)
    shrink = 1.0 / np.maximum(level, 1.0)
    line = drawing.spine.line()
    spine_y = np.interp(points[:, 2], line[:, 2], line[:, 1]) - 44.0 - radius
    y = center + shrink * (points[:, 1] - center)
    y = np.where(np.abs(points[:, 0]) < 70.0, np.minimum(y, spine_y), y)
    return np.column_stack([shrink * points[:, 0], y, points[:, 2]])


def paint_colon(drawing: Drawing, rng: np.random.Generator) -> None:
    """The frame: caecum, ascending, transverse hanging in front, descending, sigmoid, rectum; haustrated, with stool and gas."""
    trunk = drawing.trunk
    sacrum = drawing.spine.sacral_frame.origin

    def at(u: float, v: float, z: float) -> np.ndarray:
        center, half_x, half_y = (float(c) for c in trunk.ellipse(np.array(z)))
        return np.array([u * (half_x - 14.0), center + v * (half_y - 14.0), z])

    sag = rng.uniform(-110.0, -25.0)
    right, left = rng.uniform(-35.0, 5.0), rng.uniform(10.0, 50.0)
    parts = {
        "ascending": ([at(-0.60, -0.30, -168.0), at(-0.72, 0.0, -130.0), at(-0.78, 0.18, -80.0), at(-0.74, 0.12, right)], (17.0, 26.0)),
        "transverse": (
            [
                at(-0.70, -0.1, right),
                at(-0.52, -0.62, 0.5 * (right + sag)),
                at(0.0, -0.80, sag),
                at(0.5, -0.62, 0.5 * (left + sag)),
                at(0.76, -0.05, left),
            ],
            (13.0, 22.0),
        ),
        "descending": ([at(0.76, 0.0, left), at(0.82, 0.26, -40.0), at(0.80, 0.20, -110.0), at(0.66, -0.05, -165.0)], (9.0, 16.0)),
        "sigmoid": (
            [
                at(0.66, -0.05, -165.0),
                at(0.42, -0.30, -200.0),
                at(0.10, -0.25, -190.0),
                sacrum + [14.0, -34.0, -28.0],
                sacrum + [2.0, -18.0, -62.0],
                sacrum + [0.0, -34.0, -110.0],
            ],
            (9.0, 16.0),
        ),
    }
    for knots, width in parts.values():
        path = _smooth_path(np.array(knots) + rng.normal(0.0, 5.0, (len(knots), 3)), 10.0)
        radius = rng.uniform(*width)
        haustra = 1.0 + 0.16 * np.sin(np.arange(len(path)) * 10.0 / 26.0 * 2 * np.pi) + rng.normal(0.0, 0.06, len(path))
        content = stool(drawing, rng.uniform(0.15, 0.75))
        if rng.uniform() < 0.4:
            content = gas_above(drawing, float(np.quantile(path[:, 1], 0.3)) + rng.uniform(-0.8, 0.8) * radius, content)
        paint_gut(drawing, Rods.along(path, radius * haustra), content)


def _smooth_path(knots: np.ndarray, step_mm: float) -> np.ndarray:
    """Points about every `step_mm` along a rounded line through the knots."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    t = np.linspace(0.0, length[-1], max(int(length[-1] / step_mm), 2))
    path = np.column_stack([np.interp(t, length, knots[:, k]) for k in range(3)])
    for _ in range(3):
        path[1:-1] = 0.25 * path[:-2] + 0.5 * path[1:-1] + 0.25 * path[2:]
    return path


def paint_duodenum(drawing: Drawing, rng: np.random.Generator) -> None:
    """The C around the head of the pancreas and across in front of the great vessels at L3."""
    knots = np.array(
        [
            [-36.0, -70.0, 10.0],
            [-56.0, -54.0, -6.0],
            [-58.0, -42.0, -42.0],
            [-40.0, -46.0, -66.0],
            [0.0, -56.0, -70.0],
            [32.0, -52.0, -52.0],
        ]
    )
    path = _smooth_path(knots + rng.normal(0.0, 4.0, knots.shape), 9.0)
    radius = rng.uniform(8.0, 13.0)
    paint_gut(drawing, Rods.along(path, radius), drawing.tissues.chyme, rng.uniform(2.0, 0.7 * radius))


def paint_stomach(drawing: Drawing, rng: np.random.Generator) -> None:
    """Fundus under the left dome, body down and forward, antrum across the midline; gas over fluid."""
    trunk = drawing.trunk
    top = trunk.dome_mm[1]
    center, half_x, half_y = (float(v) for v in trunk.ellipse(np.array(top - 40.0)))
    low = rng.uniform(-35.0, 25.0)
    knots = np.array(
        [
            [0.40 * half_x, center + 0.10 * half_y, top - 30.0],
            [0.45 * half_x, center - 0.12 * half_y, top - 62.0],
            [0.42 * half_x, center - 0.48 * half_y, 0.5 * (top - 62.0 + low)],
            [0.16 * half_x, center - 0.62 * half_y, low],
            [-0.12 * half_x, center - 0.55 * half_y, low + 8.0],
            [-36.0, center - 0.42 * half_y, low + 22.0],
        ]
    )
    path = _smooth_path(knots, 15.0)
    full = rng.uniform(0.55, 1.15)
    radii = full * np.interp(np.linspace(0.0, 1.0, len(path)), [0.0, 0.2, 0.55, 0.85, 1.0], [36.0, 41.0, 29.0, 20.0, 10.0])
    level = float(path[:, 1].mean() + rng.uniform(-34.0, 8.0))
    food = stool(drawing, 0.0) if rng.uniform() < 0.4 else drawing.tissues.chyme
    paint_gut(drawing, Rods.along(path, radii), gas_above(drawing, level, food), rng.uniform(3.0, 7.0), 2.0 * _BUMP_MM)
