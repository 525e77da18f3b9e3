"""The command line: exit status, what is printed where, and wrong usage."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk

from VertebralBMDLib import __version__
from VertebralBMDLib.cli import main
from VertebralBMDLib.loading import load
from VertebralBMDLib.quality import MESSAGES, Code
from VertebralBMDLib.report.schema import validate
from VertebralBMDLib.simulation.dicom import write_dicom_series

ROOT = Path(__file__).resolve().parents[1]


def measure(scan, output, *options):
    return main(["measure", str(scan), "--output", str(output), "--device", "cpu", *map(str, options)])


def read(folder):
    document = json.loads((folder / "measurement.json").read_text(encoding="utf-8"))
    validate(document)
    return document


def wrong_usage(capsys, *arguments):
    """What is said on stderr when the status is 2, however it comes about."""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as end:
        status = end.code
    assert status == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    return captured.err


def test_a_measurement_ends_with_0_a_table_and_timings(patient_files, tmp_path, capsys):
    assert measure(patient_files / "scan.nii.gz", tmp_path / "äöü 1", "--bodies", patient_files / "bodies.nii.gz", "--timings") == 0
    captured = capsys.readouterr()
    assert "Patient (L1, L2):" in captured.out and "mg/cm³ CaHA" in captured.out and "research use only" in captured.out.lower()
    lines = [line.split() for line in captured.out.splitlines()]
    stages = [line[0] for line in lines if len(line) == 3 and re.fullmatch(r"\d+\.\d\d", line[1])]
    assert stages == ["loading", "segmentation", "roi", "calibration", "measurement", "assessment", "report", "total"]
    seconds = {line[0]: float(line[1]) for line in lines if line and line[0] in stages and len(line) == 3}
    assert seconds["total"] == pytest.approx(sum(value for name, value in seconds.items() if name != "total"), abs=0.05)
    assert "refused" not in captured.err
    assert read(tmp_path / "äöü 1")["patient"]["category"] == "low_bone_mass"


def test_options_reach_the_measurement(patient_files, tmp_path, patient):
    x, y, z = patient.truth["levels"]["L2"]["centroid_lps_mm"]
    options = [
        "--bodies",
        patient_files / "bodies.nii.gz",
        "--levels",
        "l1, L2 ,L3",
        "--calibration",
        "phantom:qrm-bdc3",
        "--erosion-mm",
        "2.5",
        "--erosion-shape",
        "ball",
    ]
    assert (
        measure(patient_files / "scan.nii.gz", tmp_path, *options, f"--level-at=L1={x},{y},{z}", "--allow", "CONTRAST", "--allow", "NOT_HU")
        == 0
    )
    document = read(tmp_path)
    asked = document["settings"]
    assert (
        asked["levels"] == ["L1", "L2", "L3"]
        and asked["calibration"] == "phantom:qrm-bdc3"
        and (asked["erosion_mm"], asked["erosion_shape"]) == (2.5, "ball")
    )
    assert (
        asked["level_at"] == {"level": "L1", "point_lps_mm": [x, y, z]}
        and asked["allow"] == ["CONTRAST", "NOT_HU"]
        and asked["own_bodies"]
        and asked["device"] == "cpu"
    )
    assert document["patient"]["levels"] == ["L1", "L2", "L3"] and "LEVEL_SET_BY_USER" in document["patient"]["flags"]


def test_the_options_of_calibration_roi_and_limits_reach_the_measurement(patient_files, tmp_path):
    options = ["--bodies", patient_files / "bodies.nii.gz", "--bodies-numbering", "verse", "--calibration", "tissue,phantom"]
    options += ["--convert-to", "K2HPO4=0.9", "--thresholds", "integral", "--region", "ellipse", "--central-fraction", "0.4"]
    assert measure(patient_files / "scan.nii.gz", tmp_path, *options) == 0
    document = read(tmp_path)
    asked, patient = document["settings"], document["patient"]
    assert (asked["calibration"], asked["region"], asked["central_fraction"]) == ("phantom,tissue", "ellipse", 0.4)
    assert asked["convert"] == {"material": "K2HPO4", "factor": 0.9} and asked["bodies_numbering"] == "verse"
    assert (document["calibration"]["source"], document["calibration"]["material"]) == ("phantom", "K2HPO4")
    assert patient["thresholds"]["name"] == "integral" and "MATERIAL_CONVERTED" in patient["flags"] and patient["category"] == "withheld"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--thresholds", "who"], "who"),
        (["--convert-to", "HA=1.1"], "HA=1.1"),
        (["--convert-to", "CaHA=3"], "convert"),
        (["--calibration", "async"], "calibration must be"),
        (["--calibration", "phantom:esp"], "validation"),
        (["--central-fraction", "0"], "central_fraction"),
        (["--rods", "rods.csv"], "phantom:NAME"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_options_that_make_no_sense_are_named_before_anything_is_measured(patient_files, tmp_path, capsys, options, said):
    err = wrong_usage(capsys, "measure", patient_files / "scan.nii.gz", "--output", tmp_path / "out", *options)
    assert said in err and not (tmp_path / "out" / "measurement.json").exists()


def test_a_refusal_ends_with_3_files_and_its_remedy_on_stderr(tmp_path, capsys):
    (tmp_path / "scan.nii.gz").write_bytes(b"no image")
    assert measure(tmp_path / "scan.nii.gz", tmp_path / "out") == 3
    captured = capsys.readouterr()
    assert (
        "UNREADABLE" in captured.err
        and MESSAGES[Code.UNREADABLE].sentence in captured.err
        and MESSAGES[Code.UNREADABLE].remedy in captured.err
    )
    assert read(tmp_path / "out")["patient"]["refusals"] == ["UNREADABLE"]


def test_a_missing_scan_is_a_refusal(tmp_path, capsys):
    assert measure(tmp_path / "nowhere", tmp_path / "out") == 3
    assert MESSAGES[Code.UNREADABLE].remedy in capsys.readouterr().err


def test_contrast_in_the_aorta_is_refused_with_3_and_allowed_with_0(enhanced_patient, tmp_path, capsys):
    write_dicom_series(enhanced_patient.image, tmp_path / "dicom", {"KVP": 120, "ContrastBolusAgent": "NONE"})
    sitk.WriteImage(enhanced_patient.bodies, str(tmp_path / "bodies.nii.gz"))
    assert measure(tmp_path / "dicom", tmp_path / "out", "--bodies", tmp_path / "bodies.nii.gz") == 3
    assert MESSAGES[Code.CONTRAST].remedy in capsys.readouterr().err
    refused = read(tmp_path / "out")
    assert "vbmd_mg_cm3" not in refused["patient"] and not any("vbmd_roi_mg_cm3" in vertebra for vertebra in refused["vertebrae"])
    assert measure(tmp_path / "dicom", tmp_path / "out", "--bodies", tmp_path / "bodies.nii.gz", "--allow", "CONTRAST") == 0
    allowed = read(tmp_path / "out")
    assert (
        "CONTRAST" in allowed["patient"]["flags"]
        and allowed["patient"]["vbmd_mg_cm3"] > 0
        and allowed["scan"]["contrast"] == "yes"
        and allowed["scan"]["kvp"] == 120
    )


def test_a_header_that_names_an_agent_is_not_believed_against_the_blood(patient, patient_files, tmp_path):
    write_dicom_series(patient.image, tmp_path / "dicom", {"KVP": 120, "ContrastBolusAgent": "Iohexol"})
    assert measure(tmp_path / "dicom", tmp_path / "out", "--bodies", patient_files / "bodies.nii.gz") == 0
    found = read(tmp_path / "out")
    assert found["scan"]["contrast"] == "no" and "CONTRAST_TAG_WRONG" in found["patient"]["flags"]
    assert "CONTRAST" not in found["patient"]["flags"] and found["patient"]["vbmd_mg_cm3"] > 0


def test_several_series_are_listed_on_stderr_and_chosen_with_series(body_like, tmp_path, capsys):
    for name in ("a", "b"):
        write_dicom_series(body_like, tmp_path / "dicom" / name, {"SeriesInstanceUID": f"1.2.{ord(name)}"})
    assert measure(tmp_path / "dicom", tmp_path / "out") == 3
    err = capsys.readouterr().err
    assert "SEVERAL_SERIES" in err and "--series UID" in err
    assert "1.2.97: 10 slices" in read(tmp_path / "out")["patient"]["refusal_detail"]
    assert measure(tmp_path / "dicom", tmp_path / "out", "--series", "1.2.99") == 3
    assert read(tmp_path / "out")["patient"]["refusals"] == ["SERIES_NOT_FOUND"]
    assert measure(tmp_path / "dicom", tmp_path / "out", "--series", "1.2.98") == 3
    assert read(tmp_path / "out")["scan"]["series_uid"] == "1.2.98"


def test_values_that_are_not_hu_can_be_allowed(body_like, tmp_path):
    sitk.WriteImage(body_like + 1024, str(tmp_path / "scan.nrrd"))
    assert measure(tmp_path / "scan.nrrd", tmp_path / "out") == 3
    assert read(tmp_path / "out")["patient"]["refusals"] == ["NOT_HU"]
    assert measure(tmp_path / "scan.nrrd", tmp_path / "out", "--allow", "NOT_HU") == 3
    assert read(tmp_path / "out")["patient"]["refusals"] == ["NO_VERTEBRAE"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "COMMAND"),
        (["dance"], "dance"),
        (["measure"], "--output"),
        (["measure", "scan.nii.gz"], "--output"),
        (["measure", "x", "--output", "y", "--levels", "L9"], "L9"),
        (["measure", "x", "--output", "y", "--levels", ","], "unknown level"),
        (["measure", "x", "--output", "y", "--level-at", "L1=1,2"], "L1=x,y,z"),
        (["measure", "x", "--output", "y", "--level-at", "Q1=1,2,3"], "Q1"),
        (["measure", "x", "--output", "y", "--allow", "UNREADABLE"], "UNREADABLE"),
        (["measure", "x", "--output", "y", "--erosion-mm", "thick"], "thick"),
        (["measure", "x", "--output", "y", "--device", "abacus"], "abacus"),
        (["simulate", "--output", "y", "--kvp", "95"], "kvp"),
        (["simulate", "--output", "y", "--phantom", "nothing"], "nothing"),
        (["simulate", "--output", "y", "--vbmd", "-5"], "vbmd must be within 0-400"),
        (["simulate", "--output", "y", "--levels", "L3,T9"], "levels must run from"),
        (["simulate", "--output", "y", "--levels", "L3"], "T9,S1"),
        (["simulate", "--output", "y", "--spacing-mm", "1,1"], "0.8,0.8,2.5"),
        (["simulate", "--output", "y", "--spacing-mm", "1,1,0"], "spacing_mm must be"),
        (["simulate", "--output", "y", "--kernel", "FELT"], "kernel must be one of"),
        (["simulate", "--output", "y", "--phantom", "esp"], "simulate it alone"),
        (["simulate"], "--output"),
        (["simulate", "phantom", "--output", "y", "--slices", "0"], "slices must be within"),
        (["simulate", "cohort", "--output", "y", "--cases", "0"], "cases must be within"),
        (["simulate", "cohort", "--output", "y", "--workers", "0", "--cases", "1"], "workers must be"),
        (["train", "density", "--output", "y", "--steps", "1", "--simulated", "0"], "--simulated"),
        (["train", "poetry", "--output", "y", "--steps", "1"], "poetry"),
        (["train", "segmentation", "--output", "y"], "--config"),
        (["train", "segmentation", "--output", "y", "--config", "nowhere.json"], "nowhere.json"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(capsys, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    assert words in wrong_usage(capsys, *options)


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--calibration", "guess"], "guess"), (["--calibration", "phantom:nothing"], "nothing"), (["--erosion-mm=-3"], "-3")],
)
def test_settings_that_make_no_sense_end_with_2(patient_files, tmp_path, capsys, options, words):
    err = wrong_usage(
        capsys,
        "measure",
        patient_files / "scan.nii.gz",
        "--output",
        tmp_path / "out",
        "--bodies",
        patient_files / "bodies.nii.gz",
        "--device",
        "cpu",
        *options,
    )
    assert words in err


def test_an_output_that_cannot_be_written_ends_with_1(tmp_path, capsys):
    (tmp_path / "scan.nii.gz").write_bytes(b"no image")
    (tmp_path / "out").write_text("a file, not a folder")
    assert measure(tmp_path / "scan.nii.gz", tmp_path / "out") == 1
    err = capsys.readouterr().err
    assert err.startswith("vertebral-bmd: ") and "Traceback" not in err


def test_a_damaged_installation_ends_with_1_and_its_remedy(patient_files, tmp_path, capsys, monkeypatch):
    from VertebralBMDLib import resources
    from VertebralBMDLib.network import models

    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "nowhere" / "at all")
    models.load.cache_clear()
    assert measure(patient_files / "scan.nii.gz", tmp_path / "out") == 1
    assert MESSAGES[Code.MODEL_DAMAGED].remedy in capsys.readouterr().err and not (tmp_path / "out").exists()
    models.load.cache_clear()


def test_simulate_writes_a_patient_with_its_truth(tmp_path, capsys):
    assert (
        main(
            [
                "simulate",
                "--output",
                str(tmp_path / "p 1"),
                "--seed",
                "3",
                "--vbmd",
                "88",
                "--phantom",
                "b-mas200",
                "--sex",
                "M",
                "--noise-hu",
                "5",
            ]
        )
        == 0
    )
    assert capsys.readouterr().out.strip() == str(tmp_path / "p 1" / "scan.nii.gz")
    truth = json.loads((tmp_path / "p 1" / "truth.json").read_text(encoding="utf-8"))
    assert (
        truth["levels"]["L1"]["roi"]["qct_equivalent_120_kvp_mg_cm3"]["CaHA"] == pytest.approx(88.0, abs=0.1)
        and truth["phantom"]["name"] == "b-mas200"
    )
    scan, bodies = (sitk.ReadImage(str(tmp_path / "p 1" / name)) for name in ("scan.nii.gz", "truth-bodies.nii.gz"))
    assert scan.GetSize() == bodies.GetSize()


def test_simulate_draws_findings_from_a_population_and_writes_dicom(tmp_path, capsys):
    options = [
        "--population",
        "metastatic",
        "--age",
        "75",
        "--contrast",
        "portal",
        "--levels",
        "T12,L2",
        "--spacing-mm",
        "2,2,4",
        "--dicom",
    ]
    assert main(["simulate", "patient", "--output", str(tmp_path), "--seed", "8", *options]) == 0
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    assert truth["simulated"] and truth["spec"]["contrast"] == "portal" and truth["column"]["findings"]["lesions"]
    assert len(list((tmp_path / "dicom").iterdir())) == sitk.ReadImage(str(tmp_path / "scan.nii.gz")).GetSize()[2]
    loaded = load(tmp_path / "dicom")
    assert loaded.acquisition.kvp == 120.0 and loaded.acquisition.contrast == "yes"


def test_simulate_takes_findings_from_a_file(tmp_path, capsys):
    findings = {"variant": "L6", "fractures": [{"level": "L2", "kind": "crush", "loss": 0.4}]}
    (tmp_path / "findings.json").write_text(json.dumps(findings), encoding="utf-8")
    options = ["--findings", str(tmp_path / "findings.json"), "--levels", "L1,L3", "--spacing-mm", "3,3,3"]
    assert main(["simulate", "--output", str(tmp_path), *options]) == 0
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    assert truth["column"]["levels"][-1] == "L6"
    assert truth["levels"]["L2"]["height_loss"]["anterior"] == pytest.approx(0.4, abs=0.03)
    capsys.readouterr()
    (tmp_path / "findings.json").write_text('{"fractures": [{"level": "L2", "kind": "crush", "loss": 0.9}]}', encoding="utf-8")
    assert "loss must be within" in wrong_usage(capsys, "simulate", "--output", tmp_path, *options)
    (tmp_path / "findings.json").write_text("{", encoding="utf-8")
    assert "findings.json is not JSON" in wrong_usage(capsys, "simulate", "--output", tmp_path, *options)


def test_simulate_writes_a_phantom_scan(tmp_path, capsys):
    assert main(["simulate", "phantom", "--output", str(tmp_path), "--phantom", "qrm-bdc3", "--slices", "6", "--spacing-mm", "1,1,3"]) == 0
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    assert [rod["density_mg_cm3"] for rod in truth["rods"]] == [100.0, 400.0, 800.0]


def test_simulate_a_cohort_says_how_far_it_is(tmp_path, capsys):
    arguments = ["simulate", "cohort", "--output", str(tmp_path), "--cases", "2", "--kind", "crops", "--workers", "1"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "cohort.csv") and "2 of 2 cases" in said.err
    assert main(arguments) == 0 and capsys.readouterr().err.count("\n") == 1  # nothing was left to do


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out.strip() == __version__


def test_the_module_runs_as_a_program_with_the_same_status(tmp_path):
    command = [sys.executable, "-m", "VertebralBMDLib", "measure", str(tmp_path / "nowhere"), "--output", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT, env=os.environ | {"PYTHONUTF8": "1"})
    assert done.returncode == 3 and "UNREADABLE" in done.stderr and "Traceback" not in done.stderr


@pytest.fixture
def segmentation_training(monkeypatch):
    """What the command asks of the training, which is not run."""
    commands = pytest.importorskip("VertebralBMDLib.training.commands", reason="training needs monai")
    asked = []
    monkeypatch.setattr(commands, "train_segmentation", lambda *arguments: asked.append(arguments) or [Path("refine.ts")])
    return asked


def test_train_segmentation_hands_on_what_it_is_given(segmentation_training, tmp_path, capsys):
    from VertebralBMDLib.training.config import Schedule, SegmentationConfig

    config = tmp_path / "c.json"
    config.write_text('{"seed": 4, "simulated": 2, "refine": {"steps": 6}}', encoding="utf-8")
    out, expected = tmp_path / "out", SegmentationConfig(4, 2, None, Schedule(6))
    assert main(["train", "segmentation", "--config", str(config), "--output", str(out)]) == 0
    assert segmentation_training.pop() == (expected, out, out / "simulated", None, (), None) and capsys.readouterr().out == "refine.ts\n"
    more = ["--annotated", "ct", "--leave-out", "A,B", "--simulated", "kept", "--start-from", "pre"]
    assert main(["train", "segmentation", "--config", str(config), "--output", str(out), *more]) == 0
    assert segmentation_training.pop() == (expected, out, Path("kept"), Path("ct"), ("A", "B"), Path("pre"))


def test_a_training_that_cannot_be_ends_with_2(tmp_path, capsys):
    pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")
    config = tmp_path / "c.json"
    for text, words in (("{}", "nothing to train:"), ('{"refine": {"steps": 1}}', "nothing to train on"), ('{"stepps": 1}', "stepps")):
        config.write_text(text, encoding="utf-8")
        assert words in wrong_usage(capsys, "train", "segmentation", "--config", config, "--output", tmp_path / "out")


def test_the_help_of_train_names_a_configuration_that_is_there(capsys):
    with pytest.raises(SystemExit):
        main(["train", "segmentation", "--help"])
    named = re.search(r"Resources/Models/[\w-]+\.json", re.sub(r"\s+", " ", capsys.readouterr().out).replace("- ", "-"))
    assert (ROOT / named.group()).is_file()
