"""Write a simulated scan as an axial DICOM CT series.

Nothing is random: the UIDs follow from the examination (or, without one, from the voxels), so the same scan
written twice is the same series.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import SimpleITK as sitk

from VertebralBMDLib.simulation.contrast import Contrast

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from VertebralBMDLib.simulation.phantom_scan import PhantomScanSpec
    from VertebralBMDLib.simulation.subject import PatientSpec

RESCALE_INTERCEPT = -1024
SCAN_FIELD_MM = 500.0
# CTDIvol of 100 mAs at 120 kV in a 32 cm phantom (mGy) and its power of the voltage: typical of body scans, low confidence.
CTDI_PER_100_MAS, CTDI_POWER = 6.8, 2.5
EXPOSURE_TIME_MS = 500


@dataclass(frozen=True)
class Examination:
    """What the header says about one scan. `seed` makes the UIDs; a ValueError names a wrong field.

    study_date: ISO. weight_kg, age (years), dose_mgy (CTDIvol): None leaves the tag empty or out. phantom: its
    title when no patient is in the scan.
    """

    seed: int
    kvp: int = 120
    kernel: str = "STANDARD"
    thickness_mm: float | None = None
    table_height_mm: float = 135.0
    manufacturer: str = "VertebralBMD"
    model: str = "simulated CT"
    scanner_id: str = "SIM-1"
    study_date: str = "2024-01-15"
    sex: Literal["F", "M"] | None = None
    age: float | None = None
    weight_kg: float | None = None
    contrast: Contrast = "none"
    dose_mgy: float | None = None
    phantom: str | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, not {self.seed}")
        if self.contrast not in ("none", "arterial", "portal"):
            raise ValueError(f"contrast must be one of none, arterial, portal, not {self.contrast!r}")
        if self.sex not in ("F", "M", None):
            raise ValueError(f"sex must be F, M or None, not {self.sex!r}")
        for name, low, high in (("age", 0.0, 120.0), ("weight_kg", 1.0, 400.0), ("dose_mgy", 0.01, 200.0), ("thickness_mm", 0.1, 20.0)):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} must be within {low:g}-{high:g} or None, not {value}")
        try:
            datetime.date.fromisoformat(self.study_date)
        except ValueError as error:
            raise ValueError(f"study_date must be a date like 2024-01-15, not {self.study_date!r}") from error

    @classmethod
    def of(cls, spec: PatientSpec | PhantomScanSpec, **facts: object) -> Examination:
        """What the settings of a scan say, and more facts about it."""
        return cls(
            seed=spec.seed,
            kvp=spec.scanner.kvp,
            kernel=spec.scanner.kernel,
            thickness_mm=spec.scanner.thickness_mm or spec.spacing_mm[2],
            table_height_mm=spec.couch.table_height_mm,
            scanner_id=spec.scanner_id,
            **facts,
        )

    def tags(self, image: sitk.Image) -> dict[str, object]:
        """DICOM keywords of every slice of `image` (its spacing and size give thickness, spacing and field)."""
        field = max(n * s for n, s in zip(image.GetSize()[:2], image.GetSpacing()[:2]))
        date = self.study_date.replace("-", "")
        tags: dict[str, object] = {
            "KVP": self.kvp,
            "ConvolutionKernel": self.kernel,
            "SliceThickness": _decimal(self.thickness_mm or image.GetSpacing()[2]),
            "ReconstructionDiameter": _decimal(field),
            "DataCollectionDiameter": _decimal(max(SCAN_FIELD_MM, field)),
            "TableHeight": _decimal(self.table_height_mm),
            "GantryDetectorTilt": 0,
            "Manufacturer": self.manufacturer,
            "ManufacturerModelName": self.model,
            "DeviceSerialNumber": self.scanner_id,
            "StationName": self.scanner_id[:16],
            **{keyword: date for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")},
            "PatientSex": self.sex or ("O" if self.phantom else ""),
            "SeriesDescription": f"Simulated {self.phantom or 'CT'}"[:64],
            **_uids("examination", repr(self)),
        }
        if self.phantom:
            tags |= {"QualityControlImage": "YES", "PatientName": "SIMULATED^PHANTOM"}
        else:
            tags["BodyPartExamined"] = "ABDOMEN"
        if self.age is not None:
            tags["PatientAge"] = f"{int(self.age):03d}Y"
        if self.weight_kg is not None:
            tags["PatientWeight"] = _decimal(self.weight_kg)
        if self.contrast != "none":
            tags |= {"ContrastBolusAgent": "Simulated iodine", "ContrastBolusRoute": "IV"}
            tags["SeriesDescription"] = f"Simulated CT {self.contrast} phase"
        if self.dose_mgy is not None:
            mas = 100.0 * self.dose_mgy / (CTDI_PER_100_MAS * (self.kvp / 120.0) ** CTDI_POWER)
            tags |= {"CTDIvol": float(self.dose_mgy), "Exposure": round(mas), "ExposureTime": EXPOSURE_TIME_MS}
            tags["XRayTubeCurrent"] = round(1000.0 * mas / EXPOSURE_TIME_MS)
        return tags


def write_dicom_series(image: sitk.Image, folder: str | Path, tags: Mapping[str, object] | None = None) -> list[Path]:
    """One file per slice, caudal first, in `folder` (created); returns their paths.

    image: 3D int16 HU with identity direction. tags: DICOM keywords that override or add, for example
    `Examination(seed=1).tags(image)` or {"KVP": 120, "ConvolutionKernel": "STANDARD"}. The patient is "SIMULATED".
    ValueError for another direction, pixel type or no slices.
    """
    if image.GetDimension() != 3 or image.GetPixelID() != sitk.sitkInt16:
        raise ValueError(f"image must be 3D int16 HU, not {image.GetDimension()}D {image.GetPixelIDTypeAsString()}")
    if 0 in image.GetSize():
        raise ValueError(f"image must have at least one slice, not size {image.GetSize()}")
    if not np.allclose(image.GetDirection(), np.eye(3).ravel()):
        raise ValueError("image must have identity direction (LPS axial)")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pixels = sitk.GetArrayViewFromImage(image)
    content = hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()
    common = {
        **_uids(content, str(image.GetOrigin()), str(image.GetSpacing()), str(sorted((tags or {}).items()))),
        "SliceThickness": _decimal(image.GetSpacing()[2]),
        **(tags or {}),
    }
    paths = []
    for k in range(pixels.shape[0]):
        path = folder / f"IM{k + 1:04d}.dcm"
        position = image.TransformIndexToPhysicalPoint((0, 0, k))
        dataset = _slice_dataset(path, pixels[k], position, image.GetSpacing(), k, str(common["SeriesInstanceUID"]))
        for keyword, value in common.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _uids(*entropy: str) -> dict[str, str]:
    from pydicom.uid import generate_uid

    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    return {keyword: generate_uid(entropy_srcs=[*entropy, keyword]) for keyword in keywords}


def _decimal(value: float) -> str:
    """A DICOM decimal string (at most 16 characters)."""
    return f"{value:.8g}"


def _slice_dataset(
    path: Path, pixels: np.ndarray, position: tuple[float, ...], spacing: tuple[float, ...], index: int, series: str
) -> FileDataset:
    """CT Image Storage dataset of one slice (y, x) of the series with this UID."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[series, str(index)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.PatientID = ds.PatientName = "SIMULATED"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientIdentityRemoved = "", "", "YES"
    ds.DeidentificationMethod = "Simulated data, no patient"
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = "20000101"
    ds.StudyTime = ds.ContentTime = "000000"
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "1", "", ""
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "CT", "VertebralBMD", "simulation"
    ds.SeriesDescription, ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = "Simulated CT", 1, 1, index + 1
    ds.ImageType, ds.PatientPosition, ds.PositionReferenceIndicator = ["DERIVED", "PRIMARY", "AXIAL"], "HFS", ""
    ds.DerivationDescription, ds.BurnedInAnnotation, ds.LossyImageCompression = "Simulated, no X-ray was used", "NO", "00"
    ds.KVP = ""
    ds.ImagePositionPatient = [f"{p:.4f}" for p in position]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.SliceLocation = ds.ImagePositionPatient[2]
    ds.PixelSpacing = [_decimal(spacing[1]), _decimal(spacing[0])]
    ds.SpacingBetweenSlices = _decimal(spacing[2])
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = RESCALE_INTERCEPT, 1, "HU"
    ds.WindowCenter, ds.WindowWidth = 40, 400
    stored = np.clip(pixels.astype(np.int32) - RESCALE_INTERCEPT, 0, 65535).astype("<u2")
    ds.PixelData = stored.tobytes()
    return ds
