"""Bones and cartilage that hang on the trunk: sternum, costal cartilages, clavicles, scapulae, humeri, femora.

The arms are up beside the head, as for most body CT. LPS mm; sizes are adult means, low confidence.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from VertebralBMDLib.simulation.pelvis import HEAD, HEAD_MM
from VertebralBMDLib.simulation.shapes import LPS_FRAME, Capsule, Ellipsoid, Frame, Plate, Solid, Tube
from VertebralBMDLib.simulation.skeleton import PELVIS, RIBS, BoneStuff, paint_bone, rib_pair
from VertebralBMDLib.simulation.strokes import SUBJECTS, Drawing, Rods, paint_rods, stream
from VertebralBMDLib.simulation.trabecular import BoneQuality

_TRUE_RIBS = ("T1", "T2", "T3", "T4", "T5", "T6", "T7")
_FALSE_RIBS = ("T8", "T9", "T10")


def paint_girdle(drawing: Drawing, first: BoneQuality) -> None:
    """Shoulder girdle, breastbone and thighs; `first`: the bone of L1, which scales them all."""
    canvas, s = drawing.canvas, drawing.spine.size
    paint_axillae(drawing)
    paint_cartilage(drawing)
    paint_bone(canvas, sternum(drawing), BoneStuff.of(first, 0.7, 800.0, 0.75, 0.25), RIBS)
    for side in (-1.0, 1.0):
        paint_bone(canvas, clavicle(drawing, side), BoneStuff.of(first, 1.8, 1050.0, 0.5), RIBS)
        paint_bone(canvas, scapula(drawing, side), BoneStuff.of(first, 1.2, 950.0, 0.6), RIBS)
        head = shoulder(drawing, side)
        arm = [Ellipsoid(Frame(head, np.eye(3)), (23.0 * s,) * 3), _rod(head, head + [side * 34.0, -18.0, 120.0], 17.0, 11.0)]
        paint_bone(canvas, arm, BoneStuff.of(first, 2.0, 1050.0, 0.6), RIBS)
        paint_bone(canvas, femur(drawing, side), BoneStuff.of(first, 1.5, 1050.0, 0.9, 0.2), PELVIS)


def _rod(start: np.ndarray, end: np.ndarray, radius_start: float, radius_end: float, stretch: float = 1.0) -> Capsule:
    return Capsule(LPS_FRAME, tuple(start), tuple(end), radius_start, radius_end, stretch)


def _height(drawing: Drawing, level: str) -> float:
    return float(drawing.spine.landmark(level).frame.origin[2])


def paint_axillae(drawing: Drawing) -> None:
    """Fat of the armpits, between the chest wall and the muscles that go to the arm, with the vessels in it."""
    for side in (-1.0, 1.0):
        for level, angle, half in (("T2", -12.0, (24.0, 22.0, 34.0)), ("T4", -2.0, (13.0, 30.0, 40.0))):
            at = drawing.trunk.wall_point(angle, _height(drawing, level), -half[0] - 2.0)
            center = np.array([side * at[0], at[1], at[2]])
            drawing.organ(Ellipsoid(Frame(center, np.eye(3)), half), drawing.tissues.fat, 5.0, 16.0)
        vessel = [center + [side * 2.0, 4.0, 0.0], center + [side * 8.0, -2.0, 30.0], shoulder(drawing, side) + [-side * 30.0, -18.0, 0.0]]
        paint_rods(drawing, Rods.along(vessel, [2.0, 3.5, 4.5]), drawing.tissues.vein)


def breastbone(drawing: Drawing) -> Tube:
    """Outline of the whole breastbone in the front wall, T3 to T10."""
    z = np.linspace(_height(drawing, "T10") + 2.0, _height(drawing, "T3") + 6.0, 31)
    y = np.interp(z, z[::5], [drawing.trunk.wall_point(-90.0, h, 7.0)[1] for h in z[::5]])
    share = np.linspace(0.0, 1.0, len(z))
    rng = stream(drawing.seed, SUBJECTS.index("girdle"), 1)
    wide = np.interp(share, [0.0, 0.06, 0.17, 0.30, 0.50, 0.70, 0.78, 0.86, 0.96, 1.0], [4, 7, 11, 19, 18, 15, 17, 26, 27, 22])
    thick = np.interp(share, [0.0, 0.15, 0.25, 0.7, 0.76, 0.95, 1.0], [2.2, 3.6, 5.2, 5.6, 6.2, 7.2, 5.5])
    # the ribs' notches, and what is uneven in everyone
    wide = wide * (1.0 + 0.07 * np.cos(2.0 * np.pi * 6.5 * share)) * rng.normal(1.0, 0.04, len(z))
    bend = np.interp(share, [0.0, 0.16, 0.74, 1.0], [rng.normal(0.0, 5.0), 0.0, 0.0, 2.0])
    uneven = ndimage.gaussian_filter1d(rng.normal(0.0, 2.2, len(z)), 1.5)
    size = drawing.spine.size
    return Tube(z, uneven, y + bend + uneven[::-1], wide * size, thick * rng.normal(1.0, 0.05, len(z)) * size)


def sternum(drawing: Drawing) -> list[Solid]:
    """Xiphoid, body and manubrium, with the joints between them."""
    whole = breastbone(drawing)
    low, high = whole.z[0], whole.z[-1]
    parts: list[Solid] = []
    for start, end in ((0.0, 0.155), (0.165, 0.735), (0.75, 1.0)):
        z = np.linspace(low + start * (high - low), low + end * (high - low), 24)
        x, y, half_x, half_y = (np.interp(z, whole.z, v) for v in (whole.center_x, whole.center_y, whole.half_x, whole.half_y))
        # rounded ends, 5 mm high
        round_off = np.sqrt(1.0 - 0.7 * np.clip(1.0 - np.minimum(z - z[0], z[-1] - z) / 5.0, 0.0, 1.0) ** 2)
        parts.append(Tube(z, x, y, half_x * round_off, half_y * round_off))
    return parts


def paint_cartilage(drawing: Drawing) -> None:
    """From each rib's end in the wall up to the sternum; the false ribs join the seventh."""
    plate = breastbone(drawing)
    front = (np.array([-300.0, -500.0, plate.z[0] - 150.0]), np.array([300.0, float(plate.center_y.max()) + 50.0, plate.z[-1] + 60.0]))
    if drawing.canvas.grid.window(front) is None:
        return
    bundles, joins = [], np.linspace(plate.z[-3], plate.z[8], len(_TRUE_RIBS))
    last = {}
    for level, join in zip(_TRUE_RIBS + _FALSE_RIBS, [*joins, *[None] * len(_FALSE_RIBS)]):
        for side, rib in zip((-1.0, 1.0), rib_pair(drawing.spine, drawing.trunk, level)):
            tip = np.asarray(rib[-1].end)
            center = float(drawing.trunk.ellipse(np.array(tip[2]))[0])
            angle = np.degrees(np.arctan2(tip[1] - center, abs(tip[0])))
            goal = last[side] if join is None else np.array([side * 14.0, 0.0, join])
            points = [tip]
            for part in (0.35, 0.7, 1.0):
                z = tip[2] + part * (goal[2] - tip[2]) - 16.0 * np.sin(np.pi * part)
                at = drawing.trunk.wall_point(angle + part * (-84.0 - angle if join is not None else -12.0), z, 6.5)
                points.append(np.array([side * at[0], at[1], z]))
            last[side] = points[2]
            bundles.append(Rods.along(points, 5.2))
    paint_rods(drawing, Rods.joined(bundles), drawing.tissues.cartilage)


