"""A certificate that the user edits: begun from a known phantom, and saved only in a form that can be read again."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..resources import resource
from .catalogue import SCHEMA, Phantom, load_entry, own_certificate, phantom_names, phantom_of


def certificate_from(name: str) -> dict:
    """The entry of a phantom (a name in the catalogue, or the path of a JSON file) to be edited and saved as one's own.

    A file of the user's stays what it is; an entry of the catalogue gets a name, title and source of its own.
    Raises ValueError as ``load_phantom`` does.
    """
    entry = load_entry(name)
    if name not in phantom_names():
        return entry
    # A certificate is asked for by its file, so what the catalogue looks for by itself does not matter.
    return {key: value for key, value in (entry | own_certificate(entry)).items() if key != "automatic"}


def save_certificate(entry: dict, path: str | Path) -> Phantom:
    """Write an entry of the catalogue's form as a JSON file that ``load_phantom`` reads; returns the phantom.

    Raises ValueError, before anything is written, for an entry that is not of that form, a name of the catalogue, and a path
    that does not end with .json or lies in the catalogue; OSError when the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".json":
        raise ValueError(f"the file of a certificate must end with .json, not {path.name!r}")
    if path.resolve().parent == resource("Phantoms").resolve():
        raise ValueError("the catalogue cannot be changed; save the certificate in a folder of your own")
    phantom = phantom_of(entry)
    if phantom.name in phantom_names():
        raise ValueError(f"{phantom.name} is the name of the catalogue's own entry; give the certificate another")
    text = json.dumps({"schema": SCHEMA} | entry, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)
    return phantom
