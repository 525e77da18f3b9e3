"""Export of a trained network as TorchScript with a machine-readable card."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from .. import __version__
from ..resources import sha256


def export(
    model: torch.nn.Module, example: tuple[torch.Tensor, ...], folder: Path, name: str, training: dict, results: dict, **more: dict
) -> Path:
    """Write ``name.ts`` and ``name.json`` to ``folder``; the card carries the SHA-256 that is checked at every load.

    ``more``: what else the card says. Raises RuntimeError when the scripted network does not repeat the original on ``example``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = model.eval()
    scripted = torch.jit.script(model)
    with torch.inference_mode():
        said, meant = (output if isinstance(output, tuple) else (output,) for output in (scripted(*example), model(*example)))
        if not all(torch.allclose(a, b, atol=1e-4) for a, b in zip(said, meant)):
            raise RuntimeError(f"The exported network {name} does not repeat the trained one.")
    path = folder / f"{name}.ts"
    scripted.save(str(path))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    card = {
        "name": name,
        "version": __version__,
        "sha256": sha256(path),
        "parameters": parameters,
        "input_shape": list(example[0].shape),
        "torch": torch.__version__,
        "training": training,
        "results": results,
        **more,
    }
    (folder / f"{name}.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return path
