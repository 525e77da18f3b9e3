"""Hip bones: the iliac wing as a curved sheet of varying thickness, the socket of the hip, pubis and ischium.

LPS mm from the centre of S1 for the left side, scaled by the person's size. Adult means, low confidence.
"""

from __future__ import annotations

import numpy as np

from VertebralBMDLib.simulation.blades import Cup, sheet
from VertebralBMDLib.simulation.shapes import LPS_FRAME, Capsule, Solid

HEAD = np.array([90.0, -14.0, -104.0])  # centre of the femoral head
HEAD_MM, JOINT_MM = 23.5, 3.5
# From the back (lower posterior spine) to the front (lower anterior spine): the crest; a line through the joint with
# the sacrum and the fossa; the lower border. Then the half thickness from the crest down to that border.
_CREST = [
    [44, 52, -42],
    [45, 57, -10],
    [56, 54, 18],
    [75, 46, 40],
    [98, 24, 53],
    [118, -5, 52],
    [128, -32, 37],
    [127, -53, 12],
    [115, -58, -18],
]
_MIDDLE = [
    [45, 49, -47],
    [47, 47, -28],
    [52, 35, -10],
    [57, 22, -10],
    [64, 6, -12],
    [87, -5, -18],
    [105, -22, -26],
    [113, -41, -34],
    [109, -49, -44],
]
_BORDER = [
    [47, 44, -52],
    [51, 36, -54],
    [54, 23, -54],
    [58, 11, -56],
    [61, -2, -60],
    [74, -9, -70],
    [85, -20, -76],
    [94, -31, -76],
    [101, -38, -70],
]
_HALF = [
    [5.5, 6.0, 5.5, 5.5, 5.0],
    [7.0, 7.5, 7.0, 6.5, 6.0],
    [6.5, 6.0, 6.5, 7.0, 6.0],
    [6.0, 4.5, 4.5, 6.5, 6.5],
    [7.0, 5.2, 3.6, 6.0, 10.0],
    [8.5, 5.4, 3.0, 7.0, 13.0],
    [7.5, 4.8, 3.8, 8.5, 14.0],
    [6.0, 4.6, 4.8, 8.5, 12.0],
    [5.5, 5.0, 5.5, 7.5, 9.0],
]
_AURICULAR = 5  # columns of the wing that face the sacrum


def hip_bone(origin: np.ndarray, size: float, side: float) -> tuple[list[Solid], list[Solid]]:
    """(the whole bone, the part of it that faces the sacrum) of the left (1) or right (-1) side."""
    flip = np.array([side, 1.0, 1.0]) * size
    crest, middle, border = (np.array(points, float)[:, None, :] for points in (_CREST, _MIDDLE, _BORDER))
    t = np.linspace(0.0, 1.0, len(_HALF[0]))[None, :, None]
    curved = (1.0 - t) * (1.0 - 2.0 * t) * crest + 4.0 * t * (1.0 - t) * middle + t * (2.0 * t - 1.0) * border
    wing = sheet(origin + curved * flip, np.array(_HALF) * size)
    facing = wing[: (_AURICULAR - 1) * (t.size - 1) * 2]

    def rod(start: np.ndarray, end: np.ndarray, radius: float, radius_end: float, stretch: float = 1.0) -> Capsule:
        return Capsule(LPS_FRAME, tuple(origin + start * flip), tuple(origin + end * flip), radius * size, radius_end * size, stretch)

    axis = np.array([0.72, -0.28, -0.62]) * [side, 1.0, 1.0]
    socket = Cup(
        origin + HEAD * flip,
        (HEAD_MM + JOINT_MM) * size,
        origin + (HEAD + [-4.0, 1.0, 4.0]) * flip,
        34.0 * size,
        axis / np.linalg.norm(axis),
        6.0 * size,
    )
    pubis, seat = np.array([9.0, -70.0, -122.0]), np.array([60.0, 16.0, -160.0])
    others = [
        socket,
        rod(HEAD + [-26.0, -16.0, 8.0], pubis, 9.5, 9.0, 1.1),
        rod(pubis, pubis + [1.0, 4.0, -16.0], 8.5, 8.0),
        rod(HEAD + [-20.0, 24.0, -4.0], seat, 12.0, 14.0),
        rod(seat + [-6.0, -8.0, -4.0], pubis + [4.0, 6.0, -20.0], 6.5, 6.0),
    ]
    return [*wing, *others], facing
