"""Crops of a hospital's own cohort, read from its scans exactly as the network reads them when it measures."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from pathlib import Path

import numpy as np

from .. import __version__
from ..cohort.batch import file_states
from ..cohort.cases import is_image
from ..network.models import checked_file, identity, import_torch
from ..network.segmentation import LOCALISE, REFINE
from ..quality import Refused
from .cohort_checks import check_crops, doubtful_rows
from .crops import Crops
from .manifest import Manifest
from .manifest_rows import Row
from .scan_crops import VertebraCrop, Wanted, left_out, read_scan, reason
from .workers import reading_pool

#: In the cache: what became of every row, by its line in the manifest.
REPORT = "rows.csv"

#: The bundled engine's, and what cuts bodies out of whole vertebrae.
_NETWORKS = (LOCALISE, REFINE)

_LOG = logging.getLogger(__name__)


def cohort_crops(manifest: Manifest, cache: Path, shape: Sequence[int], spacing_mm: float, workers: int = 1) -> Crops:
    """The crops of all rows that can be read, in the order of the manifest.

    Each is read as ``network.density`` reads a scan: (z, y, x) = ``shape`` voxels of ``spacing_mm`` (the network's, and a margin
    on every side) around the centroid of the ROI, which is the given one, or the one that ``measure`` finds in the given bodies
    or in those of the bundled engine. A scan's crops are kept in ``cache``, so that an interrupted run goes on where it was. Rows
    that cannot be read are left out: logged by their line, and listed in ``cache``/rows.csv.

    Raises ManifestError for one content under two patients and for a reference that cannot be mg/cm³ beside the HU of its
    ROIs; ValueError where nothing could be read; Refused (MODEL_DAMAGED, TORCH_MISSING) for an incomplete installation.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    import_torch()
    for network in _NETWORKS:
        checked_file(network)
    cache.mkdir(parents=True, exist_ok=True)
    read = dict(_all_read(manifest, cache, tuple(shape), spacing_mm, workers))
    rows = [row for row in manifest.rows if not read[row].refusal]
    doubts = doubtful_rows(rows, np.array([read[row].roi_hu for row in rows]))
    _report(cache / REPORT, manifest, read, doubts)
    if not rows:
        raise ValueError(f"manifest {manifest.name}: none of the {len(manifest.rows)} rows could be read; {cache / REPORT} says why")
    crops = _joined(rows, read)
    check_crops(manifest.name, rows, crops, np.array([read[row].roi_hu for row in rows]))
    return crops


def _all_read(
    manifest: Manifest, cache: Path, shape: tuple[int, ...], spacing_mm: float, workers: int
) -> Iterator[tuple[Row, VertebraCrop]]:
    scans: dict[tuple, list[Row]] = {}
    for row in manifest.rows:
        scans.setdefault((row.scan, row.series, row.bodies), []).append(row)
    wanted = [Wanted(*key, tuple((row.level, row.roi) for row in rows), shape, spacing_mm) for key, rows in scans.items()]
    paths = [cache / f"{_fingerprint(each)}.npz" for each in wanted]
    failed = _make_missing([(each, path) for each, path in zip(wanted, paths) if not path.exists()], workers)
    for rows, each, path in zip(scans.values(), wanted, paths):
        yield from zip(rows, _stored(path) if path.exists() else [left_out(failed[path], each)] * len(rows))


def _make_missing(missing: Sequence[tuple[Wanted, Path]], workers: int) -> dict[Path, str]:
    """Read the scans that the cache lacks; returns why, for those that failed without a refusal."""
    failed = {}
    for done, (path, why) in enumerate(_made(missing, workers), start=1):
        if why:
            failed[path] = why
        _LOG.info("read %d of %d scans", done, len(missing))
    return failed


