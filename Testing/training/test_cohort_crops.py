"""Crops of a cohort of DICOM series: the right vertebrae, read as the network reads them, kept, and what fails told by its line."""

import csv
import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from made_cohort import BRIGHTER_HU, truth, write_two_patients

pytest.importorskip("torch", reason="the bundled engine needs torch")

from VertebralBMDLib.calibration.line import TissueReading
from VertebralBMDLib.grid import box_grid, resampled
from VertebralBMDLib.loading import load
from VertebralBMDLib.quality import Code
from VertebralBMDLib.training import cohort_crops as module
from VertebralBMDLib.training import scan_crops
from VertebralBMDLib.training.cohort_crops import REPORT, cohort_crops
from VertebralBMDLib.training.manifest import read_manifest
from VertebralBMDLib.training.manifest_rows import Row

#: What a network reads, and three voxels around it.
SHAPE, READ, SPACING_MM = (30, 38, 46), (24, 32, 40), 2.0


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A folder of two patients, and their manifest: the first found by the bundled engine, the second by its label map."""
    folder = tmp_path_factory.mktemp("cohort Ω")
    manifest = read_manifest(write_two_patients(folder))
    bodies = folder / "P0002" / "truth-bodies.nii.gz"
    return folder, replace(manifest, rows=tuple(replace(row, bodies=bodies) if row.patient == "P0002" else row for row in manifest.rows))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def crops(cohort, cache):
    return cohort_crops(cohort[1], cache, SHAPE, SPACING_MM)


@pytest.fixture
def by_roi(cohort):
    """The manifest with the ROIs of the truth, and without levels for the second patient, whose file holds L1 alone as 1."""
    folder, manifest = cohort
    rois = sitk.ReadImage(str(folder / "P0002" / "truth-roi.nii.gz"))
    sitk.WriteImage(rois == 20, str(folder / "P0002" / "one.nii.gz"))
    first = [replace(row, roi=folder / "P0001" / "truth-roi.nii.gz") for row in manifest.rows[:2]]
    return replace(manifest, rows=(*first, replace(manifest.rows[2], bodies=None, level="", roi=folder / "P0002" / "one.nii.gz")))


def report(cache):
    with (cache / REPORT).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_manifest_of_a_simulated_cohort_is_read_as_it_is(cohort):
    _folder, manifest = cohort
    assert [(row.patient, row.level, row.site, row.sex, row.split, row.fold) for row in manifest.rows] == [
        ("P0001", "L1", "north", "F", "train", 0),
        ("P0001", "L2", "north", "F", "train", 0),
        ("P0002", "L1", "south", "F", "test", None),
        ("P0002", "L2", "south", "F", "test", None),
    ]


def test_every_row_becomes_a_crop_with_what_the_manifest_says(cohort, crops):
    _folder, manifest = cohort
    assert crops.hu.shape == (4, *SHAPE) and crops.hu.dtype == np.int16 and crops.body.shape == crops.hu.shape
    for name in ("patient", "level", "site", "sex"):
        assert getattr(crops, name).tolist() == [getattr(row, name) for row in manifest.rows]
    assert np.allclose(crops.vbmd, [row.vbmd for row in manifest.rows]) and crops.age.tolist() == [61.0] * 4
    assert crops.kvp.tolist() == [120.0, 120.0, 100.0, 100.0] and np.isnan(crops.slope_error).all() and np.isnan(crops.intercept_hu).all()


def test_the_crops_show_the_vertebrae_of_the_rows(cohort, crops, cache):
    """The scanner's own line turns the HU of each ROI into the density of its row, and each body lies in the middle."""
    folder, manifest = cohort
    for row, hu, body, roi, told in zip(manifest.rows, crops.hu, crops.body, crops.roi, report(cache)):
        of_row = truth(folder, row.patient, row.level)
        line, mean = of_row["line"], float(told["roi_mean_hu"]) - (BRIGHTER_HU if row.patient == "P0002" else 0)
        assert line["slope_mg_cm3_per_hu"] * mean + line["intercept_mg_cm3"] == pytest.approx(row.vbmd, abs=8.0)
        assert body.sum() / 255 * SPACING_MM**3 / 1000 == pytest.approx(of_row["volume_cm3"]["integral"], rel=0.12)
        middle = (np.array(SHAPE) - 1) / 2
        found = [np.average(axis, weights=body) for axis in np.indices(SHAPE)]
        assert np.abs(found - middle).max() * SPACING_MM < 5.0
        assert hu[body > 250].mean() > hu[body == 0].mean() + 50
        assert np.average(hu, weights=roi) == pytest.approx(float(told["roi_mean_hu"]), abs=8.0)


