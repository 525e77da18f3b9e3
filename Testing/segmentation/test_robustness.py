"""The bundled engine on scans that are stored, cut or filled otherwise than the usual: the same bodies, or a named refusal.

All are drawn or made from the simulated patient of the fixtures; what real scans look like is in ``test_real_scans.py``.
"""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from VertebralBMDLib.pipeline import NotMeasured, measure
from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.scan import Scan
from VertebralBMDLib.segmentation.engines import engine_for
from VertebralBMDLib.segmentation.levels import CERTAIN
from VertebralBMDLib.settings import Settings
from VertebralBMDLib.simulation.findings import Findings, Hardware
from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient, to_image
from VertebralBMDLib.simulation.person import draw_person
from VertebralBMDLib.simulation.scanner import TYPICAL
from VertebralBMDLib.simulation.shapes import Canvas
from VertebralBMDLib.simulation.subject import field_of_view, make_subject

#: Small enough to be drawn in a few seconds.
SPEC = PatientSpec(seed=8, vbmd=120.0, spacing_mm=(2.0, 2.0, 3.0), levels=("T11", "S1"), scanner=TYPICAL)
AIR = -1000


def found_in(image):
    return engine_for("bundled", None, "cpu").segment(Scan(image), lambda fraction: None)


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


def assert_right(vertebrae, truth, lowest_dice, levels=("T12", "L1", "L2", "L3", "L4", "L5")):
    """Every body of ``levels`` is there under its own name, certain, and covers the truth (a map on the same grid)."""
    found, true = sitk.GetArrayViewFromImage(vertebrae.label_map), sitk.GetArrayViewFromImage(truth)
    for level in levels:
        body = vertebrae.get(level)
        assert body is not None, f"{level} was not found among {[each.level for each in vertebrae.bodies]}"
        overlap = dice(found == body.label, true == body.label)
        assert body.complete and body.level_confidence >= CERTAIN and overlap >= lowest_dice, f"{level}: {body}, Dice {overlap:.3f}"
    assert Code.LEVEL_UNCERTAIN not in vertebrae.flags


def on_grid_of(label_map, image):
    return sitk.Resample(label_map, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)


# Stored otherwise: RAS is head first prone, RPI feet first supine and LAI feet first prone as DICOM stores them.
@pytest.mark.parametrize("code", ["RAS", "RPI", "LAI", "LPI", "PIR", "SAL", "ASR", "ILP"])
def test_a_scan_stored_another_way_gives_the_same_bodies_to_the_bit(measured, scan, code):
    stored = found_in(sitk.DICOMOrient(scan.image, code))
    back = sitk.DICOMOrient(stored.label_map, "LPS")
    straight = measured.vertebrae
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(back), sitk.GetArrayViewFromImage(straight.label_map))
    assert [(b.level, b.level_confidence, b.complete, b.flags) for b in stored.bodies] == [
        (b.level, b.level_confidence, b.complete, b.flags) for b in straight.bodies
    ]


def test_axes_that_were_exchanged_with_their_direction_matrix_give_the_same_bodies_to_the_bit(measured, scan):
    """As a program writes it that keeps voxels in another order: no common orientation code is involved."""
    exchanged = sitk.PermuteAxes(sitk.Flip(scan.image, (True, False, True)), (2, 0, 1))
    back = on_grid_of(found_in(exchanged).label_map, scan.image)
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(back), sitk.GetArrayViewFromImage(measured.vertebrae.label_map))


@pytest.mark.parametrize("angles_deg", [(8, 0, 0), (0, 7, 0), (5, -5, 10)])
def test_an_oblique_direction_matrix_gives_nearly_the_same_bodies(measured, scan, angles_deg):
    turned = sitk.Image(scan.image)
    rotation = sitk.Euler3DTransform((0, 0, 0), *np.radians(np.array(angles_deg, dtype=float)))
    turned.SetDirection(rotation.GetMatrix())
    turned.SetOrigin(rotation.TransformPoint(scan.image.GetOrigin()))
    found, straight = found_in(turned), measured.vertebrae
    maps = [sitk.GetArrayViewFromImage(each.label_map) for each in (found, straight)]
    for body in straight.bodies:
        if body.complete:
            assert dice(*(each == body.label for each in maps)) > 0.97, body.level


