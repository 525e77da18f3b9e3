"""overview.png: pictures in true proportions with outlines, in any orientation."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import SimpleITK as sitk
from report_case import CENTRES_MM, excluded_map, full, measurement

from VertebralBMDLib.quality import Code
from VertebralBMDLib.report.document import document, refusal_document
from VertebralBMDLib.report.figure import write_overview
from VertebralBMDLib.report.planes import Box, Volume
from VertebralBMDLib.settings import Settings

ROI_COLOUR, MEASURED_COLOUR, ROD_COLOUR, EXCLUDED_COLOUR = (255, 176, 0), (79, 195, 247), (125, 255, 138), (255, 102, 217)


def drawn(result, case, path, roi=None, excluded=None) -> np.ndarray:
    """The overview's RGB pixels."""
    write_overview(result, case.scan.image, case.vertebrae.label_map, path, roi, excluded)
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[..., :3]


def pixels(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(picture.astype(int) - colour).max(axis=-1) < 30).sum())


@pytest.mark.parametrize("orientation", ["LPS", "RAI", "PIR"])
def test_the_overview_shows_the_same_in_any_orientation(orientation, tmp_path):
    case = measurement(orientation=orientation)
    picture = drawn(document(case), case, tmp_path / "overview.png", case.roi)
    assert picture.shape[0] > 600 and picture.shape[1] > 1200
    grey = np.ptp(picture, axis=-1) == 0
    assert len(np.unique(picture[grey][:, 0])) > 20
    assert min(pixels(picture, colour) for colour in (ROI_COLOUR, MEASURED_COLOUR, ROD_COLOUR)) > 100
    case = measurement()
    reference = drawn(document(case), case, tmp_path / "reference.png", case.roi)
    assert picture.shape == reference.shape and np.abs(picture.astype(int) - reference).mean() < 2


def test_a_refused_scan_is_drawn_without_roi_and_rods(calibrated, tmp_path):
    result = refusal_document(Code.LEVEL_UNCERTAIN, "", Settings(), calibrated.scan, calibrated.vertebrae)
    picture = drawn(result, calibrated, tmp_path / "overview.png")
    assert pixels(picture, ROI_COLOUR) == pixels(picture, ROD_COLOUR) == 0


def test_what_was_left_out_of_the_roi_is_outlined_and_in_the_legend(tmp_path):
    case = measurement()
    with_it = drawn(document(case), case, tmp_path / "with.png", case.roi, excluded_map(case))
    without = drawn(document(case), case, tmp_path / "without.png", case.roi)
    assert pixels(with_it, EXCLUDED_COLOUR) > 300 and pixels(without, EXCLUDED_COLOUR) == 0
    legend = slice(with_it.shape[0] - 50, None)
    assert pixels(with_it[legend], EXCLUDED_COLOUR) > 50 and min(pixels(without[legend], c) for c in (ROI_COLOUR, MEASURED_COLOUR)) > 50


def test_the_axial_slice_goes_through_what_was_left_out():
    case = measurement()
    volume = Volume(case.scan.image, case.vertebrae.label_map, case.roi, excluded_map(case))
    assert volume.roi_height_mm(20) == pytest.approx(CENTRES_MM["L1"] + 2.5, abs=1.3)
    assert volume.axial(volume.roi_height_mm(20)).excluded.any() and not volume.axial(volume.roi_height_mm(21)).excluded.any()


def test_rods_of_another_scan_are_not_drawn_into_this_one(tmp_path):
    case = full()
    assert case.calibration.readings and case.calibration.source == "asynchronous"
    assert pixels(drawn(document(case), case, tmp_path / "overview.png", case.roi), ROD_COLOUR) == 0


def test_a_vertebra_in_reserve_is_drawn_like_any_other(tmp_path):
    case = measurement()
    result = document(case)
    both = drawn(result, case, tmp_path / "both.png", case.roi)
    result["settings"]["levels"] = result["patient"]["levels"] = ["L1"]
    one = drawn(result, case, tmp_path / "one.png", case.roi)
    assert 0.3 < pixels(one, ROI_COLOUR) / pixels(both, ROI_COLOUR) < 0.75


def test_the_picture_for_the_page_is_the_left_part_of_the_overview(calibrated, tmp_path):
    page = write_overview(
        document(calibrated), calibrated.scan.image, calibrated.vertebrae.label_map, tmp_path / "overview.png", calibrated.roi
    )
    (tmp_path / "page.png").write_bytes(page)
    whole, part = (sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name))) for name in ("overview.png", "page.png"))
    assert part.shape[1] < whole.shape[1] and np.array_equal(whole[:, : part.shape[1]], part)


def test_drawing_leaves_no_global_figure(calibrated, tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    drawn(document(calibrated), calibrated, tmp_path / "overview.png", calibrated.roi)
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_without_vertebrae_there_is_nothing_to_draw(calibrated, tmp_path):
    with pytest.raises(ValueError, match="no vertebra"):
        drawn(refusal_document(Code.NO_VERTEBRAE, "", Settings(), calibrated.scan), calibrated, tmp_path / "overview.png")


def test_planes_are_in_millimetres_with_the_patient_upright(uncalibrated):
    volume = Volume(uncalibrated.scan.image, uncalibrated.vertebrae.label_map, uncalibrated.roi)
    line = np.array([volume.position_mm((2.0, 0.0, 300 + z)) for z in CENTRES_MM.values()])
    assert line == pytest.approx(np.array([[52, 40, z] for z in CENTRES_MM.values()]))
    plane = volume.sagittal(line, Box(line.min(axis=0) - 30, line.max(axis=0) + 30))
    columns, rows = plane.axes_mm
    inside = plane.labels == 20
    assert np.ptp(columns[inside.any(axis=0)]) == pytest.approx(36, abs=1.5)
    assert rows[inside.any(axis=1)].mean() == pytest.approx(CENTRES_MM["L1"], abs=1.3)
    assert (plane.left, plane.right) == ("A", "P") and volume.coronal(line, Box(line.min(axis=0), line.max(axis=0))).left == "R"
    assert volume.roi_height_mm(20) == pytest.approx(CENTRES_MM["L1"], abs=1.3) and volume.roi_height_mm(19) is None
