"""Every way from HU to vBMD side by side, on the same simulated vertebrae under ten conditions.

Each patient is scanned by the study's own scanner, as both networks are told, and then with one thing changed at a time (a slope of
+-10 % is another scanner, and they are told that too); ROI, findings left out of it, phantom and tissues are what the program itself
finds, within the true bodies. Reference: what an ideal phantom-calibrated scan at 120 kV reads in the true ROI (mg/cm³ CaHA). Fat,
muscle, blood, cortex and marrow of the patients vary as the population's do. Simulated: this shows how the methods compare, not how
they do on people.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from documents import parser, publish

from VertebralBMDLib.calibration.physics import physics_calibration
from VertebralBMDLib.calibration.tiers import calibrate
from VertebralBMDLib.calibration.tissues import find_tissues
from VertebralBMDLib.grid import box_grid, resampled
from VertebralBMDLib.network.density import MATERIAL, Beam, nominal_slope
from VertebralBMDLib.quality import Refused
from VertebralBMDLib.regions import Region, regions_of
from VertebralBMDLib.resources import resource
from VertebralBMDLib.scan import Acquisition, Scan, checked
from VertebralBMDLib.segmentation.engines import engine_for
from VertebralBMDLib.settings import Settings
from VertebralBMDLib.simulation.cohort import draw_cohort
from VertebralBMDLib.simulation.findings import Lesion
from VertebralBMDLib.simulation.noise import noise_for_dose
from VertebralBMDLib.simulation.patient import simulate_patient
from VertebralBMDLib.simulation.subject import PatientSpec
from VertebralBMDLib.training.config import read_density_config

#: Of the study whose networks are compared: its own scanners, and what its networks read.
STUDY = read_density_config(resource("Models", "density-training.json"))
#: Locked: never used in training.
SEED = 990_070
LEVELS = ("L1", "L2")
SHIFT_MM = 3.0
PHANTOM = "qrm-bdc3"
UNSEEN = "slope +-10 %"
CONDITIONS = (
    "own scanner",
    UNSEEN,
    "80 kVp",
    "100 kVp",
    "140 kVp",
    "LUNG low dose",
    "5 mm slices",
    "metastasis",
    "ROI 3 mm off",
    "contrast",
)
#: The ways that need a phantom come first; the others are compared with each other.
WITH_PHANTOM = ("ROI x phantom", "network + phantom")
METHODS = (*WITH_PHANTOM, "ROI x fixed line", "ROI x tissue", "plain pooling", "network (shipped)")


@dataclass(frozen=True)
class Case:
    """One vertebra under one condition: truth (mg/cm³ CaHA; true mineral beside it), HU of its ROI, lines, and the network's crop."""

    patient: int
    condition: str
    level: str
    truth: float
    mineral: float
    roi_hu: float
    kvp: float
    phantom: tuple[float, float] | None
    tissue: tuple[float, float] | None
    crop: np.ndarray


def main() -> None:
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument("--patients", type=int, default=24)
    arguments.add_argument("--networks", type=Path, required=True, metavar="DIR", help="output of the study: both networks")
    arguments.add_argument("--cache", type=Path, metavar="DIR", help="simulated cases, so that a run goes on where it was")
    arguments.add_argument("--workers", type=int, default=os.cpu_count())
    options = arguments.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
    cases = made(options.patients, options.cache, options.workers)
    readers = {"network": options.networks / "density.ts", "plain pooling": options.networks / "density-pooling.ts"}
    publish("density_methods", table(cases, readings(cases, readers)), options.write)


