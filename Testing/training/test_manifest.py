"""The manifest of a cohort: what it reads, and that every mistake is found, all at once, by its lines and with a remedy."""

import re

import pytest
import SimpleITK as sitk
from made_cohort import write_scan, write_table

from VertebralBMDLib.simulation.dicom import write_dicom_series
from VertebralBMDLib.training.manifest import read_manifest
from VertebralBMDLib.training.manifest_rows import DENSITY, Row
from VertebralBMDLib.training.problems import ManifestError


def a_row(**cells) -> dict:
    """A good row; ``cells`` replace or add."""
    good = {
        "scan": "a.nii.gz",
        "level": "L1",
        DENSITY: "101.5",
        "material": "CaHA",
        "patient": "p1",
        "site": "north",
        "sex": "F",
        "age": "61",
    }
    return good | cells


OTHER = {"scan": "b.nii.gz", "patient": "p2"}


@pytest.fixture
def folder(tmp_path):
    """Two scans of another size, and b once more as NRRD."""
    write_scan(tmp_path / "a.nii.gz", 1)
    b = write_scan(tmp_path / "b.nii.gz", 2, shape=(5, 12, 10))
    sitk.WriteImage(sitk.ReadImage(str(b)), str(tmp_path / "copy of b.nrrd"))
    return tmp_path


def problems(folder, *rows) -> list[str]:
    """What is wrong, as it is told."""
    with pytest.raises(ManifestError) as caught:
        read_manifest(write_table(folder / "cohort.csv", list(rows)))
    assert str(caught.value).splitlines()[1:] == [f"  {problem}" for problem in caught.value.problems]
    return [str(problem) for problem in caught.value.problems]


def only(folder, *rows) -> str:
    """The one problem there is."""
    found = problems(folder, *rows)
    assert len(found) == 1, found
    return found[0]


def test_a_good_manifest_is_read(folder):
    rows = [a_row(level="l1", roi="a.nii.gz", sex="f"), a_row(level="L2", age="61.0", **{DENSITY: "96"}), a_row(**OTHER, bodies="b.nii.gz")]
    manifest = read_manifest(write_table(folder / "my cohort.csv", [{"roi": "", "bodies": "", **row} for row in rows]))
    assert (manifest.name, manifest.material) == ("my cohort.csv", "CaHA")
    first = Row(2, folder / "a.nii.gz", "p1", "north", "F", 61.0, 101.5, "L1", roi=folder / "a.nii.gz")
    assert manifest.rows[0] == first and first.name == "line 2 (L1)"
    assert [row.vbmd for row in manifest.rows] == [101.5, 96.0, 101.5] and manifest.rows[2].bodies == folder / "b.nii.gz"
    assert all(row.split is None and row.fold is None for row in manifest.rows)


def test_the_material_may_stand_in_the_name_of_the_column(folder):
    row = a_row() | {f"{DENSITY}_CaHA": "80", f"{DENSITY}_K2HPO4": "70"}
    del row[DENSITY], row["material"]
    table = write_table(folder / "cohort.csv", [row])
    assert read_manifest(table).rows[0].vbmd == 80.0
    assert read_manifest(table, "K2HPO4").rows[0].vbmd == 70.0 and read_manifest(table, "K2HPO4").material == "K2HPO4"


def test_follow_up_scans_and_the_own_splits_of_a_hospital_are_read(folder):
    rows = [
        a_row(split="train", fold="3"),
        a_row(scan="b.nii.gz", split="Train", fold="3", age="63"),
        a_row(scan="c.nii.gz", patient="p2", split="test", fold=""),
    ]
    write_scan(folder / "c.nii.gz", 3)
    found = read_manifest(write_table(folder / "cohort.csv", rows)).rows
    assert [(row.patient, row.age, row.split, row.fold) for row in found] == [
        ("p1", 61, "train", 3),
        ("p1", 63, "train", 3),
        ("p2", 61, "test", None),
    ]


