"""Bodies and levels of the bundled engine on simulated patients of a locked seed, with everything unusual that a column can have.

Simulated by the same program that made training data: findings and variants can be counted here as nowhere else, but how it
does on people is shown by segmentation_accuracy.py alone. The seed is used for nothing else.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from documents import parser, publish
from scores import covering, is_told, overlap

from VertebralBMDLib.network.models import identity
from VertebralBMDLib.network.segmentation import LOCALISE, REFINE
from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.scan import Scan
from VertebralBMDLib.segmentation.engines import engine_for
from VertebralBMDLib.segmentation.vertebrae import Vertebrae
from VertebralBMDLib.simulation.cohort import Case, draw_cohort
from VertebralBMDLib.simulation.findings import VARIANT_RATES, Findings, Variant, draw_findings, levels_of
from VertebralBMDLib.simulation.patient import SimulatedPatient, simulate_patient
from VertebralBMDLib.simulation.subject import SACRAL

SEED = 990055
LIBRARY = Path(__file__).resolve().parents[2] / "VertebralBMDLib"
#: One patient in so many of the cohort has metastases.
METASTATIC = 4
METASTASES = ("lytic", "blastic", "mixed")
#: Like the real scans, bodies are scored from T11 downwards; those above are listed beside.
ABOVE = tuple(f"T{n}" for n in range(1, 11))
DICE, LEVELS_SHARE, NAMED_SHARE = 0.96, 0.995, 0.95
DEFINITIONS = (
    "levels can be told: the last rib pair and the rib-less body under it lie in the field, twelve pairs in all, and either T1 too",
    "  or the sacrum under five rib-less bodies of which none joins it. Transitional anatomy is visible where another number of rib",
    "  pairs (T1 to the last pair in the field) or of rib-less bodies (last pair to the sacrum in the field) can be counted.",
    "names: counted from T1 where it lies whole in the field. Where it does not, nothing tells eleven or thirteen thoracic vertebrae",
    "  from twelve, and names are judged by the convention of radiology that the last thoracic vertebra is then called T12.",
    "right: every body that was found bears its name and no doubt is raised (that the anatomy is transitional is no doubt where it",
    "  is); told: the result says that names are uncertain or the anatomy is transitional, or nothing was found; silent: a body",
    "  bears a wrong name and nothing says so (L1/L2: one of these).",
)


@dataclass(frozen=True)
class Body:
    """A true body that lies whole in the field: its true level, its name as ``names_of`` has it, Dice of ours that covers it
    (0: missed), and the name of that one."""

    level: str
    name: str
    dice: float
    named: str | None
    silent: bool


@dataclass(frozen=True)
class Outcome:
    """What became of one patient; ``doubted``: names are withheld without reason; ``false_bodies``: of ours, on no true body."""

    id: str
    variant: Variant
    fractured: bool
    metastatic: bool
    scoliosis_deg: float
    enhanced: bool
    slice_mm: float
    determinable: bool
    visible: bool
    transitional: bool
    doubted: bool
    refusal: str | None
    bodies: tuple[Body, ...]
    false_bodies: int

    @property
    def silent(self) -> bool:
        """Any body bears a wrong name and nothing says so."""
        return any(body.silent for body in self.bodies)

    @property
    def right(self) -> bool:
        """Every body that was found bears its name, and nothing is doubted."""
        return not (self.doubted or self.refusal) and all(body.named in (body.name, None) for body in self.bodies)

    @property
    def conventional(self) -> bool:
        """Any name is right by the convention alone, and counted from a T1 out of the field another."""
        return any(body.named == body.name != body.level for body in self.bodies)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--patients", type=int, default=60, help="of the varied cohort")
    arguments.add_argument("--variants", type=int, default=36, help="patients more, whose column has one variant after the other")
    arguments.add_argument("--cache", type=Path, metavar="DIR", help="results of finished patients, so that a run goes on where it was")
    arguments.add_argument("--workers", type=int, default=os.cpu_count())
    options = arguments.parse_args()
    # Each worker simulates and reads a patient on one core.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
    outcomes = run(cohort(options.patients) + with_variants(options.variants), options.cache, options.workers)
    publish("segmentation_simulated", table(outcomes), options.write)


def cohort(count: int) -> tuple[Case, ...]:
    """The varied cohort, one patient in four with metastases."""
    cases = list(draw_cohort(SEED, count, "varied")) if count else []
    for index in range(METASTATIC - 1, count, METASTATIC):
        spec, rng = cases[index].spec, np.random.default_rng([SEED, index])
        findings = draw_findings(rng, spec.sex, spec.age, spec.vbmd, "metastatic")
        cases[index] = replace(cases[index], spec=replace(spec, findings=findings))
    return tuple(cases)


def with_variants(count: int) -> tuple[Case, ...]:
    """Patients of another cohort, each with the next of the unusual columns; findings in levels that it lacks are left out."""
    cases = draw_cohort(SEED + 1, count, "varied") if count else ()
    variants = list(VARIANT_RATES)
    return tuple(
        replace(case, id=f"V{case.id[1:]}", spec=replace(case.spec, findings=_varied(case.spec.findings, variants[index % len(variants)])))
        for index, case in enumerate(cases)
    )


def _varied(findings: Findings, variant: Variant) -> Findings:
    levels = levels_of(variant)
    kept = {name: tuple(each for each in getattr(findings, name) if each.level in levels) for name in ("fractures", "lesions")}
    return replace(findings, variant=variant, **kept)


def run(cases: Sequence[Case], cache: Path | None, workers: int) -> list[Outcome]:
    """The outcome of every case, in their order; what ``cache`` holds of this very program and these networks is not done again."""
    files: dict[str, Path] = {}
    if cache:
        cache.mkdir(parents=True, exist_ok=True)
        program = fingerprint()
        files = {case.id: cache / f"{case.id}-{_digest(repr(case.spec))}-{program}.json" for case in cases}
    done = {key: _stored(path) for key, path in files.items() if path.exists()}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for finished in as_completed([pool.submit(outcome, case) for case in cases if case.id not in done]):
            one = finished.result()
            done[one.id] = one
            if cache:
                temporary = files[one.id].with_suffix(".part")
                temporary.write_text(json.dumps(asdict(one)), encoding="utf-8")
                temporary.replace(files[one.id])
    return [done[case.id] for case in cases]


def fingerprint() -> str:
    """Of everything that an outcome depends on: the networks, what reads with them, what simulates, and what compares."""
    parts = [identity(name).sha256 for name in (LOCALISE, REFINE)] + [
        inspect.getsource(each) for each in (outcome, read, _body, shown, names_of, is_usual)
    ]
    files = [Path(__file__).with_name("scores.py"), LIBRARY / "grid.py"]
    files += [path for room in ("segmentation", "network", "simulation") for path in sorted((LIBRARY / room).glob("*.py"))]
    parts += [path.read_text(encoding="utf-8") for path in files]
    return _digest("".join(parts))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _stored(path: Path) -> Outcome:
    values = json.loads(path.read_text(encoding="utf-8"))
    return Outcome(**values | {"bodies": tuple(Body(**body) for body in values["bodies"])})


def outcome(case: Case) -> Outcome:
    """Simulate a patient, read the scan, and compare with the truth."""
    patient, spec = simulate_patient(case.spec), case.spec
    column = patient.truth["column"]
    complete = {level: of["label"] for level, of in patient.truth["levels"].items() if of["complete"]}
    vertebrae, refusal = read(patient)
    found, true = (sitk.GetArrayViewFromImage(image) for image in (vertebrae.label_map, patient.bodies))
    determinable, visible = shown(column, complete, sacrum=spec.levels[1] in SACRAL)
    transitional = Code.TRANSITIONAL_ANATOMY in vertebrae.flags
    names = names_of(column["levels"], complete)
    return Outcome(
        id=case.id,
        variant=spec.findings.variant,
        fractured=bool(spec.findings.fractures),
        metastatic=any(lesion.kind in METASTASES for lesion in spec.findings.lesions),
        scoliosis_deg=spec.findings.scoliosis_deg,
        enhanced=spec.contrast != "none",
        slice_mm=max(spec.scanner.thickness_mm or 0.0, spec.spacing_mm[2]),
        determinable=determinable,
        visible=visible,
        transitional=transitional,
        doubted=Code.LEVEL_UNCERTAIN in vertebrae.flags or (transitional and is_usual(column)),
        refusal=refusal,
        bodies=tuple(_body(level, names[level], true == label, found, vertebrae) for level, label in complete.items()),
        false_bodies=sum(float((true[found == body.label] > 0).mean()) < 0.5 for body in vertebrae.bodies),
    )


def read(patient: SimulatedPatient) -> tuple[Vertebrae, str | None]:
    """What the bundled engine finds, and why it finds nothing."""
    try:
        return engine_for("bundled", None, "cpu").segment(Scan(patient.image), lambda fraction: None), None
    except Refused as refusal:
        return Vertebrae(sitk.Image(patient.image.GetSize(), sitk.sitkUInt8), (), "bundled"), refusal.code.value


def _body(level: str, name: str, mask: np.ndarray, found: np.ndarray, vertebrae: Vertebrae) -> Body:
    label = covering(found, mask)
    if not label:
        return Body(level, name, 0.0, None, False)
    named = next(body.level for body in vertebrae.bodies if body.label == label)
    return Body(level, name, overlap(found == label, mask), named, named != name and not is_told(vertebrae, label))


def names_of(levels: Sequence[str], complete: Collection[str]) -> dict[str, str]:
    """By level of a column from T1 downwards, the name to be given, see ``DEFINITIONS``. ``complete``: levels whole in the field."""
    thoracic = [level for level in levels if level.startswith("T")]
    missing = 0 if levels[0] in complete else 12 - len(thoracic)
    return {level: f"T{number + missing}" if level.startswith("T") else level for number, level in enumerate(levels, start=1)}


def is_usual(column: dict[str, Any]) -> bool:
    """True for 17 vertebrae with twelve pairs of ribs."""
    return len(column["levels"]) == 17 and len(column["rib_pairs"]) == 12


def shown(column: dict[str, Any], complete: Sequence[str], sacrum: bool) -> tuple[bool, bool]:
    """(levels can be told, transitional anatomy is visible), see ``DEFINITIONS``.

    ``column``: of the truth; ``complete``: levels that lie whole in the field; ``sacrum``: S1 does, too.
    """
    levels, last = column["levels"], column["last_rib_pair"]
    ribless = levels[levels.index(last) + 1 :]
    last_pair = last in complete and bool(ribless) and ribless[0] in complete
    from_above, to_sacrum = last_pair and levels[0] in complete, last_pair and sacrum and levels[-1] in complete
    pairs = len(column["rib_pairs"])
    visible = (from_above and pairs != 12) or (to_sacrum and len(ribless) != 5)
    ordinary_end = to_sacrum and len(ribless) == 5 and not column["last_level_joins_sacrum"]
    return not visible and pairs == 12 and (from_above or ordinary_end), visible


def table(outcomes: Sequence[Outcome]) -> str:
    """The printed table: groups, variants, and what was to be reached."""
    groups: dict[str, Callable[[Outcome], bool]] = {
        "all": lambda one: True,
        "fractured": lambda one: one.fractured,
        "with metastases": lambda one: one.metastatic,
        "scoliosis > 10 deg": lambda one: abs(one.scoliosis_deg) > 10.0,
        "contrast": lambda one: one.enhanced,
        "slices > 3 mm": lambda one: one.slice_mm > 3.0,
    }
    lines = [
        f"simulated patients, seeds {SEED} and {SEED + 1}; Dice of complete bodies from T11 down and of those above, missed ones count 0",
        *DEFINITIONS,
    ]
    head = f"{'patients':>9}{'bodies':>7}{'Dice':>7}{'worst':>7}{'T1-T10':>8}{'missed':>7}{'false':>6}{'can be told':>12}{'right':>6}{'told':>5}{'silent':>7}{'L1/L2':>6}"
    lines.append(f"{'group':20}{head}")
    lines += [_group(name, [one for one in outcomes if belongs(one)]) for name, belongs in groups.items()]
    lines.append(
        f"{'variant':20}{'patients':>9}{'visible':>9}{'named':>7}{'can be told':>12}{'right':>6}{'told':>5}{'silent':>7}{'L1/L2':>6}"
    )
    for variant in ("none", *VARIANT_RATES):
        of = [one for one in outcomes if one.variant == variant]
        seen = [one for one in of if one.visible]
        counts = f"{len(of):9d}{len(seen):9d}{sum(one.transitional for one in seen):7d}{sum(one.determinable for one in of):12d}"
        lines.append(f"{variant:20}{counts}{_names(of)}")
    return "\n".join([*lines, *reached(outcomes)])


def _group(name: str, of: Sequence[Outcome]) -> str:
    """A row: Dice, missed and false bodies, and names."""
    low, high = ([body.dice for one in of for body in one.bodies if (body.level in ABOVE) == above] for above in (False, True))
    dice = f"{np.mean(low):7.3f}{min(low):7.3f}" if low else f"{'-':>7}{'-':>7}"
    upper = f"{np.mean(high):8.3f}" if high else f"{'-':>8}"
    missed = sum(body.named is None for one in of for body in one.bodies)
    counts = f"{missed:7d}{sum(one.false_bodies for one in of):6d}{sum(one.determinable for one in of):12d}"
    return f"{name:20}{len(of):9d}{len(low):7d}{dice}{upper}{counts}{_names(of)}"


def _names(of: Sequence[Outcome]) -> str:
    silent = [one for one in of if one.silent]
    right = sum(one.right for one in of)
    wanted = sum(any(b.silent and {"L1", "L2"} & {b.name, b.named} for b in one.bodies) for one in silent)
    return f"{right:6d}{len(of) - right - len(silent):5d}{len(silent):7d}{wanted:6d}"


def reached(outcomes: Sequence[Outcome]) -> list[str]:
    """What was to be reached, and what was."""
    dice = float(np.mean([body.dice for one in outcomes for body in one.bodies if body.level not in ABOVE]))
    telling, seen = ([one for one in outcomes if getattr(one, name)] for name in ("determinable", "visible"))
    names = [body.named == body.name and one.right for one in telling for body in one.bodies if body.named]
    silent = [one.id for one in outcomes if one.silent and not one.determinable]
    flagged = sum(one.transitional for one in seen)
    rows = [
        (f"mean Dice {dice:.3f}", f"at least {DICE}", dice >= DICE),
        (
            f"levels right and certain: {sum(one.right for one in telling)} of {len(telling)} patients who show them, {sum(names)} of {len(names)} bodies",
            f"{100 * LEVELS_SHARE:g} % of bodies",
            sum(names) >= LEVELS_SHARE * len(names),
        ),
        (
            f"transitional anatomy named in {flagged} of {len(seen)} who show it",
            f"{100 * NAMED_SHARE:g} %",
            flagged >= NAMED_SHARE * len(seen),
        ),
        (f"silently wrong where levels cannot be told: {', '.join(silent) or 'none'}", "none", not silent),
    ]
    conventional = ", ".join(one.id for one in outcomes if one.conventional)
    said = f"right by the convention alone, counted from a T1 out of the field another name: {conventional or 'none'}"
    return [f"{what} ({limit}): {'reached' if met else 'NOT reached'}" for what, limit, met in rows] + [said]


if __name__ == "__main__":
    main()
