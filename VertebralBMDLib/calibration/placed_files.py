"""Rods that the user has placed, from a file of points or a label map."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .catalogue import Phantom
from .placed import LEAST_APART_MM, PlacedRod


def placed_rods(path: Path, image: sitk.Image, phantom: Phantom | None) -> tuple[PlacedRod, ...]:
    """The rods in a file of the user's, in the order of the certificate of the named ``phantom``.

    ``path``: Slicer points (.mrk.json, .fcsv) or a table (.csv with columns id, x, y, z in LPS mm), each point named after
    its rod ("A" or "A: 100 mg/cm³"; further points of it also "A-2"); or a label map in which label i is the i-th rod of the certificate.
    ``image``: the scan. Raises ValueError for a file that cannot be read, no phantom, an unknown rod, too few rods, two
    rods in one place and a point outside the scan.
    """
    if phantom is None:
        raise ValueError("rods that are placed by hand need the name of their phantom: --calibration phantom:NAME")
    path = Path(path)
    reader = next((read for ending, read in _READERS.items() if path.name.lower().endswith(ending)), _labelled_points)
    try:
        points = list(reader(path, phantom))
    except (OSError, RuntimeError, KeyError, TypeError, IndexError, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise ValueError(f"{path.name} cannot be read as points or as a label map of rods") from error
    ids = [rod.id for rod in phantom.rods]
    unknown = sorted({name for name, _point in points if _rod_id(name, ids) is None})
    if unknown:
        raise ValueError(f"{path.name}: {', '.join(unknown)} is no rod of {phantom.name}, which has {', '.join(ids)}")
    placed = tuple(
        PlacedRod(rod, np.array(sorted(own, key=lambda point: point[2])))
        for rod in phantom.rods
        if (own := [point for name, point in points if _rod_id(name, ids) == rod.id])
    )
    _check(placed, image, phantom, path.name)
    return placed


def _check(placed: Sequence[PlacedRod], image: sitk.Image, phantom: Phantom, file: str) -> None:
    needed = min(3, len(phantom.rods))
    if len(placed) < needed:
        raise ValueError(f"{file}: a calibration needs at least {needed} rods of {phantom.name}, not {len(placed)}")
    size = np.array(image.GetSize())
    for each in placed:
        index = np.array([image.TransformPhysicalPointToContinuousIndex(point) for point in each.points_lps_mm.tolist()])
        if not np.isfinite(index).all() or np.any((index < -0.5) | (index > size - 0.5)):
            raise ValueError(f"{file}: rod {each.rod.id} lies outside the scan; are its points LPS mm of this scan?")
    for k, one in enumerate(placed):
        for other in placed[k + 1 :]:
            apart = np.linalg.norm(one.points_lps_mm[:, None, :2] - other.points_lps_mm[None, :, :2], axis=-1).min()
            if apart < phantom.rod_diameter_mm / 2:
                raise ValueError(f"{file}: rods {one.rod.id} and {other.rod.id} are in one place")


def _rod_id(name: str, ids: Sequence[str]) -> str | None:
    """The rod that a point is named after: its id itself, or its id and a number ("A-2"), or what is said of it ("A: 100 mg/cm³")."""
    stem = re.sub(r"(: .*|[-_ ]\d+)$", "", name.strip())
    return name.strip() if name.strip() in ids else stem if stem in ids else None


def _markups(path: Path, _phantom: Phantom) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Points of a Slicer markups file."""
    for markup in json.loads(path.read_text(encoding="utf-8"))["markups"]:
        side = _to_lps(str(markup.get("coordinateSystem", "LPS")), path)
        for point in markup["controlPoints"]:
            if point.get("positionStatus", "defined") == "defined":
                yield str(point["label"]), _point(point["position"], side, path)


def _fiducials(path: Path, _phantom: Phantom) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Points of Slicer's older .fcsv, whose columns are named in a comment."""
    side, columns = _to_lps("RAS", path), ["id", "x", "y", "z", "ow", "ox", "oy", "oz", "vis", "sel", "lock", "label"]
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _equals, value = (part.strip() for part in line.lstrip("# ").partition("="))
        if not line.startswith("#") and line.strip():
            row = dict(zip(columns, next(csv.reader([line]))))
            yield row["label"], _point([row[axis] for axis in "xyz"], side, path)
        elif key == "CoordinateSystem":
            side = _to_lps(value, path)
        elif key == "columns":
            columns = [column.strip() for column in value.split(",")]


def _table(path: Path, _phantom: Phantom) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Points of a table with a header: id, x, y, z in LPS mm."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream):
            yield str(row["id"]), _point([row[axis] for axis in "xyz"], 1.0, path)


def _labelled_points(path: Path, phantom: Phantom) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Two points on the axis of every label of a label map: the straight line through its voxels."""
    labels = sitk.ReadImage(str(path))
    values = sitk.GetArrayFromImage(labels)
    if values.ndim != 3:
        raise ValueError(f"{path.name} is not a label map of a volume")
    matrix = np.array(labels.GetDirection()).reshape(3, 3) * labels.GetSpacing()
    for label in np.unique(values[values != 0]).tolist():
        if label != int(label) or not 1 <= label <= len(phantom.rods):
            raise ValueError(f"{path.name}: label {label:g} is no rod of {phantom.name}, which has {len(phantom.rods)}")
        points = np.argwhere(values == label)[:, ::-1] @ matrix.T + labels.GetOrigin()
        ends = np.array([points[:, 2].min(), points[:, 2].max()])
        degree = 1 if np.ptp(ends) >= LEAST_APART_MM else 0
        axis = np.polynomial.polynomial.polyfit(points[:, 2] - ends[0], points[:, :2], degree)
        for z in ends:
            yield phantom.rods[int(label) - 1].id, (*np.polynomial.polynomial.polyval(z - ends[0], axis).tolist(), float(z))


_READERS = {".json": _markups, ".fcsv": _fiducials, ".csv": _table}


def _to_lps(system: str, path: Path) -> float:
    """What x and y are multiplied by."""
    if system not in ("LPS", "RAS", "0", "1"):
        raise ValueError(f"{path.name}: the coordinate system must be LPS or RAS, not {system!r}")
    return 1.0 if system in ("LPS", "1") else -1.0


def _point(values: Sequence, side: float, path: Path) -> tuple[float, float, float]:
    try:
        x, y, z = (float(value) for value in values)
    except ValueError as error:
        raise ValueError(f"{path.name}: a point needs three numbers, not {list(values)}") from error
    return side * x, side * y, z
