"""The phantom catalogue: one JSON file a phantom, or the user's own certificate.

A certificate is a whole file of the same form (``vertebral-bmd/phantom/1``), or a small one that names the entry it is
based on and gives only what differs: ``{"based_on": "mindways-model3", "serial": "#1234", "rods": [{"id": "A",
"density_mg_cm3": -50.1}]}``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..resources import resource
from .line import Rod

SCHEMA = "vertebral-bmd/phantom/1"

_NEEDED = ("name", "title", "material", "use", "rods", "geometry")
_OPTIONAL = ("schema", "maker", "serial", "automatic", "source", "confidence")
_ROD_KEYS = ("id", "density_mg_cm3", "water_mg_cm3")
_GEOMETRY_KEYS = ("rod_diameter_mm", "rod_spacing_mm", "confidence")
#: Beyond these a number is a slip of the pen: mg/cm³ by material (K2HPO4 rods may attenuate less than water), water, mm.
_DENSITIES = {"K2HPO4": (-300.0, 1500.0), "CaHA": (-20.0, 2000.0)}
_WATER, _LARGEST_DIAMETER_MM, _LARGEST_SPACING_MM = (500.0, 1500.0), 60.0, 200.0
MATERIALS = tuple(_DENSITIES)
_CONFIDENCES = ("H", "M", "L")


@dataclass(frozen=True)
class Phantom:
    """A catalogue entry. ``material``: K2HPO4 or CaHA; ``use``: calibration or validation; rods in their order across the phantom.

    ``automatic`` False: only looked for when it is asked for by name, because its values differ from one to the next.
    ``serial``, ``source``, ``confidence`` (H, M or L, as in qct_facts): whose certificate the densities are.
    """

    name: str
    title: str
    material: str
    use: str
    rods: tuple[Rod, ...]
    rod_diameter_mm: float
    rod_spacing_mm: float
    automatic: bool = True
    serial: str | None = None
    source: str | None = None
    confidence: str | None = None


def phantom_names() -> tuple[str, ...]:
    """Names in the catalogue."""
    return tuple(sorted(path.stem for path in resource("Phantoms").glob("*.json")))


def load_phantom(name: str) -> Phantom:
    """Catalogue entry by name, or the user's certificate by path of a JSON file.

    Raises ValueError, naming the file and what is wrong in it: unknown or missing keys, an unknown base, rod or material,
    rods given twice, water on some rods only, numbers that are none or absurd.
    """
    path = _path(name)
    try:
        return phantom_of(_whole(path))
    except ValueError as error:
        raise ValueError(f"phantom file {path.name}: {error}") from error


def load_entry(name: str) -> dict:
    """What the file of ``load_phantom`` holds, a small certificate with all that it is based on. Raises ValueError as it does."""
    load_phantom(name)
    return _whole(_path(name))


def own_certificate(entry: dict) -> dict:
    """What is said of an entry whose densities are the user's own: they are no longer what the catalogue's source says."""
    return dict(
        name=f"{entry['name']}-own", title=f"{entry['title']}, own certificate", serial=None, source="Own certificate.", confidence="H"
    )


def _path(name: str) -> Path:
    names = phantom_names()
    path = resource("Phantoms", f"{name}.json") if name in names else Path(name)
    if path.suffix != ".json" or not path.is_file():
        raise ValueError(f"phantom must be one of {', '.join(names)} or a JSON file of that form, not {name!r}")
    return path


def _whole(path: Path) -> dict:
    entry = _read(path)
    return _completed(entry) if "based_on" in entry else entry


def _read(path: Path) -> dict:
    entry = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_doubles)
    if not isinstance(entry, dict):
        raise ValueError(f"it must hold one phantom of the form {SCHEMA}")
    if entry.get("schema", SCHEMA) != SCHEMA:
        raise ValueError(f"schema must be {SCHEMA}, not {entry['schema']!r}")
    return entry


def _without_doubles(pairs: list[tuple[str, object]]) -> dict:
    keys = [key for key, _value in pairs]
    doubled = {key for key in keys if keys.count(key) > 1}
    if doubled:
        raise ValueError(f"{', '.join(sorted(doubled))} is given twice")
    return dict(pairs)


def _completed(own: dict) -> dict:
    """A small certificate with the rest of the entry that it is based on."""
    if own["based_on"] not in phantom_names():
        raise ValueError(f"based_on must be one of {', '.join(phantom_names())}, not {own['based_on']!r}")
    base = _read(resource("Phantoms", f"{own['based_on']}.json"))
    if own.get("material", base["material"]) != base["material"]:
        raise ValueError(f"material of {base['name']} is {base['material']}, not {own['material']!r}")
    changed = _by_id(own.get("rods", []))
    unknown = changed.keys() - {rod["id"] for rod in base["rods"]}
    if unknown:
        raise ValueError(f"{base['name']} has no rod {', '.join(sorted(unknown))}")
    return (
        base
        | own_certificate(base)
        | {key: value for key, value in own.items() if key != "based_on"}
        | dict(
            rods=[rod | changed.get(rod["id"], {}) for rod in base["rods"]],
            geometry=base["geometry"] | _object(own.get("geometry", {}), "geometry", _GEOMETRY_KEYS),
        )
    )


def phantom_of(entry: dict) -> Phantom:
    """The phantom that a whole entry describes. Raises ValueError, which says what is wrong with it."""
    _object(entry, "it", (*_NEEDED, *_OPTIONAL), _NEEDED)
    for key, allowed in (("material", MATERIALS), ("use", ("calibration", "validation"))):
        if entry[key] not in allowed:
            raise ValueError(f"{key} must be {' or '.join(allowed)}, not {entry[key]!r}")
    for key in ("name", "title"):
        _text(entry[key], key)
    for key in ("maker", "serial", "source"):
        if entry.get(key) is not None:
            _text(entry[key], key)
    if entry.get("confidence") not in (None, *_CONFIDENCES):
        raise ValueError(f"confidence must be {', '.join(_CONFIDENCES)} or null, not {entry['confidence']!r}")
    if not isinstance(entry.get("automatic", True), bool):
        raise ValueError(f"automatic must be true or false, not {entry['automatic']!r}")
    diameter, spacing = _geometry(entry["geometry"])
    return Phantom(
        entry["name"],
        entry["title"],
        entry["material"],
        entry["use"],
        _rods(entry["rods"], entry["material"]),
        diameter,
        spacing,
        entry.get("automatic", True),
        entry.get("serial"),
        entry.get("source"),
        entry.get("confidence"),
    )


def _geometry(geometry: object) -> tuple[float, float]:
    """Diameter and spacing of the rods in mm."""
    keys = ("rod_diameter_mm", "rod_spacing_mm")
    geometry = _object(geometry, "geometry", _GEOMETRY_KEYS, keys)
    diameter, spacing = (
        _number(geometry[key], key, 1.0, largest) for key, largest in zip(keys, (_LARGEST_DIAMETER_MM, _LARGEST_SPACING_MM))
    )
    if spacing <= diameter:
        raise ValueError(f"rod_spacing_mm must be larger than rod_diameter_mm, not {spacing:g} for rods of {diameter:g}")
    return diameter, spacing


def _rods(entries: object, material: str) -> tuple[Rod, ...]:
    rods = []
    for name, entry in _by_id(entries).items():
        if "density_mg_cm3" not in entry:
            raise ValueError(f"rod {name} lacks density_mg_cm3")
        density = _number(entry["density_mg_cm3"], f"density_mg_cm3 of rod {name}", *_DENSITIES[material])
        water = entry.get("water_mg_cm3")
        rods.append(Rod(name, density, None if water is None else _number(water, f"water_mg_cm3 of rod {name}", *_WATER)))
    dry = [rod.id for rod in rods if rod.water_mg_cm3 is None]
    if material != "K2HPO4" and len(dry) < len(rods):
        raise ValueError(f"water_mg_cm3 belongs to rods of K2HPO4, not of {material}")
    if 0 < len(dry) < len(rods):
        raise ValueError(f"rod {', '.join(dry)} lacks water_mg_cm3, which the other rods have")
    if len({rod.density_mg_cm3 for rod in rods}) < 2:
        raise ValueError("a line needs two rods of different density")
    return tuple(rods)


def _by_id(entries: object) -> dict[str, dict]:
    """The rods of a certificate by their id, each with known keys only."""
    if not isinstance(entries, list):
        raise ValueError(f"rods must be a list, not {entries!r}")
    rods: dict[str, dict] = {}
    for entry in entries:
        name = _text(_object(entry, "a rod", _ROD_KEYS, ("id",))["id"], "id of a rod")
        if name in rods:
            raise ValueError(f"two rods have the same id {name}")
        rods[name] = entry
    return rods


def _object(value: object, what: str, allowed: tuple[str, ...], needed: tuple[str, ...] = ()) -> dict:
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be an object with {', '.join(allowed)}, not {value!r}")
    unknown, missing = [key for key in value if key not in allowed], [key for key in needed if key not in value]
    if unknown:
        raise ValueError(f"{what} has the unknown {', '.join(unknown)}; known are {', '.join(allowed)}")
    if missing:
        raise ValueError(f"{what} lacks {', '.join(missing)}")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} must be a text, not {value!r}")
    return value


def _number(value: object, what: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{what} must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)
