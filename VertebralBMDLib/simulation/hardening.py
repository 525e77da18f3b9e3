"""What a polychromatic scan adds to ideal HU: beam hardening, scatter, miscentring and uneven noise.

The rays of the coarse twin go through the tube spectrum onto an energy-integrating detector; a water
correction as scanners apply it follows; what is left of the difference to the ideal is reconstructed.
In water it vanishes up to that polynomial; bone reads lower the more water hardens the beam around it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from VertebralBMDLib.simulation.beam import attenuation, reference_beam, spectrum
from VertebralBMDLib.simulation.projection import Draw, Geometry, Twin, centred, draw_twin, geometry, without_metal
from VertebralBMDLib.simulation.shapes import Grid

PIXEL_MM, PIXELS, WIDE_PIXELS, VIEWS = 5.5, 92, 128, 96  # 506 mm: the scan field; drawn on 704 mm to find the body
STEP_MM = 10.0  # slices of the twin
ROUGH_SLICES, ROUGHER = 3, 2  # of a rough twin, and its wider pixels: half of the hardening of bone gets lost in them
QUICK_MM = 2.5  # pixels of fields for training, whose HU need not be true to 1 HU
FINE_STEP_MM = 12.0  # where the scan's own slices are 3 mm or more apart

WATER_ORDER, WATER_MAX_CM = 4, 50.0
SCATTER_CYLINDER_CM, SCATTER_SIGMA_MM = 32.0, 250.0
# Bowtie: water-equivalent thickness far from the axis and the width of its hollow (low confidence).
BOWTIE_CM, BOWTIE_WIDTH_MM = 14.0, 160.0
# Cup that a scanner subtracts around the isocentre, as deep and as wide as 3 cm off centre give 2-5 HU (low confidence).
CUP_HU, CUP_SIGMA_MM = 25.0, 130.0
# Transmission at which the electronics are as noisy as the photons (low confidence).
ELECTRONIC = 2e-4


@dataclass(frozen=True)
class Detector:
    """Log signal of a tube voltage behind water and CaHA, tabulated; lengths are areal densities in g/cm2."""

    water: np.ndarray
    mineral: np.ndarray
    log_signal: np.ndarray
    correction: np.ndarray
    limit: float
    mineral_per_water: float

    def signal(self, water: np.ndarray, mineral: np.ndarray) -> np.ndarray:
        """-log of the transmitted energy, cubic interpolation in the table."""
        at = [(v - axis[0]) / (axis[1] - axis[0]) for v, axis in ((water, self.water), (mineral, self.mineral))]
        return ndimage.map_coordinates(self.log_signal, at, order=3, prefilter=False, mode="nearest")

    def corrected(self, log_signal: np.ndarray) -> np.ndarray:
        """Water path (cm) that the scanner's polynomial makes of a log signal; straight on beyond the water it was fitted to."""
        fitted = np.minimum(log_signal, self.limit)
        slope = np.polyval(np.polyder(np.append(self.correction, 0.0)), self.limit)
        return fitted * np.polyval(self.correction, fitted) + slope * (log_signal - fitted)

    def ideal(self, water: np.ndarray, mineral: np.ndarray) -> np.ndarray:
        """Water path (cm) of the same ray in the reference beam, which defines HU."""
        return water + np.float32(self.mineral_per_water) * mineral


def transmitted(kvp: int, water: np.ndarray, mineral: np.ndarray) -> np.ndarray:
    """-log of the transmitted energy behind (n,) g/cm2 of water and CaHA, summed over the spectrum."""
    kev, tables = attenuation()
    weight = spectrum(kvp) * kev
    used = weight > 0.0
    weight = weight[used] / weight.sum()
    exponent = np.outer(water, tables["water"][used]) + np.outer(mineral, tables["CaHA"][used])
    least = exponent.min(axis=1)  # keeps dense rays from underflowing
    return least - np.log(np.exp(least[:, None] - exponent) @ weight)


@functools.cache
def detector(kvp: int) -> Detector:
    """The detector of a tube voltage (kV), with the water correction fitted over 0-50 cm."""
    water, mineral = np.linspace(-10.0, 70.0, 81), np.linspace(-4.0, 24.0, 57)
    grid = (c.ravel() for c in np.meshgrid(water, mineral, indexing="ij"))
    table = transmitted(kvp, *grid).reshape(len(water), len(mineral))
    path = np.linspace(0.5, WATER_MAX_CM, 100)
    log_signal = transmitted(kvp, path, np.zeros_like(path))
    correction = np.polyfit(log_signal, path / log_signal, WATER_ORDER - 1, w=log_signal)
    beam = reference_beam(kvp).mass_attenuation
    spline = ndimage.spline_filter(table, order=3).astype(np.float32)
    return Detector(water, mineral, spline, correction, float(log_signal[-1]), beam["CaHA"] / beam["water"])


def bowtie(offset_mm: np.ndarray) -> np.ndarray:
    """Transmission of the bowtie filter at a distance from the axis."""
    return np.exp(-0.2 * BOWTIE_CM * (1.0 - np.exp(-((offset_mm / BOWTIE_WIDTH_MM) ** 2)))).astype(np.float32)


@dataclass(frozen=True)
class Rays:
    """Projections of the twin without its metal, (views, bins, slices)."""

    system: Geometry
    detector: Detector
    water: np.ndarray
    mineral: np.ndarray
    log_signal: np.ndarray


