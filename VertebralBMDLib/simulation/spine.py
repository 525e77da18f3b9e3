"""The digital spine: the bodies of a column on a smooth curve, with discs, canal and arches.

Built around the L1 body centre at the LPS origin; every level is a pose and a shape. A column need not have the
usual seventeen levels below the neck (`findings.levels_of`): whoever walks along it follows `Spine.levels`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from VertebralBMDLib.simulation.arch import Arch, Habit, arch_of
from VertebralBMDLib.simulation.degeneration import worn_body, worn_disc
from VertebralBMDLib.simulation.findings import Findings, Variant, levels_of
from VertebralBMDLib.simulation.sacrum import S1_HEIGHT_MM, Sacrum
from VertebralBMDLib.simulation.shapes import Frame, Solid, Tube
from VertebralBMDLib.simulation.vertebra import BodyShape, Dent, Waves

Sex = Literal["F", "M"]
RibKind = Literal["full", "short", "none"]
LEVELS = levels_of("none")

# Knots over the place in the usual column (T1 = 0, L5 = 16): waist width and depth and rim height of a person between
# the sexes, mm. Set so that the annotated bodies of public scans (7 people, T1-L5), ten VerSe L1 bodies and the mean
# shape of 87 patients (L2-L4) lie within the spread of the simulated ones (Testing/benchmarks/simulation_realism.py).
_KNOT = [LEVELS.index(name) for name in ("T1", "T4", "T8", "T10", "T12", "L1", "L2", "L3", "L4", "L5")]
_WIDTH = [29, 25.5, 29, 32.8, 37.5, 39, 40.5, 43, 47.5, 50.5]
_DEPTH = [18, 23, 30, 31.3, 31.7, 32.2, 33.3, 34.8, 35.5, 35]
_HEIGHT = [16.5, 18, 20.6, 22.5, 25.4, 26.7, 27.7, 28, 28, 28]
_DISC = [4, 3.5, 3.6, 4, 5.8, 6.8, 7.8, 8.8, 10, 9.5]  # below each level
_WEDGE = [0.0, -0.03, -0.04, -0.03, -0.06, -0.05, 0.0, 0.03, 0.06, 0.15]  # (anterior - posterior) / height
_FLARE = [0.08, 0.13, 0.17, 0.18, 0.23, 0.27, 0.25, 0.22, 0.14, 0.10]  # of the width
_HEART = [0.02, 0.12, 0.12, 0.07, 0.02, 0.0, 0.0, 0.0, 0.0, -0.02]
# Backward lean of the body axis going up, degrees: kyphosis above, lordosis below.
_LEAN = [-22, -16, 0, 5, 10, 10, 7, 2, -7, -21]
# Between women and men, half the difference each way; volumes then differ by 23 %.
SIZE = {"F": 0.97, "M": 1.04}
_SLOTS = 20  # draws made for every column, whatever its number of levels


@dataclass(frozen=True)
class Spine:
    """Bodies from cranial to caudal and the discs below each; `size` scales everything near the spine.

    ribs: how long the pair of each level is. variant: of `findings.Variant`; its last level joins the sacrum when
    it is sacralised or lumbarised.
    """

    levels: tuple[str, ...]
    bodies: tuple[BodyShape, ...]
    discs: tuple[BodyShape, ...]
    arch_shapes: tuple[Arch, ...]
    ribs: tuple[RibKind, ...]
    sacrum: Sacrum
    size: float
    variant: Variant = "none"

    @property
    def sacral_frame(self) -> Frame:
        """Pose of S1."""
        return self.sacrum.frame

    def index(self, level: str) -> int:
        """Place of a level from the top; ValueError for a level that this column lacks."""
        if level not in self.levels:
            raise ValueError(f"level must be one of {', '.join(self.levels)}, not {level!r}")
        return self.levels.index(level)

    def body(self, level: str) -> BodyShape:
        return self.bodies[self.index(level)]

    def landmark(self, level: str) -> BodyShape:
        """The body that lies where `level` does in the usual column: for what follows the spine without counting."""
        return self.bodies[int(np.argmin(np.abs(places(self.levels) - LEVELS.index(level))))]

    def arch(self, level: str) -> Arch:
        return self.arch_shapes[self.index(level)]

    def arches(self, level: str) -> tuple[Solid, ...]:
        """Pedicles, laminae and processes of a level."""
        return self.arch(level).solids(self.body(level))

    def line(self, behind_mm: float = 0.0) -> np.ndarray:
        """Body centres moved backwards in their own frames, (levels, 3) LPS, with ascending z."""
        return np.array([b.frame.to_world([0.0, behind_mm, 0.0]) for b in self.bodies])[::-1]


def places(levels: tuple[str, ...]) -> np.ndarray:
    """Where each level would lie in the usual column (T1 = 0, L1 = 12, L5 = 16): what its shape is like."""
    thoracic = sum(level.startswith("T") for level in levels)
    lumbar = len(levels) - thoracic
    upper = np.arange(12.0) if thoracic == 12 else np.append(np.linspace(0.0, 10.5, thoracic - 1), 11.3)
    return np.concatenate([upper, np.linspace(12.0, 16.0, lumbar)])


def make_spine(rng: np.random.Generator, sex: Sex, findings: Findings = Findings()) -> Spine:
    """Draw one spine. Without findings the same generator gives the same person as with them, but for the findings."""
    levels = levels_of(findings.variant)
    n, at = len(levels), places(levels)
    size = SIZE[sex] * rng.normal(1.0, 0.04)
    width, depth, height = (
        np.interp(at, _KNOT, knots) * size * rng.normal(1.0, spread) * rng.normal(1.0, 0.016, _SLOTS)[:n]
        for knots, spread in ((_WIDTH, 0.04), (_DEPTH, 0.04), (_HEIGHT, 0.045))
    )
    disc = np.interp(at, _KNOT, _DISC) * size * np.clip(rng.normal(1.0, 0.12, _SLOTS)[:n], 0.5, 1.3)
    disc *= worn_disc(rng, findings.degeneration, _SLOTS)[:n]
    if findings.variant in ("sacralised_L5", "lumbarised_S1"):
        disc[-1] *= 0.45
    wedge = np.interp(at, _KNOT, _WEDGE) + rng.normal(0.0, 0.025, _SLOTS)[:n]
    flare = np.interp(at, _KNOT, _FLARE) + rng.normal(0.0, 0.02) + rng.normal(0.0, 0.012, _SLOTS)[:n]
    cup, hollow = rng.uniform(0.2, 1.3) * size * rng.uniform(0.5, 1.5, (2, _SLOTS)), rng.uniform(0.14, 0.28, _SLOTS)
    exponent, uneven = rng.uniform(2.15, 2.65), rng.uniform(0.25, 0.6)
    poses_rng, waves_rng, worn_rng = (np.random.default_rng(s) for s in rng.integers(2**63, size=3))
    shapes = []
    for i, level in enumerate(levels):
        body = BodyShape(
            Frame(np.zeros(3), np.eye(3)),
            width[i],
            depth[i],
            height[i],
            flare=(float(flare[i]), float(waves_rng.uniform(0.3, 0.85) * flare[i])),
            taper=float(np.gradient(width)[i] / width[i] * 0.45),
            cups=(float(cup[0, i]), float(cup[1, i])),
            wedge=wedge[i],
            hollow=0.04 if i == n - 1 else float(hollow[i]),
            heart=float(np.interp(at[i], _KNOT, _HEART)),
            exponent=float(exponent),
            relief=Waves.make(waves_rng, 15.0, 40.0),
            relief_mm=float(uneven),
            dents=_dents(waves_rng, width[i], depth[i]),
        )
        body = worn_body(worn_rng, body, findings.degeneration, at[i])
        fracture = findings.fracture(level)
        shapes.append(body if fracture is None else body.fractured(fracture.kind, fracture.loss))
    frames = _poses(poses_rng, shapes, disc, at, findings)
    sacrum = Sacrum.make(poses_rng, _sacral_frame(shapes[-1], frames[-1], disc[-1], poses_rng), size)
    habits = [Habit.make(poses_rng) for _ in range(_SLOTS)]
    arches = tuple(
        arch_of(place, level, size, gap, findings.variant, findings.degeneration, habit)
        for place, level, gap, habit in zip(at, levels, disc, habits)
    )
    bodies = tuple(replace(body, frame=frame, pedicle=arch.pedicle) for body, frame, arch in zip(shapes, frames, arches))
    discs = _discs(bodies, disc, sacrum.segments[0])
    return Spine(levels, bodies, discs, arches, _ribs(levels, findings.variant), sacrum, size, findings.variant)


def _dents(rng: np.random.Generator, width: float, depth: float) -> tuple[Dent, ...]:
    """Two shallow hollows in each endplate, and in one endplate of twelve a Schmorl's node: they are common in the healthy."""
    dents = []
    for upper in (True, False):
        across, along = rng.uniform(-0.28, 0.28, 3) * width, rng.uniform(-0.26, 0.30, 3) * depth
        radius, deep = rng.uniform([7.0, 5.0, 3.0], [13.0, 9.0, 6.0]), rng.uniform([0.2, 0.2, 1.5], [0.9, 0.8, 3.5])
        node = rng.uniform() < 1.0 / 12.0
        dents += [Dent(upper, *(float(v) for v in row)) for row in zip(across, along, radius, deep)][: 3 if node else 2]
    return tuple(dents)


