"""From a map of numbered bodies and their names to ``Vertebrae``."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..anatomy import LEVELS, label_of
from ..network.models import Model
from ..quality import Code
from .levels import Naming
from .vertebrae import Vertebra, Vertebrae

_CLEARANCE_MM = 4.0


def labelled_bodies(numbered: sitk.Image, naming: Naming, complete: list[bool], engine: str, models: tuple[Model, ...] = ()) -> Vertebrae:
    """``numbered``: bodies 1, 2, ... from cranial to caudal on the scan's grid; bodies without a name are left out."""
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(numbered)
    table = np.zeros(len(naming.levels) + 1, dtype=np.uint8)
    bodies = []
    for number, (level, confidence, whole) in enumerate(zip(naming.levels, naming.confidence, complete), start=1):
        if level is None or not statistics.HasLabel(number):
            continue
        table[number] = label_of(level)
        volume = statistics.GetPhysicalSize(number) / 1000
        flags = () if whole else (Code.BODY_CUT_OFF,)
        bodies.append(Vertebra(level, label_of(level), statistics.GetCentroid(number), confidence, whole, volume, flags))
    return Vertebrae(mapped(numbered, table), tuple(bodies), engine, models, naming.flags)


def numbered_from_cranial(label_map: sitk.Image) -> tuple[sitk.Image, tuple[str, ...], np.ndarray, list[bool]]:
    """A map of VerSe labels (uint8) as bodies numbered 1, 2, ... from cranial to caudal, their levels, their centroids (n, 3)
    in LPS mm, and whether each lies whole in the scan."""
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(label_map)
    labels = sorted((label for label in statistics.GetLabels() if label in LEVELS), key=lambda label: -statistics.GetCentroid(label)[2])
    table = np.zeros(256, dtype=np.uint8)
    table[labels] = range(1, len(labels) + 1)
    numbered = mapped(label_map, table)
    values = sitk.GetArrayViewFromImage(numbered)
    boxes = ndimage.find_objects(values)
    complete = [
        not cut_by_border(values[box] == number, [s.start for s in box[::-1]], label_map) for number, box in enumerate(boxes, start=1)
    ]
    centroids = np.array([statistics.GetCentroid(label) for label in labels]).reshape(-1, 3)
    return numbered, tuple(LEVELS[label] for label in labels), centroids, complete


def mapped(image: sitk.Image, table: np.ndarray) -> sitk.Image:
    """A label map with ``table[label]`` in place of every label."""
    mapped = sitk.GetImageFromArray(table[sitk.GetArrayViewFromImage(image)])
    mapped.CopyInformation(image)
    return mapped


def cut_by_border(inside: np.ndarray, start, image: sitk.Image) -> bool:
    """True when a body's mask (z, y, x), which lies at ``start`` (i, j, k) of ``image``, comes so near to the border that its
    surface there cannot have been seen: within 4 mm or one and a half voxels."""
    for axis in range(3):
        filled = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != 2 - axis)))
        spacing = image.GetSpacing()[axis]
        before = (start[axis] + filled[0]) * spacing
        behind = (image.GetSize()[axis] - start[axis] - 1 - filled[-1]) * spacing
        if min(before, behind) < max(_CLEARANCE_MM, 1.5 * spacing):
            return True
    return False
