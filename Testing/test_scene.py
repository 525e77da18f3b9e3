"""The scene on the real MRML of slicer-core: geometry, segments, table, and what comes back from files."""

import copy
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")
import vtk  # noqa: E402  (comes with slicer-core)
from vtk.util.numpy_support import vtk_to_numpy  # noqa: E402

sys.path.append(str(Path(__file__).parent / "slicer_host"))

from bundle import read_mrb  # noqa: E402

from VertebralBMDLib import loading, scene  # noqa: E402
from VertebralBMDLib.quality import Code, Refused  # noqa: E402
from VertebralBMDLib.scan import checked  # noqa: E402
from VertebralBMDLib.scene.volumes import vtk_matrix  # noqa: E402

OBLIQUE = np.array([[0.925, 0.0595, 0.3755], [-0.1633, 0.9531, 0.2515], [-0.343, -0.294, 0.892]])

DOCUMENT = {
    "calibration": {"source": "phantom", "material": "CaHA", "phantom": "qrm-bdc3", "checks": []},
    "settings": {"levels": ["L1", "L2"]},
    "vertebrae": [
        {"level": "L1", "centroid_lps_mm": [10.0, -20.0, 30.0], "flags": [], "roi_mean_hu": 131.26, "roi_sd_hu": 31.0, "roi_volume_cm3": 9.87,
         "vbmd_roi_mg_cm3": 101.24, "vbmd_network_mg_cm3": 99.0},
        {"level": "L2", "centroid_lps_mm": [11.0, -21.0, 0.0], "flags": ["ROI_SMALL"]},
    ],
    "patient": {"levels": ["L1"], "category": "withheld", "flags": [], "refusals": []},
    "messages": {"ROI_SMALL": "Too small. Reduce the margin – or check."},
}  # fmt: skip


def orthonormal(matrix):
    u, singular, v = np.linalg.svd(matrix)
    return u @ v


@pytest.fixture
def image():
    """An oblique, anisotropic image whose values pass the HU gate and differ from voxel to voxel."""
    voxels = np.random.default_rng(1).normal(-20, 80, (20, 24, 28)).astype(np.int16)
    voxels[0, 0, 0] = 700
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-110.5, 42.25, 901.0))
    image.SetDirection(orthonormal(OBLIQUE).ravel().tolist())
    return image


@pytest.fixture
def labels(image):
    """Label maps of bodies (L1, L2, and T13, which has no SNOMED code) and of ROIs (L1, L2)."""
    bodies = np.zeros((20, 24, 28), np.uint8)
    bodies[2:7, 4:16, 5:20], bodies[9:14, 5:17, 5:20], bodies[16:19, 4:16, 5:20] = 20, 21, 28
    roi = np.zeros_like(bodies)
    roi[3:6, 7:12, 8:16], roi[10:13, 8:12, 8:16] = 20, 21
    images = [sitk.GetImageFromArray(array) for array in (bodies, roi)]
    for label_map in images:
        label_map.CopyInformation(image)
    return images


@pytest.fixture
def volume(mrml, image):
    return scene.add_volume(mrml, checked(image), "Knochen Ω")


def assert_same_grid(actual, expected):
    assert actual.GetSize() == expected.GetSize()
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(actual, name)(), getattr(expected, name)(), atol=1e-9)


def transformed(volume, class_name="vtkMRMLLinearTransformNode", matrix=None):
    transform = volume.GetScene().AddNewNodeByClass(class_name)
    if matrix is not None:
        transform.SetMatrixTransformToParent(vtk_matrix(np.asarray(matrix, dtype=float)))
    volume.SetAndObserveTransformNodeID(transform.GetID())
    return transform


@pytest.mark.parametrize("suffix", ["nrrd", "nii.gz", "mha"])
def test_volume_node_gives_the_same_scan_as_its_file(image, mrml, tmp_path, suffix):
    path = tmp_path / f"scän 1.{suffix}"
    sitk.WriteImage(image, str(path))
    node = mrml.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    from_file, from_node = loading.load(path), scene.scan_from_volume(node)
    np.testing.assert_array_equal(from_node.hu, from_file.hu)
    assert from_node.image.GetPixelID() == from_file.image.GetPixelID()
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(from_node.image, name)(), getattr(from_file.image, name)(), atol=1e-5)