# Cut and sampled otherwise.
def test_slices_of_half_a_millimetre(patient):
    thin = sitk.Expand(patient.image, (1, 1, 6), sitk.sitkLinear)
    assert thin.GetSpacing()[2] == 0.5
    assert_right(found_in(thin), on_grid_of(patient.bodies, thin), 0.90)


def test_slices_of_six_millimetres(patient):
    thick = sitk.Cast(sitk.Round(sitk.BinShrink(sitk.Cast(patient.image, sitk.sitkFloat32), (1, 1, 2))), sitk.sitkInt16)
    assert thick.GetSpacing()[2] == 6.0
    assert_right(found_in(thick), on_grid_of(patient.bodies, thick), 0.85)


def in_plane(image, centre_mm, field_mm, matrix, inside=sitk.sitkLinear, outside=AIR):
    """``image`` as a square field of ``field_mm`` around a point (x, y) with ``matrix`` pixels a side."""
    spacing = field_mm / matrix
    corner = [c - (field_mm - spacing) / 2 for c in centre_mm]
    size, origin, step = (matrix, matrix, image.GetSize()[2]), (*corner, image.GetOrigin()[2]), (spacing, spacing, image.GetSpacing()[2])
    return sitk.Resample(image, size, sitk.Transform(), inside, origin, step, (1, 0, 0, 0, 1, 0, 0, 0, 1), outside)


@pytest.mark.parametrize("field_mm", [200.0, 500.0])
def test_small_and_large_fields(patient, field_mm):
    centre = patient.truth["levels"]["L1"]["centroid_lps_mm"][:2]
    image = in_plane(patient.image, centre, field_mm, 256 if field_mm < 300 else 512)
    assert_right(found_in(image), on_grid_of(patient.bodies, image), 0.90)


# Filled otherwise.
def test_prone_on_the_couch(patient):
    """Head first prone: the couch lies in front of the belly, and rows and columns run the other way."""
    subject = make_subject(SPEC)
    grid = field_of_view(SPEC, subject)
    person, couch = (Canvas(grid, SPEC.scanner.beam) for _ in range(2))
    draw_person(person, subject.person)
    subject.support.paint(couch)
    room = ((0, 0), (45, 0), (0, 0)), ((0, 0), (0, 45), (0, 0))
    arrays = np.pad(person.hu, room[0], constant_values=AIR), np.pad(couch.hu[:, ::-1], room[1], constant_values=AIR)
    noise = np.random.default_rng(1).normal(0, 10, arrays[0].shape)
    image = sitk.DICOMOrient(to_image((np.maximum(*arrays) + noise).round().astype(np.int16), grid, np.zeros(3)), "RAS")
    bodies = sitk.DICOMOrient(to_image(np.pad(person.bodies, room[0]), grid, np.zeros(3)), "RAS")
    assert (arrays[1] > -900).sum() > 10_000
    assert_right(found_in(image), bodies, 0.90)


def test_arms_beside_the_trunk_are_left_out(patient):
    spacing = patient.image.GetSpacing()
    room = [round(110 / spacing[0]), 0, 0]
    wide, truth = (sitk.ConstantPad(each, room, room, value) for each, value in ((patient.image, AIR), (patient.bodies, 0)))
    hu = sitk.GetArrayFromImage(wide)
    trunk = ndimage.binary_opening((hu > -200).any(axis=0), iterations=6)
    middle = np.flatnonzero(trunk.any(axis=1)).mean()
    columns = np.flatnonzero(trunk.any(axis=0)) * spacing[0]
    y, x = np.indices(hu.shape[1:]) * np.array(spacing[1::-1])[:, None, None]
    for centre in (columns[0] - 50, columns[-1] + 50):
        away = np.hypot(x - centre, y - middle * spacing[1])
        for radius, value in ((45, -90), (38, 55), (11, 1100), (6, 20)):
            hu[:, away < radius] = value
    image = sitk.GetImageFromArray(hu)
    image.CopyInformation(wide)
    found = found_in(image)
    assert_right(found, truth, 0.90)
    assert not (sitk.GetArrayViewFromImage(found.label_map)[:, :, : room[0]]).any()


