"""Make the physics tables in Resources/Physics: ``python -m VertebralBMDLib.simulation.tables``.

Needs the optional packages xraydb (elemental attenuation that agrees with NIST XCOM) and SpekPy (tungsten
tube spectra): ``pip install 'vertebral-bmd[physics]'``. Nothing else in the library needs them.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping

import numpy as np

from VertebralBMDLib.resources import resource

ENERGIES_KEV = np.arange(20, 151)
KVPS = (70, 80, 90, 100, 110, 120, 130, 140)
# What lies in every ray between anode and patient: typical of clinical CT (low confidence).
FILTER_MM = {"Al": 3.0, "Ti": 0.9}
ANODE_ANGLE_DEG = 8.0

_ATOMS = {
    "water": {"H": 2, "O": 1},
    "triglyceride": {"C": 55, "H": 98, "O": 6},
    "CaHA": {"Ca": 10, "P": 6, "O": 26, "H": 2},
    "K2HPO4": {"K": 2, "H": 1, "P": 1, "O": 4},
    "polyethylene": {"C": 2, "H": 4},
    "carbon": {"C": 1},
    "calcium_carbonate": {"Ca": 1, "C": 1, "O": 3},
    "iodine": {"I": 1},
    "titanium": {"Ti": 1},
    "steel": {"Fe": 1},
}
# ICRU-44, mass fractions.
_MASS = {
    "adipose": {"H": 0.114, "C": 0.598, "N": 0.007, "O": 0.278, "Na": 0.001, "S": 0.001, "Cl": 0.001},
    "muscle": {"H": 0.102, "C": 0.143, "N": 0.034, "O": 0.710, "Na": 0.001, "P": 0.002, "S": 0.003, "Cl": 0.001, "K": 0.004},
    "blood": {"H": 0.102, "C": 0.110, "N": 0.033, "O": 0.745, "Na": 0.001, "P": 0.001, "S": 0.002, "Cl": 0.003, "K": 0.002, "Fe": 0.001},
}


def attenuation_table() -> dict[str, np.ndarray]:
    """(mu/rho) in cm2/g of each substance at `ENERGIES_KEV`."""
    import xraydb

    def of(mass: Mapping[str, float]) -> np.ndarray:
        total = sum(mass.values())
        return sum(m / total * xraydb.mu_elam(element, ENERGIES_KEV * 1000.0) for element, m in mass.items())

    molar = {name: {e: n * xraydb.atomic_mass(e) for e, n in atoms.items()} for name, atoms in _ATOMS.items()}
    return {name: of(mass) for name, mass in (molar | _MASS).items()}


def spectrum_table() -> dict[str, np.ndarray]:
    """Photons per keV on the axis, filtered, as shares of their sum, for each tube voltage."""
    import spekpy

    table = {}
    for kvp in KVPS:
        tube = spekpy.Spek(kvp=kvp, th=ANODE_ANGLE_DEG, dk=1.0)
        for metal, thickness in FILTER_MM.items():
            tube.filter(metal, thickness)
        photons = np.interp(ENERGIES_KEV, *tube.get_spectrum(), left=0.0, right=0.0) * (ENERGIES_KEV <= kvp)
        table[str(kvp)] = photons / photons.sum()
    return table


def _write(name: str, table: Mapping[str, np.ndarray], digits: str) -> None:
    with resource("Physics").joinpath(name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["keV", *table])
        writer.writerows([kev, *(format(v, digits) for v in row)] for kev, row in zip(ENERGIES_KEV, zip(*table.values())))


if __name__ == "__main__":
    _write("attenuation.csv", attenuation_table(), ".5g")
    _write("spectra.csv", spectrum_table(), ".5g")