def test_linear_transform_moves_the_scan_in_ras(volume, image):
    transformed(volume, matrix=[[0, -1, 0, 5], [1, 0, 0, 7], [0, 0, 1, -3], [0, 0, 0, 1]])
    moved = scene.scan_from_volume(volume).image
    x, y, z = image.TransformIndexToPhysicalPoint((3, 4, 5))
    right, anterior = -x, -y
    expected_ras = (-anterior + 5, right + 7, z - 3)
    np.testing.assert_allclose(
        moved.TransformIndexToPhysicalPoint((3, 4, 5)), (-expected_ras[0], -expected_ras[1], expected_ras[2]), atol=1e-9
    )


def test_left_handed_axes_survive(mrml, image):
    flipped = sitk.Image(image)
    flipped.SetDirection((-1, 0, 0, 0, 1, 0, 0, 0, 1))
    assert_same_grid(scene.scan_from_volume(scene.add_volume(mrml, checked(flipped), "x")).image, flipped)


def test_image_data_that_starts_at_another_index_keeps_its_place(volume, image):
    extent = volume.GetImageData().GetExtent()
    volume.GetImageData().SetExtent(*(value + 2 for value in extent))
    moved = scene.scan_from_volume(volume).image
    np.testing.assert_allclose(moved.GetOrigin(), image.TransformIndexToPhysicalPoint((2, 2, 2)))


def test_geometry_gate(volume, mrml):
    shear = np.eye(4)
    shear[0, 2] = 0.1
    transformed(volume, matrix=shear)
    assert refusal(volume) == Code.SHEARED
    grid = transformed(volume, "vtkMRMLGridTransformNode")
    warp = vtk.vtkThinPlateSplineTransform()
    for points in ("Source", "Target"):
        landmarks = vtk.vtkPoints()
        for index in range(5):
            landmarks.InsertNextPoint(index % 2 * 9.0, index % 3 * 7.0, index * 3.0 + (points == "Target") * (index % 2))
        getattr(warp, f"Set{points}Landmarks")(landmarks)
    grid.SetAndObserveTransformToParent(warp)
    assert refusal(volume) == Code.NONLINEAR_TRANSFORM
    assert refusal(mrml.AddNewNodeByClass("vtkMRMLScalarVolumeNode")) == Code.NOT_3D


def test_images_that_are_not_ct_are_refused(mrml, image):
    magnetic = scene.add_volume(mrml, checked(image), "MR")
    vtk_to_numpy(magnetic.GetImageData().GetPointData().GetScalars())[:] = 500
    assert refusal(magnetic) == Code.NOT_HU
    colour = mrml.AddNewNodeByClass("vtkMRMLVectorVolumeNode")
    data = vtk.vtkImageData()
    data.SetDimensions(4, 4, 4)
    data.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    colour.SetAndObserveImageData(data)
    assert refusal(colour) == Code.NOT_3D


def refusal(volume):
    with pytest.raises(Refused) as caught:
        scene.scan_from_volume(volume)
    return caught.value.code


def voxels(segmentation, name, volume):
    """One segment as a boolean array on the volume's grid."""
    geometry = slicer.vtkSegmentationConverter.DeserializeImageGeometry
    reference, segment = slicer.vtkOrientedImageData(), slicer.vtkOrientedImageData()
    geometry(
        segmentation.GetSegmentation().GetConversionParameter(slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()),
        reference,
        True,
    )
    identifier = segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
    assert segmentation.GetBinaryLabelmapRepresentation(identifier, segment)
    assert slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(segment, reference, segment, False, True)
    assert segment.GetDimensions() == volume.GetImageData().GetDimensions()
    return vtk_to_numpy(segment.GetPointData().GetScalars()).reshape(segment.GetDimensions()[::-1]) > 0


