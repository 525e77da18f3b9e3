"""The panel on the stand-in host: real Qt, .ui, MRML and worker processes. See Testing/slicer_host/README.md."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("slicer")
pytest.importorskip("PySide6")
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[1] / "slicer_host")]

import host  # noqa: E402
from panel_tools import add_volume, use_stub  # noqa: E402


@pytest.fixture
def slicer():
    """The host with an empty scene."""
    slicer = host.start()
    yield slicer
    slicer.mrmlScene.Clear()


@pytest.fixture
def panel(slicer, monkeypatch, tmp_path):
    """The panel, entered, with temporary files in a folder of the test; ``stub(mode)`` chooses what the worker does."""
    panel = host.open_panel(host.load_module())
    from VertebralBMDLib import measurement_run

    folder = tmp_path / "Ωmega späce"
    folder.mkdir()
    monkeypatch.setattr(measurement_run.tempfile, "tempdir", str(folder))
    panel.temporary, panel.pids = folder, tmp_path / "pids"
    panel.stub = lambda mode: use_stub(panel, mode)
    panel.stub("measure")
    yield panel
    slicer.modules.VertebralBMDWidget.cleanup()


@pytest.fixture
def volume(slicer):
    return add_volume(slicer, "Knochen Ω")
