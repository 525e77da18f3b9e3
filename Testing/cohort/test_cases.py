"""What ``batch`` is given becomes cases, and what makes no sense is named with its line and column."""

import argparse
import os
from pathlib import Path

import pytest
import SimpleITK as sitk

from VertebralBMDLib.cohort.cases import read_cases, write_key
from VertebralBMDLib.quality import Code
from VertebralBMDLib.simulation.dicom import write_dicom_series

NONE = argparse.Namespace()


def touched(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no image")


def manifest(folder, text, name="cases.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def scans(cases, folder):
    return [case.scan.relative_to(folder).as_posix() for case in cases]


@pytest.fixture
def data(tmp_path, body_like):
    """Two image files, a DICOM series in a folder of its own, and things that are no scans."""
    data = tmp_path / "Dätä 1"
    touched(data / "b.nii.gz", data / "Müller" / "a.NRRD", data / "notes.txt", data / "seg" / "a.seg.nrrd", data / ".hidden" / "c.nii")
    write_dicom_series(body_like, data / "p 2" / "series", {"KVP": 120})
    (data / "p 2" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    return data


def test_a_folder_holds_image_files_and_folders_of_dicom_files(data, tmp_path):
    cases = read_cases([str(data)], tmp_path / "out", NONE)
    assert scans(cases, data) == ["b.nii.gz", "Müller/a.NRRD", "p 2/series"]
    assert [case.id for case in cases] == ["case-0001", "case-0002", "case-0003"]
    named = read_cases([str(data)], tmp_path / "out", NONE, names="path")
    assert [case.id for case in named] == ["b", "Müller_a", "p 2_series"]


def test_the_output_is_not_searched_and_a_scan_given_twice_in_one_input_is_one(data, tmp_path):
    touched(data / "out" / "case-0001" / "bodies.nii.gz")
    os.symlink(data, data / "p 2" / "loop")
    assert len(read_cases([str(data)], data / "out", NONE)) == 3
    with pytest.raises(ValueError, match="the output folder is one of the inputs"):
        read_cases([str(data)], data, NONE)


def test_a_pattern_may_find_the_output_of_an_earlier_run(data, tmp_path):
    touched(data / "out" / "batch.csv", data / "out" / "case-0001" / "bodies.nii.gz")
    given = [str(data / "out"), str(data / "*")]
    assert scans(read_cases(given, data / "out", NONE), data) == ["Müller/a.NRRD", "b.nii.gz", "notes.txt", "p 2/series"]
    with pytest.raises(ValueError, match="no scan is given besides the output folder"):
        read_cases(given[:1], data / "out", NONE)


def test_patterns_and_slices_and_scans_that_are_given_one_by_one(data, tmp_path, monkeypatch):
    monkeypatch.chdir(data)
    assert scans(read_cases(["M*/a.*", "b.nii.gz", "p 2/series/*"], tmp_path / "out", NONE), data) == [
        "Müller/a.NRRD",
        "b.nii.gz",
        "p 2/series",
    ]
    named = read_cases(["M*/a.*", "./b.nii.gz", "p 2/series"], tmp_path / "out", NONE, names="path")
    assert [case.id for case in named] == ["Müller_a", "b", "p 2_series"]
    for nothing in ("*/c.*", "seg", "nowhere"):
        with pytest.raises(ValueError, match="holds no scan"):
            read_cases([nothing], tmp_path / "out", NONE)


def test_a_manifest_gives_ids_and_options_for_each_case(tmp_path):
    (tmp_path / "lists").mkdir()
    text = (
        "\ufeffcase, scan,level-at,allow,exclude,calibration,bodies,scene,erosion-mm\r\n"
        'P 1,../ct/a.nii.gz,"L1=1,-2.5,3",CONTRAST;NOT_HU,L1=cement;L4=old fracture,"phantom:own.json,async:line.json",bodies.nii.gz,yes,\r\n'
        ",,,,,,,,\r\n"
        ",../ct/b,,,,,,no,4\r\n"
    )
    options = argparse.Namespace(erosion_mm=2.5, calibration="phantom:qrm-bdc3", allow=[Code.LEVEL_UNCERTAIN])
    first, second = read_cases([manifest(tmp_path / "lists", text)], tmp_path / "out", options)
    assert (first.id, second.id) == ("P 1", "case-0002") and first.scan.resolve() == tmp_path / "ct" / "a.nii.gz"
    assert first.settings.level_at == ("L1", (1.0, -2.5, 3.0)) and first.scene and not second.scene
    assert first.settings.allow == {Code.CONTRAST, Code.NOT_HU, Code.LEVEL_UNCERTAIN} and second.settings.allow == {Code.LEVEL_UNCERTAIN}
    assert first.settings.exclude == (("L1", "cement"), ("L4", "old fracture")) and second.settings.exclude == ()
    lists = tmp_path / "lists"
    assert first.settings.calibration == f"phantom:{lists / 'own.json'},async:{lists / 'line.json'}"
    assert first.settings.bodies == lists / "bodies.nii.gz" and (first.settings.erosion_mm, second.settings.erosion_mm) == (2.5, 4.0)
    assert set(first.files.values()) == {first.scan, lists / "own.json", lists / "line.json", lists / "bodies.nii.gz"}
    assert second.settings.calibration == "phantom:qrm-bdc3" and list(second.files) == ["scan"]


def test_files_of_the_common_options_are_found_from_where_the_command_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touched(tmp_path / "ct" / "a.nii")
    (case,) = read_cases(["ct"], Path("out"), argparse.Namespace(calibration="tissue:site.json,phantom"))
    assert case.settings.calibration == f"phantom,tissue:{tmp_path / 'site.json'}" and case.scan == tmp_path / "ct" / "a.nii"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scan,colour,erosion\na,,\n", "unknown columns 'colour', 'erosion'"),
        ("case\na\n", "needs a column scan"),
        ("scan,scan\na,b\n", "every column once"),
        ("", "needs a column scan"),
        ("scan\n", "holds no case"),
        ("scan,case\n\n,P1\n", "line 3: scan is empty"),
        ("scan,levels\na,L9\n", "line 2: argument --levels: unknown level 'L9'"),
        ("scan,erosion-mm\na,3\nb,30\n", "line 3: erosion_mm must be within"),
        ("scan,level-at\na,L1=1,2,3\n", "line 2: more cells than columns"),
        ("scan,allow\na,UNREADABLE\n", "line 2: argument --allow: 'UNREADABLE' cannot be allowed"),
        ("scan,scene\na,maybe\n", "line 2: scene must be yes or no"),
        ("scan,calibration\na,guess\n", "line 2: calibration must be"),
        ("scan,case\na,../up\n", "line 2: case '../up' cannot be the name of a folder"),
        ("scan,case\na,.part\n", "cannot be the name of a folder"),
        ("scan,case\na,P1\nb,p1\n", "case p1 is there 2 times"),
        ("scan,case\na,case-0002\nb,\n", "case case-0002 is there 2 times"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_named_with_its_line(tmp_path, text, said):
    with pytest.raises(ValueError) as caught:
        read_cases([manifest(tmp_path, text)], tmp_path / "out", NONE)
    assert said in str(caught.value) and str(tmp_path) not in str(caught.value)


def test_a_manifest_that_cannot_be_read_or_would_be_replaced_is_named(tmp_path):
    (tmp_path / "latin.csv").write_bytes("scan\nMüller\n".encode("latin-1"))
    for name, said in (("latin.csv", "not a CSV file in UTF-8"), ("nowhere.csv", "cannot be read: No such file")):
        with pytest.raises(ValueError, match=said):
            read_cases([str(tmp_path / name)], tmp_path / "out", NONE)
    with pytest.raises(ValueError, match="would be replaced"):
        read_cases([manifest(tmp_path, "scan\na\n", "measurements.csv")], tmp_path, NONE)


def test_a_folder_that_cannot_be_read_is_one_case(data, tmp_path, monkeypatch):
    listed = Path.iterdir

    def iterdir(self):
        if self.name == "Müller":
            raise PermissionError(13, "Permission denied")
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert scans(read_cases([str(data)], tmp_path / "out", NONE), data) == ["b.nii.gz", "Müller", "p 2/series"]


def test_the_manifest_in_the_readme_is_one(tmp_path):
    readme = Path(__file__).resolve().parents[2] / "README.md"
    text = readme.read_text(encoding="utf-8").partition("```csv\n")[2].partition("```")[0]
    first, second = read_cases([manifest(tmp_path, text)], tmp_path / "out", NONE)
    assert (first.id, second.id) == ("P001", "P002") and second.settings.level_at == ("L1", (12.5, -30.0, 410.0))
    assert second.settings.allow == {Code.CONTRAST, Code.NOT_HU} and second.settings.calibration == "auto"


def test_the_key_is_a_manifest_of_the_same_cases(data, tmp_path):
    cases = read_cases([str(data)], tmp_path / "out", NONE)
    write_key(cases, tmp_path / "keys" / "key.csv")
    assert read_cases([str(tmp_path / "keys" / "key.csv")], tmp_path / "out", NONE) == cases


def test_the_scan_of_a_dicom_folder_can_be_loaded(data, tmp_path):
    from VertebralBMDLib.loading import load

    assert isinstance(load(read_cases([str(data / "p 2")], tmp_path / "out", NONE)[0].scan).image, sitk.Image)
