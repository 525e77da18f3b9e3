"""The simulated scan: truth, rods, labels, repeatability, DICOM."""

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.simulation.dicom import write_dicom_series
from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient
from VertebralBMDLib.simulation.scanner import Scanner

OFF = PatientSpec(
    seed=7,
    vbmd=110.0,
    scanner=Scanner(),
    spacing_mm=(1.0, 1.0, 1.5),
    levels=("L1", "L2"),
    size=(190, 330),
    phantom="mindways-model3",
)


FIELD = PatientSpec(seed=3, spacing_mm=(3.0, 3.0, 3.0), levels=("T9", "S1"))


@pytest.fixture(scope="module")
def ideal():
    return simulate_patient(OFF)


@pytest.fixture(scope="module")
def field():
    return simulate_patient(FIELD)


def test_ideal_reading_of_the_truth_roi_is_the_truth(ideal):
    hu, rois = (sitk.GetArrayFromImage(i) for i in (ideal.image, ideal.rois))
    assert ideal.truth["levels"]["L1"]["roi"]["qct_equivalent_mg_cm3"]["CaHA"] == pytest.approx(110.0, abs=0.1)
    for level in ("L1", "L2"):
        truth = ideal.truth["levels"][level]
        mean = float(hu[rois == truth["label"]].mean())
        for mineral, stated in truth["roi"]["qct_equivalent_mg_cm3"].items():
            assert OFF.scanner.beam.qct_equivalent(mean, mineral) == pytest.approx(stated, abs=1.0)


def test_rods_have_their_theoretical_hu(ideal):
    hu = sitk.GetArrayFromImage(ideal.image)
    for rod in ideal.truth["rods"]:
        middle = 0.5 * (np.array(rod["start_lps_mm"]) + rod["end_lps_mm"])
        i, j, k = ideal.image.TransformPhysicalPointToIndex(middle.tolist())
        # a homogeneous rod stored as integers; its unrounded HU is tested in test_phantom
        assert hu[k - 2 : k + 3, j - 4 : j + 5, i - 4 : i + 5].mean() == pytest.approx(rod["hu"], abs=0.51)
        assert np.ptp(hu[k - 2 : k + 3, j - 4 : j + 5, i - 4 : i + 5]) == 0


def test_labels_are_present_ordered_and_inside_bone(field):
    bodies, structures = (sitk.GetArrayFromImage(i) for i in (field.bodies, field.structures))
    labels = [v for v in np.unique(bodies) if v]
    assert set(range(16, 25)) <= set(labels)
    heights = [np.nonzero(bodies == v)[0].mean() for v in labels]
    assert all(lower < upper for upper, lower in zip(heights, heights[1:]))
    assert np.array_equal(structures == 1, bodies > 0)
    assert set(np.unique(structures)) == {0, 1, 2, 3, 4, 5}
    for level, truth in field.truth["levels"].items():
        if truth["complete"]:
            index = field.bodies.TransformPhysicalPointToIndex(truth["centroid_lps_mm"])
            assert field.bodies[index] == truth["label"], level


def test_tissues_read_as_tissues(field):
    hu = sitk.GetArrayFromImage(field.image)
    assert hu.dtype == np.int16 and hu.min() >= -1024
    assert ((hu > -130) & (hu < -70)).sum() > 0.03 * hu.size  # fat
    assert ((hu > 10) & (hu < 80)).sum() > 0.05 * hu.size  # muscle and organs
    assert field.image.GetDirection() == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def test_same_seed_same_scan_and_truth_is_json(field):
    again = simulate_patient(FIELD)
    assert np.array_equal(sitk.GetArrayViewFromImage(again.image), sitk.GetArrayViewFromImage(field.image))
    assert json.loads(json.dumps(again.truth)) == json.loads(json.dumps(field.truth))


def test_voltage_changes_hu_but_not_the_anatomy():
    low, high = (simulate_patient(replace(OFF, spacing_mm=(2.0, 2.0, 3.0), scanner=Scanner(kvp))) for kvp in (80, 140))
    assert np.array_equal(sitk.GetArrayViewFromImage(low.bodies), sitk.GetArrayViewFromImage(high.bodies))
    assert low.truth["levels"]["L1"]["true_mineral_mg_cm3"] == high.truth["levels"]["L1"]["true_mineral_mg_cm3"]
    in_roi = sitk.GetArrayViewFromImage(low.rois) > 0
    a, b = (sitk.GetArrayViewFromImage(p.image)[in_roi].mean() for p in (low, high))
    assert a > 1.3 * b


@pytest.mark.parametrize(
    "wrong",
    [
        {"vbmd": -5.0},
        {"size": (0, 10)},
        {"phantom": "nothing"},
        {"levels": ("L3", "T9")},
        {"spacing_mm": (0.8, 0.8, 0.0)},
        {"sex": "?"},
        {"age": 5.0},
    ],
)
def test_wrong_values_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        simulate_patient(replace(OFF, **wrong))


def test_dicom_series_reads_back(field, tmp_path):
    part = field.image[40:90, 30:80, 5:12]
    paths = write_dicom_series(part, tmp_path, {"KVP": 120, "ConvolutionKernel": "STANDARD"})
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    back = reader.Execute()
    assert len(paths) == 7
    assert np.array_equal(sitk.GetArrayViewFromImage(back), sitk.GetArrayViewFromImage(part))
    assert np.allclose(back.GetOrigin(), part.GetOrigin(), atol=1e-3) and np.allclose(back.GetSpacing(), part.GetSpacing())


def test_dicom_refuses_no_slices(tmp_path):
    with pytest.raises(ValueError, match="at least one slice"):
        write_dicom_series(sitk.Image(4, 4, 0, sitk.sitkInt16), tmp_path)


def test_stated_calibration_undoes_the_scanner():
    spec = replace(OFF, scanner=Scanner(slope_error=0.05, intercept_hu=6.0), phantom=None)
    scan = simulate_patient(spec)
    line, truth = scan.truth["calibration"]["CaHA"], scan.truth["levels"]["L1"]
    mean = float(sitk.GetArrayViewFromImage(scan.image)[sitk.GetArrayViewFromImage(scan.rois) == truth["label"]].mean())
    reading = line["slope_mg_cm3_per_hu"] * mean + line["intercept_mg_cm3"]
    assert reading == pytest.approx(truth["roi"]["qct_equivalent_mg_cm3"]["CaHA"], abs=1.0)
