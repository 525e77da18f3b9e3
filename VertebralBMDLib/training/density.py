"""Training of the density network on simulated crops, and its evaluation on simulated crops it never saw."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage, stats

from ..network.density import CROP_SIZE, SPACING_MM
from ..simulation.crops import draw_crop
from .workers import simulating_pool

#: Simulated crops are larger than what the network reads, so that each can be read at many places.
_MARGIN = 3
_CHUNK = 100


def simulated_crops(count: int, seed: int, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """``count`` crops of 38³ voxels at 2 mm as int16 HU, and their vBMD (mg/cm³ CaHA at 120 kVp).

    Simulated in chunks that are kept in ``cache``, so that an interrupted run goes on where it was.
    """
    cache.mkdir(parents=True, exist_ok=True)
    paths = {start: cache / f"crops-{seed}-{start}.npz" for start in range(0, count, _CHUNK)}
    missing = [(seed + start, min(_CHUNK, count - start), path) for start, path in paths.items() if not path.exists()]
    with simulating_pool() as pool:
        for done, _ in enumerate(pool.map(_simulate_chunk, *zip(*missing)), start=1) if missing else ():
            logging.getLogger(__name__).info("simulated %d of %d chunks of crops", done, len(missing))
    crops, values = [], []
    for path in paths.values():
        with np.load(path) as chunk:
            crops.append(chunk["hu"])
            values.append(chunk["vbmd"])
    return np.concatenate(crops), np.concatenate(values)


def _simulate_chunk(seed: int, count: int, path: Path) -> None:
    rng = np.random.default_rng(seed)
    drawn = [draw_crop(rng, (CROP_SIZE + 2 * _MARGIN,) * 3, SPACING_MM) for _ in range(count)]
    temporary = path.with_suffix(".part.npz")
    np.savez(
        temporary,
        hu=np.stack([crop.hu for crop in drawn]).astype(np.int16),
        vbmd=np.array([crop.vbmd_mg_cm3 for crop in drawn], dtype=np.float32),
    )
    temporary.replace(path)


def density_batches(crops: np.ndarray, vbmd: np.ndarray, batch: int, seed: int) -> Iterator[dict]:
    """Endless batches of ``hu`` (n, 1, 32, 32, 32), shifted, mirrored left to right, blurred and with noise, and ``vbmd`` (n,)."""
    rng = np.random.default_rng(seed)
    while True:
        chosen = rng.integers(len(crops), size=batch)
        hu = np.stack([_augmented(_window(crops[i], rng.integers(0, 2 * _MARGIN + 1, 3)), rng) for i in chosen])
        yield {"hu": torch.from_numpy(hu)[:, None], "vbmd": torch.from_numpy(vbmd[chosen])}


def _augmented(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur as resampling from a scan's thicker slices and coarser pixels brings, and noise before or after it."""
    hu = (crop[:, :, ::-1] if rng.random() < 0.5 else crop).astype(np.float32)
    along, across = rng.uniform(0.0, 1.0), rng.uniform(0.0, 0.7)
    blurred = ndimage.gaussian_filter(hu, (along, across, across)) if rng.random() < 0.8 else hu
    return blurred + rng.normal(0.0, rng.uniform(0.0, 20.0), hu.shape).astype(np.float32)


def _window(crop: np.ndarray, start) -> np.ndarray:
    z, y, x = start
    return crop[z : z + CROP_SIZE, y : y + CROP_SIZE, x : x + CROP_SIZE]


def density_loss(model: torch.nn.Module, batch: dict) -> torch.Tensor:
    """Gaussian negative log-likelihood of the reading plus its absolute error, in units of 10 mg/cm³."""
    vbmd, sd = model(batch["hu"]).unbind(1)
    error = (vbmd - batch["vbmd"]) / 10.0
    return (torch.log(sd / 10.0) + 0.5 * (error / (sd / 10.0)) ** 2 + error.abs()).mean()


def evaluated(model: torch.nn.Module, crops: np.ndarray, vbmd: np.ndarray) -> dict[str, float]:
    """Agreement on simulated crops that took no part in training, beside the best constant predictor."""
    with torch.inference_mode():
        hu = np.stack([_window(crop, (_MARGIN,) * 3) for crop in crops]).astype(np.float32)
        read = torch.cat([model(part[:, None])[:, 0] for part in torch.from_numpy(hu).split(32)]).numpy()
    error = read - vbmd
    return {
        "crops": len(vbmd),
        "bias_mg_cm3": float(error.mean()),
        "sd_mg_cm3": float(error.std(ddof=1)),
        "mae_mg_cm3": float(np.abs(error).mean()),
        "rmse_mg_cm3": float(np.sqrt((error**2).mean())),
        "pearson": float(stats.pearsonr(read, vbmd).statistic),
        "constant_predictor_rmse_mg_cm3": float(vbmd.std()),
    }
