"""One vertebra: the shape of its body, and the posterior elements behind it.

Local frame of a vertebra: origin at the body centre, u to the left, v backwards, w upwards
along the body axis (mm).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.simulation.shapes import Capsule, Frame

CORNER = 2.5  # rounding of the rim between wall and endplate, mm
EXPONENT = 2.8  # superellipse of the axial section: 2 would be an ellipse


@dataclass(frozen=True)
class BodyShape:
    """Vertebral body (or disc) as an implicit solid.

    width, depth, height: at mid-height, mid-height and the rim (mm). flare: how much wider the
    rim is than the waist. cup: depth of the endplate concavity (mm; negative bulges, as a disc
    does). wedge: (anterior - posterior height) / height. hollow: concavity of the posterior wall
    as a share of the half depth.
    """

    frame: Frame
    width: float
    depth: float
    height: float
    flare: float = 0.12
    cup: float = 2.0
    wedge: float = 0.0
    hollow: float = 0.12

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        half = 0.5 * np.array([self.width, self.depth, self.height])
        half *= np.array([1.0 + self.flare, 1.0 + self.flare, 1.0 + 0.5 * abs(self.wedge)])
        half[2] += max(-self.cup, 0.0)
        return self.frame.box(-half - 1.0, half + 1.0)

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return self.surfaces(*self.frame.to_local(x, y, z))[0]

    def surfaces(self, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(signed distance, True where an endplate is nearer than the wall) at local points."""
        half_height = 0.5 * self.height * (1.0 - self.wedge * v / self.depth)
        level = np.clip(w / half_height, -1.3, 1.3)
        spread = 1.0 + self.flare * level**2
        a = np.abs(u) / (0.5 * self.width * spread)
        # the posterior wall is flatter than the front and hollow in the midline
        back = 1.0 - self.hollow * np.clip(1.0 - a**2, 0.0, 1.0)
        b = np.abs(v) / (0.5 * self.depth * spread * np.where(v > 0, back, 1.0))
        radius = np.sqrt(u**2 + v**2)
        section = (a**EXPONENT + b**EXPONENT) ** np.float32(1.0 / EXPONENT)
        wall = radius - radius / np.maximum(section, 1e-3)
        # at the very centre radius / section is 0 / 0: use the half width
        wall = np.where(section < 1e-2, np.float32(-0.5 * self.width), wall)
        endplate = np.abs(w) - half_height + self.cup * np.clip(1.0 - section**2, 0.0, 1.0)
        round_off = np.maximum(CORNER - np.abs(wall - endplate), 0.0)
        return np.maximum(wall, endplate) + round_off**2 * np.float32(0.25 / CORNER), endplate > wall


def is_thoracic(label: int) -> bool:
    """VerSe label of T1-T10, whose processes point down; T11-T12 look lumbar."""
    return label <= 17


def posterior_elements(body: BodyShape, label: int) -> tuple[Capsule, ...]:
    """Pedicles, laminae, articular, transverse and spinous processes behind a body."""
    width, depth, height = body.width, body.depth, body.height
    size = height / 26.0
    back = 0.5 * depth
    thoracic = is_thoracic(label)
    lateral = 0.30 * width
    canal = 17.0 * size if not thoracic else 17.0
    parts: list[tuple] = []
    for side in (-1.0, 1.0):
        root = (side * lateral, back - 5.0, 0.20 * height)
        arch = (side * (lateral + 1.0), back + 0.62 * canal, 0.12 * height)
        parts.append((root, arch, 4.2 * size, 4.0 * size, 1.5))
        upper = (side * (lateral + 2.5), back + 0.72 * canal, 0.52 * height)
        lower = (side * (lateral - 1.0), back + 1.0 * canal, -0.72 * height)
        parts.append((upper, lower, 4.6 * size, 4.6 * size, 1.0))
        parts.append(
            (
                (side * lateral, back + 0.9 * canal, 0.0),
                (side * 2.0, back + 1.28 * canal, -0.28 * height),
                3.2 * size,
                3.2 * size,
                2.3,
            )
        )
        if thoracic:
            tip = (side * (lateral + 22.0), back + 24.0, 0.22 * height)
        else:
            reach = 12.0 if label == 19 or label == 18 else 27.0
            tip = (side * (lateral + reach), back + 0.75 * canal, 0.10 * height)
        parts.append((arch, tip, 4.0 * size, 2.6 * size, 1.4))
    start = (0.0, back + 1.2 * canal, -0.22 * height)
    if thoracic:
        parts.append((start, (0.0, back + 1.2 * canal + 26.0, -1.25 * height), 3.6, 2.6, 1.8))
    else:
        parts.append((start, (0.0, back + 1.2 * canal + 25.0 * size, -0.42 * height), 3.0, 3.4, 2.8))
    return tuple(Capsule(body.frame, *part) for part in parts)
