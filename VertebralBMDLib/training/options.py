"""What a folder of a training was begun with."""

from __future__ import annotations

import json
from pathlib import Path


def check_same_training(folder: Path, facts: dict) -> None:
    """A checkpoint goes on with the options it was begun with, or the card would tell of a training that never was.

    Raises ValueError for a folder that was begun with others.
    """
    path = folder / "options.json"
    facts = json.loads(json.dumps(facts))
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        return
    begun = json.loads(path.read_text(encoding="utf-8"))
    other = [key for key in facts if begun.get(key) != facts[key]]
    if other:
        raise ValueError(f"{folder} holds a training with another {', '.join(other)}. Give another --output, or delete that folder.")
