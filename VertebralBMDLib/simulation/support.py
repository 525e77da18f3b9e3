"""What the patient lies on: phantom, its mounting and the couch, placed under the back.

The back is looked at in a coarse drawing on a fixed grid, so the place of the couch never depends on
the field of view. LPS mm in the frame of the person (L1 centre at 0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from VertebralBMDLib.calibration.catalogue import Phantom
from VertebralBMDLib.simulation.beam import reference_beam
from VertebralBMDLib.simulation.couch import CUSHION_LEFT, Couch, fill_air, paint_couch
from VertebralBMDLib.simulation.materials import AIR, Composition
from VertebralBMDLib.simulation.phantom import PlacedPhantom, paint_phantom, phantom_body
from VertebralBMDLib.simulation.shapes import Canvas, Frame, Grid, coverage
from VertebralBMDLib.simulation.spine import rotation

Place = Literal["slab", "pad", "couch"]
Filling = Literal["air", "towel", "gel"]
# A towel is cellulose, which is carbon and water by mass; gel is a water bolus. Densities: low confidence.
FILLINGS: dict[str, Composition] = {"air": AIR, "towel": {"carbon": 0.11, "water": 0.14}, "gel": {"water": 1.03}}
FILLING_MM = 40.0  # greatest thickness of what is put into the gap
BUILT_IN_MM = (-500.0, 500.0)
PAD_CURVE = 0.5  # of the couch's curvature that a flexible pad takes on: it is filled with rods
SHEET_MM = 1.5  # gown and sheet under the back
SKIN_HU = -500.0
ALONE = "esp"  # an abdomen of its own, never under a patient


@dataclass(frozen=True)
class Mounting:
    """How the phantom lies: place (slab: between patient and couch; pad: under the cushion; couch: inside the couch top).

    offset_x_mm: of the row from the patient's midline. tilt_deg: cranial end towards the couch; yaw_deg: cranial end
    to the left; roll_deg: left end towards the couch. sag_mm: the middle is pressed down. ends_mm: caudal and cranial
    end from the L1 centre. gap_mm: least distance of a slab from the skin; `filling` fills it and the hollow of the back.
    """

    place: Place = "slab"
    offset_x_mm: float = 0.0
    tilt_deg: float = 0.0
    yaw_deg: float = 0.0
    roll_deg: float = 0.0
    sag_mm: float = 0.0
    mirrored: bool = False
    ends_mm: tuple[float, float] = (-150.0, 90.0)
    gap_mm: float = 2.0
    filling: Filling = "air"

    def __post_init__(self) -> None:
        for name, allowed in (("place", get_args(Place)), ("filling", get_args(Filling))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        ranges = {
            "offset_x_mm": (-200.0, 200.0),
            "tilt_deg": (-8.0, 8.0),
            "yaw_deg": (-8.0, 8.0),
            "roll_deg": (-8.0, 8.0),
            "sag_mm": (0.0, 20.0),
            "gap_mm": (0.0, 40.0),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be within {low:g} to {high:g}, not {getattr(self, name)}")
        if not -1000.0 <= self.ends_mm[0] < self.ends_mm[1] <= 1000.0:
            raise ValueError(f"ends_mm must be an ascending pair within -1000 to 1000 mm, not {self.ends_mm}")


def usual_place(phantom: Phantom) -> Place:
    return "couch" if phantom.name == "intable" else "slab"


def plain_mounting(rng: np.random.Generator, phantom: Phantom) -> Mounting:
    """A level phantom a little beside the midline."""
    place = usual_place(phantom)
    ends = BUILT_IN_MM if place == "couch" else Mounting.ends_mm
    return Mounting(place, offset_x_mm=float(rng.uniform(-10.0, 10.0)), yaw_deg=float(rng.uniform(-0.6, 0.6)), ends_mm=ends)


def draw_mounting(rng: np.random.Generator, phantom: Phantom) -> Mounting:
    """As in daily work: tilted, bent, sometimes short, the wrong way round or far off the midline (low confidence)."""
    place = usual_place(phantom)
    if place == "slab" and rng.random() < 0.25:
        place = "pad"
    shift, tilt, yaw, roll = rng.normal(0.0, [12.0, 1.2, 1.0, 1.0])
    if rng.random() < 0.04:
        shift += rng.choice([-70.0, 70.0])
    filling = str(rng.choice(["air", "towel", "gel"], p=[0.5, 0.3, 0.2]))
    loose = {"air": (1.0, 4.0), "towel": (3.0, 12.0), "gel": (5.0, 20.0)}[filling]
    ends = rng.uniform([-180.0, 40.0], [-100.0, 120.0])
    fixed = 0.3 if place == "couch" else 1.0  # built in: it is as level as the couch
    return Mounting(
        place,
        offset_x_mm=float(np.clip(shift * fixed, -150.0, 150.0)),
        tilt_deg=float(np.clip(tilt * fixed, -4.0, 4.0)),
        yaw_deg=float(np.clip(yaw * fixed, -4.0, 4.0)),
        roll_deg=float(np.clip(roll * fixed, -4.0, 4.0)),
        sag_mm=float(rng.uniform(0.0, 5.0)) * fixed,
        mirrored=bool(rng.random() < 0.08),
        ends_mm=(float(ends[0]), float(ends[1])) if place != "couch" else BUILT_IN_MM,
        gap_mm=float(rng.uniform(*loose)) if place == "slab" else 2.0,
        filling=filling if place == "slab" else "air",
    )


@dataclass(frozen=True)
class Back:
    """The skin that faces the couch: y over (x, z), -inf beside the body; ascending axes, mm."""

    x: np.ndarray
    z: np.ndarray
    y: np.ndarray

    @classmethod
    def of(cls, draw: Callable[[Canvas], None]) -> Back:
        """Look at what `draw` puts on any canvas: the last skin before the air behind."""
        grid = Grid((-320.0, -60.0, -300.0), (8.0, 3.0, 20.0), (81, 100, 30))
        canvas = Canvas(grid, reference_beam(120))
        draw(canvas)
        solid = canvas.hu > SKIN_HU
        last = grid.size[1] - 1 - np.argmax(solid[:, ::-1], axis=1)
        inner, outer = (np.take_along_axis(canvas.hu, np.minimum(last + k, grid.size[1] - 1)[:, None], axis=1)[:, 0] for k in (0, 1))
        part = np.clip((inner - SKIN_HU) / np.maximum(inner - outer, 1.0), 0.0, 1.0)
        skin = np.where(solid.any(axis=1), grid.axis(1)[last] + grid.spacing_mm[1] * part, -np.inf)
        return cls(grid.axis(0), grid.axis(2), skin.T)

    def at(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """y of the skin at points of broadcastable x and z; the ends continue."""
        finite = np.where(np.isfinite(self.y), self.y, -1e4)
        x, z = np.broadcast_arrays(np.clip(x, self.x[0], self.x[-1]), np.clip(z, self.z[0], self.z[-1]))
        return RegularGridInterpolator((self.x, self.z), finite)(np.stack([x, z], axis=-1))


@dataclass(frozen=True)
class Support:
    """Couch and phantom where they lie; `couch_y` is the upper surface of the couch in its middle."""

    couch: Couch
    couch_y: float
    mounting: Mounting | None = None
    placed: PlacedPhantom | None = None
    back: Back | None = None

    @property
    def isocentre_y(self) -> float:
        return self.couch_y - self.couch.table_height_mm

    def paint(self, canvas: Canvas) -> None:
        """Draw under what is there; the patient stays as drawn."""
        paint_couch(canvas, self.couch, self.couch_y)
        if self.placed is not None:
            paint_phantom(canvas, self.placed)
            if self.back is not None and self.mounting.filling != "air":
                _fill_gap(canvas, self.placed, self.back, FILLINGS[self.mounting.filling])

    def truth(self, canvas: Canvas, offset: np.ndarray) -> dict:
        """JSON-able: rods (see `PlacedRod.truth`), mounting, couch, and y of couch and isocentre; `offset` is added to LPS mm."""
        return {
            "rods": [rod.truth(canvas.grid, canvas.beam, offset) for rod in self.placed.rods] if self.placed else [],
            "mounting": None if self.mounting is None else asdict(self.mounting),
            "couch": asdict(self.couch),
            "couch_lps_y_mm": self.couch_y + float(offset[1]),
            "isocentre_lps_y_mm": self.isocentre_y + float(offset[1]),
        }


def lay(couch: Couch, back: Back | None, phantom: Phantom | None = None, mounting: Mounting | None = None) -> Support:
    """Put a patient (or nobody) on phantom and couch. ValueError for a phantom that is scanned alone."""
    if phantom is None:
        return Support(couch, _couch_under(couch, back))
    if phantom.name == ALONE:
        raise ValueError(f"phantom {phantom.name} has a body of its own: simulate it alone, not under a patient or as a slab")
    mounting = mounting or Mounting(usual_place(phantom))
    pose = rotation(*np.radians([mounting.tilt_deg, mounting.yaw_deg, mounting.roll_deg]))
    body = phantom_body(phantom)
    placed = PlacedPhantom(
        phantom,
        body,
        Frame(np.array([mounting.offset_x_mm, 0.0, 0.0]), pose),
        mounting.ends_mm,
        mounting.sag_mm,
        PAD_CURVE * couch.curvature_per_mm if body.flexible else 0.0,
        mounting.mirrored,
    )
    if mounting.place == "couch":
        couch_y = _couch_under(couch, back)
        upper = placed.surface(True)
        return Support(couch, couch_y, mounting, placed.moved(_inside(couch, couch_y, upper)), back)
    cushion = CUSHION_LEFT * couch.cushion_mm
    above = cushion + SHEET_MM if mounting.place == "pad" else mounting.gap_mm
    if back is not None:
        upper = placed.surface(True)
        placed = placed.moved(float((back.at(upper[:, 0], upper[:, 2]) - upper[:, 1]).max()) + above)
    lower = placed.surface(False)
    beneath = 0.5 if mounting.place == "pad" else 0.5 + cushion
    under_phantom = float((lower[:, 1] + couch.rise(lower[:, 0])).max()) + beneath
    couch_y = max(under_phantom, _couch_under(couch, back))
    # where thorax or buttocks reach lower than the phantom, it still rests on the couch, and the gap above it grows
    return Support(couch, couch_y, mounting, placed.moved(couch_y - under_phantom), back)


def _couch_under(couch: Couch, back: Back | None) -> float:
    """`couch_y` at which the skin just rests on the (pressed) cushion; nothing on it leaves it at 0."""
    if back is None:
        return 0.0
    on_it = np.abs(back.x) < 0.5 * couch.width_mm
    return float((back.y[on_it] + couch.rise(back.x[on_it])[:, None]).max()) + SHEET_MM + CUSHION_LEFT * couch.cushion_mm


def _inside(couch: Couch, couch_y: float, upper: np.ndarray) -> float:
    """How far down a built-in phantom goes: its upper face everywhere below the shell of the couch."""
    return float((couch_y - couch.rise(upper[:, 0]) - upper[:, 1]).max()) + couch.shell_mm + 2.0


def _fill_gap(canvas: Canvas, placed: PlacedPhantom, back: Back, material: Composition) -> None:
    """Towel or gel between the skin and the upper face of the phantom."""
    half = placed.half_width_mm - placed.body.taper_mm
    low, high = placed.bounds
    window = canvas.grid.window((low - [0.0, FILLING_MM, 0.0], high))
    if window is None:
        return
    for k in range(window[0].start, window[0].stop):
        part = (slice(k, k + 1), *window[1:])
        x, y, z = canvas.grid.points(part)
        u, v, w = placed.to_straight(x, y, z)
        above = -0.5 * placed.body.height_mm - v
        # a bag or a folded towel is thickest in the middle
        pillow = FILLING_MM * np.sqrt(np.maximum(1.0 - (u / np.float32(half)) ** 2, 0.0))
        outside = np.maximum(-above, above - pillow)
        outside = np.maximum(outside, np.maximum(placed.ends_mm[0] - w, w - placed.ends_mm[1]))
        # a little into the skin: fill_air leaves what is not air
        skin = back.at(x, z).astype(np.float32)
        outside = np.maximum(outside, skin - 4.0 - y)
        # and nothing beside the body, where there is no skin to hold it
        share = canvas.slice_mean(coverage(outside, canvas.grid.footprint_mm) * (skin > -1e3))
        fill_air(canvas.hu[part], share, canvas.beam.hu(material))
