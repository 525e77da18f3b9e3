"""Sizes and order of the digital spine against measured bodies; variants, fractures, curvature."""

import numpy as np
import pytest

from VertebralBMDLib.simulation.findings import VARIANT_RATES, Findings, Fracture
from VertebralBMDLib.simulation.shapes import Grid
from VertebralBMDLib.simulation.spine import make_spine


def inside(body, step=1.0):
    low, high = body.bounds
    grid = Grid(tuple(low), (step,) * 3, tuple(int(n) for n in np.ceil((high - low) / step)))
    return body.distance(*grid.points(tuple(slice(0, n) for n in grid.size[::-1]))) < 0


def volume_cm3(body):
    return inside(body, 1.0).sum() / 1000.0


def spines(sex, count=12, findings=Findings()):
    return [make_spine(np.random.default_rng(seed), sex, findings) for seed in range(count)]


# Volumes (cm3) of annotated bodies of public scans, all adults, slices of 1-5 mm.
REAL = {
    "T8": (13.4, 15.8, 18.6),
    "T10": (16.2, 17.1, 18.6, 22.7),
    "T12": (21.9, 26.9, 27.7, 28.7),
    "L1": (20.2, 29.4, 32.0, 32.5),
    "L2": (32.5, 34.6, 38.0),
    "L3": (35.1, 38.4, 38.7),
    "L4": (37.8, 39.7),
    "L5": (34.8, 39.0),
}


@pytest.mark.parametrize("level", REAL)
def test_real_volumes_lie_within_the_simulated_spread(level):
    volumes = [volume_cm3(s.body(level)) for sex in "FM" for s in spines(sex)]
    mean, sd = np.mean(volumes), np.std(volumes)
    assert all(abs(real - mean) < 2.5 * sd for real in REAL[level]), (mean, sd)
    assert 0.12 < sd / mean < 0.30


@pytest.mark.parametrize("sex", ["F", "M"])
def test_spacing_and_order(sex):
    for spine in spines(sex, 8):
        step = np.linalg.norm(spine.body("L1").frame.origin - spine.body("L2").frame.origin)
        assert 29 <= step <= 42
        z = [body.frame.origin[2] for body in spine.bodies]
        assert all(upper > lower for upper, lower in zip(z, z[1:]))


def test_women_are_smaller():
    mean = {s: np.mean([volume_cm3(spine.body("L2")) for spine in spines(s)]) for s in "FM"}
    assert 1.1 < mean["M"] / mean["F"] < 1.4


def test_bodies_do_not_overlap():
    for findings in (Findings(), Findings("L6", 30.0, (Fracture("L1", "wedge", 0.5),))):
        spine = make_spine(np.random.default_rng(4), "M", findings)
        for upper, lower in zip(spine.bodies, spine.bodies[1:]):
            low, high = lower.bounds
            grid = Grid(tuple(low), (1.0, 1.0, 1.0), tuple(int(n) for n in np.ceil(high - low)))
            points = grid.points(tuple(slice(0, n) for n in grid.size[::-1]))
            assert not ((upper.distance(*points) < 0) & (lower.distance(*points) < 0)).any()


@pytest.mark.parametrize("variant", VARIANT_RATES)
def test_variants_keep_l1_at_the_origin_and_show_their_ribs(variant):
    spine = make_spine(np.random.default_rng(2), "F", Findings(variant))
    assert np.allclose(spine.body("L1").frame.origin, 0.0)
    assert len(spine.bodies) == len(spine.levels) == len(spine.discs) == len(spine.ribs)
    pairs = sum(rib != "none" for rib in spine.ribs)
    assert pairs == {"T13": 13, "lumbar_ribs": 13, "eleven_thoracic": 11, "no_ribs": 11}.get(variant, 12)
    with pytest.raises(ValueError, match="level"):
        spine.body("L7")


@pytest.mark.parametrize("kind, part", [("wedge", 0), ("biconcave", 1), ("crush", 2)])
def test_fracture_loses_the_stated_height(kind, part):
    for loss in (0.15, 0.35, 0.60):
        intact = make_spine(np.random.default_rng(3), "F").body("L1")
        broken = make_spine(np.random.default_rng(3), "F", Findings(fractures=(Fracture("L1", kind, loss),))).body("L1")
        assert broken.intact_heights_mm == intact.heights_mm
        lost = [1.0 - a / b for a, b in zip(broken.heights_mm, intact.heights_mm)]
        stated = 0.8 * loss if part == 2 else loss
        assert lost[part] == pytest.approx(stated, abs=0.02) and max(lost) == pytest.approx(loss, abs=0.02)
        # what the solid itself measures along its middle, uneven endplates allowed for
        line = np.linspace(-25.0, 25.0, 2001, dtype=np.float32)
        measured = 0.025 * (broken.surfaces(0.0 * line, 0.0 * line, line)[0] < 0).sum()
        assert measured == pytest.approx(broken.heights_mm[1], abs=0.3 + 1.5 * broken.relief_mm)


def test_wedge_bends_the_column_forward():
    straight, bent = (make_spine(np.random.default_rng(5), "F", Findings(fractures=f)) for f in ((), (Fracture("T12", "wedge", 0.5),)))
    lean = [s.body("T10").frame.rotation[1, 2] - s.body("L1").frame.rotation[1, 2] for s in (straight, bent)]
    assert np.degrees(np.arcsin(lean[1]) - np.arcsin(lean[0])) < -5.0


@pytest.mark.parametrize("cobb", [15.0, 40.0])
def test_scoliosis_has_its_cobb_angle(cobb):
    straight, curved = (make_spine(np.random.default_rng(6), "F", Findings(scoliosis_deg=c)) for c in (0.0, cobb))
    tilt = np.degrees(
        [np.arcsin(c.frame.rotation[0, 2]) - np.arcsin(s.frame.rotation[0, 2]) for c, s in zip(curved.bodies, straight.bodies)]
    )
    assert np.ptp(tilt) == pytest.approx(cobb, rel=0.1)
    assert abs(curved.sacral_frame.origin[0] - straight.sacral_frame.origin[0]) < 25.0
