"""2x2 tables, ROC, DeLong, kappa and categories against the golden table of the fact base and other libraries."""

import math

import numpy as np
import pytest
from scipy import stats

from VertebralBMDLib.cohort.diagnostic import Counts, area, categories, confusion, counts, kappas, roc, tasks, two_by_two, two_by_two_values
from VertebralBMDLib.diagnosis import load_thresholds

ACR = load_thresholds("acr")
SKLEARN = "scikit-learn is not installed: pip install '.[evaluate]'"


def test_the_table_behind_the_papers_five_proportions():
    found = two_by_two(Counts(7, 10, 0, 148))
    percent = {name: round(100 * found[name].value, 1) for name in ("sensitivity", "specificity", "accuracy", "ppv", "npv")}
    assert percent == {"sensitivity": 41.2, "specificity": 100.0, "accuracy": 93.9, "ppv": 100.0, "npv": 93.7}
    assert [round(100 * found[name].value, 1) for name in ("balanced_accuracy", "majority_accuracy")] == [70.6, 89.7]
    assert (round(found["f1"].value, 3), round(found["mcc"].value, 3)) == (0.583, 0.621)
    assert (found["npv"].count, found["npv"].of) == (148, 158)


def test_intervals_of_proportions_are_clopper_pearsons():
    found = two_by_two(Counts(7, 10, 0, 148))
    assert [round(100 * end, 1) for end in found["sensitivity"].interval] == [18.4, 67.1]
    assert [round(100 * end, 1) for end in found["specificity"].interval] == [97.5, 100.0]
    low, high = stats.beta.ppf(0.025, 7, 11), stats.beta.ppf(0.975, 8, 10)
    assert found["sensitivity"].interval == pytest.approx((low, high), abs=1e-9) and found["sensitivity"].method == "Clopper-Pearson"


def test_a_proportion_without_denominator_is_absent_with_its_counts():
    found = two_by_two(Counts(0, 0, 0, 12))
    assert found["sensitivity"].value is None and found["sensitivity"].reason == "there is no positive row"
    assert (found["ppv"].value, found["ppv"].of) == (None, 0) and found["specificity"].value == 1.0
    assert found["balanced_accuracy"].value is None and found["mcc"].value is None
    assert math.isnan(two_by_two_values(np.zeros(12, bool), np.zeros(12, bool))["sensitivity"])


def test_counts_keep_the_two_kinds_of_error_apart():
    truth, said = np.array([1, 1, 1, 0, 0, 0, 0], bool), np.array([1, 0, 0, 1, 0, 0, 0], bool)
    assert counts(truth, said) == Counts(tp=1, fn=2, fp=1, tn=3)
    values = two_by_two_values(truth, said)
    assert values == {name: each.value for name, each in two_by_two(counts(truth, said)).items() if name in values}


def test_categories_at_the_limits():
    assert categories(np.array([79.999, 80.0, 120.0, 120.001]), ACR).tolist() == [
        "osteoporosis",
        "low_bone_mass",
        "low_bone_mass",
        "normal",
    ]


def test_both_questions_come_from_the_limits():
    osteoporosis, low = tasks(ACR)
    assert (osteoporosis.limit, low.limit) == (80.0, 120.0)
    labels = np.array(["osteoporosis", "low_bone_mass", "normal"])
    assert osteoporosis.truth(labels).tolist() == [True, False, False] and low.truth(labels).tolist() == [True, True, False]
    assert [task.limit for task in tasks(load_thresholds("east-asian-women"))] == [50.0]
    with pytest.raises(ValueError, match="in HU"):
        tasks(load_thresholds("pickhardt-hu"))