def shoulder(drawing: Drawing, side: float) -> np.ndarray:
    """Centre of the head of the humerus."""
    t2 = drawing.spine.landmark("T2").frame.origin
    return np.array([side * 148.0 * drawing.spine.size, t2[1] - 8.0, t2[2] + 22.0])


def clavicle(drawing: Drawing, side: float) -> list[Solid]:
    """S-shaped, from the manubrium up and back to the shoulder."""
    plate = breastbone(drawing)
    root = np.array([side * 24.0, plate.center_y[-1], plate.z[-1] + 2.0])
    tip = shoulder(drawing, side) + [-side * 12.0, 2.0, 26.0]
    bend = [root, root + 0.33 * (tip - root) + [0.0, -9.0, 4.0], root + 0.7 * (tip - root) + [0.0, 10.0, 4.0], tip]
    return [_rod(p, q, a, b) for p, q, a, b in zip(bend[:-1], bend[1:], (8.5, 6.0, 5.5), (6.0, 5.5, 7.0))]


def scapula(drawing: Drawing, side: float) -> list[Solid]:
    """Blade behind the second to seventh ribs, spine, acromion and coracoid."""
    trunk = drawing.trunk
    head = shoulder(drawing, side)
    glenoid = head + [-side * 24.0, 6.0, -4.0]

    def behind(angle: float, level: str) -> np.ndarray:
        at = trunk.wall_point(angle, _height(drawing, level), -16.0)
        return np.array([side * at[0], at[1], at[2]])

    upper, lower, root = behind(58.0, "T2"), behind(48.0, "T7"), behind(62.0, "T3")
    acromion = head + [side * 6.0, 14.0, 28.0]
    solids: list[Solid] = [Plate(np.array([upper, lower, glenoid]), 1.6)]
    solids += [_rod(upper, lower, 2.6, 3.5), _rod(lower, glenoid, 4.0, 6.0), _rod(glenoid, glenoid + [0.0, 0.0, 16.0], 11.0, 8.0)]
    ridge = 0.5 * (root + glenoid) + [0.0, 20.0, 8.0]
    solids += [
        _rod(root, ridge, 2.5, 4.5, 1.6),
        _rod(ridge, acromion, 4.5, 7.0),
        _rod(glenoid + [0, -6, 16], glenoid + [side * 4.0, -30.0, 18.0], 6.0, 5.0),
    ]
    return solids


def femur(drawing: Drawing, side: float) -> list[Solid]:
    """Head, neck, trochanter and upper shaft below the hip socket."""
    s = drawing.spine.size
    head = drawing.spine.sacral_frame.origin + HEAD * [side, 1.0, 1.0] * s
    trochanter = head + np.array([side * 50.0, 12.0, -12.0])
    shaft = trochanter + np.array([-side * 8.0, 0.0, -30.0])
    return [
        Ellipsoid(Frame(head, np.eye(3)), (HEAD_MM * s,) * 3),
        _rod(head, trochanter, 15.0, 15.0),
        _rod(trochanter, shaft, 16.0, 16.0),
        _rod(shaft, shaft + np.array([-side * 4.0, 0.0, -140.0]), 16.0, 14.0),
    ]
