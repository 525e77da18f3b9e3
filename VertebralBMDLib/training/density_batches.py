"""What the density network sees in training: crops in new poses, on new scanners, with more or less mineral, two looks at each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch.nn import functional

from ..network.density import Beam, nominal_slope
from .config import TWINS
from .crops import Crops


@dataclass(frozen=True)
class Augmentation:
    """How far a crop is changed: uniform within +- a limit, normal with an SD, or a share of all looks.

    turn_deg: rotation about each axis. shift_mm: along each. slope_sd, intercept_sd_hu: of scanners never seen. calibrated,
    unknown_kvp: shares of vertebrae with HU calibrated by a phantom, and of the others without a tube voltage. mineral_mg_cm3: added
    to the trabecular bone of this share of looks.
    """

    turn_deg: float = 12.0
    shift_mm: float = 5.0
    slope_sd: float = 0.06
    intercept_sd_hu: float = 5.0
    calibrated: float = 0.25
    unknown_kvp: float = 0.1
    mineral: float = 0.5
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
    """Endless batches of ``batch`` looks, two after each other at every vertebra; half of those from ``own_sites``, if there are any.

    ``hu``: (n, 1, z, y, x); ``body``, ``trabecular``: shares of every voxel, of the same shape; ``beam``: (n, 3); ``vbmd``: (n,).
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    is_own = np.isin(crops.site, sorted(own_sites))
    groups = [rows for rows in (np.flatnonzero(is_own), np.flatnonzero(~is_own)) if len(rows)]
    turns = itertools.cycle(groups)
    while True:
        rows = [int(rng.choice(next(turns))) for _ in range(batch // TWINS)]
        yield _looks(crops, rows, shape, spacing_mm, own_sites, augmentation, rng, generator)


def middle(crops: Crops, shape: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """All crops as the network reads them, without any change: (n, 1, z, y, x) HU and (n, 3) beams."""
    start = [(have - want) // 2 for have, want in zip(crops.hu.shape[1:], shape)]
    window = tuple(slice(s, s + want) for s, want in zip(start, shape))
    beams = [Beam(None if np.isnan(kvp) else float(kvp)).features for kvp in crops.kvp]
    return torch.from_numpy(crops.hu[(slice(None), *window)].astype(np.float32))[:, None], torch.tensor(beams)


def _looks(crops: Crops, rows: Sequence[int], shape, spacing_mm: float, own_sites, how: Augmentation, rng, generator) -> dict:
    pairs = np.repeat(rows, TWINS)
    whole = torch.from_numpy(np.stack([crops.hu[pairs], crops.body[pairs] / 255.0], axis=1).astype(np.float32))
    hu, body = _posed(whole, shape, spacing_mm, how, rng).split(1, dim=1)
    trabecular = _trabecular(body)
    vbmd = torch.from_numpy(crops.vbmd[pairs])
    measurable = ~np.isnan(crops.slope_error[pairs]) & (crops.body[pairs].max(axis=(1, 2, 3)) > 0)
    added = _added(vbmd, how, rng) * torch.from_numpy(measurable)
    seen, beams = [], []
    for first, row in enumerate(rows):
        pair = slice(TWINS * first, TWINS * first + TWINS)
        scanner = _scanner(crops, row, own_sites, how, rng)
        mineral = (added[pair] / scanner.nominal_slope)[:, None, None, None, None] * trabecular[pair]
        seen.append(scanner.seen(scanner.ideal(hu[pair]) + mineral))
        beams += [scanner.beam.features] * TWINS
    hu = _sharpened(torch.cat(seen), how, rng, generator)
    return {"hu": hu, "body": body, "trabecular": trabecular, "beam": torch.tensor(beams), "vbmd": vbmd + added}


def _added(vbmd: torch.Tensor, how: Augmentation, rng: np.random.Generator) -> torch.Tensor:
    """mg/cm³ that each look has more than its crop: none for some; never so much less that hardly any is left."""
    drawn = [rng.uniform(*how.mineral_mg_cm3) if rng.random() < how.mineral else 0.0 for _ in vbmd]
    return torch.maximum(torch.tensor(drawn, dtype=torch.float32), (_LEAST_VBMD - vbmd).clamp(max=0.0))


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


def _scanner(crops: Crops, row: int, own_sites: frozenset[str], how: Augmentation, rng: np.random.Generator) -> _Scanner:
    """One that a phantom has calibrated to 120 kV, else the crop's own as it is where it is of ``own_sites``, else an unseen one."""
    kvp = float(crops.kvp[row])
    error = float(crops.slope_error[row]), float(crops.intercept_hu[row])
    beam = Beam(None if np.isnan(kvp) or rng.random() < how.unknown_kvp else kvp)
    nominal, usual = nominal_slope(120.0 if np.isnan(kvp) else kvp), nominal_slope(120.0)
    if np.isnan([*error, kvp]).any():
        return _Scanner((0.0, 0.0), 0.0, 0.0, nominal, beam)
    if rng.random() < how.calibrated:
        slope, offset = rng.normal(0.0, _CALIBRATION_SDS)
        return _Scanner(error, slope, offset / usual, nominal, Beam(kvp, 1.0), nominal / usual)
    if crops.site[row] in own_sites:
        return _Scanner(error, *error, nominal, beam)
    return _Scanner(error, rng.normal(0.0, how.slope_sd), rng.normal(0.0, how.intercept_sd_hu), nominal, beam)


def _tapered(hu: torch.Tensor) -> torch.Tensor:
    return ((hu + 1000.0) / (1000.0 + _TAPER_HU)).clamp(0.0, 1.0)


def _posed(whole: torch.Tensor, shape, spacing_mm: float, how: Augmentation, rng: np.random.Generator) -> torch.Tensor:
    """A window (z, y, x) = ``shape`` of every crop (n, channels, z, y, x): shifted, mirrored left to right for every second look, and
    for every second turned; what is not turned is not interpolated either."""
    n, size = len(whole), np.array(whole.shape[:1:-1], dtype=float)
    wanted = np.array(shape[::-1], dtype=float)
    theta = np.zeros((n, 3, 4))
    for at in range(n):
        turn, shift = np.eye(3), rng.uniform(-how.shift_mm, how.shift_mm, 3) / spacing_mm
        if rng.random() < 0.5:
            turn = Rotation.from_euler("xyz", rng.uniform(-how.turn_deg, how.turn_deg, 3), degrees=True).as_matrix()
        else:
            # Half a voxel where the window cannot lie in the middle of the crop.
            odd = (size - wanted) % 2 / 2
            shift = np.rint(shift + odd) - odd
        if rng.random() < 0.5:
            turn = turn * np.array([-1.0, 1.0, 1.0])
        # In torch's frame, in which the centres of the outermost voxels lie at -1 and 1.
        theta[at, :, :3] = turn * (wanted - 1) / (size - 1)[:, None]
        theta[at, :, 3] = 2 * shift / (size - 1)
    grid = functional.affine_grid(torch.from_numpy(theta.astype(np.float32)), [n, 1, *shape], align_corners=True)
    return functional.grid_sample(whole, grid, padding_mode="border", align_corners=True)


def _trabecular(body: torch.Tensor) -> torch.Tensor:
    """Share of added mineral in every voxel: the body without its shell, blurred as a scan blurs it."""
    return ((_blurred(body, np.full((len(body), 3), 0.8)) - 0.65) / 0.3).clamp(0.0, 1.0)


def _blurred(images: torch.Tensor, sd: np.ndarray) -> torch.Tensor:
    """(n, 1, z, y, x) under Gaussians of ``sd`` (n, 3) voxels along z, y and x, each at most 1."""
    reach = 3
    steps = torch.arange(-reach, reach + 1)
    for axis in range(3):
        taps = torch.exp(-(steps**2) / (2 * torch.from_numpy(sd[:, axis, None].astype(np.float32)) ** 2))
        taps = (taps / taps.sum(1, keepdim=True))[:, :, None, None, None, None]
        padding = [0, 0, 0, 0, 0, 0]
        padding[2 * (2 - axis) : 2 * (2 - axis) + 2] = [reach, reach]
        padded = functional.pad(images, padding, mode="replicate")
        images = sum(taps[:, at] * padded.narrow(2 + axis, at, images.shape[2 + axis]) for at in range(2 * reach + 1))
    return images


def _sharpened(hu: torch.Tensor, how: Augmentation, rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
    """Half of the looks with another kernel and slice thickness (blurred, or sharper than they were), and half with more noise."""
    changed = rng.random(len(hu)) < 0.5
    if changed.any():
        few = hu[torch.from_numpy(changed)]
        along, across = rng.uniform(0.2, 1.0, len(few)), rng.uniform(0.2, 0.7, len(few))
        amount = torch.from_numpy(rng.uniform(-1.0, 0.5, (len(few), 1, 1, 1, 1)).astype(np.float32))
        hu[torch.from_numpy(changed)] = few + amount * (few - _blurred(few, np.stack([along, across, across], axis=1)))
    noise = rng.uniform(0.0, how.noise_hu, (len(hu), 1, 1, 1, 1)) * (rng.random((len(hu), 1, 1, 1, 1)) < 0.5)
    return hu + torch.from_numpy(noise.astype(np.float32)) * torch.randn(hu.shape, generator=generator)
