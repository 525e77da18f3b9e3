"""The curve of a training, drawn from its log."""

from __future__ import annotations

import json
from pathlib import Path


def draw_curve(log: Path, picture: Path, title: str) -> None:
    """Mean loss by step of ``log`` (JSON lines of ``loop.fit``) as a PNG."""
    from matplotlib.figure import Figure

    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([entry["step"] for entry in entries], [entry["loss"] for entry in entries])
    axes.set(title=title, xlabel="step", ylabel="mean training loss", yscale="log")
    axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=120)
