"""The DICOM series: right tags, the same series again, and what an independent reader makes of it."""

from dataclasses import replace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from VertebralBMDLib.loading import load
from VertebralBMDLib.simulation.dicom import Examination, write_dicom_series

EXAM = Examination(
    seed=4,
    kvp=100,
    kernel="LUNG",
    thickness_mm=1.5,
    table_height_mm=142.5,
    scanner_id="SIM-7",
    sex="F",
    age=67.9,
    weight_kg=63.0,
    dose_mgy=8.0,
)


@pytest.fixture(scope="module")
def image():
    hu = np.random.default_rng(0).integers(-1024, 3072, (5, 24, 20)).astype(np.int16)
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((0.9765625, 0.9765625, 1.0))
    image.SetOrigin((-123.456, 17.25, -700.125))
    return image


def written(image, folder, exam=EXAM, **more):
    paths = write_dicom_series(image, folder, exam.tags(image) | more)
    return [pydicom.dcmread(path) for path in paths]


def test_the_header_says_what_was_simulated(image, tmp_path):
    for k, file in enumerate(written(image, tmp_path)):
        assert (file.KVP, file.ConvolutionKernel, file.SliceThickness, file.SpacingBetweenSlices) == (100, "LUNG", 1.5, 1.0)
        assert (file.TableHeight, file.DeviceSerialNumber, file.StationName, file.StudyDate) == (142.5, "SIM-7", "SIM-7", "20240115")
        assert file.ReconstructionDiameter == pytest.approx(24 * 0.9765625) and file.DataCollectionDiameter == 500
        assert (file.PatientSex, file.PatientAge, file.PatientWeight, str(file.PatientName)) == ("F", "067Y", 63, "SIMULATED")
        assert (file.RescaleSlope, file.RescaleIntercept, file.PatientPosition) == (1, -1024, "HFS")
        assert list(file.ImageType)[0] == "DERIVED" and file.BurnedInAnnotation == "NO" and file.PatientIdentityRemoved == "YES"
        assert "ContrastBolusAgent" not in file and file.InstanceNumber == k + 1
        # mAs, mA and seconds belong together, and 8 mGy at 100 kV takes more of them than at 120 kV
        assert file.CTDIvol == 8.0 and file.Exposure == pytest.approx(file.XRayTubeCurrent * file.ExposureTime / 1000.0, abs=1.0)
    assert EXAM.tags(image)["Exposure"] > replace(EXAM, kvp=120).tags(image)["Exposure"]


def test_optional_facts_are_left_out_when_unknown(image):
    tags = Examination(seed=1).tags(image)
    assert not {"PatientAge", "PatientWeight", "CTDIvol", "Exposure", "ContrastBolusAgent", "QualityControlImage"} & set(tags)
    assert tags["SliceThickness"] == "1" and tags["PatientSex"] == ""
    phantom = Examination(seed=1, phantom="QRM-BDC/3").tags(image)
    assert phantom["QualityControlImage"] == "YES" and phantom["PatientSex"] == "O" and "BodyPartExamined" not in phantom
    assert Examination(seed=1, contrast="portal").tags(image)["ContrastBolusAgent"]


def test_the_same_examination_is_the_same_series_and_another_is_not(image, tmp_path):
    a, b, other = (written(image, tmp_path / name, exam) for name, exam in (("a", EXAM), ("b", EXAM), ("c", replace(EXAM, seed=5))))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"):
        assert [f[keyword].value for f in a] == [f[keyword].value for f in b] != [f[keyword].value for f in other]
    assert len({f.SOPInstanceUID for f in a + other}) == 10 and len({f.SeriesInstanceUID for f in a}) == 1
    assert (tmp_path / "a" / "IM0001.dcm").read_bytes() == (tmp_path / "b" / "IM0001.dcm").read_bytes()


def test_series_without_an_examination_differ_when_their_voxels_do(image, tmp_path):
    uids = [pydicom.dcmread(write_dicom_series(part, tmp_path / "x")[0]).SeriesInstanceUID for part in (image, image[:, :, :4], image)]
    assert uids[0] == uids[2] != uids[1]


def test_gdcm_and_the_program_read_the_series_back(image, tmp_path):
    written(image, tmp_path, replace(EXAM, contrast="arterial"))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    back = reader.Execute()
    assert np.array_equal(sitk.GetArrayViewFromImage(back), sitk.GetArrayViewFromImage(image))
    assert np.allclose(back.GetOrigin(), image.GetOrigin(), atol=1e-3) and np.allclose(back.GetSpacing(), image.GetSpacing())
    scan = load(tmp_path)
    assert (scan.acquisition.kvp, scan.acquisition.kernel, scan.acquisition.table_height_mm) == (100.0, "LUNG", 142.5)
    assert scan.acquisition.contrast != "unknown"


@pytest.mark.parametrize(
    "wrong",
    [{"seed": -1}, {"sex": "X"}, {"age": 200.0}, {"weight_kg": 0.0}, {"contrast": "venous"}, {"study_date": "x"}, {"dose_mgy": 0.0}],
)
def test_wrong_facts_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(EXAM, **wrong)
