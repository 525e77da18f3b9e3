"""``train segmentation`` from annotated scans to exported networks: what is left out, resumed, started from and refused."""

import json
from dataclasses import replace

import pytest

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")
torch = pytest.importorskip("torch")

from made_scans import made_scan, write_folder  # noqa: E402

from VertebralBMDLib.network.architecture import Localiser, Refiner  # noqa: E402
from VertebralBMDLib.resources import sha256  # noqa: E402
from VertebralBMDLib.training import commands, loop  # noqa: E402
from VertebralBMDLib.training.commands import train_segmentation  # noqa: E402
from VertebralBMDLib.training.config import Schedule, SegmentationConfig  # noqa: E402

SMALL = {"localise": lambda: Localiser((2, 4)), "refine": lambda: Refiner(channels=(2, 4))}
REFINE = SegmentationConfig(seed=3, refine=Schedule(2, batch=1), ossified=0.25)


@pytest.fixture
def shown(monkeypatch):
    """Small networks; the names of the scans that each was shown, real and simulated, by network."""
    names = {}

    def spying(name, part):
        def batches(real, simulated, batch, seed, **others):
            names[name] = [scan.name for scan in real], [scan.name for scan in simulated]
            assert others == ({"ossified": 0.25} if name == "refine" else {})
            return part.batches(real, simulated, batch, seed, **others)

        return replace(part, model=SMALL[name], batches=batches)

    monkeypatch.setattr(commands, "_PARTS", {name: spying(name, part) for name, part in commands._PARTS.items()})
    return names


@pytest.fixture
def scans(tmp_path):
    return write_folder(tmp_path / "CT folder", "abc")


def train(config, folder, scans, **options):
    return train_segmentation(config, folder, folder / "simulated", scans, **options)


def weights(folder, name="refine"):
    return torch.cat([values.flatten() for key, values in torch.jit.load(str(folder / f"{name}.ts")).named_parameters()])


def card(folder, name="refine"):
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def test_a_training_writes_networks_with_cards_and_curves(shown, scans, tmp_path):
    out = tmp_path / "out Ω"
    config = SegmentationConfig(seed=3, localise=Schedule(1, batch=1), refine=Schedule(2, batch=2, learning_rate=0.01), ossified=0.25)
    paths = train(config, out, scans, leave_out=("b",))
    assert paths == [out / "localise.ts", out / "refine.ts"] and all(path.with_suffix(".png").stat().st_size > 1000 for path in paths)
    assert shown == {"localise": (["a", "c"], []), "refine": (["a", "c"], [])}
    for path in paths:
        assert card(out, path.stem)["sha256"] == sha256(path) and str(tmp_path) not in path.with_suffix(".json").read_text(encoding="utf-8")
    assert card(out)["training"] == {
        "seed": 3,
        "simulated patients": 0,
        "annotated scans": ["a", "c"],
        "left out": ["b"],
        "started from": None,
        "ossified": 0.25,
        "steps": 2,
        "batch": 2,
        "learning_rate": 0.01,
    }
    with torch.inference_mode():
        assert torch.jit.load(str(paths[0]))(torch.zeros(1, 1, 32, 32, 32)).shape == (1, 8, 32, 32, 32)


def test_simulated_patients_come_from_the_cache_that_is_named(shown, monkeypatch, tmp_path):
    asked = []

    def simulated_scans(count, spacing_mm, seed, cache):
        asked.append((count, spacing_mm, seed, cache))
        return [made_scan(spacing_mm)]

    monkeypatch.setattr(commands, "simulated_scans", simulated_scans)
    config = replace(REFINE, simulated=7)
    train_segmentation(config, tmp_path / "out", tmp_path / "cache")
    assert asked == [(7, 1.5, 3, tmp_path / "cache")] and shown == {"refine": ([], ["made"])}
    assert card(tmp_path / "out")["training"]["simulated patients"] == 7


def test_a_training_repeats_by_its_seed(shown, scans, tmp_path):
    for folder, seed in (("one", 3), ("two", 3), ("three", 4)):
        train(replace(REFINE, seed=seed), tmp_path / folder, scans)
    one, two, three = (weights(tmp_path / folder) for folder in ("one", "two", "three"))
    assert torch.equal(one, two) and not torch.allclose(one, three)


def test_an_interrupted_training_goes_on_from_its_checkpoint(shown, scans, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_STEPS", 2)
    part, steps = commands._PARTS["refine"], []

    def breaking(model, batch):
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return part.loss(model, batch)

    monkeypatch.setitem(commands._PARTS, "refine", replace(part, loss=breaking))
    config = replace(REFINE, refine=Schedule(5, batch=1))
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "out", scans)
    assert not (tmp_path / "out" / "refine.ts").exists()
    train(config, tmp_path / "out", scans)
    assert len(steps) == 4 + 3 and (tmp_path / "out" / "refine.ts").exists()
    train(config, tmp_path / "out", scans)
    assert len(steps) == 7, "what is finished is not trained again"


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({"refine": Schedule(3, batch=1)}, {}, "another steps"),
        ({"seed": 4}, {}, "another seed"),
        ({}, {"leave_out": ("a",)}, "another annotated scans, left out"),
    ],
)
def test_a_folder_with_another_training_is_not_gone_on_with(shown, scans, tmp_path, change, options, words):
    train(REFINE, tmp_path / "out", scans)
    before = card(tmp_path / "out")
    with pytest.raises(ValueError, match=f"out.refine holds a training with {words}. Give another --output"):
        train(replace(REFINE, **change), tmp_path / "out", scans, **options)
    assert card(tmp_path / "out") == before


def test_weights_start_from_the_networks_that_are_given(shown, scans, tmp_path):
    train(REFINE, tmp_path / "first", scans, leave_out=("a",))
    still = replace(REFINE, seed=8, refine=Schedule(1, batch=1, learning_rate=1e-9))
    train(still, tmp_path / "second", scans, leave_out=("a",), start_from=tmp_path / "first")
    train(still, tmp_path / "anew", scans, leave_out=("a",))
    first, second, anew = (weights(tmp_path / folder) for folder in ("first", "second", "anew"))
    assert torch.allclose(first, second, atol=1e-6) and not torch.allclose(first, anew, atol=1e-2)
    assert card(tmp_path / "second")["training"]["started from"] == "first"


def test_networks_that_saw_what_is_left_out_are_no_start(shown, scans, tmp_path):
    train(REFINE, tmp_path / "first", scans)
    with pytest.raises(ValueError, match="refine of first was trained on b, which is to be left out"):
        train(REFINE, tmp_path / "second", scans, leave_out=("b",), start_from=tmp_path / "first")


def test_networks_of_another_kind_or_none_are_no_start(shown, scans, tmp_path, monkeypatch):
    train(REFINE, tmp_path / "first", scans)
    monkeypatch.setitem(commands._PARTS, "refine", replace(commands._PARTS["refine"], model=lambda: Refiner(channels=(3, 6))))
    with pytest.raises(ValueError, match="refine of first is another kind of network"):
        train(REFINE, tmp_path / "second", scans, start_from=tmp_path / "first")
    with pytest.raises(FileNotFoundError, match="refine.json"):
        train(REFINE, tmp_path / "third", scans, start_from=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("config", "words"),
    [(SegmentationConfig(simulated=3), "no schedule for localise or refine"), (REFINE, "give --annotated, or both")],
)
def test_a_training_that_makes_no_sense_is_refused(tmp_path, config, words):
    with pytest.raises(ValueError, match=words):
        train_segmentation(config, tmp_path / "out", tmp_path / "cache")
    assert not list(tmp_path.iterdir())
