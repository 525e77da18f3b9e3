"""The study of the density network: its choice by folds, and the test that opens once."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")

from made_crops import CONFIG, made_crops  # noqa: E402

from VertebralBMDLib.resources import resource, sha256  # noqa: E402
from VertebralBMDLib.training import commands, density_study  # noqa: E402
from VertebralBMDLib.training.config import Schedule, Simulated, read_density_config  # noqa: E402
from VertebralBMDLib.training.density_study import Cohort, LockedTestOpened, study  # noqa: E402


def made_cohort():
    """Two patients for each fold and two for the test."""
    return Cohort(made_crops(12, 1), np.array([0, 1, 2, 3, 4, -1] * 2))


def test_a_patient_in_two_parts_is_refused():
    crops = made_crops(2)
    crops = replace(crops, patient=np.array(["a", "a"]))
    with pytest.raises(ValueError, match="A patient is in more than one part"):
        Cohort(crops, np.array([0, 1]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole study of a few steps."""
    output = tmp_path_factory.mktemp("study") / "out Ω"
    return study(CONFIG, made_crops(6, 2, "site-1"), made_cohort(), output, output.parent / "opened.json")


def test_a_study_ships_the_head_that_the_folds_chose_with_what_they_found(finished):
    card = json.loads(finished.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["sha256"] == sha256(finished) and card["crop"] == {"shape": [16, 16, 16], "spacing_mm": 4.0, "hu_window": [-300.0, 900.0]}
    other = json.loads((finished.parent / f"{density_study.COMPARED}.json").read_text(encoding="utf-8"))
    heads, steps = card["results"]["heads"], card["results"]["chosen by the folds"]["steps"]
    shipped, compared = (each["training"]["head"] for each in (card, other))
    assert {shipped, compared} == set(heads) == set(density_study.HEADS)
    assert heads[shipped][str(steps)]["rmse"] <= min(values["rmse"] for values in heads[compared].values())
    assert card["results"]["validation, after correction"]["n"] == 9
    assert card["results"]["validation, after correction"]["covered_95"] >= 0.8


def test_the_locked_test_is_opened_once(finished):
    record = finished.parent.parent / "opened.json"
    opened = json.loads(record.read_text(encoding="utf-8"))
    assert opened["sha256"] == sha256(finished) and opened["eligible"]["n"] == opened["all"]["n"] == 2
    rows = list(csv.DictReader((finished.parent / "density-readings.csv").open(encoding="utf-8")))
    assert [row["split"] for row in rows] == ["validation"] * 10 + ["test"] * 2 and {row["eligible"] for row in rows} == {"yes", "no"}
    assert json.loads(finished.with_suffix(".json").read_text(encoding="utf-8"))["results"]["locked test"] == opened
    again = study(CONFIG, made_crops(6, 2, "site-1"), made_cohort(), finished.parent, record)
    assert json.loads(record.read_text(encoding="utf-8")) == opened
    assert json.loads(again.with_suffix(".json").read_text(encoding="utf-8"))["results"]["locked test"] == opened
    assert len((finished.parent / "density-readings.csv").read_text(encoding="utf-8").splitlines()) == 13
    record.write_text(json.dumps(opened | {"sha256": "another"}), encoding="utf-8")
    with pytest.raises(LockedTestOpened, match="Draw another cohort"):
        study(CONFIG, made_crops(6, 2, "site-1"), made_cohort(), finished.parent, record)
    record.write_text(json.dumps(opened), encoding="utf-8")


def test_corrected_references_make_another_study(finished):
    cohort = made_cohort()
    corrected = replace(cohort, crops=replace(cohort.crops, vbmd=cohort.crops.vbmd + 1))
    with pytest.raises(ValueError, match="holds a training with another cohort's crops"):
        study(CONFIG, made_crops(6, 2, "site-1"), corrected, finished.parent, finished.parent.parent / "opened.json")


def test_other_patients_of_the_cohorts_scanners_can_be_the_locked_test(tmp_path, monkeypatch):
    """The test that was opened for an earlier network leaves the cohort."""
    asked, given = {}, {}

    def crops_of(cases, name, shape, spacing_mm, cache):
        asked[name] = cases
        return replace(made_crops(len(cases), len(cases)), patient=np.array([case.id for case in cases]))

    monkeypatch.setattr(commands, "simulated_crops", crops_of)
    monkeypatch.setattr(commands, "study", lambda config, varied, cohort, output, opened: given.update(cohort=cohort, opened=opened))
    commands.train_density(replace(CONFIG, cohort=Simulated(2, 20), test=Simulated(3, 7)), tmp_path / "out", tmp_path)
    (cohort_name, own), (test_name, others) = (each for each in asked.items() if each[0].startswith("paper"))
    kept = {case.id for case in own if case.split == "train"}
    cohort = given["cohort"]
    assert set(cohort.crops.patient[cohort.fold >= 0]) == kept and len(kept) == 16
    assert set(cohort.crops.patient[cohort.fold < 0]) == {case.id for case in others} and len(others) == 7
    assert {case.spec.scanner.slope_error for case in others} <= {case.spec.scanner.slope_error for case in own}
    assert given["opened"].name == f"{test_name}.opened.json" != f"{cohort_name}.opened.json"


def test_an_opened_test_refuses_another_study_before_it_begins(finished, tmp_path):
    with pytest.raises(LockedTestOpened):
        study(CONFIG, made_crops(6, 2, "site-1"), made_cohort(), tmp_path, finished.parent.parent / "opened.json")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["options.json"]


def test_another_study_does_not_go_on_in_the_same_folder(finished):
    with pytest.raises(ValueError, match="holds a training with another seed"):
        study(replace(CONFIG, seed=5), made_crops(6, 2, "site-1"), made_cohort(), finished.parent, finished.parent.parent / "opened.json")


@pytest.mark.parametrize("name", ["density-small.json", "density-training.json"])
def test_the_shipped_configurations_can_be_read(name):
    config = read_density_config(resource("Models", name))
    assert config.varied.patients > 0 and config.cohort.patients > 0 and config.varied.seed != config.cohort.seed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crop_size": (20, 16, 16)}, "crop_size must be three whole multiples of 8"),
        ({"spacing_mm": 0.1}, "spacing_mm must be within"),
        ({"crop_normalizers": (300.0, 100.0)}, "crop_normalizers must ascend"),
        ({"margin": (1, 1)}, "margin must be three"),
        ({"heads": ("guess",)}, "heads must be of tissues and pooling"),
        ({"training": Schedule(2, 3)}, "batch must be a multiple of 2"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        replace(CONFIG, **change)
