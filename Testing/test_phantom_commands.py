"""``vertebral-bmd phantom``: files, table, exit status, history, and what is refused."""

import argparse
import json
from dataclasses import replace

import pytest
import SimpleITK as sitk

from VertebralBMDLib.calibration.asynchronous import load_calibration
from VertebralBMDLib.calibration.history import read_history
from VertebralBMDLib.phantom_commands import add_phantom
from VertebralBMDLib.quality import MESSAGES, Code
from VertebralBMDLib.simulation.dicom import write_dicom_series
from VertebralBMDLib.simulation.phantom_scan import PhantomScanSpec, simulate_phantom_scan
from VertebralBMDLib.simulation.scanner import TYPICAL

QRM = PhantomScanSpec(seed=61, phantom="qrm-bdc6", scanner=TYPICAL, spacing_mm=(1.2, 1.2, 3.0), size=(256, 200), slices=16)


def write_series(spec, folder):
    image = simulate_phantom_scan(spec).image
    write_dicom_series(image, folder, spec.examination.tags(image))
    return folder


@pytest.fixture(scope="module")
def qrm(tmp_path_factory):
    return write_series(QRM, tmp_path_factory.mktemp("Phantom Ω") / "qrm")


@pytest.fixture(scope="module")
def esp(tmp_path_factory):
    return write_series(replace(QRM, phantom="esp", size=(270, 190), slices=50), tmp_path_factory.mktemp("phantom") / "esp")


def phantom(*arguments):
    """What the command line does with `phantom ...`: its exit status, or the exception that it turns into one."""
    parser = argparse.ArgumentParser()
    add_phantom(parser.add_subparsers(required=True))
    options = parser.parse_args(["phantom", *map(str, arguments)])
    return options.command(options)


def document(folder, name="calibration.json"):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_a_phantom_scan_becomes_a_calibration_file_a_picture_and_a_table(qrm, tmp_path, capsys):
    output = tmp_path / "äöü 1"
    assert phantom("read", qrm, "--phantom", "qrm-bdc6", "--output", output) == 0
    assert sorted(path.name for path in output.iterdir()) == ["calibration.json", "fit.png"]
    line = document(output)
    assert line["acquisition"]["device_serial"] == "SIM-1" and line["acquisition"]["acquired_on"] == "2024-01-15"
    printed = capsys.readouterr().out
    assert f"density = {line['slope_mg_cm3_per_hu']:.4f}" in printed and "mg/cm³ CaHA" in printed and "R² " in printed
    assert [row.split()[0] for row in printed.splitlines()[2:8]] == ["R1", "R2", "R3", "R4", "R5", "R6"] and "passed: SLOPE" in printed
    assert load_calibration(output / "calibration.json").calibration.usable


def test_a_failed_check_ends_with_3_and_its_remedy_and_the_files_are_there(tmp_path, capsys):
    spec = replace(QRM, scanner=replace(TYPICAL, intercept_hu=70.0))
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(simulate_phantom_scan(spec).image, str(path))
    assert phantom("read", path, "--phantom", "qrm-bdc6", "--output", tmp_path / "out") == 3
    check = next(check for check in document(tmp_path / "out")["checks"] if check["code"] == "INTERCEPT")
    assert check["status"] == "fail" and f"fail INTERCEPT: {check['message']} {check['remedy']}" in capsys.readouterr().out
    assert not load_calibration(tmp_path / "out" / "calibration.json").calibration.usable


def test_a_phantom_that_is_not_there_ends_with_3_and_the_reason_in_the_file(qrm, tmp_path, capsys):
    (tmp_path / "fit.png").write_bytes(b"of an earlier run")
    assert phantom("read", qrm, "--phantom", "mindways-model3", "--output", tmp_path) == 3
    refused = document(tmp_path)
    assert refused["refusals"] == ["PHANTOM_NOT_FOUND"] and refused["messages"]["PHANTOM_NOT_FOUND"] in capsys.readouterr().err
    assert not (tmp_path / "fit.png").exists()
    with pytest.raises(ValueError, match="it holds no line"):
        load_calibration(tmp_path / "calibration.json")


def test_a_scan_that_cannot_be_read_ends_with_3(tmp_path, capsys):
    assert phantom("read", tmp_path / "nowhere", "--phantom", "qrm-bdc6", "--output", tmp_path / "out") == 3
    assert document(tmp_path / "out")["refusals"] == ["UNREADABLE"] and MESSAGES[Code.UNREADABLE].remedy in capsys.readouterr().err


