"""Rods as points that can be moved, and as table and charts, on the real MRML of slicer-core."""

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import report_case
from rod_scans import Drawn

slicer = pytest.importorskip("slicer")
sys.path.append(str(Path(__file__).parent / "slicer_host"))

from bundle import read_mrb  # noqa: E402

from VertebralBMDLib import scene  # noqa: E402
from VertebralBMDLib.calibration.catalogue import load_phantom  # noqa: E402
from VertebralBMDLib.calibration.tiers import calibrate, converted  # noqa: E402
from VertebralBMDLib.pipeline import measure  # noqa: E402
from VertebralBMDLib.quality import Code  # noqa: E402
from VertebralBMDLib.report.document import document  # noqa: E402
from VertebralBMDLib.scan import Acquisition, checked  # noqa: E402
from VertebralBMDLib.scene import plots, rods  # noqa: E402
from VertebralBMDLib.settings import Settings  # noqa: E402

CENTRES = [[0.0, -10.0, 18.0], [0.0, -10.0, -18.0]]


#: What the rods A to E of a Mindways Model 3 read where σref is 1.55 and βref -1000 (qct_facts 2.3).
GOLDEN = dict(zip("ABCDE", (-68.09, -25.82, 194.83, 362.95, 505.74)))


def drawn(name, hu=None):
    """A scan with a drawn phantom, and its calibration as the pipeline makes it."""
    scan = checked(Drawn(load_phantom(name), noise=5.0, hu=hu).image(), Acquisition(kvp=120.0, kernel="STANDARD"))
    return scan, calibrate(scan, f"phantom:{name}", CENTRES)[0]


CASE = cache(report_case.measurement)


def said(calibration, **more):
    """measurement.json of a small case with this calibration."""
    return document(replace(CASE(), calibration=calibration, **more))


@pytest.fixture(scope="module")
def qrm():
    return drawn("qrm-bdc3")


@pytest.fixture(scope="module")
def mindways():
    return drawn("mindways-model3", GOLDEN)


@pytest.fixture
def volume(mrml, qrm):
    return scene.add_volume(mrml, qrm[0], "Knochen Ω")


@pytest.fixture
def read(qrm):
    return said(qrm[1])


def places(node):
    return [tuple(node.GetNthControlPointPositionWorld(i)) for i in range(node.GetNumberOfControlPoints())]


def move(node, index, by):
    node.SetNthControlPointPositionWorld(index, *(np.array(node.GetNthControlPointPositionWorld(index)) + by))


def test_every_rod_gets_a_point_with_its_name_and_density(volume, read):
    node = rods.show_rods(volume, read)
    assert [node.GetNthControlPointLabel(i) for i in range(3)] == [f"R{k}: {d} mg/cm³ CaHA" for k, d in ((1, 100), (2, 400), (3, 800))]
    for place, rod in zip(places(node), read["calibration"]["rods"]):
        assert place == pytest.approx((-rod["centre_lps_mm"][0], -rod["centre_lps_mm"][1], rod["centre_lps_mm"][2]))
    first = read["calibration"]["rods"][0]
    assert node.GetNthControlPointDescription(0) == f"certificate 100.00 mg/cm³ CaHA, reads {first['hu']:.1f} HU"
    assert rods.rods_status(volume, read) == "found" and rods.find_rods(volume) is node
    assert rods.show_rods(volume, read) is node and node.GetNumberOfControlPoints() == 3, "shown twice, still three points"


def test_rods_that_nobody_touched_are_not_the_users_own(volume, read, tmp_path):
    settings = Settings()
    assert rods.with_own_rods(volume, settings, read, tmp_path) is settings and not list(tmp_path.iterdir())
    assert rods.rods_status(volume, None) == ""
    rods.show_rods(volume, read)
    assert rods.with_own_rods(volume, settings, read, tmp_path) is settings and not list(tmp_path.iterdir())


