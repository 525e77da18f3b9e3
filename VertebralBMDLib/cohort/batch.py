"""Many scans into one folder: a folder a case, one table of all, and going on where an earlier run stopped.

    OUTPUT/CASE/            the files of ``measure``, and finished.json once they are all there
    OUTPUT/measurements.csv a row per vertebra as ``measure`` writes it, after a column case
    OUTPUT/batch.csv        a row per case: measured, refused (by which codes) or failed (why)

A case is finished for good when the same program with the same models and settings read the same files. One run at a time
for each folder.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from .. import __version__
from ..network.density import DENSITY
from ..network.models import identity
from ..network.segmentation import LOCALISE, REFINE
from ..quality import Code, Refused
from ..report.table import COLUMNS
from ..worker import settings_to_json
from ..worker_client import Worker
from .cases import STATUS, TABLE, Case, is_image

FINISHED = "finished.json"

#: A detached header (MetaImage, NRRD) has its voxels in one of these beside it.
_DETACHED = (".raw", ".zraw", ".raw.gz")

#: Share of the time that may go into rewriting the tables while cases are measured.
_TABLE_SHARE = 0.05

_THREADS = ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


@dataclass(frozen=True)
class Outcome:
    """What became of a case: ``status`` measured, refused or failed; ``refusals``: codes; ``message``: why it failed."""

    case: str
    status: str
    refusals: tuple[str, ...] = ()
    message: str = ""

    def __str__(self) -> str:
        return f"{self.case} {self.status} {', '.join(self.refusals) or self.message}".rstrip()


def run_batch(
    cases: Sequence[Case],
    output: Path,
    workers: int = 1,
    progress: Callable[[int, Outcome | None], None] = lambda done, outcome: None,
    log: bool = False,
) -> list[Outcome]:
    """Measure the cases that ``output`` does not hold yet, in ``workers`` processes; returns the outcomes, in order.

    ``progress``: called with the number of cases done, first without an outcome for those of an earlier run. ``log``: show what
    the workers log, which may name files. Raises Refused for an incomplete installation, OSError when ``output`` cannot be
    written, ValueError for less than one worker. The tables are up to date however it ends.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    output.mkdir(parents=True, exist_ok=True)
    marks = _fingerprints(cases)
    outcomes = {case.id: outcome for case in cases if (outcome := _finished(output / case.id, marks[case.id]))}
    todo = [case for case in cases if case.id not in outcomes]
    progress(len(outcomes), None)
    tables = _Tables(cases, output)
    tables.write(outcomes)
    try:
        with closing(_measured(todo, output, marks, workers, log)) as measured:
            for outcome in measured:
                outcomes[outcome.case] = outcome
                progress(len(outcomes), outcome)
                tables.refresh(outcomes)
    finally:
        tables.write(outcomes)
    return [outcomes[case.id] for case in cases]


def _measured(todo: Sequence[Case], output: Path, marks: dict[str, str], workers: int, log: bool) -> Iterator[Outcome]:
    """The outcomes of cases as they come; workers are killed when the caller closes this before the end."""
    workers = min(workers, len(todo))
    crew = [Worker(_environment(workers), log) for _ in range(workers)]
    idle: SimpleQueue[Worker] = SimpleQueue()
    for worker in crew:
        idle.put(worker)

    def measured(case: Case) -> Outcome:
        worker = idle.get()
        try:
            return _measure(case, output / case.id, marks[case.id], worker)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(max(workers, 1))
    try:
        for future in as_completed([pool.submit(measured, case) for case in todo]):
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in crew:
            worker.close()
        pool.shutdown()


def _measure(case: Case, folder: Path, mark: str, worker: Worker) -> Outcome:
    """One case in its folder. Raises Refused for an incomplete installation."""
    for name in (FINISHED, "measurement.json"):
        # Results of an earlier run must not pass for this one's when it fails.
        (folder / name).unlink(missing_ok=True)
    request = dict(command="measure", scan=str(case.scan), output=str(folder.absolute()), series=case.series, scene=case.scene)
    end = worker.answer(request | dict(settings=settings_to_json(case.settings)))
    if end["event"] == "error":
        if end["code"] is not None:
            raise Refused(Code(end["code"]))
        return Outcome(case.id, "failed", message=_without_names(end["message"], case))
    outcome = _outcome(folder)
    _replace(folder / FINISHED, json.dumps({"fingerprint": mark}) + "\n")
    return outcome


