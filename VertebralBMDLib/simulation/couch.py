"""The couch: a carbon fibre shell over foam, curved or flat, bare or with a cushion.

Shapes and sizes are those of common tables as scans show them, not of any maker (low confidence).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from VertebralBMDLib.simulation.materials import Composition
from VertebralBMDLib.simulation.shapes import Canvas, coverage

CouchShape = Literal["curved", "flat"]
Insert = Literal["none", "rails", "wires"]
SHELL: Composition = {"carbon": 1.5}
FOAM: Composition = {"polyethylene": 0.05}
CUSHION: Composition = {"polyethylene": 0.035}
RAIL: Composition = {"carbon": 1.7}
WIRE: Composition = {"steel": 7.9}
CUSHION_LEFT = 0.4  # of its thickness, under a patient
AIR_BELOW_HU, AIR_HU = -200.0, -1000.0


@dataclass(frozen=True)
class Couch:
    """Couch top, mm; the defaults are a bare cradle.

    radius_mm: of a curved couch. thickness_mm: of the top in its middle, shell included. table_height_mm: from
    the isocentre down to the upper surface of the couch in its middle (DICOM TableHeight).
    """

    shape: CouchShape = "curved"
    width_mm: float = 430.0
    radius_mm: float = 450.0
    thickness_mm: float = 75.0
    shell_mm: float = 2.2
    cushion_mm: float = 0.0
    insert: Insert = "none"
    table_height_mm: float = 135.0

    def __post_init__(self) -> None:
        for name, allowed in (("shape", get_args(CouchShape)), ("insert", get_args(Insert))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        ranges = {
            "width_mm": (200.0, 700.0),
            "radius_mm": (0.6 * self.width_mm, 5000.0),
            "thickness_mm": (10.0, 150.0),
            "shell_mm": (0.0, 5.0),
            "cushion_mm": (0.0, 80.0),
            "table_height_mm": (0.0, 350.0),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be within {low:g}-{high:g} mm, not {getattr(self, name)}")

    @property
    def curvature_per_mm(self) -> float:
        return 1.0 / self.radius_mm if self.shape == "curved" else 0.0

    def rise(self, x: np.ndarray) -> np.ndarray:
        """How much higher (mm towards the patient) the upper surface is at x than in the middle."""
        if self.shape == "flat":
            return np.zeros_like(x)
        return self.radius_mm - np.sqrt(self.radius_mm**2 - np.minimum(np.abs(x), 0.5 * self.width_mm) ** 2)


def draw_couch(rng: np.random.Generator) -> Couch:
    """The couch of one scanner."""
    return Couch(
        shape="curved" if rng.random() < 0.8 else "flat",
        width_mm=float(rng.uniform(400.0, 530.0)),
        radius_mm=float(rng.uniform(400.0, 700.0)),
        thickness_mm=float(rng.uniform(35.0, 80.0)),
        shell_mm=float(rng.uniform(1.2, 3.0)),
        cushion_mm=float(rng.uniform(10.0, 40.0)) * float(rng.random() < 0.7),
        insert=str(rng.choice(["none", "rails", "wires"], p=[0.72, 0.25, 0.03])),
        table_height_mm=float(np.clip(rng.normal(140.0, 20.0), 90.0, 210.0)),
    )


def fill_air(hu: np.ndarray, share: np.ndarray, material_hu: float) -> None:
    """Put a soft material where there is air, in place: what lies in it keeps its HU."""
    air = np.clip((AIR_BELOW_HU - hu) / np.float32(AIR_BELOW_HU - AIR_HU), 0.0, 1.0)
    hu += np.minimum(air, share) * np.float32(material_hu - AIR_HU)


def paint_couch(canvas: Canvas, couch: Couch, top_y: float) -> None:
    """Draw the couch under what is there; `top_y` is its upper surface (not the cushion's) in the middle, at x = 0."""
    x, y = canvas.grid.axis(0), canvas.grid.axis(1)
    half = 0.5 * couch.width_mm
    spare = 2.0 * max(canvas.grid.spacing_mm[:2])
    rows = y > top_y - float(couch.rise(np.array(half))) - couch.cushion_mm - spare
    columns = np.abs(x) < half + spare
    if not (rows.any() and columns.any()):
        return
    at = (slice(None), slice(int(np.argmax(rows)), None), slice(int(np.argmax(columns)), len(x) - int(np.argmax(columns[::-1]))))
    hu, x, y = canvas.hu[at], x[at[2]][None, :], y[at[1]][:, None]
    upper = top_y - couch.rise(x)
    lower = top_y + couch.thickness_mm - 0.6 * np.maximum(np.abs(x) - (0.56 if couch.shape == "curved" else 0.8) * half, 0.0)
    beside = np.abs(x) - half
    pixel = canvas.grid.spacing_mm[1]
    if couch.cushion_mm > 0.0:
        cushion = coverage(np.maximum(np.maximum(upper - couch.cushion_mm - y, y - upper), beside), pixel).astype(np.float32)
        for image in hu:
            fill_air(image, cushion, canvas.beam.hu(CUSHION))
    depth = np.maximum(np.maximum(upper - y, y - lower), beside)
    foam = coverage(depth + couch.shell_mm, pixel)
    shell = coverage(depth, pixel) - foam
    layers = [(shell, SHELL), (foam, FOAM)]
    keep, added = 1.0 - shell - foam, sum(share * canvas.beam.hu(material) for share, material in layers)
    for share, material in _inserts(canvas, couch, top_y, x, y):
        keep, added = keep * (1.0 - share), added * (1.0 - share) + share * canvas.beam.hu(material)
    hu *= keep.astype(np.float32)
    hu += added.astype(np.float32)


def _inserts(canvas: Canvas, couch: Couch, top_y: float, x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, Composition]]:
    """Shares (ny, nx) of dense strips near the sides, or of two thin steel wires."""
    if couch.insert == "none":
        return []
    wires = couch.insert == "wires"
    width, height = (1.0, 1.0) if wires else (14.0, 6.0)
    place = 0.6 * 0.5 * couch.width_mm if wires else 0.5 * couch.width_mm - 30.0
    middle = top_y - float(couch.rise(np.array(place))) + 0.3 * couch.thickness_mm
    dx, dy = canvas.grid.spacing_mm[:2]
    across = _overlap(x, dx, place, width) + _overlap(x, dx, -place, width)
    return [(across * _overlap(y, dy, middle, height), WIRE if wires else RAIL)]


def _overlap(axis: np.ndarray, spacing: float, center: float, width: float) -> np.ndarray:
    """Share of each pixel that an interval covers: exact, so that a wire weighs the same on every grid."""
    high = np.minimum(axis + 0.5 * spacing, center + 0.5 * width)
    low = np.maximum(axis - 0.5 * spacing, center - 0.5 * width)
    return np.maximum(high - low, 0.0) / spacing
