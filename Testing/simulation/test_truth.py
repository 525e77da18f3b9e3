"""Truth of a body: what an ideal drawing of it reads, what lesions do to it, and that off is off."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from VertebralBMDLib.simulation.beam import reference_beam
from VertebralBMDLib.simulation.findings import FINDING_LABELS, Findings, Fracture, Hardware, Lesion
from VertebralBMDLib.simulation.materials import MINERALS
from VertebralBMDLib.simulation.person import draw_bones, make_person
from VertebralBMDLib.simulation.population import draw_qualities
from VertebralBMDLib.simulation.shapes import Canvas, Grid
from VertebralBMDLib.simulation.trabecular import paint_body
from VertebralBMDLib.simulation.truth import body_truth, column_truth

BEAM = reference_beam(100)
LYTIC = Lesion("L1", "lytic", -0.2, 0.3, 0.0, 9.0, 15.0, 4)
BLASTIC = Lesion("L1", "blastic", 0.2, 0.3, 0.0, 9.0, 400.0, 5)


def person_with(findings=Findings(), vbmd=120.0, seed=8):
    return make_person(np.random.SeedSequence(seed), "F", 62.0, vbmd, findings=findings)


def drawn(person, spacing=1.0, half=(32.0, 45.0, 24.0), shift=(0.0, 12.0, 0.0), beam=BEAM):
    low = np.array(shift) - half
    size = tuple(int(2 * h / spacing) for h in half)
    canvas = Canvas(Grid(tuple(low), (spacing,) * 3, size), beam)
    draw_bones(canvas, person, person.spine.levels)
    return canvas


@pytest.fixture(scope="module")
def sick():
    return person_with(Findings(lesions=(LYTIC, BLASTIC), degeneration=0.8, fractures=(Fracture("L1", "wedge", 0.2),)))


def test_stated_density_is_the_truth_of_a_plain_l1():
    for seed in range(4):
        truth = body_truth(person_with(vbmd=95.0, seed=seed), "L1", BEAM)
        assert truth["roi"]["qct_equivalent_120_kvp_mg_cm3"]["CaHA"] == pytest.approx(95.0, abs=0.2)
        assert truth["roi"] | {"marrow_fat_fraction": 0} == truth["roi_with_lesions"] | {"marrow_fat_fraction": 0}
        assert truth["roi"]["true_mineral_mg_cm3"] > 95.0 and truth["height_loss"] is None


@pytest.mark.parametrize("spacing", [0.7, 1.3])
def test_drawing_reads_the_truth(sick, spacing):
    canvas, truth = drawn(sick, spacing), body_truth(sick, "L1", BEAM)
    reading = BEAM.qct_equivalent(float(canvas.hu[canvas.rois == 20].mean()), "CaHA")
    assert reading == pytest.approx(truth["roi"]["qct_equivalent_mg_cm3"]["CaHA"], rel=0.02)
    volume = (canvas.rois == 20).sum() * spacing**3 / 1000.0
    assert volume == pytest.approx(truth["roi"]["volume_cm3"], rel=0.06)
    body = canvas.bodies == 20
    assert body.sum() * spacing**3 / 1000.0 == pytest.approx(truth["volume_cm3"]["integral"], rel=0.03)


def test_integral_of_a_body_alone(sick):
    canvas = Canvas(Grid((-32.0, -32.0, -24.0), (0.9, 0.9, 0.9), (72, 72, 54)), BEAM)
    canvas.hu[...] = 0.0
    paint_body(canvas, sick.spine.body("L1"), 20, sick.quality("L1"), sick.texture_rng("L1"), sick.blobs("L1"))
    truth = body_truth(sick, "L1", BEAM)
    mass = truth["qct_equivalent_mg_cm3"]["integral"]["CaHA"] * truth["volume_cm3"]["integral"]
    assert float(canvas.hu.sum(dtype=float)) * 0.9**3 / 1000.0 / BEAM.hu_per_mg_cm3("CaHA") == pytest.approx(mass, rel=0.02)


def test_densities_fit_together(sick):
    truth = body_truth(sick, "L1", BEAM)
    volume, mineral = truth["volume_cm3"], truth["true_mineral_mg_cm3"]
    assert volume["integral"] == pytest.approx(volume["trabecular"] + volume["cortical"])
    for part in ("trabecular", "cortical", "integral"):
        assert truth["bmc_mg"][part] == pytest.approx(mineral[part] * volume[part])
    assert truth["bmc_mg"]["integral"] == pytest.approx(truth["bmc_mg"]["trabecular"] + truth["bmc_mg"]["cortical"])
    assert mineral["trabecular"] < mineral["integral"] < mineral["cortical"]
    for name in ("roi", "roi_with_lesions"):
        assert set(truth[name]["qct_equivalent_120_kvp_mg_cm3"]) == set(MINERALS)
    assert truth["height_loss"]["anterior"] == pytest.approx(0.2)
    assert json.loads(json.dumps(truth)) == truth
    assert json.loads(json.dumps(column_truth(sick)))["findings"]["degeneration"] == 0.8


def test_lesions_change_the_roi_with_them_only():
    plain = body_truth(person_with(), "L1", BEAM)
    for lesion, sign in ((LYTIC, -1.0), (BLASTIC, 1.0)):
        truth = body_truth(person_with(Findings(lesions=(lesion,))), "L1", BEAM)
        assert truth["roi"]["volume_cm3"] < 0.9 * plain["roi"]["volume_cm3"]
        assert truth["roi"]["true_mineral_mg_cm3"] == pytest.approx(plain["roi"]["true_mineral_mg_cm3"], rel=0.05)
        gain = truth["roi_with_lesions"]["true_mineral_mg_cm3"] - plain["roi"]["true_mineral_mg_cm3"]
        assert sign * gain > 10.0
        assert truth["volume_cm3"] == plain["volume_cm3"]


def test_no_roi_left_is_none():
    whole = tuple(replace(BLASTIC, across=a, back=b, radius_mm=20.0) for a in (-0.4, 0.4) for b in (-0.4, 0.4))
    truth = body_truth(person_with(Findings(lesions=whole)), "L1", BEAM)
    assert truth["roi"]["qct_equivalent_mg_cm3"] is None and truth["roi_with_lesions"]["qct_equivalent_mg_cm3"]["CaHA"] > 150.0


def test_findings_are_drawn_and_marked(sick):
    canvas = drawn(sick)
    for kind, low, high in (("lytic", 0.0, 110.0), ("blastic", 350.0, 900.0)):
        marked = canvas.findings == FINDING_LABELS[kind]
        assert marked.sum() > 500 and low < np.median(canvas.hu[marked]) < high
        assert not (canvas.rois[marked] > 0).any()
    island = drawn(person_with(Findings(lesions=(Lesion("L1", "island", 0.0, 0.0, 0.0, 5.0, 850.0),))), 0.7, beam=reference_beam(120))
    core = island.findings == FINDING_LABELS["island"]
    assert 900.0 < np.percentile(island.hu[core], 75) < 1350.0


def test_metal_and_cement():
    hardware = Findings(hardware=(Hardware("screws", ("T12", "L1")), Hardware("cement", ("L1",))))
    person = person_with(hardware)
    canvas = drawn(person)
    metal = canvas.findings == FINDING_LABELS["hardware"]
    assert canvas.hu.max() > 8000.0 and metal.sum() > 1000
    truth, plain = (body_truth(p, "L1", BEAM) for p in (person, person_with()))
    assert truth["roi"]["volume_cm3"] < 0.8 * plain["roi"]["volume_cm3"]


def test_off_is_off_and_the_same_person_again():
    plain = person_with()
    first, again = drawn(plain), drawn(plain)
    assert np.array_equal(first.hu, again.hu) and not first.findings.any()
    # a lesion at another level leaves L1 as it was, bit for bit
    other = drawn(person_with(Findings(lesions=(replace(LYTIC, level="L4"),))))
    assert np.array_equal(first.hu, other.hu) and np.array_equal(first.rois, other.rois)


def test_a_crop_shows_what_the_field_shows(sick):
    field = drawn(sick, 1.0)
    crop = drawn(sick, 1.0, half=(10.0, 9.0, 8.0), shift=(2.0, 3.0, 0.0))
    at = [int(round(c - f)) for c, f in zip(crop.grid.origin_mm, field.grid.origin_mm)][::-1]
    part = tuple(slice(a, a + n) for a, n in zip(at, crop.hu.shape))
    for name in ("hu", "bodies", "rois", "findings"):
        assert np.array_equal(getattr(field, name)[part], getattr(crop, name)), name


def test_marrow_fat_does_not_follow_mineral():
    rng = np.random.default_rng(0)
    drawn_qualities = [draw_qualities(rng, "F", 60.0, None, ("T12", "L1", "L2"))[1] for _ in range(300)]
    fat, vbmd = np.array([(q.fat_fraction, q.vbmd_120) for q in drawn_qualities]).T
    assert abs(np.corrcoef(fat, vbmd)[0, 1]) < 0.15 and 0.05 < fat.std() < 0.12
    walls = [q.wall_mm for q in drawn_qualities]
    assert 0.30 < np.mean(walls) < 0.45 and 0.05 < np.std(walls) < 0.13


def test_truth_is_quick(sick):
    start = time.perf_counter()
    for level in ("T12", "L1", "L2"):
        body_truth(sick, level, BEAM)
    assert (time.perf_counter() - start) / 3.0 < 0.25  # 0.03 s on an idle core
