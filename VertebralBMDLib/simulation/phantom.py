"""Calibration phantoms: rods in a water-equivalent body that may lie tilted, bent, mirrored or short.

- CaHA rods: mineral in water-equivalent resin, so HU = density * hu_per_mg_cm3.
- Mindways rods (K2HPO4): certificates give the equivalent of `rho_w` mg of water and `rho_K` mg of
  K2HPO4 per cm3, so mu = (rho_w * (mu/rho)_w + rho_K * (mu/rho)_K) / 1000. Against water of
  999.6 mg/cm3 (the figure in Mindways' own equations) HU = 1000 * (rho_w + sigma_ref * rho_K) / 999.6
  - 1000. Their fit `HU - rho_w = sigma_ref * rho_K + beta_ref` then reads 0 HU as 0.0 mg/cm3.

A phantom has its own frame: u across the row (to the left), v towards the couch, w along the rods (up).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from VertebralBMDLib.calibration.catalogue import Phantom
from VertebralBMDLib.calibration.line import Rod
from VertebralBMDLib.simulation.beam import Beam
from VertebralBMDLib.simulation.materials import WATER, Composition, in_water
from VertebralBMDLib.simulation.shapes import Canvas, Frame, Grid, Points, coverage

WATER_MG_CM3 = 999.6
SLAB = 16  # slices drawn at once: bounds the memory of a full field
SAG_REACH_MM = 200.0  # the bend fades as exp(-(w / reach)^2)
SKIN_OF_RESIN_MM = 3.0  # least resin between a rod and the surface of the body


def rod_material(phantom: Phantom, rod: Rod) -> Composition:
    """What a rod is made of, per cm3 (negative K2HPO4 stands for a resin less attenuating than water)."""
    if rod.water_mg_cm3 is None:
        return in_water(phantom.material, rod.density_mg_cm3)
    return {"water": rod.water_mg_cm3 / WATER_MG_CM3, phantom.material: rod.density_mg_cm3 / WATER_MG_CM3}


@dataclass(frozen=True)
class PhantomBody:
    """Cross-section of the body around the rods, mm. No maker publishes it: low confidence throughout.

    margin_mm: from the edge of the outer rod to the side. belly_mm: how much deeper the bottom is in the
    middle, to lie in a curved couch. taper_mm: how much each side is cut back at the top. flexible: the
    pad, and the row in it, takes the curve of the couch.
    """

    height_mm: float = 30.0
    margin_mm: float = 14.0
    corner_mm: float = 3.0
    belly_mm: float = 0.0
    taper_mm: float = 0.0
    flexible: bool = False

    def distance(self, u: np.ndarray, v: np.ndarray, half_width: float) -> np.ndarray:
        """Approximate signed mm to the surface at points of the straight section."""
        high = self.height_mm
        side = np.abs(u) - (half_width - self.taper_mm * (0.5 - v / high)) + self.corner_mm
        lower = v - (0.5 * high + self.belly_mm * np.maximum(1.0 - (u / half_width) ** 2, 0.0))
        flat = np.maximum(-0.5 * high - v, lower) + self.corner_mm
        return np.hypot(np.maximum(side, 0.0), np.maximum(flat, 0.0)) + np.minimum(np.maximum(side, flat), 0.0) - self.corner_mm


_BODIES = {
    "mindways-model3": PhantomBody(corner_mm=6.0, belly_mm=6.0),
    "mindways-model3-qa": PhantomBody(corner_mm=6.0, belly_mm=6.0),
    "qrm-bdc3": PhantomBody(height_mm=26.0, margin_mm=24.0, corner_mm=2.0, taper_mm=14.0),
    "qrm-bdc6": PhantomBody(height_mm=26.0, margin_mm=24.0, corner_mm=2.0, taper_mm=14.0),
    "image-analysis-qct3d-plus": PhantomBody(height_mm=27.0, margin_mm=22.0, corner_mm=10.0, flexible=True),
    "intable": PhantomBody(height_mm=18.0, margin_mm=20.0, corner_mm=2.0),
}


@dataclass(frozen=True)
class PlacedRod:
    """A rod in the scan: certificate, centre line (n, 3) LPS mm from caudal to cranial, diameter, material."""

    rod: Rod
    line_lps_mm: np.ndarray
    diameter_mm: float
    material: Composition

    def in_field(self, grid: Grid) -> tuple[np.ndarray, bool]:
        """(nine points (n, 3) of the centre line inside the field, or none; True where the field cuts the rod in plane)."""
        low = np.array([grid.axis(k)[0] - 0.5 * grid.spacing_mm[k] for k in range(3)])
        high = np.array([grid.axis(k)[-1] + 0.5 * grid.spacing_mm[k] for k in range(3)])
        z = self.line_lps_mm[:, 2]
        bottom, top = max(z[0], low[2]), min(z[-1], high[2])
        if bottom >= top:
            return np.empty((0, 3)), False
        at = np.linspace(bottom, top, 9)
        points = np.column_stack([np.interp(at, z, self.line_lps_mm[:, k]) for k in range(3)])
        room = np.minimum(points - low, high - points)[:, :2].min(axis=1)
        return points[room >= 0.0], bool(room.min() < 0.5 * self.diameter_mm)

    def truth(self, grid: Grid, beam: Beam, offset: np.ndarray) -> dict:
        """JSON-able: certificate, theoretical HU in this beam, and where it lies; `offset` is added to LPS mm.

        `start_lps_mm`, `end_lps_mm` and the points between (`line_lps_mm`) are the part in the field, None and
        empty when there is none.
        """
        inside, cut = self.in_field(grid)
        line = [[float(c) for c in point + offset] for point in inside]
        bottom, top = float(grid.axis(2)[0]), float(grid.axis(2)[-1])
        return {
            "id": self.rod.id,
            "density_mg_cm3": self.rod.density_mg_cm3,
            "water_mg_cm3": self.rod.water_mg_cm3,
            "hu": beam.hu(self.material),
            "diameter_mm": self.diameter_mm,
            "start_lps_mm": line[0] if line else None,
            "end_lps_mm": line[-1] if line else None,
            "line_lps_mm": line,
            "cut_by_the_field": cut,
            "ends_in_the_field": bool(line) and bool(self.line_lps_mm[0, 2] > bottom or self.line_lps_mm[-1, 2] < top),
        }


@dataclass(frozen=True)
class PlacedPhantom:
    """A phantom in the scan. ends_mm: w of its caudal and cranial end; sag_mm: how deep its middle is
    pressed; curvature_per_mm: of the couch that a flexible pad follows."""

    phantom: Phantom
    body: PhantomBody
    frame: Frame
    ends_mm: tuple[float, float]
    sag_mm: float = 0.0
    curvature_per_mm: float = 0.0
    mirrored: bool = False

    @property
    def row_mm(self) -> np.ndarray:
        """u of each rod, in the order of the certificate."""
        count = len(self.phantom.rods)
        row = (np.arange(count) - 0.5 * (count - 1)) * self.phantom.rod_spacing_mm
        return -row if self.mirrored else row

    @property
    def half_width_mm(self) -> float:
        return float(self.row_mm.max()) + 0.5 * self.phantom.rod_diameter_mm + self.body.margin_mm

    def bend(self, u: np.ndarray, w: np.ndarray) -> np.ndarray:
        """How far (mm along v) a bent phantom is from a straight one."""
        return self.sag_mm * np.exp(-((w / SAG_REACH_MM) ** 2)) - 0.5 * self.curvature_per_mm * u**2

    def to_world(self, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> np.ndarray:
        """LPS mm (..., 3) of points of the straight phantom (broadcastable)."""
        u, v, w = np.broadcast_arrays(u, v, w)
        return self.frame.to_world(np.stack([u, v + self.bend(u, w), w], axis=-1))

    def to_straight(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Points:
        """(u, v, w) of the straight phantom at LPS coordinates."""
        u, v, w = self.frame.to_local(x, y, z)
        return u, v - self.bend(u, w).astype(np.float32), w

    def surface(self, top: bool) -> np.ndarray:
        """(n, 3) LPS mm over the upper (towards the patient) or the lower face."""
        half = self.half_width_mm
        u, w = np.meshgrid(np.linspace(-half, half, 31), np.linspace(*self.ends_mm, 41))
        v = np.full(u.shape, -0.5 * self.body.height_mm)
        if not top:
            v = -v + self.body.belly_mm * (1.0 - (u / half) ** 2)
        return self.to_world(u, v, w).reshape(-1, 3)

    def moved(self, dy_mm: float) -> PlacedPhantom:
        """The same phantom further towards the couch."""
        return replace(self, frame=replace(self.frame, origin=self.frame.origin + np.array([0.0, dy_mm, 0.0])))

    @property
    def rods(self) -> tuple[PlacedRod, ...]:
        w = np.linspace(*self.ends_mm, 65)
        return tuple(
            PlacedRod(rod, self.to_world(u, np.zeros(1), w), self.phantom.rod_diameter_mm, rod_material(self.phantom, rod))
            for rod, u in zip(self.phantom.rods, self.row_mm)
        )

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        faces = np.concatenate([self.surface(True), self.surface(False)])
        return faces.min(axis=0), faces.max(axis=0)

    def check_in_field(self, grid: Grid) -> None:
        """ValueError when not one rod's centre line passes through the field."""
        if any(len(rod.in_field(grid)[0]) for rod in self.rods):
            return
        low, high = self.bounds
        needed, given = (
            ", ".join(f"{axis} {a:.0f} to {b:.0f} mm" for axis, a, b in zip("xyz", lows, highs))
            for lows, highs in ((low, high), ([grid.axis(k)[0] for k in range(3)], [grid.axis(k)[-1] for k in range(3)]))
        )
        raise ValueError(f"phantom outside the field: {self.phantom.name} lies at {needed}, the field covers {given}")


