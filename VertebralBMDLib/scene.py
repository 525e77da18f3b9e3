"""MRML in, MRML out: a volume node becomes a Scan, a measurement becomes segmentation and table nodes.

The only library file that imports slicer; never Qt. Works in 3D Slicer and in the slicer-core package alike, so it uses
MRML and logic classes where Slicer's own helpers reach for the application. MRML is RAS, a Scan is LPS, both in mm. Node
names may be patient names and are never logged.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from .anatomy import LEVELS, SNOMED
from .loading import read_acquisition
from .quality import Code, Refused
from .report import words
from .scan import Acquisition, Scan, checked
from .summary import density_unit

#: Role of the node reference from a result node to the volume it was measured on.
_VOLUME_ROLE = "VertebralBMD.volume"

#: Attribute of the table node that keeps measurement.json, so that a saved scene still says all about its numbers.
_DOCUMENT_ATTRIBUTE = "VertebralBMD.measurement"

_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

#: Largest deviation of the axes from perpendicular (as a cosine) that is rounding rather than shear.
_SHEAR_TOLERANCE = 1e-3

#: Okabe and Ito's palette, told apart by colour-blind readers too; neighbouring levels differ.
_COLOURS = ((0.90, 0.62, 0.00), (0.34, 0.71, 0.91), (0.00, 0.62, 0.45), (0.80, 0.47, 0.65), (0.94, 0.89, 0.26), (0.84, 0.37, 0.00))
_BONE_WHITE = (0.95, 0.92, 0.85)

_TERMINOLOGY = "Segmentation category and type - 3D Slicer General Anatomy list"
_ANATOMY = "Anatomic codes - DICOM master list"


def scan_from_volume(volume_node) -> Scan:
    """The Scan of a vtkMRMLScalarVolumeNode, as if loaded from its file, with linear parent transforms applied.

    Raises Refused: NONLINEAR_TRANSFORM, SHEARED, VIRTUAL_NON_CONTRAST, NOT_3D (also for a node without voxels) and those of
    ``scan.checked``.
    """
    data = volume_node.GetImageData()
    if data is None or data.GetPointData().GetScalars() is None:
        raise Refused(Code.NOT_3D, "the volume has no voxels")
    axes_lps = _LPS_RAS @ _ijk_to_world(volume_node)
    spacing = np.linalg.norm(axes_lps[:3, :3], axis=0)
    direction = axes_lps[:3, :3] / spacing
    if np.abs(direction.T @ direction - np.eye(3)).max() > _SHEAR_TOLERANCE:
        raise Refused(Code.SHEARED)
    components = data.GetNumberOfScalarComponents()
    shape = data.GetDimensions()[::-1] + ((components,) if components > 1 else ())
    image = sitk.GetImageFromArray(vtk_to_numpy(data.GetPointData().GetScalars()).reshape(shape), isVector=components > 1)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(axes_lps[:3, 3].tolist())
    image.SetDirection(direction.ravel().tolist())
    return checked(image, _acquisition(volume_node))


def _acquisition(volume_node) -> Acquisition:
    """From the DICOM file the volume came from, while Slicer's database still has it; otherwise all unknown."""
    instances = (volume_node.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    path = database.fileForInstance(instances[0]) if instances and database else ""
    try:
        return read_acquisition(path) if path else Acquisition()
    except Refused as refusal:
        if refusal.code != Code.UNREADABLE:
            raise
        return Acquisition()  # The file has moved since it was imported.


def show_measurement(volume_node, document: dict, bodies_image: sitk.Image | None, roi_image: sitk.Image | None) -> tuple:
    """Put a measurement beside its volume; returns (vtkMRMLSegmentationNode, vtkMRMLTableNode).

    ``document``: the content of measurement.json; ``bodies_image`` and ``roi_image``: label maps with VerSe numbers on the
    volume's voxel grid, None where a refused run wrote none. Nodes of an earlier measurement of the same volume are
    refilled, so results never pile up. The segmentation follows the volume's parent transform. Raises ValueError for label
    maps of another size and for a volume that has been removed from its scene.
    """
    if volume_node.GetScene() is None:
        raise ValueError("The volume is no longer in the scene.")
    layers = [(kind, image) for kind, image in (("body", bodies_image), ("ROI", roi_image)) if image is not None]
    if any(image.GetSize() != volume_node.GetImageData().GetDimensions() for kind, image in layers):
        raise ValueError("The label maps are not on the grid of this volume.")
    segmentation_node = _result_node(volume_node, "vtkMRMLSegmentationNode", "vertebrae")
    _fill_segmentation(segmentation_node, volume_node, layers)
    table_node = _result_node(volume_node, "vtkMRMLTableNode", "bone density")
    _fill_table(table_node, document)
    table_node.SetAttribute(_DOCUMENT_ATTRIBUTE, json.dumps(document))
    return segmentation_node, table_node


def measurement_of(volume_node) -> tuple:
    """(document, vtkMRMLTableNode) of the volume's measurement in the scene, also of a loaded one; (None, None) without."""
    table_node = _find_result(volume_node, "vtkMRMLTableNode")
    text = table_node.GetAttribute(_DOCUMENT_ATTRIBUTE) if table_node else None
    return (json.loads(text), table_node) if text else (None, None)


def show_in_slices(volume_node, document: dict) -> None:
    """Show the volume in every slice view, at the first vertebra that was asked for and found."""
    scene = volume_node.GetScene()
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode").SetBackgroundVolumeID(volume_node.GetID())
    for vertebra in words.reported(document)[:1]:
        x, y, z = vertebra["centroid_lps_mm"]
        slicer.vtkMRMLSliceNode.JumpAllSlices(scene, -x, -y, z)


def save_segmentation(segmentation_node, path: str | Path) -> None:
    """Write a segmentation node as .seg.nrrd. Raises OSError when that fails."""
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(segmentation_node):
        raise OSError(f"The segmentation could not be written to {path}.")


def save_scene(scene, path: str | Path) -> None:
    """Write a scene with all its data as one .mrb file. Raises OSError when that fails."""
    if not scene.WriteToMRB(str(Path(path).resolve())):
        raise OSError(f"The scene could not be written to {path}.")


def scene_for(scan: Scan, document: dict, bodies: sitk.Image, roi: sitk.Image):
    """A new vtkMRMLScene with the scan as a volume and its measurement, ready for ``save_scene``."""
    scene = slicer.vtkMRMLScene()
    slicer.vtkSlicerSegmentationsModuleLogic().SetMRMLScene(scene)
    volume_node = add_volume(scene, scan, "CT")
    show_measurement(volume_node, document, bodies, roi)
    return scene


def add_volume(scene, scan: Scan, name: str):
    """Add a scan to a scene as a vtkMRMLScalarVolumeNode with a bone window (level 300, width 1000 HU)."""
    volume_node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(scan.image.GetDirection(), (3, 3)) * scan.spacing_mm
    matrix[:3, 3] = scan.image.GetOrigin()
    volume_node.SetIJKToRASMatrix(_vtk_matrix(_LPS_RAS @ matrix))
    data = vtk.vtkImageData()
    data.SetDimensions(scan.image.GetSize())
    data.GetPointData().SetScalars(numpy_to_vtk(scan.hu.ravel(), deep=True))
    volume_node.SetAndObserveImageData(data)
    volume_node.CreateDefaultDisplayNodes()
    display = volume_node.GetDisplayNode()
    # The node of this colour table exists in every Slicer, but not in a scene that was made without one.
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(1000, 300)
    return volume_node


def _ijk_to_world(volume_node) -> np.ndarray:
    """4 x 4 matrix from the first voxel's index (0, 0, 0) to world RAS mm; refuses a non-linear parent transform."""
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    result = _array(matrix)
    result[:3, 3] = (result @ [*volume_node.GetImageData().GetExtent()[::2], 1])[:3]
    transform = volume_node.GetParentTransformNode()
    if transform is None:
        return result
    if not transform.IsTransformToWorldLinear():
        raise Refused(Code.NONLINEAR_TRANSFORM)
    transform.GetMatrixTransformToWorld(matrix)
    return _array(matrix) @ result


def _array(matrix) -> np.ndarray:
    return np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])


