"""X-ray attenuation of the body's materials, and what QCT makes of it.

Model: one effective energy per tube voltage (no beam hardening). Every material is a sum of
partial densities, so `HU = 1000 * (sum(rho_i * (mu/rho)_i) / mu_water - 1)`.
Tables: NIST (ICRU-44 and XCOM), cm2/g, at 40/50/60/80/100 keV.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Literal

import numpy as np

Mineral = Literal["CaHA", "K2HPO4"]

TABLE_KEV = np.array([40.0, 50.0, 60.0, 80.0, 100.0])
MASS_ATTENUATION_CM2_G: dict[str, np.ndarray] = {
    "adipose": np.array([0.2396, 0.2123, 0.1974, 0.1800, 0.1688]),
    "air": np.array([0.2485, 0.2080, 0.1875, 0.1662, 0.1541]),
    "blood": np.array([0.2715, 0.2278, 0.2057, 0.1827, 0.1695]),
    "cortical_bone": np.array([0.6655, 0.4242, 0.3148, 0.2229, 0.1855]),
    "muscle": np.array([0.2685, 0.2262, 0.2048, 0.1823, 0.1693]),
    "K2HPO4": np.array([0.9327, 0.5573, 0.3890, 0.2508, 0.1972]),
    "CaHA": np.array([0.9877, 0.5867, 0.4067, 0.2589, 0.2019]),
    "triglyceride": np.array([0.2293, 0.2072, 0.1945, 0.1789, 0.1683]),
    "water": np.array([0.2683, 0.2269, 0.2059, 0.1837, 0.1707]),
}
DENSITY_G_CM3 = {"muscle": 1.05, "blood": 1.06, "triglyceride": 0.92, "water": 1.0, "cellular_marrow": 1.03}

# Volume that one gram takes from the water around it, cm3/g: CaHA from its density of
# 3.16 g/cm3, K2HPO4 as the apparent volume in solution that Mindways uses.
DISPLACED_CM3_G: dict[str, float] = {"CaHA": 1.0 / 3.16, "K2HPO4": 0.2174}

# Effective energy inside an adult trunk. Literature spreads over 6-11 keV per voltage
# (50-56, 57-63, 63-74, 68-79): low confidence, a convention of this simulator.
EFFECTIVE_KEV = {80: 53.0, 100: 60.0, 120: 68.0, 140: 74.0}


def effective_kev(kvp: int) -> float:
    """Effective energy (keV) of a tube voltage (kV); ValueError outside 80/100/120/140."""
    if kvp not in EFFECTIVE_KEV:
        raise ValueError(f"kvp must be one of {sorted(EFFECTIVE_KEV)}, not {kvp}")
    return EFFECTIVE_KEV[kvp]


@functools.cache
def mass_attenuation(material: str, kev: float) -> float:
    """(mu/rho) in cm2/g, log-log interpolated; ValueError outside 40-100 keV."""
    if not TABLE_KEV[0] <= kev <= TABLE_KEV[-1]:
        raise ValueError(f"kev must be within {TABLE_KEV[0]:g}-{TABLE_KEV[-1]:g}, not {kev:g}")
    values = MASS_ATTENUATION_CM2_G[material]
    return float(np.exp(np.interp(np.log(kev), np.log(TABLE_KEV), np.log(values))))


def hu_of_mixture(partial_density_g_cm3: Mapping[str, float], kev: float) -> float:
    """HU of a material given as partial densities (g of each component per cm3 of mixture)."""
    mu = sum(rho * mass_attenuation(name, kev) for name, rho in partial_density_g_cm3.items())
    return 1000.0 * (mu / mass_attenuation("water", kev) - 1.0)


def hu_of_tissue(volume_fraction: Mapping[str, float], kev: float) -> float:
    """HU of a soft tissue given as volume fractions of the pure materials in `DENSITY_G_CM3`."""
    return hu_of_mixture({name: f * DENSITY_G_CM3[name] for name, f in volume_fraction.items()}, kev)


def sigma_ref(mineral: Mineral, kev: float) -> float:
    """HU per mg/cm3 when the mineral is added without displacing water: (mu/rho) / (mu/rho)_water."""
    return mass_attenuation(mineral, kev) / mass_attenuation("water", kev)


def hu_per_mg_cm3(mineral: Mineral, kev: float) -> float:
    """HU per mg/cm3 of mineral in water, displaced volume included; its inverse is the QCT slope."""
    return sigma_ref(mineral, kev) - DISPLACED_CM3_G[mineral]


def qct_equivalent(hu: float, mineral: Mineral, kev: float) -> float:
    """mg/cm3 that an ideally calibrated scan reads at this HU (0 HU reads 0)."""
    return hu / hu_per_mg_cm3(mineral, kev)


def marrow_hu(fat_fraction: float, kev: float) -> float:
    """HU of marrow: triglyceride (volume fraction) in cellular marrow of muscle-like composition.

    +10 % fat lowers trabecular bone by 9-10 mg/cm3 at 120 kV (literature: 5-9).
    """
    return hu_of_mixture(
        {
            "triglyceride": fat_fraction * DENSITY_G_CM3["triglyceride"],
            "muscle": (1.0 - fat_fraction) * DENSITY_G_CM3["cellular_marrow"],
        },
        kev,
    )


def bone_hu_line(fat_fraction: float, kev: float) -> tuple[float, float]:
    """(HU at no mineral, HU per mg/cm3 of CaHA) of bone whose mineral displaces marrow.

    Linear: `mu = m*(mu/rho)_CaHA + (1 - m/3160) * mu_marrow`, so a mean of minerals gives the
    mean of HU.
    """
    empty = marrow_hu(fat_fraction, kev)
    per_mg = sigma_ref("CaHA", kev) - DISPLACED_CM3_G["CaHA"] * (1.0 + empty / 1000.0)
    return empty, per_mg


def bone_hu(mineral_mg_cm3: float, fat_fraction: float, kev: float) -> float:
    """HU of bone with this true mineral density (mg CaHA per cm3 of tissue) and marrow fat."""
    empty, per_mg = bone_hu_line(fat_fraction, kev)
    return empty + per_mg * mineral_mg_cm3


def mineral_for_qct(vbmd_mg_cm3: float, fat_fraction: float, kev: float) -> float:
    """True mineral (mg/cm3) of bone that reads `vbmd_mg_cm3` CaHA-equivalent at `kev`."""
    empty, per_mg = bone_hu_line(fat_fraction, kev)
    return (vbmd_mg_cm3 * hu_per_mg_cm3("CaHA", kev) - empty) / per_mg
