"""The trunk wall drawn around the organs: muscle in layers, subcutaneous fat with septa, skin, air."""

from __future__ import annotations

import numpy as np

from VertebralBMDLib.simulation.body import SKIN_MM
from VertebralBMDLib.simulation.materials import AIR
from VertebralBMDLib.simulation.shapes import coverage
from VertebralBMDLib.simulation.strokes import SLAB, Drawing, on_lattice

FINE_MM, COARSE_MM = 3.5, 15.0
_LAYER_LINES = (0.36, 0.68)  # depth of the fat planes between the three muscles of the flank


def sheets(field: np.ndarray, width: float) -> np.ndarray:
    """0-1: thin curved sheets where a smooth field crosses zero; septa of fat and connective tissue."""
    return np.maximum(1.0 - np.abs(field) * np.float32(1.0 / width), 0.0)


def threads(one: np.ndarray, other: np.ndarray, width: float) -> np.ndarray:
    """0-1: winding threads where two smooth fields cross zero together; small vessels."""
    return np.clip(1.5 - np.sqrt(one * one + other * other) * np.float32(1.0 / width), 0.0, 1.0)


def paint_fat(drawing: Drawing) -> None:
    """The background of everything: visceral fat with strands, small vessels and hazy places."""
    grid, tissues, field = drawing.canvas.grid, drawing.tissues, drawing.field
    x, y, z_all = (grid.axis(k) for k in range(3))
    fat, muscle, blood = (drawing.hu(m) for m in (tissues.fat, tissues.muscle, tissues.portal_vein))
    hazy = np.float32(drawing.rng("field").uniform(0.02, 0.085))
    for start in range(0, grid.size[2], SLAB):
        z = z_all[start : start + SLAB]
        fine, middle, far = field.at(x, y, z, 4.0), field.at(x, y, z, 9.0), field.at(x + 301.0, y + 57.0, z, 10.0)
        strands = np.float32(0.24) * (sheets(middle, 0.13) + sheets(fine, 0.09)) + hazy * np.clip(far + 0.9, 0.0, 2.2)
        vessels = np.maximum(threads(middle, far, 0.17), threads(fine, far, 0.16))
        hu = fat + strands * (muscle - fat)
        drawing.canvas.hu[start : start + SLAB] = hu + np.float32(0.5) * vessels * (blood - hu)


def paint_wall(drawing: Drawing) -> None:
    """Close the body around what has been drawn."""
    canvas, tissues = drawing.canvas, drawing.tissues
    grid = canvas.grid
    x, y, z_all = (grid.axis(k) for k in range(3))
    muscle, fat, skin, air = (drawing.hu(m) for m in (tissues.muscle, tissues.fat, tissues.skin, AIR))
    streaky = np.float32(min(0.35 + tissues.infiltration, 0.8))
    for start in range(0, grid.size[2], SLAB):
        z = z_all[start : start + SLAB]
        hu = canvas.hu[start : start + SLAB]
        outside, ring, cover, fat_mm = on_lattice(drawing.trunk.layers, x, y, z)
        if (outside < -ring - 8.0).all():
            continue
        width = np.float32(grid.spacing_mm[0])
        coarse = drawing.field.at(x, y, z, COARSE_MM)
        outside += np.float32(0.4) * coarse
        _blend(hu, coverage(-ring - outside, width), muscle - _planes(outside, ring, cover, coarse) * streaky * (muscle - fat))
        fine = drawing.field.at(x, y, z, 6.0)
        septa = np.float32(0.3) * sheets(coarse + np.float32(0.35) * fine, 0.12) + np.float32(0.7) * threads(coarse, fine, 0.13)
        fascia = _line(outside - cover - np.float32(0.5) * fat_mm, 1.0) * np.clip(np.float32(0.15) + np.float32(0.2) * coarse, 0.0, 0.4)
        _blend(hu, coverage(cover - outside, width), fat + np.minimum(septa + fascia + np.float32(0.03), 0.8) * (muscle - fat))
        _blend(hu, coverage(cover + fat_mm - outside, width), skin)
        _blend(hu, coverage(cover + fat_mm + SKIN_MM - outside, width), air)


def _blend(hu: np.ndarray, share: np.ndarray, value: np.ndarray | np.float32) -> None:
    hu += share * (value - hu)


def _planes(outside: np.ndarray, ring: np.ndarray, cover: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """0-1: fat between the muscles of the wall, and streaks within them."""
    depth = -outside / ring
    flank = np.clip(0.5 * (ring - 10.5), 0.0, 1.0) * np.clip(0.2 * (30.0 - ring), 0.0, 1.0)
    lines = flank * sum(_line((depth - np.float32(at)) * ring, 1.7) for at in _LAYER_LINES)
    lines += _line(outside - np.float32(0.5), 1.6) * (cover > 3.0) + _line(outside - np.float32(0.55) * cover, 1.8) * (cover > 7.0)
    return np.minimum(1.5 * lines * np.clip(0.7 + 0.5 * coarse, 0.2, 1.0) + 0.55 * sheets(coarse, 0.15), 1.0)


def paint_grain(drawing: Drawing) -> None:
    """Fine unevenness of all soft tissue, drawn last over it: +-4 HU, none in gas and lung."""
    grid = drawing.canvas.grid
    x, y, z_all = (grid.axis(k) for k in range(3))
    for start in range(0, grid.size[2], SLAB):
        hu = drawing.canvas.hu[start : start + SLAB]
        z = z_all[start : start + SLAB]
        grain = np.float32(3.0) * drawing.field.at(x, y, z, FINE_MM) + np.float32(2.5) * drawing.field.at(x, y, z, 11.0)
        hu += np.where(hu > -300.0, grain, np.float32(0.0))


def _line(distance: np.ndarray, half_width_mm: float) -> np.ndarray:
    return np.maximum(1.0 - np.abs(distance) * np.float32(1.0 / half_width_mm), 0.0)
