"""Write a simulated scan as an axial DICOM CT series."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

RESCALE_INTERCEPT = -1024


def write_dicom_series(image: sitk.Image, folder: str | Path, tags: Mapping[str, object] | None = None) -> list[Path]:
    """One file per slice, caudal first, in `folder` (created); returns their paths.

    image: 3D int16 HU with identity direction. tags: DICOM keywords that override or add, for example
    {"KVP": 120, "ConvolutionKernel": "STANDARD", "SliceThickness": 2.5}. The patient is "SIMULATED".
    ValueError for another direction, pixel type or no slices.
    """
    from pydicom.uid import generate_uid

    if image.GetDimension() != 3 or image.GetPixelID() != sitk.sitkInt16:
        raise ValueError(f"image must be 3D int16 HU, not {image.GetDimension()}D {image.GetPixelIDTypeAsString()}")
    if 0 in image.GetSize():
        raise ValueError(f"image must have at least one slice, not size {image.GetSize()}")
    if not np.allclose(image.GetDirection(), np.eye(3).ravel()):
        raise ValueError("image must have identity direction (LPS axial)")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    common = {
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
        "SliceThickness": image.GetSpacing()[2],
        **(tags or {}),
    }
    pixels = sitk.GetArrayViewFromImage(image)
    paths = []
    for k in range(pixels.shape[0]):
        path = folder / f"IM{k + 1:04d}.dcm"
        dataset = _slice_dataset(path, pixels[k], image.TransformIndexToPhysicalPoint((0, 0, k)), image.GetSpacing(), k)
        for keyword, value in common.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _slice_dataset(path: Path, pixels: np.ndarray, position: tuple[float, ...], spacing: tuple[float, ...], index: int) -> FileDataset:
    """CT Image Storage dataset of one slice (y, x)."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.PatientID = ds.PatientName = "SIMULATED"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientIdentityRemoved = "", "", "YES"
    ds.DeidentificationMethod = "Simulated data, no patient"
    ds.StudyDate = ds.SeriesDate = "20000101"
    ds.StudyTime, ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "000000", "1", "", ""
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "CT", "VertebralBMD", "simulation"
    ds.SeriesDescription, ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = "Simulated CT", 1, 1, index + 1
    ds.ImageType, ds.PatientPosition, ds.PositionReferenceIndicator = ["DERIVED", "PRIMARY", "AXIAL"], "HFS", ""
    ds.KVP = ""
    ds.ImagePositionPatient = [f"{p:.4f}" for p in position]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.SliceLocation = ds.ImagePositionPatient[2]
    ds.PixelSpacing = [f"{spacing[1]:.8g}", f"{spacing[0]:.8g}"]
    ds.SpacingBetweenSlices = f"{spacing[2]:.8g}"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = RESCALE_INTERCEPT, 1, "HU"
    ds.WindowCenter, ds.WindowWidth = 40, 400
    stored = np.clip(pixels.astype(np.int32) - RESCALE_INTERCEPT, 0, 65535).astype("<u2")
    ds.PixelData = stored.tobytes()
    return ds
