"""The bundled engine on the simulated patient, and its rules for columns."""

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.scan import Scan
from VertebralBMDLib.segmentation import bundled
from VertebralBMDLib.segmentation.bundled import BundledEngine
from VertebralBMDLib.segmentation.refined import RefinedBody, central_part


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


@pytest.mark.parametrize("level", ["L1", "L2", "L3"])
def test_simulated_bodies_are_found_where_they_are(measured, patient, level):
    label = patient.truth["levels"][level]["label"]
    found, truth = (sitk.GetArrayViewFromImage(image) == label for image in (measured.vertebrae.label_map, patient.bodies))
    assert dice(found, truth) >= 0.8
    body = measured.vertebrae.get(level)
    assert body.complete and np.linalg.norm(np.array(body.centroid_lps_mm) - patient.truth["levels"][level]["centroid_lps_mm"]) < 4.0
    assert body.volume_cm3 == pytest.approx(found.sum() * np.prod(patient.image.GetSpacing()) / 1000, rel=1e-6)


def test_the_label_map_lies_on_the_grid_of_the_scan_and_names_its_models(measured, patient):
    found = measured.vertebrae
    assert found.label_map.IsSameImageGeometryAs(patient.image) and found.label_map.GetPixelID() == sitk.sitkUInt8
    assert [model.name for model in found.models] == ["localise", "refine"] and found.engine == "bundled"
    assert {body.label for body in found.bodies} == set(np.unique(sitk.GetArrayViewFromImage(found.label_map))) - {0}
    heights = [body.centroid_lps_mm[2] for body in found.bodies]
    assert heights == sorted(heights, reverse=True)


def test_a_scan_stored_another_way_gives_the_same_bodies(measured, scan):
    stored = BundledEngine("cpu").segment(Scan(sitk.DICOMOrient(scan.image, "PIR")), lambda fraction: None)
    back = sitk.GetArrayFromImage(sitk.DICOMOrient(stored.label_map, "LPS"))
    straight = sitk.GetArrayViewFromImage(measured.vertebrae.label_map)
    assert [body.level for body in stored.bodies] == [body.level for body in measured.vertebrae.bodies]
    assert (back != straight).mean() < 1e-4


@pytest.mark.parametrize("fill", [-1000, 40])
def test_a_scan_without_a_spine_has_no_vertebrae(fill):
    image = sitk.GetImageFromArray(
        np.full((40, 80, 80), fill, np.int16) + np.random.default_rng(0).normal(0, 15, (40, 80, 80)).astype(np.int16)
    )
    image.SetSpacing((3.0, 3.0, 3.0))
    with pytest.raises(Refused) as caught:
        BundledEngine("cpu").segment(Scan(image), lambda fraction: None)
    assert caught.value.code == Code.NO_VERTEBRAE


def test_progress_rises_to_its_end(scan):
    seen = []
    BundledEngine("cpu").segment(scan, seen.append)
    assert seen == sorted(seen) and 0 < seen[0] and 0.9 < seen[-1] <= 1.0


def body(x, y, z, score=0.9, volume=25.0):
    return RefinedBody(None, np.array([x, y, z], dtype=float), volume, score)


def heights(chain):
    return [each.centre[2] for each in chain]


def test_a_column_leaves_out_what_lies_beside_it():
    spine = [body(2 * k, 5 * k, 300 - 33 * k) for k in range(6)]
    stray = [body(80, 0, 250), body(-70, 20, 180), body(0, 0, 10)]
    assert heights(bundled._column(spine[::-1] + stray)) == heights(spine)


def test_a_column_does_not_jump_a_gap_and_keeps_its_heavier_part():
    upper, lower = [body(0, 0, 600 - 30 * k) for k in range(2)], [body(0, 0, 400 - 33 * k) for k in range(4)]
    assert heights(bundled._column(upper + lower)) == heights(lower)
    assert bundled._column([]) == []


def test_a_body_that_was_missed_is_looked_for_in_the_gap_and_beyond_both_ends():
    column = [body(0, 0, z) for z in (300, 270, 210, 180)]
    places = sorted(float(place[2]) for place in bundled._missing(column))
    assert places == pytest.approx([150, 240, 330])
    assert bundled._missing(column[:1]) == []


def test_two_readings_of_one_body_are_one():
    kept = bundled._distinct([body(0, 0, 100, score=0.6), body(0, 4, 105, score=0.9), body(0, 0, 130, score=0.7)])
    assert sorted((each.centre[2], each.score) for each in kept) == [(105.0, 0.9), (130.0, 0.7)]


def test_the_part_nearest_to_the_middle_is_the_body():
    mask = np.zeros((48, 48, 48), dtype=bool)
    mask[20:30, 18:30, 18:30], mask[40:48, 12:36, 12:36], mask[24, 40, 40] = True, True, True
    kept = central_part(mask)
    assert kept.sum() == 10 * 12 * 12 and kept[25, 24, 24] and not kept[44, 20, 20]
