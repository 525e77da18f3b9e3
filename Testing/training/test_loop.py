"""The training loop: it learns, logs, and goes on where it was stopped."""

import json

import numpy as np
import pytest

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")
torch = pytest.importorskip("torch")

from VertebralBMDLib.training.loop import fit  # noqa: E402


def line_batches():
    """Points on y = 3x - 2."""
    rng = np.random.default_rng(0)
    while True:
        x = torch.from_numpy(rng.normal(size=(16, 1)).astype(np.float32))
        yield {"x": x, "y": 3 * x - 2}


def squared(model, batch):
    return ((model(batch["x"]) - batch["y"]) ** 2).mean()


def fitted(folder, steps, batches=None, seed=0):
    torch.manual_seed(seed)
    return fit(torch.nn.Linear(1, 1), batches or line_batches(), squared, folder, steps, learning_rate=0.1)


def test_the_loop_learns_and_logs_a_falling_loss(tmp_path):
    model = fitted(tmp_path, 250)
    assert not model.training and float(model.weight) == pytest.approx(3.0, abs=0.05) and float(model.bias) == pytest.approx(-2.0, abs=0.05)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [100, 200, 250] and log[-1]["loss"] < log[0]["loss"] / 10


def test_a_finished_training_is_not_repeated_and_a_broken_one_goes_on(tmp_path):
    def breaking(after):
        for number, batch in enumerate(line_batches()):
            if number == after:
                raise KeyboardInterrupt
            yield batch

    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, 250, breaking(150))
    used = []
    rest = (used.append(1) or batch for batch in line_batches())
    model = fitted(tmp_path, 250, rest, seed=9)
    assert len(used) == 150 and float(model.weight) == pytest.approx(3.0, abs=0.05)
    again = fitted(tmp_path, 250, iter(()), seed=5)
    assert float(again.weight) == float(model.weight)


@pytest.mark.parametrize("steps", [1, 2, 5, 9, 10, 11, 20])
def test_the_shortest_trainings_end(tmp_path, steps):
    torch.manual_seed(0)
    begun = float(torch.nn.Linear(1, 1).weight)
    assert float(fitted(tmp_path, steps).weight) != begun
    assert json.loads((tmp_path / "log.jsonl").read_text())["step"] == steps
