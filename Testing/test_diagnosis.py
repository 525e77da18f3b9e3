"""From vertebrae to the patient: which levels count, their mean, its category by limits that are data, and what withholds it."""

import json

import pytest

from VertebralBMDLib import diagnosis
from VertebralBMDLib.diagnosis import MeasuredLevel, assess, levels_to_measure, load_thresholds, threshold_names
from VertebralBMDLib.quality import Code
from VertebralBMDLib.scan import Acquisition

ACR = load_thresholds("acr")
L1_L2 = ("L1", "L2")
PLAIN = Acquisition(kvp=120.0, contrast="no")


def level(name, vbmd=100.0, unusable=None, integral=None, hu=150.0):
    return MeasuredLevel(name, hu, vbmd, integral, unusable)


def assessed(*measured, requested=L1_L2, missing=None, thresholds=ACR, carries_category=True, **more):
    return assess(measured, requested, missing or {}, thresholds, carries_category=carries_category, **more)


EDGES = {
    "acr": [(-12.0, "osteoporosis"), (79.999, "osteoporosis"), (80.0, "low_bone_mass"), (80.001, "low_bone_mass"), (120.0, "low_bone_mass"),
            (120.001, "normal"), (300.0, "normal")],
    "east-asian-women": [(49.999, "osteoporosis"), (50.0, "withheld"), (119.0, "withheld"), (150.0, "withheld")],
    "integral": [(159.999, "osteoporosis"), (160.0, "low_bone_mass"), (190.0, "low_bone_mass"), (190.001, "normal")],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value", "expected"), [(name, *edge) for name, edges in EDGES.items() for edge in edges])
def test_categories_hold_for_the_unrounded_value(name, value, expected):
    limits = load_thresholds(name)
    assert limits.band(value).label == expected
    vbmd, integral = (77.0, value) if limits.quantity == "integral_vbmd" else (value, 77.0)
    found = assessed(level("L1", vbmd, None, integral), level("L2", vbmd, None, integral), thresholds=limits)
    assert found.category == expected and found.vbmd_mg_cm3 == vbmd and found.integral_mg_cm3 == integral
    assert (Code.LIMITS_WITHOUT_CATEGORY in found.flags) == (expected == "withheld")


@pytest.mark.parametrize(
    ("value", "start"),
    [
        (99.999, "below 100"), (100.0, "100 to 110"), (110.0, "100 to 110"), (110.001, "between 110 and 160"),
        (160.0, "between 110 and 160"), (160.001, "above 160"), (200.0, "above 160"), (200.001, "above 200"),
    ],
)  # fmt: skip
def test_the_bands_of_hu_are_words(value, start):
    assert load_thresholds("pickhardt-hu").band(value).label.startswith(start)


@pytest.mark.parametrize("name", threshold_names())
def test_every_file_of_limits_is_complete(name):
    limits = load_thresholds(name)
    assert limits.name == name and limits.confidence in ("H", "M")  # An L fact is never cited as published.
    assert all(len(text) > 10 for text in (limits.population, limits.source, limits.use)) and limits.title


def test_limits_know_what_the_source_gives_and_what_it_does_not():
    proposal = load_thresholds("east-asian-women")
    assert (ACR.osteoporosis_below, ACR.normal_above, ACR.proposed_range) == (80.0, 120.0, None)
    assert (proposal.osteoporosis_below, proposal.normal_above, proposal.proposed_range) == (50.0, None, (45.0, 50.0))
    assert load_thresholds("pickhardt-hu").osteoporosis_below is None


def test_unknown_limits_are_named_with_those_there_are():
    with pytest.raises(ValueError, match="acr, east-asian-women, integral, pickhardt-hu, not '../acr'"):
        load_thresholds("../acr")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (dict(schema="other/1"), "schema"),
        (dict(quantity="t_score"), "t_score"),
        (dict(bands=[{"label": "osteoporosis", "below": 120.0}, {"label": "low_bone_mass", "up_to": 80.0}, {"label": "normal"}]), "rise"),
        (dict(bands=[{"label": "osteoporosis", "below": 80.0}, {"label": "normal", "up_to": 120.0}]), "rise"),
        (dict(bands=[{"label": "thin", "below": 80.0}, {"label": "normal"}]), "thin"),
        (dict(bands=[{"label": "osteoporosis", "under": 80.0}, {"label": "normal"}]), "under"),
        (dict(remark="x"), "remark"),
    ],
)
def test_a_file_of_another_form_is_refused_by_name(change, said, tmp_path, monkeypatch):
    entry = json.loads(diagnosis.resource("Thresholds", "acr.json").read_text(encoding="utf-8"))
    (tmp_path / "ours.json").write_text(json.dumps(entry | change), encoding="utf-8")
    monkeypatch.setattr(diagnosis, "resource", lambda folder, *parts: tmp_path.joinpath(*parts))
    with pytest.raises(ValueError, match=f"ours .*{said}"):
        load_thresholds("ours")


