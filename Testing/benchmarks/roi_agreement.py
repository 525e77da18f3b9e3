"""ROI rules on simulated patients with their true bodies, so that ROI and calibration are judged and not segmentation.

The calibration is read from the phantom in the scan; a second line uses the calibration that undoes the scanner's linear
error exactly (truth line). PHYSICS adds beam hardening and scatter, which differ between spine and phantom: no ROI and no
linear calibration can undo that. Never used in development: the seeds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from documents import parser, publish

from VertebralBMDLib import densitometry
from VertebralBMDLib.calibration.tiers import calibrate
from VertebralBMDLib.regions import regions_of
from VertebralBMDLib.roi.axes import superior_axes
from VertebralBMDLib.roi.region import RoiRules, trabecular_roi
from VertebralBMDLib.scan import Acquisition, Scan, checked
from VertebralBMDLib.segmentation.vertebrae import Vertebra, Vertebrae
from VertebralBMDLib.settings import Settings
from VertebralBMDLib.simulation.findings import Findings, Fracture, Lesion
from VertebralBMDLib.simulation.patient import PatientSpec, SimulatedPatient, simulate_patient
from VertebralBMDLib.simulation.scanner import PHYSICS, Scanner
from VertebralBMDLib.simulation.subject import person_of

FIRST_SEED, LESION_SEED, FRACTURE_SEED = 950_000, 960_000, 970_000
LEVELS = ("T12", "L1", "L2", "L3", "L4")
MATERIAL, PHANTOM = "CaHA", "qrm-bdc3"
KERNELS = ("SOFT", "STANDARD", "LUNG", "STANDARD", "BONE", "SOFT", "LUNG")
SLICES_MM = (1.25, 2.5, 3.0, 2.5, 1.25, 5.0, 3.0, 1.25, 2.5, 3.0, 0.6)
PLAIN = RoiRules(findings=False)
VARIANTS = {
    "no rule for findings": PLAIN,
    "no venous zone": replace(PLAIN, venous_zone=False),
    "all layers": replace(PLAIN, central_fraction=1.0),
    "box along the vertebra": replace(PLAIN, erosion_shape="vertebra"),
    "ball": replace(PLAIN, erosion_shape="ball"),
    "classic ellipse": replace(PLAIN, region="ellipse"),
}


@dataclass(frozen=True)
class Reading:
    """One vertebra: mean HU of each ROI by name, its truth (mg/cm³; None: all lesion), the share left out; a phantom not read is NaN."""

    level: str
    kernel: str
    slice_mm: float
    kind: str
    hu: dict[str, float]
    truth: float | None
    left_out: float
    phantom_line: tuple[float, float]
    truth_line: tuple[float, float]

    def error(self, roi: str, by_phantom: bool = True) -> float:
        slope, intercept = self.phantom_line if by_phantom else self.truth_line
        return slope * self.hu[roi] + intercept - self.truth


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--patients", type=int, default=42, help="without findings; with PHYSICS and with lesions: half as many")
    options = arguments.parse_args()
    ideal, physical, lesions = [], [], []
    for index in range(options.patients):
        ideal += readings(patient(FIRST_SEED + index, index, {}), variants=True)
    for index in range(options.patients // 2):
        physical += readings(patient(FIRST_SEED + index, index, PHYSICS), variants=False)
        lesions += readings(patient(LESION_SEED + index, index, {}, lesions=True), variants=False)
    parts = [agreement(ideal, physical), strata(ideal), lesion_table(lesions), heights_table(options.patients), times()]
    publish("roi_agreement", "\n\n".join(parts), options.write)


def patient(seed: int, index: int, effects: dict, lesions: bool = False) -> SimulatedPatient:
    """A patient on a phantom: anatomy, density, wear, curvature, kernel, noise, slices and scanner error vary."""
    rng = np.random.default_rng(seed)
    kernel = KERNELS[index % len(KERNELS)]
    noise = rng.uniform(40, 100) if kernel in ("LUNG", "BONE") else rng.uniform(8, 35)
    scoliosis = float(np.clip(rng.normal(0, 15), -40, 40)) if rng.uniform() < 0.5 else 0.0
    return simulate_patient(
        PatientSpec(
            seed=seed,
            sex=str(rng.choice(["F", "M"])),
            age=float(rng.uniform(40, 85)),
            findings=Findings(
                degeneration=float(rng.uniform(0, 0.8)), scoliosis_deg=scoliosis, lesions=drawn_lesions(rng) if lesions else ()
            ),
            spacing_mm=(1.0, 1.0, SLICES_MM[index % len(SLICES_MM)]),
            levels=("T11", "L5"),
            phantom=PHANTOM,
            scanner=Scanner(
                kernel=kernel,
                thickness_mm=None,
                noise_hu=float(noise),
                slope_error=float(np.clip(rng.normal(0, 0.05), -0.2, 0.2)),
                intercept_hu=float(rng.normal(0, 5)),
                **effects,
            ),
        )
    )


def drawn_lesions(rng: np.random.Generator) -> tuple[Lesion, ...]:
    """In two of the five levels one lesion each, in or near the ROI: sizes and densities of ``simulation.findings``."""
    found = []
    for level in rng.choice(LEVELS, 2, replace=False):
        kind = str(rng.choice(["lytic", "blastic", "mixed", "island"]))
        mineral = {"lytic": rng.uniform(0, 45), "island": np.clip(rng.normal(840, 130), 500, 1150)}.get(
            kind, np.clip(rng.normal(390, 95), 220, 700)
        )
        radius = rng.uniform(2, 6) if kind == "island" else np.clip(rng.lognormal(np.log(8.0), 0.35), 4, 16)
        place = (float(c) for c in rng.uniform([-0.6, -0.6, -0.4], [0.6, 0.7, 0.4]))
        found.append(Lesion(str(level), kind, *place, float(radius), float(mineral), int(rng.integers(2**31))))
    return tuple(found)


def readings(one: SimulatedPatient, variants: bool) -> Iterator[Reading]:
    """Every whole vertebra of T12 to L4, read with the rules in use ("in use"), without the rule for findings, and in the true ROI."""
    scan, vertebrae = scan_of(one), true_vertebrae(one)
    middle = np.mean([vertebrae.get(level).centroid_lps_mm for level in ("L1", "L2")], axis=0)
    calibration, _codes = calibrate(scan, f"phantom:{PHANTOM}", [middle])
    true_line = one.truth["calibration"][MATERIAL]
    ups = dict(zip((body.level for body in vertebrae.bodies), superior_axes([body.centroid_lps_mm for body in vertebrae.bodies])))
    wanted = tuple(level for level in LEVELS if vertebrae.get(level) and vertebrae.get(level).complete)
    found = {region.vertebra.level: region for region in regions_of(scan, vertebrae, Settings(), wanted)[0]}
    kinds = {lesion["level"]: lesion["kind"] for lesion in one.truth["spec"]["findings"]["lesions"]}
    for level, region in found.items():
        body = sitk.GetImageFromArray(region.body.astype(np.uint8))
        body.CopyInformation(sitk.RegionOfInterest(scan.image, body.GetSize(), [part.start for part in region.place[::-1]]))
        masks = {name: trabecular_roi(body, ups[level], rules).roi for name, rules in VARIANTS.items() if variants or rules is PLAIN}
        masks |= {"in use": region.roi.roi, "true ROI": sitk.GetArrayViewFromImage(one.rois)[region.place] == region.vertebra.label}
        truth = one.truth["levels"][level]["roi"]["qct_equivalent_mg_cm3"]
        yield Reading(
            level,
            one.truth["spec"]["scanner"]["kernel"],
            scan.spacing_mm[2],
            kinds.get(level, ""),
            {name: float(region.hu[mask].mean(dtype=float)) if mask.any() else np.nan for name, mask in masks.items()},
            None if truth is None else truth[MATERIAL],
            1 - region.roi.roi.sum() / masks["no rule for findings"].sum(),
            (calibration.slope_mg_cm3_per_hu, calibration.intercept_mg_cm3) if calibration.usable else (np.nan, np.nan),
            (true_line["slope_mg_cm3_per_hu"], true_line["intercept_mg_cm3"]),
        )


def scan_of(one: SimulatedPatient) -> Scan:
    return checked(one.image, Acquisition(kvp=float(one.truth["spec"]["scanner"]["kvp"])))


def true_vertebrae(one: SimulatedPatient) -> Vertebrae:
    """The simulation's own bodies as an engine would return them."""
    bodies = []
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(one.bodies)
    for level, truth in one.truth["levels"].items():
        centre, volume = statistics.GetCentroid(truth["label"]), statistics.GetPhysicalSize(truth["label"]) / 1000
        bodies.append(Vertebra(level, truth["label"], centre, 1.0, truth["complete"], volume))
    return Vertebrae(one.bodies, tuple(sorted(bodies, key=lambda body: body.label)), "truth")


