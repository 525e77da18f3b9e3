"""Crops of simulated patients: their truth, and what varied patients vary in."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")

from made_crops import CONFIG  # noqa: E402

from VertebralBMDLib.network.density import nominal_slope  # noqa: E402
from VertebralBMDLib.simulation.cohort import draw_cohort  # noqa: E402
from VertebralBMDLib.training.simulated_crops import simulated_crops, varied_cases  # noqa: E402


def test_crops_of_simulated_patients_show_their_density_and_are_kept(tmp_path):
    cases = [replace(case, spec=replace(case.spec, scanner=replace(case.spec.scanner, noise_hu=0.0))) for case in draw_cohort(5, 2)]
    first = simulated_crops(cases, "few", CONFIG.shape, CONFIG.spacing_mm, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = simulated_crops(cases, "few", CONFIG.shape, CONFIG.spacing_mm, tmp_path)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} and np.array_equal(first.hu, again.hu)
    assert first.hu.shape == (4, *CONFIG.shape) and first.patient.tolist() == ["P0001", "P0001", "P0002", "P0002"]
    z, y, x = (n // 2 for n in CONFIG.shape)
    assert first.body[:, z - 1 : z + 1, y - 1 : y + 1, x - 1 : x + 1].min() > 200
    assert first.roi.max() > 200 and np.all(first.body[first.roi > 200] > 200) and first.roi.sum() < 0.5 * first.body.sum()
    central = first.hu[:, z - 1 : z + 1, y - 1 : y + 1, x - 1 : x + 1].mean(axis=(1, 2, 3))
    read = nominal_slope(120) * (central - first.intercept_hu) / (1 + first.slope_error)
    assert np.abs(read - first.vbmd).max() < 45


def test_varied_patients_have_no_linear_error_lesions_where_they_are_seen_and_every_second_an_even_density():
    cases = varied_cases(3, 40)
    assert {(case.spec.scanner.slope_error, case.spec.scanner.intercept_hu) for case in cases} == {(0.0, 0.0)}
    assert len({case.spec.scanner.kvp for case in cases}) == 4
    even = [case.spec.vbmd for case in cases[1::2]]
    assert min(even) < 60 and max(even) > 200
    seen = [lesion.level in ("L1", "L2", "T12", "L3") for case in cases for lesion in case.spec.findings.lesions]
    assert len(seen) > 80 and 0.5 < np.mean(seen) < 0.95 and all(case.spec.findings.fractures for case in cases)
