"""The two segmentation networks as functions on images along the patient's axes."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .models import import_torch, load

LOCALISE, REFINE = "localise", "refine"
LOCALISE_SPACING_MM = 3.0
REFINE_SPACING_MM, REFINE_SIZE = 1.5, 48

#: Sides of the localiser's input are padded to a multiple of this (four halvings).
_MULTIPLE = 16


def localise(field: sitk.Image, device: str) -> np.ndarray:
    """Probability of "body" and of "centre of a body" on a field of HU at 3 mm: shape (2, z, y, x)."""
    torch = import_torch()
    hu = sitk.GetArrayFromImage(field).astype(np.float32)
    padding = [(0, -n % _MULTIPLE) for n in hu.shape]
    padded = torch.from_numpy(np.pad(hu, padding, constant_values=-1024.0))[None, None]
    with torch.inference_mode():
        logits = load(LOCALISE, device)(padded.to(device))
    depth, height, width = hu.shape
    return torch.sigmoid(logits)[0, :, :depth, :height, :width].cpu().numpy()


def refine(crop: sitk.Image, device: str) -> np.ndarray:
    """Probability of the body at the centre of a 48³ crop of HU at 1.5 mm: shape (48, 48, 48)."""
    torch = import_torch()
    hu = torch.from_numpy(sitk.GetArrayFromImage(crop).astype(np.float32))[None, None]
    with torch.inference_mode():
        logits = load(REFINE, device)(hu.to(device))
    return torch.sigmoid(logits)[0, 0].cpu().numpy()
