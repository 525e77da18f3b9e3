"""How dense people's bones are, and what else about them varies: the age curve and one person's bone quality by level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.simulation.spine import Sex, places
from VertebralBMDLib.simulation.trabecular import BoneQuality

# Reference curve at L1-L2 (mg/cm3, K2HPO4; taken as CaHA, which differs by 1-3 % at 120 kV).
_AGE = [22, 32, 37, 42, 47, 52, 57, 62, 67, 72, 77, 83]
_CURVE = {
    "M": [173, 177, 168, 149, 140, 131, 123, 115, 107, 99, 91, 92],
    "F": [180, 185, 181, 165, 154, 134, 113, 98, 86, 74, 64, 62],
}
VBMD_SD = 27.0
# Density relative to L1 over the place in the usual column: thoracic levels denser, L4 lowest.
_LEVEL_SHARE = ([0, 7, 9, 11, 12, 13, 14, 15, 16], [1.25, 1.12, 1.08, 1.045, 1.0, 0.975, 0.955, 0.95, 0.97])
_LEVEL_SD = 6.0  # mg/cm3 per level


def expected_vbmd(sex: Sex, age: float) -> float:
    """Model curve of L1-L2 density by age (mg/cm3); fits published anchors, not a published table."""
    return float(np.interp(age, _AGE, _CURVE[sex]))


def draw_qualities(
    rng: np.random.Generator, sex: Sex, age: float, vbmd: float | None, levels: Sequence[str], degeneration: float = 0.0
) -> tuple[BoneQuality, ...]:
    """Bone quality of every level: L1 as given or drawn, the others around it.

    Marrow fat rises with age and varies between people whatever their mineral. The shell thins with age; its
    thickness, the texture and the gradient towards the endplates vary between people (spreads: low confidence).
    """
    slots = max(LABELS.values()) + 1
    drawn = max(expected_vbmd(sex, age) + rng.normal(0.0, VBMD_SD), 15.0)
    l1 = drawn if vbmd is None else vbmd
    fat = float(np.clip(0.40 + 0.010 * (age - 50.0) + rng.normal(0.0, 0.08), 0.12, 0.85))
    wall = float(np.clip(0.38 - 0.0025 * (age - 55.0) + rng.normal(0.0, 0.08), 0.15, 0.70))
    mineral = float(np.clip(rng.normal(850.0, 45.0), 720.0, 980.0))
    texture = float(np.clip(rng.lognormal(np.log(0.41), 0.30), 0.18, 0.75))
    gradient, vein = float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.12, 0.21))
    spread, fats = rng.normal(0.0, _LEVEL_SD, slots), rng.normal(0.0, 0.025, slots)
    walls, sclerotic = rng.normal(1.0, 0.08, slots), rng.uniform(0.0, 1.6, slots)
    veins = rng.choice([0, 1, 2], slots, p=[0.18, 0.45, 0.37])  # double in 37 %, single in 45 % (Tzika 2021)
    share = np.interp(places(tuple(levels)), *_LEVEL_SHARE)
    return tuple(
        BoneQuality(
            float(max(l1 * part + (0.0 if level == "L1" else spread[k]), 0.0)),
            float(np.clip(fat + fats[k], 0.08, 0.9)),
            float(wall * walls[k]),
            float(1.35 * wall * walls[k] + 0.05),
            mineral,
            mineral + 40.0,
            texture,
            gradient,
            float(degeneration * sclerotic[k]),
            vein,
            int(veins[k]),
        )
        for level, part, k in zip(levels, share, (LABELS[name] for name in levels))
    )
