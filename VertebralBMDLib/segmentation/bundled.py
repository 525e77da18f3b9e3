"""The bundled engine: localise bodies in the whole field at 3 mm, refine each at 1.5 mm, name them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..grid import field_grid, oriented, resampled
from ..network import segmentation as network
from ..network.models import identity
from ..quality import Code, Refused
from ..scan import Scan
from .labelled import labelled_bodies
from .levels import name_levels, neighbouring_steps
from .refined import RefinedBody, numbered_bodies, refined_body
from .vertebrae import Progress, Vertebrae

_PEAK = 0.25
#: More peaks than this, twice what a person has of vertebrae, are noise; the highest are read.
_MOST_PEAKS = 50
#: A peak this near to the centre of a body that was found belongs to it.
_SAME_BODY_MM = 9.0
#: The first vertebra of the sacrum looks like a body to the refiner; the localiser knows it from one (0.02 against 0.90 and more).
_LEAST_SEEN = 0.3
#: Bodies of one column: distance between neighbours, and how far a centre may lie from the line through the others.
_NEAREST_MM, _FURTHEST_MM, _OFF_COLUMN_MM = 14.0, 70.0, 30.0
#: Longest step from the last body to a further one, and how often the column is searched for missing bodies.
_STEP_MM, _ROUNDS = 38.0, 4


class BundledEngine:
    """Two TorchScript 3D ResUNets and rules for the levels; no network access."""

    name = "bundled"

    def __init__(self, device: str):
        self._device = device

    def segment(self, scan: Scan, progress: Progress) -> Vertebrae:
        """See ``Engine``. Raises Refused (NO_VERTEBRAE, MODEL_DAMAGED, TORCH_MISSING)."""
        image = oriented(scan.image)
        field = resampled(image, field_grid(image, network.LOCALISE_SPACING_MM))
        progress(0.1)
        located = network.localise(field, self._device)
        progress(0.3)
        centres = _centres(located, field)
        seen = _Seen(located.probability("body"), field)
        bodies: list[RefinedBody] = []
        for index, centre in enumerate(centres):
            bodies += self._new_body(image, centre, bodies, seen)
            progress(0.3 + 0.5 * (index + 1) / len(centres))
        column = _column(_distinct(bodies))
        for _round in range(_ROUNDS):
            places = [place for place in _missing(column) if seen.near(place)]
            found = [body for place in places for body in self._new_body(image, place, bodies, seen)]
            if not found:
                break
            bodies += found
            column = _column(_distinct(bodies))
        if not column:
            raise Refused(Code.NO_VERTEBRAE)
        label_map, complete = numbered_bodies(scan.image, column)
        naming = name_levels(located, field, np.array([body.centre for body in column]), complete)
        progress(0.95)
        models = (identity(network.LOCALISE), identity(network.REFINE))
        return labelled_bodies(label_map, naming, complete, self.name, models)

    def _new_body(self, image: sitk.Image, centre: np.ndarray, known: list[RefinedBody], seen: _Seen) -> list[RefinedBody]:
        """The body around ``centre`` in a list, which is empty where there is none, it is known, or it is something else."""
        if any(np.linalg.norm(centre - body.centre) <= _SAME_BODY_MM for body in known):
            return []
        body = refined_body(image, centre, self._device)
        return [body] if body is not None and seen.share(body) >= _LEAST_SEEN else []


@dataclass(frozen=True)
class _Seen:
    """What the localiser takes for bodies: probability (z, y, x) on ``field``."""

    probability: np.ndarray
    field: sitk.Image

    def near(self, place: np.ndarray) -> bool:
        """True where there is a body within 6 mm of a place (LPS mm)."""
        index = self.field.TransformPhysicalPointToIndex(place.tolist())[::-1]
        around = tuple(slice(max(0, i - 2), max(0, i + 3)) for i in index)
        return bool(self.probability[around].size and self.probability[around].max() > 0.5)

    def share(self, body: RefinedBody) -> float:
        """Mean probability inside a refined body."""
        inside = sitk.GetArrayFromImage(sitk.Resample(body.probability, self.field, sitk.Transform(), sitk.sitkLinear, 0.0)) > 0.5
        return float(self.probability[inside].mean()) if inside.any() else 0.0


def _centres(located: network.Located, field: sitk.Image) -> list[np.ndarray]:
    """Peaks of the centre maps as LPS points, highest first."""
    heat = located.centres
    peaks = np.argwhere((heat == ndimage.maximum_filter(heat, 5)) & (heat > _PEAK) & (located.probability("body") > 0.2))
    order = np.argsort(-heat[tuple(peaks.T)])[:_MOST_PEAKS]
    return [np.array(field.TransformIndexToPhysicalPoint([int(i) for i in peaks[k][::-1]])) for k in order]


def _missing(column: list[RefinedBody]) -> list[np.ndarray]:
    """Where further bodies would lie: in gaps of the column, and one step beyond either end."""
    if len(column) < 2:
        return []
    points = np.array([body.centre for body in column])
    steps = np.diff(points, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    places = [points[0] - steps[0] * min(1.0, _STEP_MM / lengths[0]), points[-1] + steps[-1] * min(1.0, _STEP_MM / lengths[-1])]
    for start, step, length, usual in zip(points, steps, lengths, neighbouring_steps(lengths)):
        between = round(length / usual) - 1
        places += [start + step * (k + 1) / (between + 1) for k in range(between)]
    return places


def _distinct(bodies: list[RefinedBody]) -> list[RefinedBody]:
    """One entry per body: of those whose centres lie closer than bodies can, the most certain."""
    kept: list[RefinedBody] = []
    for body in sorted(bodies, key=lambda b: -b.score):
        if all(np.linalg.norm(body.centre - other.centre) > _NEAREST_MM for other in kept):
            kept.append(body)
    return kept


def _column(bodies: list[RefinedBody]) -> list[RefinedBody]:
    """The longest chain of bodies that follow each other like a spine, from cranial to caudal."""
    ordered = sorted(bodies, key=lambda b: -b.centre[2])
    best: list[list[RefinedBody]] = []
    for index, body in enumerate(ordered):
        chains = [best[k] for k in range(index) if _follows(best[k], body)]
        best.append([*max(chains, key=_weight, default=[]), body])
    return max(best, key=_weight, default=[])


def _weight(chain: list[RefinedBody]) -> float:
    return sum(body.score * body.volume_cm3 for body in chain)


def _follows(chain: list[RefinedBody], body: RefinedBody) -> bool:
    """True when ``body`` can be the next below the last of ``chain``: near enough and not far off its direction."""
    step = body.centre - chain[-1].centre
    if not _NEAREST_MM < np.linalg.norm(step) < _FURTHEST_MM or np.linalg.norm(step[:2]) > -step[2]:
        return False
    if len(chain) < 2:
        return True
    before = chain[-1].centre - chain[-2].centre
    return bool(np.linalg.norm(step - before * np.linalg.norm(step) / np.linalg.norm(before)) < _OFF_COLUMN_MM)