def phantom_body(phantom: Phantom) -> PhantomBody:
    """The body of a catalogue phantom, a plain slab for any other; high enough for its rods."""
    body = _BODIES.get(phantom.name, PhantomBody())
    return replace(body, height_mm=max(body.height_mm, phantom.rod_diameter_mm + 2.0 * SKIN_OF_RESIN_MM))


def paint_phantom(canvas: Canvas, placed: PlacedPhantom) -> None:
    """Draw the water-equivalent body with the rods in it."""
    window = canvas.grid.window(placed.bounds)
    if window is None:
        return
    for start in range(window[0].start, window[0].stop, SLAB):
        part = (slice(start, min(start + SLAB, window[0].stop)), *window[1:])
        _paint_part(canvas, placed, part)


def _paint_part(canvas: Canvas, placed: PlacedPhantom, window: tuple[slice, slice, slice]) -> None:
    """`paint_phantom` in a few slices."""
    u, v, w = placed.to_straight(*canvas.grid.points(window))
    footprint = canvas.grid.footprint_mm
    within = coverage(np.maximum(placed.ends_mm[0] - w, w - placed.ends_mm[1]), footprint)
    inside = within * coverage(placed.body.distance(u, v, placed.half_width_mm), footprint)
    hu = np.full(inside.shape, canvas.beam.hu(WATER), np.float32)
    radius = 0.5 * placed.phantom.rod_diameter_mm
    for rod, across in zip(placed.phantom.rods, placed.row_mm):
        near = np.abs(u - np.float32(across)).min(axis=(0, 1)) < radius + footprint
        if near.any():
            columns = slice(int(np.argmax(near)), len(near) - int(np.argmax(near[::-1])))
            rod_share = coverage(np.hypot(u[..., columns] - np.float32(across), v[..., columns]) - np.float32(radius), footprint)
            hu[..., columns] += rod_share * (np.float32(canvas.beam.hu(rod_material(placed.phantom, rod))) - hu[..., columns])
    canvas.blend(window, inside, inside * hu)
