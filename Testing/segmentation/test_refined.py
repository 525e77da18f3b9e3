"""One body around a centre: where it is read, how the readings become one, and what counts as inside. The network is a stand-in."""

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.network import segmentation as network
from VertebralBMDLib.segmentation.refined import refined_body

CENTRE, RADIUS_MM = np.array([3.3, -12.1, 40.6]), 16.0
VOLUME_CM3 = 4 / 3 * np.pi * RADIUS_MM**3 / 1000


@pytest.fixture(scope="module")
def image():
    """A ball of bone in soft tissue, 0.9 x 0.9 x 2 mm."""
    scan = sitk.Image([100, 100, 50], sitk.sitkFloat32)
    scan.SetSpacing((0.9, 0.9, 2.0))
    scan.SetOrigin((CENTRE - 45.0 * np.array([1.0, 1.0, 1.1])).tolist())
    places = [scan.GetOrigin()[k] + scan.GetSpacing()[k] * np.arange(n) - CENTRE[k] for k, n in enumerate(scan.GetSize())]
    distance = np.sqrt(sum(each**2 for each in np.meshgrid(*places[::-1], indexing="ij")))
    filled = sitk.GetImageFromArray(np.clip(200.0 + 100.0 * (RADIUS_MM - distance), 0.0, 400.0).astype(np.float32))
    filled.CopyInformation(scan)
    return filled


@pytest.fixture
def readings(monkeypatch):
    """A network that sees the ball with a probability that can be set; the centres in LPS mm that it was asked for, by call."""
    asked = []

    def refine(crops, device):
        asked.append(np.array([crop.TransformContinuousIndexToPhysicalPoint([(network.REFINE_SIZE - 1) / 2] * 3) for crop in crops]))
        return np.stack([np.where(sitk.GetArrayViewFromImage(crop) > 200.0, refine.sure, 0.0) for crop in crops]).astype(np.float32)

    refine.sure = 1.0
    monkeypatch.setattr(network, "refine", refine)
    return refine, asked


def test_a_body_is_found_from_beside_and_read_from_four_places_around_its_centre(image, readings):
    body = refined_body(image, CENTRE + (6.0, -4.0, 5.0), "cpu")
    assert np.linalg.norm(body.centre - CENTRE) < 0.2 and body.volume_cm3 == pytest.approx(VOLUME_CM3, rel=0.05)
    *before, last = readings[1]
    assert [len(call) for call in before] == [1, 1] and len(last) == 4
    off = last - last.mean(axis=0)
    assert np.linalg.norm(last.mean(axis=0) - CENTRE) < 0.5 and np.allclose(np.abs(off), network.REFINE_SPACING_MM / 2)
    assert np.linalg.matrix_rank(off) == 3, "no two lie on one line with the centre"


def test_what_is_nearly_as_likely_body_as_not_is_body(image, readings):
    readings[0].sure = 0.49
    assert refined_body(image, CENTRE, "cpu").volume_cm3 > 0.7 * VOLUME_CM3
    readings[0].sure = 0.46
    assert refined_body(image, CENTRE, "cpu") is None


def test_a_reading_that_goes_astray_is_outvoted(image, readings, monkeypatch):
    """Of the four last readings one sees twice the body: the mean stays with the others."""
    honest = network.refine

    def astray(crops, device):
        found = honest(crops, device)
        if len(crops) == 4:
            found[2, 30:] = 1.0
        return found

    monkeypatch.setattr(network, "refine", astray)
    assert refined_body(image, CENTRE, "cpu").volume_cm3 == pytest.approx(VOLUME_CM3, rel=0.05)
