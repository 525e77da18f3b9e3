"""One simulated person: spine, trunk, tissues and bone quality, and how they are drawn on a canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.simulation import organs
from VertebralBMDLib.simulation.body import Trunk, make_trunk, paint_trunk
from VertebralBMDLib.simulation.degeneration import DiscWear, paint_gas, wear_of_disc
from VertebralBMDLib.simulation.findings import Findings
from VertebralBMDLib.simulation.hardware import paint_hardware
from VertebralBMDLib.simulation.lesions import Blob, blobs_of
from VertebralBMDLib.simulation.shapes import Canvas
from VertebralBMDLib.simulation.skeleton import BoneStuff, paint_bone, paint_skeleton
from VertebralBMDLib.simulation.spine import Sex, Spine, make_spine, places
from VertebralBMDLib.simulation.tissues import SmoothField, Tissues, make_tissues
from VertebralBMDLib.simulation.trabecular import BoneQuality, paint_body

# Reference curve at L1-L2 (mg/cm3, K2HPO4; taken as CaHA, which differs by 1-3 % at 120 kV).
_AGE = [22, 32, 37, 42, 47, 52, 57, 62, 67, 72, 77, 83]
_CURVE = {
    "M": [173, 177, 168, 149, 140, 131, 123, 115, 107, 99, 91, 92],
    "F": [180, 185, 181, 165, 154, 134, 113, 98, 86, 74, 64, 62],
}
_CURVE_SD = 27.0
# Density relative to L1 over the place in the usual column: thoracic levels denser, L4 lowest.
_LEVEL_SHARE = ([0, 7, 9, 11, 12, 13, 14, 15, 16], [1.25, 1.12, 1.08, 1.045, 1.0, 0.975, 0.955, 0.95, 0.97])
_LEVEL_SD = 6.0  # mg/cm3 per level
TEXTURE_MM, STREAK_MM = 3.5, 2.5


@dataclass(frozen=True)
class Person:
    """Anatomy and composition; `streams` seeds what is drawn at paint time (organs, bone texture)."""

    spine: Spine
    trunk: Trunk
    tissues: Tissues
    qualities: tuple[BoneQuality, ...]
    findings: Findings
    streams: tuple[np.random.SeedSequence, np.random.SeedSequence]

    def quality(self, level: str) -> BoneQuality:
        return self.qualities[self.spine.index(level)]

    def texture_rng(self, level: str) -> np.random.Generator:
        """The generator of one body's texture: the same at every drawing and in every column."""
        stream = self.streams[1]
        return np.random.default_rng(np.random.SeedSequence(stream.entropy, spawn_key=(*stream.spawn_key, LABELS[level])))

    def blobs(self, level: str) -> tuple[Blob, ...]:
        """Lesions and cement of one vertebra."""
        return blobs_of(self.findings, level, self.spine.body(level), self.quality(level).fat_fraction)


def expected_vbmd(sex: Sex, age: float) -> float:
    """Model curve of L1-L2 density by age (mg/cm3); fits published anchors, not a published table."""
    return float(np.interp(age, _AGE, _CURVE[sex]))


def make_person(
    seed: np.random.SeedSequence,
    sex: Sex,
    age: float,
    vbmd: float | None,
    turn: np.ndarray | None = None,
    findings: Findings = Findings(),
) -> Person:
    """Draw a person. vbmd: CaHA reading of L1 at 120 kV, None for the age curve; turn: rotation of the spine about L1.

    Every subject has a stream of its own, so another voltage, density or lesion leaves the anatomy unchanged.
    """
    children = [np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, i)) for i in range(5)]
    anatomy, bone, soft, organ_stream, texture_stream = children
    rng = np.random.default_rng(anatomy)
    spine = make_spine(rng, sex, findings)
    if turn is not None:
        spine = spine.turned(turn)
    trunk = make_trunk(rng, sex, spine)
    qualities = draw_qualities(np.random.default_rng(bone), sex, age, vbmd, spine.levels, findings.degeneration)
    tissues = make_tissues(np.random.default_rng(soft), age)
    return Person(spine, trunk, tissues, qualities, findings, (organ_stream, texture_stream))