def _vtk_matrix(values: np.ndarray):
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(values.ravel().tolist())
    return matrix


def _find_result(volume_node, class_name: str):
    """The result node of this class for the volume, or None."""
    scene = volume_node.GetScene()
    nodes = (scene.GetNthNodeByClass(i, class_name) for i in range(scene.GetNumberOfNodesByClass(class_name)))
    return next((node for node in nodes if node.GetNodeReferenceID(_VOLUME_ROLE) == volume_node.GetID()), None)


def _result_node(volume_node, class_name: str, suffix: str):
    """The result node of this class for the volume, made when there is none, placed beside the volume in the hierarchy."""
    scene = volume_node.GetScene()
    node = _find_result(volume_node, class_name)
    if node is None:
        node = scene.AddNewNodeByClass(class_name, f"{volume_node.GetName()} {suffix}")
        node.SetNodeReferenceID(_VOLUME_ROLE, volume_node.GetID())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    # In Slicer every node already has its item; without the application nobody has made them.
    volume_item = hierarchy.GetItemByDataNode(volume_node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume_node)
    item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    hierarchy.SetItemParent(item, hierarchy.GetItemParent(volume_item))
    return node


def _fill_segmentation(segmentation_node, volume_node, layers: list[tuple[str, sitk.Image]]) -> None:
    """A segment for every label of every (kind, label map); the ROI is filled so that it stands out inside its body."""
    segmentation_node.GetSegmentation().RemoveAllSegments()
    segmentation_node.CreateDefaultDisplayNodes()
    segmentation_node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    segmentation_node.SetNodeReferenceID(segmentation_node.GetReferenceImageGeometryReferenceRole(), volume_node.GetID())
    segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    for kind, image in layers:
        labels = sitk.GetArrayViewFromImage(image)
        layer = _oriented_image(labels, volume_node)
        for label in np.unique(labels[labels > 0]).tolist():
            level = LEVELS.get(label, f"Label {label}")
            name = f"{level} {kind}"
            segmentation_node.GetSegmentation().AddSegment(_segment(name, level, kind, label, layer), name)
            segmentation_node.GetDisplayNode().SetSegmentOpacity2DFill(name, 0.5 if kind == "ROI" else 0.0)


