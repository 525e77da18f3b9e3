"""Compositions: what the body and the phantoms are made of.

A composition maps substances (columns of Resources/Physics/attenuation.csv) to partial densities in g
per cm3 of tissue. Attenuation is linear in them, so the partial volume of two tissues is the mixture
of their compositions. `beam` turns a composition into HU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Composition = Mapping[str, float]
Mineral = Literal["CaHA", "K2HPO4"]
MINERALS: tuple[Mineral, ...] = ("CaHA", "K2HPO4")

AIR: Composition = {}
WATER: Composition = {"water": 1.0}
DENSITY_G_CM3 = {"muscle": 1.05, "blood": 1.06, "triglyceride": 0.92, "water": 1.0, "cellular_marrow": 1.03}

# Volume that one gram takes from what is around it, cm3/g: CaHA from its density of 3.16 g/cm3, K2HPO4 as
# the apparent volume in solution that Mindways uses.
DISPLACED_CM3_G: dict[str, float] = {"CaHA": 1.0 / 3.16, "K2HPO4": 0.2174}


def mixture(*shares: tuple[float, Composition]) -> Composition:
    """Volume fractions of compositions: `mixture((0.3, fat), (0.7, muscle))`."""
    mixed: dict[str, float] = {}
    for share, composition in shares:
        for substance, density in composition.items():
            mixed[substance] = mixed.get(substance, 0.0) + share * density
    return mixed


def tissue(volume_fraction: Mapping[str, float]) -> Composition:
    """Soft tissue given as volume fractions of the pure substances in `DENSITY_G_CM3`."""
    return {name: f * DENSITY_G_CM3[name] for name, f in volume_fraction.items()}


def with_iodine(composition: Composition, mg_ml: float) -> Composition:
    """The same tissue carrying contrast medium: mg of iodine per ml."""
    return composition if mg_ml == 0.0 else mixture((1.0, composition), (1.0, {"iodine": mg_ml / 1000.0}))


def marrow(fat_fraction: float, iodine_mg_ml: float = 0.0) -> Composition:
    """Marrow: triglyceride (volume fraction) in cellular marrow of muscle-like composition."""
    fat = {"triglyceride": DENSITY_G_CM3["triglyceride"]}
    return with_iodine(mixture((fat_fraction, fat), (1.0 - fat_fraction, {"muscle": DENSITY_G_CM3["cellular_marrow"]})), iodine_mg_ml)


def bone(mineral_mg_cm3: float, fat_fraction: float, iodine_mg_ml: float = 0.0) -> Composition:
    """Bone whose mineral (mg CaHA per cm3 of tissue) displaces marrow."""
    grams = mineral_mg_cm3 / 1000.0
    room = 1.0 - grams * DISPLACED_CM3_G["CaHA"]
    return mixture((1.0, {"CaHA": grams}), (room, marrow(fat_fraction, iodine_mg_ml)))


def in_water(mineral: Mineral, density_mg_cm3: float) -> Composition:
    """Mineral in water or water-equivalent resin, displaced volume included."""
    grams = density_mg_cm3 / 1000.0
    return {mineral: grams, "water": 1.0 - grams * DISPLACED_CM3_G[mineral]}
