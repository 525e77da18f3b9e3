"""Bundled models: intact, or refused; and a device that really works."""

import json
import shutil
import sys

import pytest

from VertebralBMDLib import resources
from VertebralBMDLib.network import models
from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.resources import resource, sha256

NETWORKS = ("localise", "refine", "density")


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """The models in a folder that may be damaged."""
    folder = tmp_path / "Resources" / "Models"
    shutil.copytree(resource("Models"), folder)
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path)
    models.load.cache_clear()
    yield folder
    models.load.cache_clear()


def assert_damaged(name):
    for function in (models.checked_file, lambda name: models.load(name, "cpu")):
        with pytest.raises(Refused) as caught:
            function(name)
        assert caught.value.code == Code.MODEL_DAMAGED and name in caught.value.detail


@pytest.mark.parametrize("name", NETWORKS)
def test_every_bundled_model_is_intact_and_has_a_card(name):
    assert models.checked_file(name) == resource("Models", f"{name}.ts")
    card = json.loads(resource("Models", f"{name}.json").read_text(encoding="utf-8"))
    assert card["name"] == name and card["sha256"] == sha256(resource("Models", f"{name}.ts")) == models.identity(name).sha256
    assert card["parameters"] > 0 and card["training"] and len(card["input_shape"]) == 5


@pytest.mark.parametrize("name", NETWORKS)
def test_one_changed_byte_is_refused(copies, name):
    path = copies / f"{name}.ts"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert_damaged(name)


def test_a_missing_model_or_card_and_an_unreadable_card_are_refused(copies):
    (copies / "refine.ts").unlink()
    (copies / "localise.json").unlink()
    (copies / "density.json").write_text("{}")
    for name in NETWORKS:
        assert_damaged(name)
    (copies / "density.json").write_text("no card")
    assert_damaged("density")


def test_a_model_put_back_is_accepted(copies):
    shutil.move(copies / "refine.ts", copies / "x")
    assert_damaged("refine")
    shutil.move(copies / "x", copies / "refine.ts")
    assert models.checked_file("refine") == copies / "refine.ts"


@pytest.mark.parametrize(("wanted", "expected"), [("cpu", {"cpu"}), ("auto", {"cpu", "cuda"}), ("cuda", {"cpu", "cuda"})])
def test_the_device_is_one_that_works(wanted, expected):
    import torch

    device = models.working_device(wanted)
    assert device in expected
    assert float((torch.ones(3, device=device) * 2).sum()) == 6.0


def test_a_graphics_card_that_fails_its_test_is_left_unused_and_named(monkeypatch):
    import torch

    def fails(*arguments, **options):
        raise RuntimeError("CUDA error: no kernel image is available\nCUDA kernel errors might be reported later")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old card")
    monkeypatch.setattr(torch.nn, "Conv3d", fails)
    expected = models.Device("cpu", "Old card", "CUDA error: no kernel image is available")
    assert models.probed_device("auto") == models.probed_device("cuda") == expected
    assert models.probed_device("cpu") == models.Device("cpu")


def test_without_torch_the_refusal_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(Refused) as caught:
        models.import_torch()
    assert caught.value.code == Code.TORCH_MISSING and "PyTorch extension" in str(caught.value)
