"""Contrast medium is judged by the blood; the header counts only where the blood says nothing."""

import pytest

from VertebralBMDLib.calibration.contrast import ContrastFinding, contrast_of
from VertebralBMDLib.calibration.line import TissueReading
from VertebralBMDLib.scan import Acquisition


def blood(hu):
    return (TissueReading("fat", -100.0, 10.0, 90.0, (0.0, 0.0, 0.0)), TissueReading("blood", hu, 12.0, 9.0, (0.0, 0.0, 0.0)))


@pytest.mark.parametrize(
    ("hu", "stated", "expected", "disagrees"),
    [
        (42.0, "unknown", "no", False),
        (42.0, "no", "no", False),
        (42.0, "yes", "no", True),
        (69.9, "unknown", "no", False),
        (75.0, "unknown", "unknown", False),
        (75.0, "no", "unknown", False),
        (75.0, "yes", "yes", False),
        (80.1, "unknown", "yes", False),
        (150.0, "unknown", "yes", False),
        (150.0, "no", "yes", True),
        (150.0, "yes", "yes", False),
    ],
)
@pytest.mark.parametrize("kvp", [None, 80.0, 140.0])
def test_blood_is_believed_before_the_header(hu, stated, expected, disagrees, kvp):
    assert contrast_of(blood(hu), Acquisition(contrast=stated, kvp=kvp)) == ContrastFinding(expected, disagrees)


@pytest.mark.parametrize(("stated", "expected"), [("yes", "yes"), ("no", "unknown"), ("unknown", "unknown")])
def test_without_an_aorta_only_a_named_agent_is_believed(stated, expected):
    assert contrast_of(blood(42.0)[:1], Acquisition(contrast=stated)) == ContrastFinding(expected, False)
    assert contrast_of((), Acquisition(contrast=stated)).contrast == expected
