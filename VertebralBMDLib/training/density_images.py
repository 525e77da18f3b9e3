"""What changes a crop in training, on batches of images: pose, focal lesions, kernel, slice thickness and noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch.nn import functional

#: Half axes of painted lesions in mm, and HU inside, wide enough for any tube voltage: a soft tumour, or bone that a tumour has made
#: (qct_facts 5.9).
_HALF_AXES_MM = 3.0, 16.0
_LYTIC_HU, _BLASTIC_HU = (0.0, 90.0), (250.0, 950.0)
#: Lengths of the waves by which bone is uneven, and how far from the surface its core is still felt.
_WAVES_MM, _DEPTH_MM = (30.0, 80.0), 9.0
#: Share of the ROI that lesions leave at least; with less there is no density to be read.
_LEAST_LEFT = 0.2


def posed(whole: torch.Tensor, shape, spacing_mm: float, turn_deg: float, shift_mm: float, rng: np.random.Generator) -> torch.Tensor:
    """A window (z, y, x) = ``shape`` of every crop (n, channels, z, y, x): shifted, mirrored left to right for every second look, and
    for every second turned; what is not turned is not interpolated either."""
    n, size = len(whole), np.array(whole.shape[:1:-1], dtype=float)
    wanted = np.array(shape[::-1], dtype=float)
    theta = np.zeros((n, 3, 4))
    for at in range(n):
        turn, shift = np.eye(3), rng.uniform(-shift_mm, shift_mm, 3) / spacing_mm
        if rng.random() < 0.5:
            turn = Rotation.from_euler("xyz", rng.uniform(-turn_deg, turn_deg, 3), degrees=True).as_matrix()
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


def trabecular_share(body: torch.Tensor) -> torch.Tensor:
    """Share of added mineral in every voxel: the body without its shell, blurred as a scan blurs it."""
    return ((blurred(body, np.full((len(body), 3), 0.8)) - 0.65) / 0.3).clamp(0.0, 1.0)


def blurred(images: torch.Tensor, sd: np.ndarray) -> torch.Tensor:
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


def unevenness(body: torch.Tensor, spacing_mm: float, rng: np.random.Generator) -> torch.Tensor:
    """How much denser than the rest each voxel of a body is, (n, 1, z, y, x), of SD 1 or so: random waves, and a soft or dense core.

    Real bone often has a soft core under a dense rim, which must not pass for a lytic lesion.
    """
    depth, reach = body, round(_DEPTH_MM / spacing_mm)
    for z, y, x in ((reach, 0, 0), (0, reach, 0), (0, 0, reach)):
        depth = functional.avg_pool3d(depth, (2 * z + 1, 2 * y + 1, 2 * x + 1), stride=1, padding=(z, y, x))
    inside = body.sum((2, 3, 4), keepdim=True).clamp(min=1.0)
    mean = (body * depth).sum((2, 3, 4), keepdim=True) / inside
    scatter = ((body * (depth - mean) ** 2).sum((2, 3, 4), keepdim=True) / inside).sqrt().clamp(min=1e-3)
    axes = [torch.arange(size, dtype=torch.float32) for size in body.shape[2:]]
    place = axes[0][:, None, None], axes[1][:, None], axes[2]
    waves = torch.stack([_waves(place, float(np.exp(rng.uniform(*np.log(_WAVES_MM)))) / spacing_mm, rng) for _ in body])[:, None]
    turn = torch.from_numpy(rng.uniform(0.0, 2 * np.pi, (len(body), 1, 1, 1, 1)).astype(np.float32))
    return torch.cos(turn) * waves + torch.sin(turn) * (depth - mean) / scatter


def smoothed(hu: torch.Tensor, bone: torch.Tensor, share: float, rng: np.random.Generator) -> torch.Tensor:
    """This share of the images without a random part of the fine structure of their ``bone`` (share of every voxel).

    Bone is as smooth as that on many real scans, and must not pass for a lesion.
    """
    at = torch.from_numpy(np.flatnonzero(rng.random(len(hu)) < share))
    few = hu[at]
    part = torch.from_numpy(rng.uniform(0.0, 1.0, (len(few), 1, 1, 1, 1)).astype(np.float32))
    return hu.index_copy(0, at, few - part * bone[at] * (few - blurred(few, np.ones((len(few), 3)))))


def with_lesions(
    hu: torch.Tensor, roi: torch.Tensor, body: torch.Tensor, share: float, spacing_mm: float, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A focal lesion painted into the body of this share of the images (all (n, 1, z, y, x)), and the ROI that it leaves.

    An ellipsoid with a wavy surface around a random point of the body, lytic, blastic, or both in patches; it keeps a random share of
    the fine structure of the image, which is noise and bone: some lesions are smooth. None where nobody has outlined the body, or where
    it would leave hardly any of the ROI.
    """
    chosen = (rng.random(len(hu)) < share) & (body.amax((1, 2, 3, 4)) > 0.5).numpy()
    if not chosen.any():
        return hu, roi
    at = torch.from_numpy(np.flatnonzero(chosen))
    cover, inside = zip(*(_lesion(one[0], spacing_mm, rng) for one in body[at]))
    cover = torch.stack(cover)[:, None] * body[at]
    left = roi[at] * (1.0 - cover)
    kept = left.sum((1, 2, 3, 4), keepdim=True) >= _LEAST_LEFT * roi[at].sum((1, 2, 3, 4), keepdim=True)
    cover = cover * kept
    few = hu[at]
    fine = few - blurred(few, np.full((len(few), 3), 1.0))
    fine = fine * torch.from_numpy(rng.uniform(0.0, 1.0, (len(few), 1, 1, 1, 1)).astype(np.float32))
    hu, roi = hu.clone(), roi.clone()
    hu[at] = few + cover * (torch.stack(inside)[:, None] + fine - few)
    roi[at] = roi[at] * (1.0 - cover)
    return hu, roi


