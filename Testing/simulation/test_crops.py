"""Training crops: shape, truth that the crop really shows, repeatability."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.simulation.crops import crop_of, scan_piece
from VertebralBMDLib.simulation.patient import simulate_patient
from VertebralBMDLib.simulation.scanner import Scanner
from VertebralBMDLib.simulation.subject import PatientSpec


def a_spec(seed, **scanner):
    rng = np.random.default_rng(seed)
    return PatientSpec(seed, "F", 60.0, float(rng.uniform(40, 220)), spacing_mm=(0.9, 0.9, 2.5), scanner=Scanner(**scanner))


@pytest.mark.parametrize(
    ("make", "tolerance"), [(lambda spec: crop_of(spec, "L1"), 4.0), (lambda spec: scan_piece(spec, "L1", (60.0, 60.0, 50.0)), 4.0)]
)
def test_a_crop_shows_its_truth(make, tolerance):
    errors = []
    for seed in range(4):
        crop = make(a_spec(seed, kernel="STANDARD", thickness_mm=None, noise_hu=10.0, slope_error=0.06, intercept_hu=5.0))
        assert crop.hu.shape == crop.grid.size[::-1] and crop.hu.dtype == np.float32
        assert crop.roi.sum() > 300 and crop.body[crop.roi].all()
        line = crop.truth["calibration"]
        reading = crop.hu[crop.roi].mean() * line["slope_mg_cm3_per_hu"] + line["intercept_mg_cm3"]
        errors.append(reading - crop.truth["roi"]["qct_equivalent_mg_cm3"]["CaHA"])
    assert np.abs(errors).max() < tolerance and abs(np.mean(errors)) < 1.5


def test_a_piece_has_the_pixels_and_slices_of_the_scan_at_any_place_of_its_lattice():
    spec = a_spec(3, thickness_mm=5.0)
    piece = scan_piece(spec, "L2", (50.0, 40.0, 30.0))
    assert piece.grid.spacing_mm == spec.spacing_mm and piece.grid.slice_mm == 5.0
    assert all(n * step >= extent for n, step, extent in zip(piece.grid.size, spec.spacing_mm, (50.0, 40.0, 30.0)))
    other = scan_piece(a_spec(4, thickness_mm=5.0), "L2", (50.0, 40.0, 30.0))
    assert not np.allclose(np.mod(piece.grid.origin_mm, spec.spacing_mm), np.mod(other.grid.origin_mm, spec.spacing_mm), atol=0.01)


def test_same_patient_same_crop():
    a, b = (crop_of(a_spec(9, noise_hu=10.0), "L1", (20, 24, 28)) for _ in range(2))
    assert a.hu.shape == (20, 24, 28) and np.array_equal(a.hu, b.hu) and a.truth == b.truth


def test_a_crop_shows_the_patient_that_is_scanned_whole():
    spec = PatientSpec(17, "M", 58.0, 120.0, levels=("T12", "L2"), spacing_mm=(2.0, 2.0, 2.0), scanner=Scanner())
    patient, crop = simulate_patient(spec), crop_of(spec, "L1", (24, 24, 24), 2.0)
    # the same bone through other pixels
    reads = [sitk.GetArrayViewFromImage(patient.image)[sitk.GetArrayViewFromImage(patient.rois) == 20].mean(), crop.hu[crop.roi].mean()]
    assert reads[0] == pytest.approx(reads[1], abs=2.0)
    assert crop.truth["roi"] == patient.truth["levels"]["L1"]["roi"]


def test_bone_of_a_piece_loses_as_much_to_the_beam_as_in_the_whole_scan():
    ideal = PatientSpec(18, "F", 60.0, 140.0, levels=("L1", "L2"), spacing_mm=(1.0, 1.0, 2.0), phantom="qrm-bdc3", scanner=Scanner())
    real = replace(ideal, scanner=Scanner(beam_hardening=0.4, scatter=0.01))
    pieces = [scan_piece(spec, "L1", (90.0, 80.0, 50.0)) for spec in (ideal, real)]
    of_pieces = [piece.hu[piece.roi].mean() for piece in pieces]
    scans = [simulate_patient(spec) for spec in (ideal, real)]
    of_scans = [sitk.GetArrayViewFromImage(scan.image)[sitk.GetArrayViewFromImage(scan.rois) == 20].mean() for scan in scans]
    assert of_scans[0] - of_scans[1] > 5.0
    assert of_pieces[0] - of_pieces[1] == pytest.approx(of_scans[0] - of_scans[1], abs=0.7)


def test_wrong_values_are_named():
    with pytest.raises(ValueError, match="shape must be"):
        crop_of(a_spec(0), "L1", (0, 4, 4))
    with pytest.raises(ValueError, match="extent_mm must be above 0"):
        scan_piece(a_spec(0), "L1", (0.0, 10.0, 10.0))
