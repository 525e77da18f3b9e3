"""Findings inside a body: bone islands, lytic and blastic lesions, vacuum and sclerosis, told from ordinary bone.

A finding stands out of the bone's own robust distribution and passes the absolute limits of the literature. Everything is
judged after smoothing inside the body at three scales, so that noise and the trabecular texture do not count: fine for
what is small and strong, broad for what is large and faint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..grid import smoothed_within

#: Bone is judged on the logarithm of HU above pure fat: there the texture, which scales with the bone, is symmetric.
_FAT_HU = -100.0

#: A core: so many robust SD from the bone or more, over so many cm³ or more.
_Core = tuple[float, float]


@dataclass(frozen=True)
class _Scale:
    """Smoothing (SD in mm), what spread bone may have there, and what is a finding.

    ``least_spread``: what bone is credited with at least; ``most_share``: at most this share of the spread at the finest scale,
    because the texture fades with smoothing and a lesion does not. ``dense``, ``lytic``: cores above and below; ``border``: in
    robust SD, where a finding ends.
    """

    sigma_mm: float
    least_spread: float
    most_share: float
    dense: tuple[_Core, ...]
    lytic: tuple[_Core, ...]
    border: float


#: Cores that at most 1 in 150 of 504 simulated vertebrae without a lesion had (all kernels, noise to 100 HU, wear; none of a
#: benchmark). The smallest volume is that of qct_facts 1.30; what stands out less must be larger.
_SCALES = (
    _Scale(1.0, 0.15, 1.00, ((4.0, 0.10), (2.6, 0.34)), ((2.6, 0.34),), 2.5),
    _Scale(2.2, 0.10, 0.70, ((3.4, 0.24),), ((3.1, 0.28),), 2.2),
    _Scale(4.0, 0.07, 0.47, (), ((3.7, 0.25),), 2.0),
)

#: Absolute limits in HU (qct_facts 5.9): dense above 444 - 2 · 87, lytic below 116 + 40, islands above 885 in the mean; gas is far
#: below fat. The 300 and 20 HU of 1.30 are for voxels; smoothing takes off a peak.
_DENSE_HU, _LYTIC_HU, _ISLAND_HU, _GAS_HU = 270.0, 156.0, 885.0, -200.0

_GAS_CORES: tuple[_Core, ...] = ((4.0, 0.10),)

#: Rim around a finding that partial volume and blur reach.
_RIM_MM = 1.5

#: Sclerosis under an end plate lies this near to the end of the ROI and is flatter than this share of its width.
_END_MM, _FLAT = 1.5, 0.4

#: Bone that differs more from the vertebrae around it than this (logarithm of HU above fat; levels differ by 0.05-0.08, SD)
#: is not its own reference: most of it may be finding.
_UNLIKE_NEIGHBOURS = 0.12

#: A finding ends where this share of the height of its core is left, or at the scale's border if that is higher.
_BORDER_SHARE = 0.4

#: Which of the spreads of several bodies is taken, in percent from the calmest.
_CALM_PERCENT = 40

#: The spread of a single body is uncertain; it counts for this much more where there is nothing to compare with.
_ALONE = 1.25

_TOUCHING = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class Exclusion:
    """One finding left out of the ROI: ``kind`` is island, blastic, lytic, vacuum or sclerosis."""

    kind: str
    volume_cm3: float
    mean_hu: float


@dataclass(frozen=True)
class Bone:
    """Ordinary bone, as the logarithm of HU above fat: at each scale its median and its robust SD."""

    centres: tuple[float, ...]
    spreads: tuple[float, ...]


def bone_of(hu: np.ndarray, inside: np.ndarray, spacing_mm: Sequence[float]) -> Bone:
    """What the bone of a mask is like; a finding that fills less than half of it hardly counts.

    ``hu``, ``inside``: (z, y, x); ``spacing_mm`` in the same order. The spread is that of the calmer side of the median, which
    a finding on the other side does not widen. Raises ValueError for an empty mask.
    """
    if not inside.any():
        raise ValueError("the mask of the bone is empty")
    logs = [_above_fat(smoothed_within(hu, inside, spacing_mm, scale.sigma_mm)[inside]) for scale in _SCALES]
    return Bone(tuple(float(np.median(log)) for log in logs), _capped([_spread(log) for log in logs]))


def common_bone(bones: Sequence[Bone]) -> Bone | None:
    """What several neighbouring vertebrae have in common; None for fewer than three, of which one may be all finding.

    Centres are the middle ones; of the spreads a lower one, because findings only widen them.
    """
    if len(bones) < 3:
        return None
    centres = np.array([bone.centres for bone in bones])
    rise = np.percentile(centres - centres[:, :1], _CALM_PERCENT, axis=0)
    return Bone(
        tuple((np.median(centres[:, 0]) + rise).tolist()), _capped(np.percentile([bone.spreads for bone in bones], _CALM_PERCENT, axis=0))
    )


def find(
    hu: np.ndarray,
    searched: np.ndarray,
    roi: np.ndarray,
    spacing_mm: Sequence[float],
    up: Sequence[float] = (1.0, 0.0, 0.0),
    usual: Bone | None = None,
) -> tuple[np.ndarray, tuple[Exclusion, ...]]:
    """The voxels of ``roi`` that belong to findings, and the findings, largest first.

    ``hu`` (z, y, x); ``searched``: bone without its shell and veins, over which is smoothed; ``roi``: the part of it to be
    measured; ``spacing_mm`` and ``up`` (unit vector to cranial) along the arrays' axes; ``usual``: bone of this body and those
    around it (``common_bone``), without which a finding that fills most of the ROI passes for the bone.
    """
    found = {kind: np.zeros(roi.shape, dtype=bool) for kind in ("vacuum", "dense", "lytic")}
    judged = usual or _alone(bone_of(hu, roi, spacing_mm))
    left, bare = roi.copy(), searched.copy()
    for number, scale in enumerate(_SCALES):
        if not left.any():
            break
        values = smoothed_within(hu, bare, spacing_mm, scale.sigma_mm)
        logs = _above_fat(values)
        centre, spread = float(np.median(logs[left])), judged.spreads[number]
        if usual is not None:
            centre = float(np.clip(centre, usual.centres[number] - _UNLIKE_NEIGHBOURS, usual.centres[number] + _UNLIKE_NEIGHBOURS))
        z = (logs - centre) / spread
        for kind, way, cores, allowed in (
            ("vacuum", -1.0, _GAS_CORES, values < _GAS_HU),
            ("dense", 1.0, scale.dense, values > _DENSE_HU),
            ("lytic", -1.0, scale.lytic, values < _LYTIC_HU),
        ):
            part = _regions(left, way * z, cores, scale.border, allowed, spacing_mm)
            found[kind] |= part
            left &= ~part
        bare = searched & (left | ~roi)
    return _listed(hu, roi, found, spacing_mm, up)


def _regions(
    roi: np.ndarray, z: np.ndarray, cores: Sequence[_Core], border: float, allowed: np.ndarray, spacing_mm: Sequence[float]
) -> np.ndarray:
    """Parts of ``roi`` within the border around cores that are within the absolute limit, with a rim."""
    whole = np.zeros(roi.shape, dtype=bool)
    for peak, least_cm3 in cores:
        labels, _count = ndimage.label(roi & (z > peak) & allowed, _TOUCHING)
        sizes = np.bincount(labels.ravel())[1:] * float(np.prod(spacing_mm)) / 1000
        for index in 1 + np.flatnonzero(sizes >= least_cm3):
            core = labels == index
            grown, _count = ndimage.label(roi & (z > max(border, _BORDER_SHARE * float(np.median(z[core])))), _TOUCHING)
            whole |= core | (np.isin(grown, np.unique(grown[core])) & (grown > 0))
    return roi & (ndimage.distance_transform_edt(~whole, spacing_mm) <= _RIM_MM) if whole.any() else whole


def _listed(
    hu: np.ndarray, roi: np.ndarray, found: dict[str, np.ndarray], spacing_mm: Sequence[float], up: Sequence[float]
) -> tuple[np.ndarray, tuple[Exclusion, ...]]:
    voxel_cm3 = float(np.prod(spacing_mm)) / 1000
    excluded, exclusions = np.zeros(roi.shape, dtype=bool), []
    for kind, mask in found.items():
        labels, count = ndimage.label(mask, _TOUCHING)
        excluded |= mask
        for index in range(1, count + 1):
            part = labels == index
            name = _dense_kind(hu, part, roi, spacing_mm, up) if kind == "dense" else kind
            exclusions.append(Exclusion(name, float(part.sum() * voxel_cm3), float(hu[part].mean())))
    return excluded, tuple(sorted(exclusions, key=lambda each: -each.volume_cm3))


def _dense_kind(hu: np.ndarray, part: np.ndarray, roi: np.ndarray, spacing_mm: Sequence[float], up: Sequence[float]) -> str:
    """island: as dense as cortex; sclerosis: a flat layer at the upper or lower end of the ROI; otherwise blastic."""
    if smoothed_within(hu, part, spacing_mm, _SCALES[0].sigma_mm)[part].max() > _ISLAND_HU:
        return "island"
    points, whole = (np.argwhere(mask) * spacing_mm for mask in (part, roi))
    height, ends = points @ up, whole @ up
    across = points - np.outer(height, up)
    at_end = min(ends.max() - height.max(), height.min() - ends.min()) <= _END_MM
    flat = np.ptp(height) < _FLAT * max(np.ptp(across, axis=0))
    return "sclerosis" if at_end and flat else "blastic"


def _above_fat(hu: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(hu - _FAT_HU, 10.0))


def _alone(bone: Bone) -> Bone:
    return Bone(bone.centres, tuple(_ALONE * spread for spread in bone.spreads))


def _spread(logs: np.ndarray) -> float:
    low, middle, high = np.percentile(logs, [15.87, 50.0, 84.13])
    return float(min(middle - low, high - middle))


def _capped(spreads: Sequence[float]) -> tuple[float, ...]:
    """Spreads that the texture of bone can have."""
    finest = max(spreads[0], _SCALES[0].least_spread)
    return tuple(float(max(min(each, scale.most_share * finest), scale.least_spread)) for each, scale in zip(spreads, _SCALES))
