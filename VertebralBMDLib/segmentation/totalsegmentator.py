"""The engine that asks TotalSegmentator 2.15 or newer, where the user's own environment has it.

Bodies come from the first of these that the user has the networks for:

- ``vertebrae_pp_refined``: bodies with VerSe numbers, the least mixed up of its tasks;
- ``total`` (or its 3 mm version) for the names, cut to bodies by ``vertebrae_body``;
- ``total``, cut to bodies by our own refining network.

Licences: ``total`` is open (Apache-2.0); the ``vertebrae_...`` tasks are open from version 2.17 on and need a licence
(free for non-commercial use) in 2.15 and 2.16, without which their networks cannot be on the computer.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..anatomy import LABELS, LEVELS
from ..grid import field_grid, resampled
from ..network.models import identity
from ..network.segmentation import LOCALISE, LOCALISE_SPACING_MM, localise
from ..quality import Code, Refused
from ..scan import Scan
from .labelled import labelled_bodies, mapped, numbered_from_cranial
from .levels import Naming, name_levels
from .numbering import TOTALSEGMENTATOR
from .totalsegmentator_program import BODIES, REFINED, Run, installed, runnable_tasks, weights_folder
from .vertebrae import Progress, Vertebrae
from .whole_vertebrae import CutBodies, cut_bodies

#: Body voxels this near to a named vertebra belong to it.
_NEAR_MM = 5.0
#: A name that ribs and sacrum speak against is at most so likely.
_CONTRADICTED = 0.50


class TotalSegmentatorEngine:
    """Bodies by TotalSegmentator. The levels are its own; how far they can be trusted is read from ribs and sacrum.

    It names every vertebra it sees, also where the scan shows neither rib nor sacrum. So its names count as certain only
    where our own reading (``levels``) of what the bundled localiser sees comes to the same names and is certain itself.
    """

    name = "totalsegmentator"

    def __init__(self, device: str):
        self._device = device

    def segment(self, scan: Scan, progress: Progress) -> Vertebrae:
        """See ``Engine``. Raises Refused (ENGINE_MISSING, ENGINE_WEIGHTS_MISSING, ENGINE_FAILED, NO_VERTEBRAE, and what
        ``cut_bodies`` raises)."""
        command, version = installed()
        tasks = runnable_tasks(weights_folder())
        with tempfile.TemporaryDirectory(prefix="VertebralBMD-", ignore_cleanup_errors=True) as folder:
            run = Run(command, version, Path(folder), self._device)
            run.prepare(scan)
            maps = {task.name: run.labels(task, scan, lambda: progress(0.05)) for task in tasks}
        progress(0.8)
        bodies, flags = self._bodies(maps, scan, lambda fraction: progress(0.8 + 0.15 * fraction))
        numbered, levels, centroids, complete = numbered_from_cranial(bodies.label_map)
        if not levels:
            raise Refused(Code.NO_VERTEBRAE)
        complete = bodies.complete(levels, complete)
        trusted = self._trust(levels, scan, centroids, complete)
        naming = Naming(levels, trusted.confidence, (*trusted.flags, *flags))
        models = (identity(LOCALISE), *bodies.models)
        return labelled_bodies(numbered, naming, complete, f"{self.name} {version}", models)

    def _bodies(self, maps: dict[str, sitk.Image], scan: Scan, progress: Progress) -> tuple[CutBodies, tuple[Code, ...]]:
        """Bodies with VerSe labels, and what was done to them."""
        if REFINED.name in maps:
            return CutBodies(maps[REFINED.name], frozenset(), ()), ()
        table = np.zeros(256, dtype=np.uint8)
        for number, level in TOTALSEGMENTATOR.items():
            table[number] = LABELS[level]
        vertebrae = mapped(maps["total"], table)
        if BODIES.name in maps:
            return CutBodies(_cut(vertebrae, maps[BODIES.name]), frozenset(), ()), ()
        return cut_bodies(scan, vertebrae, list(LEVELS), self._device, progress), (Code.BODIES_CUT_OUT,)

    def _trust(self, levels: tuple[str, ...], scan: Scan, centroids: np.ndarray, complete: list[bool]) -> Naming:
        """``levels`` with how far they can be trusted, and doubts, from the ribs and the sacrum that the scan shows."""
        field = resampled(scan.image, field_grid(scan.image, LOCALISE_SPACING_MM))
        own = name_levels(localise(field, self._device), field, centroids, complete)
        pairs = list(zip(own.levels, levels, own.confidence))
        confidence = tuple(sure if ours == theirs else min(_CONTRADICTED, 1 - sure) for ours, theirs, sure in pairs)
        differ = own.levels != levels and Code.LEVEL_UNCERTAIN not in own.flags
        return Naming(levels, confidence, (Code.LEVEL_UNCERTAIN, *own.flags) if differ else own.flags)


def _cut(vertebrae: sitk.Image, bodies: sitk.Image) -> sitk.Image:
    """Every voxel of a body (1 in the map of ``vertebrae_body``; 2 are discs) with the label of the nearest vertebra, and of
    each label its largest piece: the two networks do not agree on every voxel between neighbours."""
    named = sitk.GetArrayFromImage(vertebrae)
    body = sitk.GetArrayViewFromImage(bodies) == 1
    boxes = ndimage.find_objects(body.view(np.uint8))
    labels = np.zeros_like(named)
    if boxes:
        place = boxes[0]
        inside = np.where(body[place], named[place], 0)
        distance, nearest = ndimage.distance_transform_edt(inside == 0, vertebrae.GetSpacing()[::-1], return_indices=True)
        filled = np.where(body[place] & (distance <= _NEAR_MM), inside[tuple(nearest)], 0)
        for label, box in enumerate(ndimage.find_objects(filled), start=1):
            if box is not None:
                pieces, _count = ndimage.label(filled[box] == label)
                largest = np.bincount(pieces.ravel())[1:].argmax() + 1
                labels[place][box][pieces == largest] = label
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(vertebrae)
    return image
