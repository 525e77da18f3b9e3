"""The body of one vertebra as an implicit solid.

Local frame of a vertebra: origin at the body centre, u to the left, v backwards, w upwards
along the body axis (mm).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from VertebralBMDLib.simulation.shapes import Frame

CORNER = 2.0  # rounding of the rim between wall and endplate, mm
RIM = 0.47  # where front and back height are measured: shares of the depth from the centre


@dataclass(frozen=True)
class Waves:
    """Smooth unit-variance relief: a sum of plane waves. vectors: (n, 3) radians per mm; phases: (n,)."""

    vectors: np.ndarray
    phases: np.ndarray

    @classmethod
    def make(cls, rng: np.random.Generator, shortest_mm: float, longest_mm: float, count: int = 6) -> Waves:
        direction = rng.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        length = rng.uniform(shortest_mm, longest_mm, count)
        return cls((2.0 * np.pi / length[:, None] * direction).astype(np.float32), rng.uniform(0.0, 2.0 * np.pi, count))

    def at(self, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> np.ndarray:
        total = sum(np.cos(u * k[0] + v * k[1] + w * k[2] + np.float32(phase)) for k, phase in zip(self.vectors, self.phases))
        return total * np.float32(np.sqrt(2.0 / len(self.phases)))


@dataclass(frozen=True)
class Spur:
    """Osteophyte of a rim: on the upper or lower endplate, at an angle (degrees, 0 left, 90 back), length in mm."""

    upper: bool
    angle_deg: float
    length_mm: float


@dataclass(frozen=True)
class Dent:
    """A pit in the upper or lower endplate at (u, v), its radius and depth in mm: shallow ones are in every endplate,
    a deep one is a Schmorl's node."""

    upper: bool
    u: float
    v: float
    radius_mm: float
    depth_mm: float


