"""From a file to the files of the contract."""

import json

import pytest
import SimpleITK as sitk

from VertebralBMDLib import run
from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.report.files import FILES
from VertebralBMDLib.report.schema import validate
from VertebralBMDLib.run import MEASURED, REFUSED, measure_to_folder
from VertebralBMDLib.settings import Settings


def read(folder):
    document = json.loads((folder / "measurement.json").read_text(encoding="utf-8"))
    validate(document)
    return document


def test_a_measured_scan_leaves_its_files(patient_files, tmp_path, patient):
    seen = []
    status = measure_to_folder(
        patient_files / "scan.nii.gz",
        tmp_path / "out Ω",
        Settings(device="cpu", bodies=patient_files / "bodies.nii.gz"),
        lambda *event: seen.append(event),
    )
    document = read(tmp_path / "out Ω")
    assert status == MEASURED and {path.name for path in (tmp_path / "out Ω").iterdir()} == set(FILES)
    assert document["patient"]["category"] == "low_bone_mass" and document["scan"]["size"] == list(patient.image.GetSize())
    stages = list(dict.fromkeys(stage for stage, _fraction in seen))
    assert stages[0] == "loading" and stages[-1] == "report" and seen[-1] == ("report", 1.0)


def test_a_file_of_the_user_in_the_output_folder_is_never_replaced(patient_files, tmp_path):
    own = tmp_path / "roi.nii.gz"
    own.write_bytes(b"hours of work")
    with pytest.raises(ValueError, match=r"roi\.nii\.gz lies in the output folder"):
        measure_to_folder(tmp_path / "scan.nii.gz", tmp_path, Settings(roi=own))
    assert own.read_bytes() == b"hours of work"


def test_a_scan_that_cannot_be_used_leaves_a_refusal(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"no image")
    assert measure_to_folder(tmp_path / "scan.nii.gz", tmp_path / "out", Settings()) == REFUSED
    document = read(tmp_path / "out")
    assert (
        document["patient"]["refusals"] == ["UNREADABLE"] and document["patient"]["category"] == "withheld" and document["vertebrae"] == []
    )
    assert "UNREADABLE" in document["messages"]


def test_levels_that_are_not_in_the_scan_leave_a_refusal_with_what_was_found(patient_files, tmp_path):
    settings = Settings(device="cpu", bodies=patient_files / "bodies.nii.gz", levels=("T7",))
    assert measure_to_folder(patient_files / "scan.nii.gz", tmp_path, settings) == REFUSED
    document = read(tmp_path)
    assert document["patient"]["refusals"] == ["LEVEL_NOT_FOUND"] and "L1" in [vertebra["level"] for vertebra in document["vertebrae"]]
    assert sitk.ReadImage(str(tmp_path / "bodies.nii.gz")).GetSize() == sitk.ReadImage(str(patient_files / "scan.nii.gz")).GetSize()


@pytest.mark.parametrize("code", [Code.TORCH_MISSING, Code.MODEL_DAMAGED])
def test_an_incomplete_installation_is_raised_and_says_nothing_about_the_scan(patient_files, tmp_path, monkeypatch, code):
    def incomplete(*_arguments):
        raise Refused(code)

    monkeypatch.setattr(run, "measure", incomplete)
    with pytest.raises(Refused) as caught:
        measure_to_folder(patient_files / "scan.nii.gz", tmp_path / "out", Settings())
    assert caught.value.code == code and not (tmp_path / "out").exists()


def test_a_scene_is_written_on_request(patient_files, tmp_path):
    pytest.importorskip("slicer")
    settings = Settings(device="cpu", bodies=patient_files / "bodies.nii.gz")
    assert measure_to_folder(patient_files / "scan.nii.gz", tmp_path, settings, scene=True) == MEASURED
    assert {path.name for path in tmp_path.iterdir()} == {*FILES, "scene.mrb"} and (tmp_path / "scene.mrb").stat().st_size > 10_000
