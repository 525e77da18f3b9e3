"""Every kind of input gives the same scan or the right refusal, never a traceback."""

import shutil
import struct

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from VertebralBMDLib.loading import load, read_acquisition
from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.simulation.dicom import write_dicom_series

TAGS = {
    "KVP": 120,
    "ConvolutionKernel": "STANDARD",
    "SliceThickness": 2.5,
    "TableHeight": 135,
    "Manufacturer": "GE",
    "ReconstructionDiameter": 500,
}


def refused(path, **kwargs):
    with pytest.raises(Refused) as caught:
        load(path, **kwargs)
    return caught.value


def assert_same(scan, image, atol=1e-3):
    assert np.array_equal(scan.hu, sitk.GetArrayFromImage(image))
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(scan.image, name)(), getattr(image, name)(), atol=atol)


def rewritten(path, **changes):
    """Change tags of a DICOM file; None removes a tag."""
    file = pydicom.dcmread(path)
    for tag, value in changes.items():
        if value is None:
            delattr(file, tag)
        else:
            setattr(file, tag, value)
    file.save_as(path)


@pytest.fixture
def series(body_like, tmp_path):
    """A DICOM series in a folder below a folder, and its files."""
    folder = tmp_path / "Größe 1" / "a b"
    return tmp_path / "Größe 1", write_dicom_series(body_like, folder, TAGS)


@pytest.mark.parametrize("suffix", ["nii.gz", "nii", "nrrd", "mha"])
def test_every_file_format_gives_the_same_scan(body_like, tmp_path, suffix):
    folder = tmp_path / "Größe µ 1 2"
    folder.mkdir()
    oblique = sitk.Image(body_like)
    oblique.SetDirection((0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0))
    path = folder / f"Scän 1.{suffix}"
    sitk.WriteImage(oblique, str(path))
    assert_same(load(path), oblique)
    assert load(str(path)).acquisition.kvp is None


def test_a_dicom_folder_gives_the_scan_and_its_acquisition(series, body_like):
    folder, paths = series
    scan = load(folder)
    assert_same(scan, body_like)
    got = scan.acquisition
    assert (got.kvp, got.kernel, got.slice_thickness_mm, got.table_height_mm, got.manufacturer, got.reconstruction_diameter_mm) == (
        120.0,
        "STANDARD",
        2.5,
        135.0,
        "GE",
        500.0,
    )
    assert got.contrast == "unknown" and got.series_uid == pydicom.dcmread(paths[0]).SeriesInstanceUID


def test_one_file_of_a_series_stands_for_its_whole_series(series, body_like):
    _folder, paths = series
    assert_same(load(paths[3]), body_like)


def test_the_order_of_files_and_other_files_in_the_folder_do_not_matter(series, body_like):
    folder, paths = series
    for number, path in enumerate(reversed(paths)):
        path.rename(path.with_name(f"{number:03d}"))
    (folder / "readme.txt").write_text("no DICOM")
    (folder / "empty").touch()
    assert_same(load(folder), body_like)


def test_contrast_agent_in_the_header_means_contrast(series):
    folder, paths = series
    for path in paths:
        rewritten(path, ContrastBolusAgent="Iohexol")
    assert load(folder).acquisition.contrast == "yes"


def test_an_empty_voltage_and_a_kernel_of_several_words_are_understood(series):
    folder, paths = series
    for path in paths:
        rewritten(path, KVP="", ConvolutionKernel=["I70f", "3"])
    assert (load(folder).acquisition.kvp, load(folder).acquisition.kernel) == (None, "I70f")


def test_several_series_are_listed_and_one_can_be_chosen(series, body_like):
    folder, paths = series
    other = body_like[:, :, :6]
    paths += write_dicom_series(other, folder / "second", TAGS)
    uids = [str(pydicom.dcmread(path).SeriesInstanceUID) for path in (paths[0], paths[-1])]
    refusal = refused(folder)
    assert refusal.code == Code.SEVERAL_SERIES
    assert f"{uids[0]}: 10 slices" in refusal.detail and f"{uids[1]}: 6 slices" in refusal.detail
    assert_same(load(folder, series_uid=uids[0]), body_like)
    assert_same(load(folder, series_uid=uids[1]), other)
    missing = refused(folder, series_uid="1.2.3")
    assert missing.code == Code.SERIES_NOT_FOUND and uids[1] in missing.detail


def test_a_file_among_several_series_chooses_its_own(series, body_like):
    _folder, paths = series
    second = write_dicom_series(body_like[:, :, :6], paths[0].parent / "x", TAGS)
    moved = [path.rename(paths[0].parent / f"second-{path.name}") for path in second]
    assert load(moved[0]).hu.shape[0] == 6
    assert load(paths[0]).hu.shape[0] == 10


