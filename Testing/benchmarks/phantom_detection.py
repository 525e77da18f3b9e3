"""Phantoms in simulated patients, never used in development: found, identified and read against the scanner's true line.

Placements, kernels, dose, slices, voltage and scanner errors are drawn at random. The lines of the table with physics add
beam hardening and scatter, which read a rod where it lies otherwise than the spine: that is not an error of the detection.
"""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from documents import parser, publish

from VertebralBMDLib.calibration.catalogue import load_phantom, phantom_names
from VertebralBMDLib.calibration.line import fit
from VertebralBMDLib.calibration.rods import find_phantom
from VertebralBMDLib.simulation.couch import draw_couch
from VertebralBMDLib.simulation.findings import Findings, Hardware
from VertebralBMDLib.simulation.kernels import KERNELS
from VertebralBMDLib.simulation.noise import noise_for_dose
from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient
from VertebralBMDLib.simulation.scanner import PHYSICS, Scanner
from VertebralBMDLib.simulation.support import draw_mounting

FIRST_SEED = 760_000
CT = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"
PHANTOMS = tuple(phantom for phantom in map(load_phantom, phantom_names()) if phantom.use == "calibration")
AUTOMATIC = tuple(phantom for phantom in PHANTOMS if phantom.automatic and len(phantom.rods) > 2)
SLOPE_LIMIT_PERCENT, INTERCEPT_LIMIT = 1.0, 2.0


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--placements", type=int, default=100, help="of each phantom; a fifth as many more with physics")
    arguments.add_argument("--patients", type=int, default=60, help="without a phantom")
    arguments.add_argument("--processes", type=int, default=2)
    options = arguments.parse_args()
    jobs = [(number, index, False) for number in range(len(PHANTOMS)) for index in range(options.placements)]
    jobs += [(number, index, True) for number in range(len(PHANTOMS)) for index in range(options.placements, options.placements * 6 // 5)]
    with multiprocessing.Pool(options.processes) as pool:
        rows = pool.starmap(placement, jobs, chunksize=1)
        false = pool.map(false_findings, range(options.patients), chunksize=1)
        files = sorted(CT.glob("CT_*.nii.gz"))
        real = pool.starmap(false_findings_at, [each for file in files for each in heights_of(file)], chunksize=4)
    lines = [HEADER]
    for physics in (False, True):
        for number, phantom in enumerate(PHANTOMS):
            of_it = [row for job, row in zip(jobs, rows) if job[0] == number and job[2] == physics]
            lines += [line_of(phantom.name + (" + physics" if physics else ""), of_it)] if of_it else []
    lines.append(f"patients without a phantom {options.patients}: found {sum(false)}, of {len(ways())} requests each")
    real_line = f"real scans without a phantom {len(files)}: found {sum(real)}, of {len(ways())} requests at {len(real)} heights"
    lines.append(real_line if files else "real scans: the development data are not here (../shared/data/ct)")
    lines += [f"detection in 512 x 512 x 300 voxels: {seconds_in_a_large_scan():.1f} s"]
    publish("phantom_detection", "\n".join(lines), options.write)


HEADER = (
    f"{'errors against the truth, size':54}{'slope %':>22}{'mg/cm³':>16}{'reading alone':>16}\n"
    f"{'phantom':36}{'n':>5}{'found':>7}{'right':>7}{'good':>6}"
    f"{'95 %':>8}{'worst':>7}{'95 %':>9}{'worst':>7}{'% 95 %':>9}{'mg 95 %':>8}{'s':>5}"
)


def ways():
    """What a user may ask for: all automatic phantoms at once, or any one by name."""
    return [AUTOMATIC, *((phantom,) for phantom in PHANTOMS)]


def spec_of(seed: int, phantom: str | None, physics: bool, **changes) -> PatientSpec:
    """A patient on a drawn couch in a drawn scanner, L1 and L2 in the field."""
    rng = np.random.default_rng(seed)
    kvp, kernel = int(rng.choice([80, 100, 120, 120, 120, 140])), str(rng.choice([name for name in KERNELS if name != "NONE"]))
    thickness = float(rng.choice([0.6, 1.25, 2.5, 3.0, 5.0], p=[0.1, 0.25, 0.25, 0.2, 0.2]))
    noise = noise_for_dose(float(rng.uniform(2.0, 15.0)), kvp, kernel, thickness, float(rng.normal(310.0, 25.0)))
    scanner = Scanner(
        kvp,
        kernel,
        thickness,
        noise_hu=min(noise, 150.0),
        slope_error=float(np.clip(rng.normal(0.0, 0.05), -0.2, 0.2)),
        intercept_hu=float(rng.normal(0.0, 5.0)),
        **(PHYSICS if physics else {}),
    )
    return PatientSpec(
        seed=seed,
        sex=str(rng.choice(["F", "M"])),
        age=float(rng.uniform(40.0, 85.0)),
        levels=("L1", "L2"),
        spacing_mm=(*[float(rng.uniform(0.8, 1.0))] * 2, thickness * float(rng.choice([0.8, 1.0, 1.0]))),
        phantom=phantom,
        mounting=draw_mounting(rng, load_phantom(phantom)) if phantom else None,
        couch=draw_couch(rng),
        scanner=scanner,
        **changes,
    )


def centres(truth: dict) -> list:
    return [truth["levels"][level]["centroid_lps_mm"] for level in ("L1", "L2") if level in truth["levels"]]


def placement(number: int, index: int, physics: bool) -> tuple[float, ...] | None:
    """(found, identified, slope error % and intercept error against the truth, the same of the reading alone, s).

    The reading alone is compared with the line of the same certificate through rods that read as they should. None where the
    field cuts so many rods that too few are left.
    """
    phantom = PHANTOMS[number]
    spec = spec_of(FIRST_SEED + 1000 * number + index, phantom.name, physics)
    try:
        patient = simulate_patient(spec)
    except ValueError:
        return None  # not one rod in the field
    if sum(not rod["cut_by_the_field"] for rod in patient.truth["rods"]) < min(3, len(phantom.rods)):
        return None
    start = time.perf_counter()
    candidates = AUTOMATIC if phantom in AUTOMATIC else (phantom,)
    found = find_phantom(patient.image, centres(patient.truth), candidates, float(spec.scanner.kvp))
    seconds = time.perf_counter() - start
    if found is None or found.phantom != phantom.name:
        return (float(found is not None), 0.0, *[np.nan] * 4, seconds)
    exact = {rod["id"]: (1 + spec.scanner.slope_error) * rod["hu"] + spec.scanner.intercept_hu for rod in patient.truth["rods"]}
    best = fit([replace(reading, hu=exact[reading.rod.id]) for reading in found.readings], phantom.material, phantom.name)
    truth = patient.truth["calibration"][found.material]
    slope, intercept = found.slope_mg_cm3_per_hu, found.intercept_mg_cm3
    errors = (
        100 * (slope / truth["slope_mg_cm3_per_hu"] - 1),
        intercept - truth["intercept_mg_cm3"],
        100 * (slope / best.slope_mg_cm3_per_hu - 1),
        intercept - best.intercept_mg_cm3,
    )
    return 1.0, 1.0, *errors, seconds


def line_of(name: str, rows: list[tuple[float, ...] | None]) -> str:
    """A line of the table: ``right`` is identified, ``good`` within both limits, of all placements with enough rods in the field."""
    values = np.array([row for row in rows if row is not None], dtype=float)
    if not len(values):
        return f"{name:36}{0:5d}"
    slope, intercept, read_slope, read_intercept = np.abs(values[:, 2:6][values[:, 1] > 0]).T
    good = np.sum((slope <= SLOPE_LIMIT_PERCENT) & (intercept <= INTERCEPT_LIMIT)) / len(values)
    shares = "".join(f"{100 * share:{width}.0f}" for share, width in zip((*values[:, :2].mean(axis=0), good), (7, 7, 6)))
    if not len(slope):
        return f"{name:36}{len(values):5d}{shares}"
    return (
        f"{name:36}{len(values):5d}{shares}{np.percentile(slope, 95):8.2f}{slope.max():7.2f}"
        f"{np.percentile(intercept, 95):9.2f}{intercept.max():7.2f}"
        f"{np.percentile(read_slope, 95):9.2f}{np.percentile(read_intercept, 95):7.2f}{np.median(values[:, 6]):6.2f}"
    )


def false_findings(index: int) -> int:
    """How many requests find a phantom in a patient who has none, but contrast, arthrosis and metal."""
    rng = np.random.default_rng(FIRST_SEED + 90_000 + index)
    metal = ((), (Hardware("screws", ("L1", "L2", "L3")),), (Hardware("cement", ("L1",)),))[index % 3]
    findings = Findings(degeneration=float(rng.uniform(0.2, 1.0)), scoliosis_deg=float(rng.normal(0.0, 12.0)), hardware=metal)
    contrast = str(rng.choice(["none", "arterial", "portal"]))
    spec = spec_of(FIRST_SEED + 90_000 + index, None, True, findings=findings, contrast=contrast, oral_contrast=bool(index % 2))
    patient = simulate_patient(spec)
    return sum(find_phantom(patient.image, centres(patient.truth), way, float(spec.scanner.kvp)) is not None for way in ways())


def false_findings_at(file: Path, z_mm: float) -> int:
    """How many requests find a phantom at a height (LPS mm) of a real scan without one."""
    image = sitk.ReadImage(str(file))
    return sum(find_phantom(image, [0.0, 0.0, z_mm], way, None) is not None for way in ways())


def heights_of(file: Path) -> list[tuple[Path, float]]:
    """Heights 30 mm apart all along a scan."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    start, length = reader.GetOrigin()[2], reader.GetSpacing()[2] * reader.GetSize()[2] * reader.GetDirection()[8]
    low, high = sorted((start, start + length))
    return [(file, float(z)) for z in np.arange(low + 10.0, high - 10.0, 30.0)]


def seconds_in_a_large_scan() -> float:
    """Time to find a phantom in a patient with air around, so that the scan has 512 x 512 x 300 voxels."""
    spec = spec_of(FIRST_SEED + 99_000, "b-mas200", False)
    patient = simulate_patient(replace(spec, size=(512, 512), spacing_mm=(0.85, 0.85, 1.0)))
    large = sitk.ConstantPad(patient.image, [0, 0, 100], [0, 0, 200 - patient.image.GetSize()[2]], -1024)
    start = time.perf_counter()
    find_phantom(large, centres(patient.truth), AUTOMATIC, float(spec.scanner.kvp))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
