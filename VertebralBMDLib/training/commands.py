"""``vertebral-bmd train``: data, training and export of the networks, repeatable from their seeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from monai.data import ThreadBuffer

from ..network.architecture import DensityReader, Localiser, Refiner
from ..network.density import CROP_SIZE
from ..network.segmentation import LOCALISE, LOCALISE_SPACING_MM, REFINE, REFINE_SIZE, REFINE_SPACING_MM
from . import density, segmentation
from .annotated import annotated_scans
from .config import Schedule, SegmentationConfig
from .curves import draw_curve
from .export import export
from .loop import fit
from .simulated import simulated_scans


@dataclass(frozen=True)
class _Part:
    """One of the two segmentation networks."""

    model: Callable[[], torch.nn.Module]
    spacing_mm: float
    cube: int
    batches: Callable
    loss: Callable


_PARTS = {
    LOCALISE: _Part(Localiser, LOCALISE_SPACING_MM, segmentation.LOCALISE_CUBE, segmentation.localise_batches, segmentation.localise_loss),
    REFINE: _Part(lambda: Refiner(REFINE_SIZE), REFINE_SPACING_MM, REFINE_SIZE, segmentation.refine_batches, segmentation.refine_loss),
}


def train_segmentation(
    config: SegmentationConfig,
    output: Path,
    cache: Path,
    annotated: Path | None = None,
    leave_out: tuple[str, ...] = (),
    start_from: Path | None = None,
) -> list[Path]:
    """Train the networks that ``config`` has a schedule for; each becomes ``<network>.ts`` with its card and curve in ``output``.

    ``annotated``: folder of real scans (``annotated``), without those of ``leave_out``; ``start_from``: folder of networks
    whose weights are the start. Simulated patients are kept in ``cache`` and checkpoints in ``output``: an interrupted run
    goes on.
    Raises ValueError where there is nothing to train or to train on, for an ``output`` that holds a training with other
    options, and for networks to start from that do not fit or have seen a scan of ``leave_out``; FileNotFoundError for
    networks or scans that are not there.
    """
    schedules: dict[str, Schedule] = {name: getattr(config, name) for name in _PARTS if getattr(config, name)}
    if not schedules:
        raise ValueError("There is nothing to train: the configuration has no schedule for localise or refine.")
    if not config.simulated and not annotated:
        raise ValueError('There is nothing to train on: simulate patients ("simulated" in the configuration), give --annotated, or both.')
    written = []
    for name, schedule in schedules.items():
        part = _PARTS[name]
        only_here = {"ossified": config.ossified} if name == REFINE else {}
        simulated = simulated_scans(config.simulated, part.spacing_mm, config.seed, cache)
        real = annotated_scans(annotated, part.spacing_mm, frozenset(leave_out)) if annotated else []
        torch.manual_seed(config.seed)
        model = part.model()
        if start_from is not None:
            _load_weights(model, start_from, name, leave_out)
        facts = {
            "seed": config.seed,
            "simulated patients": config.simulated,
            "annotated scans": [scan.name for scan in real],
            "left out": list(leave_out),
            "started from": start_from.name if start_from else None,
            **only_here,
            **asdict(schedule),
        }
        _check_same_training(output / name, facts)
        drawn = part.batches(real, simulated, schedule.batch, config.seed, **only_here)
        batches = ThreadBuffer(drawn, buffer_size=2)
        model = fit(model, iter(batches), part.loss, output / name, schedule.steps, schedule.learning_rate)
        draw_curve(output / name / "log.jsonl", output / f"{name}.png", name)
        written.append(export(model, torch.zeros((1, 1) + (part.cube,) * 3), output, name, facts, {}))
    return written


def _load_weights(model: torch.nn.Module, folder: Path, name: str, leave_out: tuple[str, ...]) -> None:
    """The weights of ``name`` in ``folder``, unless its card says that it was trained on a scan that is to be left out."""
    card = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    seen = sorted(set(card["training"].get("annotated scans", ())) & set(leave_out))
    if seen:
        raise ValueError(f"{name} of {folder.name} was trained on {', '.join(seen)}, which is to be left out. Start from another.")
    try:
        model.load_state_dict(torch.jit.load(str(folder / f"{name}.ts"), map_location="cpu").state_dict())
    except RuntimeError as error:
        raise ValueError(f"{name} of {folder.name} is another kind of network. Train it anew, without --start-from.") from error


def _check_same_training(folder: Path, facts: dict) -> None:
    """A checkpoint goes on with the options it was begun with, or the card would tell of a training that never was."""
    path = folder / "options.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        return
    begun = json.loads(path.read_text(encoding="utf-8"))
    other = [key for key in facts if begun.get(key) != facts[key]]
    if other:
        raise ValueError(f"{folder} holds a training with another {', '.join(other)}. Give another --output, or delete that folder.")


@dataclass(frozen=True)
class DensityOptions:
    """What a training of the density network depends on: simulated crops for it, and their seed."""

    output: Path
    steps: int
    batch: int = 16
    seed: int = 0
    simulated: int = 3000


def train_density(options: DensityOptions) -> Path:
    """Train the density network on simulated crops and write ``density.ts`` with its card to ``options.output``.

    Raises ValueError where there is nothing to train on.
    """
    if options.simulated < 1:
        raise ValueError("There is nothing to train on: give --simulated.")
    torch.manual_seed(options.seed)
    cache = options.output / "density"
    crops, vbmd = density.simulated_crops(options.simulated, options.seed, cache)
    batches = density.density_batches(crops, vbmd, options.batch, options.seed)
    model = fit(DensityReader(), batches, density.density_loss, cache, options.steps)
    unseen = density.simulated_crops(_UNSEEN_CROPS, options.seed + _UNSEEN_SEED, cache)
    results = {"simulated, never seen": density.evaluated(model, *unseen)}
    facts = asdict(options) | {"output": options.output.name}
    return export(model, torch.zeros((1, 1) + (CROP_SIZE,) * 3), options.output, "density", facts, results)


#: Simulated crops for the evaluation: how many, and how far their seeds lie from those of training.
_UNSEEN_CROPS, _UNSEEN_SEED = 400, 10**6
