"""Loading of the bundled TorchScript networks, with their checksum, onto a device that really works."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..quality import Code, Refused
from ..resources import resource, sha256


@dataclass(frozen=True)
class Model:
    """Name and SHA-256 of a network that took part in a result."""

    name: str
    sha256: str


def _file(name: str) -> Path:
    """A file of the folder in VERTEBRAL_BMD_MODELS (networks trained by the user) where that is set, else a bundled one."""
    folder = os.environ.get("VERTEBRAL_BMD_MODELS")
    return Path(folder) / name if folder else resource("Models", name)


def identity(name: str) -> Model:
    """What the card of a network says it is. Raises Refused(MODEL_DAMAGED) as ``card`` does."""
    try:
        return Model(name, card(name)["sha256"])
    except KeyError as error:
        raise Refused(Code.MODEL_DAMAGED, name) from error


def card(name: str) -> dict:
    """The card of a network. Raises Refused(MODEL_DAMAGED) for a missing or unreadable one."""
    try:
        return json.loads(_file(f"{name}.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        raise Refused(Code.MODEL_DAMAGED, name) from error


def checked_file(name: str) -> Path:
    """The file of a network, after comparing its checksum with its card. Raises Refused(MODEL_DAMAGED)."""
    expected = identity(name).sha256
    try:
        path = _file(f"{name}.ts")
        if sha256(path) == expected:
            return path
    except FileNotFoundError:
        pass
    raise Refused(Code.MODEL_DAMAGED, name)


@lru_cache(maxsize=8)
def load(name: str, device: str):
    """The network ``name`` in evaluation mode on ``device`` ("cpu" or "cuda"). Raises Refused (MODEL_DAMAGED, TORCH_MISSING)."""
    torch = import_torch()
    return torch.jit.load(str(checked_file(name)), map_location=device).eval()


@dataclass(frozen=True)
class Device:
    """Where networks run: ``kind`` "cuda" or "cpu", the ``name`` of a graphics card, and why it is left unused (or "")."""

    kind: str
    name: str = ""
    fallback: str = ""


def probed_device(wanted: str) -> Device:
    """The graphics card when it is wanted (or "auto") and a convolution really runs on it, else the CPU. Raises Refused(TORCH_MISSING)."""
    torch = import_torch()
    if wanted == "cpu" or not torch.cuda.is_available():
        return Device("cpu")
    name = ""
    try:
        name = torch.cuda.get_device_name()
        probe = torch.nn.Conv3d(1, 1, 3).to("cuda")(torch.ones(1, 1, 4, 4, 4, device="cuda"))
        torch.cuda.synchronize()
        return Device("cuda", name) if bool(torch.isfinite(probe).all()) else Device("cpu", name, "its results are not finite")
    except RuntimeError as error:
        return Device("cpu", name, str(error).partition("\n")[0])


def working_device(wanted: str) -> str:
    """ "cuda" or "cpu", whichever ``probed_device`` finds to work."""
    return probed_device(wanted).kind


@contextmanager
def one_thread(torch):
    """torch on one core: what several threads sum depends, in its last bits, on how many they are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def import_torch():
    """torch, limited to the processor's cores. Raises Refused(TORCH_MISSING)."""
    try:
        import torch
    except (ImportError, OSError) as error:
        raise Refused(Code.TORCH_MISSING, type(error).__name__) from error
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 0)) or os.cpu_count() or 1)
    return torch
