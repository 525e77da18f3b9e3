"""What lies between spine and trunk wall: organs, bowel with gas, great vessels, muscles of the back.

LPS mm with the L1 body centre at the origin, so the patient's right is negative x.
"""

from __future__ import annotations

import numpy as np

from VertebralBMDLib.simulation.body import Trunk
from VertebralBMDLib.simulation.materials import AIR, WATER, mixture
from VertebralBMDLib.simulation.shapes import Canvas, Ellipsoid, Frame, Tube, coverage, paint
from VertebralBMDLib.simulation.spine import LEVELS, Spine, canal_tubes
from VertebralBMDLib.simulation.tissues import SmoothField, Tissues


def _ellipsoid(
    rng: np.random.Generator,
    center: tuple[float, float, float],
    half: tuple[float, float, float],
    tilt_deg: float = 0.0,
) -> Ellipsoid:
    """Ellipsoid turned about z, with 8 % spread of place and size."""
    c, s = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    rotation = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    half = tuple(np.asarray(half) * rng.normal(1.0, 0.08, 3))
    return Ellipsoid(Frame(np.asarray(center) + rng.normal(0.0, 4.0, 3), rotation), half)


def paint_cavity(canvas: Canvas, trunk: Trunk, tissues: Tissues, rng: np.random.Generator) -> None:
    """Visceral fat and the organs in it; the trunk wall is closed around them afterwards."""
    canvas.hu[...] = canvas.beam.hu(tissues.fat)
    center, half_x, half_y = (float(v) for v in trunk.ellipse(np.array(20.0)))
    top = trunk.dome_mm[0]
    paint_bowel(canvas, trunk, tissues, rng)
    for shape, material in (
        (
            _ellipsoid(rng, (-0.48 * half_x, center - 8.0, top - 62.0), (0.47 * half_x, 0.78 * half_y, 82.0)),
            tissues.liver,
        ),
        (
            _ellipsoid(rng, (-0.05 * half_x, center - 0.45 * half_y, top - 30.0), (0.5 * half_x, 0.4 * half_y, 35.0)),
            tissues.liver,
        ),
        (
            _ellipsoid(rng, (0.68 * half_x, center + 0.35 * half_y, top - 62.0), (30.0, 42.0, 52.0), -20.0),
            tissues.spleen,
        ),
        (_ellipsoid(rng, (0.40 * half_x, center - 0.35 * half_y, top - 50.0), (45.0, 36.0, 48.0)), tissues.bowel),
        (_ellipsoid(rng, (0.40 * half_x, center - 0.62 * half_y, top - 42.0), (26.0, 12.0, 24.0)), AIR),
        (_ellipsoid(rng, (0.0, center - 0.40 * half_y, top + 45.0), (62.0, 45.0, 48.0)), tissues.blood),
        (_ellipsoid(rng, (0.0, center - 0.25 * half_y, -235.0), (42.0, 36.0, 34.0)), tissues.dural_sac),
    ):
        paint(canvas, shape, material)
    for side in (-1.0, 1.0):
        place = (side * 64.0, 10.0, -20.0 + 7.0 * side)
        kidney = _ellipsoid(rng, place, (27.0, 25.0, 55.0), side * 35.0)
        paint(canvas, Ellipsoid(kidney.frame, tuple(np.asarray(kidney.half_axes) + 3.0)), tissues.fat)
        paint(canvas, kidney, tissues.kidney)
        hilum = Frame(kidney.frame.origin + [-side * 10.0, -6.0, 0.0], kidney.frame.rotation)
        paint(canvas, Ellipsoid(hilum, (15.0, 9.0, 24.0)), mixture((0.7, tissues.fat), (0.3, tissues.blood)))


def paint_bowel(canvas: Canvas, trunk: Trunk, tissues: Tissues, rng: np.random.Generator) -> None:
    """Loops in the front two thirds of the cavity; every fourth holds gas above its fluid."""
    for _ in range(240):
        z = rng.uniform(-230.0, 40.0)
        center, half_x, half_y = (float(v) for v in trunk.ellipse(np.array(z)))
        place = np.array([rng.uniform(-0.78, 0.78) * half_x, center - rng.uniform(-0.15, 0.68) * half_y, z])
        half = rng.uniform(11.0, 27.0, 3)
        loop = _ellipsoid(rng, tuple(place), tuple(half), rng.uniform(0.0, 180.0))
        watery = rng.uniform(-0.4, 0.3)
        paint(canvas, loop, mixture((1.0 - watery, tissues.bowel), (watery, WATER)))
        if rng.uniform() < 0.25:
            high = Frame(loop.frame.origin - [0.0, 0.3 * half.min(), 0.0], loop.frame.rotation)
            paint(canvas, Ellipsoid(high, tuple(0.6 * half)), AIR if rng.uniform() < 0.8 else mixture((0.7, tissues.bowel)))


def _along(
    spine: Spine,
    x: float,
    knots_z: list[float],
    behind: list[float],
    half_x: list[float],
    half_y: list[float],
    spread: list[float] | None = None,
) -> Tube:
    """Tube that follows the spine: `behind` mm behind the body centres, `x` (or spread) beside them."""
    line = spine.line()
    z = np.asarray(knots_z, float)
    below = np.minimum(z - line[0, 2], 0.0)
    center_x = np.interp(z, line[:, 2], line[:, 0]) + (x if spread is None else np.asarray(spread))
    center_y = np.interp(z, line[:, 2], line[:, 1]) + np.asarray(behind) - 0.25 * below
    return Tube(z, center_x, center_y, np.asarray(half_x, float), np.asarray(half_y, float))


