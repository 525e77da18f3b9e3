"""``vertebral-bmd simulate patient | phantom | cohort``: options, and what they call."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

#: The first is meant when none is given: `simulate --output DIR` is `simulate patient --output DIR`.
KINDS = ("patient", "phantom", "cohort")


def add_simulate(commands) -> None:
    """Add the command to the parser of `cli`."""
    simulate = commands.add_parser("simulate", help="simulate patients, phantom scans or cohorts with known density")
    kinds = simulate.add_subparsers(required=True, metavar="|".join(KINDS))
    for add in (_add_patient, _add_phantom, _add_cohort):
        add(kinds)


def _add_patient(kinds) -> None:
    patient = kinds.add_parser("patient", help="one patient (the default: `simulate --output DIR` works too)")
    patient.add_argument("--output", type=Path, required=True, metavar="DIR")
    patient.add_argument("--seed", type=int, default=1)
    patient.add_argument("--sex", choices=("F", "M"), default="F")
    patient.add_argument("--age", type=float, default=60.0, metavar="YEARS")
    patient.add_argument(
        "--vbmd", type=float, metavar="MG_CM3", help="vBMD of L1 as CaHA at 120 kVp; drawn from age and sex when not given"
    )
    unusual = patient.add_mutually_exclusive_group()
    unusual.add_argument(
        "--findings", type=Path, metavar="FILE", help='JSON like {"fractures": [{"level": "L1", "kind": "wedge", "loss": 0.3}]}'
    )
    unusual.add_argument(
        "--population",
        choices=("plain", "healthy", "general", "metastatic"),
        default="plain",
        help="what else the spine shows: nothing; a little degeneration; variants, fractures, islands; metastases too",
    )
    patient.add_argument("--contrast", choices=("none", "arterial", "portal"), default="none")
    patient.add_argument("--levels", type=_from_to, default=("T9", "S1"), metavar="T9,S1", help="uppermost and lowest level in the field")
    _add_scanner(patient, None, "a name in the catalogue or a JSON file of that form")
    patient.set_defaults(command=_patient)


def _add_scanner(parser: argparse.ArgumentParser, phantom: str | None, phantom_help: str) -> None:
    parser.add_argument("--phantom", metavar="NAME", default=phantom, help=phantom_help)
    parser.add_argument("--kvp", type=int, default=120)
    parser.add_argument("--kernel", default="STANDARD")
    parser.add_argument("--noise-hu", type=float, default=15.0, help="SD at the centre of the body")
    parser.add_argument("--spacing-mm", type=_spacing, default=(0.8, 0.8, 2.5), metavar="X,Y,Z")
    parser.add_argument("--thickness-mm", type=float, help="of the slices; as far as they are apart when not given")
    parser.add_argument("--ideal-physics", action="store_true", help="no beam hardening and no scatter")
    parser.add_argument("--dicom", action="store_true", help="write a DICOM series too")


def _add_phantom(kinds) -> None:
    phantom = kinds.add_parser("phantom", help="a scan of a phantom alone, for asynchronous calibration and quality assurance")
    phantom.add_argument("--output", type=Path, required=True, metavar="DIR")
    phantom.add_argument("--seed", type=int, default=1)
    phantom.add_argument("--slices", type=int, default=48)
    _add_scanner(phantom, "mindways-model3-qa", "a name in the catalogue (esp: the spine phantom) or a JSON file of that form")
    phantom.set_defaults(command=_phantom)


def _add_cohort(kinds) -> None:
    cohort = kinds.add_parser("cohort", help="a cohort drawn from the paper's population; a second run goes on where it stopped")
    cohort.add_argument("--output", type=Path, required=True, metavar="DIR")
    cohort.add_argument("--seed", type=int, default=1)
    cohort.add_argument("--cases", type=int, default=749)
    cohort.add_argument("--protocol", choices=("paper", "varied"), default="paper", help="everyone as in the paper, or many sites")
    cohort.add_argument("--kind", choices=("scans", "fields", "crops"), default="scans", help="full scans, 3 mm fields, crops of L1 and L2")
    cohort.add_argument("--dicom", action="store_true", help="write DICOM series too")
    cohort.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    cohort.set_defaults(command=_cohort)


def _from_to(text: str) -> tuple[str, str]:
    levels = tuple(level.strip().upper() for level in text.split(","))
    if len(levels) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form T9,S1")
    return levels


def _spacing(text: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(value) for value in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 0.8,0.8,2.5") from None
    return x, y, z


def _scanner(options):
    from .scanner import PHYSICS, Scanner

    physics = {} if options.ideal_physics else PHYSICS
    return Scanner(options.kvp, options.kernel, options.thickness_mm, noise_hu=options.noise_hu, **physics)


def _patient(options) -> int:
    import numpy as np

    from .files import write_case
    from .findings import Findings, draw_findings
    from .patient import simulate_patient
    from .population import expected_vbmd
    from .subject import PatientSpec

    findings = Findings()
    if options.findings:
        findings = Findings.from_dict(_json(options.findings))
    elif options.population != "plain":
        vbmd = expected_vbmd(options.sex, options.age) if options.vbmd is None else options.vbmd
        rng = np.random.default_rng(np.random.SeedSequence([options.seed, 1]))
        findings = draw_findings(rng, options.sex, options.age, vbmd, options.population)
    spec = PatientSpec(
        options.seed,
        options.sex,
        options.age,
        options.vbmd,
        findings=findings,
        contrast=options.contrast,
        phantom=options.phantom,
        levels=options.levels,
        spacing_mm=options.spacing_mm,
        scanner=_scanner(options),
    )
    print(write_case(simulate_patient(spec), options.output, spec.examination if options.dicom else None))
    return 0


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"findings {path} is not JSON: {error}") from error


def _phantom(options) -> int:
    from .files import write_case
    from .phantom_scan import PhantomScanSpec, simulate_phantom_scan

    spec = PhantomScanSpec(options.seed, options.phantom, _scanner(options), options.spacing_mm, slices=options.slices)
    print(write_case(simulate_phantom_scan(spec), options.output, spec.examination if options.dicom else None))
    return 0


def _cohort(options) -> int:
    from .cohort import draw_cohort
    from .files import write_cohort

    cases = draw_cohort(options.seed, options.cases, options.protocol)
    print(write_cohort(cases, options.output, options.kind, options.dicom, options.workers, _Progress()))
    return 0


class _Progress:
    """Says how far a cohort is and how long the rest may take."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        self._first = self._first or (done, now)
        made = done - self._first[0]
        left = f", about {(now - self._first[1]) / made * (total - done) / 60:.0f} min left" if made and done < total else ""
        print(f"{done} of {total} cases{left}", file=sys.stderr, flush=True)