def _segment(name: str, level: str, kind: str, label: int, layer):
    """A vtkSegment whose voxels are those of ``layer`` that equal ``label``; segments of one layer share its memory."""
    segment = slicer.vtkSegment()
    segment.SetName(name)
    colour = np.array(_COLOURS[label % len(_COLOURS)])
    segment.SetColor(*(colour if kind == "ROI" else (colour + _BONE_WHITE) / 2))
    segment.AddRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName(), layer)
    segment.SetLabelValue(label)
    segment.SetTag(segment.GetTerminologyEntryTagName(), _terminology(level, kind))
    return segment


def _terminology(level: str, kind: str) -> str:
    """Slicer's serialised terminology: the vertebra itself for a body, bone tissue in that vertebra for an ROI.

    The lists that Slicer ships name no trabecular bone, so the tissue is "Bone"; the segment's name says the rest.
    """
    vertebra = f"SCT^{SNOMED[level]}^{level} vertebra" if level in SNOMED else "SCT^51282000^Vertebra"
    if kind == "ROI":
        return f"{_TERMINOLOGY}~SCT^85756007^Tissue~SCT^272673000^Bone~^^~{_ANATOMY}~{vertebra}~^^"
    return f"{_TERMINOLOGY}~SCT^123037004^Anatomical Structure~{vertebra}~^^~{_ANATOMY}~^^~^^"


def _oriented_image(labels: np.ndarray, volume_node):
    """``labels`` (k, j, i) as vtkOrientedImageData in the volume's own frame, cut to its labelled box to save memory."""
    spans = [np.flatnonzero(labels.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    low, high = ([int(span[end]) if len(span) else 0 for span in spans] for end in (0, -1))
    box = labels[tuple(slice(a, b + 1) for a, b in zip(low, high))]
    image = slicer.vtkOrientedImageData()
    image.SetExtent(low[2], high[2], low[1], high[1], low[0], high[0])
    image.GetPointData().SetScalars(numpy_to_vtk(box.astype(np.uint8).ravel(), deep=True))
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    image.SetGeometryFromImageToWorldMatrix(matrix)
    return image


def _fill_table(table_node, document: dict) -> None:
    """One row per asked or measured vertebra; titles carry the units, and the reference material where there is one."""
    unit = density_unit(document)
    columns = {
        "Vertebra": lambda v: v["level"],
        f"vBMD ({unit})": lambda v: words.number(v.get("vbmd_roi_mg_cm3")),
        f"vBMD network ({unit})": lambda v: words.number(v.get("vbmd_network_mg_cm3")),
        "ROI mean (HU)": lambda v: words.number(v.get("roi_mean_hu")),
        "ROI SD (HU)": lambda v: words.number(v.get("roi_sd_hu")),
        "ROI volume (cm³)": lambda v: words.number(v.get("roi_volume_cm3")),
        "Flags": lambda v: str(len(v["flags"])) if v["flags"] else "none",
    }
    table_node.SetLocked(False)
    table_node.RemoveAllColumns()
    for title, text in columns.items():
        column = vtk.vtkStringArray()
        for vertebra in words.reported(document):
            column.InsertNextValue(text(vertebra))
        table_node.AddColumn(column).SetName(title)
    table_node.SetUseColumnTitleAsColumnHeader(True)
    table_node.SetUseFirstColumnAsRowHeader(True)
    table_node.SetLocked(True)