def test_moved_rods_are_the_users_own_until_they_are_forgotten(volume, read, tmp_path):
    node = rods.show_rods(volume, read)
    move(node, 1, (2.0, -1.0, 3.0))
    assert rods.rods_status(volume, read) == "moved"
    settings = rods.with_own_rods(volume, Settings(), read, tmp_path)
    assert settings.calibration == "phantom:qrm-bdc3" and settings.rods == tmp_path / "rods.csv"
    header, *rows = settings.rods.read_text(encoding="utf-8").splitlines()
    x, y, z = read["calibration"]["rods"][1]["centre_lps_mm"]
    name, *point = rows[1].split(",")
    assert header == "id,x,y,z" and name == "R2: 400 mg/cm³ CaHA" and [float(v) for v in point] == pytest.approx([x - 2, y + 1, z + 3])
    assert rods.rods_status(volume, read) == "placed"
    before = places(node)
    assert rods.show_rods(volume, read) is node and places(node) == before, "a new measurement leaves the user's points"
    rods.forget_rods(volume)
    assert rods.find_rods(volume) is None and rods.rods_status(volume, read) == ""
    assert rods.rods_status(volume, read) == "" and rods.show_rods(volume, read).GetNumberOfControlPoints() == 3


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ("auto", "phantom:qrm-bdc3"),
        ("phantom", "phantom:qrm-bdc3"),
        ("phantom:my.json", "phantom:my.json"),
        ("phantom,async:c.json", "phantom:qrm-bdc3"),
        ("none", None),
        ("async:c.json", None),
        ("tissue", None),
    ],
)
def test_moved_rods_count_where_a_phantom_is_asked_for(volume, read, tmp_path, asked, used):
    move(rods.show_rods(volume, read), 0, (1.0, 0.0, 0.0))
    settings = rods.with_own_rods(volume, Settings(calibration=asked), read, tmp_path)
    assert (settings.calibration, settings.rods is None) == ((used, False) if used else (asked, True))


