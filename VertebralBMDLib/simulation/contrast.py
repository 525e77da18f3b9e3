"""Intravenous contrast medium: how much iodine each tissue holds in a phase of the examination.

Drawn per person. Marrow follows published rises of the QCT reading with contrast (Ruehling 2022:
arterial +5.7, portal venous +17.5 mg/ml; the spread here is what their errors leave beyond the mean);
the rest is low confidence: 9-14 mg/ml of iodine in an arterial aorta are 240-370 HU at 120 kV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from VertebralBMDLib.simulation.beam import reference_beam

Contrast = Literal["none", "arterial", "portal"]
PHASES: tuple[Contrast, ...] = get_args(Contrast)

# Mean and SD of the rise of the CaHA reading at 120 kV, mg/ml.
_MARROW_RISE = {"arterial": (5.7, 3.9), "portal": (17.5, 6.6)}
# Range of iodine, mg per ml of tissue, by phase: low confidence.
_RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "arterial": {
        "artery": (9.0, 14.0),
        "vein": (0.2, 1.2),
        "portal_vein": (0.8, 2.5),
        "right_heart": (5.0, 12.0),
        "liver": (0.2, 0.6),
        "spleen": (2.2, 4.0),
        "cortex": (4.5, 7.0),
        "medulla": (0.8, 1.8),
        "pancreas": (1.6, 2.6),
        "gut": (1.0, 2.0),
        "muscle": (0.05, 0.25),
    },
    "portal": {
        "artery": (4.2, 6.2),
        "vein": (3.2, 5.5),
        "portal_vein": (4.8, 6.6),
        "right_heart": (4.2, 6.0),
        "liver": (1.6, 2.7),
        "spleen": (2.4, 3.4),
        "cortex": (4.8, 6.5),
        "medulla": (3.8, 6.0),
        "pancreas": (1.4, 2.2),
        "gut": (1.4, 2.4),
        "muscle": (0.3, 0.6),
    },
}


@dataclass(frozen=True)
class Iodine:
    """Iodine in mg per ml of tissue; all zero without contrast medium."""

    artery: float = 0.0
    vein: float = 0.0
    portal_vein: float = 0.0
    right_heart: float = 0.0
    liver: float = 0.0
    spleen: float = 0.0
    cortex: float = 0.0
    medulla: float = 0.0
    pancreas: float = 0.0
    gut: float = 0.0
    muscle: float = 0.0
    marrow: float = 0.0
    oral: float = 0.0


def draw_iodine(rng: np.random.Generator, phase: Contrast, oral: bool = False) -> Iodine:
    """Draw the iodine of one examination; oral: positive contrast in stomach and small bowel. ValueError for an unknown phase."""
    if phase not in PHASES:
        raise ValueError(f"contrast must be one of {', '.join(PHASES)}, not {phase!r}")
    drunk = float(rng.uniform(4.0, 11.0)) * oral
    if phase == "none":
        return Iodine(oral=drunk)
    dose = rng.normal(1.0, 0.1)  # of medium per body size: shared by all tissues
    held = {name: float(max(dose, 0.6) * rng.uniform(*limits)) for name, limits in _RANGES[phase].items()}
    mean, sd = _MARROW_RISE[phase]
    return Iodine(**held, oral=drunk, marrow=marrow_iodine(max(rng.normal(mean, sd), 0.0)))


def marrow_iodine(rise_mg_cm3: float) -> float:
    """mg/ml of iodine in marrow that raise the CaHA reading at 120 kV by `rise_mg_cm3`."""
    beam = reference_beam(120)
    return rise_mg_cm3 * beam.hu_per_mg_cm3("CaHA") * beam.mass_attenuation["water"] / beam.mass_attenuation["iodine"]
