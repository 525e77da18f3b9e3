"""The pipeline in a child process: one JSON request per line on stdin, JSON events on stdout, logs on stderr.

    {"command": "measure", "scan": PATH, "output": DIR, "settings": {...}}
    {"event": "ready", "version": "0.1.0"}
    {"event": "device", "kind": "cpu", "name": "NVIDIA RTX A4000", "fallback": "out of memory"}
    {"event": "progress", "stage": "segmentation", "fraction": 0.4}
    {"event": "done", "status": 0, "files": ["measurement.json", ...]}
    {"event": "error", "code": "TORCH_MISSING", "message": "PyTorch is not installed. ..."}

    {"command": "remeasure", "rois": {"L1": {"scan": PATH, "centre_lps_mm": [x, y, z]}}, "device": "auto"}
    {"event": "done", "readings": {"L1": {"vbmd_network_mg_cm3": 98.4, ...}}}

A device event says where the networks run, after an operation was tried there; ``fallback`` is why a graphics card is left
unused. A request may also hold "series" (a UID) and "scene" (true: scene.mrb too). ``status`` is 0 (measured) or 3 (refused; the
reasons are in measurement.json). Every request ends with one done or one
error; ``code`` is null for what has no code. The process ends with its stdin. Start it with ``python -m VertebralBMDLib.worker``.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from . import __version__
from .quality import MESSAGES, Code, Refused

if TYPE_CHECKING:
    from .settings import Settings

NO_MEMORY = "There is not enough memory for this scan. Close other programs and try again."

#: How PyTorch and ITK say that the memory is full, and how PyTorch says that the graphics card has failed.
_NO_MEMORY = re.compile(r"out of memory|not enough memory|allocate memory|bad_alloc", re.IGNORECASE)
_OF_THE_CARD = re.compile(r"CUDA|cuDNN|cuBLAS")


def settings_to_json(settings: Settings) -> dict:
    """``settings`` as JSON knows it: paths as text, tuples as lists, refusal codes by name."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    values["levels"] = list(settings.levels)
    values["allow"] = sorted(code.value for code in settings.allow)
    for name in ("bodies", "rods", "roi"):
        values[name] = None if values[name] is None else str(values[name])
    values["roi_levels"] = None if settings.roi_levels is None else list(settings.roi_levels)
    values["exclude"] = [list(each) for each in settings.exclude]
    if settings.convert is not None:
        values["convert"] = list(settings.convert)
    if settings.level_at is not None:
        values["level_at"] = [settings.level_at[0], list(settings.level_at[1])]
    return values


def settings_from_json(values: dict) -> Settings:
    """The Settings that ``settings_to_json`` wrote; what is missing keeps its default. Raises ValueError for an unknown name."""
    from .settings import Settings

    unknown = set(values) - {field.name for field in fields(Settings)}
    if unknown:
        raise ValueError(f"Unknown settings: {', '.join(sorted(unknown))}.")
    values = dict(values)
    for name in ("levels", "roi_levels"):
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    if "allow" in values:
        values["allow"] = frozenset(Code(code) for code in values["allow"])
    for name in ("bodies", "rods", "roi"):
        if values.get(name) is not None:
            values[name] = Path(values[name])
    values["exclude"] = tuple((level, reason) for level, reason in values.get("exclude", ()))
    if values.get("convert") is not None:
        values["convert"] = tuple(values["convert"])
    if values.get("level_at") is not None:
        level, point = values["level_at"]
        values["level_at"] = (level, tuple(float(x) for x in point))
    return Settings(**values)


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer every line of ``requests`` on ``answers`` until there are no more."""

    def answer(event: str, **content) -> None:
        answers.write(json.dumps(dict(event=event, **content), ensure_ascii=False) + "\n")
        answers.flush()

    answer("ready", version=__version__)
    for line in requests:
        if not line.strip():
            continue
        try:
            answer("done", **_measured(json.loads(line), answer))
        except Refused as refusal:
            answer("error", code=refusal.code.value, message=str(MESSAGES[refusal.code]))
        except MemoryError:
            answer("error", code=None, message=NO_MEMORY)
        except ValueError as error:
            # What was asked for makes no sense, and the error says why.
            traceback.print_exc()
            answer("error", code=None, message=f"The measurement was not possible: {error}")
        except BrokenPipeError:
            raise
        except Exception as error:
            traceback.print_exc()
            if isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)):
                answer("error", code=None, message=NO_MEMORY)
                continue
            answer("error", code=None, message=f"The measurement failed unexpectedly ({type(error).__name__}: {error}).")


def _measured(request: dict, answer: Callable[..., None]) -> dict:
    """Carry out one request; the content of its done event."""
    if request.get("command") == "remeasure":
        return _read_again(request)
    if request.get("command") != "measure":
        raise ValueError(f"unknown command {request.get('command')!r}")
    from .run import measure_to_folder

    scan, output = Path(request["scan"]), Path(request["output"])

    def measured(settings: Settings) -> int:
        return measure_to_folder(scan, output, settings, progress, request.get("series"), request.get("scene", False))

    def progress(stage: str, fraction: float) -> None:
        answer("progress", stage=stage, fraction=round(fraction, 4))

    settings = settings_from_json(request.get("settings", {}))
    _say_device(settings.device, answer)
    try:
        status = measured(settings)
    except RuntimeError as error:
        if settings.device != "auto" or not _OF_THE_CARD.search(str(error)):
            raise
        traceback.print_exc()
        reason = str(error).partition("\n")[0]
        answer("device", kind="cpu", name="", fallback=reason)
        status = measured(replace(settings, device="cpu"))
    return dict(status=status, files=sorted(path.name for path in output.iterdir()))


def _read_again(request: dict) -> dict:
    """What the network says around edited ROIs; ``scan``: the part that it reads, ``beam``: fields of ``network.density.Beam``."""
    from .network.density import Beam
    from .run import read_again

    rois = {level: (Path(roi["scan"]), roi["centre_lps_mm"]) for level, roi in request["rois"].items()}
    return dict(readings=read_again(rois, Beam(**request.get("beam", {})), request.get("device", "auto")))


def _say_device(wanted: str, answer: Callable[..., None]) -> None:
    """Say where the networks will run; nothing without PyTorch, which is the pipeline's to refuse."""
    from .network.models import probed_device

    try:
        answer("device", **asdict(probed_device(wanted)))
    except Refused:
        pass


def main() -> None:
    """Keep stdin and stdout for the protocol alone: stray prints, also those of compiled code, go to stderr."""
    requests, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        serve(requests, answers)
    except BrokenPipeError:
        # The program that asked is gone, so nobody needs the answer.
        os._exit(1)


if __name__ == "__main__":
    main()
