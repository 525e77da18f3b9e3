"""One training loop for every network: restartable, logged, with a cosine learning rate."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from ..network.models import working_device

CHECKPOINT_STEPS = 100


def fit(
    model: torch.nn.Module,
    batches: Iterator[dict],
    loss: Callable[[torch.nn.Module, dict], torch.Tensor],
    folder: Path,
    steps: int,
    learning_rate: float = 2e-3,
    watch: Callable[[int, torch.nn.Module], None] = lambda step, model: None,
    stop: int | None = None,
) -> torch.nn.Module:
    """Train ``model`` for ``steps`` batches, on the GPU where there is one, and return it in evaluation mode on the CPU.

    ``stop``: end after so many of them, where the whole training has its checkpoint.
    A checkpoint is written to ``folder`` every 100 steps, and training resumes from it; the loss goes to
    ``folder/log.jsonl``. ``loss(model, batch)`` returns a scalar. ``watch(step, model)`` sees the model in evaluation mode
    at every checkpoint, before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    device = working_device("auto")
    # Half as long on a CPU as the usual order of channels.
    model.to(device, memory_format=torch.channels_last_3d)
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-4)
    # PyTorch divides by the steps of the rise less one.
    rise = 0.1 if steps != 10 else 0.2
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps, pct_start=rise)
    checkpoint = folder / "checkpoint.pt"
    start = _resume(checkpoint, model, optimiser, schedule, device)
    model.train()
    total, since = 0.0, time.monotonic()
    last = steps if stop is None else stop
    for step in range(start + 1, last + 1):
        optimiser.zero_grad(set_to_none=True)
        value = loss(model, {key: tensor.to(device, non_blocking=True) for key, tensor in next(batches).items()})
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        total += float(value.detach())
        if step % CHECKPOINT_STEPS == 0 or step == last:
            count = step % CHECKPOINT_STEPS or CHECKPOINT_STEPS
            _record(folder / "log.jsonl", step, steps, total / count, time.monotonic() - since)
            watch(step, model.eval())
            model.train()
            _save(checkpoint, step, model, optimiser, schedule)
            total, since = 0.0, time.monotonic()
    return model.eval().to("cpu", memory_format=torch.contiguous_format)


def _resume(checkpoint: Path, model, optimiser, schedule, device: str) -> int:
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, map_location=device, weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    return state["step"]


def _save(checkpoint: Path, step: int, model, optimiser, schedule) -> None:
    state = {"step": step, "model": model.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
    temporary = checkpoint.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(checkpoint)


def _record(path: Path, step: int, steps: int, mean_loss: float, seconds: float) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"step": step, "loss": round(mean_loss, 5), "seconds": round(seconds, 1)}) + "\n")
    logging.getLogger(__name__).info("step %d of %d: loss %.4f", step, steps, mean_loss)
