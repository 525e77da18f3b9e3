"""The patient's own tissues as the scan shows them: air, subcutaneous fat, muscle of the back, blood in the aorta."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..grid import field_grid, resampled
from .aorta import aorta_mask
from .column import Column, column_of
from .line import TissueReading

_GRID_MM = 2.0
#: Coarse HU between which a voxel may be the tissue; wide and symmetric, so that noise and scanner do not move the centre.
_FAT_HU, _MUSCLE_HU, _AIR_HU = (-160.0, -40.0), (-30.0, 130.0), (-1100.0, -900.0)
#: The centre is the mean within this many HU of itself, which leaves out vessels and septa in fat, and fat in muscle.
_CENTRE_HU = 25.0
#: The skin's fat lies this deep; muscle this far behind the bodies and from the midline; air this far from anything else.
_SKIN_MM, _BACK_MM, _BESIDE_MM, _CLEAR_MM = 25.0, (12.0, 70.0), (8.0, 46.0), 10.0
#: Less than this is no tissue but chance: gas in lungs that the field cuts, a fold of skin.
_SMALLEST_CM3 = {"air": 50.0, "fat": 5.0, "muscle": 5.0, "blood": 1.0}
_BODY_HU, _THINGS_HU, _FLAT_HU = -300.0, -850.0, 0.01


def find_tissues(image: sitk.Image, bodies: sitk.Image) -> tuple[TissueReading, ...]:
    """Air, fat, muscle and blood of a patient, each with its robust centre in HU; what is not there is left out.

    ``image``: HU, any orientation; ``bodies``: uint8 VerSe label map on the same grid. Looked for between T9 and L4 on a
    2 mm copy along the patient's axes (centres in LPS mm). Cortical bone is not looked for: at the spine no 2 mm voxel of
    cortex reaches its gate of 950-1450 HU (qct_facts 4.4); what does is metal, medium or a bone island.
    """
    found = column_of(bodies, field_grid(image, _GRID_MM))
    if found is None:
        return ()
    column, grid = found
    coarse = resampled(image, grid)
    hu = sitk.GetArrayViewFromImage(coarse)
    masks = {**_outer(hu, column), "muscle": _muscle(hu, column), "blood": aorta_mask(hu, column)}
    readings = (_reading(name, mask, hu, coarse, image) for name, mask in masks.items() if mask is not None)
    return tuple(reading for reading in readings if reading is not None)


def _outer(hu: np.ndarray, column: Column) -> dict[str, np.ndarray]:
    """Masks of the air around the patient and of the fat under the skin, in every second slice."""
    plane = hu[::2]
    smooth = ndimage.uniform_filter(plane, (1, 3, 3))
    body = _body(smooth > _BODY_HU, column)
    things = ndimage.maximum_filter(smooth, _square(_CLEAR_MM)) > _THINGS_HU
    flat = ndimage.maximum_filter(plane, (1, 3, 3)) - ndimage.minimum_filter(plane, (1, 3, 3)) < _FLAT_HU
    padding = ndimage.maximum_filter(flat, _square(_CLEAR_MM))
    deep = ndimage.minimum_filter(body, _square(_SKIN_MM))
    fat = _core((smooth > _FAT_HU[0]) & (smooth < _FAT_HU[1]) & body, 2)
    masks = {"air": ~body & ~things & ~padding, "fat": fat & ~deep}
    return {name: np.repeat(mask, 2, axis=0)[: len(hu)] & (np.arange(len(hu)) % 2 == 0)[:, None, None] for name, mask in masks.items()}


def _body(dense: np.ndarray, column: Column) -> np.ndarray:
    """The patient in each slice: the part that holds the spine, without what is thinner than 10 mm, holes filled."""
    opened = ndimage.binary_opening(dense, np.ones((1, 5, 5)))
    body = np.zeros_like(dense)
    for k, plane in enumerate(opened):
        parts, _count = ndimage.label(plane)
        y, x = (int(round((v[2 * k] - o) / _GRID_MM)) for v, o in zip(((column.front + column.back) / 2, column.middle), column.origin_yx))
        if parts[y, x]:
            body[k] = ndimage.binary_fill_holes(parts == parts[y, x])
    return body


def _muscle(hu: np.ndarray, column: Column) -> np.ndarray:
    """Mask of the muscles behind and beside the arches, 4 mm from anything that is not muscle."""
    y = column.origin_yx[0] + _GRID_MM * np.arange(hu.shape[1]) - column.back[:, None]
    x = np.abs(column.origin_yx[1] + _GRID_MM * np.arange(hu.shape[2]) - column.middle[:, None])
    place = ((y > _BACK_MM[0]) & (y < _BACK_MM[1]))[:, :, None] & ((x > _BESIDE_MM[0]) & (x < _BESIDE_MM[1]))[:, None, :]
    mask = np.zeros(hu.shape, dtype=bool)
    if not place.any():
        return mask
    ys, xs = (slice(at.min(), at.max() + 1) for at in np.nonzero(place.any(axis=0)))
    smooth = ndimage.gaussian_filter(hu[:, ys, xs], 1.0)
    mask[:, ys, xs] = _core((smooth > _MUSCLE_HU[0]) & (smooth < _MUSCLE_HU[1]), 2) & place[:, ys, xs]
    return mask


def _core(mask: np.ndarray, voxels: int) -> np.ndarray:
    """``mask`` without its border in the plane."""
    return ndimage.binary_erosion(mask, np.ones((1, 3, 3)), iterations=voxels)


def _square(reach_mm: float) -> tuple[int, int, int]:
    """Size of a filter that reaches this far to every side in the plane."""
    return 1, *(2 * int(np.ceil(reach_mm / _GRID_MM)) + 1,) * 2


def _reading(name: str, mask: np.ndarray, hu: np.ndarray, coarse: sitk.Image, image: sitk.Image) -> TissueReading | None:
    """The tissue in ``mask``, or None where there is too little of it.

    Air is read in the scan's own voxels by their median: many scans cut HU off at -1024, which moves every mean of air.
    """
    where = np.argwhere(mask)
    if len(where) * _GRID_MM**3 / 1000 < _SMALLEST_CM3[name]:
        return None
    values = _native(image, where, coarse) if name == "air" else hu[mask].astype(float)
    if name == "air":
        values = values[(values > _AIR_HU[0]) & (values < _AIR_HU[1])]
        if len(values) < 0.5 * len(where) or np.ptp(values) == 0:
            return None
    centre_hu = float(np.median(values))
    for _round in range(20 if name in ("fat", "muscle") else 0):
        centre_hu = float(values[np.abs(values - centre_hu) <= _CENTRE_HU].mean())
    middle = coarse.TransformContinuousIndexToPhysicalPoint(where.mean(axis=0)[::-1].tolist())
    return TissueReading(name, centre_hu, float(values.std()), len(where) * _GRID_MM**3 / 1000, middle)


def _native(image: sitk.Image, where: np.ndarray, coarse: sitk.Image) -> np.ndarray:
    """The scan's own voxels nearest to voxels (z, y, x) of the coarse copy."""
    points = np.array(coarse.GetOrigin()) + _GRID_MM * where[:, ::-1]
    turned = (points - np.array(image.GetOrigin())) @ np.array(image.GetDirection()).reshape(3, 3)
    index = np.round(turned / np.array(image.GetSpacing())).astype(int)
    i, j, k = np.clip(index, 0, np.array(image.GetSize()) - 1).T
    return sitk.GetArrayViewFromImage(image)[k, j, i].astype(float)
