"""Calibration from the patient's own tissues, and contrast by the aorta, against the truth of simulated patients.

The ROI is the true one, so that only the calibration is judged. The patients' fat, muscle, blood and marrow differ from one to
the next as the simulation draws them, scanners differ by slope N(1, 0.05) and intercept N(0, 5 HU), physics and noise are on.
Simulation and calibration both use NIST attenuation: that the tables are right is not tested here, and the effective energies
that the calibration expects are the published bands, not the simulated spectra.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from documents import parser, publish

from VertebralBMDLib.calibration.contrast import contrast_of
from VertebralBMDLib.calibration.line import Calibration, TissueReading
from VertebralBMDLib.calibration.physics import hu_per_mg_cm3, mass_attenuation, physics_calibration
from VertebralBMDLib.calibration.site import site_calibration
from VertebralBMDLib.calibration.site_fit import fit_site
from VertebralBMDLib.calibration.tissues import find_tissues
from VertebralBMDLib.scan import Acquisition
from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient
from VertebralBMDLib.simulation.scanner import PHYSICS, Scanner

FIRST_SEED = 940_000
SITE_SEED, CONTRAST_SEED = FIRST_SEED + 10_000, FIRST_SEED + 20_000
KVPS = (80, 100, 120, 140)
MATERIAL = "K2HPO4"
FIXED_SLOPE = 0.72  # the middle of the published band at 120 kVp
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"
#: What the notes on the real scans, or the eye, say.
REAL_CONTRAST = {
    "TCGA-09-2043": "yes",
    "C3N-00249": "yes",
    "CRLM-1004": "yes",
    "ACRIN-FLT-001": "no",
    "LIDC-0314": "no",
    "TS-example": "no",
}
#: Air at 40, 50, 60, 80, 100 keV (NIST; qct_facts 4.3), which the bundled table lacks.
AIR = ((40, 50, 60, 80, 100), (0.2485, 0.2080, 0.1875, 0.1662, 0.1541))


@dataclass(frozen=True)
class Case:
    """One scan: its tissues, and of L1 and L2 the mean HU in the true ROI and the true density (mg/cm³ K2HPO4 at its voltage)."""

    spec: PatientSpec
    tissues: tuple[TissueReading, ...]
    hu: np.ndarray
    truth: np.ndarray
    line: dict[str, float]

    @property
    def acquisition(self) -> Acquisition:
        scanner = self.spec.scanner
        return Acquisition(kvp=float(scanner.kvp), kernel=scanner.kernel, manufacturer="VertebralBMD", model="simulated CT")


def main() -> None:
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument("--patients", type=int, default=48, help="of all voltages and scanners, for the physics method")
    arguments.add_argument("--site-scans", type=int, default=24, help="to fit the regression on, and as many to test it")
    arguments.add_argument("--enhanced", type=int, default=24, help="with contrast medium")
    arguments.add_argument("--table", type=Path, default=Path("/tmp/site-scans.csv"), help="where the table of the site is written")
    options = arguments.parse_args()
    plain = [case_of(any_scanner(FIRST_SEED + n, KVPS[n % 4])) for n in range(options.patients)]
    site = [case_of(one_scanner(SITE_SEED + n)) for n in range(2 * options.site_scans)]
    enhanced = [case_of(any_scanner(CONTRAST_SEED + n, KVPS[n % 4], ("arterial", "portal")[n // 4 % 2])) for n in range(options.enhanced)]
    parts = [errors_text(plain), site_errors(site, options.site_scans, options.table), contrast_text(plain + site + enhanced)]
    publish("tissue_calibration", "\n\n".join(parts), options.write)


def any_scanner(seed: int, kvp: int, contrast: str = "none") -> PatientSpec:
    """A patient on any scanner."""
    rng = np.random.default_rng(seed)
    return _spec(seed, rng, Scanner(kvp, **_image(rng), slope_error=rng.normal(0, 0.05), intercept_hu=rng.normal(0, 5)), contrast)


def one_scanner(seed: int) -> PatientSpec:
    """A patient on the site's own scanner, which reads 4 % high and 3 HU low, and drifts as scanners of one model differ."""
    rng = np.random.default_rng(seed)
    image = _image(rng) | {"kernel": str(rng.choice(["SOFT", "STANDARD"]))}
    return _spec(seed, rng, Scanner(120, **image, slope_error=rng.normal(0.04, 0.014), intercept_hu=rng.normal(-3, 2)), "none")


def _image(rng: np.random.Generator) -> dict[str, object]:
    kernel = str(rng.choice(["SOFT", "STANDARD", "LUNG"]))
    return {"kernel": kernel, "thickness_mm": None, "noise_hu": float(rng.uniform(8, 40)), **PHYSICS}


