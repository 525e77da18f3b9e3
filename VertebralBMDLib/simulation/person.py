"""One simulated person: spine, trunk, tissues and bone quality, and how they are drawn on a canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.simulation.body import Trunk, make_trunk
from VertebralBMDLib.simulation.bowel import paint_bowel
from VertebralBMDLib.simulation.contrast import Contrast, Iodine, draw_iodine
from VertebralBMDLib.simulation.girdle import paint_girdle
from VertebralBMDLib.simulation.heart import paint_mediastinum
from VertebralBMDLib.simulation.lungs import paint_lung_vessels, paint_lungs
from VertebralBMDLib.simulation.muscles import paint_canal_and_discs, paint_muscles
from VertebralBMDLib.simulation.organs import paint_organs
from VertebralBMDLib.simulation.shapes import Canvas
from VertebralBMDLib.simulation.skeleton import paint_skeleton
from VertebralBMDLib.simulation.spine import LEVELS, Sex, Spine, make_spine
from VertebralBMDLib.simulation.strokes import Drawing, stream
from VertebralBMDLib.simulation.tissues import SmoothField, Tissues, make_tissues
from VertebralBMDLib.simulation.trabecular import BoneQuality, paint_body
from VertebralBMDLib.simulation.vessels import paint_mesentery, paint_vessels
from VertebralBMDLib.simulation.wall import paint_fat, paint_grain, paint_wall

# Reference curve at L1-L2 (mg/cm3, K2HPO4; taken as CaHA, which differs by 1-3 % at 120 kV).
_AGE = [22, 32, 37, 42, 47, 52, 57, 62, 67, 72, 77, 83]
_CURVE = {
    "M": [173, 177, 168, 149, 140, 131, 123, 115, 107, 99, 91, 92],
    "F": [180, 185, 181, 165, 154, 134, 113, 98, 86, 74, 64, 62],
}
_CURVE_SD = 27.0
# Density relative to L1: thoracic levels denser, L4 lowest.
_LEVEL_SHARE = np.interp(
    np.arange(len(LEVELS)), [0, 7, 9, 11, 12, 13, 14, 15, 16], [1.25, 1.12, 1.08, 1.045, 1.0, 0.975, 0.955, 0.95, 0.97]
)
_LEVEL_SD = 6.0  # mg/cm3 per level


@dataclass(frozen=True)
class Person:
    """Anatomy and composition; `streams` seeds what is drawn at paint time (organs, bone texture).

    iodine: contrast medium of this examination, already in `tissues`; `iodine.marrow` is for the bones.
    """

    spine: Spine
    trunk: Trunk
    tissues: Tissues
    qualities: tuple[BoneQuality, ...]
    streams: tuple[np.random.SeedSequence, np.random.SeedSequence]
    iodine: Iodine = Iodine()

    def quality(self, level: str) -> BoneQuality:
        return self.qualities[LEVELS.index(level)]


def expected_vbmd(sex: Sex, age: float) -> float:
    """Model curve of L1-L2 density by age (mg/cm3); fits published anchors, not a published table."""
    return float(np.interp(age, _AGE, _CURVE[sex]))


def make_person(
    seed: np.random.SeedSequence,
    sex: Sex,
    age: float,
    vbmd: float | None,
    turn: np.ndarray | None = None,
    contrast: Contrast = "none",
    oral_contrast: bool = False,
) -> Person:
    """Draw a person. vbmd: CaHA reading of L1 at 120 kV, None for the age curve; turn: rotation of the spine about L1.

    contrast: phase of intravenous medium; oral_contrast: stomach and small bowel hold positive contrast too.

    Every subject has a stream of its own, so another voltage or density leaves the anatomy unchanged.
    """
    anatomy, bone, soft, organ_stream, texture_stream, medium = seed.spawn(6)
    rng = np.random.default_rng(anatomy)
    spine = make_spine(rng, sex)
    if turn is not None:
        spine = spine.turned(turn)
    trunk = make_trunk(rng, sex, spine)
    qualities = draw_qualities(np.random.default_rng(bone), sex, age, vbmd)
    iodine = draw_iodine(np.random.default_rng(medium), contrast, oral_contrast)
    tissues = make_tissues(np.random.default_rng(soft), age, iodine)
    return Person(spine, trunk, tissues, qualities, (organ_stream, texture_stream), iodine)


def draw_qualities(rng: np.random.Generator, sex: Sex, age: float, vbmd: float | None) -> tuple[BoneQuality, ...]:
    """Bone quality of T1 to L5: L1 as given or drawn, the others around it; marrow fat rises with age."""
    drawn = max(expected_vbmd(sex, age) + rng.normal(0.0, _CURVE_SD), 15.0)
    l1 = drawn if vbmd is None else vbmd
    fat = float(np.clip(0.40 + 0.010 * (age - 50.0) + rng.normal(0.0, 0.07), 0.15, 0.85))
    spread = rng.normal(0.0, _LEVEL_SD, len(LEVELS))
    spread[LEVELS.index("L1")] = 0.0
    fats = np.clip(fat + rng.normal(0.0, 0.02, len(LEVELS)), 0.1, 0.9)
    return tuple(BoneQuality(float(max(l1 * share + s, 0.0)), float(f)) for share, s, f in zip(_LEVEL_SHARE, spread, fats))


def draw_person(canvas: Canvas, person: Person, levels: Sequence[str] = LEVELS) -> None:
    """Paint the person from the inside out; only the named levels get bone."""
    spine, tissues = person.spine, person.tissues
    field = SmoothField.make(stream(person.streams[0], 0))
    drawing = Drawing(canvas, spine, person.trunk, tissues, person.streams[0], field)
    for paint in (paint_fat, paint_mesentery, paint_bowel, paint_organs, paint_lungs, paint_lung_vessels, paint_mediastinum, paint_wall):
        paint(drawing)
    for paint in (paint_vessels, paint_muscles, paint_grain, paint_canal_and_discs):
        paint(drawing)
    first = person.quality("L1")
    paint_skeleton(canvas, spine, person.trunk, levels, first.mineral, first.fat_fraction)
    paint_girdle(drawing, first.mineral, first.fat_fraction)
    for number, level in enumerate(LEVELS):
        if level in levels:
            paint_body(canvas, spine.body(level), LABELS[level], person.quality(level), stream(person.streams[1], number))
