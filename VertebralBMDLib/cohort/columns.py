"""The two columns that are compared, read from a CSV table with what belongs to them: patient, level, part, interval, probability."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

#: Parts of a table that ``--split`` may name.
PARTS = ("train", "validation", "test")

FEWEST_ROWS = 3
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
#: Columns of measurements.csv that say what the mg/cm³ are of.
_PROVENANCE = ("material", "calibration_source")
_SHOWN_LINES = 5


@dataclass(frozen=True)
class Columns:
    """Names of columns. ``interval``: lower and upper end of a 95 % interval of ``predicted``."""

    reference: str
    predicted: str
    group: str | None = None
    level: str = "level"
    split: str | None = None
    probability: str | None = None
    interval: tuple[str, str] | None = None

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column that must be in the table; ``level`` is used where it is there."""
        named = (self.reference, self.predicted, self.group, self.split, self.probability, *(self.interval or ()))
        return tuple(name for name in named if name is not None)


@dataclass(frozen=True)
class Pairs:
    """n rows. ``reference`` and ``predicted`` in mg/cm³, shape (n,), all finite; ``group``: number of the patient, shape (n,).

    ``unit``: what a row is ("vertebra", "patient" or "row"); ``split``: part of each row; ``probability``, ``low``, ``high``:
    NaN where the cell is empty; ``left_out``: (reason, rows); ``provenance``: (column, its distinct values).
    """

    reference: np.ndarray
    predicted: np.ndarray
    group: np.ndarray
    unit: str
    grouped: bool
    split: np.ndarray | None = None
    probability: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    left_out: tuple[tuple[str, int], ...] = ()
    provenance: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __len__(self) -> int:
        return len(self.reference)

    @property
    def groups(self) -> int:
        """How many patients there are."""
        return len(np.unique(self.group))

    def rows(self, chosen: np.ndarray) -> Pairs:
        """The rows of a mask or of indices."""
        taken = {name: getattr(self, name) for name in ("reference", "predicted", "group", "split", "probability", "low", "high")}
        return replace(self, **{name: None if value is None else value[chosen] for name, value in taken.items()})


def read_pairs(path: Path, columns: Columns, unit: str = "vertebra") -> Pairs:
    """Read a UTF-8 table separated by commas, with a header.

    ``unit``: "vertebra" takes rows as they are, "patient" takes the mean of each patient's rows. Rows without reference or
    prediction are left out and counted. Raises ValueError, naming column and lines but no patient, for a missing column,
    text where a number is needed, two rows of one patient and level, a patient in two parts, values that are of the
    patient but stand in every vertebra's row, and fewer than three rows.
    """
    if columns.reference == columns.predicted:
        raise ValueError(f"reference and predicted are both {columns.reference!r}: a column always agrees with itself")
    if unit == "patient" and columns.group is None:
        raise ValueError("the mean of a patient needs the column that names the patient: --group COLUMN")
    rows = _read(path, columns)
    kept, left_out = _with_values(rows, columns)
    if len(kept) < FEWEST_ROWS:
        listed = "; ".join(f"{reason}: {count}" for reason, count in left_out)
        raise ValueError(f"{path.name} has {len(kept)} rows with both values; {FEWEST_ROWS} are needed. {listed}".rstrip())
    pairs = _pairs(kept, columns, left_out)
    _check_keys(kept, pairs, columns)
    if unit == "patient":
        pairs = _by_patient(pairs)
        if len(pairs) < FEWEST_ROWS:
            raise ValueError(f"{path.name} has {len(pairs)} patients; {FEWEST_ROWS} are needed for patient means")
    elif _of_the_patient(pairs):
        raise ValueError("both columns hold one value of the patient in each of its rows, which would count it twice: use --unit patient")
    return pairs


