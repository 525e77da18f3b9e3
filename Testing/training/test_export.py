"""Export as TorchScript with a card."""

import json

import pytest

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")
torch = pytest.importorskip("torch")

from VertebralBMDLib.network.architecture import DensityReader  # noqa: E402
from VertebralBMDLib.resources import sha256  # noqa: E402
from VertebralBMDLib.training.export import export  # noqa: E402


def test_an_exported_network_repeats_the_trained_one_and_its_card_holds_its_checksum(tmp_path):
    torch.manual_seed(0)
    model, example = DensityReader().eval(), (torch.randn(2, 1, 16, 24, 32) * 100, torch.tensor([[0.74, 1.0, 0.0, 0.0]] * 2))
    path = export(model, example, tmp_path, "density", {"steps": 3}, {"rmse": 1.0}, crop={"spacing_mm": 2.0})
    card = json.loads((tmp_path / "density.json").read_text(encoding="utf-8"))
    assert (
        card["sha256"] == sha256(path)
        and card["parameters"] == sum(p.numel() for p in model.parameters())
        and (card["training"], card["crop"]) == ({"steps": 3}, {"spacing_mm": 2.0})
    )
    with torch.inference_mode():
        torch.testing.assert_close(torch.jit.load(str(path))(*example), model(*example), atol=1e-3, rtol=1e-4)
