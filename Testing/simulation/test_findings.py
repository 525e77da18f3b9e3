"""Findings: refused when impossible, rebuilt from JSON, drawn at the stated rates."""

import json

import numpy as np
import pytest

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.simulation.findings import VARIANT_RATES, Findings, Fracture, Hardware, Lesion, draw_findings, levels_of

LYTIC = Lesion("L1", "lytic", 0.2, 0.5, 0.0, 7.0, 20.0, 3)


def draws(population, count=400, age=70.0, vbmd=90.0):
    rng = np.random.default_rng(1)
    return [draw_findings(rng, "F", age, vbmd, population) for _ in range(count)]


def test_rebuilt_from_json():
    findings = Findings(
        "L6", 12.0, (Fracture("L6", "crush", 0.4),), (LYTIC,), 0.4, (Hardware("screws", ("L4", "L5")), Hardware("cement", ("T12",)))
    )
    assert Findings.from_dict(json.loads(json.dumps(findings.as_dict()))) == findings
    for drawn in draws("metastatic", 20):
        assert Findings.from_dict(json.loads(json.dumps(drawn.as_dict()))) == drawn


@pytest.mark.parametrize(
    "name, wrong",
    [
        ("variant", lambda: Findings(variant="L7")),
        ("degeneration", lambda: Findings(degeneration=1.5)),
        ("scoliosis_deg", lambda: Findings(scoliosis_deg=90.0)),
        ("loss", lambda: Fracture("L1", "wedge", 0.9)),
        ("kind", lambda: Fracture("L1", "burst", 0.3)),
        ("radius_mm", lambda: Lesion("L1", "lytic", 0.0, 0.0, 0.0, -1.0, 0.0)),
        ("mineral_mg_cm3", lambda: Lesion("L1", "blastic", 0.0, 0.0, 0.0, 5.0, -10.0)),
        ("levels", lambda: Hardware("screws", ())),
        ("level", lambda: Findings(fractures=(Fracture("L6", "wedge", 0.3),))),
        ("level", lambda: Findings("four_lumbar", lesions=(Lesion("L5", "lytic", 0.0, 0.0, 0.0, 5.0, 0.0),))),
        ("fractures", lambda: Findings(fractures=(Fracture("L1", "wedge", 0.3), Fracture("L1", "crush", 0.3)))),
        ("findings", lambda: Findings.from_dict({"tumours": []})),
        ("lesions", lambda: Findings.from_dict({"lesions": [{"level": "L1"}]})),
        ("population", lambda: draw_findings(np.random.default_rng(0), "F", 60.0, 100.0, "martian")),
    ],
)
def test_wrong_values_are_named(name, wrong):
    with pytest.raises(ValueError, match=name):
        wrong()


@pytest.mark.parametrize("variant", ["none", *VARIANT_RATES])
def test_every_level_has_a_label_in_order(variant):
    levels = levels_of(variant)
    order = [LABELS[name] if name != "T13" else 19.5 for name in levels]
    assert order == sorted(order) and len(set(levels)) == len(levels)
    assert {"T1", "T10", "L1", "L4"} <= set(levels)


def test_healthy_people_have_nothing_but_mild_wear():
    for findings in draws("healthy", 50):
        assert findings == Findings(degeneration=findings.degeneration) and findings.degeneration <= 0.3


def test_general_rates():
    drawn = draws("general", 1500)
    usual = sum(f.variant == "none" for f in drawn) / len(drawn)
    assert usual == pytest.approx(1.0 - sum(VARIANT_RATES.values()), abs=0.04)
    fractured = [sum(bool(f.fractures) for f in draws("general", 500, age, v)) / 500 for age, v in ((45.0, 150.0), (78.0, 60.0))]
    assert fractured[0] < 0.05 and 0.15 < fractured[1] < 0.6
    assert np.mean([f.degeneration for f in drawn]) > 0.25


def test_metastatic_mix_and_place():
    drawn = draws("metastatic", 600)
    assert all(f.fractures for f in drawn)
    lesions = [lesion for f in drawn for lesion in f.lesions if lesion.kind != "island"]
    share = {kind: np.mean([lesion.kind == kind for lesion in lesions]) for kind in ("lytic", "blastic", "mixed")}
    assert share["lytic"] == pytest.approx(17 / 37, abs=0.07) and share["mixed"] == pytest.approx(6 / 37, abs=0.06)
    assert np.mean([lesion.back > 0.2 for lesion in lesions]) > 0.65