def test_all_problems_are_listed_at_once_and_name_neither_patients_nor_files(folder):
    jane = {"patient": "Doe^Jane"}
    rows = [a_row(**jane), a_row(scan="Jane Doe.nii.gz", age="", **jane), a_row(level="L9", sex="female", **jane), a_row(**OTHER, age="")]
    found = problems(folder, *rows)
    assert [text.split(". ")[0] for text in found] == [
        "line 3: the scan is not there",
        "lines 3, 5: age is missing",
        "line 4: the level is unknown",
        "line 4: sex is not one of F, M, O",
    ]
    assert not re.search("Doe|Jane|nii", "\n".join(found))


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"scan": "nowhere.nii.gz"}, "the scan is not there. Correct its path"),
        ({"scan": ""}, "scan is empty"),
        ({"roi": "nowhere.nii.gz"}, "the roi is not there"),
        ({"bodies": "nowhere.nii.gz"}, "the bodies is not there"),
        ({"level": "L1-L2"}, "the level is unknown. Give one of T1 to L6, one row for each vertebra"),
        ({"level": ""}, "neither level nor roi is given"),
        ({"patient": ""}, "patient is empty"),
        ({"site": ""}, "site is empty"),
        ({"sex": "w"}, "sex is not one of F, M, O"),
        ({"age": ""}, "age is missing. Give the age at the scan in years"),
        ({"age": "1956"}, "age looks like the year of birth"),
        ({"age": "056Y"}, "age is not a number"),
        ({"age": "6"}, "age is outside 18 to 110 years"),
        ({DENSITY: ""}, f"{DENSITY} is missing"),
        ({DENSITY: "101,5"}, "is not a number. Write decimals with a point"),
        ({DENSITY: "nan"}, "is not a number"),
        ({DENSITY: "0.1015"}, "looks like g/cm³ or mg/mm³. Multiply it by 1000"),
        ({DENSITY: "0.94"}, "looks like areal density by DXA"),
        ({DENSITY: "4.9"}, "is below 5 mg/cm³"),
        ({DENSITY: "-40"}, "is below 5 mg/cm³"),
        ({DENSITY: "612"}, "is above 400 mg/cm³. Give the trabecular density"),
        ({"material": "K2HPO4"}, "the density is of K2HPO4, and the network reads CaHA. Leave the row out, or multiply by a factor that you have"),
        ({"material": ""}, "material is empty. Give K2HPO4 or CaHA"),
        ({"material": "water"}, "the material is unknown"),
        ({"fold": "1"}, "fold is given without split"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_row_is_told(folder, cells, words):
    told = only(folder, {"fold": "", "roi": "", "bodies": "", **a_row(**cells)})
    assert words in told and (told.startswith("line 2: ") or "fold" in cells)


def test_a_column_of_t_scores_is_told_as_such(folder):
    rows = [a_row(**{DENSITY: "-2.6"}), a_row(level="L2", **{DENSITY: "0.3"}), a_row(level="L3", **{DENSITY: "1.1"})]
    assert only(folder, *rows).startswith(f"lines 2-4: {DENSITY} looks like a T- or Z-score")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([a_row(), a_row()], "lines 2-3: the same vertebra of the same scan. Keep one row"),
        ([a_row(), a_row(level="L2", patient="p2")], "lines 2-3: one scan under two patients. Correct the patient"),
        ([a_row(**OTHER), a_row(scan="copy of b.nrrd", level="L2")], "lines 2-3: copies of one scan under two patients"),
        ([a_row(**OTHER), a_row(**OTHER | {"scan": "copy of b.nrrd"})], "lines 2-3: the same vertebra of the same scan in copies"),
        ([a_row(), a_row(level="L2", sex="M")], "lines 2-3: one patient with more than one sex"),
        ([a_row(), a_row(level="L2", age="62")], "lines 2-3: one scan with more than one age or site"),
        ([a_row(), a_row(**OTHER, ) | {"patient": "P1"}], "lines 2-3: patients that differ in upper and lower case only"),
    ],
)  # fmt: skip
def test_rows_that_contradict_each_other_are_told(folder, rows, told):
    assert only(folder, *rows).startswith(told)


def test_copies_of_one_patient_with_another_vertebra_each_are_no_problem(folder):
    table = write_table(folder / "cohort.csv", [a_row(**OTHER), a_row(**OTHER | {"scan": "copy of b.nrrd", "level": "L2"})])
    assert len(read_manifest(table).rows) == 2