def _read(path: Path, columns: Columns) -> list[tuple[int, dict[str, str]]]:
    """(line, row) of the whole table."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            _check_header(path.name, list(reader.fieldnames or ()), columns)
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not UTF-8; save it as CSV UTF-8") from error
    except csv.Error as error:
        raise ValueError(f"{path.name} is not a CSV table ({error})") from error
    uneven = [line for line, row in rows if None in row or None in row.values()]
    if uneven:
        raise ValueError(f"{path.name}: {_lines(uneven)} has more or fewer cells than the header")
    return rows


def _check_header(name: str, header: list[str], columns: Columns) -> None:
    if not header:
        raise ValueError(f"{name} is empty")
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise ValueError(f"{name} is not separated by commas; save it as CSV with commas")
    missing = [column for column in columns.needed if column not in header]
    if missing:
        raise ValueError(f"{name} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; it has {', '.join(header)}")
    twice = sorted(column for column, count in Counter(header).items() if count > 1 and column in (*columns.needed, columns.level))
    if twice:
        raise ValueError(f"{name} has the column {twice[0]} more than once")


def _with_values(rows: list[tuple[int, dict[str, str]]], columns: Columns) -> tuple[list[tuple[int, dict[str, str]]], tuple]:
    """The rows with both values, and why others were left out."""
    kept, left_out = [], Counter()
    for line, row in rows:
        absent = [name for name in (columns.reference, columns.predicted) if _missing(row[name])]
        if absent:
            left_out[f"no {' and no '.join(absent)}"] += 1
        else:
            kept.append((line, row))
    return kept, tuple(sorted(left_out.items()))


def _pairs(kept: list[tuple[int, dict[str, str]]], columns: Columns, left_out: tuple) -> Pairs:
    low, high = (_numbers(kept, name) for name in columns.interval) if columns.interval else (None, None)
    if low is not None and np.any(low > high):
        raise ValueError(f"{columns.interval[0]} is above {columns.interval[1]} in {_lines(_where(kept, low > high))}")
    probability = _numbers(kept, columns.probability) if columns.probability else None
    if probability is not None and np.any((probability < 0) | (probability > 1)):
        beyond = _lines(_where(kept, (probability < 0) | (probability > 1)))
        raise ValueError(f"{columns.probability} is outside 0 to 1 in {beyond}; give it as a fraction")
    provenance = tuple((name, tuple(sorted({row[name] for _, row in kept}))) for name in _PROVENANCE if name in kept[0][1])
    group = _groups(kept, columns.group)
    return Pairs(
        _numbers(kept, columns.reference),
        _numbers(kept, columns.predicted),
        group,
        _unit(columns, columns.level in kept[0][1], len(np.unique(group)) == len(kept)),
        columns.group is not None,
        _parts(kept, columns.split),
        probability,
        low,
        high,
        left_out,
        provenance,
    )


def _unit(columns: Columns, has_levels: bool, one_each: bool) -> str:
    if has_levels:
        return "vertebra"
    return "patient" if columns.group is not None and one_each else "row"


def _numbers(kept: list[tuple[int, dict[str, str]]], column: str) -> np.ndarray:
    """A column as float64, NaN where it is empty. Raises ValueError for text and infinity."""
    values = []
    for line, row in kept:
        text = row[column].strip()
        try:
            value = math.nan if _missing(text) else float(text)
        except ValueError:
            remedy = "; write decimals with a point" if "," in text else ""
            raise ValueError(f"{column} is not a number in line {line}{remedy}") from None
        if math.isinf(value):
            raise ValueError(f"{column} is infinite in line {line}")
        values.append(value)
    return np.array(values)


def _groups(kept: list[tuple[int, dict[str, str]]], column: str | None) -> np.ndarray:
    """A number for each patient; without a column, each row is its own."""
    if column is None:
        return np.arange(len(kept))
    unnamed = [line for line, row in kept if _missing(row[column])]
    if unnamed:
        raise ValueError(f"{column} is empty in {_lines(unnamed)}; every row needs its patient")
    return np.unique([row[column].strip() for _, row in kept], return_inverse=True)[1]


def _parts(kept: list[tuple[int, dict[str, str]]], column: str | None) -> np.ndarray | None:
    if column is None:
        return None
    parts = np.array([row[column].strip().lower() for _, row in kept])
    unknown = ~np.isin(parts, PARTS)
    if unknown.any():
        raise ValueError(f"{column} must be one of {', '.join(PARTS)}; it is not in {_lines(_where(kept, unknown))}")
    if "test" not in parts:
        raise ValueError(f"{column} names no row test, so there is nothing to evaluate on")
    return parts


def _check_keys(kept: list[tuple[int, dict[str, str]]], pairs: Pairs, columns: Columns) -> None:
    """Raise ValueError for a patient and level that are there twice, and for a patient in two parts."""
    if pairs.grouped and pairs.unit == "vertebra":
        seen: dict[tuple, int] = {}
        for (line, row), group in zip(kept, pairs.group):
            first = seen.setdefault((group, row[columns.level].strip()), line)
            if first != line:
                raise ValueError(f"lines {first} and {line} are of the same {columns.group} and {columns.level}; keep one of them")
    if pairs.grouped and pairs.split is not None:
        together = np.unique(np.stack([pairs.group.astype(str), pairs.split]), axis=1)
        shared = together.shape[1] - pairs.groups
        if shared:
            raise ValueError(f"patients in more than one part of {columns.split}: {shared}; a patient belongs to one part only")


def _of_the_patient(pairs: Pairs) -> bool:
    """True when patients have several rows and both columns never differ within one."""
    several = np.bincount(pairs.group) > 1
    inside = np.isin(pairs.group, np.flatnonzero(several))
    return bool(several.any()) and all(
        _constant_within(column[inside], pairs.group[inside]) for column in (pairs.reference, pairs.predicted)
    )


def _constant_within(values: np.ndarray, group: np.ndarray) -> bool:
    """True when no group has two different values (NaN equals NaN)."""
    first = dict(zip(group[::-1], values[::-1]))
    return np.array_equal(values, np.array([first[each] for each in group]), equal_nan=True)


def _by_patient(pairs: Pairs) -> Pairs:
    """The mean of each patient's rows; interval and probability are kept only where they are of the patient already."""
    _, first, group = np.unique(pairs.group, return_index=True, return_inverse=True)
    count = np.bincount(group)
    means = {name: np.bincount(group, getattr(pairs, name)) / count for name in ("reference", "predicted")}
    extras = {}
    for name in ("probability", "low", "high"):
        values = getattr(pairs, name)
        extras[name] = None if values is None else values[first]
        if values is not None and not _constant_within(values, group):
            raise ValueError("intervals and probabilities differ between the rows of a patient and have no mean: use --unit vertebra")
    return replace(
        pairs, **means, **extras, group=np.arange(len(count)), unit="patient", split=None if pairs.split is None else pairs.split[first]
    )


def _missing(text: str) -> bool:
    return text.strip().lower() in _MISSING


def _where(kept: list[tuple[int, dict[str, str]]], chosen: np.ndarray) -> list[int]:
    return [line for (line, _), here in zip(kept, chosen) if here]


def _lines(numbers: Sequence[int]) -> str:
    """ "line 3", "lines 3, 4 and 12 more"."""
    shown = ", ".join(str(number) for number in numbers[:_SHOWN_LINES])
    more = f" and {len(numbers) - _SHOWN_LINES} more" if len(numbers) > _SHOWN_LINES else ""
    return f"line{'s' * (len(numbers) > 1)} {shown}{more}"
