"""The configuration of a training: what is shipped can be read, and what is wrong is named."""

import json
from pathlib import Path

import pytest

from VertebralBMDLib.resources import resource
from VertebralBMDLib.training.config import Schedule, SegmentationConfig, read_config

SHIPPED = sorted(path.name for path in Path(resource("Models")).glob("segmentation-*.json"))


def written(folder, content):
    path = folder / "training.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_the_configurations_are_shipped():
    assert SHIPPED == [f"segmentation-{name}.json" for name in ("ossified", "pretraining", "small", "training")]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_configuration_trains_both_networks_on_simulated_patients_or_goes_on_with_one(name):
    config = read_config(resource("Models", name))
    assert config.simulated > 0 and config.refine and (config.localise or config.ossified)


def test_training_goes_on_from_the_patients_of_pretraining_more_slowly():
    first, second, third = (
        read_config(resource("Models", f"segmentation-{name}.json")) for name in ("pretraining", "training", "ossified")
    )
    assert (first.seed, first.simulated) == (second.seed, second.simulated) == (third.seed, third.simulated)
    assert third.refine.steps < second.refine.steps and third.refine.learning_rate < second.refine.learning_rate
    for network in ("localise", "refine"):
        before, after = getattr(first, network), getattr(second, network)
        assert after.steps < before.steps and after.learning_rate < before.learning_rate


def test_what_is_not_given_has_its_usual_value(tmp_path):
    assert read_config(written(tmp_path, {"refine": {"steps": 7}})) == SegmentationConfig(0, 0, None, Schedule(7, 4, 2e-3))
    assert read_config(written(tmp_path, {"localise": None, "seed": 3})) == SegmentationConfig(seed=3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "training.json is not a training configuration"),
        ("[1]", "training.json is not a training configuration"),
        ({"localise": {"batch": 2}}, "steps"),
        ({"localise": {}}, "steps"),
        ({"localise": 5}, "Schedule is written as"),
        ({"localize": {"steps": 5}}, "Unknown in a SegmentationConfig: localize"),
        ({"refine": {"steps": 5, "rate": 1}}, "Unknown in a Schedule: rate"),
        ({"refine": {"steps": 0}}, "steps must be a whole number of at least 1, not 0"),
        ({"refine": {"steps": 2.5}}, "steps must be a whole number"),
        ({"refine": {"steps": 5, "batch": 0}}, "batch must be a whole number of at least 1"),
        ({"refine": {"steps": 5, "learning_rate": 0}}, "learning_rate must be within 0-1"),
        ({"refine": {"steps": 5, "learning_rate": "fast"}}, "is not a training configuration"),
        ({"simulated": "many"}, "simulated must be a whole number of at least 0, not 'many'"),
        ({"ossified": 1.5}, "ossified must be within 0-1, not 1.5"),
        ({"ossified": "all"}, "is not a training configuration"),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, words):
    with pytest.raises(ValueError, match=words):
        read_config(written(tmp_path, content))
