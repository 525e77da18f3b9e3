"""What a user can send to ask for help: versions, device, stage and the worker's last words, and nothing that names a patient."""

from __future__ import annotations

import platform
import re
from importlib import metadata

from . import __version__

_PACKAGES = ("numpy", "scipy", "SimpleITK", "torch", "pydicom")

#: A path in quotes, and one without them, which may hold spaces and is therefore taken to reach to the end of its line.
_QUOTED = re.compile(r"""(["'])[^"'\n]*[\\/][^"'\n]*\1""")
_BARE = re.compile(r"(?<![\w.)])(?:[A-Za-z]:[\\/]|~[\\/]|\.{1,2}[\\/]|[\\/])[^\n]*")


def without_paths(text: str) -> str:
    """``text`` without names of files and folders, which may be a patient's; Python files keep their last name."""
    return _BARE.sub("(path)", _QUOTED.sub(_last_name, text))


def _last_name(match: re.Match) -> str:
    name = re.split(r"[\\/]", match.group().strip("\"'"))[-1]
    return f'"{name}"' if re.fullmatch(r"\w+\.py", name) else "(path)"


def diagnostics(host: str, device: dict | None, stage: str, message: str, log: str) -> str:
    """The report as text.

    ``host``: the program and its version; ``device``: the worker's last device event; ``stage``: of the last measurement;
    ``message``: what was said last; ``log``: the worker's last lines.
    """
    lines = [f"VertebralBMD {__version__}, {host}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"]
    lines.append(", ".join(f"{package} {_version(package)}" for package in _PACKAGES))
    lines.append(f"Device: {device_sentence(device) or 'not tried yet'}")
    lines.append(f"Stage: {stage or 'none'}")
    lines.append(f"Message: {without_paths(message) or 'none'}")
    return "\n".join([*lines, "Log:", without_paths(log).rstrip() or "(empty)"]) + "\n"


def device_sentence(device: dict | None) -> str:
    """A device event of the worker in words; "" for none."""
    if not device:
        return ""
    if device["fallback"]:
        return f"Processor (CPU), because the graphics card {device['name']} failed: {without_paths(device['fallback'])}".replace("  ", " ")
    return f"Graphics card {device['name']}" if device["kind"] == "cuda" else "Processor (CPU)"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"
