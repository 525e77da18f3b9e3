"""The digital spine: seventeen bodies on a smooth curve, with discs, canal and arches.

Built around the L1 body centre at the LPS origin; T1 to L5, each a pose and a shape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.simulation.shapes import Capsule, Frame, Tube
from VertebralBMDLib.simulation.vertebra import BodyShape, posterior_elements

Sex = Literal["F", "M"]
LEVELS: tuple[str, ...] = tuple(f"T{i}" for i in range(1, 13)) + tuple(f"L{i}" for i in range(1, 6))
REFERENCE = LEVELS.index("L1")

# Knots over the level index (T1 = 0): adult means, low confidence; T12-L3 as literature gives them.
_KNOT = [LEVELS.index(name) for name in ("T1", "T4", "T8", "T10", "T12", "L1", "L2", "L3", "L4", "L5")]
_WIDTH = [29, 27, 30, 33, 38, 40, 42, 44, 46, 49]
_DEPTH = [17, 21, 26, 28, 29, 30, 31.5, 33, 34, 35]
_HEIGHT = [16.5, 18, 20.5, 22, 24, 25.5, 26.5, 27, 27.5, 27.5]
_DISC = [4, 3.5, 4, 5, 7, 8, 9, 10, 10.5, 10]  # below each level
_WEDGE = [0.0, -0.03, -0.03, -0.03, -0.06, -0.05, 0.0, 0.03, 0.06, 0.15]  # (anterior - posterior) / height
# Backward lean of the body axis going up, degrees: kyphosis above, lordosis below.
_LEAN = [-22, -16, 0, 5, 10, 10, 7, 2, -5, -18]
# The literature's 0.90 for women gives L1 bodies below 19 cm3; two measured women had 31-33 cm3.
SIZE = {"F": 0.97, "M": 1.03}


@dataclass(frozen=True)
class Spine:
    """Bodies in order T1 to L5 and the discs below each; `size` scales everything near the spine."""

    bodies: tuple[BodyShape, ...]
    discs: tuple[BodyShape, ...]
    sacral_frame: Frame
    size: float

    def body(self, level: str) -> BodyShape:
        return self.bodies[LEVELS.index(level)]

    def arches(self, level: str) -> tuple[Capsule, ...]:
        return posterior_elements(self.body(level), LABELS[level])

    def turned(self, rotation: np.ndarray) -> Spine:
        """The same spine rotated about the L1 centre."""

        def turn(frame: Frame) -> Frame:
            return Frame(rotation @ frame.origin, rotation @ frame.rotation)

        bodies, discs = (tuple(replace(b, frame=turn(b.frame)) for b in group) for group in (self.bodies, self.discs))
        return replace(self, bodies=bodies, discs=discs, sacral_frame=turn(self.sacral_frame))

    def line(self, behind_mm: float = 0.0) -> np.ndarray:
        """Body centres moved backwards in their own frames, (17, 3) LPS, with ascending z."""
        return np.array([b.frame.to_world([0.0, behind_mm, 0.0]) for b in self.bodies])[::-1]


def make_spine(rng: np.random.Generator, sex: Sex) -> Spine:
    """Draw one spine."""
    n = len(LEVELS)
    size = SIZE[sex] * rng.normal(1.0, 0.025)
    at = np.arange(n)
    width, depth, height = (
        np.interp(at, _KNOT, knots) * size * rng.normal(1.0, 0.025) * rng.normal(1.0, 0.012, n) for knots in (_WIDTH, _DEPTH, _HEIGHT)
    )
    disc = np.interp(at, _KNOT, _DISC) * size * np.clip(rng.normal(1.0, 0.12, n), 0.5, 1.3)
    wedge = np.interp(at, _KNOT, _WEDGE) + rng.normal(0.0, 0.02, n)
    frames = _poses(rng, height, disc)
    bodies = tuple(
        BodyShape(
            frames[i],
            width[i],
            depth[i],
            height[i],
            flare=rng.uniform(0.08, 0.16),
            cup=rng.uniform(1.0, 2.6) * size,
            wedge=wedge[i],
            hollow=0.04 if i == n - 1 else rng.uniform(0.08, 0.18),
        )
        for i in range(n)
    )
    sacral_frame = _sacral_frame(bodies[-1], disc[-1], rng)
    return Spine(bodies, _discs(bodies, disc, sacral_frame), sacral_frame, size)


def rotation(lean: float, list_: float, turn: float) -> np.ndarray:
    """Columns left, back, up of a vertebra that leans backward, lists left and turns (radians)."""
    cl, sl, cs, ss, ct, st = np.cos(lean), np.sin(lean), np.cos(list_), np.sin(list_), np.cos(turn), np.sin(turn)
    sagittal = np.array([[1, 0, 0], [0, cl, sl], [0, -sl, cl]])
    frontal = np.array([[cs, 0, ss], [0, 1, 0], [-ss, 0, cs]])
    axial = np.array([[ct, -st, 0], [st, ct, 0], [0, 0, 1]])
    return frontal @ sagittal @ axial


def _poses(rng: np.random.Generator, height: np.ndarray, disc: np.ndarray) -> list[Frame]:
    """Stack the bodies from L1 both ways along the curve."""
    n = len(LEVELS)
    at = np.arange(n)
    lean = np.interp(at, _KNOT, _LEAN) * rng.uniform(0.7, 1.25) + rng.normal(0.0, 2.5) + rng.normal(0.0, 0.8, n)
    sway = np.abs(rng.normal(0.0, 2.0)) * np.sin(2 * np.pi * (at / rng.uniform(9, 16) + rng.uniform()))
    turn = 0.5 * sway + rng.normal(0.0, 1.0)
    rotations = [rotation(*np.radians([lean[i], sway[i], turn[i]])) for i in at]
    centers = np.zeros((n, 3))
    for i in range(REFERENCE - 1, -1, -1):
        centers[i] = centers[i + 1] + _step(rotations, height, disc, i)
    for i in range(REFERENCE, n - 1):
        centers[i + 1] = centers[i] - _step(rotations, height, disc, i)
    return [Frame(c, r) for c, r in zip(centers, rotations)]


def _step(rotations: list[np.ndarray], height: np.ndarray, disc: np.ndarray, upper: int) -> np.ndarray:
    """From the centre of the body below a disc to the centre of the one above."""
    up_above, up_below = rotations[upper][:, 2], rotations[upper + 1][:, 2]
    return 0.5 * (height[upper] + disc[upper]) * up_above + 0.5 * (height[upper + 1] + disc[upper]) * up_below


def _sacral_frame(l5: BodyShape, disc: float, rng: np.random.Generator) -> Frame:
    """Pose of S1: centre 15 mm below its endplate, tilted 35-45 degrees like the sacral slope."""
    pose = rotation(np.radians(-rng.uniform(35.0, 45.0)), 0.0, 0.0)
    gap = 0.5 * (l5.height * (1 + l5.wedge * 0.1) + disc)
    center = l5.frame.origin - gap * l5.frame.rotation[:, 2] - (0.5 * disc + 15.0) * pose[:, 2]
    return Frame(center, pose)


def _discs(bodies: tuple[BodyShape, ...], gaps: np.ndarray, sacral_frame: Frame) -> tuple[BodyShape, ...]:
    """A biconvex disc below each body, reaching into the endplate hollows."""
    discs = []
    below_frames = [b.frame for b in bodies[1:]] + [sacral_frame]
    below_heights = [b.height for b in bodies[1:]] + [30.0]
    for body, gap, frame, height in zip(bodies, gaps, below_frames, below_heights):
        top = body.frame.origin - 0.5 * body.height * body.frame.rotation[:, 2]
        bottom = frame.origin + 0.5 * height * frame.rotation[:, 2]
        up = body.frame.rotation[:, 2] + frame.rotation[:, 2]
        up /= np.linalg.norm(up)
        left = body.frame.rotation[:, 0] - (body.frame.rotation[:, 0] @ up) * up
        left /= np.linalg.norm(left)
        pose = Frame(0.5 * (top + bottom), np.column_stack([left, np.cross(up, left), up]))
        lean = body.frame.rotation[:, 2] @ np.cross(left, frame.rotation[:, 2])
        # taller in front where the bodies diverge (lordosis); 1 mm deep into each rim
        wedge = float(np.clip(-lean * body.depth / (gap + 2.0), -0.9, 0.9))
        discs.append(BodyShape(pose, body.width * 1.1, body.depth * 1.07, gap + 2.0, flare=0.0, cup=-2.0, wedge=wedge, hollow=0.06))
    return tuple(discs)


def canal_tubes(spine: Spine) -> tuple[Tube, Tube]:
    """(epidural fat, dural sac) from T1 down to S2."""
    behind = [0.5 * b.depth + 8.5 * spine.size for b in spine.bodies][::-1]
    points = [b.frame.to_world([0.0, v, 0.0]) for b, v in zip(spine.bodies[::-1], behind)]
    sacral = [spine.sacral_frame.to_world([0.0, 24.0, w]) for w in (-45.0, -5.0)]
    p = np.array(sacral + points)
    ones = np.ones(len(p))
    return (
        Tube(p[:, 2], p[:, 0], p[:, 1], 11.0 * spine.size * ones, 8.5 * spine.size * ones),
        Tube(p[:, 2], p[:, 0], p[:, 1], 8.0 * spine.size * ones, 6.5 * spine.size * ones),
    )
