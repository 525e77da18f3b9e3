"""``vertebral-bmd doctor``: what is installed, which device works, and whether the models are intact."""

from __future__ import annotations

import platform
from importlib import metadata

from . import __version__
from .network.models import checked_file, working_device
from .quality import MESSAGES, Refused
from .segmentation.totalsegmentator_program import installed, runnable_tasks, weights_folder

_PACKAGES = ("numpy", "scipy", "SimpleITK", "torch", "pydicom", "matplotlib", "Jinja2", "slicer-core", "monai")
_OPTIONAL = ("slicer-core", "monai", "matplotlib", "Jinja2")
_NETWORKS = ("localise", "refine", "density")


def report() -> tuple[str, bool]:
    """The report as text, and whether a measurement can run. Names no user, path or host."""
    lines = [f"VertebralBMD {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"]
    healthy = True
    for package in _PACKAGES:
        try:
            lines.append(f"{package:12} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            optional = package in _OPTIONAL
            healthy = healthy and optional
            lines.append(f"{package:12} missing{' (optional)' if optional else ''}")
    for name, test in [
        *[(f"model {name}", lambda name=name: checked_file(name).name) for name in _NETWORKS],
        ("device", lambda: working_device("auto")),
    ]:
        try:
            lines.append(f"{name:14} {test()}")
        except Refused as refusal:
            healthy = False
            lines.append(f"{name:14} {refusal}")
    lines.append(f"TotalSegmentator (optional): {_totalsegmentator()}")
    return "\n".join(lines), healthy


def _totalsegmentator() -> str:
    """Its version and the tasks for which its networks are there, or what is missing."""
    try:
        _command, version = installed()
        return f"{version}, " + " and ".join(task.name for task in runnable_tasks(weights_folder()))
    except Refused as refusal:
        return MESSAGES[refusal.code].sentence
