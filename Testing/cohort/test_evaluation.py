"""The whole evaluation: bootstrap by patient, parts, screening cuts that never see the test, promises, and no NaN anywhere."""

import json
import math

import numpy as np
import pytest

from VertebralBMDLib.cohort import screening
from VertebralBMDLib.cohort.columns import Columns, Pairs
from VertebralBMDLib.cohort.estimates import Estimate, Resampling
from VertebralBMDLib.cohort.evaluation import Options, evaluate
from VertebralBMDLib.cohort.uncertainty import coverage_estimates, probability_estimates, reliability

COLUMNS = Columns("truth", "ours", "patient")
FEW = Options(resampling=Resampling(100))


def cohort(patients=60, seed=1, parts=True, within=3.0):
    """Two vertebrae a patient whose errors are mostly the patient's own; intervals and probabilities of a known SD."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(patients), 2)
    truth = np.repeat(rng.normal(108, 28, patients), 2) + rng.normal(0, 5, 2 * patients)
    predicted = truth + np.repeat(rng.normal(0, 8, patients), 2) + rng.normal(0, within, 2 * patients)
    sd = math.hypot(8, within)
    chance = np.array([0.5 * (1 + math.erf((120 - each) / (sd * math.sqrt(2)))) for each in predicted])
    split = np.array(["train", "validation", "test"])[group % 3] if parts else None
    return Pairs(truth, predicted, group, "vertebra", True, split, chance, predicted - 1.96 * sd, predicted + 1.96 * sd)


@pytest.fixture(scope="module")
def document():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install '.[evaluate]'")
    return evaluate(cohort(), COLUMNS, FEW)


def test_each_part_is_evaluated_by_itself(document):
    assert list(document["sets"]) == ["train", "validation", "test"] and document["main"] == "test"
    assert {name: (each["rows"], each["patients"]) for name, each in document["sets"].items()} == dict.fromkeys(document["sets"], (40, 20))
    pairs = cohort()
    test = pairs.rows(pairs.split == "test")
    found = document["sets"]["test"]["sections"]
    assert found["agreement"]["mae"]["value"] == pytest.approx(np.abs(test.predicted - test.reference).mean())
    assert found["osteoporosis"]["prevalence"]["count"] == np.sum(test.reference < 80)
    assert found["low_bone_mass"]["prevalence"]["count"] == np.sum(test.reference <= 120)
    assert sum(map(sum, document["sets"]["test"]["tables"]["categories"]["counts"])) == 40


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_intervals(document):
    again = evaluate(cohort(), COLUMNS, FEW)
    assert json.dumps(again, allow_nan=False) == json.dumps(document, allow_nan=False)
    other = evaluate(cohort(), COLUMNS, Options(resampling=Resampling(100, seed=2)))
    assert other["bootstrap"]["seed"] == 2
    first, second = (each["sets"]["test"]["sections"]["agreement"]["bias"]["bootstrap"] for each in (document, other))
    assert first != second


def test_patients_are_drawn_with_all_their_rows():
    seen = []
    Resampling(20).intervals(np.array([0, 0, 1, 2, 2, 2, 3]), lambda rows: seen.append(np.bincount(rows, minlength=7)) or {"n": len(rows)})
    assert len(seen) == 20 and all(draw[0] == draw[1] and draw[3] == draw[4] == draw[5] for draw in seen)
    assert all(draw[0] + draw[2] + draw[3] + draw[6] == 4 for draw in seen)


def test_the_bootstrap_by_patient_is_wider_than_the_formula_where_rows_of_a_patient_are_alike():
    pairs = cohort(200, parts=False, within=0.5)
    found = evaluate(pairs, COLUMNS, Options(resampling=Resampling(400)))["sets"]["all"]["sections"]["agreement"]["bias"]
    width = {name: found[name][1] - found[name][0] for name in ("interval", "bootstrap")}
    # Errors that two vertebrae share count once: √2 wider.
    assert width["bootstrap"] / width["interval"] == pytest.approx(math.sqrt(2), rel=0.12)


def test_a_bootstrap_needs_three_patients_and_something_that_varies():
    assert Resampling(50).intervals(np.array([0, 0, 1, 1]), lambda rows: {"n": float(rows.sum())}) == {}
    assert Resampling(50).intervals(np.arange(6), lambda rows: {"same": 1.0, "undefined": math.nan}) == {}


def test_an_estimate_outside_its_interval_is_an_error():
    with pytest.raises(ValueError, match="outside its interval"):
        Estimate(0.937, (0.943, 0.950), "printed")


def test_screening_cuts_are_chosen_on_validation_rows_only(document):
    pairs = cohort()
    known = pairs.split == "validation"
    changed = cohort()
    rng = np.random.default_rng(3)
    changed.predicted[~known] = rng.permutation(changed.predicted[~known])
    cuts, others = (each["screening"]["cuts"] for each in (document, evaluate(changed, COLUMNS, FEW)))
    assert [cut["below_mg_cm3"] for cut in cuts] == [cut["below_mg_cm3"] for cut in others] and len(cuts) == 4
    assert [cut["validation"] for cut in cuts] == [cut["validation"] for cut in others]
    assert [cut["test"]["counts"] for cut in cuts] != [cut["test"]["counts"] for cut in others]
    table = cuts[0]["validation"]["counts"]
    assert table["tp"] == np.sum((pairs.reference < 80) & (pairs.predicted < cuts[0]["below_mg_cm3"]) & known)


def test_the_rules_of_the_screening_cut():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install '.[evaluate]'")
    predicted = np.array([50, 60, 70, 82, 95, 84, 90, 100, 110, 120.0])
    truth = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], bool)
    youden, sensitive = screening.chosen_cuts(truth, predicted)
    # Below 83: 4 of 5 and none of 5; 90 % of 5 positives needs all, and two of the others with them.
    assert (youden.below, sensitive.below) == (83.0, 97.5)


def test_the_correction_is_fitted_to_validation_rows_and_judged_on_test_rows():
    known, test = np.array([80.0, 100, 120]), np.array([70.0, 90, 130])
    found = screening.correction((known, 0.5 * known + 20), (test, 0.5 * test + 21))
    assert (found["slope"], found["intercept_mg_cm3"]) == (pytest.approx(2), pytest.approx(-40))
    assert found["estimates"]["bias"].value == pytest.approx(2) and found["estimates"]["sd_of_differences"].value == pytest.approx(
        0, abs=1e-9
    )
    assert screening.correction((known, np.full(3, 90.0)), (test, test)) is None


def test_without_validation_rows_no_cut_is_chosen_and_that_is_said():
    found = evaluate(cohort(parts=False), COLUMNS, FEW)["screening"]
    assert "cuts" not in found and "no parts (--split)" in found["reason"]
    pairs = cohort()
    pairs.split[pairs.split == "validation"] = "train"
    assert "no part validation" in evaluate(pairs, COLUMNS, FEW)["screening"]["reason"]


def test_probabilities_are_checked_against_what_happened():
    truth, said = np.array([True, True, False, False]), np.array([0.9, 0.6, 0.65, 0.1])
    found = probability_estimates(truth, said)
    assert found["brier"].value == pytest.approx((0.01 + 0.16 + 0.4225 + 0.01) / 4) and found["brier_of_prevalence"].value == 0.25
    assert found["mean_minus_prevalence"].value == pytest.approx(0.0625) and found["auc"].value == 0.75
    # Bins: 0.1 alone (0 of 1), 0.6 and 0.65 (1 of 2), 0.9 alone (1 of 1).
    assert found["expected_calibration_error"].value == pytest.approx((0.1 + 2 * 0.125 + 0.1) / 4)
    bins = reliability(truth, said)
    assert [(each["from"], each["observed"].count, each["observed"].of) for each in bins] == [(0.1, 0, 1), (0.6, 1, 2), (0.9, 1, 1)]
    assert reliability(np.array([True]), np.array([1.0]))[0]["to"] == 1.0


def test_coverage_counts_both_sides():
    found = coverage_estimates(np.array([1.0, 5, 9, 4]), np.array([2.0, 2, 2, 4]), np.array([8.0, 8, 8, 6]))
    counted = [found[name].count for name in ("coverage", "below_interval", "above_interval")]
    assert counted == [2, 1, 1] and found["mean_width"].value == 5.0
    assert coverage_estimates(*[np.array([])] * 3)["coverage"].reason == "no row has an interval"


def test_promises_that_are_kept_are_found_kept(document):
    found = document["sets"]["test"]["sections"]
    assert found["interval"]["coverage"]["interval"][0] < 0.95 < found["interval"]["coverage"]["interval"][1]
    assert found["probability"]["brier"]["value"] < 0.6 * found["probability"]["brier_of_prevalence"]["value"]


def test_promises_count_only_rows_that_have_them():
    pairs = cohort(parts=False)
    pairs.low[:50], pairs.probability[:] = np.nan, np.nan
    found = evaluate(pairs, COLUMNS, FEW)["sets"]["all"]["sections"]
    assert found["interval"]["coverage"]["of"] == 70 and found["probability"]["brier"]["reason"] == "no row has a probability"


@pytest.mark.parametrize(
    "change",
    [
        lambda pairs: pairs.predicted.__setitem__(slice(None), 100.0),
        lambda pairs: pairs.reference.__setitem__(slice(None), 100.0),
        lambda pairs: pairs.reference.__iadd__(200.0),
        lambda pairs: pairs.predicted.__iadd__(200.0),
        lambda pairs: pairs.predicted.__setitem__(slice(None), pairs.reference),
        lambda pairs: pairs.group.__setitem__(slice(None), 0),
        lambda pairs: object.__setattr__(pairs, "grouped", False) or object.__setattr__(pairs, "probability", None),
    ],
    ids=[
        "constant prediction",
        "constant reference",
        "no positive",
        "none called positive",
        "perfect",
        "one patient",
        "no column of patients",
    ],
)
def test_nothing_is_ever_nan(change):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install '.[evaluate]'")
    pairs = cohort(12)
    change(pairs)
    document = evaluate(pairs, COLUMNS, Options(resampling=Resampling(20)))
    assert "null" not in json.dumps(document, allow_nan=False)
    absent = [
        each
        for part in document["sets"].values()
        for section in part["sections"].values()
        for each in section.values()
        if "value" not in each
    ]
    assert all(each["reason"] for each in absent)


def test_parts_too_small_are_said_and_a_test_too_small_is_refused():
    pairs = cohort(12)
    small = pairs.rows((pairs.split != "train") | (pairs.group == 0))
    assert evaluate(small, COLUMNS, FEW)["parts_too_small"] == ["train"]
    with pytest.raises(ValueError, match="2 rows of the part test"):
        evaluate(pairs.rows((pairs.split != "test") | (pairs.group == 2)), COLUMNS, FEW)


def test_other_limits_are_data():
    document = evaluate(cohort(parts=False), COLUMNS, Options("east-asian-women", event="osteoporosis", resampling=Resampling(20)))
    assert [task["limit_mg_cm3"] for task in document["tasks"]] == [50.0]
    found = document["sets"]["all"]
    assert "categories" not in found["tables"] and "three categories" in found["sections"]["categories"]["kappa"]["reason"]
    with pytest.raises(ValueError, match="do not know the event low_bone_mass"):
        evaluate(cohort(parts=False), COLUMNS, Options("east-asian-women"))


def test_the_paper_stands_beside_ours_with_what_is_wrong_with_it(document):
    rows = {row["name"]: row for row in document["paper"]["rows"]}
    icc = rows["icc_a1"]
    assert icc["paper"] == {"value": 0.936, "interval": (0.937, 0.951)} and "outside its own interval" in icc["remark"]
    assert icc["ours"] == document["sets"]["test"]["sections"]["agreement"]["icc_a1"]
    assert rows["mae"]["paper"] == {} and "165" in rows["sensitivity"]["remark"]
    assert "not the paper's patients" in document["paper"]["note"]
    simulated = evaluate(cohort(), COLUMNS, Options(simulated=True, resampling=Resampling(0)))
    assert simulated["simulated"] and "Ours are simulated" in simulated["paper"]["note"] and "no comparison" in simulated["paper"]["note"]
