"""What is wrong with a manifest: all of it at once, each with its lines and its remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """``lines``: of the manifest, none where it is about the whole file."""

    lines: tuple[int, ...]
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{_lines(self.lines)}: {self.what}. {self.remedy}" if self.lines else f"{self.what}. {self.remedy}"


class ManifestError(ValueError):
    """A manifest that cannot be trained on; ``problems`` from top to bottom."""

    def __init__(self, name: str, problems: tuple[Problem, ...]):
        self.problems = problems
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
        super().__init__("\n  ".join([f"manifest {name} has {count}:", *map(str, problems)]))


class Problems:
    """Collects problems of the manifest ``name``."""

    def __init__(self, name: str):
        self._name = name
        self._found: list[Problem] = []

    def add(self, lines: Iterable[int], what: str, remedy: str) -> None:
        """Note a problem of one line, of several that belong together, or of the whole file."""
        self._found.append(Problem(tuple(lines), what, remedy))

    def raise_any(self) -> None:
        """Raise ManifestError where there is a problem; lines that share one are listed together."""
        shared: dict[tuple, list[int]] = {}
        apart = []
        for problem in self._found:
            if len(problem.lines) == 1:
                shared.setdefault((problem.what, problem.remedy), []).extend(problem.lines)
            else:
                apart.append(problem)
        found = apart + [Problem(tuple(lines), *text) for text, lines in shared.items()]
        if found:
            raise ManifestError(self._name, tuple(sorted(found, key=lambda problem: problem.lines)))


def _lines(numbers: tuple[int, ...]) -> str:
    """ "line 3", "lines 3-5, 9"."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = ", ".join(f"{low}" if low == high else f"{low}-{high}" for low, high in runs)
    return f"line{'s' * (len(set(numbers)) > 1)} {shown}"