def made(patients: int, cache: Path | None, workers: int) -> list[Case]:
    """All cases, patient by patient; finished patients are kept in ``cache``."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return [case for part in pool.map(of_patient, range(patients), [cache] * patients) for case in part]


def of_patient(index: int, cache: Path | None) -> list[Case]:
    """One patient under every condition."""
    kept = cache / f"{SEED}-{index}.pickle" if cache else None
    if kept and kept.exists():
        return pickle.loads(kept.read_bytes())
    cases = [case for condition in CONDITIONS for case in of_condition(index, condition)]
    if kept:
        cache.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_suffix(".part")
        temporary.write_bytes(pickle.dumps(cases))
        temporary.replace(kept)
    return cases


def spec_of(index: int, condition: str) -> PatientSpec:
    """Patient ``index``: of the paper's population, on the scanners that the study learnt, with one thing changed."""
    case = draw_cohort(SEED, 200)[index]
    own = draw_cohort(STUDY.cohort.seed, 200)[index].spec.scanner
    rng = np.random.default_rng([SEED, index, CONDITIONS.index(condition)])
    spec = replace(
        case.spec,
        findings=replace(case.spec.findings, lesions=(), fractures=(), hardware=(), variant="none"),
        levels=("T12", "L3"),
        size=(400, 400),
        spacing_mm=(1.0, 1.0, 1.25),
        phantom=PHANTOM,
        scanner=replace(own, kernel="STANDARD", noise_hu=noise_for_dose(8.0, 120, "STANDARD", 1.25, 310.0)),
    )
    scanner = spec.scanner
    if condition == UNSEEN:
        return replace(spec, scanner=replace(scanner, slope_error=(-0.1, 0.1)[index % 2], intercept_hu=float(rng.normal(0.0, 5.0))))
    if condition.endswith("kVp"):
        kvp = int(condition.split()[0])
        return replace(spec, scanner=replace(scanner, kvp=kvp, noise_hu=noise_for_dose(8.0, kvp, "STANDARD", 1.25, 310.0)))
    if condition == "LUNG low dose":
        return replace(spec, scanner=replace(scanner, kernel="LUNG", noise_hu=min(150.0, noise_for_dose(2.5, 120, "LUNG", 1.25, 310.0))))
    if condition == "5 mm slices":
        return replace(spec, spacing_mm=(1.0, 1.0, 5.0), scanner=replace(scanner, thickness_mm=5.0))
    if condition == "metastasis":
        return replace(spec, findings=replace(spec.findings, lesions=tuple(_lesion(rng, level) for level in LEVELS)))
    if condition == "contrast":
        return replace(spec, contrast=("arterial", "portal")[index % 2])
    return spec


def _lesion(rng: np.random.Generator, level: str) -> Lesion:
    """Half lytic, half blastic, where a ROI would lie."""
    kind = str(rng.choice(["lytic", "blastic"]))
    mineral = float(rng.uniform(20.0, 60.0) if kind == "lytic" else rng.uniform(300.0, 600.0))
    across, back, up = rng.uniform(-0.4, 0.4, 3)
    return Lesion(level, kind, float(across), float(back), float(up), float(rng.uniform(5.0, 8.0)), mineral, int(rng.integers(2**31)))


def of_condition(index: int, condition: str) -> list[Case]:
    """L1 and L2 of one scan, as far as they can be measured; none of a scan that is refused."""
    spec = spec_of(index, condition)
    patient = simulate_patient(spec)
    scan = checked(patient.image, Acquisition(kvp=float(spec.scanner.kvp), kernel=spec.scanner.kernel))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bodies.nii.gz"
        sitk.WriteImage(patient.bodies, str(path))
        try:
            vertebrae = engine_for("bundled", path, "cpu", "verse").segment(scan, lambda fraction: None)
        except Refused:
            return []
    regions, _ = regions_of(scan, vertebrae, Settings(), LEVELS)
    tissues = find_tissues(scan.image, vertebrae.label_map)
    centres = [region.centre_lps_mm for region in regions]
    phantom = calibrate(scan, f"phantom:{PHANTOM}", centres, tissues)[0]
    tissue = physics_calibration(tissues, scan.acquisition, MATERIAL)
    lines = [line_of(found) for found in (phantom, tissue)]
    towards = np.random.default_rng([SEED, index]).normal(size=3)
    shift = SHIFT_MM * towards / np.linalg.norm(towards) if condition == "ROI 3 mm off" else np.zeros(3)
    truths = patient.truth["levels"]
    return [
        Case(
            index,
            condition,
            region.vertebra.level,
            *_truth(truths[region.vertebra.level]),
            _mean(scan, region, shift),
            scan.acquisition.kvp,
            *lines,
            _crop(scan, region, shift),
        )
        for region in regions
        if truths[region.vertebra.level]["roi"]["qct_equivalent_120_kvp_mg_cm3"] is not None
    ]


def line_of(calibration) -> tuple[float, float] | None:
    """Slope and intercept of a usable calibration."""
    usable = calibration is not None and calibration.usable
    return (calibration.slope_mg_cm3_per_hu, calibration.intercept_mg_cm3) if usable else None


def _truth(of_body: dict) -> tuple[float, float]:
    return of_body["roi"]["qct_equivalent_120_kvp_mg_cm3"][MATERIAL], of_body["roi"]["true_mineral_mg_cm3"]


def _mean(scan: Scan, region: Region, shift_mm: np.ndarray) -> float:
    """Mean HU of the ROI moved by ``shift_mm`` (LPS), to the nearest voxel."""
    steps = np.rint(shift_mm[::-1] / np.array(scan.spacing_mm[::-1])).astype(int)
    place = tuple(slice(part.start + step, part.stop + step) for part, step in zip(region.place, steps))
    return float(scan.hu[place][region.roi.roi].mean())