def _spec(seed: int, rng: np.random.Generator, scanner: Scanner, contrast: str) -> PatientSpec:
    sex, age, slices = str(rng.choice(["F", "M"])), float(rng.uniform(40, 85)), float(rng.choice([2.5, 3.0, 5.0]))
    return PatientSpec(seed, sex, age, contrast=contrast, levels=("T12", "L3"), spacing_mm=(1.2, 1.2, slices), scanner=scanner)


def case_of(spec: PatientSpec) -> Case:
    """Simulate and read one scan."""
    one = simulate_patient(spec)
    hu, rois = (sitk.GetArrayViewFromImage(image) for image in (one.image, one.rois))
    bodies = [one.truth["levels"][level] for level in ("L1", "L2")]
    means = np.array([hu[rois == body["label"]].mean() for body in bodies])
    truth = np.array([body["roi"]["qct_equivalent_mg_cm3"][MATERIAL] for body in bodies])
    return Case(spec, find_tissues(one.image, one.bodies), means, truth, one.truth["calibration"][MATERIAL])


def published(tissues: tuple[TissueReading, ...], hu: np.ndarray, kev: float | None = None) -> np.ndarray:
    """vBMD by the published voxel model, K2HPO4 and triglyceride (qct_facts 4.3), at its own best energy or at ``kev``.

    From the tissues that a scan of the spine offers: without cortical bone, which the published measurements had.
    """
    found = {tissue.name: tissue.hu for tissue in tissues}
    names = [name for name in ("air", "fat", "muscle", "blood") if name in found]
    readings = np.array([found[name] for name in names])

    def attenuation(energy: float) -> np.ndarray:
        of = {"air": float(np.exp(np.interp(np.log(energy), np.log(AIR[0]), np.log(AIR[1]))))}
        of |= {name: mass_attenuation("adipose" if name == "fat" else name, energy) for name in ("fat", "muscle", "blood")}
        return np.array([of[name] for name in names])

    search = [kev] if kev else np.arange(40.0, 100.1, 0.5)
    energy = max(search, key=lambda e: np.corrcoef(readings, attenuation(e))[0, 1] ** 2)
    density = (readings / 1000 + 1) * mass_attenuation("water", energy) / attenuation(energy)
    mass, gram = (np.polyval(np.polyfit(readings, y, 1), hu) for y in (attenuation(energy), density))
    fat, mineral = mass_attenuation("triglyceride", energy), mass_attenuation(MATERIAL, energy)
    return gram * (mass - fat) / (mineral - fat) * 1000


def voxel_with_fat(line: Calibration, hu: np.ndarray) -> np.ndarray:
    """The shipped line, with triglyceride in place of water around the mineral: what is not mineral counts as fat."""
    energy = _energy(line)
    water = -line.intercept_mg_cm3 / line.slope_mg_cm3_per_hu
    true = (hu - water) / (1 + water / 1000)
    fat = 1000 * (0.92 * mass_attenuation("triglyceride", energy) / mass_attenuation("water", energy) - 1)
    displaced = 0.2174 * 0.92 * mass_attenuation("triglyceride", energy) / mass_attenuation("water", energy)
    return (true - fat) / (hu_per_mg_cm3(MATERIAL, energy) + 0.2174 - displaced)


def _energy(line: Calibration) -> float:
    return next(check.value for check in line.checks if check.code == "EFFECTIVE_ENERGY")


def errors_text(cases: list[Case]) -> str:
    """Bias and SD of each method over all vertebrae, and of the shipped one by voltage."""
    unknown = [physics_calibration(case.tissues, Acquisition(), MATERIAL) for case in cases]
    found = [physics_calibration(case.tissues, case.acquisition, MATERIAL) for case in cases]
    done = [(case, line, blind) for case, line, blind in zip(cases, found, unknown) if line is not None and line.usable]
    errors = {
        "the scanner's true line (a perfect phantom)": [_perfect(case) for case, _, _ in done],
        f"fixed line of 120 kVp, {FIXED_SLOPE} x HU": [FIXED_SLOPE * case.hu - case.truth for case, _, _ in done],
        "physics: mineral in water (shipped)": [line.density(case.hu) - case.truth for case, line, _ in done],
        "  without the tube voltage": [b.slope_mg_cm3_per_hu * c.hu + b.intercept_mg_cm3 - c.truth for c, _, b in done],
        "physics: mineral in triglyceride": [voxel_with_fat(line, case.hu) - case.truth for case, line, _ in done],
        "published voxel model, our energy": [published(case.tissues, case.hu, _energy(line)) - case.truth for case, line, _ in done],
        "published method, no cortical bone": [published(case.tissues, case.hu) - case.truth for case, _, _ in done],
    }
    lines = [f"{len(cases)} simulated patients without phantom, {len(cases) - len(done)} without enough tissues or with a failed check"]
    lines += [f"{'error of vBMD, L1 and L2':44}{'n':>5}{'bias':>8}{'SD':>8}   mg/cm³ {MATERIAL}"]
    lines += [_row(name, np.concatenate(error)) for name, error in errors.items()]
    lines += [f"{'published, women against a phantom':44}{350:5d}{12.6:8.1f}{13.2:8.1f}   (literature, qct_facts 4.2)"]
    for kvp in KVPS:
        of = [line.density(case.hu) - case.truth for case, line, _ in done if case.spec.scanner.kvp == kvp]
        lines += [_row(f"  shipped at {kvp} kVp", np.concatenate(of))] if of else []
    return "\n".join(lines)


