"""``vertebral-bmd batch``: options, what it says while it runs, and its exit status."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from .measure_options import add_options

if TYPE_CHECKING:
    from .cohort.batch import Outcome

MEASURED, FAILED, REFUSED = 0, 1, 3

#: As shells have it for what was stopped by Ctrl-C.
STOPPED = 130


def add_batch(commands) -> None:
    """Add the command to the parser of `cli`."""
    batch = commands.add_parser(
        "batch", help="measure many scans into one table; a second run goes on where it stopped", allow_abbrev=False
    )
    batch.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="folder, scan, pattern such as 'data/*/scan.nii.gz', or manifest: a CSV file with the columns scan, case (an id) and any "
        "option of measure by its long name",
    )
    batch.add_argument("--output", type=Path, required=True, metavar="DIR")
    batch.add_argument("--workers", type=int, default=1, metavar="N", help="scans measured at a time, each in a process of its own")
    batch.add_argument(
        "--names",
        choices=("number", "path"),
        default="number",
        help="what cases without an id are called; paths may hold names of patients, and then so do the tables",
    )
    batch.add_argument("--key", type=Path, metavar="FILE", help="write here which case is which scan; the file is a manifest for batch")
    add_options(batch, one_scan=False)
    batch.set_defaults(command=_batch)


def _batch(options) -> int:
    """Measure all cases; 1 when one failed, else 3 when one was refused."""
    from .cohort.batch import run_batch
    from .cohort.cases import STATUS, TABLE, read_cases, write_key
    from .report.files import keep_inputs

    try:
        cases = read_cases(options.inputs, options.output, options, options.names)
        if options.key is not None:
            keep_inputs(options.key.parent, (options.key.name,), [Path(each) for each in options.inputs])
            write_key(cases, options.key)
        outcomes = run_batch(cases, options.output, options.workers, _Progress(len(cases)), options.verbose)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return STOPPED
    print(f"{summary(outcomes)}\nTable: {options.output / TABLE}\nCases: {options.output / STATUS}")
    states = {outcome.status for outcome in outcomes}
    return FAILED if "failed" in states else REFUSED if "refused" in states else MEASURED


def summary(outcomes: list[Outcome]) -> str:
    """How many cases were measured, refused and why, and failed."""
    states = Counter(outcome.status for outcome in outcomes)
    codes = Counter(code for outcome in outcomes for code in outcome.refusals)
    why = f" ({', '.join(f'{code} x {count}' for code, count in codes.most_common())})" if codes else ""
    return f"{len(outcomes)} cases: {states['measured']} measured, {states['refused']} refused{why}, {states['failed']} failed"


class _Progress:
    """Says on stderr what became of each case and how long the rest may take."""

    def __init__(self, total: int):
        self._total, self._started, self._before = total, time.monotonic(), 0

    def __call__(self, done: int, outcome: Outcome | None) -> None:
        if outcome is None:
            self._before = done
            text = f"{done} of {self._total} cases are finished already" if done else f"{self._total} cases"
        else:
            minutes = (time.monotonic() - self._started) / (done - self._before) * (self._total - done) / 60
            left = f" (about {minutes:.0f} min left)" if done < self._total else ""
            text = f"{done} of {self._total}: {outcome}{left}"
        print(text, file=sys.stderr, flush=True)
