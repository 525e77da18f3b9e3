"""False alarms of the quality checks on bodies that are right: simulated people (drawn, not scanned) and the annotated real scans.

``--findings`` leaves fractures, lesions and degeneration in the simulated people, which should raise some flags.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from documents import parser, publish

from VertebralBMDLib.quality import Code
from VertebralBMDLib.scan import Scan
from VertebralBMDLib.segmentation.body_features import BodyFeatures, crops_of, features_of, overlap_along_column
from VertebralBMDLib.segmentation.labelled import labelled_bodies, numbered_from_cranial
from VertebralBMDLib.segmentation.levels import Naming
from VertebralBMDLib.segmentation.quality_checks import USUAL_VOLUME_CM3, checked_bodies
from VertebralBMDLib.segmentation.vertebrae import Vertebra
from VertebralBMDLib.simulation.cohort import draw_cohort
from VertebralBMDLib.simulation.patient import to_image
from VertebralBMDLib.simulation.person import draw_bones
from VertebralBMDLib.simulation.shapes import Canvas
from VertebralBMDLib.simulation.subject import PatientSpec, field_of_view, make_subject

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"
SOFT_TISSUE_HU = 50.0
QUANTILES = (0.0, 0.5, 50.0, 99.5, 100.0)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--patients", type=int, default=40)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--findings", action="store_true")
    options = arguments.parse_args()
    lines = report("simulated", [drawn(spec) for spec in specs(options.patients, options.seed, options.findings)])
    if DATA.exists():
        lines += report("real", [annotated(path.name[3:-7]) for path in sorted(DATA.glob("CT_*.nii.gz"))])
    publish("body_quality", "\n".join(lines), options.write)


def specs(count: int, seed: int, findings: bool) -> list[PatientSpec]:
    """People of the varied cohort on voxels of 0.8-1.2 x 1-5 mm, T1 to the sacrum, without implants."""
    rng = np.random.default_rng(seed)
    people = []
    for case in draw_cohort(seed, count, "varied"):
        plane, slices = float(rng.choice([0.8, 1.0, 1.2])), float(rng.choice([1.0, 1.5, 2.0, 3.0, 5.0]))
        kept = case.spec.findings if findings else replace(case.spec.findings, fractures=(), lesions=())
        field = dict(spacing_mm=(plane, plane, slices), size=None, levels=("T1", "S2"), phantom=None, mounting=None)
        people.append(replace(case.spec, findings=kept, contrast="none", **field))
    return people


@dataclass(frozen=True)
class Column:
    """What was found in one scan; ``complete``: bodies that the border does not cut, with what they are judged by."""

    flags: tuple[Code, ...]
    complete: tuple[tuple[Vertebra, BodyFeatures], ...]
    overlaps: list[float]


def drawn(spec: PatientSpec) -> Column:
    """The bones of a person in even soft tissue, and the true bodies."""
    subject = make_subject(spec)
    grid = field_of_view(spec, subject)
    canvas = Canvas(grid, spec.scanner.beam)
    canvas.hu[:] = SOFT_TISSUE_HU
    draw_bones(canvas, subject.person, subject.person.spine.levels)
    return column(to_image(canvas.hu, grid, np.zeros(3)), to_image(canvas.bodies, grid, np.zeros(3)))


def annotated(name: str) -> Column:
    """A real scan and its annotated bodies."""
    return column(*(sitk.ReadImage(str(DATA / f"{kind}_{name}.nii.gz")) for kind in ("CT", "BODIES")))


def column(image: sitk.Image, bodies: sitk.Image) -> Column:
    """What the checks say about a label map of bodies (VerSe numbers)."""
    numbered, levels, _centroids, complete = numbered_from_cranial(bodies)
    scan = Scan(image)
    found = checked_bodies(scan, labelled_bodies(numbered, Naming(levels, (1.0,) * len(levels)), complete, "truth"))
    crops = crops_of(scan, found.label_map, [body.label for body in found.bodies])
    overlaps = overlap_along_column([crops[body.label] for body in found.bodies])
    return Column(found.flags, tuple((body, features_of(crops[body.label])) for body in found.bodies if body.complete), overlaps)


def report(title: str, columns: list[Column]) -> list[str]:
    """Flags of the complete bodies, and the spread of what they are judged by."""
    bodies = [pair for each in columns for pair in each.complete]
    flags = Counter(flag for body, _features in bodies for flag in body.flags)
    flagged = sum(bool(body.flags) for body, _features in bodies)
    refused = sum(body.refusal is not None for body, _features in bodies)
    lines = [f"{title}: {len(columns)} columns, {len(bodies)} complete bodies; flagged {flagged} ({100 * flagged / len(bodies):.2f} %), "]
    lines[0] += f"of these not measured {refused}"
    flags += Counter(flag for each in columns for flag in each.flags)
    lines += [f"  {flag.value:22}{count:9d}" for flag, count in flags.most_common()]
    lines.append(f"  {'quantiles, %':22}" + "".join(f"{q:9g}" for q in QUANTILES))
    values = {field.name: [getattr(found, field.name) for _body, found in bodies] for field in fields(BodyFeatures)}
    values["of usual volume"] = [body.volume_cm3 / USUAL_VOLUME_CM3[body.level] for body, _features in bodies]
    values["overlap mm"] = [reach for each in columns for reach in each.overlaps]
    lines += [f"  {name:22}" + "".join(f"{v:9.3f}" for v in np.percentile(of, QUANTILES)) for name, of in values.items()]
    levels = dict.fromkeys(body.level for body, _features in bodies)
    means = {level: np.exp(np.mean([np.log(body.volume_cm3) for body, _f in bodies if body.level == level])) for level in levels}
    return [*lines, "  mean volumes, cm³: " + ", ".join(f"{level} {mean:.1f}" for level, mean in means.items())]


if __name__ == "__main__":
    main()
