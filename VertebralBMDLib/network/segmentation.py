"""The two segmentation networks as functions on images along the patient's axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .models import import_torch, load

LOCALISE, REFINE = "localise", "refine"
LOCALISE_SPACING_MM = 3.0
#: What the localiser tells apart, in the order of its outputs and of the numbers in label maps of structures.
STRUCTURES = ("background", "body", "posterior", "sacrum", "rib", "pelvis")
REFINE_SPACING_MM, REFINE_SIZE = 1.5, 48

#: Sides of the localiser's input are padded to a multiple of this (four halvings).
_MULTIPLE = 16


@dataclass(frozen=True)
class Located:
    """What the localiser sees on a field of HU at 3 mm. ``structures``: probabilities (6, z, y, x) in the order of
    ``STRUCTURES``; ``ribbed`` and ``ribless``: (z, y, x), high at the centres of bodies with and without ribs."""

    structures: np.ndarray
    ribbed: np.ndarray
    ribless: np.ndarray

    def probability(self, structure: str) -> np.ndarray:
        """(z, y, x) of one of ``STRUCTURES``."""
        return self.structures[STRUCTURES.index(structure)]

    @property
    def centres(self) -> np.ndarray:
        """(z, y, x), high at the centre of every body."""
        return np.maximum(self.ribbed, self.ribless)


def localise(field: sitk.Image, device: str) -> Located:
    """Read a whole field along the patient's axes."""
    torch = import_torch()
    hu = sitk.GetArrayFromImage(field).astype(np.float32)
    padding = [(0, -n % _MULTIPLE) for n in hu.shape]
    padded = torch.from_numpy(np.pad(hu, padding, constant_values=-1024.0))[None, None]
    with torch.inference_mode():
        logits = load(LOCALISE, device)(padded.to(device))
        logits = logits[0, :, : hu.shape[0], : hu.shape[1], : hu.shape[2]]
        structures = torch.softmax(logits[: len(STRUCTURES)], dim=0).cpu().numpy()
        ribbed, ribless = torch.sigmoid(logits[len(STRUCTURES) :]).cpu().numpy()
    return Located(structures, ribbed, ribless)


def refine(crops: Sequence[sitk.Image], device: str) -> np.ndarray:
    """Probability of the body at the centre of each 48³ crop of HU at 1.5 mm: shape (n, 48, 48, 48).

    The mean of a crop and its mirror image: a body is nearly symmetric.
    """
    torch = import_torch()
    arrays = np.stack([sitk.GetArrayFromImage(crop) for crop in crops])[:, None]
    hu = torch.from_numpy(arrays.astype(np.float32)).to(device)
    with torch.inference_mode():
        straight, mirrored = torch.sigmoid(load(REFINE, device)(torch.cat([hu, hu.flip(-1)])))[:, 0].chunk(2)
    return ((straight + mirrored.flip(-1)) / 2).cpu().numpy()
