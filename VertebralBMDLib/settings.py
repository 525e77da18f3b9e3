"""What the user asks of a measurement."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .anatomy import label_of
from .calibration.request import parsed
from .quality import Code
from .roi import CENTRAL_FRACTION

_EROSION_MM = (2.0, 20.0)

#: A reason is a line that no spreadsheet takes for a formula.
_LONGEST_REASON = 120
_REASON = re.compile(rf"\w[^\r\n\t]{{0,{_LONGEST_REASON - 1}}}")


@dataclass(frozen=True)
class Settings:
    """Options of ``vertebral-bmd measure``; lengths in mm, points in LPS mm.

    ``exclude``: levels that the user leaves out of the patient's value, each with the reason in a few words;
    ``calibration``: "auto", or a request such as "phantom:NAME" (see ``calibration.tiers``); ``rods``: the user's own rod
    positions; ``convert``: (material, factor) by which densities are multiplied; ``roi``: label map of edited ROIs, on a part of
    the scan's grid or all of it; ``roi_levels``: the levels it is meant for (None: all, also those it leaves empty);
    ``region``: "eroded" or "ellipse"; ``central_fraction``: share of the body's height that the ROI keeps; ``thresholds``: a
    name in Resources/Thresholds.
    """

    levels: tuple[str, ...] = ("L1", "L2")
    engine: str = "bundled"
    bodies: Path | None = None
    bodies_numbering: str = "auto"
    level_at: tuple[str, tuple[float, float, float]] | None = None
    exclude: tuple[tuple[str, str], ...] = ()
    calibration: str = "auto"
    rods: Path | None = None
    convert: tuple[str, float] | None = None
    roi: Path | None = None
    roi_levels: tuple[str, ...] | None = None
    erosion_mm: float = 3.0
    erosion_shape: str = "box"
    region: str = "eroded"
    central_fraction: float = CENTRAL_FRACTION
    thresholds: str = "acr"
    device: str = "auto"
    allow: frozenset[Code] = frozenset()

    def __post_init__(self) -> None:
        if not _EROSION_MM[0] <= self.erosion_mm <= _EROSION_MM[1]:
            raise ValueError(f"erosion_mm must be within {_EROSION_MM[0]:g}-{_EROSION_MM[1]:g} mm, not {self.erosion_mm}")
        parsed(self.calibration)
        if not 0.1 <= self.central_fraction <= 1.0:
            raise ValueError(f"central_fraction must be within 0.1-1, not {self.central_fraction}")
        if self.convert is not None and not 0.5 <= self.convert[1] <= 2.0:
            raise ValueError(f"convert must be a factor within 0.5-2, not {self.convert[1]}")
        if self.roi is None and self.roi_levels is not None:
            raise ValueError("roi_levels needs an edited ROI, roi")
        if not self.levels:
            raise ValueError("levels must name at least one level")
        if self.level_at is not None and not np.isfinite(self.level_at[1]).all():
            raise ValueError("level_at needs a point of finite coordinates in LPS mm")
        for level, reason in self.exclude:
            label_of(level)
            if not _REASON.fullmatch(reason):
                raise ValueError(
                    f"exclude needs a reason for {level}: one line of up to {_LONGEST_REASON} characters, beginning with a letter"
                )
