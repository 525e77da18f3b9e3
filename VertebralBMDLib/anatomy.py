"""Vertebral levels: names, VerSe label values, SNOMED CT codes and neighbours."""

from __future__ import annotations

#: VerSe label value of each thoracic and lumbar level, from cranial to caudal. T13 (28) is kept out of the sequence.
LABELS: dict[str, int] = {f"T{n}": 7 + n for n in range(1, 13)} | {f"L{n}": 19 + n for n in range(1, 7)} | {"T13": 28}

LEVELS: dict[int, str] = {label: level for level, label in LABELS.items()}

#: Levels in their order from cranial to caudal: T1 to T12, L1 to L5, and L6 where there is one.
COLUMN: tuple[str, ...] = tuple(f"T{n}" for n in range(1, 13)) + tuple(f"L{n}" for n in range(1, 7))

#: SNOMED CT identifiers of the vertebrae that carry one in 3D Slicer's and TotalSegmentator's terminology.
SNOMED: dict[str, str] = {
    "T10": "7610001",
    "T11": "12989004",
    "T12": "23215003",
    "L1": "66794005",
    "L2": "14293000",
    "L3": "36470004",
    "L4": "11994002",
    "L5": "49668003",
}


def label_of(level: str) -> int:
    """VerSe label value of ``level`` ("L1" -> 20). Raises ValueError for an unknown name."""
    try:
        return LABELS[level]
    except KeyError:
        raise ValueError(f"Unknown vertebral level {level!r}; use one of {', '.join(LABELS)}.") from None


def is_lumbar(level: str) -> bool:
    """True for L1 to L6."""
    return level.startswith("L")
