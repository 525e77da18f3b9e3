"""Training of the two segmentation networks on annotated scans, real and simulated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from monai.losses import DiceCELoss
from monai.transforms import (
    Compose,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSimulateLowResolutiond,
)
from scipy import ndimage

from ..network.segmentation import LOCALISE_SPACING_MM, REFINE_SIZE
from .annotated import Annotated, complete

LOCALISE_CUBE = 64
#: Radius of the Gaussian that marks a body's centre for the localiser.
_CENTRE_SIGMA_MM = 6.0


def localise_batches(real: list[Annotated], simulated: list[Annotated], batch: int, seed: int) -> Iterator[dict]:
    """Endless batches of augmented 64³ cubes at 3 mm: ``hu``, ``body``, ``centre`` and the ``weight`` of each voxel."""
    groups = [[_localise_case(scan) for scan in scans] for scans in (real, simulated)]
    augment = _augmentation(LOCALISE_CUBE, ["hu", "body", "centre", "weight"], shift=4.0, rotation=0.2, scale=0.2, seed=seed)
    rng = np.random.default_rng(seed)
    while True:
        chosen = [_a_case(groups, rng) for _ in range(batch)]
        yield _collate([augment(_cube_around(case, _a_place(case, rng), LOCALISE_CUBE * 3 // 2)) for case in chosen])


def localise_loss(model: torch.nn.Module, batch: dict) -> torch.Tensor:
    """Weighted cross-entropy and Dice of the body mask plus a foreground-weighted error of the centre map."""
    logits = model(batch["hu"])
    body, centre, weight = batch["body"].round(), batch["centre"], (batch["weight"] > 0.5).float()
    cross = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, :1], body, weight=weight * (1 + 4 * body))
    probability = torch.sigmoid(logits[:, :1]) * weight
    dice = 1 - (2 * (probability * body).sum() + 1) / (probability.sum() + (body * weight).sum() + 1)
    heat = torch.sigmoid(logits[:, 1:])
    peak = (weight * (1 + 50 * centre) * (heat - centre) ** 2).mean()
    return cross + dice + 5 * peak


def refine_batches(real: list[Annotated], simulated: list[Annotated], batch: int, seed: int) -> Iterator[dict]:
    """Endless batches of augmented 48³ crops at 1.5 mm around one complete body each: ``hu`` and ``body``."""
    groups = [[case for scan in scans for case in _refine_cases(scan)] for scans in (real, simulated)]
    augment = _augmentation(REFINE_SIZE, ["hu", "body"], shift=5.0, rotation=0.3, scale=0.2, seed=seed)
    rng = np.random.default_rng(seed)
    while True:
        yield _collate([augment(_a_case(groups, rng)) for _ in range(batch)])


_REFINE_LOSS = DiceCELoss(sigmoid=True)


def refine_loss(model: torch.nn.Module, batch: dict) -> torch.Tensor:
    """Dice plus cross-entropy of the body at the centre of the crop."""
    return _REFINE_LOSS(model(batch["hu"]), batch["body"].round())


def _localise_case(scan: Annotated) -> dict[str, np.ndarray]:
    """Arrays of shape (1, z, y, x); bodies cut by the border carry no weight, so that nothing is learned from them."""
    body = (scan.labels > 0) & (scan.labels < 100)
    centre = np.zeros(scan.labels.shape, dtype=np.float32)
    weight = np.ones(scan.labels.shape, dtype=np.float32)
    weight[ndimage.binary_dilation(scan.labels > 100, iterations=3)] = 0
    for label, position in scan.centres.items():
        if complete(label):
            centre = np.maximum(centre, _gaussian(scan.labels.shape, position, _CENTRE_SIGMA_MM / LOCALISE_SPACING_MM))
    arrays = {"hu": scan.hu, "body": body, "centre": centre, "weight": weight}
    return {key: value[None].astype(np.float32) for key, value in arrays.items()}


def _refine_cases(scan: Annotated) -> list[dict[str, np.ndarray]]:
    cases = []
    for label, position in scan.centres.items():
        if complete(label):
            case = {"hu": scan.hu[None].astype(np.float32), "body": (scan.labels == label)[None].astype(np.float32)}
            cases.append(_cube_around(case, position, REFINE_SIZE * 7 // 4))
    return cases


def _gaussian(shape: tuple[int, ...], centre: tuple[float, ...], sigma: float) -> np.ndarray:
    axes = [np.exp(-((np.arange(n) - c) ** 2) / (2 * sigma**2)) for n, c in zip(shape, centre)]
    return (axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :]).astype(np.float32)


def _a_case(groups: list[list], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A real case two times in three where there are both kinds."""
    real, simulated = groups
    cases = real if real and (not simulated or rng.random() < 2 / 3) else simulated
    return cases[rng.integers(len(cases))]


def _a_place(case: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """A voxel (z, y, x): three times in four in or near a body, else anywhere."""
    shape = case["hu"].shape[1:]
    bodies = np.argwhere(case["body"][0] > 0)
    if rng.random() < 0.75 and len(bodies):
        return bodies[rng.integers(len(bodies))] + rng.integers(-16, 17, 3)
    return rng.integers(0, shape)


def _cube_around(case: dict[str, np.ndarray], position, size: int) -> dict[str, np.ndarray]:
    """A cube of ``size`` voxels around ``position``; outside the scan it is air without weight."""
    start = np.round(np.asarray(position)).astype(int) - size // 2
    cut = {}
    for key, array in case.items():
        cube = np.full((1, size, size, size), -1024.0 if key == "hu" else 0.0, dtype=np.float32)
        low = np.maximum(start, 0)
        high = np.minimum(start + size, array.shape[1:])
        if np.all(high > low):
            source = tuple(slice(a, b) for a, b in zip(low, high))
            target = tuple(slice(a, b) for a, b in zip(low - start, high - start))
            cube[(0, *target)] = array[(0, *source)]
        cut[key] = cube
    return cut


def _augmentation(size: int, keys: list[str], shift: float, rotation: float, scale: float, seed: int) -> Compose:
    """Random pose, left-right flip, slice thickness, kernel, noise, contrast and density, in HU."""
    modes = ["bilinear"] * len(keys)
    paddings = ["border"] + ["zeros"] * (len(keys) - 1)
    augment = Compose(
        [
            RandAffined(
                keys,
                prob=1.0,
                rotate_range=(rotation,) * 3,
                scale_range=(scale,) * 3,
                shear_range=(0.05,) * 6,
                translate_range=(shift,) * 3,
                spatial_size=(size,) * 3,
                mode=modes,
                padding_mode=paddings,
            ),
            RandFlipd(keys, prob=0.5, spatial_axis=2),
            RandSimulateLowResolutiond("hu", prob=0.3, zoom_range=(0.4, 1.0)),
            RandGaussianSmoothd("hu", prob=0.4, sigma_x=(0.1, 1.5), sigma_y=(0.1, 0.8), sigma_z=(0.1, 0.8)),
            RandScaleIntensityd("hu", prob=0.5, factors=0.3),
            RandShiftIntensityd("hu", prob=0.5, offsets=60.0),
            RandGaussianNoised("hu", prob=0.5, std=60.0),
        ]
    )
    return augment.set_random_state(seed)


def _collate(items: list[dict]) -> dict[str, torch.Tensor]:
    return {key: torch.stack([torch.as_tensor(item[key]).float() for item in items]) for key in items[0]}