def _made(missing: Sequence[tuple[Wanted, Path]], workers: int) -> Iterator[tuple[Path, str]]:
    if workers == 1 or len(missing) < 2:
        for each, path in missing:
            yield path, _make(each, path)
        return
    with reading_pool(min(workers, len(missing))) as pool:
        waiting = {pool.submit(_make, each, path): path for each, path in missing}
        for future in as_completed(waiting):
            yield waiting[future], future.result()


def _make(wanted: Wanted, path: Path) -> str:
    """Write the crops of one scan; returns why that failed, "" for crops and for refusals with a name, which are kept."""
    try:
        found = read_scan(wanted)
    except Refused as refusal:
        found = [left_out(reason(refusal), wanted)] * len(wanted.vertebrae)
    except Exception as error:  # One scan in a thousand must not end the run, whatever is wrong with it.
        # What other libraries say may name files, and those patients.
        return f"failed: {type(error).__name__}. Open the scan in 3D Slicer to see why."
    _store(found, path)
    return ""


def _store(found: Sequence[VertebraCrop], path: Path) -> None:
    temporary = path.with_suffix(".part.npz")
    np.savez_compressed(
        temporary, **{name: np.stack([getattr(each, name) for each in found]) for name in VertebraCrop.__dataclass_fields__}
    )
    temporary.replace(path)


def _stored(path: Path) -> list[VertebraCrop]:
    with np.load(path) as stored:
        columns = {name: stored[name] for name in VertebraCrop.__dataclass_fields__}
    count = len(columns["refusal"])
    return [VertebraCrop(**{name: column[index] for name, column in columns.items()}) for index in range(count)]


def _fingerprint(wanted: Wanted) -> str:
    """A hash of all that the crops of a scan depend on: program, networks, size, and the state of every file read."""
    program = [__version__, *wanted.shape, wanted.spacing_mm, *(identity(name).sha256 for name in _NETWORKS)]
    # A slice stands for the series in its folder, as in ``load``.
    scan = wanted.scan.parent if wanted.scan.is_file() and not is_image(wanted.scan) else wanted.scan
    files = [file_states(path) for path in (scan, wanted.bodies) if path is not None]
    vertebrae = [(level, roi and file_states(roi)) for level, roi in wanted.vertebrae]
    return hashlib.sha256(json.dumps([program, files, wanted.series, vertebrae]).encode()).hexdigest()[:32]


def _joined(rows: Sequence[Row], read: Mapping[Row, VertebraCrop]) -> Crops:
    unknown = np.full(len(rows), np.nan, dtype=np.float32)
    return Crops(
        hu=np.stack([read[row].hu for row in rows]),
        body=np.stack([read[row].body for row in rows]),
        roi=np.stack([read[row].roi for row in rows]),
        vbmd=np.array([row.vbmd for row in rows], dtype=np.float32),
        kvp=np.array([read[row].kvp for row in rows], dtype=np.float32),
        slope_error=unknown,
        intercept_hu=unknown,
        eligible=np.ones(len(rows), dtype=bool),
        age=np.array([row.age for row in rows], dtype=np.float32),
        **{name: np.array([getattr(row, name) for row in rows]) for name in ("patient", "level", "site", "sex")},
    )


def _report(path: Path, manifest: Manifest, read: Mapping[Row, VertebraCrop], doubts: Mapping[Row, str]) -> None:
    """What became of every row, without patients and files; what is left out or doubtful is logged too."""
    lines = []
    for row in manifest.rows:
        why = read[row].refusal or doubts.get(row, "")
        status = "left out" if read[row].refusal else "doubtful" if why else "read"
        lines.append((row.line, row.level, status, "" if read[row].refusal else f"{read[row].roi_hu:.1f}", why))
        if why:
            _LOG.warning("%s is %s: %s", row.name, status, why)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([("line", "level", "status", "roi_mean_hu", "why"), *lines])
    out = sum(status == "left out" for _line, _level, status, _hu, _why in lines)
    _LOG.info("%d of %d rows were read, %d are left out", len(lines) - out, len(lines), out)