@pytest.mark.parametrize(
    ("splits", "told"),
    [
        (
            (("train", ""), ("test", ""), ("test", "")),
            "lines 2-3: one patient with more than one split. Correct it: a patient belongs to one",
        ),
        ((("train", "0"), ("train", "1"), ("test", "")), "lines 2-3: one patient with more than one fold"),
        ((("train", "0"), ("train", "0"), ("test", "1")), "line 4: a fold in the locked test"),
        ((("train", "0"), ("train", ""), ("test", "")), "line 3: no fold, where other rows of the training part have one"),
        ((("train", ""), ("train", ""), ("train", "")), "split has no row test"),
        ((("train", "5"), ("train", "5"), ("test", "")), "lines 2-3: fold is not one of 0 to 4"),
        ((("train", ""), ("train", ""), ("", "")), "line 4: split is empty. Give train or test"),
        ((("train", ""), ("train", ""), ("validation", "")), "line 4: split is not one of train, test"),
    ],
)
def test_splits_that_leak_or_are_incomplete_are_told(folder, splits, told):
    rows = [a_row(), a_row(level="L2"), a_row(**OTHER)]
    found = problems(folder, *(row | {"split": split, "fold": fold} for row, (split, fold) in zip(rows, splits)))
    assert found[-1 if told.startswith("line 4: split") else 0].startswith(told), found


def test_dicom_series_are_known_by_their_uid(folder, body_like):
    for name in ("one", "two"):
        write_dicom_series(body_like, folder / name / "series", {"PatientID": name})
    write_dicom_series(body_like, folder / "three", {"SeriesInstanceUID": "1.2.3"})
    one, three = a_row(scan="one"), a_row(scan="three", patient="p3")
    assert len(read_manifest(write_table(folder / "cohort.csv", [one, three])).rows) == 2
    write_dicom_series(body_like, folder / "four", {"SeriesInstanceUID": "1.2.3"})
    assert only(folder, one, three, a_row(scan="four", patient="p4")).startswith("lines 3-4: copies of one scan under two patients")


def test_scans_that_cannot_be_read_are_told(folder, body_like):
    (folder / "empty").mkdir()
    (folder / "text.nii.gz").write_text("no image", encoding="utf-8")
    write_dicom_series(body_like, folder / "virtual", {"SeriesDescription": "VNC abdomen"})
    rows = [a_row(scan=name, patient=name) for name in ("empty", "text.nii.gz", "virtual")]
    assert [text.split(". ")[0] for text in problems(folder, *rows)] == [
        "line 2: the folder of the scan holds no DICOM file",
        "line 3: the scan cannot be read",
        "line 4: the scan is refused: VIRTUAL_NON_CONTRAST",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scan;patient\na;b\n", "not separated by commas"),
        ("Jane Doe,a.nii.gz\n", "its first line is no header"),
        ("scan,patient,site,sex,age,level,reference_vbmd_mg_cm3,material,bodie\n", "unknown columns 'bodie'. Remove or rename"),
        ("scan,patient,site,sex,age,age,level,reference_vbmd_mg_cm3,material\n", "the column age is there more than once"),
        ("scan,site,sex,age,level,reference_vbmd_mg_cm3,material\n", "the column patient is missing"),
        ("scan,patient,site,sex,age,reference_vbmd_mg_cm3,material\n", "neither level nor roi says"),
        ("scan,patient,site,sex,age,level,reference_vbmd_mg_cm3\n", "what the reference densities are of cannot be told"),
        ("scan,patient,site,sex,age,level,reference_vbmd_mg_cm3,material,reference_vbmd_mg_cm3_CaHA\n", "cannot be told"),
        ("scan,patient,site,sex,age,level,reference_vbmd_mg_cm3,material\n", "it holds no row"),
        ("", "its first line is no header"),
    ],
)
def test_a_file_that_is_no_manifest_is_told(tmp_path, text, words):
    path = tmp_path / "cohort.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=words) as caught:
        read_manifest(path)
    assert "Doe" not in str(caught.value)


def test_another_encoding_and_uneven_rows_are_told(folder):
    (folder / "latin.csv").write_bytes("scan,Größe\n".encode("latin-1"))
    with pytest.raises(ManifestError, match="not a CSV file in UTF-8"):
        read_manifest(folder / "latin.csv")
    path = write_table(folder / "cohort.csv", [a_row(), a_row(**OTHER, age="")])
    path.write_text(path.read_text(encoding="utf-8") + "a.nii.gz,L2\n", encoding="utf-8")
    with pytest.raises(ManifestError, match="(?s)line 3: age is missing.*line 4: more or fewer cells than columns"):
        read_manifest(path)
