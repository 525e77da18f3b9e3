"""The room between the lungs, from front wall to spine and diaphragm to neck: great vessels, oesophagus, nodes, thymus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.simulation.body import Trunk
from VertebralBMDLib.simulation.materials import AIR, mixture
from VertebralBMDLib.simulation.shapes import Ellipsoid, Frame, Tube
from VertebralBMDLib.simulation.strokes import Drawing, Rods, paint_rods
from VertebralBMDLib.simulation.vessels import along_spine, center_at, great_vessels

BEHIND_HEART_MM = 12.0  # oesophagus and azygos between heart and spine
_BEFORE_HEART_MM = 5.0


@dataclass(frozen=True)
class Mediastinum:
    """Where things lie between spine and breastbone, diaphragm and aortic arch.

    z, spine_x, spine_y, wall_y: midline and front of the bodies, and inside of the front wall, over z (mm).
    low_mm, high_mm: z of the diaphragm under the heart and of the arch's middle. deep_mm: the heart's depth.
    """

    trunk: Trunk
    z: np.ndarray
    spine_x: np.ndarray
    spine_y: np.ndarray
    wall_y: np.ndarray
    low_mm: float
    high_mm: float
    deep_mm: float
    size: float

    @classmethod
    def of(cls, drawing: Drawing) -> Mediastinum:
        """The room in one person."""
        spine, trunk = drawing.spine, drawing.trunk
        bodies = [spine.landmark(name) for name in ("T12", "T10", "T8", "T6", "T4", "T3", "T2", "T1")]
        x, y, z = np.array([b.frame.origin for b in bodies]).T
        front = y - 0.5 * np.array([b.depth for b in bodies])
        wall = np.array([trunk.wall_point(-90.0, float(h), 12.0)[1] for h in z])
        high = float(np.interp(3.6, [3.0, 4.0], [z[5], z[4]]))
        above = float(trunk.dome_mm[1])
        middle = float(np.interp(above, z, 0.5 * (front + wall)))
        low = float(trunk.dome(np.array(8.0), np.array(middle), trunk.ellipse(np.array(above))[0])) - 2.0
        room = float(np.interp(low + 45.0, z, front - wall)) - BEHIND_HEART_MM - _BEFORE_HEART_MM
        deep = float(np.clip(room, 66.0 * spine.size, 106.0 * spine.size))
        size = spine.size * (0.4 + 0.3 * (high - low) / 135.0 + 0.3 * deep / 88.0)
        return cls(trunk, z, x, front, wall, low, high, deep, size)

    @property
    def height_mm(self) -> float:
        return self.high_mm - self.low_mm

    def back(self, z: np.ndarray | float) -> np.ndarray:
        """y of what lies just before the oesophagus."""
        return np.interp(z, self.z, self.spine_y) - BEHIND_HEART_MM

    def front(self, z: np.ndarray | float) -> np.ndarray:
        """y of the inside of the front wall."""
        return np.interp(z, self.z, self.wall_y) + _BEFORE_HEART_MM

    def at(self, x: float, ahead: float, height: float) -> np.ndarray:
        """Point `x` mm left of the spine; share of the depth before the oesophagus, and of the height above the diaphragm."""
        z = self.low_mm + height * self.height_mm
        back = self.back(z)
        deep = np.clip(back - self.front(z), 28.0, self.deep_mm)
        return np.array([np.interp(z, self.z, self.spine_x) + x * self.size, back - ahead * deep, z])

    def course(self, *places: tuple[float, float, float]) -> list[np.ndarray]:
        return [self.at(*place) for place in places]

    @property
    def carina(self) -> np.ndarray:
        """Where the trachea divides, above the left atrium."""
        return self.at(2.0, 0.12, 0.80)


def smooth(points: list[np.ndarray], radii: list[float], steps: int = 3) -> Rods:
    """A bent tube through points (Catmull-Rom)."""
    p = np.column_stack([np.asarray(points, float), radii])
    p = np.concatenate([[2.0 * p[0] - p[1]], p, [2.0 * p[-1] - p[-2]]])
    t = (np.arange(steps) / steps)[:, None]
    a, b, c, d = (p[i : len(p) - 3 + i, None] for i in range(4))
    curve = 0.5 * (2.0 * b + (c - a) * t + (2.0 * a - 5.0 * b + 4.0 * c - d) * t**2 + (3.0 * (b - c) + d - a) * t**3)
    curve = np.concatenate([curve.reshape(-1, 4), p[-2:-1]])
    return Rods.along(curve[:, :3], curve[:, 3])


def paint_great_vessels(drawing: Drawing, room: Mediastinum) -> None:
    """Vena cava and its branches, pulmonary arteries and veins, aorta from the left ventricle to the spine, arteries of the neck."""
    tissues, s = drawing.tissues, room.size
    aorta, inferior = great_vessels(drawing.spine, drawing.rng("vessels"))
    cava = [
        smooth([*room.course((-32.0, 0.42, 0.44), (-29.0, 0.42, 0.70), (-25.0, 0.50, 1.0), (-30.0, 0.42, 1.4))], [11, 10, 9, 7]),
        smooth([*room.course((-25.0, 0.50, 1.0), (-4.0, 0.74, 1.08), (16.0, 0.76, 1.16), (36.0, 0.5, 1.45))], [7, 6.5, 6.5, 6]),
        Rods.along([center_at(inferior, float(inferior.z[-1]) - 4.0), room.at(-34.0, 0.36, 0.26)], [13.0, 12.0]),
    ]
    paint_rods(drawing, Rods.joined(cava), tissues.right_heart)
    fork = room.at(15.0, 0.52, 0.72)
    pulmonary = [
        smooth([*room.course((14.0, 0.86, 0.40), (20.0, 0.80, 0.60)), fork], [14.0 * s, 14.0 * s, 12.0 * s]),
        smooth([fork, *room.course((-8.0, 0.30, 0.71), (-36.0, 0.26, 0.67), (-46.0, 0.2, 0.58))], [11.5 * s, 10.5 * s, 9.0 * s, 6.0]),
        smooth([fork, *room.course((30.0, 0.24, 0.75), (42.0, 0.02, 0.68), (46.0, -0.1, 0.55))], [11.5 * s, 10.5 * s, 9.0 * s, 6.0]),
    ]
    sheath = mixture((0.6, tissues.fat), (0.4, tissues.muscle))
    paint_rods(drawing, Rods.joined(pulmonary[1:]), sheath, 1.6)
    paint_rods(drawing, Rods.joined(pulmonary), tissues.right_heart)
    veins = [
        Rods.along(room.course((side * 22.0, 0.12, h), (side * 46.0, 0.02, h + up)), [7.5, 5.0])
        for side in (-1, 1)
        for h, up in ((0.50, 0.06), (0.40, -0.05))
    ]
    paint_rods(drawing, Rods.joined(veins), tissues.artery)
    top = float(aorta.z[-1])
    arch = room.course(
        (24.0, 0.44, 0.28),
        (12.0, 0.44, 0.36),
        (0.0, 0.56, 0.50),
        (-10.0, 0.62, 0.68),
        (-9.0, 0.58, 0.86),
        (1.0, 0.40, 0.98),
        (14.0, 0.12, 0.99),
    )
    arch += [center_at(aorta, top) + [-2.0, -4.0, 0.62 * (room.high_mm - top)], center_at(aorta, top), center_at(aorta, top - 12.0)]
    wide = float(aorta.half_x[-1]) / 12.0
    radii = [r * wide for r in (14.5, 13.0, 16.5, 16.0, 15.5, 14.0, 13.0, 12.5, 12.0, 12.0)]
    paint_rods(drawing, smooth(arch[1:5], radii[1:5]), tissues.myocardium, 2.0)  # the wall of its root, next to the atria
    paint_rods(drawing, smooth(arch[4:8], radii[4:8]), sheath, 1.6)
    paint_rods(drawing, smooth(arch, radii), tissues.artery)
    branches = [
        smooth(room.course((-2.0, 0.48, 1.0), (-10.0, 0.48, 1.2), (-22.0, 0.3, 1.5)), [6.5, 6.0, 5.0]),
        smooth(room.course((6.0, 0.32, 1.0), (12.0, 0.32, 1.2), (20.0, 0.2, 1.5)), [4.5, 4.2, 4.0]),
        smooth(room.course((15.0, 0.10, 1.0), (22.0, 0.08, 1.2), (30.0, 0.1, 1.5)), [5.0, 4.8, 4.5]),
    ]
    paint_rods(drawing, Rods.joined(branches), tissues.artery)


def oesophagus(drawing: Drawing) -> Tube:
    """A flat band before the spine from the neck; before the aorta and to the left at the hiatus."""
    spine = drawing.spine
    bodies = [spine.landmark(name) for name in ("T10", "T9", "T8", "T6", "T4", "T2", "T1")]
    z = [float(b.frame.origin[2]) for b in bodies]
    ahead = np.array([30.0, 22.0, 13.0, 8.0, 7.5, 7.0, 7.0])
    behind = [-0.5 * b.depth - a for b, a in zip(bodies, ahead)]
    half_x, half_y = ([v * spine.size for v in h] for h in ([8, 8.5, 9, 9, 8.5, 8, 8], [6.5, 5.5, 4.5, 4.2, 4.2, 4.2, 4.2]))
    return along_spine(spine, 0.0, [z[0] - 8.0, *z[1:-1], z[-1] + 60.0], behind, half_x, half_y, [14.0, 7.0, 2.0, 1.0, 3.0, 3.0, 2.0])


def paint_oesophagus(drawing: Drawing) -> None:
    """Its wall, and some air in it."""
    tube = oesophagus(drawing)
    drawing.organ(tube, drawing.tissues.gut, 0.6, 12.0)
    rng = drawing.rng("heart")
    for z in rng.uniform(tube.z[0] + 30.0, tube.z[-1], 4):
        low, high = (center_at(tube, z + step) for step in (-rng.uniform(3.0, 9.0), rng.uniform(3.0, 9.0)))
        paint_rods(drawing, Rods.along([low, high], 1.9), AIR)


def paint_filling(drawing: Drawing, room: Mediastinum) -> None:
    """Fat around the vessels, thymus turned to fat behind the breastbone, muscles from there to the neck, nodes and connective tissue between the vessels."""
    tissues, s = drawing.tissues, room.size
    lean = drawing.rng("heart").uniform(0.25, 0.6)
    around = Ellipsoid(Frame(room.at(0.0, 0.44, 0.80), np.eye(3)), (29.0 * s, 0.44 * room.deep_mm, 0.34 * room.height_mm))
    drawing.organ(around, mixture((0.12, tissues.muscle), (0.88, tissues.fat)), 3.0, 16.0)
    thymus = Ellipsoid(Frame(room.at(0.0, 0.80, 0.92), np.eye(3)), (11.0 * s, 14.0 * s, 0.34 * room.height_mm))
    drawing.organ(thymus, mixture((lean, tissues.muscle), (1.0 - lean, tissues.fat)), 3.0, 12.0)
    straps = [
        Rods.along([*room.course((side * 7.0, 0.97, 1.08), (side * 7.0, 1.0, 1.45), (side * 6.0, 1.0, 2.0))], 4.0 * s) for side in (-1, 1)
    ]
    paint_rods(drawing, Rods.joined(straps), tissues.muscle, 0.0, 0.8)
    loose = mixture((0.75, tissues.gut), (0.25, tissues.fat))
    for place, half in (
        ((-2.0, 0.13, 0.66), (15.0, 9.0, 13.0)),
        ((-14.0, 0.22, 0.94), (8.0, 9.0, 18.0)),
        ((-4.0, 0.30, 0.83), (13.0, 8.0, 12.0)),
        ((14.0, 0.36, 0.85), (9.0, 12.0, 9.0)),
        ((2.0, 0.45, 1.14), (17.0, 15.0, 16.0)),
        ((4.0, 0.02, 0.24), (14.0, 5.0, 20.0)),
    ):
        drawing.organ(Ellipsoid(Frame(room.at(*place), np.eye(3)), tuple(np.asarray(half) * s)), loose, 2.0, 11.0)