def test_area_by_hand_with_ties():
    truth, said = np.array([True, True, True, False, False, False]), np.array([60.0, 75, 90, 75, 95, 110])
    # Pairs with the positive below: 60: 3, 75: half and 2, 90: 2 of three each.
    found = area(truth, said)
    assert found.value == pytest.approx((3 + 2.5 + 2) / 9)
    # DeLong: placements of the positives 1, 2.5/3, 2/3; of the negatives 1.5/3, 1, 1.
    deviation = math.sqrt(np.var([1, 2.5 / 3, 2 / 3], ddof=1) / 3 + np.var([0.5, 1, 1], ddof=1) / 3)
    assert found.interval == pytest.approx((found.value - 1.959964 * deviation, 1.0), abs=1e-6) and found.method == "DeLong"


def test_delong_with_two_of_each():
    # Placements 1 and 0.5 on both sides: variance 0.125/2 + 0.125/2.
    found = area(np.array([True, False, True, False]), np.array([70.0, 80, 90, 100]))
    assert found.value == 0.75 and found.interval == pytest.approx((0.75 - 1.959964 * math.sqrt(0.125), 1.0), abs=1e-6)


def test_delongs_interval_covers_what_sampling_shows():
    # 15 of 150 positive, binormal with AUC 0.966: sampling gives 0.938 to 0.994 (qct_facts 1.21).
    rng, shift = np.random.default_rng(1), math.sqrt(2) * stats.norm.ppf(0.966)
    truth = np.arange(150) < 15
    ends = np.array([area(truth, rng.normal(size=150) - shift * truth).interval for _ in range(200)])
    assert ends.mean(axis=0) == pytest.approx((0.938, 0.990), abs=0.008)


def test_the_area_agrees_with_scikit_learn_and_low_density_is_positive():
    metrics = pytest.importorskip("sklearn.metrics", reason=SKLEARN)
    rng = np.random.default_rng(4)
    truth, said = rng.random(80) < 0.3, rng.normal(100, 20, 80).round(-1)
    said = said - 15 * truth
    assert area(truth, said).value == pytest.approx(metrics.roc_auc_score(truth, -said)) and area(truth, said).value > 0.5


def test_an_area_without_one_kind_or_without_overlap_says_why():
    assert area(np.zeros(5, bool), np.arange(5.0)).reason == "no row is positive"
    assert area(np.ones(5, bool), np.arange(5.0)).reason == "no row is negative"
    apart = area(np.array([True, True, False, False]), np.array([60.0, 70, 90, 100]))
    assert apart.value == 1.0 and apart.interval is None and "do not overlap" in apart.reason


def test_cuts_of_the_roc_give_its_rates():
    pytest.importorskip("sklearn", reason=SKLEARN)
    rng = np.random.default_rng(6)
    truth = rng.random(60) < 0.4
    said = rng.normal(110, 20, 60).round() - 20 * truth
    false, true, cuts = roc(truth, said)
    assert np.all(np.diff(cuts) > 0) and true[-1] == false[-1] == 1.0
    for rate_false, rate_true, cut in zip(false, true, cuts):
        assert (np.mean(said[~truth] < cut), np.mean(said[truth] < cut)) == (pytest.approx(rate_false), pytest.approx(rate_true))


def test_kappas_agree_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics", reason=SKLEARN)
    rng = np.random.default_rng(9)
    order = ("osteoporosis", "low_bone_mass", "normal")
    one = rng.integers(0, 3, 90)
    other = np.clip(one + rng.integers(-1, 2, 90) * (rng.random(90) < 0.4), 0, 2)
    table = confusion(np.array(order)[one], np.array(order)[other], order)
    assert table.tolist() == metrics.confusion_matrix(one, other, labels=[0, 1, 2]).tolist()
    found = kappas(table)
    assert found["kappa"] == pytest.approx(metrics.cohen_kappa_score(one, other))
    assert found["quadratic_kappa"] == pytest.approx(metrics.cohen_kappa_score(one, other, weights="quadratic"))
    assert found["quadratic_kappa"] > found["kappa"]
    assert all(math.isnan(value) for value in kappas(np.diag([5, 0, 0])).values())
