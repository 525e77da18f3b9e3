"""The installed TotalSegmentator as a program: where it is, which networks it has, and one run of it as a child process.

Facts from its source, version 2.18 (wasserth/TotalSegmentator): command line in bin/TotalSegmentator.py, settings and
folders in config.py, networks in map_tasks_config.py. It sends usage statistics unless ``send_usage_stats`` is false in
``$TOTALSEG_HOME_DIR/config.json``, and it downloads the networks that it lacks. Here it gets a settings folder of its own
with the statistics off, only tasks whose networks are there, and no way to the network.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from ..quality import Code, Refused
from ..scan import Acquisition, Scan, with_acquisition
from .child import last_line, run_child
from .numbering import TOTALSEGMENTATOR
from .own import read_label_map

#: Names the executable where it is not on PATH.
EXECUTABLE = "VERTEBRAL_BMD_TOTALSEGMENTATOR"
_OLDEST = (2, 15)
_MODULE = "totalsegmentator.bin.TotalSegmentator"
_VERSION_TIMEOUT_S = 120.0
#: Nothing listens here: whatever asks for the network gets "connection refused" at once.
_NOWHERE = "http://127.0.0.1:9"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True)
class Task:
    """One run: its arguments, and the numbers of the networks that it loads."""

    name: str
    networks: tuple[int, ...]
    options: tuple[str, ...] = ()


REFINED = Task("vertebrae_pp_refined", (803, 305))
BODIES = Task("vertebrae_body", (305,))
#: --roi_subset finds the region with the 6 mm network (298) and runs the parts that hold the vertebrae, but asks for all.
_SUBSET = ("--roi_subset", *(f"vertebrae_{level}" for level in TOTALSEGMENTATOR.values()))
_NAMES = (Task("total", (291, 292, 293, 294, 295, 298), _SUBSET), Task("total", (297,), ("--fast",)))


@dataclass(frozen=True)
class Run:
    """Runs in one temporary folder, with settings of their own."""

    command: tuple[str, ...]
    version: str
    folder: Path
    device: str

    def prepare(self, scan: Scan) -> None:
        """The scan without a word about the patient, and the user's settings with the usage statistics off."""
        sitk.WriteImage(with_acquisition(scan.image, Acquisition()), str(self.folder / "scan.nii"))
        home = self.folder / "home"
        home.mkdir()
        try:
            settings = json.loads((_home() / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            settings = {"totalseg_id": "", "prediction_counter": 0}
        settings |= {"send_usage_stats": False, "statistics_disclaimer_shown": True}
        (home / "config.json").write_text(json.dumps(settings), encoding="utf-8")

    def labels(self, task: Task, scan: Scan, tick: Callable[[], None]) -> sitk.Image:
        """The label map of one task on the scan's grid. Raises Refused(ENGINE_FAILED)."""
        output, log = self.folder / f"{task.name}.nii.gz", self.folder / f"{task.name}.log"
        device = "gpu" if self.device == "cuda" else "cpu"
        paths = ("-i", str(self.folder / "scan.nii"), "-o", str(output))
        arguments = (*self.command, *paths, "--ml", "--task", task.name, "--device", device, *task.options)
        try:
            status = run_child(arguments, _environment(self.command, self.folder / "home"), log, tick)
        except OSError as error:
            raise Refused(Code.ENGINE_FAILED, f"{task.name}: {error.strerror}") from error
        if status:
            raise Refused(Code.ENGINE_FAILED, f"version {self.version}, {task.name}, exit status {status}: {last_line(log)}")
        try:
            return read_label_map(output, scan.image)
        except Refused as refusal:
            raise Refused(Code.ENGINE_FAILED, f"version {self.version}, {task.name}: {refusal.detail}") from refusal


def installed() -> tuple[tuple[str, ...], str]:
    """The command that starts it, and its version. Raises Refused(ENGINE_MISSING).

    The program that ``EXECUTABLE`` names, else the module of the running interpreter, else ``TotalSegmentator`` on PATH.
    """
    named = os.environ.get(EXECUTABLE)
    found = shutil.which(named or "TotalSegmentator")
    if named and found is None:
        raise Refused(Code.ENGINE_MISSING, f"{EXECUTABLE} names no program")
    if not named and importlib.util.find_spec("totalsegmentator") is not None:
        command, version = (sys.executable, "-m", _MODULE), importlib.metadata.version("TotalSegmentator")
    elif found is not None:
        command, version = (found,), _version_of(found)
    else:
        raise Refused(Code.ENGINE_MISSING)
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or tuple(map(int, numbers.groups())) < _OLDEST:
        raise Refused(Code.ENGINE_MISSING, f"found version {version}")
    return command, version


def _version_of(executable: str) -> str:
    """What ``--version`` prints last. Raises Refused(ENGINE_MISSING)."""
    try:
        done = subprocess.run(
            [executable, "--version"],
            env=_environment((executable,), Path(tempfile.gettempdir())),
            capture_output=True,
            timeout=_VERSION_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Refused(Code.ENGINE_MISSING, "the program does not start") from error
    words = done.stdout.decode("utf-8", errors="replace").split()
    return words[-1] if words else "unknown"


def _home() -> Path:
    """Its settings folder (config.get_totalseg_dir)."""
    home = Path.home()
    return Path(os.environ.get("TOTALSEG_HOME_DIR") or (Path("/tmp") if str(home) == "/" else home) / ".totalsegmentator")


def weights_folder() -> Path:
    """Where its networks lie (config.get_weights_dir)."""
    return Path(os.environ.get("TOTALSEG_WEIGHTS_PATH") or _home() / "nnunet" / "results")


def runnable_tasks(weights: Path) -> tuple[Task, ...]:
    """The runs for which all networks are there. Raises Refused(ENGINE_WEIGHTS_MISSING): nothing is downloaded."""

    def there(task: Task) -> bool:
        return all(any(weights.glob(f"Dataset{number}_*/*")) for number in task.networks)

    if there(REFINED):
        return (REFINED,)
    names = next((task for task in _NAMES if there(task)), None)
    if names is None:
        raise Refused(Code.ENGINE_WEIGHTS_MISSING, f"looked in {weights}")
    return (names, BODIES) if there(BODIES) else (names,)


def _environment(command: tuple[str, ...], home: Path) -> dict[str, str]:
    """This process's environment with settings, networks and no way out; a foreign Python must not see Slicer's paths."""
    foreign = ("PYTHONHOME", "PYTHONPATH") if command[0] != sys.executable else ()
    dropped = {*foreign, "NO_PROXY", "no_proxy"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    folders = {"TOTALSEG_HOME_DIR": str(home), "TOTALSEG_WEIGHTS_PATH": str(weights_folder())}
    return kept | dict.fromkeys(_PROXIES, _NOWHERE) | folders | {"PYTHONUTF8": "1"}