def draw_qualities(
    rng: np.random.Generator, sex: Sex, age: float, vbmd: float | None, levels: Sequence[str], degeneration: float = 0.0
) -> tuple[BoneQuality, ...]:
    """Bone quality of every level: L1 as given or drawn, the others around it.

    Marrow fat rises with age and varies between people whatever their mineral. The shell thins with age; its
    thickness, the texture and the gradient towards the endplates vary between people (spreads: low confidence).
    """
    slots = max(LABELS.values()) + 1
    drawn = max(expected_vbmd(sex, age) + rng.normal(0.0, _CURVE_SD), 15.0)
    l1 = drawn if vbmd is None else vbmd
    fat = float(np.clip(0.40 + 0.010 * (age - 50.0) + rng.normal(0.0, 0.08), 0.12, 0.85))
    wall = float(np.clip(0.38 - 0.0025 * (age - 55.0) + rng.normal(0.0, 0.08), 0.15, 0.70))
    mineral = float(np.clip(rng.normal(850.0, 45.0), 720.0, 980.0))
    texture = float(np.clip(rng.lognormal(np.log(0.33), 0.15), 0.20, 0.50))
    gradient, vein = float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.12, 0.21))
    spread, fats = rng.normal(0.0, _LEVEL_SD, slots), rng.normal(0.0, 0.025, slots)
    walls, sclerotic = rng.normal(1.0, 0.08, slots), rng.uniform(0.0, 1.6, slots)
    veins = rng.choice([0, 1, 2], slots, p=[0.18, 0.45, 0.37])  # double in 37 %, single in 45 % (Tzika 2021)
    share = np.interp(places(tuple(levels)), *_LEVEL_SHARE)
    return tuple(
        BoneQuality(
            float(max(l1 * part + (0.0 if level == "L1" else spread[k]), 0.0)),
            float(np.clip(fat + fats[k], 0.08, 0.9)),
            float(wall * walls[k]),
            float(1.35 * wall * walls[k] + 0.05),
            mineral,
            mineral + 40.0,
            texture,
            gradient,
            float(degeneration * sclerotic[k]),
            vein,
            int(veins[k]),
        )
        for level, part, k in zip(levels, share, (LABELS[name] for name in levels))
    )


def draw_person(canvas: Canvas, person: Person, levels: Sequence[str] | None = None) -> None:
    """Paint the person from the inside out; only the named levels get bone (None: all)."""
    spine, tissues = person.spine, person.tissues
    levels = spine.levels if levels is None else levels
    rng = np.random.default_rng(person.streams[0])
    organs.paint_cavity(canvas, person.trunk, tissues, rng)
    texture = SmoothField.make(rng)
    paint_trunk(canvas, person.trunk, tissues, texture, TEXTURE_MM)
    organs.paint_vessels(canvas, spine, tissues)
    organs.paint_muscles(canvas, spine, tissues, texture, STREAK_MM)
    organs.paint_canal_and_discs(canvas, spine, tissues)
    draw_bones(canvas, person, levels)


def draw_bones(canvas: Canvas, person: Person, levels: Sequence[str]) -> None:
    """Skeleton, worn discs, bodies with their lesions, and metal over all."""
    spine, first = person.spine, person.quality("L1")
    blobs = {level: person.blobs(level) for level in levels}
    wear = [_disc_wear(person, level) for level in levels]
    paint_skeleton(canvas, spine, person.trunk, levels, first.mineral, first.fat_fraction, blobs)
    for part in wear:
        paint_gas(canvas, part)
        if part.bridges:
            paint_bone(canvas, part.bridges, BoneStuff(0.6, 850.0, first.mineral, first.fat_fraction), finding="degeneration")
    for level in levels:
        paint_body(canvas, spine.body(level), LABELS[level], person.quality(level), person.texture_rng(level), blobs[level])
    paint_hardware(canvas, spine, person.findings)


def _disc_wear(person: Person, level: str) -> DiscWear:
    """Wear of the disc below a level; its own stream, so that a crop shows what the field shows."""
    stream = person.streams[1]
    rng = np.random.default_rng(np.random.SeedSequence(stream.entropy, spawn_key=(*stream.spawn_key, LABELS[level], 1)))
    at = person.spine.index(level)
    return wear_of_disc(rng, person.spine.discs[at], person.findings.degeneration, float(places(person.spine.levels)[at]))
