"""Simulated beside real scans: sizes of bodies by level, HU and texture inside them, image noise; and a blind look.

For every annotated real scan of ../shared/data/ct, people of the same sex and age are simulated with its voltage, voxels,
contrast and measured noise. The pictures show real patients and stay out of the project.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import SimpleITK as sitk
from body_statistics import Body, Case, Noise, bodies_of, noise_of
from documents import parser, publish

from VertebralBMDLib.simulation.findings import draw_findings
from VertebralBMDLib.simulation.patient import simulate_patient
from VertebralBMDLib.simulation.scanner import PHYSICS, Scanner
from VertebralBMDLib.simulation.subject import PatientSpec

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"
FIRST_SEED = 950_000
SIZES = ("width", "depth", "anterior", "middle", "posterior", "volume_cm3")


@dataclass(frozen=True)
class RealScan:
    """What is known about a real scan (../shared/data/README.md; vbmd: a guess from its HU) and needed to simulate one like it.

    outlined: its bodies were drawn finely enough to measure their size.
    """

    name: str
    sex: str
    age: float
    kvp: int
    contrast: str
    levels: tuple[str, str]
    vbmd: float
    outlined: bool = True


REAL = (
    RealScan("TCGA-09-2043", "F", 69, 120, "portal", ("T7", "S5"), 150.0),
    RealScan("ACRIN-FLT-001", "F", 49, 140, "none", ("T9", "S5"), 160.0),
    RealScan("C3N-00249", "M", 71, 120, "portal", ("T1", "L1"), 130.0),
    RealScan("CRLM-1004", "M", 38, 120, "portal", ("T10", "L3"), 150.0),
    RealScan("LIDC-0314", "F", 60, 120, "none", ("T4", "T11"), 170.0),
    RealScan("TS-example", "M", 55, 120, "none", ("T12", "S5"), 90.0, outlined=False),  # bodies drawn by a network at 3 mm
)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--like-each", type=int, default=3, metavar="N", help="simulated patients for each real one")
    arguments.add_argument("--figure", type=Path, help="distributions side by side (aggregate numbers only)")
    arguments.add_argument("--pictures", type=Path, metavar="DIR", help="side-by-side views and a blind sheet; shows real patients")
    options = arguments.parse_args()
    if not DATA.exists():
        raise SystemExit(f"{DATA} is absent: there is nothing to compare with.")
    pairs = [(real, simulated) for scan in REAL for real, simulated in [_pair(scan, options.like_each)]]
    real, simulated = [r for r, _ in pairs], [s for _, group in pairs for s in group]
    rough = {scan.name for scan in REAL if not scan.outlined}
    measured = tuple(
        [([] if case.name.split()[-1] in rough else bodies_of(case), noise_of(case)) for case in group] for group in (real, simulated)
    )
    publish("simulation_realism", _table(*measured), options.write)
    if options.figure:
        _figure(*measured, options.figure)
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        _side_by_side([(r, group[0]) for r, group in pairs], options.pictures / "side-by-side.png")
        _blind_sheet([r for r, _ in pairs], [group[-1] for _, group in pairs], options.pictures)


def _pair(scan: RealScan, count: int) -> tuple[Case, list[Case]]:
    """A real scan, and simulated ones like it."""
    files = (DATA / f"CT_{scan.name}.nii.gz", DATA / f"BODIES_{scan.name}.nii.gz")
    real = Case(scan.name, *(sitk.DICOMOrient(sitk.ReadImage(str(file)), "LPS") for file in files))
    noise = noise_of(real).sd_hu
    return real, [_like(scan, real, noise, FIRST_SEED + 10 * REAL.index(scan) + i) for i in range(count)]


def _like(scan: RealScan, real: Case, noise_hu: float, seed: int) -> Case:
    vbmd = scan.vbmd + float(np.random.default_rng(seed).normal(0.0, 10.0))
    findings = draw_findings(np.random.default_rng(seed), scan.sex, scan.age, vbmd, "healthy")
    spec = PatientSpec(
        seed,
        scan.sex,
        scan.age,
        vbmd,
        findings=findings,
        contrast=scan.contrast,
        levels=scan.levels,
        spacing_mm=tuple(round(s, 4) for s in real.image.GetSpacing()),
        scanner=Scanner(scan.kvp, "STANDARD", None, noise_hu=round(noise_hu, 1), **PHYSICS),
    )
    patient = simulate_patient(spec)
    bodies = sitk.GetArrayFromImage(patient.bodies)
    for truth in patient.truth["levels"].values():
        if not truth["complete"]:
            bodies[bodies == truth["label"]] = 0
    labels = sitk.GetImageFromArray(bodies)
    labels.CopyInformation(patient.bodies)
    return Case(f"simulated like {scan.name}", patient.image, labels)


Measured = list[tuple[list[Body], Noise]]


def _table(real: Measured, simulated: Measured) -> str:
    lines = [f"{'':6}{'real':>5}{'sim.':>5}" + "".join(f"{name:>24}" for name in SIZES)]
    lines.append(f"{'level':6}{'n':>5}{'n':>5}" + f"{'real | sim. mean +- SD':>24}" * len(SIZES))
    by_level = [_by_level(group) for group in (real, simulated)]
    outside = total = 0
    for level in sorted(set(by_level[0]) & set(by_level[1]), key=lambda name: (name[0] == "L", int(name[1:]))):
        r, s = (group[level] for group in by_level)
        cells = []
        for name in SIZES:
            a, b = (np.array([getattr(body, name) for body in bodies]) for bodies in (r, s))
            cells.append(f"{a.mean():9.1f} | {b.mean():5.1f} +- {b.std(ddof=1):3.1f}")
            outside += int((np.abs(a - b.mean()) > 2 * max(b.std(ddof=1), 1e-6)).sum())
            total += len(a)
        lines.append(f"{level:6}{len(r):5d}{len(s):5d}" + "".join(f"{cell:>24}" for cell in cells))
    lines.append(f"real sizes further than 2 SD from the simulated mean of their level: {outside} of {total}")
    lines.append(f"{'inside bodies':24}{'SD HU':>16}{'half-correlation in plane':>28}{'along z':>10}  mm; noise SD HU")
    for name, group in (("real", real), ("simulated", simulated)):
        bodies = [body for found, _ in group for body in found if len(body.hu) > 50]
        sd = np.array([body.hu.std() for body in bodies])
        across, along = np.array([body.correlation_mm for body in bodies]).T
        noise = np.mean([noise.sd_hu for _, noise in group])
        lines.append(f"{name:24}{sd.mean():9.1f} +- {sd.std():4.1f}{np.nanmean(across):28.1f}{np.nanmean(along):10.1f}  {noise:.1f}")
    return "\n".join(lines)


def _by_level(group: Measured) -> dict[str, list[Body]]:
    levels: dict[str, list[Body]] = {}
    for bodies, _ in group:
        for body in bodies:
            levels.setdefault(body.level, []).append(body)
    return levels


def _figure(real: Measured, simulated: Measured, path: Path) -> None:
    """Volumes, depth and width by level, HU inside bodies about their mean, texture, noise spectra."""
    figure, axes = plt.subplots(2, 3, figsize=(13, 7.5), layout="constrained")
    colours = {"real": "tab:orange", "simulated": "tab:blue"}
    order = [f"T{i}" for i in range(1, 13)] + [f"L{i}" for i in range(1, 6)]
    for name, group in (("simulated", simulated), ("real", real)):
        levels = _by_level(group)
        for axis, size in zip(axes[0], ("volume_cm3", "width", "depth")):
            at, values = zip(*((order.index(v), getattr(b, size)) for v, bodies in levels.items() if v in order for b in bodies))
            axis.plot(at, values, "o", ms=4, alpha=0.6, color=colours[name], label=name)
            axis.set(
                xticks=range(len(order)),
                ylabel=size.replace("_cm3", " (cm³)").replace("width", "width (mm)").replace("depth", "depth (mm)"),
            )
            axis.set_xticklabels(order, rotation=90)
        bodies = [body for found, _ in group for body in found if len(body.hu) > 50]
        around = np.concatenate([body.hu - body.hu.mean() for body in bodies])
        axes[1, 0].hist(around, np.arange(-250, 251, 10), density=True, histtype="step", color=colours[name], label=name)
        axes[1, 1].plot(*np.array([body.correlation_mm for body in bodies]).T, "o", ms=4, alpha=0.6, color=colours[name])
        for _, noise in group:
            axes[1, 2].plot(noise.frequency, noise.power, color=colours[name], lw=0.8, alpha=0.7)
    axes[0, 0].legend()
    axes[1, 0].set(xlabel="HU about the mean of the body, 4.5 mm inside", ylabel="share")
    axes[1, 1].set(xlabel="half-correlation in plane (mm)", ylabel="along z (mm)")
    axes[1, 2].set(xlabel="spatial frequency (lp/mm)", ylabel="noise power (area 1)")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _views(case: Case) -> dict[str, tuple[np.ndarray, float]]:
    """Axial, sagittal and coronal plane through L1 (or the lowest body above it): HU and height of a row in units of a column."""
    labels = sitk.GetArrayViewFromImage(case.bodies)
    hu = sitk.GetArrayViewFromImage(case.image)
    present = [v for v in np.unique(labels) if 0 < v < 100]
    z, y, x = np.argwhere(labels == min(present, key=lambda v: abs(int(v) - 20))).mean(axis=0).astype(int)
    sx, sy, sz = case.image.GetSpacing()
    return {
        "axial": (hu[z], sy / sx),
        "sagittal": (hu[::-1, :, x], sz / sy),
        "coronal": (hu[::-1, y, :], sz / sx),
    }


def _show(axis, view: tuple[np.ndarray, float], window: tuple[float, float] = (-160.0, 340.0)) -> None:
    hu, aspect = view
    axis.imshow(hu, cmap="gray", vmin=window[0], vmax=window[1], aspect=aspect, interpolation="bilinear")
    axis.set_axis_off()


def _side_by_side(pairs: list[tuple[Case, Case]], path: Path) -> None:
    figure, axes = plt.subplots(len(pairs), 6, figsize=(22, 4.2 * len(pairs)), layout="constrained")
    for row, (real, simulated) in zip(axes, pairs):
        for k, case in enumerate((real, simulated)):
            for axis, (name, view) in zip(row[3 * k :], _views(case).items()):
                _show(axis, view)
                axis.set_title(f"{case.name}, {name}", fontsize=8)
    figure.savefig(path, dpi=60)
    plt.close(figure)


def _blind_sheet(real: list[Case], simulated: list[Case], folder: Path) -> None:
    """Mid-sagittal views in an order only key.txt tells."""
    cases = [*real, *simulated]
    order = np.random.default_rng().permutation(len(cases))
    figure, axes = plt.subplots(2, -(-len(cases) // 2), figsize=(24, 13), layout="constrained")
    for axis, k in zip(axes.flat, order):
        _show(axis, _views(cases[k])["sagittal"])
    for number, axis in enumerate(axes.flat, start=1):
        axis.set_title(str(number))
    figure.savefig(folder / "blind.png", dpi=70)
    plt.close(figure)
    (folder / "key.txt").write_text("".join(f"{n}: {cases[k].name}\n" for n, k in enumerate(order, start=1)), encoding="utf-8")


if __name__ == "__main__":
    main()