@pytest.mark.slow
def test_metal_is_flagged_and_leaves_the_names_alone():
    hardware = (Hardware("screws", ("L3", "L4", "L5")),)
    spec = replace(SPEC, findings=Findings(hardware=hardware), scanner=replace(TYPICAL, metal=0.6))
    metal = simulate_patient(spec)
    found = found_in(metal.image)
    assert_right(found, metal.bodies, 0.80)
    assert {body.level for body in found.bodies if Code.BODY_METAL in body.flags} >= {"L3", "L4"}
    assert not any(Code.BODY_METAL in found.get(level).flags for level in ("T12", "L1", "L2"))


# Of other parts of the body.
def assert_no_certain_wrong_name(vertebrae, truth):
    found, true = sitk.GetArrayViewFromImage(vertebrae.label_map), sitk.GetArrayViewFromImage(truth)
    for body in vertebrae.bodies:
        covered = true[found == body.label]
        assert body.level_confidence < CERTAIN or np.bincount(covered).argmax() == body.label, body


@pytest.mark.slow
def test_a_scan_of_the_lungs_alone_is_refused_for_lack_of_l1_and_l2():
    chest = simulate_patient(replace(SPEC, levels=("T1", "T10")))
    bottom = min(z for z in chest.truth["levels"]["T10"]["centroid_lps_mm"][2:])
    first = chest.image.TransformPhysicalPointToIndex((*chest.image.GetOrigin()[:2], bottom + 12))[2]
    image, truth = chest.image[:, :, first:], chest.bodies[:, :, first:]
    with pytest.raises(NotMeasured) as caught:
        measure(Scan(image), Settings(device="cpu", calibration="none"))
    assert caught.value.code == Code.LEVEL_NOT_FOUND
    assert len(caught.value.vertebrae.bodies) >= 6
    assert_no_certain_wrong_name(caught.value.vertebrae, truth)


def head():
    """A skull with brain, sinuses and jaw on a neck with four bodies, 200 mm wide: drawn from ellipsoids and cylinders."""
    spacing = np.array([2.0, 1.0, 1.0])
    z, y, x = (np.arange(n) * s - n * s / 2 for n, s in zip((120, 220, 180), spacing))
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    hu = np.full((120, 220, 180), float(AIR))

    def ellipsoid(centre, radii, value):
        hu[sum(((axis - c) / r) ** 2 for axis, c, r in zip((z, y, x), centre, radii)) < 1] = value

    def cylinder(centre, radii, height, value):
        hu[(abs(z - centre[0]) < height / 2) & (((y - centre[1]) / radii[0]) ** 2 + ((x - centre[2]) / radii[1]) ** 2 < 1)] = value

    cylinder((-80, 20, 0), (62, 60), 90, 50)
    ellipsoid((30, 0, 0), (82, 98, 80), 60)
    ellipsoid((32, 0, 0), (76, 92, 73), 1100)
    ellipsoid((32, 0, 0), (69, 85, 66), 36)
    ellipsoid((-15, -62, 0), (22, 18, 20), -950)
    ellipsoid((-55, -60, 0), (14, 35, 42), 900)
    ellipsoid((-52, -50, 0), (14, 36, 34), 50)
    for number in range(4):
        cylinder((-62 - 16 * number, 20, 0), (8, 9), 13, 450)
        cylinder((-62 - 16 * number, 20, 0), (6, 7), 10, 280)
        cylinder((-62 - 16 * number, 46, 0), (4, 14), 8, 500)
    hu += np.random.default_rng(3).normal(0, 8, hu.shape)
    image = sitk.GetImageFromArray(hu.round().astype(np.int16))
    image.SetSpacing(spacing[::-1].tolist())
    return image


def test_a_head_is_refused():
    with pytest.raises(Refused) as caught:
        measure(Scan(head()), Settings(device="cpu", calibration="none"))
    assert caught.value.code in (Code.NO_VERTEBRAE, Code.LEVEL_NOT_FOUND)
    bodies = caught.value.vertebrae.bodies if isinstance(caught.value, NotMeasured) else ()
    assert not any(body.level_confidence >= CERTAIN for body in bodies)
