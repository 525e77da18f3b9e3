"""What rows of a manifest say about each other: units, duplicates, and patients or scans that would leak between splits."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..loading import is_dicom, read_acquisition
from ..quality import Refused
from .manifest_rows import DENSITY, Row
from .problems import Problems

#: Trabecular density of a lumbar vertebra; what lies outside is something else (mg/cm³).
PLAUSIBLE_MG_CM3 = (5.0, 400.0)
#: Numerically below these: g/cm³ (or mg/mm³, the same number), and areal density by DXA (g/cm²). T-scores are smaller than the third.
_GRAM_BELOW, _AREAL_BELOW, _SCORE_BELOW = 0.4, 2.0, 7.0


def check_rows(rows: Sequence[Row], header: Sequence[str], problems: Problems) -> None:
    """Add every problem between rows; what a row lacks (None, NaN) is no problem here."""
    _check_units([row for row in rows if not math.isnan(row.vbmd)], problems)
    _check_patients([row for row in rows if row.patient], problems)
    _check_scans([row for row in rows if row.scan is not None], problems)
    _check_splits(rows, header, problems)


def _check_units(rows: Sequence[Row], problems: Problems) -> None:
    values = [row.vbmd for row in rows]
    scores = bool(values) and min(values) < 0 and max(map(abs, values)) < _SCORE_BELOW
    for row in rows:
        mistake = _mistake(row.vbmd, scores)
        if mistake:
            problems.add([row.line], f"{DENSITY} {mistake[0]}", mistake[1])


def _mistake(value: float, scores: bool) -> tuple[str, str] | None:
    """What a density that cannot be mg/cm³ of trabecular bone looks like, and what to do."""
    low, high = PLAUSIBLE_MG_CM3
    quantitative = "Give the volumetric density by QCT in mg/cm³"
    if scores:
        return "looks like a T- or Z-score", f"{quantitative}, not its score."
    if 0 < value < _GRAM_BELOW:
        return "looks like g/cm³ or mg/mm³", "Multiply it by 1000."
    if _GRAM_BELOW <= value < _AREAL_BELOW:
        return "looks like areal density by DXA (g/cm²)", f"{quantitative}; areal density cannot be converted to it."
    if value < low:
        return f"is below {low:g} mg/cm³", "Correct it, or leave the row out; negative values may be HU or scores."
    if value > high:
        return f"is above {high:g} mg/cm³", "Give the trabecular density; this may be cortical or integral bone, or HU."
    return None


def _check_patients(rows: Sequence[Row], problems: Problems) -> None:
    """One patient has one sex, one split and one fold, and one way to be written."""
    for of_patient in _groups(rows, lambda row: row.patient):
        for name, why in (("sex", "is one person"), ("split", "belongs to one split only"), ("fold", "belongs to one fold only")):
            if len({getattr(row, name) for row in of_patient} - {None}) > 1:
                problems.add(_lines(of_patient), f"one patient with more than one {name}", f"Correct it: a patient {why}.")
    for alike in _groups(rows, lambda row: row.patient.casefold()):
        if len({row.patient for row in alike}) > 1:
            problems.add(_lines(alike), "patients that differ in upper and lower case only", "Write one patient in one way.")


def _check_scans(rows: Sequence[Row], problems: Problems) -> None:
    """A scan belongs to one patient, also where it was copied, and each of its vertebrae is there once."""
    contents = _contents(rows, problems)
    known = [row for row in rows if _place(row) in contents]
    for alike in _groups(known, lambda row: contents[_place(row)]):
        copied = len({_place(row) for row in alike}) > 1
        if len({row.patient for row in alike}) > 1:
            what = "copies of one scan under two patients" if copied else "one scan under two patients"
            problems.add(_lines(alike), what, "Correct the patient or the path: one person in two splits is leakage.")
        elif len({(row.age, row.site) for row in alike if not math.isnan(row.age)}) > 1:
            problems.add(_lines(alike), "one scan with more than one age or site", "Correct it.")
        for same in _groups(alike, lambda row: (row.patient, row.level or row.roi)):
            if len(same) > 1:
                problems.add(_lines(same), "the same vertebra of the same scan" + " in copies" * copied, "Keep one row.")


def _check_splits(rows: Sequence[Row], header: Sequence[str], problems: Problems) -> None:
    if "split" not in header:
        if any(row.fold is not None for row in rows):
            problems.add((), "fold is given without split", "Add the column split (train, test), or leave both to be drawn.")
        return
    in_test = [row.line for row in rows if row.split == "test" and row.fold is not None]
    if in_test:
        problems.add(in_test, "a fold in the locked test", "Leave fold empty where split is test.")
    training = [row for row in rows if row.split == "train"]
    without = [row.line for row in training if row.fold is None]
    if 0 < len(without) < len(training):
        problems.add(without, "no fold, where other rows of the training part have one", "Give all of them a fold, or none.")
    absent = sorted({"train", "test"} - {row.split for row in rows})
    if absent:
        problems.add((), f"split has no row {' and none '.join(absent)}", "Name both parts, or leave out the column to have them drawn.")


def _contents(rows: Sequence[Row], problems: Problems) -> dict[tuple, Hashable]:
    """What tells the content of every scan that can be read: the UID of its series, or its voxels, and scans alike have it alike."""
    contents: dict[tuple, Hashable] = {}
    images: dict[tuple, list[tuple]] = defaultdict(list)
    for of_scan in _groups(rows, _place):
        place = scan, series = _place(of_scan[0])
        try:
            slice_ = _first_slice(scan)
            if slice_ is not None:
                contents[place] = series or read_acquisition(slice_).series_uid or place
            elif scan.is_dir():
                problems.add(
                    _lines(of_scan), "the folder of the scan holds no DICOM file", "Give the folder of the series, or an image file."
                )
            else:
                images[_geometry(scan)].append(place)
        except Refused as refusal:
            problems.add(_lines(of_scan), f"the scan is refused: {refusal.code.value}", "Choose the CT series as it was scanned.")
        except (OSError, RuntimeError):
            problems.add(_lines(of_scan), "the scan cannot be read", "Give a DICOM folder, NIfTI, NRRD or MetaImage file.")
    for alike in images.values():
        # Voxels take seconds to read; scans of another size or spacing are no copies.
        for place in alike:
            contents[place] = _voxels(place[0]) if len(alike) > 1 else place
    return contents


def _first_slice(scan: Path) -> Path | None:
    """A DICOM file of the scan, or None for an image file. Raises OSError when it cannot be read."""
    files = sorted(path for path in scan.rglob("*") if path.is_file()) if scan.is_dir() else [scan]
    return next((path for path in files if path.name.upper() != "DICOMDIR" and is_dicom(path)), None)


def _geometry(scan: Path) -> tuple:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(scan))
    reader.ReadImageInformation()
    return reader.GetSize(), tuple(np.round(reader.GetSpacing(), 3))


def _voxels(scan: Path) -> Hashable:
    """A hash of the voxels, whatever the file's format and header; where they cannot be read, the file's own."""
    try:
        voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(scan)))
    except RuntimeError:
        return scan  # It will be refused by name when its crops are read.
    return hashlib.sha256(voxels.astype(np.float32)).hexdigest()


def _place(row: Row) -> tuple[Path, str | None]:
    return row.scan.resolve(), row.series


def _groups(rows: Iterable[Row], key) -> list[list[Row]]:
    """Rows with the same key, in the order of the first."""
    found: dict[Hashable, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return list(found.values())


def _lines(rows: Sequence[Row]) -> list[int]:
    return [row.line for row in rows]
