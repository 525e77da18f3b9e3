"""Simulated patients in Slicer's Sample Data, over a stand-in for that module; real drawing, of a small patient."""

import platform
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import host
import numpy as np
import pytest
import scipy
from panel_tools import longest_block

#: A patient of 4 x 4 x 6 mm, and its voxels' SHA-256 where it was recorded.
SMALL = dict(
    name="small",
    title="Small one",
    options="--seed 1 --levels L1,L2 --spacing-mm 4,4,6".split(),
    sha256="0e20b83cf9d53177d5112a285762bad172e53bb2908da8aaeeee1cb9e7e9da4f",
)
RECORDED_WITH = ("2.4.6", "1.17.1", "x86_64")


@pytest.fixture
def samples(panel, slicer, monkeypatch, tmp_path):
    """VertebralBMDPanel.sample_data with its cache in a folder of the test; ``said`` is what the status bar showed."""
    from VertebralBMDPanel import sample_data

    manager = slicer.vtkCacheManager()
    manager.SetRemoteCacheDirectory(str(tmp_path))
    slicer.mrmlScene.SetCacheManager(manager)
    said = []
    monkeypatch.setattr(slicer.util, "showStatusMessage", lambda text, duration=0: said.append(text))
    yield SimpleNamespace(module=sample_data, said=said, load=sample_data.loadSample)
    slicer.mrmlScene.SetCacheManager(None)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The small patient, drawn once by the panel's own command."""
    import subprocess

    from VertebralBMDLib.simulation.samples import PACKAGE_PARENT, Sample

    folder, sample = tmp_path_factory.mktemp("drawn"), Sample(**SMALL)
    subprocess.run(sample.prepare(folder), cwd=PACKAGE_PARENT, check=True, capture_output=True)
    return sample.scan(folder)


@pytest.fixture
def cached(drawn, tmp_path):
    """The small patient in the cache; a Sample with the SHA-256 of these very voxels."""
    import shutil

    import SimpleITK as sitk

    from VertebralBMDLib.simulation.samples import Sample, voxels_sha256

    shutil.copytree(drawn.parent, tmp_path / "VertebralBMD-small")
    return Sample(**SMALL | {"sha256": voxels_sha256(sitk.GetArrayFromImage(sitk.ReadImage(str(drawn))))})


def test_every_patient_is_registered_when_slicer_has_started(panel, samples, monkeypatch):
    registered = []
    logic = SimpleNamespace(registerCustomSampleDataSource=lambda **source: registered.append(source))
    monkeypatch.setitem(sys.modules, "SampleData", SimpleNamespace(SampleDataLogic=logic))
    monkeypatch.setattr(host, "STARTUP", started := [])
    sys.modules["VertebralBMD"].VertebralBMD(SimpleNamespace())
    assert [signal for signal, _ in started] == ["startupCompleted()"] and not registered
    started[0][1]()
    assert {source["category"] for source in registered} == {"VertebralBMD"}
    assert len({source["sampleName"] for source in registered}) == len({source["fileNames"] for source in registered}) == 3
    for source in registered:
        assert all(isinstance(source[name], str) for name in ("sampleName", "uris", "fileNames", "nodeNames"))
        assert Path(source["thumbnailFileName"]).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    asked = []
    monkeypatch.setattr(samples.module, "loadSample", lambda sample: asked.append(sample.title))
    for source in registered:
        source["customDownloader"](SimpleNamespace(**source))
    assert asked == [source["sampleName"] for source in registered]


def test_a_slicer_without_sample_data_starts_all_the_same(samples, monkeypatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    samples.module.registerSampleData()


def test_a_patient_is_drawn_in_another_process_and_loaded_while_the_window_stays_usable(slicer, samples, tmp_path):
    from VertebralBMDLib.simulation.samples import Sample

    sample = Sample(**SMALL)
    assert samples.load(sample) is None and samples.load(sample) is None, "asking twice draws once"
    assert "Drawing" in samples.said[-1] and len(samples.said) == 1
    assert longest_block(lambda: len(samples.said) > 1) < 0.5
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert [node.GetName() for node in nodes] == ["Small one"] and nodes[0].GetDescription().startswith("Simulated")
    assert nodes[0].GetSpacing() == pytest.approx((4, 4, 6)) and sample.is_drawn(tmp_path)
    if RECORDED_WITH == (np.__version__, scipy.__version__, platform.machine()):
        assert "SAMPLE_DATA_DIFFERS" not in samples.said[-1]


def test_voxels_that_were_not_recorded_are_loaded_with_a_named_warning(samples, cached, caplog):
    assert "recorded ones" in (samples.load(cached), samples.said[-1])[1]
    assert not caplog.records
    node = samples.load(replace(cached, sha256="0" * 64))
    for text in (samples.said[-1], caplog.text, node.GetDescription()):
        assert "SAMPLE_DATA_DIFFERS" in text and "SHA-256" in text


def test_one_changed_voxel_is_noticed():
    from VertebralBMDLib.simulation.samples import Sample, voxels_sha256

    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    sample = Sample(**SMALL | {"sha256": voxels_sha256(voxels)})
    assert sample.warning(voxels) == "" and sample.warning(voxels.astype(">i2")) == ""
    voxels[1, 2, 3] += 1
    assert sample.warning(voxels).startswith("SAMPLE_DATA_DIFFERS: ")


def test_a_damaged_file_is_deleted_and_said(samples, cached, tmp_path):
    cached.scan(tmp_path).write_bytes(b"no scan")
    assert samples.load(cached) is None
    assert "damaged" in samples.said[-1] and not cached.is_drawn(tmp_path)


def test_a_patient_that_cannot_be_drawn_is_said_and_can_be_tried_again(samples):
    from VertebralBMDLib.simulation.samples import Sample

    sample = Sample(**SMALL | {"options": ["--age", "7"]})
    for _ in range(2):
        with pytest.raises(RuntimeError, match="18-100"):
            samples.load(sample, waitForCompletion=True)
    assert "18-100" in samples.said[-1]


def test_the_patients_are_what_the_simulator_can_draw():
    from VertebralBMDLib.cli import _parser
    from VertebralBMDLib.simulation.findings import Findings
    from VertebralBMDLib.simulation.samples import SAMPLES

    for sample in SAMPLES:
        _parser().parse_args(["simulate", "patient", "--output", "x", *sample.options])
        assert len(sample.sha256) == 64
        Findings.from_dict(sample.findings)
    assert any(Findings.from_dict(sample.findings).lesions for sample in SAMPLES)
    assert {"--phantom" in sample.options for sample in SAMPLES} == {True, False}
