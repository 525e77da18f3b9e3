"""Heart with chambers, pericardial fat, the great vessels of the mediastinum and the oesophagus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.simulation.body import Trunk
from VertebralBMDLib.simulation.materials import AIR
from VertebralBMDLib.simulation.shapes import Ellipsoid, Frame
from VertebralBMDLib.simulation.strokes import Drawing, Rods, paint_rods

# Apex of the heart points left, forward and down.
_AXIS = np.array([0.62, -0.58, -0.53])


@dataclass(frozen=True)
class _Resting:
    """What is left of a solid that lies on the diaphragm, sunk into it by a few millimetres."""

    solid: Ellipsoid
    trunk: Trunk
    sunk_mm: float = 4.0

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.solid.bounds

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        center_y = self.trunk.ellipse(self.solid.frame.origin[2])[0]
        dome = self.trunk.dome(x, y, center_y).astype(np.float32) - np.float32(self.sunk_mm)
        return np.maximum(self.solid.distance(x, y, z), np.float32(0.8) * (dome - z))


def heart_frame(drawing: Drawing) -> Frame:
    """Origin in the middle of the heart; third axis towards the apex."""
    top = drawing.trunk.dome_mm[1]
    z = top + 34.0
    t8 = drawing.spine.landmark("T8")
    behind = float(t8.frame.origin[1]) - 0.5 * t8.depth - 17.0  # oesophagus and aorta lie between heart and spine
    axis = _AXIS / np.linalg.norm(_AXIS)
    right = np.cross([0.0, 0.0, 1.0], axis)
    right /= np.linalg.norm(right)
    # between oesophagus and breastbone, nearer to the one in a deep chest
    room = 0.5 * (behind - _front(drawing, z))
    y = behind - np.clip(room, 48.0 * drawing.spine.size, 60.0 * drawing.spine.size)
    return Frame(np.array([18.0, y, z]), np.column_stack([right, np.cross(axis, right), axis]))


def _front(drawing: Drawing, z: float) -> float:
    """y of the inner side of the front wall in the middle."""
    return float(drawing.trunk.wall_point(-90.0, z, 12.0)[1])


def paint_heart(drawing: Drawing) -> None:
    """Pericardial fat, muscle and chambers; sizes in mm along the heart's own axes."""
    rng, tissues = drawing.rng("heart"), drawing.tissues
    frame = heart_frame(drawing)
    size = 1.12 * drawing.spine.size * rng.normal(1.0, 0.08)
    fat_mm = float(rng.lognormal(np.log(2.5 + max(drawing.trunk.visceral, 0.0)), 0.4))

    def part(place: tuple[float, float, float], half: tuple[float, float, float]) -> Ellipsoid:
        at = np.asarray(place) * size * rng.normal(1.0, 0.06, 3)
        return Ellipsoid(Frame(frame.to_world(at), frame.rotation), tuple(np.asarray(half) * size * rng.normal(1.0, 0.05, 3)))

    whole = part((0.0, 0.0, -4.0), (42.0, 38.0, 56.0))
    # the fat lies in front and at the apex, the heart itself on the diaphragm
    around = Frame(whole.frame.origin + [0.0, -0.8 * fat_mm, 0.0], whole.frame.rotation)
    drawing.organ(_Resting(Ellipsoid(around, tuple(np.asarray(whole.half_axes) + fat_mm)), drawing.trunk), tissues.fat, 3.0)
    drawing.organ(_Resting(whole, drawing.trunk), tissues.myocardium, 4.0)
    # first axis of the heart: towards the patient's back and left (the left ventricle)
    for place, half, blood in (
        ((16.0, 6.0, 8.0), (20.0, 19.0, 33.0), tissues.artery),
        ((-20.0, -8.0, 6.0), (15.0, 21.0, 36.0), tissues.right_heart),
        ((-20.0, 10.0, -36.0), (20.0, 22.0, 20.0), tissues.right_heart),
        ((20.0, 14.0, -40.0), (27.0, 24.0, 19.0), tissues.artery),
    ):
        drawing.organ(_Resting(part(place, half), drawing.trunk, -2.0), blood, 3.5, 16.0)
    drawing.organ(part((-2.0, 2.0, -32.0), (2.5, 30.0, 12.0)), tissues.fat, 1.0)


