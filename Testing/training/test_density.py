"""Training of the density network: crops with their truth, its loss, its evaluation, and the whole command."""

import json

import numpy as np
import pytest

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")
torch = pytest.importorskip("torch")

from VertebralBMDLib.resources import sha256  # noqa: E402
from VertebralBMDLib.training import commands, density  # noqa: E402
from VertebralBMDLib.training.commands import DensityOptions, train_density  # noqa: E402


def test_simulated_crops_are_kept_and_read_again(tmp_path):
    first = density.simulated_crops(3, 7, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = density.simulated_crops(3, 7, tmp_path)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    for a, b in zip(first, again):
        assert np.array_equal(a, b)
    hu, vbmd = first
    assert hu.shape == (3, 38, 38, 38) and hu.dtype == np.int16 and len(set(vbmd.tolist())) == 3 and np.all((vbmd > 0) & (vbmd < 300))
    other, _vbmd = density.simulated_crops(3, 8, tmp_path)
    assert not np.array_equal(hu, other)


def test_density_batches_are_windows_of_the_crops_with_their_own_truth(tmp_path):
    hu = np.stack([np.full((38, 38, 38), value, np.int16) for value in (0, 500)])
    batch = next(density.density_batches(hu, np.array([50.0, 200.0], np.float32), 16, 1))
    assert tuple(batch["hu"].shape) == (16, 1, 32, 32, 32)
    means = batch["hu"].mean(dim=(1, 2, 3, 4))
    assert set(batch["vbmd"].tolist()) == {50.0, 200.0} and torch.equal(means > 250, batch["vbmd"] > 100)


def test_the_density_loss_is_smallest_at_the_truth():
    def loss(reading, sd=5.0):
        return float(density.density_loss(lambda hu: torch.tensor([[reading, sd]]), {"hu": None, "vbmd": torch.tensor([100.0])}))

    assert loss(100.0) < loss(104.0) < loss(130.0) and loss(100.0) < loss(96.0)
    assert loss(130.0, sd=5.0) > loss(130.0, sd=30.0)


def test_the_evaluation_says_how_far_the_readings_are_from_the_truth():
    truth = np.linspace(50, 200, 40)
    crops = np.stack([np.full((38, 38, 38), value) for value in truth]).astype(np.int16)
    found = density.evaluated(lambda hu: torch.stack([hu.mean(dim=(1, 2, 3, 4)) + 4.0, torch.ones(len(hu))], dim=1), crops, np.trunc(truth))
    assert (
        found["crops"] == 40
        and found["bias_mg_cm3"] == pytest.approx(4.0)
        and found["rmse_mg_cm3"] == pytest.approx(4.0)
        and found["mae_mg_cm3"] == pytest.approx(4.0)
    )
    assert (
        found["sd_mg_cm3"] == pytest.approx(0.0, abs=1e-4)
        and found["pearson"] == pytest.approx(1.0)
        and found["constant_predictor_rmse_mg_cm3"] == pytest.approx(np.trunc(truth).std())
    )


def test_a_training_from_simulation_to_the_exported_model(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "_UNSEEN_CROPS", 4)
    path = train_density(DensityOptions(tmp_path / "out Ω", steps=2, batch=2, seed=3, simulated=4))
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert path == tmp_path / "out Ω" / "density.ts" and card["sha256"] == sha256(path)
    assert card["training"]["seed"] == 3 and card["training"]["steps"] == 2 and card["results"]["simulated, never seen"]["crops"] == 4
    assert str(tmp_path) not in json.dumps(card)


def test_without_crops_there_is_nothing_to_train_on(tmp_path):
    with pytest.raises(ValueError, match="--simulated"):
        train_density(DensityOptions(tmp_path, steps=1, simulated=0))
