"""Heart: one pericardial shape on the diaphragm and before the oesophagus, chambers inside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from VertebralBMDLib.simulation.lungs import paint_airways
from VertebralBMDLib.simulation.materials import Composition
from VertebralBMDLib.simulation.mediastinum import Mediastinum, paint_filling, paint_great_vessels, paint_oesophagus
from VertebralBMDLib.simulation.shapes import Ellipsoid, Frame
from VertebralBMDLib.simulation.strokes import Drawing, Rods, paint_rods, within_all

# Apex of the heart points left, forward and down.
_AXIS = np.array([0.62, -0.58, -0.53])
_SEAM_MM = 12.0  # how softly ventricles and atria run into each other
_SUNK_MM = 4.0  # the heart lies a little in the diaphragm


@dataclass(frozen=True)
class Heart:
    """Outline of the heart: ventricles and atria as one body between diaphragm, oesophagus and front wall.

    ventricles: third axis towards the apex, first towards the patient's back and left (the left ventricle).
    grow_mm: how far beyond the outline; negative inside.
    """

    ventricles: Ellipsoid
    atria: Ellipsoid
    room: Mediastinum
    grow_mm: float = 0.0

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        boxes = [part.bounds for part in (self.ventricles, self.atria)]
        reach = 0.25 * _SEAM_MM + self.grow_mm
        return np.minimum(boxes[0][0], boxes[1][0]) - reach, np.maximum(boxes[0][1], boxes[1][1]) + reach

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        one, other = self.ventricles.distance(x, y, z), self.atria.distance(x, y, z)
        # smooth minimum (polynomial, Quilez): no crease where the two meet
        blend = np.maximum(np.float32(_SEAM_MM) - np.abs(one - other), 0.0) * np.float32(1.0 / _SEAM_MM)
        both = np.minimum(one, other) - blend * blend * np.float32(0.25 * _SEAM_MM)
        trunk = self.room.trunk
        dome = trunk.dome(x, y, trunk.ellipse(self.ventricles.frame.origin[2])[0]).astype(np.float32) - np.float32(_SUNK_MM)
        level = z.ravel()
        back, front = (v.astype(np.float32)[:, None, None] for v in (self.room.back(level), self.room.front(level)))
        return within_all(both - np.float32(self.grow_mm), np.float32(0.8) * (dome - z), y - back, front - y)


@dataclass(frozen=True)
class _Chamber:
    """What lies inside a solid and at least `wall_mm` inside the heart's outline."""

    solid: Ellipsoid
    heart: Heart
    wall_mm: float

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.solid.bounds

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.maximum(self.solid.distance(x, y, z), self.heart.distance(x, y, z) + np.float32(self.wall_mm))


def make_heart(room: Mediastinum, rng: np.random.Generator) -> Heart:
    """Sizes in mm, those of an adult at deep inspiration; a low diaphragm draws the heart out."""
    axis = _AXIS * [1.0, 1.0, room.height_mm / 135.0]
    axis /= np.linalg.norm(axis)
    right = np.cross([0.0, 0.0, 1.0], axis)
    right /= np.linalg.norm(right)
    size = room.size * rng.normal(1.0, 0.05)
    ventricles = Frame(room.at(20.0, 0.60, 0.25), np.column_stack([right, np.cross(axis, right), axis]))
    atria = Frame(room.at(-4.0, 0.38, 0.41), np.eye(3))
    return Heart(
        Ellipsoid(ventricles, tuple(np.array([43.0, 41.0, 59.0]) * size * rng.normal(1.0, 0.04, 3))),
        Ellipsoid(atria, tuple(np.array([47.0 * size, 0.42 * room.deep_mm, 0.27 * room.height_mm]) * rng.normal(1.0, 0.04, 3))),
        room,
    )


def paint_heart(drawing: Drawing, room: Mediastinum) -> None:
    """Fat under the pericardium, muscle, chambers with their walls, the grooves with the coronary arteries."""
    rng, tissues = drawing.rng("heart"), drawing.tissues
    heart = make_heart(room, rng)
    fat_mm = float(rng.lognormal(np.log(1.2 + 0.8 * max(drawing.trunk.visceral, 0.0)), 0.4))
    drawing.organ(replace(heart, grow_mm=fat_mm), tissues.fat, 2.0)
    drawing.organ(heart, tissues.myocardium, 2.0)
    frame, size = heart.ventricles.frame, room.size

    def ventricle(place: tuple[float, float, float], half: tuple[float, float, float]) -> Ellipsoid:
        shift = np.asarray(place) * size * rng.normal(1.0, 0.06, 3)
        return Ellipsoid(Frame(frame.to_world(shift), frame.rotation), tuple(np.asarray(half) * size * rng.normal(1.0, 0.05, 3)))

    def atrium(x: float, ahead: float, height: float, half: tuple[float, float, float]) -> Ellipsoid:
        scale = np.array([size, room.deep_mm, room.height_mm]) * rng.normal(1.0, 0.05, 3)
        return Ellipsoid(Frame(room.at(x, ahead, height), np.eye(3)), tuple(np.asarray(half) * scale))

    chambers: tuple[tuple[Ellipsoid, Composition, float, float], ...] = (
        (atrium(-34.0, 0.45, 0.37, (22.0, 0.28, 0.23)), tissues.right_heart, 2.5, 2.0),
        (ventricle((-22.0, -6.0, 4.0), (20.0, 28.0, 44.0)), tissues.right_heart, 4.0, 3.0),
        (ventricle((16.0, 4.0, 8.0), (20.0, 21.0, 36.0)), tissues.artery, 9.0, 9.0),
        (atrium(1.0, 0.21, 0.44, (38.0, 0.24, 0.18)), tissues.artery, 2.0, 2.5),
    )
    for solid, blood, wall_mm, septum_mm in chambers:
        thick = replace(solid, half_axes=tuple(np.asarray(solid.half_axes) + septum_mm))
        drawing.organ(_Chamber(thick, heart, 0.5), tissues.myocardium, 1.5, 16.0)
        drawing.organ(_Chamber(solid, heart, wall_mm), blood, 1.5, 16.0)
    paint_grooves(drawing, heart)


def paint_grooves(drawing: Drawing, heart: Heart) -> None:
    """Fat with an artery in it between right atrium and ventricle, and between the ventricles in front."""
    frame, room = heart.ventricles.frame, heart.room
    half = np.asarray(heart.ventricles.half_axes)
    right = [room.at(-16.0, 0.74, 0.54), room.at(-27.0, 0.72, 0.40), room.at(-28.0, 0.64, 0.24)]
    before = [frame.to_world(half * p) for p in ([0.1, 0.9, -0.3], [-0.15, 0.9, 0.1], [-0.25, 0.72, 0.6])]
    for course in (right, before):
        paint_rods(drawing, Rods.along(course, 3.8), drawing.tissues.fat, 0.0, 1.3)
        paint_rods(drawing, Rods.along(course, 1.5), drawing.tissues.artery)


def paint_mediastinum(drawing: Drawing) -> None:
    """Everything between the lungs."""
    room = Mediastinum.of(drawing)
    paint_filling(drawing, room)
    paint_airways(drawing, room.carina)
    paint_oesophagus(drawing)
    paint_heart(drawing, room)
    paint_great_vessels(drawing, room)
