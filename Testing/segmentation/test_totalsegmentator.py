"""The TotalSegmentator engine with a stub in place of the program: command line, environment, labels, cutting and failures."""

import importlib.util
import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.anatomy import LEVELS
from VertebralBMDLib.network.segmentation import STRUCTURES, Located
from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.scan import Scan
from VertebralBMDLib.segmentation.numbering import TOTALSEGMENTATOR
from VertebralBMDLib.segmentation.totalsegmentator import TotalSegmentatorEngine
from VertebralBMDLib.segmentation.totalsegmentator_program import EXECUTABLE

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stub is started by its first line")

STUB = Path(__file__).with_name("stub_totalsegmentator.py")
REFINED, BODIES, FAST, TOTAL = (803, 305), (305,), (297,), (291, 292, 293, 294, 295, 298)


class Stub:
    """The program in a folder of its own, and the folder of a user who has its settings and networks."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.home = folder / "stub Ω", folder / "home Ω"
        self.folder.mkdir()
        self.home.mkdir()
        self.program = self.folder / "TotalSegmentator"
        self.program.write_text(f"#!{sys.executable}\n" + STUB.read_text(encoding="utf-8"), encoding="utf-8")
        self.program.chmod(0o755)
        self.behaves()
        (self.home / "config.json").write_text(json.dumps({"totalseg_id": "user", "send_usage_stats": True, "prediction_counter": 3}))
        for name in ("PYTHONHOME", "PYTHONPATH", "TOTALSEG_WEIGHTS_PATH"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(EXECUTABLE, str(self.program))
        monkeypatch.setenv("TOTALSEG_HOME_DIR", str(self.home))

    def behaves(self, version="2.18.0", **how):
        (self.folder / "behaviour.json").write_text(json.dumps({"version": version, **how}))

    def has(self, *networks):
        for number in networks:
            (self.home / "nnunet" / "results" / f"Dataset{number}_name_1559subj" / "plans").mkdir(parents=True)

    def answers(self, task, image):
        sitk.WriteImage(image, str(self.folder / f"{task}.nii.gz"), useCompression=True, compressionLevel=1)

    @property
    def runs(self):
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("run-*.json"))]


@pytest.fixture
def stub(tmp_path, monkeypatch):
    return Stub(tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
def localiser(monkeypatch, patient):
    """The bundled localiser, which sees the patient's structures as they are where the scan shows more than soft tissue."""

    def localise(field, device):
        truth = sitk.GetArrayFromImage(sitk.Resample(patient.structures, field, sitk.Transform(), sitk.sitkNearestNeighbor))
        truth[sitk.GetArrayViewFromImage(field) < 60] = 0
        return Located(np.stack([(truth == k).astype(np.float32) for k in range(len(STRUCTURES))]), *np.zeros((2, *truth.shape)))

    monkeypatch.setattr("VertebralBMDLib.segmentation.totalsegmentator.localise", localise)


def with_numbers(image, numbers):
    """A map of VerSe labels with ``numbers[level]`` in place of each."""
    table = np.zeros(256, np.uint8)
    for label, level in LEVELS.items():
        table[label] = numbers.get(level, 0)
    renumbered = sitk.GetImageFromArray(table[sitk.GetArrayViewFromImage(image)])
    renumbered.CopyInformation(image)
    return renumbered


def as_total(whole):
    """As the ``total`` task numbers vertebrae, among other organs."""
    total = with_numbers(whole, {level: number for number, level in TOTALSEGMENTATOR.items()})
    total[0:5, 0:5, 0:5], total[6:9, 6:9, 6:9] = 5, 52
    return total


def segment(scan, progress=lambda fraction: None):
    return TotalSegmentatorEngine("cpu").segment(scan, progress)


def refused(code, scan):
    with pytest.raises(Refused) as caught:
        segment(scan)
    assert caught.value.code == code
    return caught.value.detail


