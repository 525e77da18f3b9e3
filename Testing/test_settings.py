"""What a user can ask for, and its way to the worker and back."""

from dataclasses import fields
from pathlib import Path

import pytest

from VertebralBMDLib.quality import Code
from VertebralBMDLib.settings import Settings
from VertebralBMDLib.worker import settings_from_json, settings_to_json


def test_every_setting_reaches_the_worker():
    given = Settings(
        levels=("L1", "L3"), engine="totalsegmentator", bodies=Path("bodies.nii.gz"), bodies_numbering="verse",
        level_at=("L1", (1.0, 2.0, 3.0)), exclude=(("L3", "cement"), ("L4", "alter Bruch")), calibration="tissue",
        rods=Path("rods.csv"), convert=("CaHA", 1.15), roi=Path("roi.nii.gz"), roi_levels=("L1",), erosion_mm=2.5, erosion_shape="ball", region="ellipse",
        central_fraction=0.4, thresholds="integral", device="cpu", allow=frozenset({Code.CONTRAST}),
    )  # fmt: skip
    assert all(getattr(given, field.name) != field.default for field in fields(Settings)), "a field keeps its default here"
    assert settings_from_json(settings_to_json(given)) == given
    assert settings_from_json({}) == Settings()


@pytest.mark.parametrize("exclude", [("L1", ""), ("L1", "=1+1"), ("L1", "two\nlines"), ("L1", "x" * 121), ("C7", "lesion")])
def test_an_exclusion_names_a_level_and_gives_a_reason_in_a_line(exclude):
    with pytest.raises(ValueError, match=exclude[0]):
        Settings(exclude=(exclude,))
