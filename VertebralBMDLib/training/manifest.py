"""The manifest of a hospital's own cohort: a CSV with a row for each vertebra, its scan and its reference density.

Everything that is wrong is listed at once, by the numbers of the lines: neither patients nor files are named, because names of
files may hold a patient's.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ..network.density import MATERIAL
from .manifest_checks import check_rows
from .manifest_rows import DENSITIES, DENSITY, Cells, Row
from .problems import Problems

_NEEDED = ("scan", "patient", "site", "sex", "age")
_OPTIONAL = ("level", "roi", "bodies", "series", "material", "split", "fold")
_KNOWN = (*_NEEDED, *_OPTIONAL, *DENSITIES)


@dataclass(frozen=True)
class Manifest:
    """``name``: of the file; ``material``: of every reference density (CaHA or K2HPO4)."""

    name: str
    material: str
    rows: tuple[Row, ...]


def read_manifest(path: Path, material: str = MATERIAL) -> Manifest:
    """Read and check the manifest of a cohort (UTF-8, commas, decimals with a point; paths relative to the file).

    Columns: scan (DICOM folder, NIfTI, NRRD or MetaImage), patient (a pseudonym), site, sex (F, M, O), age (years), level or roi
    (label map) or both, and the reference as reference_vbmd_mg_cm3 with a column material, or as
    reference_vbmd_mg_cm3_CaHA; where they are wanted bodies (label map), series (UID), split (train, test) and fold (0-4).
    ``material``: what the network is to read. No factor between materials holds for every scanner, so none is applied
    (qct_facts 2.8).

    Raises ManifestError, a ValueError, which lists every problem with its lines and remedy.
    """
    problems = Problems(path.name)
    header, table = _table(path, problems)
    _check_header(header, table, problems)
    problems.raise_any()
    read = Cells(path.absolute().parent, header, material, problems)
    for line, cells in table:
        if len(cells) != len(header):
            problems.add([line], "more or fewer cells than columns", "Put values that hold a comma in quotes.")
    rows = [read.row(line, dict(zip(header, cells))) for line, cells in table if len(cells) == len(header)]
    check_rows(rows, header, problems)
    problems.raise_any()
    return Manifest(path.name, material, tuple(rows))


def _table(path: Path, problems: Problems) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and (line, cells) of every row that holds something."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            header = [name.strip() for name in next(reader, [])]
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (UnicodeDecodeError, csv.Error):
        problems.add((), "it is not a CSV file in UTF-8", "Save it as CSV UTF-8.")
        problems.raise_any()
    return header, [(line, row) for line, row in rows if any(row)]


def _check_header(header: list[str], rows: list[tuple[int, list[str]]], problems: Problems) -> None:
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        problems.add((), "it is not separated by commas", "Save it as CSV with commas.")
        return
    if not set(header) & set(_KNOWN):
        problems.add((), "its first line is no header", f"Begin with the names of the columns; known are {', '.join(_KNOWN)}.")
        return
    unknown = [name for name in header if name not in _KNOWN]
    if unknown:
        problems.add((), f"unknown columns {', '.join(map(repr, unknown))}", f"Remove or rename them; known are {', '.join(_KNOWN)}.")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        problems.add((), f"the column {', '.join(twice)} is there more than once", "Keep one.")
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        problems.add((), f"the column {', '.join(missing)} is missing", "Add it.")
    if "level" not in header and "roi" not in header:
        problems.add((), "neither level nor roi says which vertebra a row is about", "Add the column level, roi or both.")
    plain, named = DENSITY in header, [name for name in DENSITIES[1:] if name in header]
    if plain == bool(named) or plain != ("material" in header):
        remedy = f"Give either {DENSITY} with a column material, or {DENSITY}_{MATERIAL} alone."
        problems.add((), "what the reference densities are of cannot be told", remedy)
    if not rows:
        problems.add((), "it holds no row", "Add a row for each vertebra.")
