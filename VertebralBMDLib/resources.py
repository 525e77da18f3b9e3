"""Where the bundled models, phantoms and schemas lie, in a checkout as well as in an installed package."""

from __future__ import annotations

import hashlib
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(*parts: str) -> Path:
    """Path of a bundled resource, for example ``resource("Phantoms", "qrm-bdc3.json")``.

    An installed package (wheel or Slicer extension) carries ``Resources`` inside the package; a checkout, beside it.
    Raises FileNotFoundError when it is in neither.
    """
    for root in (_PACKAGE / "Resources", _PACKAGE.parent / "Resources"):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise FileNotFoundError(f"Resource {'/'.join(parts)} is missing from this installation; reinstall VertebralBMD.")


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
