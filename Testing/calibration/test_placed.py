"""Rods that the user has placed: the files, what is wrong with them, and the calibration that they give."""

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from rod_scans import INTERCEPT_HU, SLOPE_HU, Drawn

from VertebralBMDLib.calibration.catalogue import load_phantom
from VertebralBMDLib.calibration.placed import read_placed
from VertebralBMDLib.calibration.placed_files import placed_rods
from VertebralBMDLib.calibration.rods import find_phantom

PHANTOM = load_phantom("qrm-bdc3")
CASE = Drawn(PHANTOM, lean=(0.08, 0.0))
CENTRES = [[0.0, -10.0, 18.0], [0.0, -10.0, -18.0]]


@pytest.fixture(scope="module")
def image():
    return CASE.image()


def points(heights=(-30.0, 30.0)):
    """(name, (x, y, z)) of points on the axes of the drawn rods."""
    return [(rod.id, (*CASE.axis(k, np.array(z)), z)) for k, rod in enumerate(PHANTOM.rods) for z in heights]


def table(folder, rows, header="id,x,y,z"):
    path = folder / "rods.csv"
    path.write_text("\n".join([header, *(f"{name},{x},{y},{z}" for name, (x, y, z) in rows)]) + "\n", encoding="utf-8")
    return path


def markups(folder, rows, system="LPS"):
    path = folder / "rods.mrk.json"
    side = -1.0 if system == "RAS" else 1.0
    own = [
        {"label": f"{name}-{k}" if k % 2 else f"{name}: 100 mg/cm³ CaHA", "position": [side * x, side * y, z]}
        for k, (name, (x, y, z)) in enumerate(rows)
    ]
    own.append({"label": "F-1", "position": [0.0, 0.0, 0.0], "positionStatus": "undefined"})
    path.write_text(json.dumps({"markups": [{"type": "Fiducial", "coordinateSystem": system, "controlPoints": own}]}), encoding="utf-8")
    return path


def fiducials(folder, rows, system="0"):
    path = folder / "rods.fcsv"
    side = -1.0 if system in ("0", "RAS") else 1.0
    head = ["# Markups fiducial file version = 4.10", f"# CoordinateSystem = {system}"]
    head.append("# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID")
    body = [f"vtk_{k},{side * x},{side * y},{z},0,0,0,1,1,1,0,{name},," for k, (name, (x, y, z)) in enumerate(rows)]
    path.write_text("\n".join([*head, *body]) + "\n", encoding="utf-8")
    return path


def label_map(folder, image, radius=5.0, labels=(1, 2, 3)):
    array = np.zeros(image.GetSize()[::-1], np.uint8)
    x, y, z = (image.GetOrigin()[k] + image.GetSpacing()[k] * np.arange(image.GetSize()[k]) for k in range(3))
    for number, label in enumerate(labels):
        centre = CASE.axis(number, z)
        near = np.hypot(x[None, None, :] - centre[:, 0, None, None], y[None, :, None] - centre[:, 1, None, None]) < radius
        array[near & (np.abs(z) < 32.0)[:, None, None]] = label
    labels = sitk.GetImageFromArray(array)
    labels.CopyInformation(image)
    path = folder / "rods.nii.gz"
    sitk.WriteImage(labels, str(path))
    return path


def assert_line(calibration):
    assert calibration.phantom == PHANTOM.name and [reading.rod.id for reading in calibration.readings] == ["R1", "R2", "R3"]
    assert calibration.slope_mg_cm3_per_hu == pytest.approx(1 / SLOPE_HU, rel=0.005)
    assert calibration.intercept_mg_cm3 == pytest.approx(-INTERCEPT_HU / SLOPE_HU, abs=1.0)


@pytest.mark.parametrize(
    "write",
    [
        lambda folder, _image: table(folder, points()),
        lambda folder, _image: markups(folder, points()),
        lambda folder, _image: markups(folder, points(), "RAS"),
        lambda folder, _image: fiducials(folder, points()),
        lambda folder, _image: fiducials(folder, points(), "LPS"),
        label_map,
    ],
    ids=["csv", "markups LPS", "markups RAS", "fcsv 0", "fcsv LPS", "label map"],
)
def test_every_kind_of_file_gives_the_same_rods(write, tmp_path, image):
    placed = placed_rods(write(tmp_path, image), image, PHANTOM)
    assert [each.rod for each in placed] == list(PHANTOM.rods)
    for k, each in enumerate(placed):
        z = each.points_lps_mm[:, 2]
        assert z.tolist() == sorted(z) and np.ptp(z) >= 59.0
        assert np.abs(each.points_lps_mm[:, :2] - CASE.axis(k, z)).max() < 0.3
    assert_line(read_placed(image, placed, PHANTOM, CENTRES, 120.0))


