"""Simulated patients with a phantom, never used in training: levels, Dice, and measured against true vBMD.

Simulated by the same program that made the training data: it shows that the path from scan to density is right, not how
it does on people.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from documents import parser, publish

from VertebralBMDLib.pipeline import measure
from VertebralBMDLib.quality import Refused
from VertebralBMDLib.scan import Acquisition, checked
from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient
from VertebralBMDLib.simulation.scanner import PHYSICS, Scanner

FIRST_SEED = 900_000
PHANTOMS = ("qrm-bdc3", "b-mas200", "qrm-bdc6", "image-analysis-qct3d-plus", "mindways-model3")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--patients", type=int, default=20)
    options = arguments.parse_args()
    rows, refused, dice, misnamed = [], [], [], 0
    for index in range(options.patients):
        one = patient(index)
        try:
            result = measure(checked(one.image, Acquisition(kvp=one.truth["spec"]["scanner"]["kvp"])))
        except Refused as refusal:
            refused.append(refusal.code.value)
            continue
        if result.assessment.refusals:
            # No patient value is given for these, so nothing of theirs is counted.
            refused.append(" + ".join(code.value for code in result.assessment.refusals))
            continue
        found, true = sitk.GetArrayViewFromImage(result.vertebrae.label_map), sitk.GetArrayViewFromImage(one.bodies)
        misnamed += any(not np.any((found == each.vertebra.label) & (true == each.vertebra.label)) for each in result.measured)
        for each in result.measured:
            label = each.vertebra.label
            dice.append(2 * np.sum((found == label) & (true == label)) / np.sum((found == label).astype(int) + (true == label)))
            if each.density.vbmd_roi_mg_cm3 is not None and result.calibration.source == "phantom":
                truth = one.truth["levels"][each.vertebra.level]["roi"]["qct_equivalent_mg_cm3"]
                rows.append(
                    (
                        truth[result.calibration.material],
                        truth["CaHA"],
                        each.density.vbmd_roi_mg_cm3,
                        np.nan if each.network is None else each.network.vbmd_mg_cm3,
                    )
                )
    publish("simulated_agreement", table(options.patients, np.array(rows), np.array(dice), refused, misnamed), options.write)


def patient(index: int):
    """Patient ``index`` of the benchmark: varied anatomy, density, dose, kernel, scanner error and phantom."""
    rng = np.random.default_rng(FIRST_SEED + index)
    return simulate_patient(
        PatientSpec(
            seed=FIRST_SEED + index,
            sex=str(rng.choice(["F", "M"])),
            age=float(rng.uniform(40, 85)),
            spacing_mm=(0.9, 0.9, float(rng.choice([1.25, 2.5, 3.0]))),
            phantom=PHANTOMS[index % len(PHANTOMS)],
            levels=("T10", str(rng.choice(["L4", "S1"]))),
            scanner=Scanner(
                kernel=str(rng.choice(["SOFT", "STANDARD", "LUNG"])),
                thickness_mm=None,
                noise_hu=float(rng.uniform(8, 40)),
                slope_error=float(rng.normal(0, 0.05)),
                intercept_hu=float(rng.normal(0, 5)),
                **PHYSICS,
            ),
        )
    )


def table(patients: int, rows: np.ndarray, dice: np.ndarray, refused: list[str], misnamed: int) -> str:
    """The printed table; rows hold truth in the phantom's material, truth in CaHA, ROI and network (NaN beside a K2HPO4 phantom)."""
    lines = [
        f"simulated patients {patients}, refused {len(refused)}: {', '.join(f'{code} x {refused.count(code)}' for code in sorted(set(refused))) or '-'}",
        f"patients named at wrong levels and not refused: {misnamed}",
        f"vertebrae measured in mg/cm³ {len(rows)}, Dice of L1 and L2 at the right level {dice.mean():.3f} (worst {dice.min():.3f})",
        f"{'against the truth':28}{'n':>5}{'bias':>8}{'SD':>8}{'RMSE':>8}  mg/cm³",
    ]
    for name, error in (
        ("ROI mean x phantom", rows[:, 2] - rows[:, 0]),
        ("network, told its line", rows[:, 3] - rows[:, 1]),
        ("constant (mean of the truth)", rows[:, 1].mean() - rows[:, 1]),
    ):
        error = error[np.isfinite(error)]
        lines.append(f"{name:28}{len(error):5d}{error.mean():8.2f}{error.std(ddof=1):8.2f}{np.sqrt((error**2).mean()):8.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
