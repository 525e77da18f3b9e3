"""The density network on simulated vertebrae of scanners that it has never met, each with an error of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import SimpleITK as sitk
from documents import parser, publish

from VertebralBMDLib.network.density import Beam, read_density
from VertebralBMDLib.resources import resource
from VertebralBMDLib.simulation.cohort import draw_cohort
from VertebralBMDLib.simulation.crops import scan_piece
from VertebralBMDLib.simulation.patient import to_image
from VertebralBMDLib.training.config import read_density_config

#: Far from the seeds of training, of its locked test and of the other benchmarks.
SEED = 987_655
#: Spread between scanner models (qct_facts 5.12).
SLOPE_SD, INTERCEPT_SD_HU = 0.05, 5.0
_EXTENT_MM = (112.0, 96.0, 64.0)
_TWO_SIDED_95 = 1.959964


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--patients", type=int, default=96)
    options = arguments.parse_args()
    found = vertebrae(SEED, options.patients)
    publish("density_unseen", table(found), options.write)


def vertebrae(seed: int, count: int) -> list[tuple[sitk.Image, tuple[float, ...], Beam, float]]:
    """(image, centroid of the ROI in LPS mm, Beam, true vBMD in mg/cm³ CaHA) of L1 of ``count`` patients without contrast or metal.

    The scanners of a cohort are of four models only, whose errors would be those of four draws.
    """
    rng = np.random.default_rng(seed)
    cases = [case for case in draw_cohort(seed, 2 * count, "varied") if case.spec.contrast == "none" and not case.spec.findings.hardware]
    found = []
    for case in cases[:count]:
        slope, intercept = rng.normal(0.0, (SLOPE_SD, INTERCEPT_SD_HU)).tolist()
        scanner = replace(case.spec.scanner, slope_error=slope, intercept_hu=intercept)
        piece = scan_piece(replace(case.spec, scanner=scanner), "L1", _EXTENT_MM)
        if piece.vbmd_mg_cm3 is not None:
            image, roi = (to_image(array, piece.grid, np.array([-40.0, 25.0, 812.0])) for array in (piece.hu, piece.roi.astype(np.uint8)))
            k, j, i = (float(axis.mean()) for axis in np.nonzero(piece.roi))
            centre = roi.TransformContinuousIndexToPhysicalPoint((i, j, k))
            found.append((image, centre, Beam(float(case.spec.scanner.kvp)), piece.vbmd_mg_cm3))
    return found


def table(found: list) -> str:
    """Errors and coverage, beside the scanners that the network was trained on."""
    read = [read_density(image, centre, "cpu", beam) for image, centre, beam, _truth in found]
    error = np.array([reading.vbmd_mg_cm3 - row[3] for reading, row in zip(read, found)])
    away = np.abs(error) / (_TWO_SIDED_95 * np.array([reading.sd_mg_cm3 for reading in read]))
    cohort = read_density_config(resource("Models", "density-training.json")).cohort
    own = {case.site: case.spec.scanner for case in draw_cohort(cohort.seed, cohort.patients)}
    spread, scanners = error.std(ddof=1), f"slope SD {100 * SLOPE_SD:g} %, intercept SD {INTERCEPT_SD_HU:g} HU"
    lines = [
        f"simulated, unseen scanners ({scanners}): {len(found)} vertebrae, mg/cm³ CaHA",
        f"  bias {error.mean():+.1f} (standard error {spread / len(error) ** 0.5:.1f}), SD {spread:.1f}, RMSE {np.sqrt((error**2).mean()):.1f}",
        f"  95 % intervals hold {(away <= 1.0).sum()} of {len(away)}",
    ]
    lines.append("its own scanners, which it was trained on:")
    for site, scanner in sorted(own.items()):
        lines.append(f"  {site}: slope {100 * scanner.slope_error:+.1f} %, intercept {scanner.intercept_hu:+.1f} HU")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