def _crop(scan: Scan, region: Region, shift_mm: np.ndarray) -> np.ndarray:
    grid = box_grid(np.asarray(region.centre_lps_mm) + shift_mm, STUDY.crop_size[::-1], STUDY.spacing_mm)
    return sitk.GetArrayFromImage(resampled(scan.image, grid)).astype(np.float32)


def readings(cases: list[Case], networks: dict[str, Path]) -> dict[str, np.ndarray]:
    """vBMD by every method, NaN where it has none."""
    hu = np.array([case.roi_hu for case in cases])
    read: dict[str, np.ndarray] = {
        "ROI x phantom": _by_line(cases, hu, lambda case: case.phantom),
        "ROI x fixed line": nominal_slope(120.0) * hu,
        "ROI x tissue": _by_line(cases, hu, lambda case: case.tissue),
    }
    plain = [Beam(case.kvp, own=case.condition != UNSEEN) for case in cases]
    read["plain pooling"] = _network(networks["plain pooling"], cases, plain)
    read["network (shipped)"] = _network(networks["network"], cases, plain)
    calibrated = [Beam(case.kvp, *(case.phantom or (None,))) for case in cases]
    with_phantom = _network(networks["network"], cases, calibrated)
    read["network + phantom"] = np.where([case.phantom is None for case in cases], np.nan, with_phantom)
    return read


def _by_line(cases: list[Case], hu: np.ndarray, line: Callable[[Case], tuple[float, float] | None]) -> np.ndarray:
    lines = np.array([line(case) or (np.nan, np.nan) for case in cases])
    return lines[:, 0] * hu + lines[:, 1]


def _network(path: Path, cases: list[Case], beams: list[Beam]) -> np.ndarray:
    import torch

    network = torch.jit.load(str(path)).eval()
    crops = torch.from_numpy(np.stack([beam.calibrated_hu(case.crop) for case, beam in zip(cases, beams)]).astype(np.float32))[:, None]
    features = torch.tensor([beam.features for beam in beams])
    with torch.inference_mode():
        return torch.cat([network(*part)[0][:, 0] for part in zip(crops.split(32), features.split(32))]).numpy()


def table(cases: list[Case], read: dict[str, np.ndarray]) -> str:
    """RMSE with its interval, and bias with SD, of every method under every condition."""
    truth = np.array([case.truth for case in cases])
    condition = np.array([case.condition for case in cases])
    patient = np.array([case.patient for case in cases])
    rows = {method: {} for method in METHODS}
    for method in METHODS:
        error = read[method] - truth
        for name in CONDITIONS:
            chosen = (condition == name) & np.isfinite(error)
            rows[method][name] = summary(error[chosen], patient[chosen])
    lines = [f"{len(np.unique(patient))} simulated patients, L1 and L2; mg/cm³ CaHA against what an ideal scan reads", ""]
    lines += _block("RMSE [95 % interval, patients drawn anew]", rows, lambda s: f"{s[0]:.1f} [{s[1]:.1f}-{s[2]:.1f}]")
    lines += _block("bias +- SD", rows, lambda s: f"{s[3]:+.1f} +- {s[4]:.1f}")
    lines += _block("vertebrae read", rows, lambda s: f"{s[5]}")
    phantomless = [method for method in METHODS if method not in WITH_PHANTOM]
    for name in CONDITIONS:
        best = min(phantomless, key=lambda method: rows[method][name][0])
        lines.append(
            f"best without a phantom, {name}: {best}; {rows[best][name][0] - rows[WITH_PHANTOM[0]][name][0]:+.1f} from ROI x phantom"
        )
    own = condition == "own scanner"
    below = np.array([case.mineral for case in cases])[own] - truth[own]
    lines.append(
        f"true mineral lies {below.mean():.1f} +- {below.std(ddof=1):.1f} above the reference (marrow fat), which no method can see"
    )
    return "\n".join(lines)


def summary(error: np.ndarray, patient: np.ndarray) -> tuple[float, float, float, float, float, int]:
    """RMSE with its interval from a bootstrap over patients, bias, SD, count."""
    rng = np.random.default_rng(0)
    groups = [error[patient == one] for one in np.unique(patient)]
    drawn = [np.sqrt((np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))]) ** 2).mean()) for _ in range(1000)]
    return float(np.sqrt((error**2).mean())), *np.percentile(drawn, [2.5, 97.5]), float(error.mean()), float(error.std(ddof=1)), len(error)


def _block(title: str, rows: dict, cell: Callable) -> list[str]:
    width = 19
    head = f"{title}\n{'':16}" + "".join(f"{method:>{width}}" for method in METHODS)
    return [head, *(f"{name:16}" + "".join(f"{cell(rows[method][name]):>{width}}" for method in METHODS) for name in CONDITIONS), ""]


if __name__ == "__main__":
    main()
