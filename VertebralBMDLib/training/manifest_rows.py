"""One row of a cohort's manifest: what it holds, and its cells as values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..anatomy import COLUMN, LABELS
from ..calibration.catalogue import MATERIALS
from .problems import Problems

#: The column of the reference: with a column material beside it, or named with its material.
DENSITY = "reference_vbmd_mg_cm3"
DENSITIES = (DENSITY, *(f"{DENSITY}_{material}" for material in MATERIALS))
SEXES = ("F", "M", "O")
#: Parts that ``split`` may name, and how many folds the training part has.
SPLITS, FOLDS = ("train", "test"), 5

_AGES = (18.0, 110.0)
_BIRTH_YEARS = (1900.0, 2100.0)


@dataclass(frozen=True)
class Row:
    """One vertebra. ``line``: its place in the file; paths are absolute; ``vbmd``: mg/cm³ of the manifest's material; ``level``: ""
    where only a ``roi`` (label map on the scan's grid) tells which vertebra it is; ``bodies``: label map of vertebral bodies.

    ``split``, ``fold``: None where the manifest leaves them to be drawn.
    """

    line: int
    scan: Path
    patient: str
    site: str
    sex: str
    age: float
    vbmd: float
    level: str = ""
    roi: Path | None = None
    bodies: Path | None = None
    series: str | None = None
    split: str | None = None
    fold: int | None = None

    @property
    def name(self) -> str:
        """What a report calls it: "line 12 (L1)"."""
        return f"line {self.line} ({self.level or 'ROI'})"


@dataclass(frozen=True)
class Cells:
    """Turns cells into values. What cannot be read is None or NaN there and a problem; such rows never leave ``read_manifest``."""

    folder: Path
    header: Sequence[str]
    material: str
    problems: Problems

    def row(self, line: int, cells: dict[str, str]) -> Row:
        """One row; ``cells`` by the name of their column."""
        level, roi = self._level(line, cells.get("level", "")), self._file(line, cells, "roi")
        if not cells.get("level") and not cells.get("roi"):
            self.problems.add([line], "neither level nor roi is given", "Name the vertebra, or give its ROI.")
        return Row(
            line=line,
            scan=self._file(line, cells, "scan", needed=True),
            patient=self._text(line, cells, "patient"),
            site=self._text(line, cells, "site"),
            sex=self._one_of(line, cells, "sex", SEXES, str.upper),
            age=self._age(line, cells["age"]),
            vbmd=self._density(line, cells),
            level=level,
            roi=roi,
            bodies=self._file(line, cells, "bodies"),
            series=cells.get("series") or None,
            split=self._one_of(line, cells, "split", SPLITS, str.lower) if "split" in self.header else None,
            fold=self._fold(line, cells.get("fold", "")),
        )

    def _text(self, line: int, cells: dict[str, str], column: str) -> str:
        if not cells[column]:
            self.problems.add([line], f"{column} is empty", f"Give every row its {column}.")
        return cells[column]

    def _one_of(self, line: int, cells: dict[str, str], column: str, allowed: Sequence[str], form: Callable[[str], str]) -> str | None:
        value = form(cells[column])
        if value in allowed:
            return value
        what = f"{column} is empty" if not value else f"{column} is not one of {', '.join(allowed)}"
        self.problems.add([line], what, f"Give {', '.join(allowed[:-1])} or {allowed[-1]}.")
        return None

    def _level(self, line: int, text: str) -> str:
        level = text.upper()
        if level and level not in LABELS:
            remedy = (
                f"Give one of {COLUMN[0]} to {COLUMN[-1]}, one row for each vertebra; the mean of several is no reference for any of them."
            )
            self.problems.add([line], "the level is unknown", remedy)
        return level

    def _file(self, line: int, cells: dict[str, str], column: str, needed: bool = False) -> Path | None:
        text = cells.get(column, "")
        if not text:
            if needed:
                self.problems.add([line], f"{column} is empty", "Give the path of the scan, relative to the manifest.")
            return None
        path = self.folder / text
        try:
            there = path.exists()
        except OSError:
            there = False
        if not there:
            self.problems.add([line], f"the {column} is not there", "Correct its path, which is relative to the manifest.")
            return None
        return path

    def _number(self, line: int, text: str, column: str, remedy: str) -> float:
        """A finite number, or NaN."""
        if not text:
            self.problems.add([line], f"{column} is missing", remedy)
            return math.nan
        try:
            value = float(text)
        except ValueError:
            value = math.inf
        if not math.isfinite(value):
            self.problems.add(
                [line], f"{column} is not a number", "Write decimals with a point and nothing else." if "," in text else remedy
            )
            return math.nan
        return value

    def _age(self, line: int, text: str) -> float:
        remedy = "Give the age at the scan in years; leave the row out where nobody knows it."
        value = self._number(line, text, "age", remedy)
        if _BIRTH_YEARS[0] <= value <= _BIRTH_YEARS[1]:
            self.problems.add([line], "age looks like the year of birth", "Give the age at the scan in years.")
        elif not math.isnan(value) and not _AGES[0] <= value <= _AGES[1]:
            self.problems.add([line], f"age is outside {_AGES[0]:g} to {_AGES[1]:g} years", remedy)
        return value

    def _density(self, line: int, cells: dict[str, str]) -> float:
        """The reference, of the wanted material."""
        if DENSITY in self.header:
            column, found = DENSITY, next((each for each in MATERIALS if each.lower() == cells["material"].lower()), None)
        else:
            column = next((name for name in (f"{DENSITY}_{self.material}", *DENSITIES) if name in self.header))
            found = column.removeprefix(f"{DENSITY}_")
        if found is None:
            what = "material is empty" if not cells["material"] else "the material is unknown"
            self.problems.add([line], what, f"Give {' or '.join(MATERIALS)}: of what the rods of the phantom are.")
        elif found != self.material:
            remedy = (
                f"Leave the row out, or multiply by a factor that you have measured on your own scanner, and write {self.material}: "
                "no factor holds for every scanner."
            )
            self.problems.add([line], f"the density is of {found}, and the network reads {self.material}", remedy)
        return self._number(line, cells[column], column, "Give the reference density in mg/cm³, or leave the row out.")

    def _fold(self, line: int, text: str) -> int | None:
        if not text:
            return None
        if text not in map(str, range(FOLDS)):
            self.problems.add([line], f"fold is not one of 0 to {FOLDS - 1}", f"Give 0 to {FOLDS - 1}, or leave all of them to be drawn.")
            return None
        return int(text)