def test_a_history_grows_by_each_scan_once_and_shows_drift(qrm, tmp_path, capsys):
    history, second = tmp_path / "history.jsonl", replace(QRM, scanner=replace(TYPICAL, intercept_hu=5.0), exam_date="2024-03-01", seed=62)
    later = write_series(second, tmp_path / "later")
    for scan in (qrm, qrm, later):
        assert phantom("read", scan, "--phantom", "qrm-bdc6", "--output", tmp_path / "out", "--history", history) == 0
    assert "has this scan already" in capsys.readouterr().err
    assert [record.date for record in read_history(history)] == ["2024-01-15", "2024-03-01"]
    # 5 HU more are about 3.7 % at 100 mg/cm³: beyond the limit that fails.
    assert phantom("history", history, "--output", tmp_path / "drift") == 3
    (chart,) = document(tmp_path / "drift", "drift.json")["charts"]
    assert chart["values_mg_cm3"][-1] == pytest.approx(103.7, abs=1.0) and (tmp_path / "drift" / "drift.png").exists()
    printed = capsys.readouterr().out
    assert "SIM-1, 120 kVp, qrm-bdc6" in printed and "2 scans" in printed and "fail SHEWHART" in printed


def test_a_failed_line_is_not_added_to_the_history(tmp_path, capsys):
    scan = write_series(replace(QRM, scanner=replace(TYPICAL, intercept_hu=70.0)), tmp_path / "scan")
    history = tmp_path / "history.jsonl"
    assert phantom("read", scan, "--phantom", "qrm-bdc6", "--output", tmp_path / "out", "--history", history) == 3
    assert not history.exists() and "not added to history.jsonl" in capsys.readouterr().err


def test_the_spine_phantom_judges_a_calibration(qrm, esp, tmp_path, capsys):
    phantom("read", qrm, "--phantom", "qrm-bdc6", "--output", tmp_path)
    arguments = ("read", esp, "--phantom", "esp", "--output", tmp_path, "--calibration", tmp_path / "calibration.json")
    assert phantom(*arguments) == 0
    judged = document(tmp_path, "validation.json")
    measured = {each["id"]: each["measured_mg_cm3"] for each in judged["vertebrae"]}
    assert measured == pytest.approx({"L1": 50.0, "L2": 100.0, "L3": 200.0}, abs=3.0)
    assert [check["status"] for check in judged["checks"] if check["code"] == "VALIDATION"] == ["pass"] * 3
    assert "reads" in capsys.readouterr().out
    assert (tmp_path / "calibration.json").exists(), "the calibration it judges is not touched"


def test_a_calibration_of_another_scanner_is_not_judged_but_failed(qrm, esp, tmp_path):
    scan = write_series(replace(QRM, scanner_id="SIM-2"), tmp_path / "other")
    phantom("read", scan, "--phantom", "qrm-bdc6", "--output", tmp_path / "out")
    assert phantom("read", esp, "--phantom", "esp", "--output", tmp_path, "--calibration", tmp_path / "out" / "calibration.json") == 3
    judged = document(tmp_path, "validation.json")
    assert {check["code"] for check in judged["checks"] if check["status"] == "fail"} == {"SCANNER"}
    assert not any("measured_mg_cm3" in each for each in judged["vertebrae"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--phantom", "nothing"), "phantom must be one of"),
        (("--phantom", "esp"), "give the calibration that it judges with --calibration"),
        (("--phantom", "esp", "--calibration", "c.json", "--history", "h.jsonl"), "no --history"),
        (("--phantom", "qrm-bdc6", "--calibration", "c.json"), "--calibration is what a phantom for validation judges"),
        (("--phantom", "qrm-bdc6", "--history", "out/calibration.json"), "would be replaced"),
        (("--phantom", "esp", "--calibration", "nothing.json"), "nothing.json: there is no such file"),
    ],
)
def test_wrong_usage_is_named_and_nothing_is_written(esp, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        phantom("read", esp, "--output", "out", *arguments)
    assert not (tmp_path / "out" / "calibration.json").exists()


def test_a_history_needs_dates_and_sound_lines(qrm, tmp_path):
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(simulate_phantom_scan(QRM).image, str(path))
    arguments = ("--phantom", "qrm-bdc6", "--output", tmp_path / "out", "--history", tmp_path / "history.jsonl")
    with pytest.raises(ValueError, match="date of the phantom scan"):
        phantom("read", path, *arguments)
    (tmp_path / "history.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 1 is damaged"):
        phantom("read", qrm, *arguments)
    (tmp_path / "history.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no phantom scan"):
        phantom("history", tmp_path / "history.jsonl", "--output", tmp_path / "drift")
