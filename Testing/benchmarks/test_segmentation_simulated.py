"""What the benchmark on simulated patients calls tellable and visible, and how it counts names."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from segmentation_simulated import Body, Outcome, _stored, cohort, is_usual, names_of, reached, shown, with_variants  # noqa: E402

from VertebralBMDLib.simulation.findings import VARIANT_RATES, levels_of  # noqa: E402
from VertebralBMDLib.simulation.spine import _ribs  # noqa: E402


def column(variant):
    levels = levels_of(variant)
    pairs = {level: rib for level, rib in zip(levels, _ribs(levels, variant)) if rib != "none"}
    joins = variant in ("sacralised_L5", "lumbarised_S1")
    return {"levels": list(levels), "rib_pairs": pairs, "last_rib_pair": list(pairs)[-1], "last_level_joins_sacrum": joins}


def between(variant, top, bottom):
    levels = levels_of(variant)
    return levels[levels.index(top) : levels.index(bottom) + 1]


@pytest.mark.parametrize(
    ("variant", "top", "bottom", "sacrum", "expected"),
    [
        ("none", "T9", "L5", True, (True, False)),
        ("none", "T9", "L5", False, (False, False)),
        ("none", "T1", "L1", False, (True, False)),
        ("none", "T1", "T12", False, (False, False)),
        ("none", "T2", "L3", False, (False, False)),
        ("none", "L1", "L5", True, (False, False)),
        ("short_ribs", "T9", "L5", True, (True, False)),
        ("L6", "T9", "L6", True, (False, True)),
        ("L6", "T1", "L3", False, (True, False)),
        ("T13", "T9", "L5", True, (False, False)),
        ("T13", "T1", "L1", False, (False, True)),
        ("eleven_thoracic", "T1", "L2", False, (False, True)),
        ("eleven_thoracic", "T9", "L5", True, (False, False)),
        ("four_lumbar", "T9", "L4", True, (False, True)),
        ("lumbar_ribs", "T9", "L5", True, (False, True)),
        ("no_ribs", "T9", "L5", True, (False, True)),
        ("no_ribs", "T9", "L3", False, (False, False)),
        ("sacralised_L5", "T9", "L5", True, (False, False)),
        ("sacralised_L5", "T1", "L5", True, (True, False)),
        ("lumbarised_S1", "T9", "L6", True, (False, True)),
    ],
)
def test_what_a_field_shows_of_a_column(variant, top, bottom, sacrum, expected):
    assert shown(column(variant), between(variant, top, bottom), sacrum) == expected


def test_variants_follow_each_other_and_metastases_come_in_turn():
    cases = with_variants(20)
    assert [case.spec.findings.variant for case in cases[:9]] == list(VARIANT_RATES) and cases[9].spec.findings.variant == "L6"
    assert with_variants(20) == cases and not {case.id for case in cases} & {case.id for case in cohort(8)}
    metastatic = [any(lesion.kind != "island" for lesion in case.spec.findings.lesions) for case in cohort(8)]
    assert metastatic == [False, False, False, True] * 2


def outcome(bodies, **changes):
    usual = dict(id="P1", variant="none", fractured=False, metastatic=False, scoliosis_deg=2.0, enhanced=False, slice_mm=2.0)
    told = dict(determinable=True, visible=False, transitional=False, doubted=False, refusal=None, false_bodies=0)
    return Outcome(**usual, **told | changes, bodies=tuple(bodies))


RIGHT, MISSED = Body("L1", "L1", 0.97, "L1", False), Body("L2", "L2", 0.0, None, False)
SILENT = Body("L2", "L2", 0.97, "L3", True)
CONVENTIONAL = Body("T11", "T12", 0.97, "T12", False)


def test_names_are_counted_from_t1_only_where_it_is_in_the_field():
    eleven, thirteen = levels_of("eleven_thoracic"), levels_of("T13")
    assert names_of(eleven, eleven) == {level: level for level in eleven}
    assert [names_of(eleven, eleven[6:])[level] for level in ("T8", "T11", "L1")] == ["T9", "T12", "L1"]
    assert [names_of(thirteen, thirteen[6:])[level] for level in ("T8", "T13", "L1")] == ["T7", "T12", "L1"]
    for variant in ("none", "L6", "four_lumbar", "lumbar_ribs"):
        levels = levels_of(variant)
        assert names_of(levels, levels[5:]) == {level: level for level in levels}


def test_which_columns_are_usual():
    assert [variant for variant in ("none", *VARIANT_RATES) if is_usual(column(variant))] == ["none", "short_ribs", "sacralised_L5"]


def test_names_that_only_the_convention_makes_right_are_told_apart():
    one = outcome([RIGHT, CONVENTIONAL])
    assert one.right and one.conventional and not one.silent and not outcome([RIGHT, MISSED, SILENT]).conventional
    assert reached([one])[-1].endswith("another name: P1") and reached([outcome([RIGHT])])[-1].endswith(": none")


def test_a_patient_is_right_only_when_every_name_is_and_nothing_is_doubted():
    assert outcome([RIGHT, MISSED]).right
    assert not outcome([RIGHT, SILENT]).right and outcome([RIGHT, SILENT]).silent
    assert not outcome([RIGHT], doubted=True).right and not outcome([], refusal="NO_VERTEBRAE").right


def verdicts(outcomes):
    return [line.rsplit(": ", 1)[1] for line in reached(outcomes)[:-1]]


def test_what_is_reached():
    seen = outcome([RIGHT], determinable=False, visible=True, transitional=True, doubted=True)
    assert verdicts([outcome([RIGHT]), seen]) == ["reached"] * 4
    assert verdicts([outcome([RIGHT, MISSED]), seen])[0] == "NOT reached"
    assert verdicts([outcome([RIGHT], doubted=True), seen])[1] == "NOT reached"
    assert verdicts([outcome([RIGHT]), replace(seen, transitional=False)])[2] == "NOT reached"
    assert verdicts([outcome([RIGHT]), seen, outcome([RIGHT, SILENT], determinable=False)])[3] == "NOT reached"


def test_an_outcome_is_stored_and_read_again(tmp_path):
    one = outcome([RIGHT, SILENT])
    (tmp_path / "one.json").write_text(json.dumps(asdict(one)), encoding="utf-8")
    assert _stored(tmp_path / "one.json") == one
