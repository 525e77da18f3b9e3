"""The script for Slicer without a window: the command line's own results and exit status, in whatever runs it.

Run by a plain Python, by one with the real slicer-core loaded, and executed as Slicer does it (its file read and executed in the
main module, its folder put first on sys.path) with a stand-in for ``slicer.app``. A real Slicer has the last word.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from VertebralBMDLib.cli import main

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "VertebralBMDLib" / "slicer_main.py"

#: What ctkAbstractPythonManager::executeFile does, with the exit status that was asked for as this process's own.
AS_IN_SLICER = """
import os, sys, types
asked = []
slicer = types.ModuleType("slicer")
slicer.app, slicer.util = object(), types.SimpleNamespace(exit=asked.append)
sys.modules["slicer"] = slicer
sys.path.insert(0, FOLDER)
globals()["__file__"] = SCRIPT
try:
    exec(open(SCRIPT).read(), globals())
except SystemExit:
    os._exit(99)  # It would end Slicer at once, with whatever is not yet written.
assert len(asked) == 1, asked
sys.exit(asked[0])
"""


def script(*arguments):
    """With a plain Python, from a folder where the library is not."""
    return ended([sys.executable, str(SCRIPT), "--", *map(str, arguments)])


def with_slicer_core(*arguments):
    pytest.importorskip("slicer")
    code = f"import runpy, slicer; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    return ended([sys.executable, "-c", code, "--", *map(str, arguments)])


def as_in_slicer(*arguments):
    code = AS_IN_SLICER.replace("SCRIPT", repr(str(SCRIPT))).replace("FOLDER", repr(str(SCRIPT.parent)))
    return ended([sys.executable, "-c", code, *map(str, arguments)])


def ended(command):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment | {"PYTHONUTF8": "1"}, cwd="/")


HOSTS = pytest.mark.parametrize("run", [script, with_slicer_core, as_in_slicer])


@HOSTS
def test_the_exit_status_is_that_of_the_command_line(run, tmp_path):
    (tmp_path / "scan.nii").write_bytes(b"no image")
    refused = run("measure", tmp_path / "scan.nii", "--output", tmp_path / "out")
    assert refused.returncode == 3 and "refused UNREADABLE" in refused.stderr
    assert (tmp_path / "out" / "measurement.json").exists()
    wrong = run("batch", tmp_path)
    assert wrong.returncode == 2 and "--output" in wrong.stderr and "Traceback" not in wrong.stderr
    assert run("--version").returncode == 0 and run("dance").returncode == 2


@HOSTS
def test_a_batch_ends_with_its_status(run, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "scan.nii").write_bytes(b"no image")
    ran = run("batch", tmp_path / "data", "--output", tmp_path / "out")
    assert ran.returncode == 3 and "1 refused (UNREADABLE x 1)" in ran.stdout
    assert (tmp_path / "out" / "batch.csv").read_text(encoding="utf-8").splitlines()[1] == "case-0001,refused,UNREADABLE,"


def test_a_crash_is_a_traceback_and_status_1_and_not_an_open_slicer(tmp_path, monkeypatch):
    (tmp_path / "VertebralBMDLib").mkdir()
    copied = tmp_path / "VertebralBMDLib" / "slicer_main.py"
    copied.write_bytes(SCRIPT.read_bytes())
    (tmp_path / "VertebralBMDLib" / "__init__.py").write_text("raise RuntimeError('a broken installation')")
    monkeypatch.setattr(sys.modules[__name__], "SCRIPT", copied)
    for run in (script, as_in_slicer):
        assert (run("--version").returncode, "a broken installation" in run("--version").stderr) == (1, True)


def test_the_files_of_the_library_do_not_stand_in_for_other_packages():
    code = (
        f"import runpy, sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); runpy.run_path({str(SCRIPT)!r})['_import_the_library'](); "
        "sys.exit(any(name in sys.modules for name in ('scan', 'quality')) or __import__('importlib.util').util.find_spec('scan') is not None)"
    )
    assert ended([sys.executable, "-c", code]).returncode == 0


def test_slicer_can_read_the_script_in_any_encoding():
    assert SCRIPT.read_bytes().isascii()


def test_the_tables_are_those_of_the_command_line_to_the_byte(patient_files, tmp_path):
    scan, bodies = patient_files / "scan.nii.gz", patient_files / "bodies.nii.gz"
    (patient_files / "slicer.csv").write_text("case,scan,bodies\nP1,scan.nii.gz,bodies.nii.gz\n", encoding="utf-8")
    line = tmp_path / "line"
    assert main(["measure", str(scan), "--output", str(line), "--bodies", str(bodies), "--device", "cpu"]) == 0
    assert as_in_slicer("measure", scan, "--output", tmp_path / "slicer", "--bodies", bodies, "--device", "cpu").returncode == 0
    table = (line / "measurements.csv").read_bytes()
    assert len(table.splitlines()) > 2 and (tmp_path / "slicer" / "measurements.csv").read_bytes() == table
    batch = ("batch", patient_files / "slicer.csv", "--device", "cpu", "--output")
    assert main([*map(str, batch), str(tmp_path / "line batch")]) == as_in_slicer(*batch, tmp_path / "slicer batch").returncode == 0
    tables = [(tmp_path / name / "measurements.csv").read_bytes() for name in ("line batch", "slicer batch")]
    assert tables[0] == tables[1] and tables[0].splitlines()[1:] == [b"P1," + row for row in table.splitlines()[1:]]