def _ribs(levels: tuple[str, ...], variant: Variant) -> tuple[RibKind, ...]:
    last = {"short_ribs": "short", "no_ribs": "none"}.get(variant, "full")
    kinds: list[RibKind] = ["full" if level.startswith("T") else "none" for level in levels]
    kinds[max(i for i, level in enumerate(levels) if level.startswith("T"))] = "short" if variant == "T13" else last
    if variant == "lumbar_ribs":
        kinds[levels.index("L1")] = "short"
    return tuple(kinds)


def rotation(lean: float, list_: float, turn: float) -> np.ndarray:
    """Columns left, back, up of a vertebra that leans backward, lists left and turns (radians)."""
    cl, sl, cs, ss, ct, st = np.cos(lean), np.sin(lean), np.cos(list_), np.sin(list_), np.cos(turn), np.sin(turn)
    sagittal = np.array([[1, 0, 0], [0, cl, sl], [0, -sl, cl]])
    frontal = np.array([[cs, 0, ss], [0, 1, 0], [-ss, 0, cs]])
    axial = np.array([[ct, -st, 0], [st, ct, 0], [0, 0, 1]])
    return frontal @ sagittal @ axial


def _poses(rng: np.random.Generator, shapes: list[BodyShape], disc: np.ndarray, at: np.ndarray, findings: Findings) -> list[Frame]:
    """Stack the bodies from L1 both ways along the curve; above a wedged fracture the column leans forward."""
    n = len(shapes)
    first = _reference(at)
    height = np.array([body.height for body in shapes])
    lean = np.interp(at, _KNOT, _LEAN) * rng.uniform(0.7, 1.25) + rng.normal(0.0, 2.5) + rng.normal(0.0, 0.8, _SLOTS)[:n]
    lean = lean + _local_kyphosis(shapes, first)
    phase, period, mild = rng.uniform(), rng.uniform(9, 16), np.abs(rng.normal(0.0, 2.0))
    sway = mild * np.sin(2 * np.pi * (at / period + phase))
    # A scoliosis of this Cobb angle: the axis tilts by half of it either way at the end vertebrae, some five levels
    # apart round an apex at T9-T11; the curves above and below bring the column back to the midline.
    apex = 9.5 + 1.5 * (phase - 0.5)
    sway = sway + 0.5 * findings.scoliosis_deg * np.sin(2 * np.pi * (at - apex) / 11.0)
    turn = 0.5 * sway + rng.normal(0.0, 1.0)
    rotations = [rotation(*np.radians([lean[i], sway[i], turn[i]])) for i in range(n)]
    centers = np.zeros((n, 3))
    for i in range(first - 1, -1, -1):
        centers[i] = centers[i + 1] + _step(rotations, height, disc, i)
    for i in range(first, n - 1):
        centers[i + 1] = centers[i] - _step(rotations, height, disc, i)
    return [Frame(c, r) for c, r in zip(centers, rotations)]