def assert_segments(segmentation, volume, labels):
    segments = segmentation.GetSegmentation()
    names = [segments.GetNthSegment(i).GetName() for i in range(segments.GetNumberOfSegments())]
    assert names == ["L1 body", "L2 body", "T13 body", "L1 ROI", "L2 ROI"]
    for name in names:
        level, kind = name.split()
        label_map = sitk.GetArrayViewFromImage(labels[0 if kind == "body" else 1])
        np.testing.assert_array_equal(voxels(segmentation, name, volume), label_map == {"L1": 20, "L2": 21, "T13": 28}[level])


def test_measurement_becomes_segments_with_terminology(volume, labels):
    segmentation, table = scene.show_measurement(volume, DOCUMENT, *labels)
    assert segmentation.GetName() == "Knochen Ω vertebrae"
    assert_segments(segmentation, volume, labels)
    segments = segmentation.GetSegmentation()
    assert len({segments.GetNthSegment(i).GetColor() for i in range(5)}) == 5
    entries = {segments.GetNthSegment(i).GetName(): terminology(segments.GetNthSegment(i)) for i in range(5)}
    assert entries["L1 body"] == ("Anatomical Structure", "66794005", "")
    assert entries["T13 body"] == ("Anatomical Structure", "51282000", "")
    assert entries["L2 ROI"] == ("Tissue", "272673000", "14293000")
    assert segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole()) is volume
    assert segmentation.GetDisplayNode() is not None


def terminology(segment):
    """(category, type code, region code) as Slicer's own parser reads the tag."""
    text = vtk.mutable("")
    assert segment.GetTag(segment.GetTerminologyEntryTagName(), text)
    entry = slicer.vtkSlicerTerminologyEntry()
    assert slicer.vtkSlicerTerminologiesModuleLogic().DeserializeTerminologyEntry(str(text), entry)
    codes = (entry.GetTypeObject().GetCodeValue(), entry.GetRegionObject().GetCodeValue())
    return entry.GetCategoryObject().GetCodeMeaning(), *(code or "" for code in codes)


def cells(table):
    names = [table.GetColumnName(column) for column in range(table.GetNumberOfColumns())]
    return [dict(zip(names, (table.GetCellText(row, column) for column in range(len(names))))) for row in range(table.GetNumberOfRows())]


def test_table_has_units_and_never_a_zero_for_an_absent_value(volume, labels):
    segmentation, table = scene.show_measurement(volume, DOCUMENT, *labels)
    first, second = cells(table)
    assert (
        first["Vertebra"] == "L1"
        and first["vBMD (mg/cm³ CaHA-eq)"] == "101.2"
        and first["ROI volume (cm³)"] == "9.9"
        and (first["Flags"], first["Counts"], first["Network − ROI (mg/cm³ CaHA-eq)"], first["Network 95 % (mg/cm³ CaHA-eq)"])
        == ("none", "yes", "−2.2", "–")
    )
    assert second == {title: {"Vertebra": "L2", "Counts": "no", "Flags": "1"}.get(title, "–") for title in second}
    uncalibrated = copy.deepcopy(DOCUMENT) | {"calibration": {"source": "none", "material": None, "checks": []}}
    segmentation, table = scene.show_measurement(volume, uncalibrated, *labels)
    assert "vBMD (mg/cm³)" in cells(table)[0]


def test_measuring_again_replaces_the_result_of_this_volume_only(mrml, volume, image, labels):
    other = scene.add_volume(mrml, checked(image), "other")
    scene.show_measurement(other, DOCUMENT, *labels)
    first = scene.show_measurement(volume, DOCUMENT, *labels)
    count = mrml.GetNumberOfNodes()
    changed = copy.deepcopy(DOCUMENT)
    changed["vertebrae"] = changed["vertebrae"][:1]
    assert scene.show_measurement(volume, changed, *labels) == first
    assert mrml.GetNumberOfNodes() == count
    assert scene.measurement_of(volume) == (changed, first[1])
    assert scene.measurement_of(other)[0] == DOCUMENT
    assert_segments(first[0], volume, labels)
    scene.show_measurement(volume, DOCUMENT, None, None)
    assert first[0].GetSegmentation().GetNumberOfSegments() == 0


