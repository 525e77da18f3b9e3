"""Solids drawn on image grids of any spacing and direction."""

import numpy as np
import SimpleITK as sitk

UP = np.array([0.0, 0.0, 1.0])
IDENTITY = np.eye(3)
SEMI_AXES = np.array([21.0, 16.0, 14.0])


def turned(*degrees):
    """Rotation about x, then y, then z."""
    result = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        c, s = np.cos(angle), np.sin(angle)
        a, b = [i for i in range(3) if i != axis]
        turn = np.eye(3)
        turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
        result = turn @ result
    return result


OBLIQUE = turned(17, -11, 23)


def drawn(inside, spacing, direction=IDENTITY, half_mm=30.0, shift=(0.31, -0.43, 0.17)):
    """A binary image of the points (LPS mm, relative to the centre) for which ``inside`` is true; the grid misses the centre by ``shift`` voxels."""
    spacing = np.asarray(spacing)
    size = (2 * np.ceil(half_mm / spacing) + 1).astype(int)
    index = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 + s for n, s in zip(size, shift)), indexing="ij"), axis=-1)
    points = (index * spacing) @ direction.T
    image = sitk.GetImageFromArray(inside(points).transpose(2, 1, 0).astype(np.uint8))
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin((direction @ ((-(size - 1) / 2 + np.array(shift)) * spacing)).tolist())
    return image


def ellipsoid(points, semi_axes=SEMI_AXES):
    return ((points / semi_axes) ** 2).sum(axis=-1) <= 1


def points_of(image, mask):
    """LPS mm of the voxels of a mask (z, y, x)."""
    index = np.argwhere(mask)[:, ::-1] * np.array(image.GetSpacing())
    return index @ np.array(image.GetDirection()).reshape(3, 3).T + np.array(image.GetOrigin())
