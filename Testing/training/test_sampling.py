"""Which cube of which scan is shown: shares of real and simulated ones, and cubes that leave the scan."""

import numpy as np
import pytest

from VertebralBMDLib.grid import AIR_HU
from VertebralBMDLib.training.sampling import REAL_SHARE, a_case, cube_around


def test_real_cases_come_as_often_as_promised():
    rng = np.random.default_rng(0)
    drawn = [a_case([["r1", "r2"], ["s1", "s2", "s3"]], rng) for _ in range(3000)]
    assert sum(case[0] == "r" for case in drawn) / 3000 == pytest.approx(REAL_SHARE, abs=0.03)
    assert {case: round(drawn.count(case) / 300) for case in set(drawn)} == {"r1": 3, "r2": 3, "s1": 1, "s2": 1, "s3": 1}


@pytest.mark.parametrize(("groups", "expected"), [([["real"], []], {"real"}), ([[], ["simulated"]], {"simulated"})])
def test_one_kind_alone_is_always_drawn(groups, expected):
    rng = np.random.default_rng(0)
    assert {a_case(groups, rng) for _ in range(20)} == expected


@pytest.fixture
def arrays():
    hu = np.arange(10 * 12 * 14, dtype=np.int16).reshape(1, 10, 12, 14)
    return {"image": np.concatenate([hu, hu % 7]), "structures": (hu % 5).astype(np.uint8)}


def test_a_cube_inside_is_the_scan(arrays):
    cubes = cube_around(arrays, (5.4, 6.0, 7.0), 4)
    for key, array in arrays.items():
        assert cubes[key].dtype == np.float32 and np.array_equal(cubes[key], array[:, 3:7, 4:8, 5:9])


def test_a_cube_that_leaves_the_scan_is_air_without_labels_there(arrays):
    cubes = cube_around(arrays, (0, 11, 7), 6)
    assert np.array_equal(cubes["image"][:, 3:, :4], arrays["image"][:, 0:3, 8:12, 4:10])
    outside = np.ones((6, 6, 6), bool)
    outside[3:, :4] = False
    assert np.all(cubes["image"][0][outside] == AIR_HU) and not cubes["image"][1][outside].any()
    assert not cubes["structures"][0][outside].any() and cubes["structures"][0][3:, :4].any()


def test_a_cube_beside_the_scan_is_air(arrays):
    cubes = cube_around(arrays, (50, 6, 7), 4)
    assert np.all(cubes["image"][0] == AIR_HU) and not cubes["image"][1].any() and not cubes["structures"].any()