@dataclass(frozen=True)
class BodyShape:
    """Vertebral body (or disc).

    width, depth: of the waist at mid-height; height: rim to rim in the middle (mm). flare: how much wider and
    deeper the rims are than the waist, (across, along). taper: the lower rim is wider, the upper narrower by this
    share. cups: depth of the upper and lower endplate's concavity (mm; negative bulges, as a disc does). wedge:
    (anterior - posterior height) / height. hollow: concavity of the posterior wall as a share of the half depth.
    heart: the front is narrower and the back wider by this share (thoracic). exponent: of the superellipse of the
    axial section, 2 an ellipse. relief_mm: SD of the person's own irregularity `relief`. intact_heights_mm: before
    a fracture. pedicle: distance of its axis from the midline, its width and height, mm: there the wall has no cortex.
    """

    frame: Frame
    width: float
    depth: float
    height: float
    flare: tuple[float, float] = (0.16, 0.08)
    taper: float = 0.0
    cups: tuple[float, float] = (1.5, 1.5)
    wedge: float = 0.0
    hollow: float = 0.12
    heart: float = 0.0
    exponent: float = 2.5
    relief: Waves | None = None
    relief_mm: float = 0.0
    spurs: tuple[Spur, ...] = ()
    dents: tuple[Dent, ...] = ()
    intact_heights_mm: tuple[float, float, float] | None = None
    pedicle: tuple[float, float, float] | None = None

    @property
    def reach(self) -> np.ndarray:
        """Half edges (u, v, w) of a local box that holds the body, mm."""
        half = 0.5 * np.array([self.width, self.depth, self.height])
        wider = abs(self.taper) * 1.3 + np.array(self.flare) * 1.7
        spur = max((s.length_mm for s in self.spurs), default=0.0) + 3.0 * self.relief_mm
        half *= np.array([(1.0 + wider[0]) * (1.0 + abs(self.heart)), 1.0 + wider[1], 1.0 + 0.6 * abs(self.wedge)])
        return half + np.array([spur, spur, 0.7 * spur + max(-min(self.cups), 0.0)])

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.frame.box(-self.reach - 1.0, self.reach + 1.0)

    @property
    def heights_mm(self) -> tuple[float, float, float]:
        """Anterior, middle and posterior height in the midline, without the person's irregularity."""
        return (
            self.height * (1.0 + RIM * self.wedge),
            self.height - sum(self.cups),
            self.height * (1.0 - RIM * self.wedge),
        )

    def fractured(self, kind: str, loss: float) -> BodyShape:
        """The same body after losing this share of its anterior (wedge), middle (biconcave) or whole height (crush)."""
        front, middle, back = self.heights_mm
        left = {"wedge": (1.0, 0.7, 0.1), "biconcave": (0.3, 1.0, 0.2), "crush": (1.0, 1.0, 0.8)}[kind]
        lost_front, lost_middle, lost_back = (h * (1.0 - loss * part) for h, part in zip((front, middle, back), left))
        height = 0.5 * (lost_front + lost_back)
        pit = max(height - lost_middle, 0.6)
        return replace(
            self,
            height=height,
            wedge=(lost_front - lost_back) / (2.0 * RIM * height),
            cups=(0.65 * pit, 0.35 * pit),
            relief_mm=1.6 * self.relief_mm,
            intact_heights_mm=self.heights_mm,
        )

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return self.surfaces(*self.frame.to_local(x, y, z))[0]

    def surfaces(self, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(signed distance, True where an endplate is nearer than the wall) at local points."""
        half_height = 0.5 * self.height * (1.0 - self.wedge * v / self.depth)
        level = np.clip(w / half_height, -1.3, 1.3)
        wall, share = self._wall(u, v, level)
        endplate = np.abs(w) - half_height + self._dish(u, v, w)
        if self.relief is not None:
            bumps = np.float32(self.relief_mm) * self.relief.at(u, v, w)
            wall, endplate = wall - bumps, endplate - 0.5 * bumps
        if self.spurs:
            lip = self.lip(u, v, level)
            wall, endplate = wall - lip, endplate - 0.6 * lip * np.clip(4.0 * share - 3.0, 0.0, 1.0)
        round_off = np.maximum(CORNER - np.abs(wall - endplate), 0.0)
        return np.maximum(wall, endplate) + round_off**2 * np.float32(0.25 / CORNER), endplate > wall

    def _wall(self, u: np.ndarray, v: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(distance to the wall, share of the section's radius: 1 on it)."""
        half_u = 0.5 * self.width * (1.0 + self.flare[0] * level**2 - self.taper * level)
        half_u = half_u * (1.0 + self.heart * np.clip(2.0 * v / self.depth, -1.0, 1.0))
        half_v = 0.5 * self.depth * (1.0 + self.flare[1] * level**2 - self.taper * level)
        a = np.abs(u) / half_u
        # the posterior wall is flatter than the front and hollow in the midline
        half_v = np.where(v > 0, half_v * (1.0 - self.hollow * np.clip(1.0 - 2.0 * a**2, 0.0, 1.0)), half_v)
        b = np.abs(v) / half_v
        p = np.float32(self.exponent)
        a_p, b_p = a ** (p - 1), b ** (p - 1)
        level_p = np.maximum(a_p * a + b_p * b, np.float32(1e-3) ** p)
        section = level_p ** (1 / p)
        slope = np.sqrt((a_p / half_u) ** 2 + (b_p / half_v) ** 2) * section / level_p
        return (section - 1.0) / np.maximum(slope, 1.0 / self.width), section

    def _dish(self, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> np.ndarray:
        """How deep the endplate lies below its rim, mm; the lower one is deepest behind the centre."""
        half = []
        for upper, cup, shift in ((True, self.cups[0], 0.02), (False, self.cups[1], 0.08)):
            off_center = (2.0 * u / self.width) ** 2 + (2.0 * (v - np.float32(shift * self.depth)) / self.depth) ** 2
            depth = np.float32(cup) * np.clip(1.25 * (1.0 - off_center), 0.0, 1.0)
            for dent in self.dents:
                if dent.upper == upper:
                    away = ((u - np.float32(dent.u)) ** 2 + (v - np.float32(dent.v)) ** 2) * np.float32(1.0 / dent.radius_mm**2)
                    depth = depth + np.float32(dent.depth_mm) * np.clip(1.4 - 1.4 * away, 0.0, 1.0)
            half.append(depth)
        return np.where(w > 0, *half)

    def under_endplate(self, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Height below the upper endplate (above the lower one where w < 0), mm, without relief and spurs."""
        return 0.5 * self.height * (1.0 - self.wedge * v / self.depth) - self._dish(u, v, w) - np.abs(w)

    def lip(self, u: np.ndarray, v: np.ndarray, level: np.ndarray) -> np.ndarray:
        """How far the rims stand out because of osteophytes, mm; level: height as a share of the half height."""
        radius = np.maximum(np.sqrt(u**2 + v**2), 1.0)
        total = np.zeros((), np.float32)
        for spur in self.spurs:
            angle = np.radians(spur.angle_deg)
            toward = np.maximum((u * np.float32(np.cos(angle)) + v * np.float32(np.sin(angle))) / radius, 0.0)
            rim = np.clip(((level if spur.upper else -level) - 0.6) / 0.4, 0.0, 1.0)
            total = np.maximum(total, np.float32(spur.length_mm) * (toward**8) ** 2 * rim**2)
        return total
