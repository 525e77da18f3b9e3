"""Reading a scan from a DICOM folder, NIfTI, NRRD or MetaImage, with named refusals for what cannot be measured."""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .quality import Code, Refused
from .scan import Acquisition, Scan, acquisition_in, checked

_TAGS = [
    "SOPClassUID", "Modality", "SeriesInstanceUID", "ImageType", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "KVP",
    "ConvolutionKernel", "SliceThickness", "ContrastBolusAgent", "Manufacturer", "ManufacturerModelName", "TableHeight",
    "ReconstructionDiameter", "Rows", "Columns", "DeviceSerialNumber", "AcquisitionDate", "StudyDate",
    "SeriesDescription", "ProtocolName", "DerivationDescription",
]  # fmt: skip

#: Where a header says that iodine was computed away, and the vendors' words for it: virtual non-contrast or unenhanced (VNC, VUE),
#: virtual non-calcium (VNCa), maps of one material such as Water(Iodine), and the image types of DICOM's supplement 188.
_VIRTUAL_TAGS = ("ImageType", "SeriesDescription", "ProtocolName", "DerivationDescription")
_VIRTUAL = re.compile(
    r"""(?<![A-Z]) (VNCA? | VUE | VNE) (?![A-Z])
      | VIRTU(AL|ELL) [A-Z]* [\W_]* (NON | NATIV | UN-?ENH)
      | MAT_(SPECIFIC | REMOVED | FRACTIONAL | MODIFIED)
      | (?<![A-Z]) (WATER | IODINE | CALCIUM | FAT | HAP) [\s_]* \( [\W_]* (WATER | IODINE | CALCIUM | FAT | HAP)
      | IODINE [\W_]* (MAP | DENSITY | NO[\W_]*WATER)""",
    re.VERBOSE,
)

#: What scanners write where no contrast agent was given.
_NO_AGENT = ("", "NONE", "NO", "N", "N/A", "NA", "NO CONTRAST")

#: Without these a slice has no place in a volume.
_NEEDED_TAGS = ("SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns")

#: Largest difference between slice steps, in mm and as a fraction of the step, that still counts as even.
_STEP_TOLERANCE_MM, _STEP_TOLERANCE_FRACTION = 0.1, 0.05


@dataclass(frozen=True)
class _Slice:
    path: Path
    header: object

    @property
    def position(self) -> np.ndarray:
        return np.array(self.header.ImagePositionPatient, dtype=float)

    @property
    def orientation(self) -> np.ndarray:
        return np.array(self.header.ImageOrientationPatient, dtype=float)


def load(path: str | Path, series_uid: str | None = None, allow: frozenset[Code] = frozenset()) -> Scan:
    """Load a CT scan.

    ``path`` is a file that SimpleITK reads or a folder with DICOM files in it or below it; ``series_uid`` chooses among
    several series. Returns the scan on its own grid, in HU and LPS mm. Raises Refused (UNREADABLE, NO_CT_SERIES,
    SEVERAL_SERIES, SERIES_NOT_FOUND, NOT_CT, VIRTUAL_NON_CONTRAST, TOO_FEW_SLICES, IRREGULAR_SPACING, MIXED_ORIENTATION, SHEARED,
    NOT_3D, NOT_HU).
    """
    path = Path(path)
    if not path.exists():
        raise Refused(Code.UNREADABLE, "there is no such file or folder")
    if path.is_dir():
        return _load_dicom(_choose(_ct_series(path), series_uid), allow)
    if is_dicom(path):
        slices = _ct_series(path.parent)
        return _load_dicom(_choose(slices, series_uid or str(_header(path).SeriesInstanceUID)), allow)
    if series_uid is not None:
        raise Refused(Code.SERIES_NOT_FOUND, "a single file that is not DICOM")
    return _load_file(path, allow)


def read_acquisition(path: str | Path) -> Acquisition:
    """How a scan was taken, from one of its DICOM files. Raises Refused (UNREADABLE, VIRTUAL_NON_CONTRAST)."""
    import pydicom

    try:
        header = _header(Path(path))
    except (pydicom.errors.InvalidDicomError, OSError) as error:
        raise Refused(Code.UNREADABLE) from error
    _refuse_virtual(header)
    return _acquisition(header)


def _load_file(path: Path, allow: frozenset[Code]) -> Scan:
    try:
        _check_nifti_is_whole(path)
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        text = str(error)
        code = Code.SHEARED if "orthonormal" in text or "Bad direction" in text else Code.UNREADABLE
        raise Refused(code) from error
    return checked(image, acquisition_in(image), allow)


def _check_nifti_is_whole(path: Path) -> None:
    """Raise Refused(UNREADABLE) for a NIfTI-1 file that ends too early, which ITK would fill with 0 HU without a word."""
    if not path.name.endswith((".nii", ".nii.gz")):
        return
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as stream:
            header = stream.read(112)
            length = len(header) + sum(len(chunk) for chunk in iter(lambda: stream.read(1 << 24), b""))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Refused(Code.UNREADABLE, "the file ends too early or is damaged") from error
    order = "<" if header[:4] == struct.pack("<i", 348) else ">"
    if len(header) < 112 or header[:4] != struct.pack(order + "i", 348):
        return
    dimensions = struct.unpack(order + "8h", header[40:56])
    bits, offset = struct.unpack(order + "h", header[72:74])[0], struct.unpack(order + "f", header[108:112])[0]
    if length < offset + math.prod(dimensions[1 : 1 + dimensions[0]]) * bits // 8:
        raise Refused(Code.UNREADABLE, "the file ends too early")


