"""The posterior elements of one vertebra: pedicles, laminae, articular, transverse and spinous processes.

Solids in the local frame of the vertebra (u left, v back, w up, mm). Sizes by level are adult means of the
morphometric literature, low confidence; the pedicles' widths and the interpedicular distances matter most, because
they bound the body's mask behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from VertebralBMDLib.simulation.blades import Blade
from VertebralBMDLib.simulation.findings import Variant
from VertebralBMDLib.simulation.shapes import Capsule, Solid
from VertebralBMDLib.simulation.vertebra import BodyShape

# Knots over the place in the usual column (T1 = 0): T1, T4, T8, T10, T11, T12, L1 ... L5.
_KNOT = [0, 3, 7, 9, 10, 11, 12, 13, 14, 15, 16]
_PEDICLE_WIDTH = [8.0, 4.6, 5.4, 6.4, 7.8, 7.8, 7.2, 7.8, 9.4, 11.5, 15.5]
_PEDICLE_HEIGHT = [9.5, 11.5, 12.5, 15.0, 16.5, 16.5, 15.8, 15.2, 14.8, 14.6, 14.5]
_CANAL_WIDTH = [20.0, 17.0, 17.0, 17.0, 18.0, 21.0, 22.0, 22.5, 23.5, 24.5, 27.0]
_CANAL_DEPTH = [15.0, 15.5, 15.5, 15.5, 16.0, 16.5, 16.5, 16.0, 15.5, 16.0, 17.0]
_FACET = [15.0, 12.0, 11.0, 11.0, 11.5, 12.0, 12.5, 13.5, 15.5, 18.0, 21.0]  # joint space from the midline
_TIP = [37.0, 33.0, 31.0, 28.0, 25.0, 22.0, 35.0, 40.0, 46.0, 43.0, 46.0]  # transverse process from the midline
_TIP_BACK = [14.0, 20.0, 22.0, 21.0, 19.0, 17.0, 18.0, 17.0, 15.0, 15.0, 10.0]
_SPINOUS = [32.0, 30.0, 30.0, 26.0, 23.0, 23.0, 28.0, 30.0, 30.0, 27.0, 20.0]  # length beyond the canal
_SPINOUS_DROP = [0.6, 1.35, 1.8, 1.4, 0.85, 0.35, 0.18, 0.14, 0.12, 0.14, 0.2]  # share of the body's height
_SPINOUS_HIGH = [11.0, 11.5, 12.0, 12.5, 13.0, 15.0, 19.0, 20.5, 20.0, 16.5, 10.5]  # from its upper to its lower edge
# Outlines seen from the side, from the root's upper corner round the tip to its lower corner: along the length; share
# of the drop and of the height below the root. Slender and steep in the chest, a hatchet at the loins.
_SLENDER = [(-0.04, 0.0, -0.1), (0.4, 0.33, 0.05), (0.9, 0.9, 0.0), (1.0, 1.02, 0.22), (1.0, 1.08, 0.55), (0.9, 1.05, 0.85)]
_SLENDER += [(0.65, 0.80, 0.88), (0.30, 0.42, 1.0), (-0.04, 0.05, 1.15)]
_HATCHET = [(-0.04, 0.0, -0.05), (0.35, 0.3, 0.0), (0.84, 0.8, -0.04), (0.98, 1.0, 0.12), (1.0, 1.0, 0.65), (0.90, 1.0, 1.06)]
_HATCHET += [(0.72, 0.9, 1.0), (0.38, 0.5, 0.74), (-0.04, 0.0, 0.80)]
_JOINT_MM = 1.6  # from bone to bone across a facet joint: cartilage of both sides


@dataclass(frozen=True)
class Habit:
    """What is a person's own in one spinous process: shares of the usual length, drop and height, how far its tip and
    its corners (9, 2) lie off their places, mm."""

    length: float = 1.0
    drop: float = 1.0
    high: float = 1.0
    sway_mm: float = 0.0
    thick: float = 1.0
    corners: np.ndarray = field(default_factory=lambda: np.zeros((len(_HATCHET), 2)))

    @classmethod
    def make(cls, rng: np.random.Generator) -> Habit:
        length, drop, high, thick = np.clip(rng.normal(1.0, [0.08, 0.16, 0.10, 0.12]), 0.7, 1.35)
        return cls(
            float(length), float(drop), float(high), float(rng.normal(0.0, 1.6)), float(thick), rng.normal(0.0, 0.8, (len(_HATCHET), 2))
        )


@dataclass(frozen=True)
class Arch:
    """What the solids of an arch need beyond the body; mm. place: in the usual column, T1 = 0.

    gap: height of the disc below. wing: share to which the transverse processes are those of a sacrum.
    arthrosis: of the facet joints, 0-1: they grow and their space narrows.
    """

    place: float
    gap: float
    scale: float
    wing: float = 0.0
    arthrosis: float = 0.0
    habit: Habit = Habit()

    def _mm(self, knots: list[float]) -> float:
        return float(np.interp(self.place, _KNOT, knots)) * self.scale

    @property
    def pedicle(self) -> tuple[float, float, float]:
        """(distance of its axis from the midline, width, height) of a pedicle, mm."""
        width = self._mm(_PEDICLE_WIDTH)
        return 0.5 * (self._mm(_CANAL_WIDTH) + width), width, self._mm(_PEDICLE_HEIGHT)

    def solids(self, body: BodyShape) -> tuple[Solid, ...]:
        back, height, s = 0.5 * body.depth, body.height, self.scale
        canal, lateral = self._mm(_CANAL_DEPTH), self.pedicle[0]
        tip = self._mm(_TIP), back + self._mm(_TIP_BACK)
        parts: list[tuple] = []
        for side in (-1.0, 1.0):
            parts += self._side(side, back, canal, height)
            root = (side * (lateral + 1.0), back + 0.60 * canal, 0.14 * height)
            # stout with a knob for the rib in the chest, a thin fan at the loins
            rise, thick, knob, tall = (0.18, 3.8, 4.6, 1.4) if self.place < 10.5 else (0.08, 3.2, 2.4, 1.9)
            parts.append((root, (side * tip[0], tip[1], rise * height), thick * s, knob * s, tall))
            if self.wing > 0.0:
                ala = (side * 43.0 * s, back - 6.0, -0.55 * height)
                parts.append((root, ala, 7.0 * s, 12.0 * self.wing * s, 1.2))
        return *(Capsule(body.frame, *part) for part in parts), self._spinous(body, back + canal)

    def _side(self, side: float, back: float, canal: float, height: float) -> list[tuple]:
        """Pedicle, articular processes and lamina of one side: (start, end, radii, stretch)."""
        s, facet = self.scale, self._mm(_FACET)
        lateral, pedicle_width, pedicle_height = self.pedicle
        joint = 0.5 * height + 0.5 * self.gap  # height of the joint with the next vertebra, above and below
        tip_upper, tip_lower = (3.4 * s, 4.1 * s) if self.place > 10.5 else (3.0 * s, 3.0 * s)
        tip_upper, tip_lower = (radius * (1.0 + 0.35 * self.arthrosis) for radius in (tip_upper, tip_lower))
        off = 0.5 * (tip_upper + tip_lower + _JOINT_MM * (1.0 - 0.8 * self.arthrosis))
        if self.place > 10.5:  # lumbar joints: the upper vertebra's process lies medially and behind
            upper = (side * (facet + 0.85 * off), back + 0.68 * canal, joint + 2.5 * s)
            lower = (side * (facet - 0.80 * off), back + 0.68 * canal + 1.20 * off, -joint - 1.0 * s)
        else:  # thoracic joints lie in the frontal plane: the upper vertebra's process behind
            upper = (side * facet, back + 0.85 * canal - off, joint + 1.0 * s)
            lower = (side * facet, back + 0.85 * canal + off, -joint)
        hub = (side * lateral, back + 0.45 * canal, 0.18 * height)
        base = (side * (lateral + 0.8), back + 0.62 * canal, 0.14 * height)
        pars = (side * (lateral - 3.0), back + 0.90 * canal, -0.06 * height)
        root = (side * (lateral - 0.5), back + 0.52 * canal, 0.04 * height)
        parts = [
            (
                (side * (lateral + 0.6), back - 6.0, 0.20 * height),
                hub,
                0.5 * pedicle_width,
                0.5 * pedicle_width,
                pedicle_height / pedicle_width,
            ),
            (base, upper, 4.6 * s, tip_upper, 1.5),
            (hub, pars, 4.0 * s, 4.0 * s, 1.8),
            (pars, lower, 4.2 * s, tip_lower, 1.6),
            (root, (side * 1.0, back + 1.22 * canal, -0.10 * height), 2.7 * s, 2.6 * s, 3.0),
        ]
        if self.place > 10.5:  # the superior process hooks round the joint in front
            hook = (side * (facet - 0.1 * off), back + 0.68 * canal - 0.8 * off, upper[2] - 4.0 * s)
            parts.append(((upper[0], upper[1], upper[2] - 4.0 * s), hook, tip_upper, 0.7 * tip_upper, 1.5))
        return parts

    def _spinous(self, body: BodyShape, behind: float) -> Blade:
        """The spinous process: thin in the middle, thick at its root and tip."""
        habit, s = self.habit, self.scale
        length, high = self._mm(_SPINOUS) * habit.length, self._mm(_SPINOUS_HIGH) * habit.high
        drop = self._mm(_SPINOUS_DROP) / s * habit.drop * body.height
        loins = np.clip((self.place - 9.3) / 2.2, 0.0, 1.0)
        along, down, below = ((1.0 - loins) * np.array(_SLENDER) + loins * np.array(_HATCHET)).T
        outline = np.column_stack([behind + 1.5 + along * length, -0.02 * body.height - down * drop - below * high])
        thick = s * habit.thick * np.array([3.8, 2.9 + 0.5 * loins, 3.8 + 0.8 * loins])
        return Blade(body.frame, outline + s * habit.corners, tuple(float(t) for t in thick), habit.sway_mm, 2.3 * s)


def arch_of(place: float, level: str, scale: float, gap: float, variant: Variant, arthrosis: float, habit: Habit) -> Arch:
    """The arch behind a body of a person of this scale; only the last level of a transitional column has wings."""
    transitional = (variant, level) in (("sacralised_L5", "L5"), ("lumbarised_S1", "L6"))
    return Arch(place, float(gap), float(scale), 1.0 if transitional else 0.0, arthrosis, habit)
