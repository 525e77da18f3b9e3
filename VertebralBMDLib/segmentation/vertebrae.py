"""What a segmentation engine returns: labelled vertebral bodies on the scan's own grid."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Protocol

import SimpleITK as sitk

from ..network.models import Model
from ..quality import UNMEASURABLE, Code
from ..scan import Scan

#: Called with the fraction of the stage that is done (0 to 1).
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Vertebra:
    """One vertebral body. ``centroid_lps_mm`` in the scan's physical space; ``level_confidence`` from 0 to 1."""

    level: str
    label: int
    centroid_lps_mm: tuple[float, float, float]
    level_confidence: float
    complete: bool
    volume_cm3: float
    flags: tuple[Code, ...] = ()

    @property
    def refusal(self) -> Code | None:
        """Why this body is not measured, or None."""
        if not self.complete:
            return Code.BODY_CUT_OFF
        return next((code for code in UNMEASURABLE if code in self.flags), None)


@dataclass(frozen=True)
class Vertebrae:
    """``label_map``: uint8 image of body labels (VerSe numbers) on the scan's grid; ``bodies`` from cranial to caudal."""

    label_map: sitk.Image
    bodies: tuple[Vertebra, ...]
    engine: str
    models: tuple[Model, ...] = ()
    flags: tuple[Code, ...] = ()

    def get(self, level: str) -> Vertebra | None:
        """The body of ``level``, or None."""
        return next((body for body in self.bodies if body.level == level), None)

    def flagged(self, code: Code, levels: Collection[str]) -> Vertebrae:
        """The same with one more flag on the bodies of ``levels``."""
        return replace(self, bodies=tuple(replace(b, flags=(*b.flags, code)) if b.level in levels else b for b in self.bodies))


class Engine(Protocol):
    """A way to find vertebral bodies."""

    name: str

    def segment(self, scan: Scan, progress: Progress) -> Vertebrae:
        """Bodies with their levels. Raises Refused (NO_VERTEBRAE, and what each engine names)."""