def test_the_patient_value_is_the_plain_mean_with_the_uncertainty_of_the_calibration():
    found = assessed(level("L1", 71.0), level("L2", 88.0), uncertainty_mg_cm3=1.5)
    assert found.vbmd_mg_cm3 == pytest.approx(79.5) and found.category == "osteoporosis"
    assert (found.levels, found.flags, found.refusals, found.left_out) == (L1_L2, (), (), ()) and found.uncertainty_mg_cm3 == 1.5
    three = assessed(level("L2", 110.0), level("L3", 120.0), level("L1", 100.0), requested=("L3", "L1", "L2"))
    assert three.vbmd_mg_cm3 == pytest.approx(110.0) and three.levels == ("L1", "L2", "L3")


def test_the_levels_that_may_stand_in_are_measured_for_l1_and_l2_only():
    assert levels_to_measure(L1_L2) == ("L1", "L2", "L3", "T12") and levels_to_measure(("L2", "L1"))[2:] == ("L3", "T12")
    assert levels_to_measure(("L2", "L3")) == ("L2", "L3") and levels_to_measure(("L1",)) == ("L1",)


def test_levels_measured_in_reserve_do_not_count_when_they_are_not_needed():
    found = assessed(level("L1", 100.0), level("L2", 110.0), level("L3", 200.0), level("T12", 200.0))
    assert found.levels == L1_L2 and found.vbmd_mg_cm3 == pytest.approx(105.0) and found.flags == () and found.left_out == ()


@pytest.mark.parametrize("reason", [Code.FRACTURE, Code.LESION])
@pytest.mark.parametrize(("lost", "other"), [("L1", "L2"), ("L2", "L1")])
def test_l3_stands_in_for_one_that_must_not_count_and_the_category_stands(lost, other, reason):
    found = assessed(level(lost, 190.0, reason), level(other, 70.0), level("L3", 80.0), level("T12", 200.0))
    assert found.levels == (other, "L3") and found.vbmd_mg_cm3 == pytest.approx(75.0) and found.category == "osteoporosis"
    assert found.flags == (Code.LEVEL_SUBSTITUTED,) and found.left_out == ((lost, reason),)


def test_l3_stands_in_for_one_that_could_not_be_measured():
    found = assessed(level("L1", 70.0), level("L3", 80.0), missing={"L2": Code.ROI_SMALL, "T12": Code.BODY_CUT_OFF})
    assert found.levels == ("L1", "L3") and found.left_out == (("L2", Code.ROI_SMALL),) and found.category == "osteoporosis"


def test_without_l3_t12_stands_in_and_the_category_is_withheld():
    found = assessed(level("L1", 70.0, Code.FRACTURE), level("L2", 70.0), level("L3", 99.0, Code.LESION), level("T12", 80.0))
    assert found.levels == ("T12", "L2") and found.vbmd_mg_cm3 == pytest.approx(75.0) and found.category == "withheld"
    assert found.flags == (Code.LEVEL_SUBSTITUTED, Code.LEVELS_OUTSIDE_RULE)
    assert found.left_out == (("L1", Code.FRACTURE), ("L3", Code.LESION))


