"""What a training depends on, as a JSON file that anyone can repeat."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

#: Looks at every vertebra, one after the other in a batch of the density network: on one scanner, but in another pose, through another
#: kernel, with other noise and mineral.
TWINS = 2


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


@dataclass(frozen=True)
class Simulated:
    """Simulated patients: how many, and their seed."""

    seed: int
    patients: int

    def __post_init__(self) -> None:
        for name in ("seed", "patients"):
            _check_whole(name, getattr(self, name), least=0)


@dataclass(frozen=True)
class DensityConfig:
    """A study of the density network.

    varied: patients of many sites, for ``pretraining``. cohort: patients as in the paper, for ``training`` by cross-validation,
    then for the ``readout`` alone, and for the locked test: its own fifth, or where that has been opened for an earlier network the
    patients of ``test``, who lie on the cohort's scanners. crop_size: (z, y, x) voxels that the network reads, multiples of 8;
    spacing_mm; crop_normalizers: the HU that become -1 and 1. margin: voxels that crops are larger on every side, for shifts and
    turns. heads: kinds of network that are compared.
    """

    varied: Simulated
    cohort: Simulated
    pretraining: Schedule
    training: Schedule
    readout: Schedule
    test: Simulated | None = None
    seed: int = 0
    crop_size: tuple[int, int, int] = (24, 40, 48)
    spacing_mm: float = 2.0
    crop_normalizers: tuple[float, float] = (-300.0, 900.0)
    margin: tuple[int, int, int] = (3, 7, 3)
    heads: tuple[str, ...] = ("tissues", "pooling")

    def __post_init__(self) -> None:
        _check_whole("seed", self.seed, least=0)
        for name, step in (("crop_size", 8), ("margin", 1)):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if len(values) != 3 or any(type(n) is not int or n < 0 or n % step for n in values):
                raise ValueError(f"{name} must be three whole multiples of {step}, not {values}.")
        # JSON may hold whole numbers, which TorchScript keeps apart.
        object.__setattr__(self, "crop_normalizers", tuple(float(hu) for hu in self.crop_normalizers))
        object.__setattr__(self, "heads", tuple(self.heads))
        if not self.heads or set(self.heads) - {"tissues", "pooling"}:
            raise ValueError(f"heads must be of tissues and pooling, not {self.heads}.")
        if any(schedule.batch % TWINS for schedule in (self.pretraining, self.training, self.readout)):
            raise ValueError(f"batch must be a multiple of {TWINS}: every vertebra is looked at {TWINS} times.")
        if not 0.5 <= self.spacing_mm <= 4.0:
            raise ValueError(f"spacing_mm must be within 0.5-4 mm, not {self.spacing_mm}.")
        if not self.crop_normalizers[0] < self.crop_normalizers[1]:
            raise ValueError(f"crop_normalizers must ascend, not {self.crop_normalizers}.")

    @property
    def shape(self) -> tuple[int, ...]:
        """(z, y, x) voxels of the crops that are kept."""
        return tuple(n + 2 * m for n, m in zip(self.crop_size, self.margin))


def read_config(path: Path) -> SegmentationConfig:
    """A configuration of the segmentation networks from JSON. Raises ValueError that names what is missing or unknown."""
    return _read(path, SegmentationConfig, {"localise": Schedule, "refine": Schedule})


def read_density_config(path: Path) -> DensityConfig:
    """A configuration of the density network from JSON. Raises ValueError that names what is missing or unknown."""
    schedules = dict.fromkeys(("pretraining", "training", "readout"), Schedule)
    return _read(path, DensityConfig, {"varied": Simulated, "cohort": Simulated, "test": Simulated, **schedules})


def _read(path: Path, kind: type, parts: dict[str, type]) -> Any:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        built = {name: _built(part, stored.pop(name)) for name, part in parts.items() if stored.get(name) is not None}
        return _built(kind, stored | built)
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
