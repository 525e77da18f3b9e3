"""Choosing an engine, and renumbering its levels from a point the user gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..anatomy import COLUMN, label_of
from ..quality import Code, Refused
from .bundled import BundledEngine
from .levels import GAP_CONFIDENCE, column_has_gap
from .own import LabelMapEngine
from .vertebrae import Engine, Vertebrae

#: Engines by their name for ``--engine``.
ENGINES = {BundledEngine.name: BundledEngine}


def engine_for(name: str, bodies: Path | None, device: str) -> Engine:
    """The user's own label map when there is one, else the engine of that name. Raises ValueError for an unknown name."""
    if bodies is not None:
        return LabelMapEngine(bodies)
    if name not in ENGINES:
        raise ValueError(f"Unknown engine {name!r}; use one of {', '.join(ENGINES)}.")
    return ENGINES[name](device)


def renumbered(vertebrae: Vertebrae, level: str, point_lps_mm: Sequence[float]) -> Vertebrae:
    """The same bodies with ``level`` at the one that holds ``point_lps_mm`` and its neighbours counted from there.

    Raises Refused(LEVEL_POINT_OUTSIDE) when the point is in no body, ValueError for a level outside T1 to L6.
    """
    if level not in COLUMN:
        raise ValueError(f"Levels cannot be counted from {level}; use one of T1 to L6.")
    label_map = vertebrae.label_map
    index = label_map.TransformPhysicalPointToIndex([float(v) for v in point_lps_mm])
    inside = all(0 <= i < n for i, n in zip(index, label_map.GetSize()))
    label = int(label_map[index]) if inside else 0
    place = next((k for k, body in enumerate(vertebrae.bodies) if body.label == label), None)
    if place is None:
        raise Refused(Code.LEVEL_POINT_OUTSIDE)
    first = COLUMN.index(level) - place
    # Counting from the point does not help where a body between was missed.
    gap = column_has_gap(np.array([body.centroid_lps_mm for body in vertebrae.bodies if body.complete]))
    table = np.zeros(256, dtype=np.uint8)
    bodies = []
    for number, body in enumerate(vertebrae.bodies, start=first):
        if 0 <= number < len(COLUMN):
            name = COLUMN[number]
            table[body.label] = label_of(name)
            bodies.append(replace(body, level=name, label=label_of(name), level_confidence=GAP_CONFIDENCE if gap else 1.0))
    relabelled = sitk.GetImageFromArray(table[sitk.GetArrayViewFromImage(label_map)])
    relabelled.CopyInformation(label_map)
    others = (flag for flag in vertebrae.flags if flag not in (Code.LEVEL_UNCERTAIN, Code.TRANSITIONAL_ANATOMY))
    flags = (Code.LEVEL_SET_BY_USER, *((Code.LEVEL_UNCERTAIN,) if gap else ()), *others)
    return replace(vertebrae, label_map=relabelled, bodies=tuple(bodies), flags=flags)
