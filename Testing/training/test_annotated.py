"""Annotated scans: label maps on the training grid, bones without a name, and folders of scans."""

import numpy as np
import pytest
import SimpleITK as sitk
from made_scans import CUT_L2, L1, ORGANS, RIBS, T12, arrays, image_of, made_scan, write_folder

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.grid import field_grid
from VertebralBMDLib.training.annotated import THORACIC, UNNAMED, annotated, annotated_scans, complete, filled_at_least_half


def slab(rows, start=0):
    """A label map of 24³ voxels of 1 mm with label 20 in ``rows`` rows along x."""
    labels = np.zeros((24, 24, 24), np.uint8)
    labels[6:18, 6:18, start : start + rows] = 20
    return image_of(labels, (1.0, 1.0, 1.0))


@pytest.mark.parametrize(("rows", "expected"), [(6, 2), (7, 2), (8, 3), (9, 3)])
def test_a_voxel_has_the_label_that_fills_at_least_half_of_it(rows, expected):
    image = slab(rows)
    labels = filled_at_least_half(image, field_grid(image, 3.0))
    assert labels.shape == (8, 8, 8) and labels.dtype == np.uint8
    assert (labels[4, 4] == 20).sum() == expected and set(np.unique(labels)) == {0, 20}


@pytest.mark.parametrize("start", [0, 1, 5, 12])
def test_a_label_keeps_its_volume_wherever_it_lies(start):
    image = slab(12, start)
    labels = filled_at_least_half(image, field_grid(image, 1.5))
    assert (labels == 20).sum() * 1.5**3 == pytest.approx(12**3, rel=0.15)


def test_labels_reach_the_borders_of_the_scan():
    full = image_of(np.full((20, 24, 24), 22, np.uint8), (2.0, 2.0, 3.0))
    assert np.all(filled_at_least_half(full, field_grid(full, 3.0)) == 22)


def test_labels_that_touch_leave_no_gap_and_do_not_mix():
    labels = np.zeros((24, 24, 24), np.uint8)
    labels[:12], labels[12:] = 20, 21
    image = image_of(labels, (1.0, 1.0, 1.0))
    found = filled_at_least_half(image, field_grid(image, 2.0))
    assert np.all(found[:6] == 20) and np.all(found[6:] == 21)


def test_permuted_and_turned_scans_are_read_alike():
    hu, bodies, structures = (image_of(array, (1.5, 2.0, 3.0)) for array in arrays())
    straight = annotated("a", hu, bodies, 3.0, structures)
    permuted = annotated("a", *(sitk.DICOMOrient(image, "PIR") for image in (hu, bodies)), 3.0, sitk.DICOMOrient(structures, "SAL"))
    assert np.array_equal(straight.labels, permuted.labels) and np.array_equal(straight.structures, permuted.structures)
    assert np.abs(straight.hu.astype(int) - permuted.hu).max() <= 1
    assert straight.centres[L1] == pytest.approx(permuted.centres[L1])


def test_centres_and_kinds_of_bodies():
    scan = made_scan()
    assert set(scan.centres) == {T12, L1, CUT_L2} and [complete(label) for label in (T12, L1, CUT_L2)] == [True, True, False]
    assert scan.centres[L1] == pytest.approx((20.5, 22.5, 21.5)) and scan.hu.dtype == np.int16
    assert scan.ribbed == THORACIC == {LABELS[f"T{n}"] for n in range(1, 14)}


def test_without_structures_bone_and_its_surroundings_have_no_name():
    scan = made_scan(named=False)
    assert np.all(scan.structures[scan.labels == L1] == 1) and np.all(scan.structures[scan.labels == CUT_L2] == UNNAMED)
    assert np.all(scan.structures[RIBS] == UNNAMED)
    near, far = scan.structures[32, 27, 2], scan.structures[32, 27, 0]  # 2 and 4 voxels of 3 mm beside the rib
    assert near == UNNAMED and far == 0 and set(np.unique(scan.structures)) == {0, 1, UNNAMED}


def test_with_structures_only_a_cut_body_has_no_name():
    scan = made_scan()
    assert np.array_equal(scan.structures == UNNAMED, scan.labels == CUT_L2)
    assert np.all(scan.structures[RIBS] == 4) and np.array_equal(scan.structures == 1, (scan.labels > 0) & (scan.labels < 100))


def test_a_folder_is_read_without_what_is_left_out(tmp_path):
    write_folder(tmp_path)
    assert [scan.name for scan in annotated_scans(tmp_path, 3.0)] == ["a", "b"]
    assert [scan.name for scan in annotated_scans(tmp_path, 3.0, frozenset({"a"}))] == ["b"]
    with pytest.raises(FileNotFoundError, match=r"CT_\*"):
        annotated_scans(tmp_path, 3.0, frozenset({"a", "b"}))


def test_a_scan_to_leave_out_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no scan A to leave out. Scans are: a, b, z"):
        annotated_scans(write_folder(tmp_path), 3.0, frozenset({"A"}))


def test_a_scan_without_bodies_is_named(tmp_path):
    write_folder(tmp_path)
    sitk.WriteImage(image_of(np.zeros((40, 44, 44), np.uint8)), str(tmp_path / "BODIES_b.nii.gz"))
    with pytest.raises(ValueError, match="BODIES_b.nii.gz has no body"):
        annotated_scans(tmp_path, 3.0)


def test_organs_of_totalsegmentator_name_the_structures(tmp_path):
    write_folder(tmp_path, "a")
    numbers = {25: 3, 26: 3, 27: 2, 50: 2, 77: 5, 78: 5, 92: 4, 115: 4, 51: 0, 76: 0, 79: 0, 91: 0, 116: 0, 117: 0}
    organs = np.zeros((40, 44, 44), np.uint8)
    for row, number in enumerate(numbers):
        organs[:, 3 * row : 3 * row + 3, :12] = number
    organs[20, 22, 21] = ORGANS[2]  # within the body, which is known better
    sitk.WriteImage(image_of(organs), str(tmp_path / "ORGANS_a.nii.gz"))
    scan = annotated_scans(tmp_path, 3.0)[0]
    assert [scan.structures[38, 3 * row + 1, 5] for row in range(len(numbers))] == list(numbers.values())
    assert scan.structures[20, 22, 21] == 1 and np.all(scan.structures[scan.labels == CUT_L2] == UNNAMED)