def site_errors(cases: list[Case], count: int, table: Path) -> str:
    """The regression fitted on the first ``count`` scans of a scanner by their phantoms' true lines, tested on the others."""
    columns = ["series_uid", "manufacturer", "model", "kvp", "kernel", "calibration_source", "material"]
    columns += ["slope_mg_cm3_per_hu", "intercept_mg_cm3", "fat_hu", "muscle_hu", "blood_hu", "air_hu"]
    rows = [",".join(columns)]
    for case in cases[:count]:
        hu = {tissue.name: f"{tissue.hu:.3f}" for tissue in case.tissues}
        start = [str(case.spec.seed), "VertebralBMD", "simulated CT", "120", case.spec.scanner.kernel, "phantom", MATERIAL]
        rows.append(
            ",".join([*start, *(f"{v:.6f}" for v in case.line.values()), *(hu.get(n, "") for n in ("fat", "muscle", "blood", "air"))])
        )
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    site = fit_site(table).site
    lines = [(case, site_calibration(site, case.tissues, case.acquisition)) for case in cases[count:]]
    used = [(case, line) for case, line in lines if line.usable]
    promised = site.groups[0]
    text = [f"site regression: {promised.scans} scans of one scanner to fit, {len(lines)} others, {len(lines) - len(used)} of them refused"]
    text += [_row("site regression on the others", np.concatenate([line.density(case.hu) - case.truth for case, line in used]))]
    text += [_row("  the scanner's true line", np.concatenate([_perfect(case) for case, _ in used]))]
    text += [_row("  their physics line", np.concatenate([_physics(case) for case, _ in used]))]
    text += ["  promised by leaving each scan out: " + ", ".join(f"{e.sd_mg_cm3:.1f} at {e.density_mg_cm3:.0f}" for e in promised.errors)]
    return "\n".join(text)


def _perfect(case: Case) -> np.ndarray:
    """Error that hardening, scatter and blur leave when the scanner's slope and intercept are known."""
    return case.line["slope_mg_cm3_per_hu"] * case.hu + case.line["intercept_mg_cm3"] - case.truth


def _physics(case: Case) -> np.ndarray:
    return physics_calibration(case.tissues, case.acquisition, MATERIAL).density(case.hu) - case.truth


def contrast_text(cases: list[Case]) -> str:
    """What the detector says of each phase, and of the real scans where they are."""
    counts = Counter((case.spec.contrast, contrast_of(case.tissues, case.acquisition).contrast) for case in cases)
    lines = [f"{'contrast by the aorta, no header':44}{'right':>7}{'wrong':>7}{'unknown':>9}"]
    for phase in ("none", "arterial", "portal"):
        right, wrong = ("no", "yes") if phase == "none" else ("yes", "no")
        lines.append(f"simulated, {phase:33}{counts[phase, right]:7d}{counts[phase, wrong]:7d}{counts[phase, 'unknown']:9d}")
    for name, truth in REAL_CONTRAST.items() if REAL.is_dir() else ():
        image, bodies = (sitk.ReadImage(str(REAL / f"{kind}_{name}.nii.gz")) for kind in ("CT", "BODIES"))
        tissues = find_tissues(image, sitk.Cast(bodies, sitk.sitkUInt8))
        found = contrast_of(tissues, Acquisition()).contrast
        blood = next((f"{tissue.hu:.0f} HU" for tissue in tissues if tissue.name == "blood"), "no aorta")
        lines.append(f"{'real, ' + name:44}{found == truth:7d}{found not in (truth, 'unknown'):7d}{found == 'unknown':9d}   {blood}")
    return "\n".join(lines)


def _row(name: str, error: np.ndarray) -> str:
    return f"{name:44}{len(error):5d}{error.mean():8.1f}{error.std(ddof=1):8.1f}"


if __name__ == "__main__":
    main()