def test_one_point_on_each_rod_is_followed_along_it(tmp_path):
    """The points are 3 mm off and the rods lean by 7 degrees."""
    case = replace(CASE, lean=(0.12, 0.0))
    image = case.image()
    rows = [(rod.id, (*(case.axis(k, np.array(-20.0)) + [2.0, -2.0]), -20.0)) for k, rod in enumerate(PHANTOM.rods)]
    calibration = read_placed(image, placed_rods(table(tmp_path, rows), image, PHANTOM), PHANTOM, CENTRES, 120.0)
    assert_line(calibration)
    for k, reading in enumerate(calibration.readings):
        assert np.hypot(*(np.array(reading.centre_lps_mm[:2]) - case.axis(k, np.array(reading.centre_lps_mm[2])))) < 0.5


def test_a_rod_of_one_point_runs_beside_the_others(tmp_path, image):
    rows = [row for row in points() if not (row[0] == "R2" and row[1][2] > 0)]
    assert_line(read_placed(image, placed_rods(table(tmp_path, rows), image, PHANTOM), PHANTOM, CENTRES, 120.0))


def test_rods_that_detection_does_not_know_can_be_placed(tmp_path):
    """A phantom half as wide again as its certificate says."""
    case = replace(CASE, phantom=replace(PHANTOM, rod_spacing_mm=45.0))
    image = case.image()
    assert find_phantom(image, CENTRES, [PHANTOM], 120.0) is None
    rows = [(rod.id, (*case.axis(k, np.array(z)), z)) for k, rod in enumerate(PHANTOM.rods) for z in (-30.0, 30.0)]
    assert_line(read_placed(image, placed_rods(table(tmp_path, rows), image, PHANTOM), PHANTOM, CENTRES, 120.0))


def one_renamed(rows, name):
    return [(name if k == 0 else each, point) for k, (each, point) in enumerate(rows)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (one_renamed(points(), "R9"), "R9 is no rod of qrm-bdc3, which has R1, R2, R3"),
        (points()[:4], "at least 3 rods of qrm-bdc3, not 2"),
        ([(name, (x + 500.0, y, z)) for name, (x, y, z) in points()], "rod R1 lies outside the scan"),
        ([("R1", points()[2][1]), *points()[2:]], "rods R1 and R2 are in one place"),
        ([("R1", ("left", 1, 2)), *points()[1:]], "three numbers"),
        ([("R1", (float("nan"), 1, 2)), *points()[1:]], "outside the scan"),
    ],
    ids=["unknown", "too few", "outside", "one place", "no number", "NaN"],
)
def test_what_is_wrong_with_a_file_is_named(rows, words, tmp_path, image):
    with pytest.raises(ValueError, match=words):
        placed_rods(table(tmp_path, rows), image, PHANTOM)


def test_files_that_are_none_are_named(tmp_path, image):
    with pytest.raises(ValueError, match="rods.csv cannot be read"):
        placed_rods(table(tmp_path, points(), header="name,a,b,c"), image, PHANTOM)
    with pytest.raises(ValueError, match="nothing.nrrd cannot be read"):
        placed_rods(tmp_path / "nothing.nrrd", image, PHANTOM)
    (tmp_path / "bad.mrk.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="bad.mrk.json cannot be read"):
        placed_rods(tmp_path / "bad.mrk.json", image, PHANTOM)
    with pytest.raises(ValueError, match="coordinate system must be LPS or RAS, not 'IJK'"):
        placed_rods(markups(tmp_path, points(), "IJK"), image, PHANTOM)
    with pytest.raises(ValueError, match="label 7 is no rod of qrm-bdc3, which has 3"):
        placed_rods(label_map(tmp_path, image, labels=(1, 2, 7)), image, PHANTOM)


def test_rods_without_a_named_phantom_are_refused(tmp_path, image):
    with pytest.raises(ValueError, match="phantom:NAME"):
        placed_rods(table(tmp_path, points()), image, None)


def test_rods_that_cannot_be_read_beside_the_vertebrae_are_refused(tmp_path, image):
    far = placed_rods(table(tmp_path, points((-40.0, -28.0))), image, PHANTOM)
    with pytest.raises(ValueError, match="along no measured vertebra"):
        read_placed(image, far, PHANTOM, CENTRES[:1], 120.0)
    cut = placed_rods(table(tmp_path, points()), image[: int(110 + CASE.axis(2, np.array(0.0))[0]) + 4], PHANTOM)
    with pytest.raises(ValueError, match="only 2 of the placed rods"):
        read_placed(image[: int(110 + CASE.axis(2, np.array(0.0))[0]) + 4], cut, PHANTOM, CENTRES, 120.0)