def dice(found, truth):
    found, truth = (sitk.GetArrayViewFromImage(image) for image in (found, truth))
    labels = [label for label in np.unique(truth) if label and truth[8:-8][truth[8:-8] == label].size == (truth == label).sum()]
    return {
        int(label): 2 * ((found == label) & (truth == label)).sum() / ((found == label).sum() + (truth == label).sum()) for label in labels
    }


def test_the_refined_bodies_are_taken_as_they_are_named(stub, scan, patient):
    stub.has(*REFINED, *FAST)
    answer = patient.bodies[:, :, :]
    answer[0:4, 0:4, 0:4] = 7  # C7 in the same numbers
    stub.answers("vertebrae_pp_refined", answer)
    found = segment(scan)
    assert [run["task"] for run in stub.runs] == ["vertebrae_pp_refined"]
    assert min(dice(found.label_map, patient.bodies).values()) == 1.0
    assert {body.level for body in found.bodies} >= {"L1", "L2"} and "C7" not in {body.level for body in found.bodies}
    assert found.engine == "totalsegmentator 2.18.0" and found.label_map.IsSameImageGeometryAs(scan.image)


def test_names_that_ribs_and_sacrum_confirm_are_certain_and_others_are_not(stub, scan, patient):
    stub.has(*REFINED)
    stub.answers("vertebrae_pp_refined", patient.bodies)
    confirmed = segment(scan)
    assert confirmed.flags == () and min(body.level_confidence for body in confirmed.bodies) > 0.9
    shifted = {level: {label - 1 for label, name in LEVELS.items() if name == level}.pop() for level in LEVELS.values() if level != "T13"}
    stub.answers("vertebrae_pp_refined", with_numbers(patient.bodies, shifted))
    doubted = segment(scan)
    assert doubted.flags == (Code.LEVEL_UNCERTAIN,) and max(body.level_confidence for body in doubted.bodies) <= 0.1
    # Nothing but fat and soft tissue around: neither ribs nor sacrum.
    stub.answers("vertebrae_pp_refined", patient.bodies)
    bare = sitk.Cast(sitk.Mask(scan.image, patient.bodies, 0), sitk.sitkInt16)
    assert Code.LEVEL_UNCERTAIN in segment(Scan(bare)).flags


def test_whole_vertebrae_are_cut_by_its_own_bodies(stub, scan, patient, whole_vertebrae):
    stub.has(*BODIES, *TOTAL, *FAST)
    stub.answers("total", as_total(whole_vertebrae))
    bodies = sitk.Cast(patient.bodies > 0, sitk.sitkUInt8)
    bodies[3:6, 3:6, 3:6] = 2  # a disc
    stub.answers("vertebrae_body", bodies)
    found = segment(scan)
    total, body = stub.runs
    assert (total["task"], total["fast"], body["task"], body["roi_subset"]) == ("total", False, "vertebrae_body", None)
    assert len(total["roi_subset"]) == 17 and {"vertebrae_L1", "vertebrae_T12", "vertebrae_L5"} <= set(total["roi_subset"])
    overlap = dice(found.label_map, patient.bodies)
    assert {20, 21, 22} <= set(overlap) and min(overlap.values()) > 0.99
    assert Code.BODIES_CUT_OUT not in found.flags


def test_body_voxels_without_a_vertebra_go_to_the_nearest_and_stray_pieces_go(stub, scan, patient, whole_vertebrae):
    stub.has(*BODIES, *FAST)
    labels = sitk.GetArrayFromImage(whole_vertebrae)
    middle = np.argwhere(labels == 20).mean(axis=0).astype(int)
    labels[middle[0] - 1 : middle[0] + 1, middle[1] :, :][labels[middle[0] - 1 : middle[0] + 1, middle[1] :, :] == 20] = 0
    labels[middle[0] - 1 : middle[0] + 1, middle[1] + 2 : middle[1] + 5, middle[2] : middle[2] + 3] = 22
    broken = sitk.GetImageFromArray(labels)
    broken.CopyInformation(whole_vertebrae)
    stub.answers("total", as_total(broken))
    stub.answers("vertebrae_body", sitk.Cast(patient.bodies > 0, sitk.sitkUInt8))
    found = segment(scan)
    overlap = dice(found.label_map, patient.bodies)
    assert overlap[20] > 0.97 and overlap[22] == 1.0
    assert stub.runs[0]["fast"] and stub.runs[0]["roi_subset"] is None


