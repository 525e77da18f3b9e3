"""From vertebrae to the patient: the mean, its category, and what withholds it."""

import pytest

from VertebralBMDLib.diagnosis import ACR, assess, category
from VertebralBMDLib.quality import Code


@pytest.mark.parametrize(
    ("vbmd", "expected"),
    [
        (-12.0, "osteoporosis"),
        (79.999, "osteoporosis"),
        (79.9999999, "osteoporosis"),
        (80.0, "low_bone_mass"),
        (80.001, "low_bone_mass"),
        (119.999, "low_bone_mass"),
        (120.0, "low_bone_mass"),
        (120.0000001, "normal"),
        (120.001, "normal"),
        (300.0, "normal"),
    ],
)
def test_categories_hold_for_the_unrounded_value(vbmd, expected):
    assert category(vbmd) == expected
    assert assess({"L1": vbmd, "L2": vbmd}, (), ()).category == expected


def test_the_limits_come_with_population_and_source():
    assert (
        (ACR.osteoporosis_below, ACR.normal_above) == (80.0, 120.0) and "post-menopausal" in ACR.population and "PMC7495321" in ACR.source
    )


def test_the_patient_value_is_the_plain_mean():
    found = assess({"L1": 70.0, "L2": 89.0}, (), ())
    assert (
        found.vbmd_mg_cm3 == pytest.approx(79.5)
        and found.category == "osteoporosis"
        and found.levels == ("L1", "L2")
        and found.flags == found.refusals == ()
    )
    assert assess({"L1": 100.0, "L2": 110.0, "L3": 120.0}, (), ()).vbmd_mg_cm3 == pytest.approx(110.0)


def test_one_level_keeps_its_value_but_no_category():
    found = assess({"L1": 150.0}, (), ())
    assert found.vbmd_mg_cm3 == 150.0 and found.category == "withheld" and found.flags == (Code.ONE_LEVEL_ONLY,)


@pytest.mark.parametrize("level", ["T12", "T11", "T13"])
def test_levels_to_which_the_limits_do_not_apply_withhold_the_category(level):
    found = assess({level: 150.0, "L1": 150.0}, (), ())
    assert found.vbmd_mg_cm3 == 150.0 and found.category == "withheld" and found.flags == (Code.LEVELS_OUTSIDE_RULE,)


@pytest.mark.parametrize(("difference", "flags"), [(24.9, ()), (25.0, ()), (25.1, (Code.LEVELS_DISAGREE,))])
def test_a_difference_of_more_than_25_is_flagged_and_still_measured(difference, flags):
    found = assess({"L1": 100.0, "L2": 100.0 + difference}, (), ())
    assert found.flags == flags and found.category == "low_bone_mass"


def test_without_a_calibration_value_and_category_are_withheld():
    found = assess({"L1": None, "L2": None}, (), ())
    assert found.vbmd_mg_cm3 is None and found.category == "withheld" and found.flags == (Code.NOT_CALIBRATED,)


def test_a_vertebra_without_a_value_withholds_the_mean_of_the_others():
    found = assess({"L1": 100.0, "L2": None}, (), ())
    assert found.vbmd_mg_cm3 is None and found.category == "withheld" and Code.NOT_CALIBRATED in found.flags


@pytest.mark.parametrize("refusal", [Code.LEVEL_UNCERTAIN, Code.CONTRAST, Code.TRANSITIONAL_ANATOMY])
def test_any_refusal_withholds_value_and_category(refusal):
    found = assess({"L1": 150.0, "L2": 150.0}, (Code.THICK_SLICES,), (refusal,))
    assert (
        found.vbmd_mg_cm3 is None and found.category == "withheld" and found.refusals == (refusal,) and found.flags == (Code.THICK_SLICES,)
    )


def test_no_vertebrae_is_withheld_without_further_doubts():
    found = assess({}, (), (Code.NO_VERTEBRAE,))
    assert found.vbmd_mg_cm3 is None and found.category == "withheld" and found.flags == ()
