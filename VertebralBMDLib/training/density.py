"""One training of a density network, and how its readings are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from monai.data import ThreadBuffer
from monai.losses import DiceLoss
from scipy import stats
from torch.nn.functional import avg_pool3d, binary_cross_entropy_with_logits

from ..cohort.diagnostic import area_value
from ..network.density import probability_below
from .config import TWINS, DensityConfig, Schedule
from .crops import Crops
from .density_batches import Augmentation, density_batches, middle
from .loop import fit

_AT_ONCE = 32
_LOW, _OSTEOPOROSIS = 120.0, 80.0
#: Of the mean HU in the loss of the ROI.
_HU_SHARE = 0.3
_FEWEST_VOXELS = 100.0
_DICE = DiceLoss(sigmoid=True)


def trained(
    model: torch.nn.Module,
    crops: Crops,
    own_sites: frozenset[str],
    config: DensityConfig,
    schedule: Schedule,
    folder: Path,
    watch: Callable[[int, torch.nn.Module], None] = lambda step, model: None,
    stop: int | None = None,
) -> torch.nn.Module:
    """``model`` trained on ``crops``; see ``loop.fit`` for ``folder``, ``watch`` and ``stop``, ``density_batches`` for ``own_sites``."""
    batches = looks(crops, own_sites, config, schedule.batch, config.seed)
    return fit(model, batches, density_loss, folder, schedule.steps, schedule.learning_rate, watch, stop)


def looks(
    crops: Crops, own_sites: frozenset[str], config: DensityConfig, batch: int, seed: int, how: Augmentation = Augmentation()
) -> Iterator[dict]:
    """``density_batches``, made ahead while a network is at work."""
    batches = density_batches(crops, batch, seed, config.crop_size, config.spacing_mm, own_sites, how)
    return iter(ThreadBuffer(batches, buffer_size=2))


def density_loss(model: torch.nn.Module, batch: dict) -> torch.Tensor:
    """``reading_loss``; the cross-entropy of the body, but for looks whose body nobody has outlined (``body`` 0 everywhere); and
    ``roi_loss`` for networks that have a ROI."""
    found, weights, maps = model.found(batch["hu"])
    of_body = binary_cross_entropy_with_logits(maps["body"], avg_pool3d(batch["body"], 2), reduction="none").mean((1, 2, 3, 4))
    of_body = of_body * batch["body"].amax((1, 2, 3, 4)).gt(0)
    loss = reading_loss(model.read(found, batch["beam"]), batch["vbmd"]) + of_body.mean()
    return loss + roi_loss(weights, maps, batch) if "roi" in maps else loss


def roi_loss(weights: torch.Tensor, maps: dict[str, torch.Tensor], batch: dict) -> torch.Tensor:
    """Of the soft ROI its Dice, its cross-entropy (over voxels, for as many as the ROI has), and how far its mean HU is from that of
    the ROI (in units of 10 mg/cm³); the cross-entropy of the coarse ROI; and within the ROI as it was before lesions were painted, that
    of lesions."""
    roi, whole = batch["roi"], avg_pool3d(batch["roi"] + batch["lesion"], 2)
    size = roi.sum((1, 2, 3, 4), keepdim=True)
    in_place = binary_cross_entropy_with_logits(maps["roi"], roi, reduction="none") / size.clamp(min=_FEWEST_VOXELS)
    of_hu = ((weights - roi / size.clamp(min=1.0)) * batch["hu"]).sum((1, 2, 3, 4)).abs() * batch["beam"][:, 0] / 10.0
    lesion = (avg_pool3d(batch["lesion"], 2) / whole.clamp(min=1e-3)).clamp(0.0, 1.0)
    of_coarse = binary_cross_entropy_with_logits(maps["coarse"], avg_pool3d(roi, 2), reduction="none")
    of_lesion = binary_cross_entropy_with_logits(maps["lesion"], lesion, weight=whole, reduction="none")
    apart = (of_coarse + of_lesion).sum((1, 2, 3, 4)) / whole.sum((1, 2, 3, 4)).clamp(min=_FEWEST_VOXELS / 8)
    return _DICE(maps["roi"], roi) + (in_place.sum((1, 2, 3, 4)) + apart + _HU_SHARE * of_hu).mean()


def reading_loss(reading: torch.Tensor, vbmd: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of the references, plus the absolute error, plus what the readings of two looks at one vertebra differ by
    beside their mineral, in units of 10 mg/cm³.

    Errors are distributed as Student's t with 4 degrees of freedom: lesions now and then make large ones, which are not to widen
    every interval.
    """
    error, sd = (reading[:, 0] - vbmd) / 10.0, reading[:, 1] / 10.0
    likelihood = torch.log(sd) + 2.5 * torch.log1p(0.25 * (error / sd) ** 2)
    return (likelihood + error.abs()).mean() + error.unflatten(0, (-1, TWINS)).diff(dim=1).abs().mean()


def readings(model: torch.nn.Module, crops: Crops, own_sites: frozenset[str], config: DensityConfig) -> np.ndarray:
    """(n, 2): vBMD and SD in mg/cm³ of every crop, read as a scan is; of ``own_sites`` as one from a scanner of the training."""
    hu, beam = middle(crops, config.crop_size, own_sites)
    device = next(model.parameters()).device
    with torch.inference_mode():
        parts = [model(some.to(device), of.to(device))[0].cpu() for some, of in zip(hu.split(_AT_ONCE), beam.split(_AT_ONCE))]
    return torch.cat(parts).numpy()


def judged(read: np.ndarray, vbmd: np.ndarray) -> dict[str, float | None]:
    """What selects a network (MAE, RMSE, Pearson), its two classifications, and how often 95 % intervals hold the reference.

    What a single row or a single class does not define is None.
    """
    several = len(vbmd) > 1
    error = read[:, 0] - vbmd
    below = {limit: np.array([probability_below(limit, *row) for row in read]) for limit in (_LOW, _OSTEOPOROSIS)}
    return {
        "n": len(vbmd),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "pearson": float(stats.pearsonr(read[:, 0], vbmd).statistic) if several else None,
        "bias": float(error.mean()),
        "sd": float(error.std(ddof=1)) if several else None,
        "auc_low_bone_mass": _area(vbmd <= _LOW, below[_LOW]),
        "accuracy_low_bone_mass": float(((below[_LOW] > 0.5) == (vbmd <= _LOW)).mean()),
        "auc_osteoporosis": _area(vbmd < _OSTEOPOROSIS, below[_OSTEOPOROSIS]),
        "covered_95": float((np.abs(error) <= 1.959964 * read[:, 1]).mean()),
    }


def _area(truth: np.ndarray, probability: np.ndarray) -> float | None:
    """Area under the ROC curve; None where all are of one class."""
    return None if truth.all() or not truth.any() else float(area_value(truth, -probability))