def summary(name: str, errors: list[float]) -> str:
    values = np.array([each for each in errors if np.isfinite(each)])
    return f"{name:50}{len(values):5d}{values.mean():8.2f}{values.std(ddof=1):8.2f}{np.abs(values).max():8.1f}"


def agreement(ideal: list[Reading], physical: list[Reading]) -> str:
    """Vertebrae without lesions, every stage on and each off in turn."""
    lines = [f"{'vertebrae without lesions, against the truth':50}{'n':>5}{'bias':>8}{'SD':>8}{'worst':>8}  mg/cm³"]
    lines.append(summary("rules in use x phantom, PHYSICS off", [each.error("in use") for each in ideal]))
    lines.append(summary("rules in use x truth line, PHYSICS off", [each.error("in use", False) for each in ideal]))
    lines += [summary(f"  {name} x phantom, PHYSICS off", [each.error(name) for each in ideal]) for name in (*VARIANTS, "true ROI")]
    lines.append(summary("rules in use x phantom, PHYSICS on", [each.error("in use") for each in physical]))
    lines.append(summary("rules in use x truth line, PHYSICS on", [each.error("in use", False) for each in physical]))
    lines.append(summary("  true ROI x truth line, PHYSICS on", [each.error("true ROI", False) for each in physical]))
    wrong = [each for each in ideal if each.left_out > 0]
    cost = np.mean([each.error("in use", False) - each.error("no rule for findings", False) for each in ideal])
    unread = sum(not np.isfinite(each.phantom_line[0]) for each in ideal)
    lines.append(f"vertebrae beside a phantom that was not read, left out of the rows x phantom: {unread} of {len(ideal)}")
    lines.append(
        f"vertebrae in which something was left out that is no finding: {len(wrong)} of {len(ideal)}; cost {cost:+.2f} mg/cm³ in the mean"
    )
    return "\n".join(lines)


