"""The density network on simulated vertebrae that it never saw."""

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.network.density import CROP_SIZE, SPACING_MM, low_bone_mass_probability, read_density
from VertebralBMDLib.simulation.crops import draw_crop

#: Far from the seeds of training and of its evaluation.
_SEED, _COUNT = 987_654_321, 60


@pytest.fixture(scope="module")
def unseen():
    """Crops as images in LPS mm, and their true vBMD."""
    rng = np.random.default_rng(_SEED)
    images, truth = [], []
    for _ in range(_COUNT):
        crop = draw_crop(rng, (CROP_SIZE,) * 3, SPACING_MM)
        image = sitk.GetImageFromArray(crop.hu)
        image.SetSpacing((SPACING_MM,) * 3)
        image.SetOrigin((-40.0, 25.0, 812.0))
        images.append(image)
        truth.append(crop.vbmd_mg_cm3)
    return images, np.array(truth)


@pytest.fixture(scope="module")
def readings(unseen):
    return np.array([read_density(image, middle(image), "cpu") for image in unseen[0]])


def middle(image):
    return image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])


def test_it_beats_the_best_constant_by_far(unseen, readings):
    truth = unseen[1]
    rmse = np.sqrt(((readings[:, 0] - truth) ** 2).mean())
    assert rmse < truth.std() / 3, f"RMSE {rmse:.1f}, SD of the truth {truth.std():.1f} mg/cm³"
    assert abs((readings[:, 0] - truth).mean()) < 8.0
    assert np.corrcoef(readings[:, 0], truth)[0, 1] > 0.95


def test_the_probability_of_low_bone_mass_separates_low_from_normal(unseen, readings):
    low = unseen[1] <= 120
    assert np.all((readings[:, 1] >= 0) & (readings[:, 1] <= 1))
    assert readings[low, 1].mean() > 0.8 and readings[~low, 1].mean() < 0.2
    assert ((readings[:, 1] > 0.5) == low).mean() > 0.85


def test_the_same_crop_reads_the_same_in_another_place_and_order_of_axes(unseen, readings):
    image = sitk.DICOMOrient(unseen[0][0], "RAI")
    image.SetOrigin((100.0, -200.0, 5.0))
    assert read_density(image, middle(image), "cpu")[0] == pytest.approx(readings[0, 0], abs=0.05)


@pytest.mark.parametrize(
    ("vbmd", "sd", "expected"), [(120.0, 10.0, 0.5), (110.0, 10.0, 0.8413), (130.0, 10.0, 0.1587), (100.4, 10.0, 0.975), (300.0, 5.0, 0.0)]
)
def test_the_probability_is_that_of_a_normal_distribution(vbmd, sd, expected):
    assert low_bone_mass_probability(vbmd, sd) == pytest.approx(expected, abs=1e-3)
