"""Putting the output of a benchmark into a document, between two marks, with the command that printed it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def parser(description: str) -> argparse.ArgumentParser:
    """Arguments that every benchmark shares."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--write", type=Path, metavar="FILE", help="also put the table into this document")
    return arguments


def publish(name: str, text: str, document: Path | None, command: str | None = None) -> None:
    """Print ``text``, and put it with the command that printed it between ``<!-- benchmark:NAME -->`` and ``<!-- end:NAME -->`` of ``document`` if given.

    Raises ValueError when the document does not have the marks.
    """
    print(text)
    if document is None:
        return
    start, end = f"<!-- benchmark:{name} -->", f"<!-- end:{name} -->"
    content = document.read_text(encoding="utf-8")
    before, found, rest = content.partition(start)
    _old, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{document} has no block {name}.")
    command = command or _command(name)
    block = f"{start}\n```text\n$ {command}\n{text}\n```\n{end}"
    document.write_text(before + block + after, encoding="utf-8")


def _command(name: str) -> str:
    """The command that is running, without where its table goes and without folders of this machine."""
    words = sys.argv[1:]
    if "--write" in words:
        place = words.index("--write")
        del words[place : place + 2]
    own_models = ["VERTEBRAL_BMD_MODELS=FOLDER"] if "VERTEBRAL_BMD_MODELS" in os.environ else []
    return " ".join([*own_models, ".venv/bin/python", f"Testing/benchmarks/{name}.py", *words])
