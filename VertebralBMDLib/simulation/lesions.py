"""Focal lesions and cement: irregular solids in the local frame of a vertebra, and what fills them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from VertebralBMDLib.simulation.findings import FINDING_LABELS, Findings
from VertebralBMDLib.simulation.materials import Composition, bone, mixture, tissue
from VertebralBMDLib.simulation.shapes import coverage
from VertebralBMDLib.simulation.vertebra import BodyShape, Waves

TUMOUR: Composition = tissue({"muscle": 0.85, "water": 0.15})
# Acrylic with barium sulphate reads 1500-2500 HU; polyethylene and calcium salt stand for them.
CEMENT: Composition = {"polyethylene": 0.75, "calcium_carbonate": 1.0}


class HuOf(Protocol):
    """A `beam.Beam`, or whatever else reads a number off a composition."""

    def hu(self, composition: Composition) -> float: ...


@dataclass(frozen=True)
class Blob:
    """An ellipsoid whose surface is displaced by waves; center and half axes in mm of the vertebra's frame.

    inside, pockets: what fills it, and what fills the pockets of a mixed lesion where `patches` is low. destroys:
    it takes the cortex away instead of lying under it.
    """

    label: int
    center: tuple[float, float, float]
    half_axes: tuple[float, float, float]
    outline: Waves
    ragged: float
    inside: Composition
    pockets: Composition | None = None
    patches: Waves | None = None
    destroys: bool = False

    def share(self, u: np.ndarray, v: np.ndarray, w: np.ndarray, footprint_mm: float) -> np.ndarray:
        """Coverage of local points, 0-1; blurred over the millimetre in which it merges with bone."""
        du, dv, dw = (c - np.float32(m) for c, m in zip((u, v, w), self.center))
        level = np.sqrt(sum((d / np.float32(h)) ** 2 for d, h in zip((du, dv, dw), self.half_axes)))
        share = np.zeros(np.broadcast(level).shape, np.float32)
        near = level < 1.0 + 4.0 * self.ragged + footprint_mm / min(self.half_axes)
        if near.any():
            full = (np.broadcast_to(c, share.shape)[near] for c in (u, v, w))
            edge = (level[near] - 1.0 - self.ragged * self.outline.at(*full)) * np.float32(min(self.half_axes))
            share[near] = coverage(edge, float(np.hypot(footprint_mm, 1.0)))
        return share

    def hu(self, beam: HuOf, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> np.ndarray:
        """HU of its contents at local points."""
        solid = np.float32(beam.hu(self.inside))
        if self.pockets is None or self.patches is None:
            return solid
        part = np.clip(0.5 + 0.7 * self.patches.at(u, v, w), 0.0, 1.0)
        return part * solid + (1.0 - part) * np.float32(beam.hu(self.pockets))


def blobs_of(findings: Findings, level: str, body: BodyShape, fat_fraction: float) -> tuple[Blob, ...]:
    """Lesions and cement of one level, in the order in which they are laid down."""
    half = 0.5 * np.array([body.width, body.depth, body.height])
    blobs = []
    for lesion in findings.lesions:
        if lesion.level != level:
            continue
        rng = np.random.default_rng(lesion.seed)
        center = np.array([lesion.across, lesion.back, lesion.up]) * half
        if lesion.back > 1.0:  # in a pedicle, not in the canal between them
            center[0] = np.copysign(max(abs(center[0]), 0.38 * body.width), center[0])
            center[2] = 0.18 * body.height
        island = lesion.kind == "island"
        axes = lesion.radius_mm * np.exp(rng.normal(0.0, 0.12, 3))
        outline = Waves.make(rng, 1.1 * lesion.radius_mm, 3.0 * lesion.radius_mm, 7)
        patches = Waves.make(rng, 5.0, 16.0, 16)
        sclerotic = bone(lesion.mineral_mg_cm3, 0.3 * fat_fraction)
        remains = mixture((1.0, TUMOUR), (1.0, {"CaHA": lesion.mineral_mg_cm3 / 1000.0}))
        blobs.append(
            Blob(
                FINDING_LABELS[lesion.kind],
                tuple(float(c) for c in center),
                tuple(float(a) for a in axes),
                outline,
                0.06 if island else 0.20,
                remains if lesion.kind == "lytic" else sclerotic,
                TUMOUR if lesion.kind == "mixed" else None,
                patches if lesion.kind == "mixed" else None,
                destroys=lesion.kind in ("lytic", "mixed"),
            )
        )
    for index, hardware in enumerate(findings.hardware):
        if hardware.kind == "cement" and level in hardware.levels:
            rng = np.random.default_rng([index, hardware.levels.index(level)])
            for side in (-1.0, 1.0):
                center = half * [side * rng.uniform(0.15, 0.4), rng.uniform(-0.4, 0.0), rng.uniform(-0.2, 0.2)]
                axes = half * rng.uniform(0.28, 0.45, 3)
                blobs.append(
                    Blob(
                        FINDING_LABELS["hardware"],
                        tuple(float(c) for c in center),
                        tuple(float(a) for a in axes),
                        Waves.make(rng, 6.0, 16.0, 8),
                        0.3,
                        CEMENT,
                    )
                )
    return tuple(blobs)


def lay(
    blobs: Sequence[Blob], beam: HuOf, local: tuple[np.ndarray, np.ndarray, np.ndarray], footprint_mm: float, *layers: np.ndarray
) -> list[tuple[int, np.ndarray]]:
    """Blend the blobs into HU `layers` at local points: the first is what lies under the cortex, a second the cortex
    itself, which only destroying blobs enter. Returns each blob's label and coverage."""
    shares = []
    for blob in blobs:
        share = blob.share(*local, footprint_mm)
        shares.append((blob.label, share))
        if not share.any():
            continue
        contents = blob.hu(beam, *local)
        for layer in layers[: 2 if blob.destroys else 1]:
            layer += share * (contents - layer)
    return shares