def strata(ideal: list[Reading]) -> str:
    """The rules in use by kernel and slice."""
    lines = [f"{'rules in use x phantom, PHYSICS off':50}{'n':>5}{'bias':>8}{'SD':>8}{'worst':>8}  mg/cm³"]
    groups = {kernel: [each for each in ideal if each.kernel == kernel] for kernel in dict.fromkeys(KERNELS)}
    groups |= {f"slices of {mm:g} mm": [each for each in ideal if each.slice_mm == mm] for mm in sorted(set(SLICES_MM))}
    return "\n".join(lines + [summary(name, [each.error("in use") for each in group]) for name, group in groups.items() if len(group) > 1])


def lesion_table(lesions: list[Reading]) -> str:
    """Lesions that move the mean of the ROI by more than 10 mg/cm³, and what is left of that."""
    with_truth = [each for each in lesions if each.kind and each.truth is not None and np.isfinite(each.phantom_line[0])]
    moved = [each for each in with_truth if abs(each.error("no rule for findings")) > 10]
    lines = [
        f"{'lesions that put the plain mean off by > 10':30}{'n':>5}{'found':>7}{'plain bias':>12}{'SD':>7}{'excluded bias':>15}{'SD':>7}{'|error| <= 5':>14}"
    ]
    for kind in ("lytic", "blastic", "mixed", "island", "all"):
        group = [each for each in moved if kind in (each.kind, "all")]
        if len(group) > 1:
            plain, left = (np.array([each.error(name) for each in group]) for name in ("no rule for findings", "in use"))
            found = sum(each.left_out > 0 for each in group)
            lines.append(
                f"{kind:30}{len(group):5d}{found:7d}{plain.mean():12.1f}{plain.std(ddof=1):7.1f}"
                f"{left.mean():15.2f}{left.std(ddof=1):7.1f}{np.mean(np.abs(left) <= 5):14.0%}"
            )
    lines.append("found ones by the share of the ROI that was left out: n, mean |error|, worst (mg/cm³)")
    found = [each for each in with_truth if each.left_out > 0]
    for low, high in ((0.0, 0.2), (0.2, 0.35), (0.35, 0.5), (0.5, 1.0)):
        errors = np.abs([each.error("in use") for each in found if low < each.left_out <= high])
        if len(errors):
            lines.append(f"  {low:.0%} to {high:.0%}: {len(errors):3d} {errors.mean():6.1f} {errors.max():6.1f}")
    return "\n".join(lines)


