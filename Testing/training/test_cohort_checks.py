"""What the HU say about a cohort: HU or an inverted line in the column of the reference, rows mixed up, copies of scans."""

from pathlib import Path

import numpy as np
import pytest

from VertebralBMDLib.training.cohort_checks import check_crops, doubtful_rows
from VertebralBMDLib.training.crops import Crops
from VertebralBMDLib.training.manifest_rows import Row
from VertebralBMDLib.training.problems import ManifestError

COUNT = 60


@pytest.fixture
def roi_hu():
    return np.random.default_rng(1).normal(150.0, 45.0, COUNT)


def densities(roi_hu, slope=0.74, error=4.0):
    """What QCT reads where the ROIs read ``roi_hu``."""
    return slope * roi_hu - 2.0 + np.random.default_rng(2).normal(0.0, error, len(roi_hu))


def a_cohort(vbmd) -> tuple[list[Row], Crops]:
    """A row and a crop of noise for every density."""
    count = len(vbmd)
    rows = [Row(n + 2, Path("scan"), f"p{n}", "north", "F", 60.0, float(v), "L1") for n, v in enumerate(vbmd)]
    hu = np.random.default_rng(3).integers(-100, 300, (count, 2, 2, 2)).astype(np.int16)
    numbers = {name: np.zeros(count, np.float32) for name in ("kvp", "slope_error", "intercept_hu", "age")}
    texts = {name: np.array([getattr(row, name) for row in rows]) for name in ("patient", "level", "site", "sex")}
    nowhere = np.zeros(hu.shape, np.uint8)
    vbmd = np.asarray(vbmd, np.float32)
    return rows, Crops(hu=hu, body=nowhere, roi=nowhere, vbmd=vbmd, eligible=np.ones(count, bool), **numbers, **texts)


def told(vbmd, roi_hu) -> str:
    rows, crops = a_cohort(vbmd)
    with pytest.raises(ManifestError) as caught:
        check_crops("cohort.csv", rows, crops, roi_hu)
    return str(caught.value)


@pytest.mark.parametrize("slope", [0.42, 0.74, 0.90])
def test_densities_of_any_tube_voltage_pass(roi_hu, slope):
    check_crops("cohort.csv", *a_cohort(densities(roi_hu, slope)), roi_hu)


def test_a_cohort_of_several_voltages_passes(roi_hu):
    slope = np.where(np.arange(COUNT) % 2, 0.53, 0.82)
    check_crops("cohort.csv", *a_cohort(densities(roi_hu / slope * 0.74, slope)), roi_hu / slope * 0.74)


def test_hu_in_the_column_of_the_reference_are_told(roi_hu):
    assert "looks like HU (it rises by 1.0" in told(densities(roi_hu, 1.0, error=7.0), roi_hu)


def test_the_inverted_line_of_the_paper_is_told(roi_hu):
    assert "The calibration line was inverted" in told(1.7755 * roi_hu - 4.465, roi_hu)


def test_rows_that_were_mixed_up_are_told(roi_hu):
    assert "hardly follows the HU of the ROIs" in told(np.roll(densities(roi_hu), 7), roi_hu)


def test_a_few_rows_say_nothing(roi_hu):
    check_crops("cohort.csv", *a_cohort(roi_hu[:19]), roi_hu[:19])
    assert doubtful_rows(a_cohort(densities(roi_hu[:19]) + np.eye(19)[0] * 90)[0], roi_hu[:19]) == {}


def test_copies_under_two_patients_are_told_whatever_their_files_are(roi_hu):
    rows, crops = a_cohort(densities(roi_hu))
    crops.hu[7] = crops.hu[3]
    with pytest.raises(ManifestError, match="lines 5, 9: the same vertebra, voxel by voxel, under two patients"):
        check_crops("cohort.csv", rows, crops, roi_hu)
    crops.patient[7] = rows[3].patient
    rows[7] = Row(9, Path("scan"), rows[3].patient, "north", "F", 60.0, rows[7].vbmd, "L1")
    check_crops("cohort.csv", rows, crops, roi_hu)


def test_a_row_far_off_the_line_is_doubtful(roi_hu):
    vbmd = densities(roi_hu)
    vbmd[11] += 42.0
    found = doubtful_rows(a_cohort(vbmd)[0], roi_hu)
    assert [row.line for row in found] == [13]
    (why,) = found.values()
    assert why.startswith("the reference lies +") and 32 < float(why.split()[3].strip("+")) < 52
    check_crops("cohort.csv", *a_cohort(vbmd), roi_hu)
