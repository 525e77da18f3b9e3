"""The readout of a density network, trained on far more vertebrae at a time than its maps can be.

These last layers turn what the maps find into a reading, a slope and an intercept among it. A batch of the whole training holds the
scanners of a few vertebrae only, which makes a noisy teacher of how tissues tell a scanner's line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from .config import TWINS, DensityConfig
from .crops import Crops
from .density import looks, reading_loss
from .density_batches import Augmentation

#: Looks that are made, in batches of the readout's schedule.
_KEPT = 12
#: Bone as patients have it: what is painted into the looks that teach the maps is far more often wrongly read, and would widen every interval.
_BONE = Augmentation(uneven=0.0, smooth=0.0, lesions=0.0)


def with_readout(model: torch.nn.Module, crops: Crops, own_sites: frozenset[str], config: DensityConfig, path: Path) -> torch.nn.Module:
    """``model`` (in evaluation mode, on the CPU) with its readout trained on looks at ``crops``, all else as it is.

    It is written to ``path``, and read from there if the file exists.
    """
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model
    schedule = config.readout
    batches = looks(crops, own_sites, config, config.training.batch, config.seed + 1, _BONE)
    found, beam, vbmd = _found(model, batches, _KEPT * schedule.batch)
    optimiser = torch.optim.AdamW(model.readout(), lr=schedule.learning_rate)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, schedule.steps)
    generator = torch.Generator().manual_seed(config.seed)
    for _step in range(schedule.steps):
        first = TWINS * torch.randint(len(vbmd) // TWINS, (schedule.batch // TWINS, 1), generator=generator)
        rows = (first + torch.arange(TWINS)).flatten()
        optimiser.zero_grad(set_to_none=True)
        reading_loss(model.read(found[rows], beam[rows]), vbmd[rows]).backward()
        torch.nn.utils.clip_grad_norm_(model.readout(), 5.0)
        optimiser.step()
        rates.step()
    temporary = path.with_suffix(".tmp")
    torch.save(model.state_dict(), temporary)
    temporary.replace(path)
    return model


def _found(model: torch.nn.Module, batches: Iterator[dict], count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the maps find in ``count`` looks at least, their beams and references."""
    kept: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    with torch.no_grad():
        while sum(len(vbmd) for _maps, _beam, vbmd in kept) < count:
            batch = next(batches)
            kept.append((model.found(batch["hu"])[0], batch["beam"], batch["vbmd"]))
    return tuple(torch.cat(parts) for parts in zip(*kept))