def test_without_its_margin_a_crop_is_what_the_network_reads(cohort, crops, monkeypatch, tmp_path):
    """Up to rounding: the network reads around the centroid that ``measure`` finds."""
    folder, manifest = cohort
    centres = []
    whole = scan_crops.regions_of

    def regions_of(*arguments):
        regions, missing = whole(*arguments)
        centres.extend(region.centre_lps_mm for region in regions)
        return regions, missing

    monkeypatch.setattr(scan_crops, "regions_of", regions_of)
    cohort_crops(replace(manifest, rows=manifest.rows[2:]), tmp_path, SHAPE, SPACING_MM)
    image = load(folder / "P0002" / "dicom").image
    for centre, hu in zip(centres, crops.hu[2:], strict=True):
        read = sitk.GetArrayFromImage(resampled(image, box_grid(centre, READ[::-1], SPACING_MM)))
        assert np.abs(hu[3:-3, 3:-3, 3:-3] - read).max() <= 0.5


def test_an_interrupted_run_goes_on_where_it_was(cohort, crops, cache, monkeypatch):
    _folder, manifest = cohort
    monkeypatch.setattr(module, "read_scan", lambda *_: pytest.fail("this scan was read already"))
    again = cohort_crops(manifest, cache, SHAPE, SPACING_MM)
    assert np.array_equal(again.hu, crops.hu) and np.array_equal(again.body, crops.body) and np.array_equal(again.kvp, crops.kvp)
    corrected = replace(manifest, rows=(replace(manifest.rows[0], vbmd=99.0, age=62.0), *manifest.rows[1:]))
    changed = cohort_crops(corrected, cache, SHAPE, SPACING_MM)
    assert (changed.vbmd[0], changed.age[0]) == (99.0, 62.0), "a corrected table needs no scan to be read again"


def test_a_changed_file_or_size_is_read_again(by_roi, tmp_path):
    cohort_crops(by_roi, tmp_path, SHAPE, SPACING_MM)
    assert len(list(tmp_path.glob("*.npz"))) == 2
    assert cohort_crops(by_roi, tmp_path, READ, SPACING_MM).hu.shape[1:] == READ and len(list(tmp_path.glob("*.npz"))) == 4
    by_roi.rows[2].roi.touch()
    cohort_crops(by_roi, tmp_path, SHAPE, SPACING_MM)
    assert len(list(tmp_path.glob("*.npz"))) == 5


def test_given_rois_are_read_around_their_centroid(by_roi, crops, tmp_path, monkeypatch):
    monkeypatch.setattr(scan_crops, "engine_for", lambda *_: pytest.fail("nothing has to be found"))
    found = cohort_crops(by_roi, tmp_path, SHAPE, SPACING_MM)
    assert found.level.tolist() == ["L1", "L2", ""]
    for row, hu in zip(by_roi.rows, found.hu):
        shape = sitk.LabelShapeStatisticsImageFilter()
        shape.Execute(sitk.ReadImage(str(row.roi)) == {"L1": 20, "L2": 21, "": 1}[row.level])
        around = box_grid(shape.GetCentroid(1), SHAPE[::-1], SPACING_MM)
        expected = sitk.GetArrayFromImage(resampled(load(row.scan, row.series).image, around))
        assert np.allclose(hu, expected, atol=1.0)
    assert not found.body.any(), "nobody has outlined the bodies"
    for hu, roi, told in zip(found.hu, found.roi, report(tmp_path)):
        assert np.average(hu, weights=roi) == pytest.approx(float(told["roi_mean_hu"]), abs=8.0)


def test_several_workers_read_the_same(by_roi, tmp_path):
    one, two = (cohort_crops(by_roi, tmp_path / str(workers), SHAPE, SPACING_MM, workers) for workers in (1, 2))
    assert np.array_equal(one.hu, two.hu) and np.array_equal(one.body, two.body)


