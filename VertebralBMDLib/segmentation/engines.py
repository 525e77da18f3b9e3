"""Choosing an engine, and renumbering its levels from a point the user gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..anatomy import COLUMN, label_of
from ..quality import Code, Refused
from ..scan import Scan
from .bundled import BundledEngine
from .levels import GAP_CONFIDENCE, column_has_gap
from .own import LabelMapEngine
from .quality_checks import checked_bodies
from .totalsegmentator import TotalSegmentatorEngine
from .vertebrae import Engine, Progress, Vertebrae

#: Engines by their name for ``--engine``.
ENGINES = {engine.name: engine for engine in (BundledEngine, TotalSegmentatorEngine)}

#: Doubts about names that a point given by the user settles.
_SETTLED = (Code.LEVEL_UNCERTAIN, Code.TRANSITIONAL_ANATOMY, Code.LEVEL_ORDER)


@dataclass(frozen=True)
class CheckedEngine:
    """An engine whose every result is checked (``quality_checks``)."""

    engine: Engine

    @property
    def name(self) -> str:
        """That of the engine."""
        return self.engine.name

    def segment(self, scan: Scan, progress: Progress) -> Vertebrae:
        """See ``Engine``."""
        return checked_bodies(scan, self.engine.segment(scan, progress))


def engine_for(name: str, bodies: Path | None, device: str, numbering: str = "auto") -> Engine:
    """The user's own label map when there is one (with ``numbering`` "auto", "verse" or "totalsegmentator"), else the engine of
    that name; either way with its results checked. Raises ValueError for an unknown name."""
    if bodies is not None:
        return CheckedEngine(LabelMapEngine(bodies, numbering, device))
    if name not in ENGINES:
        raise ValueError(f"Unknown engine {name!r}; use one of {', '.join(ENGINES)}.")
    return CheckedEngine(ENGINES[name](device))


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
    others = (flag for flag in vertebrae.flags if flag not in _SETTLED)
    flags = (Code.LEVEL_SET_BY_USER, *((Code.LEVEL_UNCERTAIN,) if gap else ()), *others)
    return replace(vertebrae, label_map=relabelled, bodies=tuple(bodies), flags=flags)