def _without_names(message: str, case: Case) -> str:
    """``message`` with the option instead of every file of the case, because names of files may hold a patient's."""
    for option, path in case.files.items():
        below = r"[^'\"\n]*" if option == "scan" else ""
        message = re.sub(rf"(?<!\w)({re.escape(str(path))}{below}|{re.escape(path.name)}(?!\w))", option, message)
    return " ".join(message.split())


def _outcome(folder: Path) -> Outcome:
    """What measurement.json says."""
    refusals = tuple(json.loads((folder / "measurement.json").read_text(encoding="utf-8"))["patient"]["refusals"])
    return Outcome(folder.name, "refused" if refusals else "measured", refusals)


def _finished(folder: Path, mark: str) -> Outcome | None:
    """The outcome of an earlier run on the same input with the same settings."""
    try:
        if json.loads((folder / FINISHED).read_text(encoding="utf-8"))["fingerprint"] == mark and (folder / TABLE).exists():
            return _outcome(folder)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # Not there, or damaged: it is measured again.
    return None


def _fingerprints(cases: Iterable[Case]) -> dict[str, str]:
    """By id, a hash of all that a result depends on: program, models, settings, and path, size and time of every file read."""
    program = [__version__, *COLUMNS, *(identity(name).sha256 for name in (LOCALISE, REFINE, DENSITY))]
    prints = {}
    for case in cases:
        # A slice stands for the series in its folder, as in ``load``.
        series = {"scan": case.scan.parent} if case.scan.is_file() and not is_image(case.scan) else {}
        files = {option: _state(path) for option, path in (case.files | series).items()}
        parts = [program, settings_to_json(case.settings), case.series, case.scene, str(case.scan), files]
        prints[case.id] = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return prints


def _state(path: Path) -> list[tuple]:
    """Path, size and time of a file, or of every file below a folder."""
    if path.is_dir():
        files = sorted(os.path.join(folder, name) for folder, _folders, names in os.walk(path) for name in names)
    else:
        files = [path, *(path.with_suffix(ending) for ending in _DETACHED if path.suffix.lower() in (".mhd", ".nhdr"))]
    states = []
    for file in files:
        with suppress(OSError):  # What cannot be read changes the result only when it can.
            found = os.stat(file)
            states.append((str(file), found.st_size, found.st_mtime_ns))
    return states


def _environment(workers: int) -> dict[str, str]:
    """The environment of each of several workers, which share the processor's cores."""
    share = {name: str(max(1, (os.cpu_count() or 1) // workers)) for name in _THREADS} if workers > 1 else {}
    return share | os.environ


class _Tables:
    """measurements.csv and batch.csv of what is known so far, each replaced in one step."""

    def __init__(self, cases: Sequence[Case], output: Path):
        self._cases, self._output = cases, output
        self._due = 0.0

    def refresh(self, outcomes: dict[str, Outcome]) -> None:
        """Write them again, unless too much time would go into it: in a large batch they may lag behind the folders."""
        started = time.monotonic()
        if started >= self._due:
            with suppress(PermissionError):  # Another program (Excel on Windows) may hold one open; the end must not.
                self.write(outcomes)
            took = time.monotonic() - started
            self._due = time.monotonic() + took / _TABLE_SHARE

    def write(self, outcomes: dict[str, Outcome]) -> None:
        """Write them, in the order of the cases."""
        known = [outcomes[case.id] for case in self._cases if case.id in outcomes]
        rows = (row for outcome in known if outcome.status != "failed" for row in self._rows(outcome.case))
        _replace(self._output / TABLE, _csv(("case", *COLUMNS), rows))
        states = ((each.case, each.status, ";".join(each.refusals), each.message) for each in known)
        _replace(self._output / STATUS, _csv(("case", "status", "refusals", "message"), states))

    def _rows(self, case: str) -> Iterator[list[str]]:
        with (self._output / case / TABLE).open(encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream)
            next(rows)
            yield from ([case, *row] for row in rows)


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()


def _replace(path: Path, text: str) -> None:
    """Put a file in its place in one step."""
    part = path.with_name(f".part-{path.name}")
    part.write_bytes(text.encode("utf-8"))
    part.replace(path)
