"""X-ray beams: from compositions to HU.

A beam sees every substance with one mean mass attenuation, so HU is linear in partial densities:
``HU = 1000 * (sum(rho_i * <mu/rho>_i) / mu_water - 1)``. The reference beam of a tube voltage is its
filtered spectrum behind 20 cm of water on an energy-integrating detector; what a real body does to the
spectrum beyond that is beam hardening, which `projection` adds.
Tables: Resources/Physics, made by `tables` (NIST XCOM values through xraydb; SpekPy spectra).
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.resources import resource
from VertebralBMDLib.simulation.materials import DISPLACED_CM3_G, Composition, Mineral, bone, marrow

# Water path that hardens the reference beam: 20 cm gives effective energies of 56, 63, 68 and 74 keV at 80,
# 100, 120 and 140 kV, inside the published ranges (50-56, 57-63, 63-74, 68-79; low confidence).
REFERENCE_WATER_CM = 20.0


@functools.cache
def _table(name: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    with resource("Physics", name).open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    columns = np.array(rows, float).T
    return columns[0], dict(zip(header[1:], columns[1:]))


def attenuation() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(keV, (mu/rho) in cm2/g of each substance)."""
    return _table("attenuation.csv")


def spectrum(kvp: int) -> np.ndarray:
    """Photons per keV of a tube voltage (kV) on the grid of `attenuation`, sum 1; ValueError for a voltage without a table."""
    _, spectra = _table("spectra.csv")
    if str(kvp) not in spectra:
        raise ValueError(f"kvp must be one of {', '.join(spectra)}, not {kvp}")
    return spectra[str(kvp)]


@dataclass(frozen=True)
class Beam:
    """A spectrum as detected: mean (mu/rho) in cm2/g of each substance."""

    name: str
    mass_attenuation: Mapping[str, float]

    def hu(self, composition: Composition) -> float:
        """HU of a composition; nothing at all is -1000."""
        mu = sum(rho * self.mass_attenuation[name] for name, rho in composition.items())
        return 1000.0 * (mu / self.mass_attenuation["water"] - 1.0)

    def sigma_ref(self, mineral: Mineral) -> float:
        """HU per mg/cm3 when the mineral is added without displacing water: (mu/rho) / (mu/rho)_water."""
        return self.mass_attenuation[mineral] / self.mass_attenuation["water"]

    def hu_per_mg_cm3(self, mineral: Mineral) -> float:
        """HU per mg/cm3 of mineral in water, displaced volume included; its inverse is the QCT slope."""
        return self.sigma_ref(mineral) - DISPLACED_CM3_G[mineral]

    def qct_equivalent(self, hu: float, mineral: Mineral) -> float:
        """mg/cm3 that an ideally calibrated scan reads at this HU (0 HU reads 0)."""
        return hu / self.hu_per_mg_cm3(mineral)

    def bone_line(self, fat_fraction: float, iodine_mg_ml: float = 0.0) -> tuple[float, float]:
        """(HU at no mineral, HU per mg/cm3 of CaHA) of `bone`: a mean of minerals gives the mean of HU."""
        empty = self.hu(marrow(fat_fraction, iodine_mg_ml))
        return empty, self.hu(bone(1.0, fat_fraction, iodine_mg_ml)) - empty

    def mineral_for_qct(self, vbmd_mg_cm3: float, fat_fraction: float) -> float:
        """True mineral (mg CaHA/cm3) of bone that reads `vbmd_mg_cm3` CaHA-equivalent in this beam."""
        empty, per_mg = self.bone_line(fat_fraction)
        return (vbmd_mg_cm3 * self.hu_per_mg_cm3("CaHA") - empty) / per_mg


@functools.cache
def reference_beam(kvp: int) -> Beam:
    """The beam that defines HU at a tube voltage (kV): see the module."""
    kev, tables = attenuation()
    weight = spectrum(kvp) * kev * np.exp(-REFERENCE_WATER_CM * tables["water"])
    weight /= weight.sum()
    return Beam(f"{kvp} kV", {name: float(weight @ values) for name, values in tables.items()})


@functools.cache
def monoenergetic(kev: float) -> Beam:
    """A beam of one energy, log-log interpolated; ValueError outside 20-150 keV."""
    energies, tables = attenuation()
    if not energies[0] <= kev <= energies[-1]:
        raise ValueError(f"kev must be within {energies[0]:g}-{energies[-1]:g}, not {kev:g}")
    at = np.log(kev), np.log(energies)
    return Beam(f"{kev:g} keV", {name: float(np.exp(np.interp(*at, np.log(values)))) for name, values in tables.items()})


def effective_kev(beam: Beam) -> float:
    """Energy at which CaHA has the same HU per mg/cm3 as in this beam."""
    energies, _ = attenuation()
    per_mg = [monoenergetic(float(kev)).hu_per_mg_cm3("CaHA") for kev in energies]
    return float(np.interp(-beam.hu_per_mg_cm3("CaHA"), -np.array(per_mg), energies))
