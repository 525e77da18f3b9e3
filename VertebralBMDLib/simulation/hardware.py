"""Metal in the spine: pedicle screws and the rods that join them. Cement is a `lesions.Blob`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from VertebralBMDLib.simulation.findings import FINDING_LABELS, Findings
from VertebralBMDLib.simulation.materials import Composition
from VertebralBMDLib.simulation.shapes import LPS_FRAME, Canvas, Capsule, coverage
from VertebralBMDLib.simulation.spine import Spine

TITANIUM: Composition = {"titanium": 4.5}
SCREW_RADIUS_MM, HEAD_RADIUS_MM, ROD_RADIUS_MM = 2.9, 4.8, 2.75


def screws(spine: Spine, level: str) -> list[Capsule]:
    """Two screws through the pedicles into the front half of a body, 12 degrees convergent, each with its head; LPS."""
    body, (lateral, _, _) = spine.body(level), spine.arch(level).pedicle
    back = 0.5 * body.depth
    solids = []
    for side in (-1.0, 1.0):
        tip, entry = (side * 0.55 * lateral, -0.45 * back, 0.14 * body.height), (side * (lateral + 4.0), back + 19.0, 0.20 * body.height)
        head = (entry[0] + side * 1.5, entry[1] + 6.0, entry[2])
        solids.append(Capsule(body.frame, tip, entry, SCREW_RADIUS_MM - 0.7, SCREW_RADIUS_MM))
        solids.append(Capsule(body.frame, entry, head, HEAD_RADIUS_MM, HEAD_RADIUS_MM))
    return solids


def rods(spine: Spine, levels: Sequence[str]) -> list[Capsule]:
    """The rods from head to head, left and right."""
    heads = [[s.frame.to_world(s.end) for s in screws(spine, level)[1::2]] for level in sorted(levels, key=spine.index)]
    return [
        Capsule(LPS_FRAME, tuple(upper[side]), tuple(lower[side]), ROD_RADIUS_MM, ROD_RADIUS_MM)
        for upper, lower in zip(heads, heads[1:])
        for side in (0, 1)
    ]


def paint_hardware(canvas: Canvas, spine: Spine, findings: Findings) -> None:
    """Draw the metal over the bones and mark it."""
    for hardware in findings.hardware:
        if hardware.kind != "screws":
            continue
        for solid in [*(s for level in hardware.levels for s in screws(spine, level)), *rods(spine, hardware.levels)]:
            window = canvas.grid.window(solid.bounds)
            if window is None:
                continue
            inside = coverage(solid.distance(*canvas.grid.points(window)), canvas.grid.footprint_mm)
            share = canvas.blend(window, inside, inside * np.float32(canvas.beam.hu(TITANIUM)))
            canvas.findings[window][share >= 0.5] = FINDING_LABELS["hardware"]
