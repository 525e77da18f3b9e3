"""Calibration phantoms in the scan: a water-equivalent slab under the back with rods along z.

- CaHA rods: mineral in water-equivalent resin, so HU = density * hu_per_mg_cm3.
- Mindways rods (K2HPO4): certificates give the equivalent of `rho_w` mg of water and `rho_K` mg of
  K2HPO4 per cm3, so mu = (rho_w * (mu/rho)_w + rho_K * (mu/rho)_K) / 1000. Against water of
  999.6 mg/cm3 (the figure in Mindways' own equations) HU = 1000 * (rho_w + sigma_ref * rho_K) / 999.6
  - 1000. Their fit `HU - rho_w = sigma_ref * rho_K + beta_ref` then reads 0 HU as 0.0 mg/cm3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.calibration.catalogue import Phantom
from VertebralBMDLib.calibration.line import Rod
from VertebralBMDLib.simulation.materials import Composition, in_water
from VertebralBMDLib.simulation.shapes import Canvas, Tube, coverage, paint

WATER_MG_CM3 = 999.6
SLAB_HEIGHT_MM = 30.0
SLAB_MARGIN_MM = 14.0


def rod_material(phantom: Phantom, rod: Rod) -> Composition:
    """What a rod is made of, per cm3 (negative K2HPO4 stands for a resin less attenuating than water)."""
    if rod.water_mg_cm3 is None:
        return in_water(phantom.material, rod.density_mg_cm3)
    return {"water": rod.water_mg_cm3 / WATER_MG_CM3, phantom.material: rod.density_mg_cm3 / WATER_MG_CM3}


@dataclass(frozen=True)
class PlacedRod:
    """A rod in the scan: centre line (LPS mm) from caudal to cranial, diameter and material."""

    rod: Rod
    start_lps_mm: tuple[float, float, float]
    end_lps_mm: tuple[float, float, float]
    diameter_mm: float
    material: Composition


def place_rods(
    phantom: Phantom,
    center_xy_mm: tuple[float, float],
    z_range_mm: tuple[float, float],
    yaw_deg: float = 0.0,
) -> tuple[PlacedRod, ...]:
    """Rods in a row across x around `center_xy_mm`, along z; `yaw_deg` turns the row about y."""
    drift = np.tan(np.radians(yaw_deg))
    middle = 0.5 * (z_range_mm[0] + z_range_mm[1])
    placed = []
    for i, rod in enumerate(phantom.rods):
        x = center_xy_mm[0] + (i - 0.5 * (len(phantom.rods) - 1)) * phantom.rod_spacing_mm
        start, end = ((float(x + drift * (z - middle)), float(center_xy_mm[1]), float(z)) for z in z_range_mm)
        placed.append(PlacedRod(rod, start, end, phantom.rod_diameter_mm, rod_material(phantom, rod)))
    return tuple(placed)


def paint_phantom(canvas: Canvas, rods: tuple[PlacedRod, ...]) -> None:
    """Draw the water-equivalent slab and the rods in it."""
    grid = canvas.grid
    x = [p[0] for r in rods for p in (r.start_lps_mm, r.end_lps_mm)]
    half = 0.5 * (max(x) - min(x)) + 0.5 * rods[0].diameter_mm + SLAB_MARGIN_MM
    center, level = 0.5 * (max(x) + min(x)), rods[0].start_lps_mm[1]
    across = np.abs(grid.axis(0) - center)[None, :] - half
    along = np.abs(grid.axis(1) - level)[:, None] - 0.5 * SLAB_HEIGHT_MM
    slab = coverage(np.maximum(across, along), grid.spacing_mm[0]).astype(np.float32)
    canvas.hu *= 1.0 - slab
    for rod in rods:
        (x0, y0, z0), (x1, y1, z1) = rod.start_lps_mm, rod.end_lps_mm
        radius = np.full(2, 0.5 * rod.diameter_mm)
        paint(canvas, Tube(np.array([z0, z1]), np.array([x0, x1]), np.array([y0, y1]), radius, radius), rod.material)