def is_dicom(path: Path) -> bool:
    """True for a file with the preamble of DICOM. Raises OSError when it cannot be read."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _header(path: Path):
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS, force=False)


def _ct_series(folder: Path) -> dict[str, list[_Slice]]:
    """The CT series in and below ``folder`` by their UID; refuses a folder with DICOM of another modality only."""
    import pydicom

    if not os.access(folder, os.R_OK | os.X_OK):
        raise Refused(Code.UNREADABLE, "the folder cannot be read")
    series: dict[str, list[_Slice]] = {}
    modalities: set[str] = set()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            header = _header(path)
        except (pydicom.errors.InvalidDicomError, OSError, EOFError):
            continue
        modalities.add(str(header.get("Modality", "?")))
        if (
            header.get("Modality") == "CT"
            and "LOCALIZER" not in header.get("ImageType", ())
            and all(header.get(tag) for tag in _NEEDED_TAGS)
        ):
            series.setdefault(str(header.SeriesInstanceUID), []).append(_Slice(path, header))
    if series:
        return series
    if modalities - {"CT"}:
        raise Refused(Code.NOT_CT, "modality " + ", ".join(sorted(modalities)))
    raise Refused(Code.NO_CT_SERIES)


def _choose(series: dict[str, list[_Slice]], uid: str | None) -> list[_Slice]:
    listing = "; ".join(f"{key}: {len(slices)} slices" for key, slices in series.items())
    if uid is not None:
        if uid not in series:
            raise Refused(Code.SERIES_NOT_FOUND, listing)
        return series[uid]
    volumes = [slices for slices in series.values() if len(slices) >= 3]
    if len(volumes) > 1:
        raise Refused(Code.SEVERAL_SERIES, listing)
    if not volumes:
        raise Refused(Code.TOO_FEW_SLICES, listing)
    return volumes[0]


def _load_dicom(slices: list[_Slice], allow: frozenset[Code]) -> Scan:
    _refuse_virtual(slices[0].header)
    ordered = _ordered(slices)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(s.path) for s in ordered])
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise Refused(Code.UNREADABLE, "pixel data") from error
    return checked(image, _acquisition(ordered[0].header), allow)


def _refuse_virtual(header) -> None:
    """Raise Refused(VIRTUAL_NON_CONTRAST) where a header says that a material was computed away; its words are not kept."""
    for tag in _VIRTUAL_TAGS:
        value = header.get(tag) or ""
        if _VIRTUAL.search((value if isinstance(value, str) else " ".join(map(str, value))).upper()):
            raise Refused(Code.VIRTUAL_NON_CONTRAST, tag)


def _ordered(slices: list[_Slice]) -> list[_Slice]:
    """The slices sorted along their normal, after the checks of orientation, shear and even spacing."""
    if len(slices) < 3:
        raise Refused(Code.TOO_FEW_SLICES, f"{len(slices)} slices")
    orientation = slices[0].orientation
    if (
        any(np.abs(s.orientation - orientation).max() > 1e-3 for s in slices)
        or len({(s.header.Rows, s.header.Columns) for s in slices}) > 1
    ):
        raise Refused(Code.MIXED_ORIENTATION)
    normal = np.cross(orientation[:3], orientation[3:])
    ordered = sorted(slices, key=lambda s: float(s.position @ normal))
    steps = np.diff([s.position for s in ordered], axis=0)
    heights = steps @ normal
    median = float(np.median(heights))
    tolerance = max(_STEP_TOLERANCE_MM, _STEP_TOLERANCE_FRACTION * median)
    if median <= 0 or np.abs(heights - median).max() > tolerance:
        raise Refused(Code.IRREGULAR_SPACING, f"slice steps from {heights.min():.2f} to {heights.max():.2f} mm")
    if np.abs(steps - heights[:, None] * normal).max() > 0.02 * median + 0.01:
        raise Refused(Code.SHEARED)
    return ordered


def _acquisition(header) -> Acquisition:
    def number(tag: str) -> float | None:
        try:
            return float(header.get(tag))
        except (TypeError, ValueError):
            return None

    def text(tag: str) -> str | None:
        value = header.get(tag)
        return str(value[0] if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue" else value) if value else None

    return Acquisition(
        kvp=number("KVP"),
        kernel=text("ConvolutionKernel"),
        slice_thickness_mm=number("SliceThickness"),
        contrast="unknown" if str(header.get("ContrastBolusAgent") or "").strip().upper() in _NO_AGENT else "yes",
        manufacturer=text("Manufacturer"),
        model=text("ManufacturerModelName"),
        table_height_mm=number("TableHeight"),
        reconstruction_diameter_mm=number("ReconstructionDiameter"),
        series_uid=text("SeriesInstanceUID"),
        device_serial=text("DeviceSerialNumber"),
        acquired_on=_iso_date(header.get("AcquisitionDate") or header.get("StudyDate")),
    )


def _iso_date(value) -> str | None:
    """A DICOM date ("20240115") as ISO date, None for anything else."""
    text = str(value or "")
    try:
        return datetime.strptime(text[:8], "%Y%m%d").date().isoformat()
    except ValueError:
        return None
