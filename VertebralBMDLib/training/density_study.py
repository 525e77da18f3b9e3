"""The paper's study of the density network without its leaks: folds choose, the locked test is opened once.

1. Every kind of network (``HEADS``) is pretrained on varied simulated patients.
2. Each is trained on four fifths of the training patients and judged on the last fifth, five times, at every checkpoint; at the last
   one after its readout was trained on by itself.
3. The kind and the number of steps with the lowest RMSE over the five folds are chosen, and that network is trained on all of them.
   What the folds read wrong on average is corrected, and their scatter sets the width of the intervals.
4. The network reads the locked test, once.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import torch

from ..network.architecture import DensityReader, PoolingReader
from ..network.density import DENSITY, Reading
from ..resources import sha256
from .config import DensityConfig, Schedule
from .crops import Crops
from .curves import draw_curve
from .density import judged, readings, trained
from .density_readout import with_readout
from .export import export
from .loop import CHECKPOINT_STEPS
from .options import check_same_training

HEADS: dict[str, Callable[[tuple[float, float]], torch.nn.Module]] = {"tissues": DensityReader, "pooling": PoolingReader}
FOLDS = 5
#: Kept beside the shipped network for comparison; never shipped.
COMPARED = "density-pooling"


@dataclass(frozen=True)
class Cohort:
    """Crops, and for each row the fold (0-4) of its patient, -1 in the locked test."""

    crops: Crops
    fold: np.ndarray

    def __post_init__(self) -> None:
        for patient in np.unique(self.crops.patient):
            if len(np.unique(self.fold[self.crops.patient == patient])) > 1:
                raise ValueError("A patient is in more than one part of the cohort. Split by patient.")

    @property
    def digest(self) -> str:
        """SHA-256 of everything that networks are trained and judged on."""
        columns = [np.ascontiguousarray(getattr(self.crops, field.name)) for field in fields(Crops)] + [self.fold]
        return hashlib.sha256(b"".join(hashlib.sha256(column).digest() for column in columns)).hexdigest()

    @property
    def sites(self) -> frozenset[str]:
        """Sites of the training part, whose scanners the network may learn."""
        return frozenset(self.crops.site[self.fold >= 0].tolist())


class LockedTestOpened(ValueError):
    """The locked test has judged another network already."""


def study(config: DensityConfig, varied: Crops, cohort: Cohort, output: Path, opened: Path) -> Path:
    """Carry out the study; writes ``density.ts`` with its card, ``density-pooling.ts``, curves and tables to ``output``, and goes on
    after an interruption. ``opened``: the file beside the cohort's crops that says for which network the locked test was opened.
    Raises LockedTestOpened, and ValueError for an ``output`` that holds another study."""
    check_same_training(output, asdict(config) | {"cohort's crops": cohort.digest})
    _check_lock(output / f"{DENSITY}.ts", opened)
    found = {head: cross_validated(head, config, varied, cohort, output / head) for head in config.heads}
    best = {head: min(steps, key=lambda step: steps[step]["rmse"]) for head, steps in found.items()}
    shipped = min(config.heads, key=lambda head: found[head][best[head]]["rmse"])
    written = {}
    for head in config.heads:
        model = _final(head, config, varied, cohort, output / head, best[head])
        results = {
            "heads": {each: {str(step): values for step, values in steps.items()} for each, steps in found.items()},
            "chosen by the folds": {"head": shipped, "steps": best[head]},
        }
        name = DENSITY if head == shipped else COMPARED
        written[name] = _shipped(name, head, model, config, cohort, output, results)
    _open_test(config, cohort, output, written[DENSITY], opened)
    return written[DENSITY]


def _shipped(
    name: str,
    head: str,
    model: torch.nn.Module,
    config: DensityConfig,
    cohort: Cohort,
    output: Path,
    results: dict,
) -> Path:
    """Correct ``model`` by what the networks of the folds read of them, and write it with its card, table and curve."""
    rows = np.flatnonzero(cohort.fold >= 0)
    read = np.zeros((len(cohort.crops), 2), dtype=np.float32)
    for fold in range(FOLDS):
        read[cohort.fold == fold] = np.load(_readings(output / head, fold, results["chosen by the folds"]["steps"]))
    crops = cohort.crops.where(rows)
    _correct(model, read[rows][crops.eligible], crops.vbmd[crops.eligible])
    corrected = _corrected(model, read[rows])
    _write_table(output / f"{name}-readings.csv", "validation", crops, corrected)
    results |= {
        "correction (offset, factor, scale of SD)": model.correction.line.tolist(),
        "validation, after correction": _judged_on(rows, corrected, cohort),
    }
    crop = {"shape": list(config.crop_size), "spacing_mm": config.spacing_mm, "hu_window": list(config.crop_normalizers)}
    example = torch.zeros(1, 1, *config.crop_size), torch.tensor([[0.74, 1.0, 0.0, 0.0]])
    draw_curve(output / head / "pretraining" / "log.jsonl", output / f"{name}.png", f"{head}, pretraining")
    # Simulated scanners, whose errors are known, are nobody's; those of a hospital's cohort are what its network will read.
    own_scanners = bool(np.isnan(crops.slope_error).any())
    return export(model, example, output, name, asdict(config) | {"head": head}, results, crop=crop, own_scanners=own_scanners)


def cross_validated(head: str, config: DensityConfig, varied: Crops, cohort: Cohort, folder: Path) -> dict[int, dict[str, float]]:
    """For every checkpoint the metrics of the validation folds (mean over folds), over the eligible vertebrae."""
    pretraining(head, config, varied, folder)
    for fold in range(FOLDS):
        _fold(head, config, varied, cohort, folder, fold)
    found = {}
    for step in _checkpoints(config.training):
        folds = [_judged_on(cohort.fold == fold, np.load(_readings(folder, fold, step)), cohort) for fold in range(FOLDS)]
        found[step] = {key: _mean(values[key] for values in folds) for key in folds[0]}
    return found


def _judged_on(rows: np.ndarray, read: np.ndarray, cohort: Cohort) -> dict[str, float]:
    """Metrics over the eligible ones of some rows, and the RMSE over all of them."""
    crops = cohort.crops.where(rows)
    chosen = crops.eligible
    return judged(read[chosen], crops.vbmd[chosen]) | {"rmse_of_all": judged(read, crops.vbmd)["rmse"]}


def _checkpoints(schedule: Schedule) -> list[int]:
    return sorted({*range(CHECKPOINT_STEPS, schedule.steps + 1, CHECKPOINT_STEPS), schedule.steps})


def _readings(folder: Path, fold: int, step: int) -> Path:
    return folder / f"fold-{fold}" / f"readings-{step}.npy"


def pretraining(head: str, config: DensityConfig, varied: Crops, folder: Path) -> torch.nn.Module:
    """A network of this kind trained on the varied patients."""
    torch.manual_seed(config.seed)
    return trained(HEADS[head](config.crop_normalizers), varied, frozenset(), config, config.pretraining, folder / "pretraining")


def _fold(head: str, config: DensityConfig, varied: Crops, cohort: Cohort, folder: Path, fold: int) -> torch.nn.Module:
    """A network trained without a fold; what it reads of that fold at every checkpoint is kept."""
    unseen = cohort.crops.where(cohort.fold == fold)
    place = folder / f"fold-{fold}"

    def watch(step: int, model: torch.nn.Module) -> None:
        np.save(_readings(folder, fold, step), readings(model, unseen, cohort.sites, config))

    seen = (cohort.fold >= 0) & (cohort.fold != fold)
    model = _on_cohort(head, config, varied, cohort, seen, folder, place, config.training.steps, watch)
    watch(config.training.steps, model)
    return model


def _final(head: str, config: DensityConfig, varied: Crops, cohort: Cohort, folder: Path, steps: int) -> torch.nn.Module:
    """Trained on all training patients for the chosen number of steps."""
    return _on_cohort(head, config, varied, cohort, cohort.fold >= 0, folder, folder / f"final-{steps}", steps)


def _on_cohort(
    head: str,
    config: DensityConfig,
    varied: Crops,
    cohort: Cohort,
    rows: np.ndarray,
    folder: Path,
    place: Path,
    steps: int,
    watch: Callable[[int, torch.nn.Module], None] = lambda step, model: None,
) -> torch.nn.Module:
    """The pretrained network trained on rows of the cohort and the varied patients; after the last step the readout by itself."""
    crops = Crops.joined([varied, cohort.crops.where(rows)])
    start = pretraining(head, config, varied, folder)
    model = trained(start, crops, cohort.sites, config, config.training, place, watch, stop=steps)
    if steps < config.training.steps:
        return model
    return with_readout(model, crops, cohort.sites, config, place / "readout.pt")


def _correct(model: torch.nn.Module, read: np.ndarray, vbmd: np.ndarray) -> None:
    """Least squares of the reference on the reading, and the scale at which 95 % intervals hold 95 % of the validation rows.

    They are never made narrower than the network said: it has met the scanners of these rows, and those of others would not hold.
    """
    factor, offset = np.polyfit(read[:, 0], vbmd, 1)
    error = np.abs(offset + factor * read[:, 0] - vbmd) / read[:, 1]
    scale = max(1.0, float(np.quantile(error, 0.95)) / 1.959964)
    model.correction.line = torch.tensor([offset, factor, scale], dtype=torch.float32)


def _corrected(model: torch.nn.Module, read: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return model.correction(torch.from_numpy(read), torch.tensor([[0.74, 1.0, 0.0, 1.0]]).repeat(len(read), 1)).numpy()


def _open_test(config: DensityConfig, cohort: Cohort, output: Path, network: Path, record: Path) -> None:
    """Judge the network on the locked test and log that; no other network may see it afterwards."""
    locked = cohort.crops.where(cohort.fold < 0)
    if not len(locked):
        return
    opened = _check_lock(network, record)
    read = readings(torch.jit.load(str(network)).eval(), locked, cohort.sites, config)
    if not opened:
        found = {"eligible": _judged_on(cohort.fold < 0, read, cohort), "all": judged(read, locked.vbmd)}
        opened = {"opened": datetime.now(timezone.utc).isoformat(timespec="seconds"), "sha256": sha256(network), **found}
        _write_json(record, opened)
    _write_table(output / f"{DENSITY}-readings.csv", "test", locked, read)
    card = network.with_suffix(".json")
    facts = json.loads(card.read_text(encoding="utf-8"))
    facts["results"]["locked test"] = opened
    _write_json(card, facts)


def _check_lock(network: Path, record: Path) -> dict | None:
    """What is on record of the opened test, None before. Raises LockedTestOpened where that was for another network than this file."""
    if not record.exists():
        return None
    opened = json.loads(record.read_text(encoding="utf-8"))
    if not network.exists() or sha256(network) != opened["sha256"]:
        raise LockedTestOpened(f"The locked test was opened on {opened['opened']} for another network. Draw another cohort.")
    return opened


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


_COLUMNS = (
    "split", "patient", "level", "site", "sex", "eligible", "age", "reference_mg_cm3",
    "network_mg_cm3", "sd_mg_cm3", "low_mg_cm3", "high_mg_cm3", "osteoporosis_probability", "low_bone_mass_probability",
)  # fmt: skip


def _write_table(path: Path, split: str, crops: Crops, read: np.ndarray) -> None:
    """Reference and reading of every row, as ``vertebral-bmd evaluate`` reads them; the test rows come after the validation rows."""
    with path.open("w" if split == "validation" else "a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if split == "validation":
            writer.writerow(_COLUMNS)
        for row, (vbmd, sd) in enumerate(read.tolist()):
            one = Reading(vbmd, sd)
            who = [str(getattr(crops, name)[row]) for name in ("patient", "level", "site", "sex")]
            numbers = float(crops.age[row]), float(crops.vbmd[row]), vbmd, sd, *one.interval95_mg_cm3
            eligible = "yes" if crops.eligible[row] else "no"
            probabilities = one.osteoporosis_probability, one.low_bone_mass_probability
            writer.writerow([split, *who, eligible, *(f"{n:.3f}" for n in numbers), *(f"{p:.6f}" for p in probabilities)])


def _mean(values) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
