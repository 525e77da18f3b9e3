"""Wear of the column: osteophytes, Schmorl's nodes, narrow discs with gas, sclerosis under the endplates.

Everything scales with `degeneration` (0-1) and is absent at 0. Frequencies are low confidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from VertebralBMDLib.simulation.findings import FINDING_LABELS
from VertebralBMDLib.simulation.materials import AIR
from VertebralBMDLib.simulation.shapes import Canvas, Capsule, Ellipsoid, Frame, coverage
from VertebralBMDLib.simulation.vertebra import BodyShape, Dent, Spur

SCLEROSIS_MM = 3.0  # depth of the denser bone under a worn endplate
GAS_FROM, BRIDGE_FROM = 0.45, 0.7


@dataclass(frozen=True)
class DiscWear:
    """Gas in a disc (ellipsoids) and bone that bridges it (capsules); LPS."""

    gas: tuple[Ellipsoid, ...]
    bridges: tuple[Capsule, ...]


def _at_rest(place: float) -> float:
    """How much a level wears: most at L4-L5 and the lower thoracic spine, least high up."""
    return float(np.interp(place, [0, 5, 8, 11, 13, 15, 16], [0.4, 0.7, 0.9, 0.7, 0.75, 1.0, 1.0]))


def worn_disc(rng: np.random.Generator, degeneration: float, count: int) -> np.ndarray:
    """Share of its height that each disc keeps."""
    return 1.0 - degeneration * np.clip(rng.normal(0.35, 0.2, count), 0.0, 0.65)


def worn_body(rng: np.random.Generator, body: BodyShape, degeneration: float, place: float) -> BodyShape:
    """The body with its osteophytes and Schmorl's nodes; place: in the usual column, T1 = 0.

    Spurs stand at the front and sides, up to 7.5 mm long, the right side of the thoracic spine more than the left,
    where the aorta beats. Every body draws the same numbers, so that another degree keeps the places.
    """
    side, length, share = rng.normal(0.0, 1.0, (2, 6)), rng.exponential(1.0, (2, 6)), rng.uniform(0.0, 1.0, (2, 6))
    pits = rng.uniform(0.0, 1.0, (2, 5))
    if degeneration == 0.0:
        return body
    wear = degeneration * _at_rest(place)
    spurs, dents = [], []
    for k, upper in enumerate((True, False)):
        for angle, size, chance in zip(side[k], length[k], share[k]):
            toward = -90.0 + (-35.0 if place < 11 else 0.0) + 55.0 * angle
            millimetres = min(wear * 3.6 * size, 7.5)
            # 60-120 degrees is the canal, which spurs of the body leave alone
            if chance < 0.35 + 0.5 * wear and millimetres > 0.8 and not 45.0 < toward % 360.0 < 135.0:
                spurs.append(Spur(upper, float(toward), float(millimetres)))
        chance, x, y, radius, depth = pits[k]
        if chance < 0.25 * wear:
            place_uv = (0.3 * (x - 0.5) * body.width, (0.25 * y - 0.02) * body.depth)
            dents.append(Dent(upper, *(float(c) for c in place_uv), float(3.0 + 3.0 * radius), float(2.0 + 3.0 * depth)))
    return replace(body, spurs=tuple(spurs), dents=(*body.dents, *dents))


def wear_of_disc(rng: np.random.Generator, disc: BodyShape, degeneration: float, place: float) -> DiscWear:
    """Vacuum gas in the middle of a narrow disc, and bony bridges in front of it."""
    chance, bridge, across, back, angle = rng.uniform(size=5)
    sizes = rng.uniform(0.6, 1.0, 3)
    wear = degeneration * _at_rest(place)
    gas, bridges = [], []
    if wear > GAS_FROM and chance < 0.8 * wear:
        center = disc.frame.to_world([(across - 0.5) * 0.3 * disc.width, (back - 0.6) * 0.3 * disc.depth, 0.0])
        half = (0.22 * disc.width * sizes[0], 0.20 * disc.depth * sizes[1], max(0.18 * disc.height * sizes[2], 0.8))
        gas.append(Ellipsoid(Frame(center, disc.frame.rotation), tuple(float(h) for h in half)))
    if wear > BRIDGE_FROM and bridge < wear:
        turn = np.radians(-90.0 + 80.0 * (angle - 0.5) - (25.0 if place < 11 else 0.0))
        u, v = 0.52 * disc.width * np.cos(turn), 0.52 * disc.depth * np.sin(turn)
        high = 0.5 * disc.height + 3.0
        middle = (float(1.09 * u), float(1.09 * v), 0.0)
        for end in (-high, high):
            bridges.append(Capsule(disc.frame, (float(u), float(v), float(end)), middle, 2.4, 2.0))
    return DiscWear(tuple(gas), tuple(bridges))


def paint_gas(canvas: Canvas, wear: DiscWear) -> None:
    """Nitrogen in a disc, marked as degeneration."""
    for cleft in wear.gas:
        window = canvas.grid.window(cleft.bounds)
        if window is None:
            continue
        inside = coverage(cleft.distance(*canvas.grid.points(window)), canvas.grid.footprint_mm)
        share = canvas.blend(window, inside, inside * np.float32(canvas.beam.hu(AIR)))
        canvas.findings[window][share >= 0.5] = FINDING_LABELS["degeneration"]