def heights_table(patients: int) -> str:
    """Loss of height of true bodies, drawn on 1 x 1 x 2.5 mm: fractured ones that are flagged, intact ones that are."""
    rows = []
    for index in range(patients):
        rng = np.random.default_rng(FRACTURE_SEED + index)
        chosen = rng.choice(LEVELS, int(rng.integers(0, 3)), replace=False)
        fractures = tuple(
            Fracture(str(level), str(rng.choice(["wedge", "biconcave", "crush"])), float(rng.uniform(0.15, 0.5))) for level in chosen
        )
        findings = Findings(degeneration=float(rng.uniform(0, 0.8)), scoliosis_deg=float(rng.normal(0, 8)), fractures=fractures)
        spec = PatientSpec(seed=FRACTURE_SEED + index, sex=str(rng.choice(["F", "M"])), age=float(rng.uniform(40, 85)), findings=findings)
        found = drawn_heights(spec)
        rows += [(densitometry.height_loss(found, level), getattr(findings.fracture(level), "loss", 0.0)) for level in LEVELS]
    loss, truth = np.array(rows).T
    lines = ["loss of height, true bodies: vertebrae, flagged at 15 %, taken for fractured at 20 %"]
    for name, group in (("intact", truth == 0), ("lost 15-25 %", (truth > 0) & (truth < 0.25)), ("lost 25 % or more", truth >= 0.25)):
        warned, fractured = (
            float(np.mean(loss[group] >= limit)) for limit in (densitometry.HEIGHT_LOSS_WARN, densitometry.HEIGHT_LOSS_FRACTURE)
        )
        lines.append(f"  {name:20}{int(group.sum()):5d}{warned:9.1%}{fractured:9.1%}")
    return "\n".join(lines)


def drawn_heights(spec: PatientSpec) -> dict[str, densitometry.Heights]:
    """Heights of T11 to L5 of a person, from bodies drawn one by one."""
    spine = person_of(spec).spine
    shown = [level for level in ("T11", *LEVELS, "L5")]
    ups = superior_axes([spine.body(level).frame.origin for level in shown])
    found = {}
    for level, up in zip(shown, ups):
        body, spacing = spine.body(level), np.array([1.0, 1.0, 2.5])
        low, high = body.bounds
        x, y, z = (np.arange(a - 3 * s, b + 3 * s, s) for a, b, s in zip(low, high, spacing))
        image = sitk.GetImageFromArray((body.distance(x[None, None, :], y[None, :, None], z[:, None, None]) < 0).astype(np.uint8))
        image.SetSpacing(spacing.tolist())
        image.SetOrigin([float(each[0]) for each in (x, y, z)])
        roi = trabecular_roi(image, up, PLAIN)
        found[level] = densitometry.heights(roi.body_points_lps_mm, roi.axes.up, -roi.axes.back)
    return found


def times() -> str:
    """Seconds of the ROI rules on 512 x 512 x 300 voxels (a smaller scan, padded)."""
    one = patient(FIRST_SEED, 0, {})
    size = np.array(one.image.GetSize())
    before = np.maximum(np.array([512, 512, 300]) - size, 0) // 2
    after = np.maximum(np.array([512, 512, 300]) - size - before, 0)
    image, bodies = (
        sitk.ConstantPad(each, before.tolist(), after.tolist(), value) for each, value in ((one.image, -1000), (one.bodies, 0))
    )
    one = replace(one, image=image, bodies=bodies)
    scan, vertebrae = checked(image), true_vertebrae(one)
    start = time.perf_counter()
    regions, _codes = regions_of(scan, vertebrae, Settings(), ("L1", "L2"))
    rules = (time.perf_counter() - start) / len(regions)
    size = " x ".join(map(str, image.GetSize()))
    return f"{size} voxels: ROI rules {rules:.2f} s a vertebra (two asked for)"


if __name__ == "__main__":
    main()
