"""report.html: one printable page without network access or scripts; the picture is embedded."""

from __future__ import annotations

import base64
from pathlib import Path

from . import calibration, words

_TEMPLATES = Path(__file__).parent / "templates"


def render(document: dict, picture: bytes | None = None) -> str:
    """The page of ``document`` as HTML; ``picture`` is a PNG of the spine. Every value is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= dict(number=words.number, percent=words.percent)
    return environment.get_template("report.html.j2").render(
        document=document,
        words=words,
        calibration=calibration,
        unit=words.unit(document),
        measured=words.measured(document),
        reported=words.reported(document),
        picture=base64.b64encode(picture).decode("ascii") if picture else "",
    )