def test_a_localiser_or_a_short_series_beside_the_volume_does_not_disturb(series, body_like):
    folder, _paths = series
    for path in write_dicom_series(body_like[:, :, :5], folder / "scout", TAGS):
        rewritten(path, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_dicom_series(body_like[:, :, :2], folder / "two", TAGS)
    assert_same(load(folder), body_like)


@pytest.mark.parametrize("place", [4, 5])
def test_a_missing_slice_is_refused(series, place):
    folder, paths = series
    paths[place].unlink()
    refusal = refused(folder)
    assert refusal.code == Code.IRREGULAR_SPACING and "4.00" in refusal.detail


def test_a_doubled_slice_is_refused(series):
    folder, paths = series
    shutil.copy(paths[4], paths[4].with_name("again.dcm"))
    assert refused(folder).code == Code.IRREGULAR_SPACING


def test_a_doubled_series_is_refused(series):
    folder, paths = series
    for path in paths:
        shutil.copy(path, folder / f"again-{path.name}")
    assert refused(folder).code == Code.IRREGULAR_SPACING


def test_mixed_orientations_are_refused(series):
    folder, paths = series
    for path in paths[5:]:
        rewritten(path, ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    assert refused(folder).code == Code.MIXED_ORIENTATION


def test_slices_of_different_size_are_refused(series, body_like):
    folder, paths = series
    small = pydicom.dcmread(paths[6])
    small.PixelData, small.Rows = small.pixel_array[:-2].tobytes(), small.Rows - 2
    small.save_as(paths[6])
    assert refused(folder).code == Code.MIXED_ORIENTATION


def test_gantry_tilt_is_refused_as_shear(series):
    folder, paths = series
    tilt = np.radians(12)
    for path in paths:
        rewritten(path, ImageOrientationPatient=[1, 0, 0, 0, float(f"{np.cos(tilt):.8f}"), float(f"{np.sin(tilt):.8f}")])
    assert refused(folder).code == Code.SHEARED


def test_an_oblique_series_without_shear_is_read(series):
    folder, paths = series
    turn = np.radians(12)
    row, column = np.array([1, 0, 0.0]), np.array([0, np.cos(turn), np.sin(turn)])
    normal = np.cross(row, column)
    for number, path in enumerate(paths):
        rewritten(
            path,
            ImageOrientationPatient=[f"{v:.8f}" for v in (*row, *column)],
            ImagePositionPatient=[f"{v:.6f}" for v in 2.0 * number * normal],
        )
    np.testing.assert_allclose(np.array(load(folder).image.GetDirection()).reshape(3, 3)[:, 2], normal, atol=1e-5)


def sheared_nrrd(content):
    start = content.index(b"space directions:")
    return content[:start] + b"space directions: (0.9,0,0) (0,0.9,0) (0,0.4,2)" + content[content.index(b"\n", start) :]


def sheared_mha(content):
    start = content.index(b"TransformMatrix =")
    return content[:start] + b"TransformMatrix = 1 0 0 0 1 0 0 0.2 0.98" + content[content.index(b"\n", start) :]


def sheared_nii(content):
    sform = struct.pack("<2h", 0, 1), struct.pack("<12f", -0.9, 0, 0, 0, 0, -0.9, 0.4, 0, 0, 0, 2, 0)
    return content[:252] + sform[0] + content[256:280] + sform[1] + content[328:]


@pytest.mark.parametrize("sheared", [sheared_nrrd, sheared_mha, sheared_nii])
def test_a_sheared_file_is_refused_as_shear(tmp_path, body_like, sheared):
    path = tmp_path / f"scan.{sheared.__name__[8:]}"
    sitk.WriteImage(body_like, str(path))
    path.write_bytes(sheared(path.read_bytes()))
    assert refused(path).code == Code.SHEARED


def test_too_few_slices_are_refused(tmp_path, body_like):
    write_dicom_series(body_like[:, :, :2], tmp_path, TAGS)
    assert refused(tmp_path).code == Code.TOO_FEW_SLICES


def test_another_modality_is_named(series):
    folder, paths = series
    for path in paths:
        rewritten(path, Modality="MR")
    refusal = refused(folder)
    assert refusal.code == Code.NOT_CT and "MR" in refusal.detail


def test_ct_beside_another_modality_is_measured(series, body_like):
    folder, _paths = series
    for path in write_dicom_series(body_like, folder / "pet", TAGS):
        rewritten(path, Modality="PT")
    assert_same(load(folder), body_like)


def test_a_folder_without_dicom_has_no_ct_series(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    assert refused(tmp_path).code == Code.NO_CT_SERIES


def test_dicom_without_its_rescale_intercept_is_not_hu(series):
    folder, paths = series
    for path in paths:
        rewritten(path, RescaleIntercept=0)
    assert refused(folder).code == Code.NOT_HU


def test_damaged_pixel_data_are_unreadable(series):
    folder, paths = series
    paths[4].write_bytes(paths[4].read_bytes()[:-200])
    assert refused(folder).code in (Code.UNREADABLE, Code.NOT_HU)


@pytest.mark.parametrize("tag", ["ImageOrientationPatient", "ImagePositionPatient", "SeriesInstanceUID", "Rows"])
def test_ct_slices_without_their_geometry_or_series_are_no_ct_series(series, tag):
    folder, paths = series
    for path in paths:
        rewritten(path, **{tag: None})
    assert refused(folder).code == Code.NO_CT_SERIES


@pytest.mark.parametrize("suffix", ["nii.gz", "nrrd", "mha"])
def test_colour_time_series_and_labels_in_a_file_are_refused(tmp_path, body_like, suffix):
    colour = sitk.Compose([sitk.Cast(body_like > 0, sitk.sitkUInt8)] * 3)
    for name, image, code in [
        ("colour", colour, Code.NOT_3D),
        ("time", sitk.JoinSeries([body_like] * 3), Code.NOT_3D),
        ("labels", body_like > 0, Code.NOT_HU),
    ]:
        sitk.WriteImage(image, str(tmp_path / f"{name}.{suffix}"))
        assert refused(tmp_path / f"{name}.{suffix}").code == code, name


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nrrd", "scan.mha", "scan.txt", "scan"])
def test_a_corrupt_file_is_unreadable(tmp_path, name):
    (tmp_path / name).write_bytes(b"this is no image at all" * 20)
    assert refused(tmp_path / name).code == Code.UNREADABLE


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("suffix", ["nii", "nrrd", "mha"])
def test_a_file_that_ends_too_early_is_unreadable(tmp_path, body_like, suffix, compressed):
    path = tmp_path / f"scan.{suffix}{'.gz' if compressed and suffix == 'nii' else ''}"
    sitk.WriteImage(body_like, str(path), useCompression=compressed)
    path.write_bytes(path.read_bytes()[:-500])
    assert refused(path).code == Code.UNREADABLE


def test_an_empty_file_is_unreadable(tmp_path):
    (tmp_path / "scan.nii.gz").touch()
    assert refused(tmp_path / "scan.nii.gz").code == Code.UNREADABLE


def test_a_missing_file_is_unreadable_and_said_to_be_missing_without_its_name(tmp_path):
    refusal = refused(tmp_path / "DOE^JANE.nii.gz")
    assert refusal.code == Code.UNREADABLE and "no such file" in refusal.detail and "DOE" not in str(refusal)


def test_allow_lets_values_that_are_not_hu_pass(tmp_path, body_like):
    sitk.WriteImage(body_like + 1024, str(tmp_path / "scan.nrrd"))
    assert refused(tmp_path / "scan.nrrd").code == Code.NOT_HU
    assert load(tmp_path / "scan.nrrd", allow=frozenset({Code.NOT_HU})).hu.max() == 1724


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("ImageType", ["DERIVED", "PRIMARY", "AXIAL", "VNC"]),
        ("ImageType", ["DERIVED", "PRIMARY", "VOLUME", "MAT_REMOVED"]),
        ("SeriesDescription", "Abdomen_VNC_1.5_Br40"),
        ("SeriesDescription", "VUE 70 keV"),
        ("SeriesDescription", "Virtual unenhanced"),
        ("SeriesDescription", "Water (Iodine) 2.5mm"),
        ("SeriesDescription", "Iodine map"),
        ("SeriesDescription", "VNCa bone marrow"),
        ("ProtocolName", "virtual-non-contrast"),
        ("DerivationDescription", "Virtuell nativ aus DE"),
    ],
)
def test_a_virtual_non_contrast_series_is_refused_whatever_is_allowed(series, tag, value):
    folder, paths = series
    for path in paths:
        rewritten(path, **{tag: value})
    refusal = refused(folder, allow=frozenset(Code))
    assert refusal.code == Code.VIRTUAL_NON_CONTRAST and "Abdomen" not in str(refusal)
    with pytest.raises(Refused, match="VIRTUAL_NON_CONTRAST"):
        read_acquisition(paths[0])


@pytest.mark.parametrize(
    "words", ["Abdomen non contrast", "TNC 3mm", "Virtual mono 70 keV", "True unenhanced", "Revue axial", "FAT(S)", "Watershed iodine"]
)
def test_series_that_were_scanned_without_medium_or_at_one_energy_are_read(series, words):
    folder, paths = series
    for path in paths:
        rewritten(path, SeriesDescription=words)
    assert load(folder).acquisition.kvp == 120.0


def test_a_true_series_beside_its_virtual_one_can_be_chosen(series, body_like):
    folder, paths = series
    virtual = write_dicom_series(body_like[:, :, :6], folder / "vnc", TAGS | {"SeriesDescription": "VNC"})
    assert refused(folder).code == Code.SEVERAL_SERIES
    assert_same(load(folder, series_uid=str(pydicom.dcmread(paths[0]).SeriesInstanceUID)), body_like)
    assert refused(folder, series_uid=str(pydicom.dcmread(virtual[0]).SeriesInstanceUID)).code == Code.VIRTUAL_NON_CONTRAST


def test_a_folder_that_cannot_be_read_is_refused_as_that(series, monkeypatch):
    folder, _files = series
    monkeypatch.setattr("os.access", lambda path, mode: path != folder)
    assert refused(folder).code == Code.UNREADABLE
