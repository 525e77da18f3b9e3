"""Lungs with vessels, airways and the diaphragm under them."""

from __future__ import annotations

import numpy as np

from VertebralBMDLib.simulation.materials import AIR
from VertebralBMDLib.simulation.shapes import coverage
from VertebralBMDLib.simulation.strokes import Drawing, Rods, grow_tree, on_lattice, paint_rods, within_all

DIAPHRAGM_MM, PLEURA_MM = 3.0, 0.6
# Half width of the mediastinum (mm) by depth behind the bodies' centres (mm).
_BEHIND = [-110.0, -75.0, -50.0, -28.0, -5.0, 15.0, 40.0]
_HALF_WIDTH = [5.0, 8.0, 17.0, 24.0, 22.0, 26.0, 36.0]
GRAVITY_HU = 45.0  # the dependent lung is denser


def paint_lungs(drawing: Drawing) -> None:
    """Lungs over the abdominal organs: inside the chest wall, above the diaphragm, beside the mediastinum."""
    trunk, grid = drawing.trunk, drawing.canvas.grid
    line = drawing.spine.line()
    empty, muscle = drawing.hu(drawing.tissues.lung), drawing.hu(drawing.tissues.muscle)

    def pleura(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(signed mm to the lung's surface, -1 front to 1 back, mm of muscle or pleura around it)."""
        outside, ring, _, _ = trunk.layers(x, y, z)
        center, _, half_y = trunk.ellipse(z)
        spine_x, spine_y = (np.interp(z, line[:, 2], line[:, k]) for k in (0, 1))
        beside = np.interp(y - spine_y, _BEHIND, _HALF_WIDTH) - np.abs(x - spine_x)
        above = 0.6 * (trunk.dome(x, y, center) - z)
        apex = 0.7 * (z - trunk.apex_mm) + 0.006 * ((np.abs(x) - 38.0) ** 2 + (y - center - 5.0) ** 2)
        elsewhere = within_all(outside + ring + 1.0, beside, apex)
        rim = PLEURA_MM + (DIAPHRAGM_MM - PLEURA_MM) * np.clip((above - elsewhere) / 8.0 + 1.0, 0.0, 1.0)
        return np.maximum(elsewhere, above), np.broadcast_to((y - center) / half_y, outside.shape), rim

    wide, front, back = trunk.half_x.max(), (trunk.center_y - trunk.half_y).min(), (trunk.center_y + trunk.half_y).max()
    for window in drawing.slabs((np.array([-wide, front, trunk.dome_mm[1] - 176.0]), np.array([wide, back, trunk.apex_mm + 10.0]))):
        points = grid.points(window)
        surface, depth, around = on_lattice(pleura, *(p.ravel() for p in points), even=True)
        surface += np.float32(1.2) * drawing.noise(points, 26.0)
        rim = coverage(surface - around, grid.footprint_mm)
        if not rim.any():
            continue
        air = coverage(surface, grid.footprint_mm)
        hu = empty + np.float32(GRAVITY_HU) * depth + 18.0 * np.maximum(drawing.noise(points, 3.0), -1.5)
        drawing.canvas.blend(window, rim, (rim - air) * muscle + air * hu)


def paint_lung_vessels(drawing: Drawing) -> None:
    """Pulmonary vessels from each hilum outwards."""
    rng = drawing.rng("lungs")
    tissues, trunk, spine = drawing.tissues, drawing.trunk, drawing.spine
    t6 = spine.landmark("T6")
    hilum_z, front = float(t6.frame.origin[2]), float(t6.frame.origin[1]) - 0.5 * t6.depth
    half_x = float(trunk.ellipse(np.array(hilum_z))[1])
    roots, directions = [], []
    for side in (-1.0, 1.0):
        for angle in np.linspace(-80.0, 80.0, 5):
            for tilt in (-70.0, -35.0, 5.0, 45.0):
                a, t = np.radians([angle + rng.normal(0.0, 9.0), tilt + rng.normal(0.0, 9.0)])
                directions.append([side * np.cos(a) * np.cos(t), 0.9 * np.sin(a) * np.cos(t), np.sin(t)])
                roots.append([side * 33.0, front - 18.0, hilum_z + 25.0 * np.sin(t)])
    tree = grow_tree(rng, np.array(roots), np.array(directions), 4.2, 0.2 * half_x, 6, 0.42)
    paint_rods(drawing, _within_lung(drawing, tree), tissues.right_heart)


def _within_lung(drawing: Drawing, tree: Rods) -> Rods:
    """The branches that end in the lung, well away from pleura and diaphragm."""
    x, y, z = tree.end.T
    outside, ring, _, _ = drawing.trunk.layers(x, y, z)
    above = z - drawing.trunk.dome(x, y, drawing.trunk.ellipse(z)[0])
    keep = (outside + ring < -3.0) & (above > 4.0) & (z < drawing.trunk.apex_mm - 4.0) & (np.abs(x) > 14.0)
    return Rods(*(getattr(tree, name)[keep] for name in ("start", "end", "radius_start", "radius_end")))


def paint_airways(drawing: Drawing, carina: np.ndarray) -> None:
    """Trachea down to the carina, main and lobar bronchi: a wall around air."""
    trachea, aside = [carina], drawing.rng("lungs").normal(0.0, 4.0)  # seldom quite in the middle
    for level in ("T4", "T3", "T2", "T1"):
        body = drawing.spine.body(level)
        trachea.append(np.array([body.frame.origin[0] + aside, body.frame.origin[1] - 0.5 * body.depth - 20.0, body.frame.origin[2]]))
    trachea.append(trachea[-1] + [0.0, 2.0, 50.0])
    right = [carina, carina + [-22.0, 4.0, -22.0], carina + [-34.0, 8.0, -48.0], carina + [-46.0, 22.0, -72.0]]
    left = [carina, carina + [26.0, 5.0, -20.0], carina + [44.0, 12.0, -34.0], carina + [54.0, 26.0, -62.0]]
    upper = [Rods.along([p[1], p[1] + [s * 26.0, -6.0, 18.0]], [5.0, 3.0]) for p, s in ((right, -1.0), (left, 1.0))]
    tubes = Rods.joined(
        [
            Rods.along([p for p in trachea if p[2] >= carina[2]], 8.5),
            Rods.along(right, [7.5, 6.5, 4.5, 2.5]),
            Rods.along(left, [7.0, 6.0, 4.5, 2.5]),
            *upper,
        ]
    )
    paint_rods(drawing, tubes, drawing.tissues.cartilage, 1.4)
    paint_rods(drawing, tubes, AIR)
