"""Pictures of a fit and of drift: written, of a sensible size, and showing what they are given."""

import numpy as np
import pytest
from matplotlib.image import imread

from VertebralBMDLib.calibration.history import Chart
from VertebralBMDLib.calibration.line import Rod, RodReading, fit
from VertebralBMDLib.report.drift import chart_title, write_drift, write_fit


def calibration(*rods):
    """(HU, density, water or None) of each rod."""
    readings = [RodReading(Rod(f"R{k}", d, w), hu, 9.0, (0.0, 0.0, 0.0), 9.0) for k, (hu, d, w) in enumerate(rods)]
    return fit(readings, "K2HPO4" if rods[0][2] else "CaHA", "own", 120.0)


def chart(values=(100.0, 99.5, 101.0), **changes):
    dates = tuple(f"2024-0{k + 1}-15" for k in range(len(values)))
    return Chart(
        **(dict(scanner="CT 1", kvp=120.0, phantom="own", material="CaHA", dates=dates, values_mg_cm3=values, checks=()) | changes)
    )


@pytest.mark.parametrize(
    "rods",
    [
        [(2.0, 0.0, None), (139.0, 100.0, None), (280.0, 200.0, None)],
        [(2.0, 0.0, None), (280.0, 200.0, None)],
        [(-68.1, -51.83, 1012.25), (-25.8, -53.4, 1056.95), (194.8, 58.88, 1103.57), (505.7, 375.83, 923.2)],
    ],
)
def test_a_fit_is_drawn(tmp_path, rods):
    write_fit(calibration(*rods), tmp_path / "fit.png")
    picture = imread(tmp_path / "fit.png")
    assert picture.shape[0] > 600 and picture.shape[1] > 800 and picture.std() > 0.02


def test_another_residual_is_another_picture(tmp_path):
    for name, hu in (("a", 139.0), ("b", 150.0)):
        write_fit(calibration((2.0, 0.0, None), (hu, 100.0, None), (280.0, 200.0, None)), tmp_path / f"{name}.png")
    assert not np.array_equal(imread(tmp_path / "a.png"), imread(tmp_path / "b.png"))


def test_each_chart_has_its_panel(tmp_path):
    write_drift([chart()], tmp_path / "one.png")
    write_drift([chart(), chart((100.0, 95.0)), chart((100.0,), kvp=None)], tmp_path / "three.png")
    one, three = imread(tmp_path / "one.png"), imread(tmp_path / "three.png")
    assert three.shape[0] > 2 * one.shape[0] and three.shape[1] == one.shape[1]
    with pytest.raises(ValueError, match="no phantom scan"):
        write_drift([], tmp_path / "none.png")


def test_a_title_says_what_is_known():
    assert chart_title(chart()) == "CT 1, 120 kVp, own"
    assert chart_title(chart(kvp=None, cv_percent=0.61, hu_per_year=-1.24, hu_per_year_se=0.3)) == (
        "CT 1, unknown kVp, own; CV 0.6 %; -1.2 ± 0.3 HU/year"
    )
