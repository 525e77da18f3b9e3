"""A plain trunk with known tissues: an oval of fat around muscle, five vertebral bodies, and a tube for the aorta."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

AIR, FAT, DEEP_FAT, MUSCLE, BLOOD, BONE = -1000.0, -105.0, -80.0, 50.0, 42.0, 220.0
LABELS = (18, 19, 20, 21, 22)


def trunk(
    blood: float | None = BLOOD,
    radius_mm=lambda z: 10.0,
    aside_mm=lambda z: 0.0,
    wall_hu: float | None = None,
    noise_hu: float = 15.0,
    padding: float | None = None,
    spacing_mm: tuple[float, float, float] = (1.5, 1.5, 3.0),
    scale: float = 1.0,
    offset: float = 0.0,
) -> tuple[sitk.Image, sitk.Image]:
    """(int16 HU, uint8 bodies). ``blood`` None: no aorta; functions of z (mm above the lowest slice) bend and widen things.

    ``aside_mm`` moves the spine and the aorta to the left; ``wall_hu``: calcified wall; ``padding``: value outside a circle;
    ``scale``, ``offset``: the scanner's error of HU inside the patient.
    """
    x, y, z = (np.arange(low, high, s) for (low, high), s in zip(((-170, 170), (-140, 120), (0, 165)), spacing_mm))
    labels = np.zeros((len(z), len(y), len(x)), dtype=np.uint8)
    hu = np.empty(labels.shape)
    for k, height in enumerate(z):
        left = aside_mm(height)
        oval = np.hypot(x / 150, (y[:, None]) / 105)
        plane = np.where(oval > 1.0, AIR, np.where(oval > 0.82, FAT, -20.0))
        plane[np.hypot(x / 100, (y[:, None] + 55) / 16) < 1] = DEEP_FAT
        plane[(np.abs(x - left) < 70) & (np.abs(y[:, None] - 65) < 22)] = MUSCLE
        body = np.hypot((x - left) / 21, (y[:, None] - 15) / 15) < 1
        level = int(height // 33)
        plane[body] = BONE
        plane[(np.abs(x - left) < 6) & (np.abs(y[:, None] - 60) < 22)] = 400.0
        if blood is not None:
            radius = radius_mm(height)
            tube = np.hypot(x - left - 7, y[:, None] + radius + 2)
            plane[(tube < radius + 1.5) & (tube >= radius)] = wall_hu if wall_hu is not None else 45.0
            plane[tube < radius] = blood
        hu[k] = np.where(oval > 1.0, plane, plane * scale + offset)
        labels[k][body & (height - 33 * level < 27)] = LABELS[::-1][min(level, 4)]
    hu += np.random.default_rng(3).normal(0, noise_hu, hu.shape)
    hu = np.maximum(hu, -1024)
    if padding is not None:
        hu[:, np.hypot(x, y[:, None]) > 165] = padding
    return tuple(_image(array, (x[0], y[0], z[0]), spacing_mm) for array in (hu.round().astype(np.int16), labels))


def _image(array: np.ndarray, origin, spacing_mm) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetOrigin([float(v) for v in origin])
    image.SetSpacing(spacing_mm)
    return image
