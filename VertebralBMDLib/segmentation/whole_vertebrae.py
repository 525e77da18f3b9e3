"""Whole vertebrae, arch included, told from bodies, and their bodies cut out by the bundled refining network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from ..network.models import Model, identity
from ..network.segmentation import REFINE
from ..quality import Code, Refused
from ..scan import Scan
from .body_features import Crop, behind_share, crops_of, thickest_place
from .refined import numbered_bodies, refined_body
from .vertebrae import Progress

#: Share of a mask behind its body (``body_features.ARCH_MM``) from which it counts as a whole vertebra.
ARCH_SHARE = 0.05
#: A body that the network finds must lie in its vertebra to this share.
_INSIDE = 0.6


def whole_labels(scan: Scan, label_map: sitk.Image, labels: Sequence[int]) -> list[int]:
    """Those of ``labels`` (uint8 image on the scan's grid) that are whole vertebrae."""
    return [label for label, crop in crops_of(scan, label_map, list(labels)).items() if behind_share(crop) > ARCH_SHARE]


def cut_bodies(
    scan: Scan, label_map: sitk.Image, whole: Sequence[int], device: str, progress: Progress
) -> tuple[sitk.Image, tuple[Model, ...]]:
    """``label_map`` with the body in place of each label of ``whole``, and the network that cut them.

    A vertebra whose body is not found loses its label.

    Raises Refused (NO_VERTEBRAE, WHOLE_VERTEBRAE where no body is found, MODEL_DAMAGED, TORCH_MISSING).
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
    if not found:
        raise Refused(Code.WHOLE_VERTEBRAE)
    numbered, _complete = numbered_bodies(scan.image, list(found.values()))
    values = sitk.GetArrayFromImage(label_map)
    values[np.isin(values, whole)] = 0
    table = np.array([0, *found], dtype=np.uint8)
    bodies = table[sitk.GetArrayViewFromImage(numbered)]
    cut = sitk.GetImageFromArray(np.where(values > 0, values, bodies))
    cut.CopyInformation(label_map)
    return cut, (identity(REFINE),)


def _middle(image: sitk.Image, crop: Crop) -> np.ndarray:
    """LPS mm of the thickest place of a vertebra."""
    index = crop.start + thickest_place(crop.mask, crop.spacing)
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index[::-1].tolist()))


def _share_inside(probability: sitk.Image, label_map: sitk.Image, label: int) -> float:
    """Share of a refined body that lies in the vertebra."""
    vertebra = sitk.GetArrayFromImage(sitk.Resample(label_map, probability, sitk.Transform(), sitk.sitkNearestNeighbor, 0)) == label
    body = sitk.GetArrayViewFromImage(probability) >= 0.5
    return float(vertebra[body].mean())
