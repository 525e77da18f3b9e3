"""What a training of the segmentation networks depends on, as a JSON file that anyone can repeat."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Schedule:
    """How one network is trained: batches, cubes in each, and the highest learning rate of its one cycle."""

    steps: int
    batch: int = 4
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            _check_whole(name, getattr(self, name), least=1)
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning_rate must be within 0-1, not {self.learning_rate}.")


@dataclass(frozen=True)
class SegmentationConfig:
    """``seed``: of weights, augmentation and simulated patients; ``simulated``: how many of those; ``ossified``: share of the
    refiner's crops in which discs and ligaments become bone; a network whose schedule is None is not trained."""

    seed: int = 0
    simulated: int = 0
    localise: Schedule | None = None
    refine: Schedule | None = None
    ossified: float = 0.0

    def __post_init__(self) -> None:
        for name in ("seed", "simulated"):
            _check_whole(name, getattr(self, name), least=0)
        if not 0 <= self.ossified <= 1:
            raise ValueError(f"ossified must be within 0-1, not {self.ossified}.")


def read_config(path: Path) -> SegmentationConfig:
    """A configuration from JSON. Raises ValueError that names what is missing or unknown."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        schedules = {name: _built(Schedule, stored.pop(name)) for name in ("localise", "refine") if stored.get(name) is not None}
        return _built(SegmentationConfig, stored | schedules)
    except (json.JSONDecodeError, AttributeError, TypeError) as error:
        raise ValueError(f"{path.name} is not a training configuration: {error}.") from error


def _check_whole(name: str, value: Any, least: int) -> None:
    if type(value) is not int or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}.")


def _built(kind: type, values: dict[str, Any]) -> Any:
    if not isinstance(values, dict):
        raise ValueError(f"A {kind.__name__} is written as {{...}}, not {values!r}.")
    unknown = set(values) - {field.name for field in fields(kind)}
    if unknown:
        raise ValueError(f"Unknown in a {kind.__name__}: {', '.join(sorted(unknown))}.")
    return kind(**values)
