"""Whole vertebrae of the simulated patient, as an engine that does not split off arches sees them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

# Helpers beside the tests; importlib mode leaves sys.path alone.
sys.path.append(str(Path(__file__).parent))

_POSTERIOR = 2


@pytest.fixture(scope="session")
def whole_vertebrae(patient) -> sitk.Image:
    """VerSe labels of bodies with the arch that is nearest to each (uint8 on the scan's grid)."""
    bodies = sitk.GetArrayFromImage(patient.bodies)
    arches = sitk.GetArrayViewFromImage(patient.structures) == _POSTERIOR
    nearest = ndimage.distance_transform_edt(bodies == 0, patient.bodies.GetSpacing()[::-1], return_distances=False, return_indices=True)
    image = sitk.GetImageFromArray(np.where(arches, bodies[tuple(nearest)], bodies))
    image.CopyInformation(patient.bodies)
    return image