def trace(twin: Twin, kvp: int) -> Rays:
    """Send the tube's spectrum through the twin."""
    system = geometry(twin.grid.size[0], twin.grid.spacing_mm[0], VIEWS)
    water, mineral = (system.project(part) for part in without_metal(twin.water, twin.mineral, twin.metal))
    found = detector(kvp)
    return Rays(system, found, water, mineral, found.signal(water, mineral))


def residual_hu(rays: Rays, beam_hardening: float, scatter: float) -> np.ndarray:
    """HU (k, n, n) that hardening (share that is left) and scatter (share of the primary at 32 cm of water) add."""
    corrected = rays.detector.corrected(rays.log_signal)
    error = np.float32(beam_hardening) * (corrected - rays.detector.ideal(rays.water, rays.mineral))
    if scatter > 0.0:
        more = np.exp(-rays.log_signal) + scatter * _scatter_shape(rays)
        error = error + rays.detector.corrected(-np.log(more)) - corrected
    return 1000.0 * rays.system.reconstruct(error.astype(np.float32))


def _scatter_shape(rays: Rays) -> np.ndarray:
    """Scatter over unattenuated signal; 1 x the primary in the middle of 32 cm of water.

    Each ray scatters in proportion to what it transmits and to its path; the detector sees it spread out widely.
    """
    offset = rays.system.offset_mm
    sigma = SCATTER_SIGMA_MM / rays.system.pixel_mm

    def spread(log_signal: np.ndarray) -> np.ndarray:
        raw = bowtie(offset)[None, :, None] * np.exp(-log_signal) * np.maximum(log_signal, 0.0)
        return ndimage.gaussian_filter1d(raw, sigma, axis=1, mode="constant")

    half_mm = 5.0 * SCATTER_CYLINDER_CM
    chord = np.where(np.abs(offset) < half_mm, 0.2 * np.sqrt(np.maximum(half_mm**2 - offset**2, 0.0)), 0.0)
    standard = rays.detector.signal(chord, np.zeros_like(chord))
    at_center = np.interp(0.0, offset, spread(standard[None, :, None])[0, :, 0])
    primary = np.exp(-rays.detector.signal(np.array([SCATTER_CYLINDER_CM]), np.zeros(1)))[0]
    return spread(rays.log_signal) / bowtie(offset)[None, :, None] * (primary / at_center)


def noise_maps(rays: Rays, off_centre_mm: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """(Upright, level) noise SD (k, n, n) over that at the centre of the body, were it centred.

    The variance is 1 / signal of every ray, smeared back. Level rays, which have more body to cross, leave level
    streaks, whose frequencies point up: the two maps go with the two halves that `noise.noise_slices` makes. The tube
    current follows the body along z fully and around it by the square root, as automatic exposure does.
    """
    system = rays.system
    offset, angles = system.offset_mm, system.angles
    shift = off_centre_mm[0] * np.cos(angles) + off_centre_mm[1] * np.sin(angles)
    middle = slice(system.bins // 2 - 3, system.bins // 2 + 3)
    through = rays.log_signal[:, middle].mean(axis=1)
    current = np.exp(0.5 * (through - through.mean(axis=0)))[:, None, :]
    level = np.abs(np.sin(angles)) > np.sqrt(0.5)

    def variance(filter_at: np.ndarray) -> np.ndarray:
        seen = np.exp(-rays.log_signal) * bowtie(filter_at)[:, :, None] * current
        return ((1.0 + ELECTRONIC / seen) / seen).astype(np.float32)

    centred_rays = variance(np.broadcast_to(offset, (len(angles), len(offset))))[:, middle].mean(axis=(0, 1))
    actual = 2.0 * variance(offset[None, :] + shift[:, None]) / centred_rays
    edge = system.seen & ~ndimage.binary_erosion(system.seen)
    maps = []
    for half in (~level, level):
        relative = np.sqrt(system.smear(np.ascontiguousarray(actual * half[:, None, None], np.float32)))
        maps.append(np.where(system.seen, relative, relative[:, edge].mean(axis=1)[:, None, None]))
    return maps[0], maps[1]


def miscentring_hu(x: np.ndarray, y: np.ndarray, off_centre_mm: tuple[float, float]) -> np.ndarray:
    """HU (y, x) left when the body lies off the isocentre: its own cup less the one subtracted there; x, y from the body."""

    def cup(dx: float, dy: float) -> np.ndarray:
        return CUP_HU * np.exp(-((y[:, None] - dy) ** 2 + (x[None, :] - dx) ** 2) / (2.0 * CUP_SIGMA_MM**2))

    return (cup(-off_centre_mm[0], -off_centre_mm[1]) - cup(0.0, 0.0)).astype(np.float32)


def coarse_twin(draw: Draw, grid: Grid, rough: bool = False) -> Twin:
    """The twin of what a scan on `grid` sees, as long as the scan and as wide as the scan field.

    rough: three slices, wide pixels and one drawing, for a crop whose HU need not be true to a few percent.
    """
    z = grid.axis(2)
    length = z[-1] - z[0]
    step = FINE_STEP_MM if grid.spacing_mm[2] >= 3.0 else STEP_MM
    count = 1 if length <= 0.0 else ROUGH_SLICES if rough else int(np.ceil(length / step - 1e-6)) + 1
    center = tuple(float(grid.axis(k).mean()) for k in (0, 1))
    quick = rough or min(grid.spacing_mm[:2]) >= QUICK_MM
    coarser = ROUGHER if rough else 1
    wide = draw_twin(draw, center, np.linspace(z[0], z[-1], count), WIDE_PIXELS // coarser, PIXEL_MM * coarser, quick)
    return centred(wide, PIXELS // coarser)
