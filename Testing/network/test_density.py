"""The density network on simulated vertebrae that it never saw, and what it is told about their HU."""

import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.grid import box_grid, resampled
from VertebralBMDLib.network.density import Beam, Reading, nominal_slope, probability_below, read_density
from VertebralBMDLib.network.models import card, checked_file
from VertebralBMDLib.simulation.beam import reference_beam

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from density_unseen import vertebrae  # noqa: E402

#: Far from the seeds of training, of its locked test and of the benchmarks.
_SEED, _COUNT = 987_654, 24


@pytest.fixture(scope="module")
def unseen():
    found = vertebrae(_SEED, _COUNT)
    assert len(found) >= 15
    return found


@pytest.fixture(scope="module")
def readings(unseen):
    return [read_density(image, centre, "cpu", beam) for image, centre, beam, _truth in unseen]


def test_it_beats_the_best_constant_by_far_and_its_intervals_hold_the_truth(unseen, readings):
    truth, read = np.array([row[3] for row in unseen]), np.array([reading.vbmd_mg_cm3 for reading in readings])
    rmse = np.sqrt(((read - truth) ** 2).mean())
    assert rmse < truth.std() / 3, f"RMSE {rmse:.1f}, SD of the truth {truth.std():.1f} mg/cm³"
    assert np.corrcoef(read, truth)[0, 1] > 0.95
    inside = [low <= value <= high for value, (low, high) in zip(truth, (reading.interval95_mg_cm3 for reading in readings))]
    assert np.mean(inside) > 0.8, inside


def test_it_reads_unseen_scanners_without_bias(unseen, readings):
    error = [reading.vbmd_mg_cm3 - row[3] for reading, row in zip(readings, unseen)]
    assert abs(np.mean(error)) < 5.0


def test_the_weights_lie_in_the_vertebral_body_and_add_up_to_one(unseen, readings):
    for (_image, centre, _beam, _truth), reading in zip(unseen, readings):
        weights = sitk.GetArrayFromImage(reading.weights)
        assert weights.sum() == pytest.approx(1.0, abs=1e-3)
        middle = np.array([(weights * axis).sum() for axis in np.indices(weights.shape)])[::-1]
        place = reading.weights.TransformContinuousIndexToPhysicalPoint(middle.tolist())
        assert np.linalg.norm(np.array(place) - centre) < 8.0


def test_the_same_crop_reads_the_same_in_another_place_and_order_of_axes(unseen, readings):
    image, centre, beam, _truth = unseen[0]
    moved = sitk.Image(image)
    shift = np.array([100.0, -200.0, 5.0])
    moved.SetOrigin((np.array(image.GetOrigin()) + shift).tolist())
    turned = sitk.DICOMOrient(moved, "RAI")
    assert read_density(turned, np.array(centre) + shift, "cpu", beam).vbmd_mg_cm3 == pytest.approx(readings[0].vbmd_mg_cm3, abs=0.1)


def test_one_crop_and_a_batch_of_many_read_the_same(unseen):
    torch = pytest.importorskip("torch")
    network, crop = torch.jit.load(str(checked_file("density"))).eval(), card("density")["crop"]
    grids = [box_grid(centre, crop["shape"][::-1], crop["spacing_mm"]) for _image, centre, _beam, _truth in unseen]
    hu = torch.from_numpy(np.stack([sitk.GetArrayFromImage(resampled(row[0], grid)) for row, grid in zip(unseen, grids)]))[:, None]
    beams = torch.tensor([row[2].features for row in unseen])
    many = 64 // len(hu) + 1
    with torch.inference_mode():
        at_once = network(hu.repeat(many, 1, 1, 1, 1)[:64], beams.repeat(many, 1)[:64])[0]
        alone = torch.cat([network(hu[i : i + 1], beams[i : i + 1])[0] for i in range(4)])
    assert torch.allclose(at_once[:4], alone, atol=0.05)


def test_a_phantom_says_what_hu_mean(unseen):
    """The same scan with all HU stretched, and the line that undoes it."""
    image, centre, beam, _truth = unseen[0]
    slope = nominal_slope(beam.kvp)
    plain = read_density(image, centre, "cpu", Beam(beam.kvp, slope, 0.0)).vbmd_mg_cm3
    stretched = sitk.Cast(image, sitk.sitkFloat32) * 1.1 + 8.0
    undone = read_density(stretched, centre, "cpu", Beam(beam.kvp, slope / 1.1, -8.0 * slope / 1.1)).vbmd_mg_cm3
    assert undone == pytest.approx(plain, abs=0.5)


@pytest.mark.parametrize(
    ("beam", "expected"),
    [
        (Beam(), (nominal_slope(120), 0.0, 0.0, 0.0)),
        (Beam(80.0), (nominal_slope(80), 1.0, 0.0, 0.0)),
        (Beam(20.0, own=True), (nominal_slope(120), 0.0, 0.0, 1.0)),
        (Beam(80.0, 0.6, 3.0, own=True), (nominal_slope(120), 1.0, 1.0, 0.0)),
    ],
)
def test_what_the_network_is_told_about_the_beam(beam, expected):
    assert beam.features == pytest.approx(expected)


@pytest.mark.parametrize("kvp", [80, 100, 120, 140])
def test_nominal_slopes_are_those_of_the_beams_of_the_simulation(kvp):
    assert nominal_slope(kvp) == pytest.approx(1 / reference_beam(kvp).hu_per_mg_cm3("CaHA"), rel=1e-3)


@pytest.mark.parametrize(
    ("vbmd", "sd", "expected"), [(120.0, 10.0, 0.5), (110.0, 10.0, 0.8413), (130.0, 10.0, 0.1587), (100.4, 10.0, 0.975), (300.0, 5.0, 0.0)]
)
def test_the_probability_is_that_of_a_normal_distribution(vbmd, sd, expected):
    assert probability_below(120.0, vbmd, sd) == pytest.approx(expected, abs=1e-3)


def test_a_reading_has_two_probabilities_and_an_interval():
    reading = Reading(90.0, 10.0)
    assert reading.interval95_mg_cm3 == pytest.approx((70.4, 109.6), abs=0.01)
    assert reading.osteoporosis_probability == pytest.approx(0.1587, abs=1e-3)
    assert reading.low_bone_mass_probability == pytest.approx(0.9987, abs=1e-3)
