"""What the benchmarks of segmentation score a body by: overlap, distance between surfaces, and which body covers which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from VertebralBMDLib.quality import Code
from VertebralBMDLib.segmentation.levels import CERTAIN
from VertebralBMDLib.segmentation.vertebrae import Vertebrae

#: Further than any field: what lies in another slice is not a neighbour within the plane.
_OTHER_SLICE_MM = 1e6


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two masks."""
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def covering(labels: np.ndarray, mask: np.ndarray) -> int:
    """The label that fills most of a mask, 0 where that is the background."""
    return int(np.bincount(labels[mask]).argmax())


def surface_distances(a: np.ndarray, b: np.ndarray, spacing_mm: Sequence[float], in_plane: bool = False) -> np.ndarray:
    """Distances in mm from every surface voxel of either mask to the nearest of the other; both directions in one array.

    ``a``, ``b``: masks (z, y, x), neither empty; ``spacing_mm`` in that order. A surface voxel has a face that looks outside.
    ``in_plane``: within slices, where both are; empty where they share none.
    """
    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    masks = [mask[box] for mask in (a, b)]
    faces = ndimage.generate_binary_structure(3, 1)
    spacing = list(spacing_mm)
    if in_plane:
        faces[[0, 2]] = False
        spacing[0] = _OTHER_SLICE_MM
    surfaces = [mask & ~ndimage.binary_erosion(mask, faces) for mask in masks]
    away = [ndimage.distance_transform_edt(~surface, spacing)[other] for surface, other in zip(surfaces, surfaces[::-1])]
    distances = np.concatenate(away)
    return distances[distances < _OTHER_SLICE_MM]


def centroid_error(a: np.ndarray, b: np.ndarray, spacing_mm: Sequence[float]) -> float:
    """Distance in mm between the centroids of two masks."""
    return float(np.linalg.norm((np.argwhere(a).mean(axis=0) - np.argwhere(b).mean(axis=0)) * spacing_mm))


def is_told(vertebrae: Vertebrae, label: int) -> bool:
    """True when the result says that the name of its body ``label`` may be wrong."""
    doubted = Code.LEVEL_UNCERTAIN in vertebrae.flags or Code.TRANSITIONAL_ANATOMY in vertebrae.flags
    return doubted or any(body.label == label and body.level_confidence < CERTAIN for body in vertebrae.bodies)
