"""Is each body what it claims to be? Every engine's result passes through here once.

The limits lie outside what intact simulated bodies (seeds 770001 and 880001, 1-5 mm slices) and annotated real bodies
show; ``Testing/benchmarks/body_quality.py`` prints the quantiles of both. A body keeps its value where a reader can judge it
from the picture (odd size, shape, pieces); it is not measured (``quality.UNMEASURABLE``) where the value would be of
something else: another material (metal, cement, no bone), another part (the arch, half a body), or another vertebra
(one name for two).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..anatomy import COLUMN
from ..quality import Code
from ..scan import Scan
from .body_features import BodyFeatures, Crop, crops_of, features_of, overlap_along_column
from .levels import GAP_CONFIDENCE, column_has_gap
from .vertebrae import Vertebra, Vertebrae
from .whole_vertebrae import ARCH_SHARE

#: Usual volume in cm³ by level: geometric means of intact simulated bodies. T1 like T2 (the real one is larger than the
#: simulated); T13 and L6, of which there are few, like their neighbours. The real ones lie within 0.67 to 1.40 of these.
USUAL_VOLUME_CM3: dict[str, float] = {
    "T1": 7.4, "T2": 7.4, "T3": 8.0, "T4": 8.7, "T5": 10.2, "T6": 11.7, "T7": 13.4, "T8": 15.5, "T9": 17.7, "T10": 20.1,
    "T11": 23.6, "T12": 27.4, "T13": 29.0, "L1": 31.0, "L2": 34.4, "L3": 38.2, "L4": 41.3, "L5": 43.7, "L6": 40.0,
}  # fmt: skip
#: A volume over the usual one: of anybody, and over the middle of its neighbours' (a person's bodies grow together).
_OF_LEVEL, _OF_NEIGHBOURS = (0.45, 2.0), (0.70, 1.40)
_NEIGHBOURS = 4
#: Pieces: what may lie apart in all, and from when on the second piece is a body of its own.
_APART, _SECOND_BODY_CM3, _SECOND_BODY_SHARE = 0.03, 3.0, 0.25
_HOLES, _SOLIDITY, _ELONGATION = 0.01, 0.55, 3.0
#: Bone: mean HU of the outermost 2 mm and of all (muscle reads 50, blood 40, the leanest simulated body 120), and air.
_RIM_HU, _MEAN_HU, _AIR_SHARE = 100.0, 30.0, 0.10
_METAL_CM3, _DENSE_CORE_CM3 = 0.1, 1.0
_OVERLAP_MM = 0.0
_ORDER = (*COLUMN[: COLUMN.index("L1")], "T13", *COLUMN[COLUMN.index("L1") :])


def checked_bodies(scan: Scan, vertebrae: Vertebrae) -> Vertebrae:
    """``vertebrae`` with a flag for everything that is doubtful about its bodies and their order (see ``quality.Code``).

    Bodies that the border of the scan cuts are flagged as such only. Names in the wrong order, or a gap in the column, make
    the levels uncertain.
    """
    crops = crops_of(scan, vertebrae.label_map, [body.label for body in vertebrae.bodies])
    features = {label: features_of(crop) for label, crop in crops.items()}
    ratios = _volume_ratios(vertebrae.bodies)
    overlaps = _overlapping([crops[body.label] for body in vertebrae.bodies])
    bodies = []
    for index, body in enumerate(vertebrae.bodies):
        flags = list(body.flags)
        if body.complete:
            flags += _own_flags(features[body.label])
            if _unusual_size(ratios, index):
                flags.append(Code.BODY_VOLUME_UNUSUAL)
        if index in overlaps:
            flags.append(Code.BODIES_OVERLAP)
        bodies.append(replace(body, flags=tuple(dict.fromkeys(flags))))
    return _with_column_flags(replace(vertebrae, bodies=tuple(bodies)))


def _own_flags(found: BodyFeatures) -> list[Code]:
    """What one body shows by itself."""
    wrong = {
        Code.LEVEL_DUPLICATED: found.second_cm3 > max(_SECOND_BODY_CM3, _SECOND_BODY_SHARE * found.volume_cm3 * found.largest_share),
        Code.BODY_FRAGMENTED: found.largest_share < 1 - _APART,
        Code.BODY_WITH_ARCH: found.behind_share > ARCH_SHARE,
        Code.BODY_SHAPE_UNUSUAL: found.hole_share > _HOLES or found.solidity < _SOLIDITY or found.elongation > _ELONGATION,
        Code.BODY_NOT_BONE: found.rim_hu < _RIM_HU or found.mean_hu < _MEAN_HU or found.air_share > _AIR_SHARE,
        Code.BODY_METAL: found.metal_cm3 > _METAL_CM3 or found.dense_core_cm3 > _DENSE_CORE_CM3,
    }
    return [code for code, yes in wrong.items() if yes]


def _volume_ratios(bodies: Sequence[Vertebra]) -> list[float | None]:
    """Volume over the usual one of the level; None for bodies that are cut."""
    return [body.volume_cm3 / USUAL_VOLUME_CM3[body.level] if body.complete else None for body in bodies]


def _unusual_size(ratios: Sequence[float | None], index: int) -> bool:
    own = ratios[index]
    others = [k for k, ratio in enumerate(ratios) if ratio is not None and k != index]
    nearest = sorted(others, key=lambda k: abs(k - index))[:_NEIGHBOURS]
    # The median of three or four bears one that is wrong itself.
    beside = own / np.median([ratios[k] for k in nearest]) if len(nearest) > 2 else 1.0
    return not (_OF_LEVEL[0] <= own <= _OF_LEVEL[1] and _OF_NEIGHBOURS[0] <= beside <= _OF_NEIGHBOURS[1])


def _overlapping(column: Sequence[Crop]) -> set[int]:
    """Indices of bodies that reach into a neighbour."""
    return {index for pair, mm in enumerate(overlap_along_column(column)) if mm > _OVERLAP_MM for index in (pair, pair + 1)}


def _with_column_flags(vertebrae: Vertebrae) -> Vertebrae:
    """Order of the names from cranial to caudal, and gaps."""
    places = [_ORDER.index(body.level) for body in vertebrae.bodies]
    if places != sorted(places):
        flag = Code.LEVEL_ORDER
    elif _has_gap([body for body in vertebrae.bodies if body.complete]):
        flag = Code.COLUMN_GAP
    else:
        return vertebrae
    bodies = tuple(replace(body, level_confidence=min(body.level_confidence, GAP_CONFIDENCE)) for body in vertebrae.bodies)
    return replace(vertebrae, bodies=bodies, flags=tuple(dict.fromkeys((*vertebrae.flags, flag, Code.LEVEL_UNCERTAIN))))


def _has_gap(bodies: Sequence[Vertebra]) -> bool:
    """True when two bodies that are named as neighbours are further apart than neighbours can be.

    Where names are skipped, the user may have left bodies out, or the person lacks a level; nothing is said of that step.
    """
    runs: list[list[Vertebra]] = []
    for body in bodies:
        if runs and _follows(runs[-1][-1].level, body.level):
            runs[-1].append(body)
        else:
            runs.append([body])
    return any(column_has_gap(np.array([body.centroid_lps_mm for body in run])) for run in runs)


def _follows(upper: str, lower: str) -> bool:
    """True when ``lower`` is the next level, T13 or not."""
    between = _ORDER[_ORDER.index(upper) + 1 : _ORDER.index(lower)]
    return between in ((), ("T13",)) and _ORDER.index(upper) < _ORDER.index(lower)
