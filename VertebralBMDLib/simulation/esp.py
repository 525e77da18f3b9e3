"""A spine phantom after the European Spine Phantom: three vertebrae of known density in an oval abdomen.

Published are the trabecular densities of 50, 100 and 200 mg/cm3 CaHA from L1 to L3 and, of its relative
EFP, a cortex of 800 mg/cm3. Every length here is low confidence: oval of 280 x 180 mm, vertebrae as
cylinders along z with walls and endplates of 0.5, 1.0 and 1.5 mm, arches of 350 mg/cm3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.calibration.catalogue import Phantom
from VertebralBMDLib.simulation.materials import MINERALS, WATER, in_water
from VertebralBMDLib.simulation.shapes import Canvas, Capsule, Frame, Tube, coverage, paint
from VertebralBMDLib.simulation.support import Back

LEVELS = ("L1", "L2", "L3")
HALF_X_MM, HALF_Y_MM, LENGTH_MM = 140.0, 90.0, 170.0
CENTER_Y_MM = -25.0  # of the oval; the vertebrae stand at x = y = 0, L2 at z = 0
RADIUS_MM, HEIGHT_MM, PITCH_MM = 18.0, 26.0, 36.0
CORTEX_MG_CM3, ARCH_MG_CM3 = 800.0, 350.0
CORTEX_MM = (0.5, 1.0, 1.5)
ROI_MARGIN_MM = 3.0


@dataclass(frozen=True)
class EspVertebra:
    """A cylinder of trabecular density (mg/cm3 CaHA) in a cortical shell; z_mm: its middle."""

    level: str
    z_mm: float
    density_mg_cm3: float
    cortex_mm: float

    def cylinder(self, inset_mm: float) -> Tube:
        """The body without its outermost `inset_mm`."""
        half = 0.5 * HEIGHT_MM - inset_mm
        radius, still = np.full(2, RADIUS_MM - inset_mm), np.zeros(2)
        return Tube(np.array([self.z_mm - half, self.z_mm + half]), still, still, radius, radius)

    def volume_cm3(self, inset_mm: float) -> float:
        return float(np.pi * (RADIUS_MM - inset_mm) ** 2 * (HEIGHT_MM - 2.0 * inset_mm) / 1000.0)

    def arch(self) -> tuple[Capsule, ...]:
        """Pedicles, laminae, transverse processes and spinous process."""
        frame = Frame(np.array([0.0, 0.0, self.z_mm]), np.eye(3))
        parts = [((0.0, 42.0, -2.0), (0.0, 55.0, -6.0), 3.0, 3.5, 2.4)]
        for side in (-1.0, 1.0):
            corner = (side * 14.0, 28.0, 2.0)
            parts.append(((side * 12.0, RADIUS_MM - 5.0, 3.0), corner, 4.0, 4.0, 1.5))
            parts.append((corner, (0.0, 42.0, -2.0), 3.2, 3.2, 2.2))
            parts.append((corner, (side * 36.0, 32.0, 2.0), 3.6, 2.6, 1.4))
        return tuple(Capsule(frame, *part) for part in parts)

    def truth(self, canvas: Canvas, offset: np.ndarray) -> dict:
        """JSON-able densities and volumes: mineral in water, so the ideal CaHA reading is the mineral itself."""
        core, whole = self.volume_cm3(self.cortex_mm), self.volume_cm3(0.0)
        bmc = self.density_mg_cm3 * core + CORTEX_MG_CM3 * (whole - core)
        hu = canvas.beam.hu(in_water("CaHA", self.density_mg_cm3))
        low, high = (float(v[2]) for v in self.cylinder(0.0).bounds)
        z = canvas.grid.axis(2)
        return {
            "label": LABELS[self.level],
            "complete": bool(low >= z[0] and high <= z[-1]),
            "qct_equivalent_vbmd_mg_cm3": {mineral: canvas.beam.qct_equivalent(hu, mineral) for mineral in MINERALS},
            "true_mineral_mg_cm3": self.density_mg_cm3,
            "trabecular_hu": hu,
            "marrow_fat_fraction": 0.0,
            "cortex_mm": self.cortex_mm,
            "cortex_mg_cm3": CORTEX_MG_CM3,
            "trabecular_cm3": core,
            "body_cm3": whole,
            "body_mineral_mg": bmc,
            "integral_mineral_mg_cm3": bmc / whole,
            "centroid_lps_mm": [float(c) for c in np.array([0.0, 0.0, self.z_mm]) + offset],
        }


def esp_vertebrae(phantom: Phantom) -> tuple[EspVertebra, ...]:
    """The vertebrae of the catalogue entry, L1 uppermost."""
    return tuple(
        EspVertebra(level, (1 - k) * PITCH_MM, rod.density_mg_cm3, cortex)
        for k, (level, rod, cortex) in enumerate(zip(LEVELS, phantom.rods, CORTEX_MM))
    )


def esp_back() -> Back:
    """The lower surface of the oval, which lies on the couch."""
    x = np.linspace(-HALF_X_MM, HALF_X_MM, 113)
    y = CENTER_Y_MM + HALF_Y_MM * np.sqrt(np.maximum(1.0 - (x / HALF_X_MM) ** 2, 0.0))
    z = np.array([-0.5 * LENGTH_MM, 0.5 * LENGTH_MM])
    return Back(x, z, np.repeat(y[:, None], 2, axis=1))


def paint_esp(canvas: Canvas, phantom: Phantom) -> None:
    """Draw the oval and its vertebrae, with their label maps and ROIs (3 mm inside the trabecular part)."""
    ones, z = np.ones(2), 0.5 * LENGTH_MM * np.array([-1.0, 1.0])
    paint(canvas, Tube(z, 0.0 * ones, CENTER_Y_MM * ones, HALF_X_MM * ones, HALF_Y_MM * ones), WATER)
    for vertebra in esp_vertebrae(phantom):
        for part in vertebra.arch():
            paint(canvas, part, in_water("CaHA", ARCH_MG_CM3))
        paint(canvas, vertebra.cylinder(0.0), in_water("CaHA", CORTEX_MG_CM3))
        paint(canvas, vertebra.cylinder(vertebra.cortex_mm), in_water("CaHA", vertebra.density_mg_cm3))
        for labels, inset in ((canvas.bodies, 0.0), (canvas.rois, vertebra.cortex_mm + ROI_MARGIN_MM)):
            _mark(canvas, labels, vertebra.cylinder(inset), LABELS[vertebra.level])


def _mark(canvas: Canvas, labels: np.ndarray, solid: Tube, label: int) -> None:
    """Label the voxels that are mostly inside."""
    window = canvas.grid.window(solid.bounds)
    if window is not None:
        share = canvas.slice_mean(coverage(solid.distance(*canvas.grid.points(window)), canvas.grid.footprint_mm))
        labels[window][share > 0.5] = label
