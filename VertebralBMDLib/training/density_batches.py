"""What the density network sees in training: crops in new poses, on new scanners, with more or less mineral, two looks at each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..network.density import Beam, nominal_slope
from .config import TWINS
from .crops import Crops
from .density_images import posed, sharpened, smoothed, trabecular_share, unevenness, with_lesions


@dataclass(frozen=True)
class Augmentation:
    """How far a crop is changed: uniform within +- a limit, normal with an SD, or a share of all looks.

    turn_deg: rotation about each axis. shift_mm: along each. slope_sd, intercept_sd_hu: of scanners never seen. calibrated: share of
    vertebrae with HU calibrated by a phantom. own: share of the others on one of the own scanners. unknown_kvp: share of these two
    without a tube voltage. mineral_mg_cm3: added to the trabecular bone of this share of looks. uneven: share of looks with
    mineral added here and taken there, uneven_mg_cm3: its SD at most. smooth: share of looks with less fine structure of bone. lesions:
    share of looks with a painted lesion, whose reference is that of the bone around it.
    """

    turn_deg: float = 12.0
    shift_mm: float = 5.0
    slope_sd: float = 0.06
    intercept_sd_hu: float = 5.0
    calibrated: float = 0.25
    own: float = 0.5
    unknown_kvp: float = 0.1
    mineral: float = 0.5
    mineral_mg_cm3: tuple[float, float] = (-50.0, 80.0)
    uneven: float = 0.5
    uneven_mg_cm3: float = 25.0
    smooth: float = 0.5
    lesions: float = 0.7
    noise_hu: float = 20.0


#: What is left of a scanner's linear error after calibration with a phantom: slope (SD), mg/cm³ (SD).
_CALIBRATION_SDS = 0.01, 2.0
_LEAST_VBMD = 5.0
#: HU below this are not scaled by a scanner's slope: air stays air.
_TAPER_HU = -200.0


def density_batches(
    crops: Crops, batch: int, seed: int, shape: Sequence[int], spacing_mm: float, own_sites: frozenset[str], augmentation: Augmentation
) -> Iterator[dict]:
    """Endless batches of ``batch`` looks, two after each other at every vertebra; half of those from ``own_sites``, if there are any.

    ``hu``: (n, 1, z, y, x); ``body``, ``roi``, ``lesion`` (what painted lesions took of the ROI): shares of every voxel, of the same
    shape; ``beam``: (n, 4); ``vbmd``: (n,).
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    is_own = np.isin(crops.site, sorted(own_sites))
    groups = [rows for rows in (np.flatnonzero(is_own), np.flatnonzero(~is_own)) if len(rows)]
    turns = itertools.cycle(groups)
    own_errors = np.unique(np.stack([crops.slope_error, crops.intercept_hu], axis=1)[is_own & ~np.isnan(crops.slope_error)], axis=0)
    while True:
        rows = [int(rng.choice(next(turns))) for _ in range(batch // TWINS)]
        scanners = [_scanner(crops, row, is_own[row], own_errors, augmentation, rng) for row in rows]
        yield _looks(crops, rows, scanners, shape, spacing_mm, augmentation, rng, generator)


def middle(crops: Crops, shape: Sequence[int], own_sites: frozenset[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """All crops as the network reads them, without any change: (n, 1, z, y, x) HU and (n, 4) beams."""
    start = [(have - want) // 2 for have, want in zip(crops.hu.shape[1:], shape)]
    window = tuple(slice(s, s + want) for s, want in zip(start, shape))
    beams = [Beam(None if np.isnan(kvp) else float(kvp), own=site in own_sites).features for kvp, site in zip(crops.kvp, crops.site)]
    return torch.from_numpy(crops.hu[(slice(None), *window)].astype(np.float32))[:, None], torch.tensor(beams)


def _looks(
    crops: Crops, rows: Sequence[int], scanners: Sequence[_Scanner], shape, spacing_mm: float, how: Augmentation, rng, generator
) -> dict:
    pairs, scanners = np.repeat(rows, TWINS), [scanner for scanner in scanners for _ in range(TWINS)]
    whole = np.stack([crops.hu[pairs], crops.body[pairs] / 255.0, crops.roi[pairs] / 255.0], axis=1).astype(np.float32)
    hu, body, roi = posed(torch.from_numpy(whole), shape, spacing_mm, how.turn_deg, how.shift_mm, rng).split(1, dim=1)
    vbmd = torch.from_numpy(crops.vbmd[pairs])
    measurable = torch.from_numpy(~np.isnan(crops.slope_error[pairs]) & (crops.body[pairs].max(axis=(1, 2, 3)) > 0))
    added = _added(vbmd, how, rng) * measurable
    uneven = _uneven(vbmd + added, how, rng) * measurable
    uneven = uneven[:, None, None, None, None] * unevenness(body, spacing_mm, rng)
    slopes = torch.tensor([scanner.nominal_slope for scanner in scanners])[:, None, None, None, None]
    ideal = torch.cat([scanner.ideal(one) for scanner, one in zip(scanners, hu.split(1))])
    bone = trabecular_share(body)
    ideal = smoothed(ideal, bone, how.smooth, rng) + (added[:, None, None, None, None] + uneven) / slopes * bone
    whole = roi
    ideal, roi = with_lesions(ideal, whole, body, how.lesions, spacing_mm, rng)
    hu = torch.cat([scanner.seen(one) for scanner, one in zip(scanners, ideal.split(1))])
    beam = torch.tensor([scanner.beam.features for scanner in scanners])
    return {
        "hu": sharpened(hu, how.noise_hu, rng, generator),
        "body": body,
        "roi": roi,
        "lesion": whole - roi,
        "beam": beam,
        "vbmd": vbmd + added + (roi * uneven).sum((1, 2, 3, 4)) / roi.sum((1, 2, 3, 4)).clamp(min=1e-3),
    }


def _added(vbmd: torch.Tensor, how: Augmentation, rng: np.random.Generator) -> torch.Tensor:
    """mg/cm³ that each look has more than its crop: none for some; never so much less that hardly any is left."""
    drawn = [rng.uniform(*how.mineral_mg_cm3) if rng.random() < how.mineral else 0.0 for _ in vbmd]
    return torch.maximum(torch.tensor(drawn, dtype=torch.float32), (_LEAST_VBMD - vbmd).clamp(max=0.0))


def _uneven(vbmd: torch.Tensor, how: Augmentation, rng: np.random.Generator) -> torch.Tensor:
    """SD in mg/cm³ by which the bone of each look is made uneven: never so much that there are large holes in it."""
    drawn = [rng.uniform() if rng.random() < how.uneven else 0.0 for _ in vbmd]
    return torch.tensor(drawn, dtype=torch.float32) * (0.5 * vbmd).clamp(0.0, how.uneven_mg_cm3)


@dataclass(frozen=True)
class _Scanner:
    """A vertebra's scanner: the linear error (slope, HU) that its HU are known to come with, the one that they are seen with instead,
    and the factor by which a phantom brings them to 120 kV (None without one, and then air stays air)."""

    known: tuple[float, float]
    slope: float
    intercept_hu: float
    nominal_slope: float
    beam: Beam
    factor: float | None = None

    def ideal(self, hu: torch.Tensor) -> torch.Tensor:
        """Without the known error."""
        slope, intercept = self.known
        return (hu - _tapered(hu) * intercept) / (1.0 + _tapered(hu) * slope)

    def seen(self, hu: torch.Tensor) -> torch.Tensor:
        """What an ideal scanner shows, on this one."""
        if self.factor is not None:
            return hu * self.factor * (1.0 + self.slope) + self.intercept_hu
        return hu * (1.0 + _tapered(hu) * self.slope) + _tapered(hu) * self.intercept_hu


def _scanner(crops: Crops, row: int, is_own: bool, own_errors: np.ndarray, how: Augmentation, rng: np.random.Generator) -> _Scanner:
    """One that a phantom has calibrated to 120 kV, else an own one (the crop's, or for others any; ``own_errors`` (n, 2): slope, HU), else
    an unseen one. A crop whose error nobody knows stays as it is."""
    kvp = float(crops.kvp[row])
    error = float(crops.slope_error[row]), float(crops.intercept_hu[row])
    told = None if np.isnan(kvp) or rng.random() < how.unknown_kvp else kvp
    nominal, usual = nominal_slope(120.0 if np.isnan(kvp) else kvp), nominal_slope(120.0)
    if np.isnan([*error, kvp]).any():
        return _Scanner((0.0, 0.0), 0.0, 0.0, nominal, Beam(told, own=bool(is_own)))
    if rng.random() < how.calibrated:
        slope, offset = rng.normal(0.0, _CALIBRATION_SDS)
        return _Scanner(error, slope, offset / usual, nominal, Beam(kvp, 1.0), nominal / usual)
    if len(own_errors) and rng.random() < how.own:
        own = error if is_own else own_errors[rng.integers(len(own_errors))].tolist()
        return _Scanner(error, *own, nominal, Beam(told, own=True))
    return _Scanner(error, rng.normal(0.0, how.slope_sd), rng.normal(0.0, how.intercept_sd_hu), nominal, Beam(told))


def _tapered(hu: torch.Tensor) -> torch.Tensor:
    return ((hu + 1000.0) / (1000.0 + _TAPER_HU)).clamp(0.0, 1.0)