def test_without_any_stand_in_the_other_is_alone_and_the_category_is_withheld():
    found = assessed(level("L1", 70.0), missing={"L2": Code.BODY_CUT_OFF, "L3": Code.LEVEL_NOT_FOUND})
    assert found.levels == ("L1",) and found.vbmd_mg_cm3 == 70.0 and found.category == "withheld"
    assert found.flags == (Code.ONE_LEVEL_ONLY,) and found.left_out == (("L2", Code.BODY_CUT_OFF), ("L3", Code.LEVEL_NOT_FOUND))


def test_nothing_stands_in_for_both():
    found = assessed(level("L1", 70.0, Code.FRACTURE), level("L3", 80.0), level("T12", 80.0), missing={"L2": Code.ROI_EMPTY})
    assert found.levels == () and found.vbmd_mg_cm3 is found.integral_mg_cm3 is found.uncertainty_mg_cm3 is None
    assert found.category == "withheld" and found.refusals == (Code.FRACTURE, Code.ROI_EMPTY) and found.flags == ()
    assert found.left_out == (("L1", Code.FRACTURE), ("L2", Code.ROI_EMPTY))


def test_other_levels_are_the_mean_of_exactly_those_that_can_count():
    found = assessed(level("L2", 70.0), level("L3", 80.0), level("L4", 90.0), requested=("L2", "L3", "L4"))
    assert found.levels == ("L2", "L3", "L4") and found.vbmd_mg_cm3 == pytest.approx(80.0) and found.flags == ()
    lost = assessed(level("L2", 70.0), level("L3", 80.0, Code.FRACTURE), level("L4", 90.0), requested=("L2", "L3"))
    assert lost.levels == ("L2",) and lost.flags == (Code.ONE_LEVEL_ONLY,) and lost.left_out == (("L3", Code.FRACTURE),)


@pytest.mark.parametrize("name", ["T12", "T11", "T13"])
def test_levels_to_which_the_limits_do_not_apply_withhold_the_category(name):
    found = assessed(level("L1", 150.0), level(name, 150.0), requested=(name, "L1"))
    assert found.vbmd_mg_cm3 == 150.0 and found.category == "withheld" and found.flags == (Code.LEVELS_OUTSIDE_RULE,)
    assert found.levels == (name, "L1")


def test_a_requested_level_that_nobody_accounts_for_is_an_error():
    with pytest.raises(ValueError, match="L2: requested, but neither measured nor missing"):
        assessed(level("L1"), level("L3"))


@pytest.mark.parametrize(
    ("low", "high", "disagree"),
    [
        (140.0, 164.9, False), (140.0, 165.0, False), (140.0, 165.1, True),  # 25 mg/cm³
        (50.0, 63.5, False), (50.0, 63.6, True),  # exp(0.24) = 1.271
        (-5.0, 5.0, False), (-15.0, 15.0, True),  # There is no ratio of densities around 0.
    ],
)  # fmt: skip
def test_levels_that_disagree_are_flagged_and_still_measured(low, high, disagree):
    found = assessed(level("L1", low), level("L2", high))
    assert (found.flags == (Code.LEVELS_DISAGREE,)) == disagree and found.levels == L1_L2
    assert found.category == ACR.band((low + high) / 2).label


def test_neighbours_are_compared_and_one_that_differs_among_three_is_flagged():
    found = assessed(level("L1", 100.0), level("L2", 140.0), level("L3", 101.0), requested=("L1", "L2", "L3"))
    assert found.flags == (Code.LEVELS_DISAGREE,) and found.levels == ("L1", "L2", "L3")


def test_without_a_calibration_value_and_category_are_withheld_and_hu_are_put_into_words():
    found = assessed(level("L1", None, hu=131.26), level("L2", None, hu=90.0), carries_category=False, acquisition=PLAIN)
    assert found.vbmd_mg_cm3 is None and found.category == "withheld" and found.flags == (Code.NOT_CALIBRATED,)
    assert found.hu_band.startswith("L1 reads 131.3 HU: between 110 and 160 HU") and "120 kVp" in found.hu_band
    assert "Caution" not in found.hu_band and "not a category" in found.hu_band


