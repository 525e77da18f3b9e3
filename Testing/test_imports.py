"""Imports point one way, and heavy libraries stay in their rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "VertebralBMDLib"
SOURCES = sorted(path.relative_to(ROOT) for path in LIBRARY.rglob("*.py"))
HEAVY = {"torch", "monai", "slicer", "vtk", "qt", "ctk", "PySide6", "PyQt5", "PySide2", "pythonqt"}


def module_of(path):
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Absolute names of everything a file imports, at its head or inside its functions."""
    names = set()
    package = module_of(path).split(".") if path.name == "__init__.py" else module_of(path).split(".")[:-1]
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
    return names


def room_of(path_or_name):
    """The room of the library a file or a dotted name belongs to: "roi", "calibration", ..."""
    parts = path_or_name.with_suffix("").parts if isinstance(path_or_name, Path) else tuple(path_or_name.split("."))
    return parts[1] if len(parts) > 1 and parts[0] == "VertebralBMDLib" else None


def rooms_that_import(library):
    return {str(path.relative_to("VertebralBMDLib")) for path in SOURCES if any(name.split(".")[0] == library for name in imports_of(path))}


def test_torch_is_imported_in_network_and_training_only():
    found = rooms_that_import("torch")
    assert found and all(name.split("/")[0] in ("network", "training") for name in found), found


def test_monai_is_imported_in_training_and_the_architecture_only():
    found = rooms_that_import("monai")
    assert "network/architecture.py" in found and all(
        name == "network/architecture.py" or name.startswith("training/") for name in found
    ), found


def test_slicer_and_vtk_are_imported_in_the_scene_only():
    for library in ("slicer", "vtk"):
        found = rooms_that_import(library)
        assert found and all(name.startswith("scene/") for name in found), found


@pytest.mark.parametrize("library", ["qt", "ctk", "PySide6", "PySide2", "PyQt5", "PyQt6", "PythonQt"])
def test_qt_is_imported_nowhere_in_the_library(library):
    assert rooms_that_import(library) == set()


#: What each stage may import of the library besides itself.
COMMON = {"anatomy", "grid", "quality", "resources", "scan"}
STAGES = {
    "roi": COMMON,
    "calibration": COMMON,
    "densitometry": COMMON,
    "diagnosis": COMMON,
    "network": COMMON,
    "segmentation": COMMON | {"network"},
    "loading": COMMON,
    "anatomy": set(),
    "grid": set(),
    "quality": set(),
    "resources": set(),
    "scan": {"quality"},
}


@pytest.mark.parametrize("path", [path for path in SOURCES if room_of(path) in STAGES], ids=str)
def test_a_stage_imports_no_other_stage(path):
    rooms = {room_of(name) for name in imports_of(path)} - {None, room_of(path)}
    rooms = {room for room in rooms if (LIBRARY / room).is_dir() or (LIBRARY / f"{room}.py").exists()}
    assert rooms <= STAGES[room_of(path)], rooms


@pytest.mark.parametrize("room", ["pipeline", "scene", "run", "worker", "cli"])
def test_only_what_comes_later_imports_the_later_rooms(room):
    later = {
        "pipeline": {"run", "worker", "worker_client", "measurement_run", "cli", "demo", "report", "summary", "scene", "cohort"},
        "scene": {"run"},
        "run": {"worker", "cli", "demo", "cohort"},
        "worker": {"worker_client", "measurement_run", "cohort"},
        "cli": {"__main__", "slicer_main"},
    }
    importers = {room_of(path) for path in SOURCES if f"VertebralBMDLib.{room}" in imports_of(path)} - {room}
    assert importers <= later[room], importers


LIGHT = [module_of(path) for path in SOURCES if room_of(path) not in ("network", "training", "scene", "__main__")]


def in_a_bare_interpreter(statement):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {statement}; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_the_rooms_to_import_are_there():
    assert {
        "VertebralBMDLib",
        "VertebralBMDLib.pipeline",
        "VertebralBMDLib.cli",
        "VertebralBMDLib.worker",
        "VertebralBMDLib.report.files",
        "VertebralBMDLib.doctor",
    } <= set(LIGHT)


def test_no_room_but_network_training_and_scene_loads_a_heavy_library():
    assert in_a_bare_interpreter("import " + ", ".join(LIGHT)) == "[]"


def test_the_use_of_networks_loads_torch_only_when_it_is_used():
    assert (
        in_a_bare_interpreter(
            "import VertebralBMDLib.network.models, VertebralBMDLib.network.density, VertebralBMDLib.network.segmentation"
        )
        == "[]"
    )
