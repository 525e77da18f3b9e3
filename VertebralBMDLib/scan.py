"""A CT scan as the pipeline sees it: HU on a rectangular grid in LPS millimetres, with its acquisition."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
import SimpleITK as sitk

from .quality import Code, Refused

#: Slices thicker than this let end plates leak into the ROI (qct_facts 5.15).
THICK_SLICE_MM = 3.0

#: Kernels that sharpen edges (qct_facts 1.32), GE, Siemens, Canon and Philips names.
_SHARP_KERNEL = re.compile(r"LUNG|BONE|EDGE|^[A-Z][a-z]?[6-9]\d|^FC[58]\d|^Y[ABC]", re.IGNORECASE)


@dataclass(frozen=True)
class Acquisition:
    """How the scan was taken, as far as its header says; None is unknown. Carries no patient identifier.

    ``device_serial`` and ``acquired_on`` (ISO date) serve to match a phantom scan and are not written to results.
    """

    kvp: float | None = None
    kernel: str | None = None
    slice_thickness_mm: float | None = None
    contrast: str = "unknown"
    manufacturer: str | None = None
    model: str | None = None
    table_height_mm: float | None = None
    reconstruction_diameter_mm: float | None = None
    series_uid: str | None = None
    device_serial: str | None = None
    acquired_on: str | None = None

    @property
    def sharp_kernel(self) -> bool:
        """True when the kernel is known and sharpens edges."""
        return bool(self.kernel and _SHARP_KERNEL.search(self.kernel))


#: Prefix of the header entries (NRRD, MetaImage) in which an acquisition travels with an image.
_ENTRY = "VertebralBMD_"
_NUMBERS = ("kvp", "slice_thickness_mm", "table_height_mm", "reconstruction_diameter_mm")


def with_acquisition(image: sitk.Image, acquisition: Acquisition) -> sitk.Image:
    """A copy of ``image`` whose header says how it was taken and nothing else."""
    copy = sitk.Image(image)
    for key in copy.GetMetaDataKeys():
        copy.EraseMetaData(key)
    for field_ in fields(acquisition):
        value = getattr(acquisition, field_.name)
        if value is not None:
            copy.SetMetaData(_ENTRY + field_.name, str(value))
    return copy


def acquisition_in(image: sitk.Image) -> Acquisition:
    """The acquisition that ``with_acquisition`` put into the header of ``image``; all unknown where there is none."""
    names = [field_.name for field_ in fields(Acquisition) if image.HasMetaDataKey(_ENTRY + field_.name)]
    values = {name: image.GetMetaData(_ENTRY + name) for name in names}
    return Acquisition(**{name: float(value) if name in _NUMBERS else value for name, value in values.items()})


@dataclass(frozen=True)
class Scan:
    """``image``: 3D SimpleITK image of HU (int16 or float32), physical space in LPS mm."""

    image: sitk.Image
    acquisition: Acquisition = field(default_factory=Acquisition)

    @cached_property
    def hu(self) -> np.ndarray:
        """HU as a read-only array of shape (slices, rows, columns) on the image's own grid, valid while the scan lives."""
        return sitk.GetArrayViewFromImage(self.image)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along the image's own i, j, k axes."""
        return self.image.GetSpacing()

    @property
    def voxel_cm3(self) -> float:
        """Volume of a voxel in cm³."""
        return float(np.prod(self.spacing_mm)) / 1000


def has_thick_slices(acquisition: Acquisition, spacing_mm: tuple[float, float, float]) -> bool:
    """True when slices, or the steps between them, are thicker than THICK_SLICE_MM."""
    return max(acquisition.slice_thickness_mm or 0.0, *spacing_mm) > THICK_SLICE_MM


def checked(image: sitk.Image, acquisition: Acquisition | None = None, allow: frozenset[Code] = frozenset()) -> Scan:
    """The geometry gate: a Scan, or Refused with NOT_3D, TOO_FEW_SLICES, SHEARED or NOT_HU (the last can be allowed)."""
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise Refused(Code.NOT_3D, f"{image.GetDimension()} dimensions, {image.GetNumberOfComponentsPerPixel()} components per voxel")
    size = image.GetSize()
    if min(size) < 3:
        raise Refused(Code.TOO_FEW_SLICES, "size " + " x ".join(map(str, size)))
    direction = np.array(image.GetDirection()).reshape(3, 3)
    if np.abs(direction.T @ direction - np.eye(3)).max() > 1e-3:
        raise Refused(Code.SHEARED)
    if image.GetPixelID() not in (sitk.sitkInt16, sitk.sitkFloat32):
        image = sitk.Cast(image, sitk.sitkFloat32)
    scan = Scan(image, acquisition or Acquisition())
    reason = _not_hu(scan.hu)
    if reason and Code.NOT_HU not in allow:
        raise Refused(Code.NOT_HU, reason)
    return scan


def _not_hu(hu: np.ndarray) -> str:
    """Why ``hu`` cannot be Hounsfield units, or "" when it can.

    Body tissue in HU gathers around 0 with fat below it (-150...-30); MR, PET, label maps and CT without its rescale
    intercept have no such negative fat.
    """
    if hu.dtype.kind == "f" and not np.isfinite(hu).all():
        return "NaN or infinite values"
    sample = hu[:: max(1, hu.shape[0] // 64), ::2, ::2]
    tissue = (sample > -200) & (sample < 200)
    fat = (sample > -150) & (sample < -30)
    if tissue.mean() < 0.01:
        return f"{100 * tissue.mean():.1f} % of the voxels lie between -200 and 200"
    if fat.sum() < 0.01 * tissue.sum():
        return "no voxels in the range of fat"
    if sample.max() < 100:
        return f"the largest value is {float(sample.max()):.0f}"
    return ""
