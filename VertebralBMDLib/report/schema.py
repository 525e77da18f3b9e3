"""The JSON Schema of measurement.json and the check against it."""

from __future__ import annotations

import json

from ..resources import resource
from .document import codes


def schema() -> dict:
    """The schema of "vertebral-bmd/1" (JSON Schema 2020-12)."""
    return json.loads(resource("Schemas", "measurement-1.schema.json").read_text(encoding="utf-8"))


def validate(document: dict) -> None:
    """Raise ValueError, saying where and why, when ``document`` breaks the schema or uses a code without its message."""
    from jsonschema import Draft202012Validator

    errors = sorted(Draft202012Validator(schema()).iter_errors(document), key=lambda error: error.json_path)
    if errors:
        raise ValueError("; ".join(f"{error.json_path}: {error.message}" for error in errors))
    unexplained = codes(document) - set(document["messages"])
    if unexplained:
        raise ValueError(f"messages lacks {', '.join(sorted(unexplained))}")
