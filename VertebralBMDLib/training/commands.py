"""``vertebral-bmd train``: data, training and export of one network, repeatable from its seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ..network.architecture import DensityReader, Localiser, Refiner
from ..network.density import CROP_SIZE
from ..network.segmentation import LOCALISE_SPACING_MM, REFINE_SIZE, REFINE_SPACING_MM
from . import density, segmentation
from .annotated import annotated_scans
from .export import export
from .loop import fit
from .simulated import simulated_scans


@dataclass(frozen=True)
class TrainingOptions:
    """What a training depends on. ``annotated``: folder of real scans with bodies, or None; ``leave_out``: names in it."""

    network: str
    output: Path
    steps: int
    batch: int = 4
    seed: int = 0
    annotated: Path | None = None
    leave_out: tuple[str, ...] = ()
    simulated: int = 0


def train(options: TrainingOptions) -> Path:
    """Train a network and write ``<network>.ts`` with its card ``<network>.json`` to ``options.output``; returns the former.

    Raises ValueError for an unknown network or for no training data.
    """
    if options.network not in _TRAININGS:
        raise ValueError(f"Unknown network {options.network!r}; use one of {', '.join(_TRAININGS)}.")
    if not options.simulated and not options.annotated:
        raise ValueError("There is nothing to train on: give --simulated, --annotated or both.")
    torch.manual_seed(options.seed)
    model, results = _TRAININGS[options.network](options)
    facts = asdict(options) | {"output": options.output.name, "annotated": bool(options.annotated)}
    return export(model, _EXAMPLES[options.network], options.output, options.network, facts, results)


def _localise(options: TrainingOptions):
    real, simulated = _scans(options, LOCALISE_SPACING_MM)
    batches = segmentation.localise_batches(real, simulated, options.batch, options.seed)
    return _fitted(options, Localiser(), batches, segmentation.localise_loss), {}


def _refine(options: TrainingOptions):
    real, simulated = _scans(options, REFINE_SPACING_MM)
    batches = segmentation.refine_batches(real, simulated, options.batch, options.seed)
    return _fitted(options, Refiner(REFINE_SIZE), batches, segmentation.refine_loss), {}


def _density(options: TrainingOptions):
    cache = options.output / options.network
    crops, vbmd = density.simulated_crops(options.simulated, options.seed, cache)
    model = _fitted(options, DensityReader(), density.density_batches(crops, vbmd, options.batch, options.seed), density.density_loss)
    unseen = density.simulated_crops(_UNSEEN_CROPS, options.seed + _UNSEEN_SEED, cache)
    return model, {"simulated, never seen": density.evaluated(model, *unseen)}


def _fitted(options: TrainingOptions, model: torch.nn.Module, batches, loss) -> torch.nn.Module:
    return fit(model, batches, loss, options.output / options.network, options.steps)


def _scans(options: TrainingOptions, spacing_mm: float):
    real = annotated_scans(options.annotated, spacing_mm, frozenset(options.leave_out)) if options.annotated else []
    return real, list(simulated_scans(options.simulated, spacing_mm, options.seed))


#: Simulated crops for the evaluation: how many, and how far their seeds lie from those of training.
_UNSEEN_CROPS, _UNSEEN_SEED = 400, 10**6

_TRAININGS = {"localise": _localise, "refine": _refine, "density": _density}
_EXAMPLES = {
    name: torch.zeros(1, 1, size, size, size)
    for name, size in (("localise", segmentation.LOCALISE_CUBE), ("refine", REFINE_SIZE), ("density", CROP_SIZE))
}