def test_rods_of_a_certificate_that_is_no_longer_named_are_asked_for(volume, qrm, tmp_path):
    own = said(replace(qrm[1], phantom="qrm-bdc3-own"))
    move(rods.show_rods(volume, own), 0, (1.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="Choose the phantom"):
        rods.with_own_rods(volume, Settings(), own, tmp_path)


def test_the_points_follow_a_turned_volume(volume, read, tmp_path):
    transform = volume.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = scene.volumes.vtk_matrix(np.diag([1.0, 1.0, 1.0, 1.0]) + np.array([[0, 0, 0, 5.0]] + [[0.0] * 4] * 3))
    transform.SetMatrixTransformToParent(matrix)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    node = rods.show_rods(volume, read)
    assert places(node)[0][0] == pytest.approx(-read["calibration"]["rods"][0]["centre_lps_mm"][0])
    assert rods.rods_status(volume, read) == "found"
    volume.SetAndObserveTransformNodeID(None)
    node.SetAndObserveTransformNodeID(None)
    assert rods.rods_status(volume, read) == "moved"


def test_without_rods_in_the_scan_their_nodes_go(volume, read, qrm):
    rods.show_rods(volume, read)
    assert plots.show_fit(volume, read)
    names = [volume.GetScene().GetNthNode(i).GetName() for i in range(volume.GetScene().GetNumberOfNodes())]
    assert "Knochen Ω rods" in names and "Knochen Ω calibration" in names
    other = said(replace(qrm[1], source="asynchronous", readings=(), residuals_mg_cm3=()))
    assert rods.show_rods(volume, other) is None and plots.show_fit(volume, other) is None
    assert rods.find_rods(volume) is None and plots.find_fit(volume) is None
    left = [volume.GetScene().GetNthNode(i).GetClassName() for i in range(volume.GetScene().GetNumberOfNodes())]
    assert not [name for name in left if "Plot" in name or name in ("vtkMRMLTableNode", "vtkMRMLMarkupsFiducialNode")]


def test_rods_can_be_placed_by_hand(volume, tmp_path):
    mrml = volume.GetScene()
    interaction = mrml.AddNewNodeByClass("vtkMRMLInteractionNode")
    selection = mrml.AddNewNodeByClass("vtkMRMLSelectionNode")
    node = rods.place_rods(volume, load_phantom("qrm-bdc6"))
    assert node.GetNumberOfControlPoints() == 6 and node.GetNumberOfDefinedControlPoints() == 0 and node.GetFixedNumberOfControlPoints()
    assert selection.GetActivePlaceNodeID() == node.GetID() and interaction.GetCurrentInteractionMode() == interaction.Place
    for index in range(4):
        node.SetNthControlPointPositionWorld(index, 30.0 * index, 40.0, 12.0)
    settings = rods.with_own_rods(volume, Settings(), None, tmp_path)
    assert settings.calibration == "phantom:qrm-bdc6" and len(settings.rods.read_text(encoding="utf-8").splitlines()) == 5


def column(table, name):
    index = [table.GetColumnName(i) for i in range(table.GetNumberOfColumns())].index(name)
    return [table.GetCellText(row, index) for row in range(table.GetNumberOfRows())]


def assert_on_the_line(series, slope, intercept):
    """Every point of a series, from its own table."""
    table = series.GetTableNode()
    x, y = ([float(text) for text in column(table, name)] for name in (series.GetXColumnName(), series.GetYColumnName()))
    assert len(x) > 1 and y == pytest.approx([slope * value + intercept for value in x], abs=0.02)
    return x


def test_the_table_and_the_charts_show_rods_line_and_residuals(volume, read):
    table, fit, residuals = plots.show_fit(volume, read)
    line = read["calibration"]
    names = [table.GetColumnName(i) for i in range(table.GetNumberOfColumns())]
    unit = "mg/cm³ CaHA"
    assert names == ["Rod", f"Certificate ({unit})", "HU", "SD (HU)", f"Line ({unit})", f"Residual ({unit})"]
    for row, rod in enumerate(line["rods"]):
        given = line["slope_mg_cm3_per_hu"] * rod["hu"] + line["intercept_mg_cm3"]
        texts = [column(table, name)[row] for name in names]
        assert texts[0] == rod["id"] and max(map(len, texts)) < 9, texts
        expected = [rod["density_mg_cm3"], rod["hu"], rod["sd_hu"], given, rod["density_mg_cm3"] - given]
        assert [float(text) for text in texts[1:]] == pytest.approx(expected, abs=0.006)
    drawn_line, dots = (fit.GetNthPlotSeriesNode(i) for i in (0, 1))
    ends = assert_on_the_line(drawn_line, line["slope_mg_cm3_per_hu"], line["intercept_mg_cm3"])
    assert ends[0] < line["rods"][0]["hu"] and ends[1] > line["rods"][2]["hu"]
    assert dots.GetTableNode() is table and (dots.GetXColumnName(), dots.GetYColumnName()) == ("HU", f"Certificate ({unit})")
    assert dots.GetLineStyle() == dots.LineStyleNone and dots.GetLabelColumnName() == "Rod"
    zero, differences = (residuals.GetNthPlotSeriesNode(i) for i in (0, 1))
    assert_on_the_line(zero, 0.0, 0.0)
    assert differences.GetYColumnName() == f"Residual ({unit})" and differences.GetTableNode() is table
    assert fit.GetTitle().startswith("qrm-bdc3: density = 0.") and fit.GetTitle().endswith("mg/cm³ CaHA")
    assert not fit.GetEnablePointMoveAlongX() and not residuals.GetEnablePointMoveAlongY()
    count = volume.GetScene().GetNumberOfNodes()
    assert (
        plots.show_fit(volume, read)[0] is table and volume.GetScene().GetNumberOfNodes() == count and fit.GetNumberOfPlotSeriesNodes() == 2
    )
    assert plots.find_fit(volume) == (table, fit, residuals)


def test_the_table_of_the_rods_is_not_taken_for_the_result(volume, read):
    table = plots.show_fit(volume, read)[0]
    assert scene.measurement_of(volume) == (None, None) and scene.find_result(volume, "vtkMRMLTableNode") is None
    result = scene.show_measurement(volume, read, None, None)[1]
    assert result is not table and scene.measurement_of(volume)[0] == read


def test_mindways_rods_lie_on_the_line_where_their_water_is_taken_off(mrml, mindways):
    volume, read = scene.add_volume(mrml, mindways[0], "v"), said(mindways[1])
    table, fit, _residuals = plots.show_fit(volume, read)
    line = read["calibration"]
    dots = fit.GetNthPlotSeriesNode(1)
    assert dots.GetXColumnName() == "HU, water taken off" and "HU" in [table.GetColumnName(i) for i in range(table.GetNumberOfColumns())]
    x = np.array([float(text) for text in column(table, dots.GetXColumnName())])
    residual = np.array([rod["residual_mg_cm3"] for rod in line["rods"]])
    certificate = np.array([rod["density_mg_cm3"] for rod in line["rods"]])
    assert line["slope_mg_cm3_per_hu"] * x + line["intercept_mg_cm3"] == pytest.approx(certificate - residual, abs=0.02)
    assert np.abs(x - [rod["hu"] for rod in line["rods"]]).max() > 10.0


def test_a_conversion_leaves_rods_and_line_in_the_phantoms_material(volume, qrm):
    case = CASE()
    assessment = replace(case.assessment, flags=(*case.assessment.flags, Code.MATERIAL_CONVERTED))
    settings = replace(case.settings, convert=("K2HPO4", 0.8))
    read = said(converted(qrm[1], "K2HPO4", 0.8), assessment=assessment, settings=settings)
    table, fit, _residuals = plots.show_fit(volume, read)
    assert_on_the_line(fit.GetNthPlotSeriesNode(0), qrm[1].slope_mg_cm3_per_hu, qrm[1].intercept_mg_cm3)
    assert "Certificate (mg/cm³ before the conversion)" in [table.GetColumnName(i) for i in range(table.GetNumberOfColumns())]


def test_a_chart_is_shown_in_a_layout_with_a_plot_view(volume, read):
    mrml = volume.GetScene()
    table, fit, residuals = plots.show_fit(volume, read)
    plots.show_chart(fit)  # Without a layout there is nothing to do.
    layout, view = (mrml.AddNewNodeByClass(name) for name in ("vtkMRMLLayoutNode", "vtkMRMLPlotViewNode"))
    with_plot = layout.SlicerLayoutFourUpPlotView
    for arrangement in (layout.SlicerLayoutFourUpView, with_plot):
        layout.AddLayoutDescription(arrangement, "<layout/>")
    layout.SetViewArrangement(layout.SlicerLayoutFourUpView)
    plots.show_chart(fit)
    assert layout.GetViewArrangement() == with_plot and view.GetPlotChartNode() is fit
    plots.show_chart(residuals)
    assert view.GetPlotChartNode() is residuals


def test_a_saved_scene_brings_rods_and_charts_back(volume, read, tmp_path, mrml):
    scene.show_measurement(volume, read, None, None)
    node = rods.show_rods(volume, read)
    move(node, 0, (4.0, 0.0, 0.0))
    rods.with_own_rods(volume, Settings(), read, tmp_path)
    plots.show_fit(volume, read)
    scene.save_scene(mrml, tmp_path / "scene.mrb")
    again = slicer.vtkMRMLScene()
    slicer.vtkSlicerSegmentationsModuleLogic().SetMRMLScene(again)
    read_mrb(again, tmp_path / "scene.mrb", tmp_path)
    loaded = again.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    assert rods.rods_status(loaded, scene.measurement_of(loaded)[0]) == "placed"
    np.testing.assert_allclose(places(rods.find_rods(loaded)), places(node), atol=1e-3)
    table, fit, _residuals = plots.find_fit(loaded)
    assert fit.GetNthPlotSeriesNode(1).GetTableNode() is table and table.GetNumberOfRows() == 3


def test_moved_rods_are_measured_again(scan, patient_files, mrml, tmp_path):
    """A simulated patient on a phantom, measured by the whole pipeline; then every point is 2 mm off, and the rods are still read."""
    asked = Settings(device="cpu", bodies=Path(patient_files) / "bodies.nii.gz")
    read, volume = document(measure(scan, asked)), scene.add_volume(mrml, scan, "patient")
    node = rods.show_rods(volume, read)
    assert node.GetNumberOfControlPoints() == 3
    for index in range(3):
        move(node, index, (1.5, -1.5, 4.0))
    again = document(measure(scan, rods.with_own_rods(volume, asked, read, tmp_path)))
    slope = again["calibration"]["slope_mg_cm3_per_hu"]
    assert again["settings"]["own_rods"] and again["settings"]["calibration"] == "phantom:qrm-bdc3"
    assert slope == pytest.approx(read["calibration"]["slope_mg_cm3_per_hu"], rel=0.005)
    assert slope != read["calibration"]["slope_mg_cm3_per_hu"]
