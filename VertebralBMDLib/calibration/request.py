"""What ``--calibration`` asks for: its words, in the order of trust."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .catalogue import MATERIALS

#: Kinds in words, from the most to the least trusted (qct_facts 4.9). A tissue calibration with a file is a site's regression.
KINDS = ("phantom", "async", "tissue")
_SYNTAX = "auto, none, or one or more of phantom[:NAME], async:FILE, tissue:FILE and tissue[:CaHA|K2HPO4], separated by commas"


@dataclass(frozen=True)
class Asked:
    """One kind of calibration: ``kind`` phantom, async or tissue; ``name``: phantom, file or material, "" for none."""

    kind: str
    name: str

    @property
    def tier(self) -> str:
        """phantom, asynchronous, site or physics."""
        if self.kind == "tissue":
            return "physics" if self.name in ("", *MATERIALS) else "site"
        return {"phantom": "phantom", "async": "asynchronous"}[self.kind]

    @property
    def path(self) -> Path:
        return Path(self.name)

    @property
    def file(self) -> Path | None:
        """The user's own file that is asked for; None for a phantom of the catalogue, a material or no name at all."""
        return self.path if self.tier in ("asynchronous", "site") or self.name.endswith(".json") else None


_TIERS = ("phantom", "asynchronous", "site", "physics")


def parsed(request: str) -> tuple[Asked, ...]:
    """Each calibration that ``request`` asks for, from the most to the least trusted; ValueError when it makes no sense.

    "auto" is a phantom in the scan, else the physics of the patient's tissues; "none" is nothing.
    """
    if request == "none":
        return ()
    if request == "auto":
        return Asked("phantom", ""), Asked("tissue", "")
    parts = re.split(rf",(?=(?:{'|'.join(KINDS)})(?:[:,]|$))", request)
    asked = [Asked(*part.partition(":")[::2]) for part in parts]
    for each in asked:
        if each.kind not in KINDS or (each.kind == "async" and not each.name):
            raise ValueError(f"calibration must be {_SYNTAX}; {request!r} is not")
    return tuple(sorted(asked, key=lambda each: _TIERS.index(each.tier)))


def located(request: str, folder: Path) -> str:
    """``request`` with the files in it as absolute paths, where they are given relative to ``folder``. Raises ValueError."""
    if request in ("auto", "none"):
        return request
    names = [(each.kind, str(folder / each.file) if each.file else each.name) for each in parsed(request)]
    return ",".join(f"{kind}:{name}" if name else kind for kind, name in names)
