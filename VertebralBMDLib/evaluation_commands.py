"""``vertebral-bmd evaluate``: agreement of two columns of a table, printed, and written as JSON, CSV, figures, HTML and PDF."""

from __future__ import annotations

import argparse
from pathlib import Path

from .report.files import keep_inputs

_DONE = 0


def add_evaluate(commands) -> None:
    """Add the command to the parser of `cli`."""
    evaluate = commands.add_parser("evaluate", help="agreement of two columns of a table, for example prediction and truth")
    evaluate.add_argument("table", type=Path, metavar="TABLE", help="CSV, for example measurements.csv joined with a reference")
    evaluate.add_argument("--reference", required=True, metavar="COLUMN", help="what is taken as true, mg/cm³")
    evaluate.add_argument("--predicted", required=True, metavar="COLUMN", help="what is judged, mg/cm³")
    evaluate.add_argument("--group", metavar="COLUMN", help="names the patient; intervals are then bootstrapped by patient")
    evaluate.add_argument("--level", default="level", metavar="COLUMN", help="names the vertebra; a patient and level must be there once")
    evaluate.add_argument("--unit", choices=("vertebra", "patient"), default="vertebra", help="patient: the mean of each patient's rows")
    evaluate.add_argument("--split", metavar="COLUMN", help="train, validation or test; screening cuts are chosen on validation rows only")
    evaluate.add_argument("--interval", type=_interval, metavar="LOW,HIGH", help="columns of a 95 %% interval, whose coverage is checked")
    evaluate.add_argument("--probability", metavar="COLUMN", help="probability of the event, 0 to 1, whose calibration is checked")
    evaluate.add_argument(
        "--event",
        choices=("low_bone_mass", "osteoporosis"),
        default="low_bone_mass",
        help="what the probability is of; the first includes both",
    )
    evaluate.add_argument("--thresholds", default="acr", metavar="NAME", help="limits of the categories: a name in Resources/Thresholds")
    evaluate.add_argument("--simulated", action="store_true", help="the reference is the truth of a simulation; every page says so")
    evaluate.add_argument("--resamples", type=_resamples, default=2000, metavar="N", help="of the bootstrap; 0 for none")
    evaluate.add_argument("--seed", type=int, default=1, help="of the bootstrap")
    evaluate.add_argument("--output", type=Path, metavar="DIR", help="also write the files of the evaluation")
    evaluate.set_defaults(command=_evaluate)


def _interval(text: str) -> tuple[str, str]:
    names = tuple(name.strip() for name in text.split(","))
    if len(names) != 2 or not all(names):
        raise argparse.ArgumentTypeError(f"give two columns such as low,high, not {text!r}")
    return names


def _resamples(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"give a number of resamples, 0 or more, not {text!r}")
    return int(text)


def _evaluate(options) -> int:
    """Print the tables and write the files. Raises ValueError for a table that cannot be evaluated."""
    from .cohort.columns import Columns, read_pairs
    from .cohort.estimates import Resampling
    from .cohort.evaluation import Options, evaluate
    from .cohort.presentation import text
    from .cohort.report import FILES, write_evaluation

    if options.output is not None:
        keep_inputs(options.output, FILES, (options.table,))
    columns = Columns(
        options.reference, options.predicted, options.group, options.level, options.split, options.probability, options.interval
    )
    pairs = read_pairs(options.table, columns, options.unit)
    resampling = Resampling(options.resamples, options.seed)
    document = evaluate(pairs, columns, Options(options.thresholds, options.event, options.simulated, resampling))
    print(text(document), end="")
    if options.output is not None:
        write_evaluation(document, pairs, options.output)
        print(f"\nWritten to {options.output}: {', '.join(name for name in FILES if (options.output / name).exists())}")
    return _DONE
