"""What the doctor says about an installation."""

import getpass
import shutil
from importlib import metadata
from pathlib import Path

import pytest

from VertebralBMDLib import __version__, doctor, resources
from VertebralBMDLib.cli import main
from VertebralBMDLib.resources import resource


@pytest.fixture
def damaged(tmp_path, monkeypatch):
    """An installation whose refine model was changed and whose density model is gone."""
    shutil.copytree(resource("Models"), tmp_path / "Resources" / "Models")
    with (tmp_path / "Resources" / "Models" / "refine.ts").open("ab") as stream:
        stream.write(b"x")
    (tmp_path / "Resources" / "Models" / "density.ts").unlink()
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path)


def line_of(text, start):
    return next(line for line in text.splitlines() if line.startswith(start))


def test_a_complete_installation_is_healthy(capsys):
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert __version__ in text.splitlines()[0] and metadata.version("torch") in line_of(text, "torch")
    for name in ("localise", "refine", "density"):
        assert line_of(text, f"model {name}").endswith(f"{name}.ts")
    assert line_of(text, "device").split()[-1] in ("cpu", "cuda")


def test_damaged_models_are_named_with_the_remedy_and_the_status_is_1(damaged, capsys):
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "Reinstall" in line_of(text, "model refine") and "Reinstall" in line_of(text, "model density")
    assert line_of(text, "model localise").endswith("localise.ts")


@pytest.mark.parametrize(("package", "healthy"), [("monai", True), ("slicer-core", True), ("SimpleITK", False), ("torch", False)])
def test_a_missing_package_is_said_and_matters_when_it_is_needed(monkeypatch, package, healthy):
    version = metadata.version

    def without(name):
        if name == package:
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor.metadata, "version", without)
    text, found_healthy = doctor.report()
    assert "missing" in line_of(text, package) and found_healthy == healthy and ("optional" in line_of(text, package)) == healthy


def test_it_names_no_user_no_path_and_no_host():
    import socket

    text, _healthy = doctor.report()
    assert str(Path.home()) not in text and str(Path(__file__).parent.parent) not in text and socket.gethostname() not in text
    assert getpass.getuser() not in text.split()
