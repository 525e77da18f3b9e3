"""``vertebral-bmd train``: data, training and export of the networks, repeatable from their seeds."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from monai.data import ThreadBuffer

from ..network.architecture import Localiser, Refiner
from ..network.segmentation import LOCALISE, LOCALISE_SPACING_MM, REFINE, REFINE_SIZE, REFINE_SPACING_MM
from ..simulation.cohort import draw_cohort
from . import segmentation
from .annotated import annotated_scans
from .cohort_crops import cohort_crops
from .config import DensityConfig, Schedule, SegmentationConfig, Simulated
from .crops import Crops
from .curves import draw_curve
from .density_study import Cohort, study
from .export import export
from .loop import fit
from .manifest import Manifest, read_manifest
from .options import check_same_training
from .simulated import simulated_scans
from .simulated_crops import simulated_crops, varied_cases
from .splits import TEST, split_of


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
        check_same_training(output / name, facts)
        drawn = part.batches(real, simulated, schedule.batch, config.seed, **only_here)
        batches = ThreadBuffer(drawn, buffer_size=2)
        model = fit(model, iter(batches), part.loss, output / name, schedule.steps, schedule.learning_rate)
        draw_curve(output / name / "log.jsonl", output / f"{name}.png", name)
        written.append(export(model, (torch.zeros((1, 1) + (part.cube,) * 3),), output, name, facts, {}))
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


def train_density(config: DensityConfig, output: Path, cache: Path, manifest: Path | None = None) -> Path:
    """The study of ``density_study``; returns ``density.ts``. Simulated crops are kept in ``cache``.

    The cohort is that of ``manifest`` (see ``manifest.read_manifest``), else the simulated one of ``config``.
    Raises ManifestError for a manifest with problems, and what ``cohort_crops`` and ``study`` raise.
    """
    cohort = _hospital_cohort(read_manifest(manifest), config, output) if manifest else _simulated_cohort(config, cache)
    opened = (output / "cohort" if manifest else cache / _name("paper", config.test or config.cohort, config)).with_suffix(".opened.json")
    cases = varied_cases(config.varied.seed, config.varied.patients)
    varied = simulated_crops(cases, _name("varied", config.varied, config), config.shape, config.spacing_mm, cache)
    return study(config, varied, cohort, output, opened)


def _hospital_cohort(manifest: Manifest, config: DensityConfig, output: Path) -> Cohort:
    crops = cohort_crops(manifest, output / "cohort", config.shape, config.spacing_mm, os.cpu_count() or 1)
    return Cohort(crops, split_of(manifest, output / "split.json", config.seed).of(crops.patient))


def _simulated_cohort(config: DensityConfig, cache: Path) -> Cohort:
    cases = draw_cohort(config.cohort.seed, config.cohort.patients)
    crops = simulated_crops(cases, _name("paper", config.cohort, config), config.shape, config.spacing_mm, cache)
    fold = {case.id: TEST if case.fold is None else case.fold for case in cases}
    cohort = Cohort(crops, np.array([fold[patient] for patient in crops.patient]))
    return cohort if config.test is None else _with_test(cohort, config, config.test, cache)


def _with_test(cohort: Cohort, config: DensityConfig, test: Simulated, cache: Path) -> Cohort:
    """The training part of ``cohort``, and other patients of its scanners as the locked test."""
    cases = draw_cohort(test.seed, test.patients, scanners=config.cohort.seed)
    cases = [replace(case, id=f"T{case.id[1:]}") for case in cases]
    others = simulated_crops(cases, _name("paper", test, config), config.shape, config.spacing_mm, cache)
    kept = cohort.fold != TEST
    crops = Crops.joined([cohort.crops.where(kept), others])
    return Cohort(crops, np.concatenate([cohort.fold[kept], np.full(len(others), TEST)]))


def _name(kind: str, simulated: Simulated, config: DensityConfig) -> str:
    """Of files in the cache: everything that the crops depend on."""
    return f"{kind}-{simulated.seed}-{simulated.patients}-{'x'.join(map(str, config.shape))}-{config.spacing_mm:g}mm"
