"""What the user decided about one volume: how its levels are named, which are excluded, what is measured in spite of a refusal.

These hold for the volume and not for the next one, so they are kept with its table and not among the panel's parameters.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from ..anatomy import COLUMN
from ..quality import Code
from ..settings import Settings
from .results import find_result, result_node

_ATTRIBUTE = "VertebralBMD.choices"


@dataclass(frozen=True)
class Choices:
    """Fields as in ``Settings``."""

    level_at: tuple[str, tuple[float, float, float]] | None = None
    exclude: tuple[tuple[str, str], ...] = ()
    allow: frozenset[Code] = frozenset()

    def added_to(self, settings: Settings) -> Settings:
        """``settings`` with these choices. Raises ValueError for choices that make no sense."""
        return replace(settings, level_at=self.level_at, exclude=self.exclude, allow=settings.allow | self.allow)

    def excluding(self, level: str, reason: str) -> Choices:
        """Leave a level out, for this reason instead of an earlier one. Raises ValueError without a reason."""
        exclude = (*(each for each in self.exclude if each[0] != level), (level, reason.strip()))
        Settings(exclude=exclude)
        return replace(self, exclude=exclude)

    def including(self, level: str) -> Choices:
        """Let an excluded level count again."""
        return replace(self, exclude=tuple(each for each in self.exclude if each[0] != level))

    def renumbered(self, document: dict, level: str, name: str) -> Choices:
        """The body that ``document`` calls ``level`` is ``name``, its neighbours are counted from it, and what was excluded
        stays the same body. Raises ValueError for a level that was not found and for a name outside T1 to L6."""
        found = [vertebra["level"] for vertebra in document["vertebrae"]]
        if level not in found or name not in COLUMN:
            raise ValueError(f"{level} was not found." if level not in found else f"Levels cannot be counted from {name}.")
        first = COLUMN.index(name) - found.index(level)
        names = {old: COLUMN[first + k] for k, old in enumerate(found) if 0 <= first + k < len(COLUMN)}
        point = document["vertebrae"][found.index(level)]["centroid_lps_mm"]
        exclude = tuple((names[old], reason) for old, reason in self.exclude if old in names)
        return replace(self, level_at=(name, tuple(point)), exclude=exclude)

    def as_found(self) -> Choices:
        """Let the program name the levels again; what was excluded by the user's names is then not known any more."""
        return replace(self, level_at=None, exclude=())


def choices_of(volume_node) -> Choices:
    """What was decided about a volume, also in a loaded scene."""
    table_node = find_result(volume_node, "vtkMRMLTableNode")
    text = table_node.GetAttribute(_ATTRIBUTE) if table_node else None
    if not text:
        return Choices()
    kept = json.loads(text)
    level_at = kept["level_at"] and (kept["level_at"][0], tuple(kept["level_at"][1]))
    return Choices(level_at, tuple(map(tuple, kept["exclude"])), frozenset(map(Code, kept["allow"])))


def set_choices(volume_node, choices: Choices) -> None:
    """Keep what was decided about a volume with its table, which is made where there is none."""
    kept = dict(level_at=choices.level_at, exclude=choices.exclude, allow=sorted(code.value for code in choices.allow))
    result_node(volume_node, "vtkMRMLTableNode", "bone density").SetAttribute(_ATTRIBUTE, json.dumps(kept))