def test_without_its_body_network_ours_cuts_and_says_so(stub, scan, patient, whole_vertebrae):
    stub.has(*FAST)
    stub.answers("total", as_total(sitk.Mask(whole_vertebrae, (whole_vertebrae == 20) | (whole_vertebrae == 21))))
    found = segment(scan)
    overlap = dice(found.label_map, patient.bodies)
    assert min(overlap[label] for label in (20, 21)) > 0.8 and overlap[22] == 0.0
    assert Code.BODIES_CUT_OUT in found.flags and [model.name for model in found.models] == ["localise", "refine"]


def test_the_command_line_is_a_list_of_arguments_and_the_scan_says_nothing_about_the_patient(stub, scan, patient):
    stub.has(*REFINED)
    stub.answers("vertebrae_pp_refined", patient.bodies)
    named = sitk.Image(scan.image)
    for key in ("0010|0010", "descrip", "aux_file", "intent_name", "ITK_FileNotes"):
        named.SetMetaData(key, "Doe^Jane")
    segment(Scan(named))
    run = stub.runs[0]
    assert run["arguments"][1::2][:2] == [f"{run['folder']}/scan.nii", f"{run['folder']}/vertebrae_pp_refined.nii.gz"]
    assert run["multilabel"] and run["device"] == "cpu" and not run["fast"]
    assert "Doe" not in run["header"] and not Path(run["folder"]).exists()