def paint_muscles(canvas: Canvas, spine: Spine, tissues: Tissues, streaks: SmoothField, grain_mm: float) -> None:
    """Psoas, quadratus lumborum and the paraspinal muscles, marbled with fat."""
    s = spine.size
    z_l = {name: spine.landmark(name).frame.origin[2] for name in LEVELS}
    lumbar = [z_l["L5"] - 90.0, z_l["L5"], z_l["L3"], z_l["L1"], z_l["T12"]]
    for side in (-1.0, 1.0):
        psoas = _along(
            spine,
            0.0,
            lumbar,
            [-20.0, -2.0, 2.0, 2.0, 3.0],
            [14.0, 19.0 * s, 17.0 * s, 8.0, 3.0],
            [16.0, 24.0 * s, 20.0 * s, 10.0, 4.0],
            spread=[side * v * s for v in (62.0, 43.0, 36.0, 26.0, 23.0)],
        )
        quadratus = _along(
            spine,
            0.0,
            lumbar[1:],
            [26.0, 27.0, 24.0, 20.0],
            [14.0, 17.0, 12.0, 6.0],
            [9.0, 10.0, 8.0, 4.0],
            spread=[side * v * s for v in (78.0, 68.0, 50.0, 45.0)],
        )
        levels = [z_l["L5"] - 120.0, z_l["L5"] - 30.0, z_l["L5"], z_l["L3"], z_l["T12"], z_l["T9"], z_l["T1"]]
        erector = _along(
            spine,
            side * 31.0 * s,
            levels,
            [70.0, 60.0, 46.0, 43.0, 40.0, 38.0, 38.0],
            [16.0, 24.0, 30.0, 33.0, 30.0, 26.0, 24.0],
            [7.0, 14.0, 20.0, 22.0, 20.0, 17.0, 15.0],
        )
        for muscle in (quadratus, psoas):
            paint(canvas, muscle, tissues.muscle)
        _paint_marbled(canvas, erector, tissues, streaks, grain_mm)


def _paint_marbled(canvas: Canvas, muscle: Tube, tissues: Tissues, streaks: SmoothField, grain_mm: float) -> None:
    """Muscle whose fattest share (`infiltration`) of the streak field is fat."""
    window = canvas.grid.window(muscle.bounds)
    if window is None:
        return
    points = canvas.grid.points(window)
    inside = coverage(muscle.distance(*points), canvas.grid.footprint_mm)
    field = streaks.at(*(p.ravel() for p in points), grain_mm)
    fatty = np.clip(0.5 + 0.8 * (field - np.float32(2.2 - 5.0 * tissues.infiltration)), 0.0, 0.85)
    canvas.blend(
        window,
        inside,
        inside * (np.float32(canvas.beam.hu(tissues.muscle)) * (1.0 - fatty) + np.float32(canvas.beam.hu(tissues.fat)) * fatty),
    )


def paint_vessels(canvas: Canvas, spine: Spine, tissues: Tissues) -> None:
    """Aorta left in front of the spine down to L4, vena cava right of it, then the iliac vessels."""
    s = spine.size
    depth = 0.5 * spine.body("L1").depth
    z_l4, z_t10, z_top = (spine.landmark(name).frame.origin[2] for name in ("L4", "T10", "T1"))
    front = -(depth + 13.0)
    aorta = _along(
        spine,
        0.0,
        [z_l4, 0.0, z_t10, z_top],
        [front - 3.0, front, -depth - 2.0, -depth],
        [9.0 * s, 10.0 * s, 11.5 * s, 12.0 * s],
        [9.0 * s, 10.0 * s, 11.5 * s, 12.0 * s],
        spread=[6.0, 9.0, 20.0, 26.0],
    )
    cava = _along(
        spine,
        0.0,
        [z_l4 - 12.0, -20.0, 60.0, 110.0],
        [front + 2.0, front, front - 14.0, front - 30.0],
        [12.0, 12.0, 13.0, 14.0],
        [8.0, 9.0, 11.0, 13.0],
        spread=[-16.0, -20.0, -24.0, -26.0],
    )
    for tube in (aorta, cava):
        paint(canvas, tube, tissues.blood)
    for side in (-1.0, 1.0):
        iliac = _along(
            spine,
            0.0,
            [z_l4 - 140.0, z_l4 - 60.0, z_l4 + 2.0],
            [front - 50.0, front - 8.0, front - 1.0],
            [9.0] * 3,
            [8.0] * 3,
            spread=[side * 62.0, side * 36.0, side * 8.0],
        )
        paint(canvas, iliac, tissues.blood)


def paint_canal_and_discs(canvas: Canvas, spine: Spine, tissues: Tissues) -> None:
    """Epidural fat and dural sac, then the discs; bones go over them."""
    for tube, material in zip(canal_tubes(spine), (tissues.epidural, tissues.dural_sac)):
        paint(canvas, tube, material)
    for disc in spine.discs:
        paint(canvas, disc, tissues.disc)
