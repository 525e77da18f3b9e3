"""Two studies of one patient against the least significant change."""

import sys
from datetime import date
from pathlib import Path

import pytest

from VertebralBMDLib.change import change_between, days_between

sys.path.insert(0, str(Path(__file__).parent))

from study_case import study  # noqa: E402


def test_the_least_significant_change_is_that_of_the_fact_base():
    """qct_facts 3.12: at 100 mg/cm³, 2 % give 5.5 and 4.7 % give 13 mg/cm³."""
    both = study(100, 100)
    assert change_between(both, both, 2.0).lsc_mg_cm3 == pytest.approx(5.5, abs=0.05)
    assert change_between(both, both).lsc_mg_cm3 == pytest.approx(13.0, abs=0.05)
    assert change_between(both, study(100, 100, model="two")).cv_percent == 4.9


@pytest.mark.parametrize(("later", "significant"), [(91.5, False), (86.0, True), (113.0, False), (119.0, True)])
def test_only_what_exceeds_it_is_a_change(later, significant):
    found = change_between(study(100, 100), study(later, later))
    assert found.significant == significant and found.difference_mg_cm3 == pytest.approx(later - 100)
    direction = "increase beyond" if later > 100 else "decrease beyond"
    assert (direction if significant else "within") in str(found) and "mg/cm³ CaHA" in str(found) and not found.doubts


def test_only_vertebrae_that_count_in_both_are_compared():
    other = study(90, 130)
    other["patient"]["levels"] = ["L1", "L3"]
    other["vertebrae"][2]["vbmd_roi_mg_cm3"] = 50.0
    found = change_between(study(), other)
    assert found.levels == ("L1",) and (found.earlier_mg_cm3, found.later_mg_cm3) == (100.0, 90.0)
    other["patient"]["levels"] = ["L3"]
    with pytest.raises(ValueError, match="No vertebra counts in both"):
        change_between(study(), other)


def test_what_cannot_be_compared_says_why():
    withheld, other = study(), study()
    del withheld["patient"]["vbmd_mg_cm3"]
    other["calibration"]["material"] = "K2HPO4"
    with pytest.raises(ValueError, match="earlier study has no density"):
        change_between(withheld, study())
    with pytest.raises(ValueError, match="mg/cm³ CaHA and in mg/cm³ K₂HPO₄"):
        change_between(study(), other)


def test_what_differs_between_the_studies_is_a_doubt():
    other = study(model="two", kvp=100.0, kernel="LUNG", contrast="yes")
    other["calibration"]["source"] = "asynchronous"
    other["vertebrae"][0]["flags"] = ["ROI_EDITED"]
    assert len(change_between(study(), other).doubts) == 6
    unknown = study()
    del unknown["scan"]["kvp"]
    assert change_between(unknown, unknown).doubts == ("The tube voltages differ or are unknown.",)


def test_the_rate_needs_two_dates_far_enough_apart():
    days = days_between(date(2024, 1, 1), date(2026, 1, 1))
    assert days == 731 and days_between(None, date(2026, 1, 1)) is None
    assert "−5.0 per year" in str(change_between(study(100, 100), study(90, 90), days=days))
    assert "per year" not in str(change_between(study(100, 100), study(90, 90), days=100))