def test_usage_statistics_and_every_way_to_the_network_are_off(stub, scan, patient, monkeypatch):
    stub.has(*REFINED)
    stub.answers("vertebrae_pp_refined", patient.bodies)
    for name in ("NO_PROXY", "PYTHONHOME", "PYTHONPATH"):
        # Only the engine's own copy of the environment reaches the program.
        monkeypatch.setitem(os.environ, name, "/nowhere")
    segment(scan)
    run = stub.runs[0]
    assert run["config"]["send_usage_stats"] is False and run["config"]["totalseg_id"] == "user"
    assert json.loads((stub.home / "config.json").read_text())["send_usage_stats"] is True
    seen = run["environment"]
    assert {seen[name] for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy")} == {"http://127.0.0.1:9"}
    assert not {"NO_PROXY", "PYTHONHOME", "PYTHONPATH"} & set(seen)
    assert seen["TOTALSEG_HOME_DIR"].startswith(run["folder"]) and seen["TOTALSEG_WEIGHTS_PATH"] == str(stub.home / "nnunet" / "results")


def test_a_user_without_settings_gets_some_with_the_statistics_off(stub, scan, patient):
    (stub.home / "config.json").unlink()
    stub.has(*REFINED)
    stub.answers("vertebrae_pp_refined", patient.bodies)
    segment(scan)
    assert stub.runs[0]["config"]["send_usage_stats"] is False and not (stub.home / "config.json").exists()


@pytest.mark.parametrize("networks", [(), (803,), BODIES, TOTAL[:-1]], ids=str)
def test_without_its_networks_it_is_not_started(stub, scan, networks):
    stub.has(*networks)
    assert str(stub.home) in refused(Code.ENGINE_WEIGHTS_MISSING, scan)
    assert stub.runs == []


@pytest.mark.parametrize(("version", "found"), [("2.14.0", "2.14.0"), ("1.5.7", "1.5.7"), ("master", "master")])
def test_an_old_or_strange_version_is_refused_with_its_number(stub, scan, version, found):
    stub.behaves(version)
    assert found in refused(Code.ENGINE_MISSING, scan)


@pytest.mark.parametrize("version", ["2.15.0", "2.15.0rc1", "3.0", "10.1.2"])
def test_newer_versions_are_taken(stub, scan, version):
    stub.behaves(version)
    refused(Code.ENGINE_WEIGHTS_MISSING, scan)


def test_a_program_that_is_not_there_or_does_not_start_is_refused(stub, scan, monkeypatch):
    stub.program.write_text("#!/bin/sh\nexit 3\n")
    assert "does not start" in refused(Code.ENGINE_MISSING, scan)
    monkeypatch.setenv(EXECUTABLE, str(stub.folder / "nothing"))
    assert EXECUTABLE in refused(Code.ENGINE_MISSING, scan)
    monkeypatch.delenv(EXECUTABLE)
    monkeypatch.setenv("PATH", str(stub.folder / "empty"))
    if importlib.util.find_spec("totalsegmentator") is None:
        refused(Code.ENGINE_MISSING, scan)


def test_it_is_found_as_a_module_of_this_interpreter(stub, scan, patient, tmp_path, monkeypatch):
    place = tmp_path / "site Ω"
    stub.folder = place / "totalsegmentator" / "bin"
    stub.folder.mkdir(parents=True)
    for module in ("totalsegmentator/__init__.py", "totalsegmentator/bin/__init__.py"):
        (place / module).touch()
    shutil.copy(STUB, stub.folder / "TotalSegmentator.py")
    (place / "TotalSegmentator-2.16.0.dist-info").mkdir()
    (place / "TotalSegmentator-2.16.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: TotalSegmentator\nVersion: 2.16.0\n"
    )
    stub.behaves("not asked")
    stub.has(*REFINED)
    stub.answers("vertebrae_pp_refined", patient.bodies)
    monkeypatch.delenv(EXECUTABLE)
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("PYTHONPATH", str(place))
    assert segment(scan).engine == "totalsegmentator 2.16.0"
    assert [run["environment"]["PYTHONPATH"] for run in stub.runs] == [str(place)]


def test_it_is_found_on_the_path(stub, scan, monkeypatch):
    monkeypatch.delenv(EXECUTABLE)
    monkeypatch.setenv("PATH", os.pathsep.join([str(stub.folder), os.environ["PATH"]]))
    assert shutil.which("TotalSegmentator") == str(stub.program)
    refused(Code.ENGINE_WEIGHTS_MISSING, scan)


def test_a_failed_run_says_its_last_words(stub, scan):
    stub.has(*REFINED)
    stub.behaves(fails="Traceback ...\nRuntimeError: out of memory\n")
    assert "vertebrae_pp_refined, exit status 1: RuntimeError: out of memory" in refused(Code.ENGINE_FAILED, scan)


def test_a_run_without_a_usable_result_is_a_failure(stub, scan, patient):
    stub.has(*REFINED)
    stub.behaves(writes_nothing=True)
    refused(Code.ENGINE_FAILED, scan)
    stub.behaves()
    stub.answers("vertebrae_pp_refined", patient.bodies[:, :, 1:])
    assert "size" in refused(Code.ENGINE_FAILED, scan)
    stub.answers("vertebrae_pp_refined", patient.bodies * 0)
    refused(Code.NO_VERTEBRAE, scan)


def test_whoever_cancels_ends_the_program_and_leaves_nothing_behind(stub, scan):
    stub.has(*REFINED)
    stub.behaves(hangs=True)

    class Cancelled(Exception):
        pass

    def cancel(_fraction):
        if stub.runs:
            raise Cancelled

    start = time.monotonic()
    with pytest.raises(Cancelled):
        segment(scan, cancel)
    assert time.monotonic() - start < 20
    run = stub.runs[0]
    with pytest.raises(ProcessLookupError):
        os.kill(run["pid"], 0)
    assert not Path(run["folder"]).exists()
