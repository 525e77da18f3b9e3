"""What the density network sees in training: crops in new poses, on new scanners, with more or less mineral."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from ..network.density import Beam, nominal_slope
from .crops import Crops


@dataclass(frozen=True)
class Augmentation:
    """How far a crop is changed: uniform within +- a limit, normal with an SD, or a share of all looks.

    turn_deg: rotation about each axis. shift_mm: along each. slope_sd, intercept_sd_hu: of scanners never seen. calibrated,
    own, unknown_kvp: shares of looks with HU calibrated by a phantom, of the cohort's own scanners left as they are, and of
    those without a tube voltage. mineral_mg_cm3: added to the trabecular bone of this share of looks.
    """

    turn_deg: float = 12.0
    shift_mm: float = 5.0
    slope_sd: float = 0.06
    intercept_sd_hu: float = 5.0
    calibrated: float = 0.25
    own: float = 0.5
    unknown_kvp: float = 0.1
    mineral: float = 0.3
    mineral_mg_cm3: tuple[float, float] = (-50.0, 80.0)
    noise_hu: float = 20.0


#: What is left of a scanner's linear error after calibration with a phantom: slope (SD), mg/cm³ (SD).
_CALIBRATION_SDS = 0.01, 2.0
_LEAST_VBMD = 5.0
#: HU below this are not scaled by a scanner's slope: air stays air.
_TAPER_HU = -200.0


def density_batches(
    crops: Crops, batch: int, seed: int, shape: Sequence[int], spacing_mm: float, own_sites: frozenset[str], augmentation: Augmentation
) -> Iterator[dict]:
    """Endless batches: ``hu`` (n, 1, z, y, x), ``beam`` (n, 3) and ``vbmd`` (n,); half of the rows from ``own_sites``, if there are any."""
    rng = np.random.default_rng(seed)
    is_own = np.isin(crops.site, sorted(own_sites))
    groups = [rows for rows in (np.flatnonzero(is_own), np.flatnonzero(~is_own)) if len(rows)]
    while True:
        looks = [
            _look(crops, int(rng.choice(groups[i % len(groups)])), shape, spacing_mm, own_sites, augmentation, rng) for i in range(batch)
        ]
        hu, beams, vbmd = zip(*looks)
        yield {"hu": torch.from_numpy(np.stack(hu))[:, None], "beam": torch.tensor(beams), "vbmd": torch.tensor(vbmd)}


def middle(crops: Crops, shape: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """All crops as the network reads them, without any change: (n, 1, z, y, x) HU and (n, 3) beams."""
    start = [(have - want) // 2 for have, want in zip(crops.hu.shape[1:], shape)]
    window = tuple(slice(s, s + want) for s, want in zip(start, shape))
    beams = [Beam(None if np.isnan(kvp) else float(kvp)).features for kvp in crops.kvp]
    return torch.from_numpy(crops.hu[(slice(None), *window)].astype(np.float32))[:, None], torch.tensor(beams)


def _look(crops: Crops, row: int, shape, spacing_mm: float, own_sites, how: Augmentation, rng) -> tuple[np.ndarray, tuple, np.float32]:
    hu, body = _posed(crops.hu[row], crops.body[row], shape, spacing_mm, how, rng)
    kvp = float(crops.kvp[row])
    slope, intercept = float(crops.slope_error[row]), float(crops.intercept_hu[row])
    known = not np.isnan(slope + intercept + kvp)
    kind = rng.random()
    calibrated = known and kind < how.calibrated
    if calibrated or (known and not (crops.site[row] in own_sites and kind < how.calibrated + how.own)):
        hu = (hu - _tapered(hu) * np.float32(intercept)) / (1 + _tapered(hu) * np.float32(slope))
        hu = _through_scanner(hu, calibrated, kvp, how, rng)
    vbmd, added = crops.vbmd[row], np.float32(0.0)
    if rng.random() < how.mineral:
        added = np.float32(max(rng.uniform(*how.mineral_mg_cm3), _LEAST_VBMD - vbmd))
        hu = hu + added / np.float32(nominal_slope(120.0 if calibrated or np.isnan(kvp) else kvp)) * _trabecular(body)
    beam = Beam(None if np.isnan(kvp) or rng.random() < how.unknown_kvp else kvp, 1.0 if calibrated else None)
    return _sharpened(hu, how, rng).astype(np.float32), beam.features, np.float32(vbmd + added)


def _through_scanner(hu: np.ndarray, calibrated: bool, kvp: float, how: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """HU of an ideal scanner as an unseen one shows them, or as its phantom corrects them to 120 kV."""
    if calibrated:
        factor = nominal_slope(kvp) / nominal_slope(120.0) * rng.normal(1.0, _CALIBRATION_SDS[0])
        return hu * np.float32(factor) + np.float32(rng.normal(0.0, _CALIBRATION_SDS[1]) / nominal_slope(120.0))
    share = _tapered(hu)
    return hu * (1 + share * np.float32(rng.normal(0.0, how.slope_sd))) + share * np.float32(rng.normal(0.0, how.intercept_sd_hu))


def _tapered(hu: np.ndarray) -> np.ndarray:
    return np.clip((hu + 1000.0) / (1000.0 + _TAPER_HU), 0.0, 1.0)


def _posed(hu: np.ndarray, body: np.ndarray, shape, spacing_mm: float, how: Augmentation, rng: np.random.Generator):
    """A window of the crop: shifted and mirrored left to right, and for every second look turned."""
    shift = rng.uniform(-how.shift_mm, how.shift_mm, 3) / spacing_mm
    middle = (np.array(hu.shape) - 1) / 2 + shift
    half = (np.array(shape) - 1) / 2
    if rng.random() < 0.5:
        start = np.rint(middle - half).astype(int)
        window = tuple(slice(max(s, 0), max(s, 0) + n) for s, n in zip(start, shape))
        parts = hu[window].astype(np.float32), body[window].astype(np.float32)
    else:
        turn = _rotation(np.radians(rng.uniform(-how.turn_deg, how.turn_deg, 3)))
        parts = tuple(
            ndimage.affine_transform(part.astype(np.float32), turn, middle - turn @ half, tuple(shape), order=1, mode="nearest")
            for part in (hu, body)
        )
    return tuple(part[:, :, ::-1] for part in parts) if rng.random() < 0.5 else parts


def _rotation(angles: np.ndarray) -> np.ndarray:
    """3 x 3, about z, y and x one after the other."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [other for other in range(3) if other != axis]
        turn = np.eye(3)
        turn[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        matrix = matrix @ turn
    return matrix


def _trabecular(body: np.ndarray) -> np.ndarray:
    """Share of added mineral in every voxel: the body without its shell, blurred as a scan blurs it."""
    return np.clip((ndimage.gaussian_filter(body / np.float32(255.0), 0.8) - 0.65) / 0.3, 0.0, 1.0)


def _sharpened(hu: np.ndarray, how: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Another kernel and slice thickness (blurred, or sharper than it was), and more noise."""
    if rng.random() < 0.5:
        along, across = rng.uniform(0.2, 1.0), rng.uniform(0.2, 0.7)
        blurred = ndimage.gaussian_filter(hu, (along, across, across))
        hu = hu + np.float32(rng.uniform(-1.0, 0.5)) * (hu - blurred)
    if rng.random() < 0.5:
        hu = hu + np.float32(rng.uniform(0.0, how.noise_hu)) * rng.standard_normal(hu.shape, dtype=np.float32)
    return hu
