"""Names that files carry: which of them are levels, and how they are read from .seg.nrrd and NIfTI."""

import numpy as np
import pytest
import SimpleITK as sitk
from label_files import nifti_with_table, segmentation_file

from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.segmentation.named_labels import NamedLabel, level_in, named_labels


@pytest.mark.parametrize(
    ("name", "level"),
    [("L1", "L1"), ("vertebrae_L1", "L1"), ("L1 vertebra", "L1"), ("l 2", "L2"), ("Th12", "T12"), ("TH 9 body", "T9"), ("body of T11", "T11")]
    + [("vertebrae_L6", "L6"), ("T13", "T13"), ("vertebrae_S1", None), ("vertebrae_C7", None), ("Segment_1", None), ("T14", None)]
    + [("L1-L2", None), ("L1/L2 disc", None), ("disc L1", None), ("rib_left_1", None), ("L5 nerve root", None), ("L1 posterior elements", None)]
    + [("FL1", None), ("L10", None), ("autochthon_left", None), ("", None)],
)  # fmt: skip
def test_a_name_speaks_of_one_level_or_of_none(name, level):
    assert level_in(name) == level


EMPTY = np.zeros((4, 5, 6), np.uint8)


def tags(code):
    return f"TerminologyEntry:Segmentation category and type~SCT^123037004^Anatomical Structure~SCT^{code}^vertebra~^^~~^^~^^|"


def test_segments_of_slicer_are_known_by_name_layer_and_value(tmp_path):
    path = segmentation_file(
        tmp_path / "a Ω.seg.nrrd", [EMPTY] * 2, [("L1 vertebra", 3, 0), ("Aorta", 1, 1), ("vertebrae_T12", 2, 1, tags("23215003"))]
    )
    assert set(named_labels(path)) == {NamedLabel(0, 3, "L1"), NamedLabel(1, 2, "T12")}


def test_a_segment_without_a_telling_name_is_known_by_its_terminology(tmp_path):
    path = segmentation_file(tmp_path / "a.seg.nrrd", [EMPTY], [("Segment_1", 1, 0, tags("14293000")), ("disc", 2, 0, tags("66794005"))])
    assert named_labels(path) == (NamedLabel(0, 1, "L2"),)


@pytest.mark.parametrize(
    ("segments", "reason"),
    [
        ([("L1", 1, 0, tags("14293000"))], "terminology of L2"),
        ([("L1", 1, 0, ""), ("vertebrae_L1", 2, 0, "")], "several segments are named L1"),
    ],
)
def test_contradictions_are_refused(tmp_path, segments, reason):
    with pytest.raises(Refused) as caught:
        named_labels(segmentation_file(tmp_path / "a.seg.nrrd", [EMPTY], segments))
    assert caught.value.code == Code.LABEL_MAP_UNUSABLE and reason in caught.value.detail


@pytest.mark.parametrize("name", ["a Ω.nii.gz", "b.nii"])
def test_the_label_table_of_a_nifti_is_read(tmp_path, name):
    names = [(5, "liver"), (31, "vertebrae_L1"), (26, "vertebrae_L6")]
    path = nifti_with_table(tmp_path / name, sitk.Image([4, 5, 6], sitk.sitkUInt8), names)
    assert sitk.ReadImage(str(path)).GetSize() == (4, 5, 6)
    assert set(named_labels(path)) == {NamedLabel(0, 31, "L1"), NamedLabel(0, 26, "L6")}


def test_files_without_names_have_none(tmp_path):
    for name in ("a.nii.gz", "a.nii", "a.nrrd", "a.mha"):
        sitk.WriteImage(sitk.Image([4, 5, 6], sitk.sitkUInt8), str(tmp_path / name))
        assert named_labels(tmp_path / name) == ()


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.nii"])
def test_what_is_no_image_is_refused_or_has_no_names(tmp_path, name):
    (tmp_path / name).write_bytes(b"no image")
    try:
        assert named_labels(tmp_path / name) == ()
    except Refused as refusal:
        assert refusal.code == Code.LABEL_MAP_UNUSABLE
    with pytest.raises(Refused):
        named_labels(tmp_path / f"missing-{name}")
