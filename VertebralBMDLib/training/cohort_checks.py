"""What the HU of the scans say about a cohort's manifest: copies of scans, a reference that is no density, rows that were mixed up."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from scipy import stats

from .crops import Crops
from .manifest_rows import DENSITY, Row
from .problems import Problems

#: Fewer rows than this say nothing about a line.
_FEWEST = 20
#: mg/cm³ per HU of any tube voltage is below the first (0.42-0.90, qct_facts 2.9); HU have slope 1, and an inverted line more than
#: the second (1.1-2.4; the paper's own was inverted, qct_facts 1.13).
_HU_SLOPE, _INVERTED_SLOPE = 0.95, 1.15
_LEAST_CORRELATION = 0.5
#: A row is doubtful beyond so many robust SD of the others, and never within so many mg/cm³ (several voltages, lesions, ROI rules).
_DOUBTFUL_SD, _DOUBTFUL_MG_CM3 = 5.0, 25.0


def check_crops(name: str, rows: Sequence[Row], crops: Crops, roi_hu: np.ndarray) -> None:
    """Raise ManifestError for one content under two patients, and for references that do not follow the HU of their ROIs as
    densities do. ``roi_hu``: mean HU of each row's ROI, shape (n,)."""
    problems = Problems(name)
    of_content: dict[str, list[Row]] = {}
    for row, hu in zip(rows, crops.hu):
        of_content.setdefault(hashlib.sha256(hu.tobytes()).hexdigest(), []).append(row)
    for alike in of_content.values():
        if len({row.patient for row in alike}) > 1:
            what = "the same vertebra, voxel by voxel, under two patients"
            problems.add([row.line for row in alike], what, "Correct the patient or the scan: one person in two splits is leakage.")
    wrong = _not_a_density(crops.vbmd.astype(float), roi_hu)
    if wrong:
        problems.add((), *wrong)
    problems.raise_any()


def _not_a_density(vbmd: np.ndarray, roi_hu: np.ndarray) -> tuple[str, str] | None:
    """What is wrong with the reference beside the HU, and a remedy; shapes (n,)."""
    if len(vbmd) < _FEWEST:
        return None
    correlation = float(stats.pearsonr(vbmd, roi_hu).statistic) if np.ptp(vbmd) > 0 and np.ptp(roi_hu) > 0 else 0.0
    if correlation < _LEAST_CORRELATION:
        what = f"{DENSITY} hardly follows the HU of the ROIs (correlation {correlation:.2f})"
        return what, "Look whether rows were mixed up, or the values are not volumetric density by QCT of these scans."
    # The reduced major axis: an error of either ROI does not flatten it.
    slope = float(np.std(vbmd) / np.std(roi_hu))
    if slope > _INVERTED_SLOPE:
        what = f"{DENSITY} rises by {slope:.2f} for each HU, where 0.4 to 0.9 is possible"
        return what, "The calibration line was inverted (HU on the wrong axis): calibrate anew."
    if slope > _HU_SLOPE:
        return f"{DENSITY} looks like HU (it rises by {slope:.2f} for each HU of the ROI)", "Give the calibrated density in mg/cm³."
    return None


def doubtful_rows(rows: Sequence[Row], roi_hu: np.ndarray) -> dict[Row, str]:
    """Rows whose reference lies far off the line of the others over the HU of their ROIs, and what to look at."""
    if len(rows) < _FEWEST or np.ptp(roi_hu) == 0:
        return {}
    vbmd = np.array([row.vbmd for row in rows])
    slope, intercept, _low, _high = stats.theilslopes(vbmd, roi_hu)
    residual = vbmd - slope * roi_hu - intercept
    limit = max(_DOUBTFUL_SD * float(stats.median_abs_deviation(residual, scale="normal")), _DOUBTFUL_MG_CM3)
    why = "the reference lies {:+.0f} mg/cm³ off the line of the others. Look whether it is of this vertebra, and what the ROI holds."
    return {row: why.format(off) for row, off in zip(rows, residual) if abs(off) > limit}
