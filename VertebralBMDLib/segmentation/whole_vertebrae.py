"""Whole vertebrae, arch included, told from bodies, and their bodies cut out by the bundled refining network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..anatomy import LEVELS
from ..network.models import Model, identity
from ..network.segmentation import REFINE
from ..quality import Code, Refused
from ..scan import Scan
from .body_features import Crop, behind_share, crops_of, thickest_place
from .labelled import cut_by_border
from .refined import numbered_bodies, refined_body
from .vertebrae import Progress

#: Share of a mask behind its body (``body_features.ARCH_MM``) from which it counts as a whole vertebra.
ARCH_SHARE = 0.05
#: A body that the network finds must lie in its vertebra to this share.
_INSIDE = 0.6


def whole_labels(scan: Scan, label_map: sitk.Image, labels: Sequence[int]) -> list[int]:
    """Those of ``labels`` (uint8 image on the scan's grid) that are whole vertebrae."""
    return [label for label, crop in crops_of(scan, label_map, list(labels)).items() if behind_share(crop) > ARCH_SHARE]


@dataclass(frozen=True)
class CutBodies:
    """``label_map``: bodies in place of whole vertebrae; ``at_border``: levels whose vertebra the border of the scan cuts in
    front of its arch, however its body came out; ``models``: the network that cut them, if any was cut."""

    label_map: sitk.Image
    at_border: frozenset[str]
    models: tuple[Model, ...]

    def complete(self, levels: Sequence[str], complete: Sequence[bool]) -> list[bool]:
        """``complete`` of bodies with these levels, less those at the border."""
        return [whole and level not in self.at_border for level, whole in zip(levels, complete)]


def cut_bodies(scan: Scan, label_map: sitk.Image, whole: Sequence[int], device: str, progress: Progress) -> CutBodies:
    """``label_map`` with the body in place of each label of ``whole``; a vertebra whose body is not found loses its label.

    A body keeps what it shares with another label: remnants of a vertebra at the border of the scan may reach into it.
    Raises Refused (NO_VERTEBRAE, WHOLE_VERTEBRAE where no body is found and no other label is left, MODEL_DAMAGED, TORCH_MISSING).
    """
    crops = crops_of(scan, label_map, list(whole))
    if not crops:
        raise Refused(Code.NO_VERTEBRAE)
    found = {}
    for index, (label, crop) in enumerate(crops.items()):
        body = refined_body(scan.image, _middle(scan.image, crop), device)
        if body is not None and _share_inside(body.probability, label_map, label) > _INSIDE:
            found[label] = body
        progress((index + 1) / len(crops))
    values = sitk.GetArrayFromImage(label_map)
    values[np.isin(values, whole)] = 0
    if found:
        numbered, _complete = numbered_bodies(scan.image, list(found.values()))
        bodies = np.array([0, *found], dtype=np.uint8)[sitk.GetArrayViewFromImage(numbered)]
        values = np.where(bodies > 0, bodies, values)
    elif not values.any():
        raise Refused(Code.WHOLE_VERTEBRAE)
    cut = sitk.GetImageFromArray(values)
    cut.CopyInformation(label_map)
    at_border = (LEVELS[label] for label in found if cut_by_border(_front(crops[label]), crops[label].start[::-1], scan.image))
    return CutBodies(cut, frozenset(at_border), (identity(REFINE),) if found else ())


def _front(crop: Crop) -> np.ndarray:
    """The vertebra (z, y, x) without what lies behind the middle of its body."""
    depth = (np.argwhere(crop.mask) - thickest_place(crop.mask, crop.spacing)) * crop.spacing @ crop.posterior
    front = np.zeros_like(crop.mask)
    front[crop.mask] = depth <= 0
    return front


def _middle(image: sitk.Image, crop: Crop) -> np.ndarray:
    """LPS mm of the thickest place of a vertebra."""
    index = crop.start + thickest_place(crop.mask, crop.spacing)
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index[::-1].tolist()))


def _share_inside(probability: sitk.Image, label_map: sitk.Image, label: int) -> float:
    """Share of a refined body that lies in the vertebra."""
    vertebra = sitk.GetArrayFromImage(sitk.Resample(label_map, probability, sitk.Transform(), sitk.sitkNearestNeighbor, 0)) == label
    body = sitk.GetArrayViewFromImage(probability) >= 0.5
    return float(vertebra[body].mean())
