"""Small bowel as it mostly is: collapsed loops packed together, clefts of fat between them, around the root of the mesentery."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from VertebralBMDLib.simulation.shapes import Points
from VertebralBMDLib.simulation.strokes import Drawing, on_lattice, within_all

_BELOW_MM, _TOP_MM = -270.0, 55.0
_ROOT = np.array([[26.0, -20.0], [-34.0, -135.0]])  # (x, z) of the upper and lower end of the root of the mesentery
_FOLD_MM, _BREADTH_MM = 8.0, 10.5  # grain of the two families of clefts; loops are about twice as thick
_AWAY = ((211.0, 83.0, 17.0), (97.0, 305.0, 141.0), (13.0, 171.0, 333.0))  # places in the smooth field that know nothing of each other
WALL_MM, _UNEVEN_MM = 2.2, 5.0
_BEFORE_SPINE_MM = 38.0  # from the middle of the bodies
_BESIDE_MM, _ASIDE_MM = (0.0, 40.0, 60.0, 90.0), (0.0, 4.0, 16.0, 34.0)  # how much farther back there is room beside the midline


def paint_packed_loops(drawing: Drawing, rng: np.random.Generator) -> None:
    """Fill what the other organs leave free: nearly all of it in the thin, islands in fat in the obese."""
    fatty = drawing.trunk.visceral
    cleft_mm = float(np.clip(1.0 + 0.5 * fatty, 0.7, 2.2)) + rng.uniform(0.0, 0.5)
    sparse = float(1.1 - 0.75 * fatty + rng.normal(0.0, 0.3))  # SD of the field above which there is no bowel
    wall, lumen = drawing.hu(drawing.tissues.gut), drawing.hu(drawing.tissues.chyme)
    wet = np.float32(rng.uniform(-0.6, 0.8))
    room = _room(drawing, rng)
    hindmost = float(drawing.spine.line()[:, 1].max()) - _BEFORE_SPINE_MM + _ASIDE_MM[-1]
    half_x = float(drawing.trunk.half_x.max())
    for window in drawing.slabs((np.array([-half_x, -1e4, _BELOW_MM]), np.array([half_x, hindmost, _TOP_MM]))):
        free = on_lattice(room, *(p.ravel() for p in drawing.canvas.grid.points(window)))[0]
        near = free < 4.0 * _UNEVEN_MM
        if not near.any():
            continue
        (top, bottom), (left, right) = (np.nonzero(near.any(axis=axes))[0][[0, -1]] for axes in ((0, 2), (0, 1)))
        window = (window[0], *(slice(w.start + a, w.start + b + 1) for w, a, b in zip(window[1:], (top, left), (bottom, right))))
        points = drawing.canvas.grid.points(window)
        free = free[:, top : bottom + 1, left : right + 1] + np.float32(_UNEVEN_MM) * drawing.noise(points, 20.0)
        at = [tuple(p + np.float32(d) for p, d in zip(points, away)) for away in _AWAY]
        fold, breadth = (drawing.noise(p, g) * np.float32(0.8 * g) for p, g in zip(at, (_FOLD_MM, _BREADTH_MM)))
        clefts = np.abs(fold * breadth) / np.sqrt(fold**2 + breadth**2 + np.float32(0.01))  # rounds where two clefts meet
        place = drawing.noise(at[2], 22.0)
        open_fat = np.float32(18.0) * (place - np.float32(sparse))
        # each loop is full or empty by itself
        apart = np.float32(0.7) * (np.sign(fold) + np.sign(breadth))
        filled = np.clip((clefts - np.float32(cleft_mm + WALL_MM)) * 0.6, 0.0, 1.0) * np.clip(place + wet + apart, 0.0, 1.0)
        drawing.lay(window, points, within_all(free, open_fat, np.float32(cleft_mm) - clefts), _contents(wall, lumen, filled))


def _contents(wall: np.float32, lumen: np.float32, filled: np.ndarray) -> Callable[[Points], np.ndarray]:
    return lambda points: wall + filled * (lumen - wall)


def _room(drawing: Drawing, rng: np.random.Generator) -> Callable[..., np.ndarray]:
    """Signed mm outside the room for small bowel: inside the wall and the omentum, in front of spine, psoas and mesenteric root."""
    trunk = drawing.trunk
    line = drawing.spine.line()
    fatty = max(trunk.visceral + 0.8, 0.0)
    omentum, root = 5.0 + 5.0 * fatty * rng.uniform(0.5, 1.5), 8.0 + 9.0 * fatty
    top, bottom = rng.uniform(-30.0, 15.0), rng.uniform(-255.0, -205.0)

    def room(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        outside, ring, _, _ = trunk.layers(x, y, z)
        center, half_x, half_y = trunk.ellipse(z)
        front = np.interp(z, line[:, 2], line[:, 1]) - _BEFORE_SPINE_MM
        behind = y - np.interp(np.abs(x), _BESIDE_MM, _ASIDE_MM) - np.minimum(front, center + 0.25 * half_y)
        aside = np.abs(x - 4.0) - 0.68 * half_x - 14.0 * np.interp(z, [-170.0, -120.0], [1.0, 0.0])
        share = np.clip((z - _ROOT[0, 1]) / (_ROOT[1, 1] - _ROOT[0, 1]), 0.0, 1.0)
        along = np.hypot(x - _ROOT[0, 0] - share * (_ROOT[1, 0] - _ROOT[0, 0]), 0.8 * (y - front))
        # the jejunum reaches higher, on the left; below, the loops rest on bladder and rectum and hang into the pelvis between them
        above = 0.6 * (z - top - 0.3 * x)
        below = 0.6 * (bottom + 0.3 * np.abs(y - front + 30.0) - z)
        return within_all(outside + ring + omentum * np.clip((center - y) / half_y, 0.3, 1.0), behind, aside, root - along, above, below)

    return room
