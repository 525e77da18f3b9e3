"""What ``batch`` is given, as cases: folders, patterns, scans, and manifests with options for each case."""

from __future__ import annotations

import argparse
import csv
import glob
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..calibration.request import parsed
from ..loading import is_dicom
from ..measure_options import defaults, settings_of, with_cells
from ..settings import Settings

#: The tables in the output folder.
TABLE, STATUS = "measurements.csv", "batch.csv"

_IMAGES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")

#: What an id may not hold, because it is the name of a folder on any system.
_NOT_IN_AN_ID = re.compile(r'[<>:"/\\|?*\x00-\x1f]|^[.\s]|[.\s]$')


@dataclass(frozen=True)
class Case:
    """One scan to measure. ``id``: its name in the tables and of its folder. Paths are absolute."""

    id: str
    scan: Path
    settings: Settings
    series: str | None = None
    scene: bool = False

    @property
    def files(self) -> dict[str, Path]:
        """The scan and every file that its options name, by the name of the option."""
        own = {name: getattr(self.settings, name) for name in ("bodies", "rods", "roi")}
        asked = {"calibration" if i == 0 else f"calibration {i + 1}": each.file for i, each in enumerate(parsed(self.settings.calibration))}
        return {"scan": self.scan} | {name: path for name, path in (own | asked).items() if path is not None}


@dataclass(frozen=True)
class _Found:
    """A scan before it has an id. ``place``: its path as the user sees it; ``id``: "" where the user gave none."""

    scan: Path
    place: Path
    options: argparse.Namespace
    id: str = ""


def read_cases(inputs: Sequence[str], output: Path, options: argparse.Namespace, names: str = "number") -> tuple[Case, ...]:
    """The cases of ``inputs``, in their order.

    An input is a scan, a folder (every image file in it and below, and every folder that itself holds DICOM files), a pattern
    such as ``data/*/scan.nii.gz``, or a manifest (.csv): a row a case, with the columns scan (relative to the manifest), case
    (its id) and any option of ``measure``. ``options``: those for all cases. ``names``: ids of cases that have none:
    "number", because names of files may hold a patient's, or "path". A scan that is not there is left to be refused.

    Raises ValueError for an input that holds no scan, a wrong manifest (its line and column), unusable or repeated ids, and
    an ``output`` that is an input.
    """
    common = with_cells(options, {}, Path.cwd())
    found = [each for text in inputs for each in _found(text, output.resolve(), common)]
    if not found:
        raise ValueError("no scan is given besides the output folder")
    ids = [each.id or (f"case-{number:04d}" if names == "number" else _name(each)) for number, each in enumerate(found, 1)]
    for case, count in Counter(name.casefold() for name in ids).items():
        if count > 1:
            raise ValueError(f"case {case} is there {count} times; give every scan an id of its own in a manifest's column case")
    return tuple(
        Case(name, each.scan, settings_of(each.options), each.options.series, each.options.scene) for name, each in zip(ids, found)
    )