@pytest.mark.parametrize(
    ("acquisition", "said"),
    [
        (Acquisition(kvp=100.0, contrast="no"), "the tube voltage is 100 kVp"),
        (Acquisition(kvp=None, contrast="no"), "the tube voltage is unknown"),
        (Acquisition(kvp=120.0, contrast="yes"), "contrast raises the HU"),
        (Acquisition(kvp=120.0, contrast="unknown"), "is not ruled out"),
    ],
)
def test_hu_in_words_say_what_speaks_against_them(acquisition, said):
    found = assessed(level("L1", None), level("L2", None), carries_category=False, acquisition=acquisition)
    assert f"Caution: {said}" in found.hu_band or said in found.hu_band.partition("Caution: ")[2]


def test_hu_are_not_put_into_words_beside_densities_or_for_another_vertebra():
    assert assessed(level("L1"), level("L2"), acquisition=PLAIN).hu_band is None
    no = dict(carries_category=False, acquisition=PLAIN)
    assert assessed(level("L1", None, Code.FRACTURE), level("L2", None), level("L3", None), **no).hu_band is None
    assert assessed(level("L2", None), level("L3", None), requested=("L2", "L3"), **no).hu_band is None
    assert assessed(level("L1", None), level("L2", None), refusals=(Code.LEVEL_UNCERTAIN,), **no).hu_band is None
    chosen = assessed(level("L1"), level("L2"), acquisition=PLAIN, thresholds=load_thresholds("pickhardt-hu"))
    assert chosen.hu_band and chosen.vbmd_mg_cm3 == 100.0 and chosen.category == "withheld"
    assert chosen.flags == (Code.LIMITS_WITHOUT_CATEGORY,)


def test_not_calibrated_is_not_said_where_a_calibration_failed_or_contrast_is_the_reason():
    none = dict(carries_category=False)
    failed = assessed(level("L1", None), level("L2", None), flags=(Code.CALIBRATION_FAILED,), **none)
    assert failed.flags == (Code.CALIBRATION_FAILED,) and failed.category == "withheld" and failed.hu_band
    refused = assessed(level("L1", None), level("L2", None), flags=(Code.CONTRAST,), refusals=(Code.CONTRAST,), **none)
    assert (refused.flags, refused.refusals) == ((), (Code.CONTRAST,))
    there = assessed(level("L1", None), level("L2", None), flags=(Code.CONTRAST,), **none)
    assert there.flags == (Code.CONTRAST, Code.NOT_CALIBRATED)


def test_a_research_calibration_gives_the_value_and_withholds_the_category():
    found = assessed(level("L1", 70.0), level("L2", 80.0), carries_category=False, uncertainty_mg_cm3=13.0)
    assert found.vbmd_mg_cm3 == 75.0 and found.category == "withheld" and found.flags == (Code.RESEARCH_CALIBRATION,)
    assert found.uncertainty_mg_cm3 == 13.0 and found.hu_band is None


def test_converted_densities_have_no_category():
    found = assessed(level("L1", 70.0), level("L2", 80.0), flags=(Code.MATERIAL_CONVERTED,))
    assert found.vbmd_mg_cm3 == 75.0 and found.category == "withheld" and found.flags == (Code.MATERIAL_CONVERTED,)


def test_a_vertebra_without_a_value_withholds_the_mean_of_the_others():
    found = assessed(level("L1", 100.0), level("L2", None))
    assert found.vbmd_mg_cm3 is None and found.category == "withheld" and Code.NOT_CALIBRATED in found.flags


@pytest.mark.parametrize("refusal", [Code.LEVEL_UNCERTAIN, Code.CONTRAST, Code.TRANSITIONAL_ANATOMY])
def test_any_refusal_withholds_value_and_category(refusal):
    flags = (Code.THICK_SLICES, refusal)
    found = assessed(level("L1", 150.0), level("L2", 150.0), flags=flags, refusals=(refusal,), uncertainty_mg_cm3=1.5)
    assert found.vbmd_mg_cm3 is found.integral_mg_cm3 is found.uncertainty_mg_cm3 is None and found.category == "withheld"
    assert found.refusals == (refusal,) and found.flags == (Code.THICK_SLICES,)
