"""Sacrum and coccyx: five tapering segments along a curve, what is left of their discs, alae, canal and median crest.

Local frame: that of S1 (u left, v back, w along its axis; mm). Sizes are adult means, low confidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from VertebralBMDLib.simulation.blades import Blade, Patch, sheet
from VertebralBMDLib.simulation.shapes import Capsule, Ellipsoid, Frame, Solid
from VertebralBMDLib.simulation.vertebra import BodyShape, Waves

S1_HEIGHT_MM = 30.0
# S1 to S5 and three segments of the coccyx: height, depth and width at mid-height, mm; share by which the upper end
# is deeper than the middle; how far the segment's axis turns backward going down, degrees from that of S1.
_HEIGHT = [S1_HEIGHT_MM, 25.0, 21.0, 18.0, 15.0, 11.0, 9.0, 7.0]
_DEPTH = [27.5, 18.0, 13.0, 10.5, 9.0, 7.0, 6.0, 5.0]
_WIDTH = [43.0, 34.0, 28.0, 24.0, 20.0, 13.0, 10.0, 7.0]
_NARROWS = [0.20, 0.13, 0.12, 0.07, 0.10, 0.10, 0.10, 0.15]
_TURN = [0.0, 13.0, 3.0, -22.0, -42.0, -54.0, -66.0, -78.0]
_CANAL = [15.0, 12.0, 9.0, 6.5]  # depth behind S1 to S4
_CREST = [9.0, 9.0, 7.0, 4.0]  # depth of the median crest there


@dataclass(frozen=True)
class Sacrum:
    """One person's sacrum. curve: share of the usual kyphosis; gaps_mm: space below S1 to S4 and the coccyx's first
    two (negative: fused, a line of dense bone remains); crest: share of its usual height behind S1 to S4."""

    frame: Frame
    size: float
    curve: float
    gaps_mm: tuple[float, ...]
    crest: tuple[float, ...]
    relief: Waves

    @classmethod
    def make(cls, rng: np.random.Generator, frame: Frame, size: float) -> Sacrum:
        gaps = [rng.uniform(0.8, 3.8), rng.uniform(-1.6, 1.0), *rng.uniform(-2.4, -0.6, 2), *rng.uniform(-0.5, 1.5, 3)]
        return cls(
            frame,
            size,
            float(rng.uniform(0.75, 1.3)),
            tuple(float(g) for g in gaps),
            tuple(float(c) for c in rng.uniform(0.6, 1.3, 4)),
            Waves.make(rng, 12.0, 40.0),
        )

    @cached_property
    def segments(self) -> tuple[BodyShape, ...]:
        """S1 to S5 and the coccyx; the front edges follow each other along the curve."""
        turn = np.radians(_TURN) * self.curve
        bodies: list[BodyShape] = []
        front = np.zeros(2)
        for k, (height, depth, width, narrows, angle) in enumerate(zip(_HEIGHT, _DEPTH, _WIDTH, _NARROWS, turn)):
            depth, width, height = depth * self.size, width * self.size, height * (self.size if k else 1.0)
            back, up = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
            center = np.zeros(2)
            if k:
                center = front - (self.gaps_mm[k - 1] + 0.5 * height) * up + 0.5 * depth * (1.0 + narrows) * back
            front = center - 0.5 * height * up - 0.5 * depth * (1.0 - narrows) * back
            bend = np.mean(np.diff(turn[max(k - 1, 0) : k + 2])) if k else 0.0
            pose = self.frame.rotation @ np.array([[1, 0, 0], [0, back[0], up[0]], [0, back[1], up[1]]])
            bodies.append(
                BodyShape(
                    Frame(self.frame.to_world([0.0, *center]), pose),
                    width,
                    depth,
                    height,
                    flare=(0.02, 0.07),
                    taper=-narrows,
                    cups=(1.2, 0.6) if k == 0 else (0.3, 0.3),
                    wedge=0.08 if k == 0 else float(bend * depth / height),
                    hollow=0.03,
                    exponent=2.3,
                    relief=self.relief,
                    relief_mm=0.45,
                )
            )
        return tuple(bodies)

    def behind(self, k: int, share: float = 0.5, canal: float = 0.0, crest: float = 0.0) -> np.ndarray:
        """Local (v, w) behind segment k, `share` of its height from its upper end: on the back wall of the body, or
        that share of the canal's and of the crest's depth behind it."""
        body = self.segments[k]
        level = 1.0 - 2.0 * share
        local = [
            0.0,
            0.5 * body.depth * (1.0 - body.taper * level)
            + (canal * _CANAL[min(k, 3)] + crest * _CREST[min(k, 3)] * self.crest[min(k, 3)]) * self.size,
            0.5 * body.height * level,
        ]
        return np.array([float(c[0]) for c in self.frame.to_local(*(np.array([p]) for p in body.frame.to_world(local)))])[1:]

    @property
    def canal(self) -> np.ndarray:
        """Middle of the sacral canal from S1 to S3, (3, 3) LPS."""
        return np.array([self.frame.to_world([0.0, *self.behind(k, 0.5, 0.5)]) for k in range(3)])

    def remnants(self) -> list[Solid]:
        """What is left of the discs below S1 and S2."""
        found: list[Solid] = []
        for upper, lower, gap in zip(self.segments[:2], self.segments[1:3], self.gaps_mm):
            if gap > 0.0:
                center = 0.5 * (
                    upper.frame.to_world([0.0, 0.0, -0.5 * upper.height]) + lower.frame.to_world([0.0, 0.0, 0.5 * lower.height])
                )
                half = (0.52 * lower.width, 0.62 * lower.depth, 0.5 * gap + 1.4)
                found.append(Ellipsoid(Frame(center, lower.frame.rotation), half))
        return found

    def solids(self) -> list[Solid]:
        """The bone: segments, alae, roof of the canal with the median crest, joints with L5."""
        return [*self.segments, *self._sides(), *self._roof(), self._crest()]

    def _sides(self) -> list[Solid]:
        found: list[Solid] = []
        alae = ((17, 1, 1, 45, 8, -8, 11, 17), (15, 1, -23, 44, 17, -32, 10, 15), (12, 2, -47, 35, 12, -53, 8, 11))
        alae += ((10, 0, -68, 25, 4, -70, 6, 7), (8, -8, -84, 16, -6, -83, 5, 5))
        for side in (-1.0, 1.0):
            for u0, v0, w0, u1, v1, w1, thin, thick in alae:
                found.append(self._rod((side * u0, v0, w0), (side * u1, v1, w1), thin, thick, 1.15))
            found.append(self._rod((side * 22.0, 15.0, -4.0), (side * 23.0, 18.0, 20.0), 7.0, 5.0))
        return found

    def _rod(self, start: tuple, end: tuple, radius: float, radius_end: float, stretch: float = 1.0) -> Capsule:
        s = self.size
        return Capsule(self.frame, tuple(c * s for c in start), tuple(c * s for c in end), radius * s, radius_end * s, stretch)

    def _roof(self) -> list[Patch]:
        """The fused laminae behind the canal."""
        rows, half = [], []
        for k, share in ((0, 0.3), (0, 0.9), (1, 0.6), (2, 0.5), (3, 0.5), (4, 0.1)):
            depth = min(k, 3)
            (v_mid, w_mid), (v, w) = self.behind(k, share, 1.15), self.behind(k, share, 0.35)
            aside = (0.5 * _WIDTH[depth] - 1.5 * depth) * self.size
            rows.append([self.frame.to_world(p) for p in ([-aside, v, w], [0.0, v_mid, w_mid], [aside, v, w])])
            half.append([3.2 - 0.4 * depth, 2.0, 3.2 - 0.4 * depth])
        return sheet(np.array(rows), np.array(half) * self.size)

    def _crest(self) -> Blade:
        """The fused spinous processes: a bump behind each segment, a dip between."""
        inner = [self.behind(k, share, 1.0) for k, share in ((0, 0.25), (0, 0.8), (1, 0.6), (2, 0.6), (3, 0.5))]
        outer = [
            self.behind(k, share, 1.0, high)
            for k, share, high in (
                (3, 0.4, 0.8),
                (3, 0.0, 0.6),
                (2, 0.5, 1.0),
                (2, 0.0, 0.7),
                (1, 0.55, 1.1),
                (1, 0.05, 0.7),
                (0, 0.6, 1.1),
            )
        ]
        outer += [self.behind(0, 0.35, 1.0, 0.8)]
        return Blade(self.frame, np.array(inner + outer), (3.6 * self.size, 2.8 * self.size, 3.4 * self.size))