def _reference(at: np.ndarray) -> int:
    """Index of L1, whose body centre is the origin."""
    return int(np.flatnonzero(at == 12.0)[0])


def _local_kyphosis(shapes: list[BodyShape], first: int) -> np.ndarray:
    """Forward lean (negative degrees) that each fracture adds: half in its own body, 60 % of its wedging above it."""
    angle = np.zeros(len(shapes))
    for i, body in enumerate(shapes):
        if body.intact_heights_mm is None:
            continue
        lost = (body.intact_heights_mm[0] - body.heights_mm[0]) - (body.intact_heights_mm[2] - body.heights_mm[2])
        wedged = 0.6 * np.degrees(np.arctan2(lost, body.depth))
        angle[i] -= 0.5 * wedged
        angle[:i] -= wedged
    return angle - 0.5 * angle[first]  # the patient lies on the couch: what leans forward above also leans back below


def _step(rotations: list[np.ndarray], height: np.ndarray, disc: np.ndarray, upper: int) -> np.ndarray:
    """From the centre of the body below a disc to the centre of the one above."""
    up_above, up_below = rotations[upper][:, 2], rotations[upper + 1][:, 2]
    return 0.5 * (height[upper] + disc[upper]) * up_above + 0.5 * (height[upper + 1] + disc[upper]) * up_below