def test_results_lie_beside_the_volume_and_move_with_it(mrml, volume, labels):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(mrml)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.CreateItem(study, volume)
    transform = transformed(volume, matrix=np.eye(4))
    for node in scene.show_measurement(volume, DOCUMENT, *labels):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study
    segmentation = scene.find_result(volume, "vtkMRMLSegmentationNode")
    assert segmentation.GetParentTransformNode() is transform
    assert_segments(segmentation, volume, labels)


def test_label_maps_of_another_grid_are_an_error(volume, labels):
    with pytest.raises(ValueError, match="grid"):
        scene.show_measurement(volume, DOCUMENT, labels[0][:, :, 1:], labels[1])


def test_slices_jump_to_the_first_vertebra(mrml, volume, labels):
    view = mrml.AddNewNodeByClass("vtkMRMLSliceNode")
    composite = mrml.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    scene.show_in_slices(volume, DOCUMENT)
    assert composite.GetBackgroundVolumeID() == volume.GetID()
    assert view.GetSliceToRAS().GetElement(2, 3) == 30.0


def test_segmentation_file_reads_back(mrml, volume, labels, tmp_path):
    segmentation, table = scene.show_measurement(volume, DOCUMENT, *labels)
    path = tmp_path / "Ωmega späce.seg.nrrd"
    scene.save_segmentation(segmentation, path)
    read = mrml.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(read)
    read.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    assert_segments(read, volume, labels)
    assert terminology(read.GetSegmentation().GetSegment("L1 body"))[1] == "66794005"
    with pytest.raises(OSError):
        scene.save_segmentation(segmentation, tmp_path / "absent" / "x.seg.nrrd")


def test_scene_file_reads_back_with_the_volume_inside(mrml, image, labels, tmp_path):
    path = tmp_path / "Ωmega späce.mrb"
    scene.save_scene(scene.scene_for(checked(image), DOCUMENT, *labels, None), path)
    read_mrb(mrml, path, tmp_path)
    volume = mrml.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    scan = scene.scan_from_volume(volume)
    np.testing.assert_array_equal(scan.hu, sitk.GetArrayViewFromImage(image))
    assert_same_grid(scan.image, image)
    assert volume.GetDisplayNode().GetWindow() == 1000
    segmentation = scene.find_result(volume, "vtkMRMLSegmentationNode")
    assert_segments(segmentation, volume, labels)
    document, table = scene.measurement_of(volume)
    assert document == DOCUMENT and cells(table)[0]["ROI mean (HU)"] == "131.3"
    with pytest.raises(OSError):
        scene.save_scene(mrml, tmp_path / "absent" / "x.mrb")


def test_a_volume_from_dicom_keeps_its_acquisition_up_to_the_worker(tmp_path, monkeypatch):
    from VertebralBMDLib.loading import load
    from VertebralBMDLib.scan import with_acquisition
    from VertebralBMDLib.simulation.dicom import write_dicom_series
    from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient

    image = simulate_patient(PatientSpec(seed=3, spacing_mm=(3.0, 3.0, 5.0), levels=("L1", "L2"))).image
    write_dicom_series(image, tmp_path / "dicom", {"KVP": 100, "ConvolutionKernel": "LUNG", "ContrastBolusAgent": "agent"})
    loaded = load(tmp_path / "dicom")
    volume = scene.add_volume(slicer.vtkMRMLScene(), loaded, "volume")
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")

    class Database:
        """Slicer's own database answers like this (ctkDICOMDatabase::fileForInstance)."""

        def fileForInstance(self, uid):
            return str(sorted((tmp_path / "dicom").iterdir())[0]) if uid == "1.2.3" else ""

    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    scan = scene.scan_from_volume(volume)
    assert scan.acquisition == loaded.acquisition and scan.acquisition.contrast == "yes" and scan.acquisition.kvp == 100

    sitk.WriteImage(with_acquisition(scan.image, scan.acquisition), str(tmp_path / "scan.nrrd"))
    assert load(tmp_path / "scan.nrrd").acquisition == scan.acquisition

    path = Database().fileForInstance("1.2.3")
    virtual = pydicom.dcmread(path)
    virtual.SeriesDescription = "VNC"
    virtual.save_as(path)
    with pytest.raises(Refused, match="VIRTUAL_NON_CONTRAST"):
        scene.scan_from_volume(volume)
