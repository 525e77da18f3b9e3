"""Training crops: shape, truth that the crop really shows, repeatability."""

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.simulation.crops import CropRanges, crop_of, draw_crop
from VertebralBMDLib.simulation.patient import simulate_patient
from VertebralBMDLib.simulation.scanner import Scanner
from VertebralBMDLib.simulation.subject import PatientSpec


def test_crop_shows_its_truth():
    rng = np.random.default_rng(5)
    errors = []
    for _ in range(8):
        crop = draw_crop(rng, ranges=CropRanges(beam_hardening=(0.0, 0.0), scatter=(0.0, 0.0)))
        assert crop.hu.shape == (32, 32, 32) and crop.hu.dtype == np.float32
        assert crop.roi.sum() > 300 and crop.body[crop.roi].all()
        line = crop.truth["calibration"]
        reading = crop.hu[crop.roi].mean() * line["slope_mg_cm3_per_hu"] + line["intercept_mg_cm3"]
        errors.append(reading - crop.truth["roi"]["qct_equivalent_mg_cm3"]["CaHA"])
    assert np.abs(errors).max() < 4.0 and abs(np.mean(errors)) < 1.0


def test_same_generator_same_crop():
    a, b = (draw_crop(np.random.default_rng(9), shape=(20, 24, 28)) for _ in range(2))
    assert a.hu.shape == (20, 24, 28) and np.array_equal(a.hu, b.hu) and a.truth == b.truth


def test_a_crop_shows_the_patient_that_is_scanned_whole():
    spec = PatientSpec(17, "M", 58.0, 120.0, levels=("T12", "L2"), spacing_mm=(2.0, 2.0, 2.0), scanner=Scanner())
    patient, crop = simulate_patient(spec), crop_of(spec, "L1", (24, 24, 24), 2.0)
    # the same bone through other pixels
    reads = [sitk.GetArrayViewFromImage(patient.image)[sitk.GetArrayViewFromImage(patient.rois) == 20].mean(), crop.hu[crop.roi].mean()]
    assert reads[0] == pytest.approx(reads[1], abs=2.0)
    assert crop.truth["roi"] == patient.truth["levels"]["L1"]["roi"]


def test_density_range_is_covered():
    rng = np.random.default_rng(2)
    values = [draw_crop(rng, shape=(8, 8, 8)).vbmd_mg_cm3 for _ in range(25)]
    assert min(values) < 80 and max(values) > 180


def test_wrong_values_are_named():
    with pytest.raises(ValueError, match="shape must be"):
        draw_crop(np.random.default_rng(0), shape=(0, 4, 4))
    with pytest.raises(ValueError, match="vbmd_mg_cm3 must be"):
        CropRanges(vbmd_mg_cm3=(-5.0, 100.0))
