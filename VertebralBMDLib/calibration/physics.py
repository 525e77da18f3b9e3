"""A calibration line from the physics of the patient's own tissues, without any phantom: for research only.

The effective energy of the beam is the one at which fat, muscle and blood of usual composition would read as they do
(qct_facts 4.3 searches it too); the attenuation of the mineral at this energy gives HU per mg/cm³.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Sequence

import numpy as np

from ..resources import resource
from ..scan import Acquisition
from .checks import Check, line_checks, tissue_checks
from .contrast import contrast_of
from .line import Calibration, TissueReading

#: cm³ that a gram takes from the water around it: K2HPO4 in solution as Mindways has it, CaHA by its density (qct_facts 2.9).
_DISPLACED_CM3_G = {"K2HPO4": 0.2174, "CaHA": 1 / 3.16}
#: Tissues as g/cm³ of what they are made of. Fat: lipid and water so that it reads -101 HU at 120 kVp, as `find_tissues` reads the
#: public scans this was developed with (-95 to -107; published -123 to -89, qct_facts 4.4). Muscle: ICRU-44. Blood: ICRU-44 and water
#: so that it reads 42 HU, as in the aorta of patients without contrast (middle half of 325
#: patients 29 to 45 HU in the descending aorta, 39 to 50 HU without anaemia: Research Square rs-1420003, read in part).
_COMPOSITIONS = {
    "fat": {"triglyceride": 0.87 * 0.92, "water": 0.13},
    "muscle": {"muscle": 1.05},
    "blood": {"blood": 0.75 * 1.06, "water": 0.25},
}
#: By how much people differ (SD, HU): fat by its reference interval, muscle by its fat, blood by its haematocrit.
_SPREAD_HU = {"fat": 9.0, "muscle": 10.0, "blood": 9.0}
#: Reading of water on scanners in use (SD, HU): an intercept of 4 mg/cm³ (qct_facts 5.12).
_WATER_HU = 5.0
#: Effective energy in a body by tube voltage, and its SD between scanners: 5 % of the slope (qct_facts 2.9, 5.12). Without a voltage
#: the whole range of body CT is possible.
_BANDS_KEV = {80: (50.0, 56.0), 100: (57.0, 63.0), 120: (63.0, 74.0), 140: (68.0, 79.0)}
_SPREAD_KEV, _ANY_KEV = 3.0, (66.0, 8.0)
_SEARCH_KEV = np.arange(45.0, 95.01, 0.5)
#: SD of this kind of method against a phantom (12.6 +- 13.2 in the first cohort of qct_facts 4.2), until a site has fitted its own;
#: without the tube voltage the slope is unsure by another 15 %.
_UNCERTAINTY_MG_CM3, _UNCERTAINTY_ANY_KVP_MG_CM3 = 13.0, 20.0


def physics_calibration(tissues: Sequence[TissueReading], acquisition: Acquisition, material: str = "K2HPO4") -> Calibration | None:
    """The line of ``material`` (K2HPO4 or CaHA) in water, as a phantom defines it; None where too few tissues were found.

    Needs three tissues, fat and muscle or blood among them; blood that carries contrast medium is left out. Minimises, over
    the energy E in keV and the reading b of water in HU, with spreads s between people and scanners,
    sum(((HU - h(E) - b (1 + h(E)/1000)) / s)²) + (b/s)² + ((E - E_kVp)/s)², where h = 1000 (mu/mu_water - 1): an error of the
    scanner's water scale stretches HU from air at -1000, so that air has no say in E or b and only counts as a tissue that
    was found. Then slope = 1 / ((mu/rho / (mu/rho)_water - displaced volume) (1 + b/1000)), qct_facts 2.9. The voltage bounds
    E and may be unknown. Raises ValueError for another material.
    """
    if material not in _DISPLACED_CM3_G:
        raise ValueError(f"material must be K2HPO4 or CaHA, not {material!r}")
    found = {tissue.name: tissue.hu for tissue in tissues}
    if contrast_of(tissues, Acquisition()).contrast == "yes":
        del found["blood"]
    if len(found) < 3 or "fat" not in found or not {"muscle", "blood"} & set(found):
        return None
    energy, water = _effective(found, acquisition.kvp)
    slope = float(1.0 / (hu_per_mg_cm3(material, energy) * (1.0 + water / 1000.0)))
    intercept = -slope * water
    gates = tissue_checks([tissue for tissue in tissues if tissue.name in found])
    checks = (*line_checks(slope, intercept, acquisition.kvp), _energy_check(energy, acquisition.kvp), *gates)
    return Calibration(
        "tissue",
        material,
        slope,
        intercept,
        checks=checks,
        method="physics",
        uncertainty_mg_cm3=_UNCERTAINTY_MG_CM3 if acquisition.kvp else _UNCERTAINTY_ANY_KVP_MG_CM3,
        tissues=tuple(tissues),
    )


def hu_per_mg_cm3(material: str, kev: float) -> float:
    """HU per mg/cm³ of a mineral in water at one energy, displaced water included (qct_facts 2.9)."""
    return mass_attenuation(material, kev) / mass_attenuation("water", kev) - _DISPLACED_CM3_G[material]


def mass_attenuation(substance: str, kev: float | np.ndarray) -> float | np.ndarray:
    """cm²/g at energies in keV (20-150), log-log interpolated in Resources/Physics/attenuation.csv (NIST XCOM)."""
    table = _table()
    return np.exp(np.interp(np.log(kev), np.log(table["keV"]), np.log(table[substance])))


@functools.cache
def _table() -> dict[str, np.ndarray]:
    with resource("Physics", "attenuation.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, np.array(rows, dtype=float).T))


def _effective(found: dict[str, float], kvp: float | None) -> tuple[float, float]:
    """(effective keV, HU that water reads) that explain the tissues best."""
    names = [name for name in _COMPOSITIONS if name in found]
    water = mass_attenuation("water", _SEARCH_KEV)
    ideal = np.array(
        [1000 * (sum(g * mass_attenuation(of, _SEARCH_KEV) for of, g in _COMPOSITIONS[name].items()) / water - 1) for name in names]
    )
    stretch, weight = 1 + ideal / 1000, np.array([_SPREAD_HU[name] ** -2 for name in names])[:, None]
    excess = np.array([found[name] for name in names])[:, None] - ideal
    offset = (weight * stretch * excess).sum(axis=0) / ((weight * stretch**2).sum(axis=0) + _WATER_HU**-2)
    middle, spread = _expected_kev(kvp)
    misfit = (weight * (excess - offset * stretch) ** 2).sum(axis=0) + (offset / _WATER_HU) ** 2 + ((_SEARCH_KEV - middle) / spread) ** 2
    best = int(misfit.argmin())
    return float(_SEARCH_KEV[best]), float(offset[best])


def _expected_kev(kvp: float | None) -> tuple[float, float]:
    """(middle, SD) of the effective energy at a tube voltage; between the voltages of the bands, interpolated."""
    if kvp is None:
        return _ANY_KEV
    return float(np.interp(kvp, list(_BANDS_KEV), [np.mean(band) for band in _BANDS_KEV.values()])), _SPREAD_KEV


def _energy_check(energy: float, kvp: float | None) -> Check:
    """Whether the tissues fit the tube voltage."""
    middle, spread = _expected_kev(kvp)
    limit = f"{middle - 2 * spread:.0f} to {middle + 2 * spread:.0f} keV"
    if kvp is None:
        message = "The tube voltage is unknown and the tissues alone say little about the energy of the beam."
        return Check("EFFECTIVE_ENERGY", "warn", energy, limit, message, "Give the scan as DICOM, whose header holds the voltage.")
    if abs(energy - middle) <= 2 * spread:
        return Check("EFFECTIVE_ENERGY", "pass", energy, f"{limit} at {kvp:.0f} kVp", "The tissues fit the tube voltage.")
    message = "The energy that explains the patient's tissues is not that of the tube voltage."
    return Check("EFFECTIVE_ENERGY", "warn", energy, f"{limit} at {kvp:.0f} kVp", message, "Look at the HU of the tissues; use a phantom.")
