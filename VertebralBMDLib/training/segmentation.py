"""Training of the two segmentation networks on annotated scans, real and simulated: their cubes and their losses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from monai.losses import DiceCELoss

from ..network.segmentation import LOCALISE_SPACING_MM, REFINE_SIZE, REFINE_SPACING_MM, STRUCTURES
from .annotated import UNNAMED, Annotated, complete
from .augmentation import augmentation, collated
from .sampling import a_case, cube_around

LOCALISE_CUBE = 64
_BODY = STRUCTURES.index("body")
#: Radius of the Gaussian that marks a body's centre for the localiser.
_CENTRE_SIGMA_MM = 6.0
#: Cubes are cut larger than what the network reads, so that turning and scaling them finds scan at the corners.
_LARGER = 1.5


def localise_batches(real: list[Annotated], simulated: list[Annotated], batch: int, seed: int) -> Iterator[dict]:
    """Endless batches of augmented 64³ cubes at 3 mm: ``hu``, ``maps`` (centres with ribs, without) and ``structures``."""
    groups = [[(scan, _with_centres(scan)) for scan in scans] for scans in (real, simulated)]
    augment = augmentation(LOCALISE_CUBE, LOCALISE_SPACING_MM, shift_mm=12.0, rotation=0.25, seed=seed)
    rng = np.random.default_rng(seed)
    while True:
        chosen = [a_case(groups, rng) for _ in range(batch)]
        yield collated([augment(cube_around(case, _a_place(scan, rng), int(LOCALISE_CUBE * _LARGER))) for scan, case in chosen])


def localise_loss(model: torch.nn.Module, batch: dict) -> torch.Tensor:
    """Cross-entropy and Dice of the structures, and a foreground-weighted error of the two centre maps.

    Where a bone has no name, only the body is known not to be there.
    """
    logits = model(batch["hu"])
    parts, heat = logits[:, : len(STRUCTURES)], torch.sigmoid(logits[:, len(STRUCTURES) :])
    structures = batch["structures"][:, 0].round().long()
    unnamed = structures == UNNAMED
    target = structures.masked_fill(unnamed, 0)
    logs = torch.log_softmax(parts, dim=1)
    weight = torch.where(target > 0, 4.0, 1.0) * ~unnamed
    cross = (weight * torch.nn.functional.nll_loss(logs, target, reduction="none")).mean()
    probability = logs.exp()
    not_body = -(unnamed * torch.log1p(-probability[:, _BODY].clamp(max=0.999))).mean()
    known = (~unnamed).float()
    dice = []
    for label in range(1, len(STRUCTURES)):
        here = (target == label).float() * known
        seen = probability[:, label] * known
        dice.append(1 - (2 * (seen * here).sum() + 20) / (seen.sum() + here.sum() + 20))
    centres = batch["maps"]
    peak = ((1 + 50 * centres) * (heat - centres) ** 2).mean()
    return cross + not_body + 2 * dice[_BODY - 1] + torch.stack(dice).mean() + 5 * peak


def refine_batches(real: list[Annotated], simulated: list[Annotated], batch: int, seed: int, ossified: float = 0.0) -> Iterator[dict]:
    """Endless batches of augmented 48³ crops at 1.5 mm around one complete body each: ``hu`` and ``maps`` (the body).

    ``ossified``: share of crops in which discs and ligaments become bone.
    """
    groups = [[(scan, label) for scan in scans for label in scan.centres if complete(label)] for scans in (real, simulated)]
    augment = augmentation(REFINE_SIZE, REFINE_SPACING_MM, shift_mm=6.0, rotation=0.3, seed=seed, ossified=ossified)
    rng = np.random.default_rng(seed)
    while True:
        yield collated([augment(_refine_cube(*a_case(groups, rng))) for _ in range(batch)])


_REFINE_LOSS = DiceCELoss(sigmoid=True)


def refine_loss(model: torch.nn.Module, batch: dict) -> torch.Tensor:
    """Dice plus cross-entropy of the body at the centre of the crop."""
    return _REFINE_LOSS(model(batch["hu"]), batch["maps"])


def _with_centres(scan: Annotated) -> dict[str, np.ndarray]:
    """Arrays of shape (channels, z, y, x): HU with the centres of the bodies that bear ribs and of the others; structures."""
    maps = np.zeros((2, *scan.hu.shape), dtype=np.float32)
    for label, position in scan.centres.items():
        if complete(label):
            _mark(maps[0 if label in scan.ribbed else 1], position, _CENTRE_SIGMA_MM / LOCALISE_SPACING_MM)
    return {"image": np.concatenate([scan.hu[None], maps]).astype(np.float16), "structures": scan.structures[None]}


def _refine_cube(scan: Annotated, label: int) -> dict[str, np.ndarray]:
    arrays = {"image": scan.hu[None], "labels": scan.labels[None], "structures": scan.structures[None]}
    cube = cube_around(arrays, scan.centres[label], int(REFINE_SIZE * _LARGER))
    body = (cube["labels"] == label).astype(np.float32)
    return {"image": np.concatenate([cube["image"], body]), "structures": cube["structures"]}


def _mark(centres: np.ndarray, position: tuple[float, ...], sigma: float) -> None:
    """Raise ``centres`` (z, y, x) to a Gaussian around ``position``, within four of its SDs."""
    window = tuple(slice(max(0, int(p - 4 * sigma)), int(p + 4 * sigma) + 2) for p in position)
    axes = [np.exp(-((np.arange(n)[part] - p) ** 2) / (2 * sigma**2)) for n, part, p in zip(centres.shape, window, position)]
    np.maximum(centres[window], axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :], out=centres[window])


def _a_place(scan: Annotated, rng: np.random.Generator) -> np.ndarray:
    """A voxel (z, y, x): four times in five near a body's centre, else anywhere."""
    if rng.random() < 0.8:
        centres = list(scan.centres.values())
        return np.round(centres[rng.integers(len(centres))]).astype(int) + rng.integers(-20, 21, 3)
    return rng.integers(0, scan.hu.shape)
