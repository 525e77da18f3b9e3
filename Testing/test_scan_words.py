"""How a scan was taken, in words, and what it means."""

import pytest

from VertebralBMDLib.scan import Acquisition
from VertebralBMDLib.scan_words import acquisition_line, meanings

SPACING, SIZE = (0.8, 0.8, 1.25), (512, 512, 300)
USUAL = Acquisition(kvp=120.0, kernel="B30f", slice_thickness_mm=1.25, contrast="no")


def test_the_line_says_what_is_known_and_what_is_not():
    assert acquisition_line(USUAL, SPACING, SIZE) == "120 kVp, kernel B30f, 1.25 mm slices, no contrast, field of view 410 mm"
    line = acquisition_line(Acquisition(slice_thickness_mm=5.0), SPACING, SIZE)
    assert line == "kVp unknown, kernel unknown, 5 mm slices every 1.25 mm, contrast not stated, field of view 410 mm"


def test_a_scan_as_it_should_be_needs_no_words():
    assert meanings(USUAL, SPACING, SIZE) == []


@pytest.mark.parametrize(
    ("acquisition", "spacing", "words"),
    [
        (Acquisition(kvp=120.0, kernel="LUNG", contrast="no"), SPACING, ["LUNG is sharp", "not biased"]),
        (Acquisition(kvp=120.0, contrast="no", slice_thickness_mm=5.0), SPACING, ["thicker than 3 mm", "3 mm or thinner"]),
        (Acquisition(kvp=120.0, contrast="yes"), SPACING, ["intravenous contrast", "unenhanced"]),
        (Acquisition(kvp=80.0, contrast="no"), SPACING, ["calibration at 80 kVp", "HU limits do not"]),
        (Acquisition(kvp=120.0, contrast="no"), (0.4, 0.4, 1.25), ["field of view is small"]),
        (Acquisition(), SPACING, ["not known", "DICOM"]),
    ],
)
def test_each_peculiarity_is_one_sentence(acquisition, spacing, words):
    (sentence,) = meanings(acquisition, spacing, SIZE)
    assert all(word in sentence for word in words), sentence
