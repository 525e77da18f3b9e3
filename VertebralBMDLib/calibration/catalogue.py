"""The phantom catalogue: one JSON file a phantom, or the user's own certificate in the same form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..resources import resource
from .line import Rod


@dataclass(frozen=True)
class Phantom:
    """A catalogue entry (``vertebral-bmd/phantom/1``). ``material``: K2HPO4 or CaHA; rods in their order across the phantom.

    ``automatic`` False: only looked for when it is asked for by name, because its values differ from one to the next.
    """

    name: str
    title: str
    material: str
    use: str
    rods: tuple[Rod, ...]
    rod_diameter_mm: float
    rod_spacing_mm: float
    automatic: bool = True


def phantom_names() -> tuple[str, ...]:
    """Names in the catalogue."""
    return tuple(sorted(path.stem for path in resource("Phantoms").glob("*.json")))


def load_phantom(name: str) -> Phantom:
    """Catalogue entry by name, or a JSON file of the same form by path. Raises ValueError for anything else."""
    names = phantom_names()
    path = resource("Phantoms", f"{name}.json") if name in names else Path(name)
    if path.suffix != ".json" or not path.is_file():
        raise ValueError(f"phantom must be one of {', '.join(names)} or a JSON file of that form, not {name!r}")
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        rods = tuple(Rod(rod["id"], float(rod["density_mg_cm3"]), rod.get("water_mg_cm3")) for rod in entry["rods"])
        geometry = entry["geometry"]
        phantom = Phantom(
            entry["name"],
            entry["title"],
            entry["material"],
            entry["use"],
            rods,
            float(geometry["rod_diameter_mm"]),
            float(geometry["rod_spacing_mm"]),
            bool(entry.get("automatic", True)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"phantom file {path.name} is not of the form vertebral-bmd/phantom/1: {error!r}") from error
    if phantom.material not in ("K2HPO4", "CaHA"):
        raise ValueError(f"phantom file {path.name}: material must be K2HPO4 or CaHA, not {phantom.material!r}")
    if len({rod.id for rod in rods}) < len(rods):
        raise ValueError(f"phantom file {path.name}: two rods have the same id")
    if len({rod.density_mg_cm3 for rod in rods}) < 2:
        raise ValueError(f"phantom file {path.name}: a line needs two rods of different density")
    return phantom
