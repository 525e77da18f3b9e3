"""Which catalogue phantom a row of discs is: hypotheses, what contradicts them, and how well each fits."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .catalogue import Phantom
from .checks import slope_band
from .discs import Disc, Section, Slab
from .line import Calibration, RodReading, fit
from .reading import READ_FRACTION

#: Geometry is published for no phantom (qct_facts 2.7), so that a hypothesis may be this far off (share of the catalogue's value) ...
_SPACING_TOLERANCE, _RADIUS_TOLERANCE = 0.2, 0.3
#: ... but the nearer the likelier: widths of what is expected, for spacing, diameter, slope (spread between scanners, 5.12)
#: and intercept in mg/cm³ (2.10).
_SPACING_SD, _RADIUS_SD, _SLOPE_SD, _INTERCEPT_SD = 0.03, 0.08, 0.12, 15.0
#: A disc belongs to a rod of the row when its centre is this near; a row is level within this slope.
_POSITION_TOLERANCE_MM, _TILT = 3.5, 0.35
#: A rod that differs this much from the phantom's body must be seen as a disc.
_VISIBLE_HU = 32.0
#: The body of a phantom is water-like and the same between all rods; tissue around chance discs is not.
_BODY_HU, _BODY_EVENNESS_HU = (-80.0, 160.0), 40.0
#: An HU line that rods may lie on: slope in mg/cm³ per HU, intercept in mg/cm³ (wider than the checks, which judge it later).
_SLOPE, _INTERCEPT, _R_SQUARED = (0.35, 1.15), 60.0, 0.985
#: What a hypothesis pays for a disc that continues its row, and for a rod outside the field.
_UNEXPLAINED, _CUT = 8.0, 2.0
#: Two rods leave no scatter that could speak against them, so nothing else may be odd.
_MOST_COST_OF_TWO = 9.0


@dataclass(frozen=True)
class Row:
    """A phantom where it may lie: ``line`` roughly through its rods; ``cost``: 0 for a perfect fit."""

    phantom: Phantom
    section: Section
    line: Calibration
    cost: float


def find_rows(slab: Slab, discs: Sequence[Disc], phantoms: Sequence[Phantom], kvp: float | None) -> list[Row]:
    """All rows that could be one of ``phantoms``, the best first.

    A phantom of two rods is tried only when it is the only one asked for: two rods prove nothing.
    """
    rows = []
    for phantom in phantoms:
        if len(phantom.rods) == 2 and len(phantoms) > 1:
            continue
        for centres, radius in _distinct(_hypotheses(phantom, discs)):
            row = _row(slab, discs, phantom, centres, radius, kvp)
            if row is not None:
                rows.append(row)
    return sorted(rows, key=lambda row: row.cost)


def _hypotheses(phantom: Phantom, discs: Sequence[Disc]) -> Iterator[tuple[np.ndarray, float]]:
    """(centres of all rods in certificate order, radius) from each pair of discs, in both directions."""
    count, spacing = len(phantom.rods), phantom.rod_spacing_mm
    steps = np.arange(count)
    right_size = [disc for disc in discs if abs(2 * disc.radius / phantom.rod_diameter_mm - 1) <= _RADIUS_TOLERANCE]
    for first, second in itertools.permutations(right_size, 2):
        step = second.centre - first.centre
        length = float(np.linalg.norm(step))
        if abs(step[1]) > _TILT * abs(step[0]) or abs(first.radius - second.radius) > 2.5:
            continue
        for apart in range(1, count):
            if abs(length / apart / spacing - 1) <= _SPACING_TOLERANCE:
                for i in range(count - apart):
                    yield first.centre + (steps[:, None] - i) * step / apart, (first.radius + second.radius) / 2
    if count == 2:
        # One of two rods may read like the body around it, so that a single disc is all there is to see.
        for disc, side, i in itertools.product(right_size, (-1.0, 1.0), range(2)):
            yield disc.centre + (steps[:, None] - i) * np.array([side * spacing, 0.0]), disc.radius


def _distinct(hypotheses: Iterator[tuple[np.ndarray, float]]) -> Iterator[tuple[np.ndarray, float]]:
    """The same row comes from every pair of its discs: once is enough."""
    known = set()
    for centres, radius in hypotheses:
        key = tuple(np.round(centres[[0, -1]] / 4.0).astype(int).ravel())
        if key not in known:
            known.add(key)
            yield centres, radius


def _row(slab: Slab, discs: Sequence[Disc], phantom: Phantom, centres: np.ndarray, radius: float, kvp: float | None) -> Row | None:
    """The hypothesis with its rods put where their discs are, or None when the scan contradicts it.

    A rod whose rim is outside the field need not be seen as a disc, and one that cannot be read there is left out.
    """
    matched = [_nearest(discs, centre, radius) for centre in centres]
    centres = _on_discs(centres, matched)
    matched = [_nearest(discs, centre, radius) for centre in centres]
    seen = np.array([disc is not None for disc in matched])
    inside, whole = (slab.has(centres[:, None] + share * radius * _CIRCLE).all(axis=1) for share in (READ_FRACTION, 1.3))
    if inside.sum() < min(3, len(centres)) or not (seen & inside).any():
        return None
    centres = np.array([disc.centre if disc else centre for disc, centre in zip(matched, centres)])
    body = _body_hu(slab, centres, inside)
    hu = slab.at(centres[:, None] + 0.5 * radius * np.concatenate([_CIRCLE, 0.0 * _CIRCLE])).mean(axis=1)
    if body is None or np.any(whole & ~seen & (np.abs(hu - body) > _VISIBLE_HU)):
        return None
    if not all(_even(slab, centre, radius, body) for centre in centres[whole & ~seen]):
        return None
    radius = float(np.median([disc.radius for disc, use in zip(matched, seen & inside) if use]))
    line = _line(phantom, hu, inside)
    if line is None:
        return None
    spacing = float(np.linalg.norm(np.diff(centres, axis=0), axis=1).mean())
    cost = ((spacing / phantom.rod_spacing_mm - 1) / _SPACING_SD) ** 2 + ((2 * radius / phantom.rod_diameter_mm - 1) / _RADIUS_SD) ** 2
    cost += _line_cost(line, kvp) + _CUT * np.sum(~inside) + _UNEXPLAINED * _continued(discs, centres, radius)
    if len(centres) == 2 and cost > _MOST_COST_OF_TWO:
        return None
    return Row(phantom, Section(centres, radius, hu, seen & inside), line, float(cost))


_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 16, endpoint=False)), np.sin(np.linspace(0, 2 * np.pi, 16, endpoint=False))], axis=-1)


def _nearest(discs: Sequence[Disc], centre: np.ndarray, radius: float) -> Disc | None:
    """The disc of this size at a place, if there is one."""
    near = [disc for disc in discs if abs(disc.radius / radius - 1) <= _RADIUS_TOLERANCE]
    best = min(near, key=lambda disc: np.linalg.norm(disc.centre - centre), default=None)
    return best if best is not None and np.linalg.norm(best.centre - centre) < _POSITION_TOLERANCE_MM else None


def _on_discs(centres: np.ndarray, matched: Sequence[Disc | None]) -> np.ndarray:
    """The evenly spaced straight row through the discs that belong to it."""
    places = [k for k, disc in enumerate(matched) if disc is not None]
    if len(places) < 2:
        return centres
    coefficients = np.polynomial.polynomial.polyfit(places, np.array([matched[k].centre for k in places]), 1)
    return np.polynomial.polynomial.polyval(np.arange(len(centres)), coefficients).T


def _body_hu(slab: Slab, centres: np.ndarray, inside: np.ndarray) -> float | None:
    """HU of the material between the rods; None where it is not one even, water-like material."""
    gaps = (centres[1:] + centres[:-1])[inside[1:] & inside[:-1]] / 2
    across = np.diff(centres, axis=0).mean(axis=0)[::-1] * [-1.0, 1.0]
    across /= np.linalg.norm(across)
    values = slab.at(gaps[:, None] + np.array([-2.0, 0.0, 2.0])[:, None] * across).mean(axis=1) if len(gaps) else np.array([np.inf])
    water_like = np.all((values > _BODY_HU[0]) & (values < _BODY_HU[1])) and np.ptp(values) < _BODY_EVENNESS_HU
    return float(np.median(values)) if water_like else None


def _even(slab: Slab, centre: np.ndarray, radius: float, body: float) -> bool:
    """True when a rod that is not seen lies in the body of the phantom: even inside, and the body right and left of it."""
    inner = slab.at(centre + radius * np.array([0.0, 0.3, 0.6])[:, None, None] * _CIRCLE)
    beside = slab.at(centre + 1.2 * radius * np.array([[1.0, 0.0], [-1.0, 0.0]]))
    return inner.std() < 16.0 and np.all(np.abs(beside - body) < _BODY_EVENNESS_HU)


def _line(phantom: Phantom, hu: np.ndarray, inside: np.ndarray) -> Calibration | None:
    """The line through the rods in the field; None where rods of this phantom cannot read so."""
    readings = [RodReading(rod, float(value), 0.0, (0.0, 0.0, 0.0), 0.0) for rod, value, use in zip(phantom.rods, hu, inside) if use]
    return plausible_line(readings, phantom, None)


def plausible_line(readings: Sequence[RodReading], phantom: Phantom, kvp: float | None) -> Calibration | None:
    """The calibration through these readings; None where no phantom reads so."""
    if len({reading.rod.density_mg_cm3 for reading in readings}) < 2 or len({reading.hu for reading in readings}) < 2:
        return None
    line = fit(readings, phantom.material, phantom.name, kvp)
    if not _SLOPE[0] <= line.slope_mg_cm3_per_hu <= _SLOPE[1] or abs(line.intercept_mg_cm3) > _INTERCEPT:
        return None
    return line if line.r_squared is None or line.r_squared >= _R_SQUARED else None


def _line_cost(line: Calibration, kvp: float | None) -> float:
    """How unlikely a line is: scatter of the rods around it, water far from 0, a slope unlike those of the tube voltage."""
    cost = (line.intercept_mg_cm3 / _INTERCEPT_SD) ** 2 + (0.0 if line.r_squared is None else (1.0 - line.r_squared) / 0.002)
    band = slope_band(kvp) if kvp else None
    return cost if band is None else cost + (np.log(line.slope_mg_cm3_per_hu / np.mean(band)) / _SLOPE_SD) ** 2


def _continued(discs: Sequence[Disc], centres: np.ndarray, radius: float) -> int:
    """How many discs go on with the row beyond its ends, as in a phantom of more rods."""
    step = np.diff(centres, axis=0).mean(axis=0)
    return sum(_nearest(discs, end, radius) is not None for end in (centres[0] - step, centres[-1] + step))