def test_what_cannot_be_read_is_told_by_its_line_and_left_out(cohort, by_roi, tmp_path, caplog):
    folder, manifest = cohort
    good, other = by_roi.rows[0], by_roi.rows[2]
    several = folder / "P0002" / "truth-roi.nii.gz"
    empty = tmp_path / "Jane Doe.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(several)) * 0, str(empty))
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(several.read_bytes()[:500])
    rows = [
        good,
        replace(other, line=10, roi=several),
        replace(other, line=11, roi=empty),
        replace(other, line=12, level="L2"),
        replace(other, line=13, scan=damaged),
        replace(manifest.rows[2], line=14, level="T5"),
        replace(other, line=15, roi=good.roi),
    ]
    with caplog.at_level(logging.INFO):
        found = cohort_crops(replace(manifest, rows=tuple(rows)), tmp_path / "cache", SHAPE, SPACING_MM)
    assert found.patient.tolist() == ["P0001", "P0002"] and found.level.tolist() == ["L1", "L2"]
    told = {row["line"]: row for row in report(tmp_path / "cache")}
    assert [row["status"] for row in told.values()] == ["read", "left out", "left out", "read", "left out", "left out", "left out"]
    for line, words in (
        ("10", "LABEL_MAP_UNUSABLE"),
        ("11", "ROI_EMPTY"),
        ("13", "UNREADABLE"),
        ("14", "LEVEL_NOT_FOUND"),
        ("15", "LABEL_MAP"),
    ):
        assert told[line]["why"].startswith(words) and f"line {line} (" in caplog.text, told[line]
    assert "2 of 7 rows were read, 5 are left out" in caplog.text
    assert not any(
        word in caplog.text + (tmp_path / "cache" / REPORT).read_text(encoding="utf-8") for word in ("Jane", "P0002", ".nii", "dicom")
    )


def test_a_failure_without_a_name_ends_nothing_and_is_tried_again(by_roi, tmp_path, monkeypatch, caplog):
    read = module.read_scan

    def failing(wanted):
        if "P0001" in str(wanted.scan):
            raise RuntimeError(f"cannot open {wanted.scan}")
        return read(wanted)

    monkeypatch.setattr(module, "read_scan", failing)
    assert cohort_crops(by_roi, tmp_path, SHAPE, SPACING_MM).patient.tolist() == ["P0002"]
    assert "failed: RuntimeError" in report(tmp_path)[0]["why"] and "P0001" not in caplog.text
    monkeypatch.setattr(module, "read_scan", read)
    assert len(cohort_crops(by_roi, tmp_path, SHAPE, SPACING_MM)) == 3


def test_where_nothing_can_be_read_the_report_is_pointed_to(cohort, tmp_path):
    folder, manifest = cohort
    row = Row(2, folder / "P0001" / "truth.json", "p", "north", "F", 60.0, 100.0, "L1")
    with pytest.raises(ValueError, match=f"none of the 1 rows could be read; .*{REPORT} says why"):
        cohort_crops(replace(manifest, rows=(row,)), tmp_path, SHAPE, SPACING_MM)
    with pytest.raises(ValueError, match="workers must be at least 1"):
        cohort_crops(manifest, tmp_path, SHAPE, SPACING_MM, workers=0)


def test_uncertain_levels_are_left_out(cohort, tmp_path, monkeypatch):
    _folder, manifest = cohort
    found = SimpleNamespace(flags=(Code.COLUMN_GAP, Code.LEVEL_UNCERTAIN))
    monkeypatch.setattr(scan_crops, "engine_for", lambda *_: SimpleNamespace(segment=lambda scan, progress: found))
    with pytest.raises(ValueError, match="none of the 2 rows"):
        cohort_crops(replace(manifest, rows=manifest.rows[2:]), tmp_path, SHAPE, SPACING_MM)
    for row in report(tmp_path):
        assert row["why"].startswith("LEVEL_UNCERTAIN") and row["why"].endswith("Give the bodies or the ROI of this scan in the manifest.")


def test_contrast_medium_is_left_out(cohort, by_roi, tmp_path, monkeypatch):
    """The blood decides where the vertebrae are found, the header where only a ROI is given."""
    _folder, manifest = cohort
    monkeypatch.setattr(scan_crops, "find_tissues", lambda *_: [TissueReading("blood", 160.0, 10.0, 5.0, (0.0, 0.0, 0.0))])
    load_ = scan_crops.load

    def enhanced(*arguments):
        scan = load_(*arguments)
        return replace(scan, acquisition=replace(scan.acquisition, contrast="yes"))

    monkeypatch.setattr(scan_crops, "load", enhanced)
    rows = (manifest.rows[2], by_roi.rows[0])
    with pytest.raises(ValueError, match="none of the 2 rows"):
        cohort_crops(replace(manifest, rows=rows), tmp_path, SHAPE, SPACING_MM)
    assert all(row["why"].startswith("CONTRAST:") and row["why"].endswith("Use an unenhanced scan.") for row in report(tmp_path))