def write_key(cases: Sequence[Case], path: Path) -> None:
    """Which case is which scan, as a manifest. It names files, which may hold a patient's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("case", "scan"))
        writer.writerows((case.id, case.scan) for case in cases)


def _found(text: str, output: Path, common: argparse.Namespace) -> list[_Found]:
    """The scans of one input."""
    if text.lower().endswith(".csv"):
        return list(_of_manifest(Path(text), output, common))
    given = [Path(text)] if Path(text).exists() else [Path(match) for match in sorted(glob.glob(text, recursive=True))]
    if any(path.resolve() == output for path in given):
        # A pattern such as data/* also finds what an earlier run wrote there.
        if not (output / STATUS).exists():
            raise ValueError("the output folder is one of the inputs; choose another --output")
        given = [path for path in given if path.resolve() != output]
        if not given:
            return []
    scans: dict[Path, Path] = {}
    for path in given:
        for scan in _scans_in(path, output, set()) if path.is_dir() else [path.parent if _is_slice(path) else path]:
            scans.setdefault(scan.absolute(), scan.relative_to(path) if path in scan.parents else scan)
    if not scans:
        raise ValueError(f"{text} holds no scan: give a folder with DICOM, NIfTI, NRRD or MetaImage files, a pattern or a manifest")
    return [_Found(scan, place, common) for scan, place in scans.items()]


def _scans_in(folder: Path, output: Path, seen: set[Path]) -> Iterator[Path]:
    """Image files, and folders that themselves hold DICOM files, in and below ``folder``; neither ``output`` nor hidden ones."""
    if folder.resolve() in {output, *seen}:
        return
    seen.add(folder.resolve())
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        images = [entry for entry in entries if is_image(entry) and entry.is_file()]
        folders = [entry for entry in entries if entry.is_dir()]
        series = any(_is_slice(entry) for entry in entries)
    except OSError:
        # One folder that cannot be read is one case that will be refused for it.
        images, folders, series = [], [], True
    yield from images
    if series:
        yield folder
        return
    for below in folders:
        yield from _scans_in(below, output, seen)


def is_image(path: Path) -> bool:
    """True for a name of an image file that can be a scan."""
    name = path.name.lower()
    return name.endswith(_IMAGES) and not name.endswith(".seg.nrrd")


def _is_slice(path: Path) -> bool:
    """True for a file of a DICOM series, also for one that cannot be read: the measurement will say so."""
    if is_image(path) or path.name.upper() == "DICOMDIR" or not path.is_file():
        return False
    try:
        return is_dicom(path)
    except OSError:
        return True


def _name(found: _Found) -> str:
    """An id from a path as it was given: its parts joined by "_", without the ending of an image file."""
    name = "_".join(part for part in found.place.parts if part not in (found.place.anchor, ".", "..")) or found.scan.resolve().name
    endings = [ending for ending in _IMAGES if name.lower().endswith(ending)]
    return _checked_id(name[: -len(max(endings, key=len))] if endings and not found.scan.is_dir() else name)


def _checked_id(name: str) -> str:
    if _NOT_IN_AN_ID.search(name) or len(name) > 150:
        raise ValueError(f"case {name!r} cannot be the name of a folder; use letters, digits, - and _")
    return name


def _of_manifest(path: Path, output: Path, common: argparse.Namespace) -> Iterator[_Found]:
    if path.absolute().parent.resolve() == output and path.name in (TABLE, STATUS):
        raise ValueError(f"manifest {path.name} is a table of this output folder and would be replaced; choose another --output")
    folder = path.absolute().parent
    for line, row in _rows(path):
        try:
            if not row.get("scan"):
                raise ValueError("scan is empty")
            cells = {name: text for name, text in row.items() if name not in ("scan", "case")}
            name = row.get("case", "")
            options = with_cells(common, cells, folder)
            settings_of(options)
            yield _Found(folder / row["scan"], Path(row["scan"]), options, _checked_id(name) if name else "")
        except ValueError as error:
            raise ValueError(f"manifest {path.name}, line {line}: {error}") from None


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Number of the line and cells of every row that holds something. Raises ValueError for what is no manifest."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            columns = [name.strip() for name in next(reader, [])]
            _check_columns(path, columns)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"manifest {path.name} is not a CSV file in UTF-8: {error}") from error
    except OSError as error:
        raise ValueError(f"manifest {path.name} cannot be read: {error.strerror}") from error
    rows = [(line, row) for line, row in rows if any(row)]
    if not rows:
        raise ValueError(f"manifest {path.name} holds no case")
    for line, row in rows:
        if len(row) > len(columns):
            raise ValueError(f"manifest {path.name}, line {line}: more cells than columns; put values that hold a comma in quotes")
        yield line, dict(zip(columns, row))


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    known = ("scan", "case", *defaults())
    unknown = [name for name in columns if name not in known]
    if unknown:
        raise ValueError(f"manifest {path.name}: unknown columns {', '.join(map(repr, unknown))}; known are {', '.join(known)}")
    if "scan" not in columns or len(set(columns)) < len(columns):
        raise ValueError(f"manifest {path.name} needs a column scan, and every column once")