def _lesion(body: torch.Tensor, spacing_mm: float, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Share of a lesion in every voxel, and the HU inside, both (z, y, x)."""
    places = np.argwhere(body.numpy() > 0.5)
    centre = places[rng.integers(len(places))] + rng.uniform(-0.5, 0.5, 3)
    axes = np.clip(np.exp(rng.uniform(*np.log(_HALF_AXES_MM))) * np.exp(rng.normal(0.0, 0.15, 3)), *_HALF_AXES_MM) / spacing_mm
    z, y, x = (torch.arange(n, dtype=torch.float32) - float(c) for n, c in zip(body.shape, centre))
    place = z[:, None, None], y[:, None], x
    radius = sum((part / float(half)) ** 2 for part, half in zip(place, axes)).sqrt()
    outline = _waves(place, 2.0 * float(axes.mean()), rng)
    cover = torch.sigmoid((1.0 + 0.15 * outline - radius) * float(axes.min()) / 0.4)
    soft, dense = float(rng.uniform(*_LYTIC_HU)), float(rng.uniform(*_BLASTIC_HU))
    kind = rng.integers(3)
    if kind == 2:
        part = (0.5 + 0.7 * _waves(place, 10.0 / spacing_mm, rng)).clamp(0.0, 1.0)
        return cover, soft + part * (dense - soft)
    return cover, torch.full_like(cover, dense if kind else soft)


def _waves(place: Sequence[torch.Tensor], length: float, rng: np.random.Generator) -> torch.Tensor:
    """Five random waves of about this length (voxels), together of SD 1."""
    directions = rng.normal(size=(5, 3))
    directions *= 2 * np.pi / (length * rng.uniform(0.7, 1.5, (5, 1)) * np.linalg.norm(directions, axis=1, keepdims=True))
    phases = rng.uniform(0.0, 2 * np.pi, 5)
    waves = [torch.sin(sum(float(k) * part for k, part in zip(one, place)) + float(phase)) for one, phase in zip(directions, phases)]
    return sum(waves) * (2 / len(waves)) ** 0.5


def sharpened(hu: torch.Tensor, noise_hu: float, rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
    """Half of the looks with another kernel and slice thickness (blurred, or sharper than they were), and half with more noise."""
    changed = rng.random(len(hu)) < 0.5
    if changed.any():
        few = hu[torch.from_numpy(changed)]
        along, across = rng.uniform(0.2, 1.0, len(few)), rng.uniform(0.2, 0.7, len(few))
        amount = torch.from_numpy(rng.uniform(-1.0, 0.5, (len(few), 1, 1, 1, 1)).astype(np.float32))
        hu[torch.from_numpy(changed)] = few + amount * (few - blurred(few, np.stack([along, across, across], axis=1)))
    noise = rng.uniform(0.0, noise_hu, (len(hu), 1, 1, 1, 1)) * (rng.random((len(hu), 1, 1, 1, 1)) < 0.5)
    return hu + torch.from_numpy(noise.astype(np.float32)) * torch.randn(hu.shape, generator=generator)
