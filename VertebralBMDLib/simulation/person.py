"""One simulated person: spine, trunk, tissues and bone quality, and how they are drawn on a canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.simulation.body import Trunk, make_trunk
from VertebralBMDLib.simulation.bowel import paint_bowel
from VertebralBMDLib.simulation.contrast import Contrast, Iodine, draw_iodine
from VertebralBMDLib.simulation.degeneration import DiscWear, paint_gas, wear_of_disc
from VertebralBMDLib.simulation.findings import Findings
from VertebralBMDLib.simulation.girdle import paint_girdle
from VertebralBMDLib.simulation.hardware import paint_hardware
from VertebralBMDLib.simulation.heart import paint_mediastinum
from VertebralBMDLib.simulation.lesions import Blob, blobs_of
from VertebralBMDLib.simulation.lungs import paint_lung_vessels, paint_lungs
from VertebralBMDLib.simulation.muscles import paint_canal_and_discs, paint_muscles
from VertebralBMDLib.simulation.organs import paint_organs
from VertebralBMDLib.simulation.population import draw_qualities
from VertebralBMDLib.simulation.shapes import Canvas
from VertebralBMDLib.simulation.skeleton import BoneStuff, paint_bone, paint_skeleton
from VertebralBMDLib.simulation.spine import Sex, Spine, make_spine, places
from VertebralBMDLib.simulation.strokes import Drawing, stream
from VertebralBMDLib.simulation.tissues import SmoothField, Tissues, make_tissues
from VertebralBMDLib.simulation.trabecular import BoneQuality, paint_body
from VertebralBMDLib.simulation.vessels import paint_mesentery, paint_vessels
from VertebralBMDLib.simulation.wall import paint_fat, paint_grain, paint_wall

# From the inside out: what comes later covers what was there.
_SOFT_TISSUE = (
    paint_fat,
    paint_mesentery,
    paint_bowel,
    paint_organs,
    paint_lungs,
    paint_lung_vessels,
    paint_mediastinum,
    paint_wall,
    paint_vessels,
    paint_muscles,
    paint_grain,
    paint_canal_and_discs,
)


@dataclass(frozen=True)
class Person:
    """Anatomy and composition; `soft` and `bone` seed what is drawn at paint time (organs, bone texture).

    iodine: contrast medium of this examination, already in `tissues`.
    """

    spine: Spine
    trunk: Trunk
    tissues: Tissues
    qualities: tuple[BoneQuality, ...]
    findings: Findings
    iodine: Iodine
    soft: np.random.SeedSequence
    bone: np.random.SeedSequence

    def quality(self, level: str) -> BoneQuality:
        return self.qualities[self.spine.index(level)]

    def texture_rng(self, level: str) -> np.random.Generator:
        """The generator of one body's texture: the same at every drawing and in every column."""
        return stream(self.bone, LABELS[level])

    def disc_wear(self, level: str) -> DiscWear:
        """Wear of the disc below a level; its own stream, so that a crop shows what the field shows."""
        rng, at = stream(self.bone, LABELS[level], 1), self.spine.index(level)
        return wear_of_disc(rng, self.spine.discs[at], self.findings.degeneration, float(places(self.spine.levels)[at]))

    def blobs(self, level: str) -> tuple[Blob, ...]:
        """Lesions and cement of one vertebra."""
        return blobs_of(self.findings, level, self.spine.body(level), self.quality(level).fat_fraction)


def make_person(
    seed: np.random.SeedSequence,
    sex: Sex,
    age: float,
    vbmd: float | None,
    findings: Findings = Findings(),
    contrast: Contrast = "none",
    oral_contrast: bool = False,
) -> Person:
    """Draw a person. vbmd: CaHA reading of L1 at 120 kV, None for the age curve.

    contrast: phase of intravenous medium; oral_contrast: stomach and small bowel hold positive contrast too.
    Every subject has a stream of its own, so another voltage, density, lesion or contrast leaves the anatomy unchanged.
    """
    anatomy, bone, soft, organs, texture, medium = (np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, i)) for i in range(6))
    rng = np.random.default_rng(anatomy)
    spine = make_spine(rng, sex, findings)
    trunk = make_trunk(rng, sex, spine)
    qualities = draw_qualities(np.random.default_rng(bone), sex, age, vbmd, spine.levels, findings.degeneration)
    iodine = draw_iodine(np.random.default_rng(medium), contrast, oral_contrast)
    tissues = make_tissues(np.random.default_rng(soft), age, iodine)
    return Person(spine, trunk, tissues, qualities, findings, iodine, organs, texture)


def _drawing(canvas: Canvas, person: Person) -> Drawing:
    return Drawing(canvas, person.spine, person.trunk, person.tissues, person.soft, SmoothField.make(stream(person.soft, 0)))


def draw_person(canvas: Canvas, person: Person, levels: Sequence[str] | None = None) -> None:
    """Paint the person from the inside out; only the named levels get bone (None: all)."""
    drawing = _drawing(canvas, person)
    for paint in _SOFT_TISSUE:
        paint(drawing)
    draw_bones(canvas, person, person.spine.levels if levels is None else levels)
    paint_girdle(drawing, person.quality("L1"))


def draw_bulk(canvas: Canvas, person: Person, levels: Sequence[str]) -> None:
    """Paint what weighs on the beam: no bowel, small vessels or grain."""
    drawing = _drawing(canvas, person)
    for paint in (paint_fat, paint_organs, paint_lungs, paint_wall, paint_muscles):
        paint(drawing)
    draw_bones(canvas, person, levels)


def draw_outside(canvas: Canvas, person: Person) -> None:
    """Paint only what the skin is around: enough to see how the person lies."""
    drawing = _drawing(canvas, person)
    paint_wall(drawing)
    paint_girdle(drawing, person.quality("L1"))


def draw_bones(canvas: Canvas, person: Person, levels: Sequence[str]) -> None:
    """Skeleton, worn discs, bodies with their lesions, and metal over all."""
    spine, first = person.spine, person.quality("L1")
    blobs = {level: person.blobs(level) for level in levels}
    paint_skeleton(canvas, spine, person.trunk, levels, first, blobs)
    for level in levels:
        wear = person.disc_wear(level)
        paint_gas(canvas, wear)
        if wear.bridges:
            paint_bone(canvas, wear.bridges, BoneStuff.of(first, 0.6, 850.0, 1.0), finding="degeneration")
    for level in levels:
        paint_body(
            canvas,
            spine.body(level),
            LABELS[level],
            person.quality(level),
            person.texture_rng(level),
            blobs[level],
            person.iodine.marrow,
        )
    paint_hardware(canvas, spine, person.findings)