def _sacral_frame(l5: BodyShape, pose: Frame, disc: float, rng: np.random.Generator) -> Frame:
    """Pose of S1: its centre half its height below its endplate, tilted like the sacral slope (36-54 degrees)."""
    turned = rotation(np.radians(-rng.uniform(36.0, 54.0)), 0.0, 0.0)
    gap = 0.5 * (l5.height * (1 + l5.wedge * 0.1) + disc)
    center = pose.origin - gap * pose.rotation[:, 2] - 0.5 * (disc + S1_HEIGHT_MM) * turned[:, 2]
    return Frame(center, turned)


def _discs(bodies: tuple[BodyShape, ...], gaps: np.ndarray, sacral: BodyShape) -> tuple[BodyShape, ...]:
    """A biconvex disc below each body, reaching into the endplate hollows."""
    discs = []
    for body, gap, below in zip(bodies, gaps, (*bodies[1:], sacral)):
        frame, height = below.frame, below.height
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
        deepest = max((d.depth_mm for b in (body, below) for d in b.dents), default=0.0)
        bulge = max(body.cups[1], below.cups[0]) + deepest + 0.5
        rim = 1.0 + body.flare[0] * 0.8
        shape = BodyShape(pose, body.width * rim, body.depth * rim, gap + 2.0, (0.0, 0.0), 0.0, (-bulge, -bulge), wedge, 0.06)
        discs.append(shape)
    return tuple(discs)


def canal_tubes(spine: Spine) -> tuple[Tube, Tube]:
    """(epidural fat, dural sac) from T1 down to S2."""
    behind = [0.5 * b.depth + 8.5 * spine.size for b in spine.bodies][::-1]
    points = [b.frame.to_world([0.0, v, 0.0]) for b, v in zip(spine.bodies[::-1], behind)]
    p = np.array([*spine.sacrum.canal[::-1], *points])
    wide = spine.size * np.array([0.45, 0.65, 0.9, *np.ones(len(points))])
    return (
        Tube(p[:, 2], p[:, 0], p[:, 1], 11.0 * wide, 8.5 * wide),
        Tube(p[:, 2], p[:, 0], p[:, 1], 8.0 * wide, 6.5 * wide),
    )
