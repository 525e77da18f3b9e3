"""From a map of numbered bodies and their names to ``Vertebrae``."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ..anatomy import label_of
from ..network.models import Model
from ..quality import Code
from .levels import Naming
from .vertebrae import Vertebra, Vertebrae

_USUAL_VOLUME_CM3 = (8.0, 80.0)
_CLEARANCE_MM = 4.0


def labelled_bodies(numbered: sitk.Image, naming: Naming, complete: list[bool], engine: str, models: tuple[Model, ...] = ()) -> Vertebrae:
    """``numbered``: bodies 1, 2, ... from cranial to caudal on the scan's grid; bodies without a name are left out."""
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(numbered)
    table = np.zeros(len(naming.levels) + 1, dtype=np.uint8)
    bodies = []
    for number, (level, whole) in enumerate(zip(naming.levels, complete), start=1):
        if level is None or not statistics.HasLabel(number):
            continue
        table[number] = label_of(level)
        volume = statistics.GetPhysicalSize(number) / 1000
        flags = [] if whole else [Code.BODY_CUT_OFF]
        if whole and not _USUAL_VOLUME_CM3[0] <= volume <= _USUAL_VOLUME_CM3[1]:
            flags.append(Code.BODY_VOLUME_UNUSUAL)
        bodies.append(Vertebra(level, label_of(level), statistics.GetCentroid(number), naming.confidence, whole, volume, tuple(flags)))
    label_map = sitk.GetImageFromArray(table[sitk.GetArrayViewFromImage(numbered)])
    label_map.CopyInformation(numbered)
    return Vertebrae(label_map, tuple(bodies), engine, models, naming.flags)


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