def paint_great_vessels(drawing: Drawing) -> None:
    """Ascending aorta, arch, pulmonary trunk and arteries, superior vena cava."""
    tissues, spine = drawing.tissues, drawing.spine
    heart = heart_frame(drawing).origin
    t4, t3, t6 = (spine.landmark(name) for name in ("T4", "T3", "T6"))
    arch_z = float(t4.frame.origin[2]) + 4.0
    down = t6.frame.origin + [24.0, -(0.5 * t6.depth + 2.0), 0.0]
    spine_y = float(t4.frame.origin[1]) - 0.5 * t4.depth
    root = heart + [-14.0, 2.0, 24.0]
    deep = float(np.clip((spine_y - _front(drawing, arch_z)) / 84.0, 0.9, 1.35))  # the arch spans the chest from front to back
    arch = [
        root,
        [-16.0, spine_y - 54.0 * deep, arch_z - 22.0],
        [-6.0, spine_y - 46.0 * deep, arch_z],
        [12.0, spine_y - 22.0 * deep, arch_z + 5.0],
        [22.0, spine_y - 4.0, arch_z - 8.0],
        down,
    ]
    s = spine.size
    paint_rods(drawing, Rods.along(arch, [15.5 * s, 15.5 * s, 14.5 * s, 13.5 * s, 12.5 * s, 12.0 * s]), tissues.artery)
    trunk_top = np.array([14.0, spine_y - 46.0 * deep, arch_z - 34.0])
    pulmonary = [
        Rods.along([heart + [10.0, -14.0, 22.0], trunk_top], [13.0, 13.0]),
        Rods.along([trunk_top, [34.0, spine_y - 12.0, arch_z - 40.0], [46.0, spine_y, arch_z - 60.0]], [12.0, 10.0, 7.0]),
        Rods.along([trunk_top, [-14.0, spine_y - 30.0, arch_z - 42.0], [-40.0, spine_y - 20.0, arch_z - 54.0]], [12.0, 10.5, 7.0]),
    ]
    paint_rods(drawing, Rods.joined(pulmonary), tissues.right_heart)
    right_atrium = heart + [-34.0, 8.0, 8.0]
    cava = [
        right_atrium,
        [-32.0, spine_y - 40.0 * deep, arch_z - 20.0],
        [-26.0, spine_y - 38.0 * deep, arch_z + 30.0],
        [-34.0, spine_y - 30.0, arch_z + 75.0],
    ]
    paint_rods(drawing, Rods.along(cava, [11.0, 10.0, 9.0, 8.0]), tissues.right_heart)
    branches = [
        Rods.along([[-8.0, spine_y - 46.0 * deep, arch_z + 4.0], [-22.0, spine_y - 34.0, arch_z + 60.0]], [6.5, 5.5]),
        Rods.along([[6.0, spine_y - 32.0 * deep, arch_z + 6.0], [14.0, spine_y - 26.0, arch_z + 60.0]], [4.5, 4.0]),
        Rods.along([[16.0, spine_y - 16.0, arch_z + 4.0], [26.0, spine_y - 12.0, arch_z + 60.0]], [5.0, 4.5]),
    ]
    paint_rods(drawing, Rods.joined(branches), tissues.artery)


def paint_oesophagus(drawing: Drawing) -> None:
    """From the neck in front of the spine, left of the midline at the hiatus, into the stomach; some air in it."""
    tissues, spine = drawing.tissues, drawing.spine
    points = []
    for level, aside, ahead in (("T1", 3.0, 8.5), ("T4", 3.0, 8.5), ("T7", 2.0, 10.0), ("T9", 6.0, 14.0), ("T10", 14.0, 30.0)):
        body = spine.landmark(level)
        points.append(body.frame.to_world([aside, -0.5 * body.depth - ahead, 0.0]))
    tube = Rods.along(points, 7.0)
    paint_rods(drawing, tube, tissues.gut)
    rng = drawing.rng("heart")
    for part in rng.uniform(0.0, 1.0, 5):
        i = int(part * (len(points) - 1))
        at = points[i] + (part * (len(points) - 1) - i) * (points[i + 1] - points[i])
        paint_rods(drawing, Rods.along([at - [0.0, 1.0, 6.0], at + [0.0, -1.0, 6.0]], 2.4), AIR)


def paint_mediastinum(drawing: Drawing) -> None:
    """Everything between the lungs."""
    paint_oesophagus(drawing)
    paint_heart(drawing)
    paint_great_vessels(drawing)
