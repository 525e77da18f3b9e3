"""``python -m VertebralBMDLib`` is ``vertebral-bmd``."""

from .cli import console

console()
