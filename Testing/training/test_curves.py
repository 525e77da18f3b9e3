"""The curve of a training."""

import json

import pytest

from VertebralBMDLib.training.curves import draw_curve

pytest.importorskip("matplotlib")


def drawn(folder, losses, title="refine"):
    log, picture = folder / "log.jsonl", folder / "curve.png"
    log.write_text("".join(json.dumps({"step": 100 * (k + 1), "loss": loss}) + "\n" for k, loss in enumerate(losses)), encoding="utf-8")
    draw_curve(log, picture, title)
    return picture.read_bytes()


def test_a_curve_shows_the_losses_of_the_log(tmp_path):
    falling = drawn(tmp_path, [3.0, 1.0, 0.5])
    assert falling[:8] == b"\x89PNG\r\n\x1a\n" and falling == drawn(tmp_path, [3.0, 1.0, 0.5])
    assert falling != drawn(tmp_path, [3.0, 1.0, 2.5]) and falling != drawn(tmp_path, [3.0, 1.0, 0.5], "localise")


def test_one_entry_is_enough(tmp_path):
    assert drawn(tmp_path, [2.0])[:4] == b"\x89PNG"
