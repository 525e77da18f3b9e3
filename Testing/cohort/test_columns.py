"""Reading the two columns: what is left out, what is refused and how it is named, and the mean of a patient."""

import numpy as np
import pytest

from VertebralBMDLib.cohort.columns import Columns, read_pairs

HEADER = "patient,level,truth,ours,part,low,high,p\n"
ROWS = "A,L1,100,103,test,90,115,0.8\nA,L2,98,99,test,88,112,0.9\nB,L1,70,75,test,60,90,1\nB,L2,72,70,test,60,85,1\n"
BOTH = Columns("truth", "ours", group="patient")


def table(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "Tabelle Ω.csv"
    path.write_text(text, encoding=encoding)
    return path


def refused(tmp_path, text, columns=BOTH, unit="vertebra", encoding="utf-8"):
    with pytest.raises(ValueError) as caught:
        read_pairs(table(tmp_path, text, encoding), columns, unit)
    return str(caught.value)


def test_rows_are_vertebrae_of_patients(tmp_path):
    columns = Columns("truth", "ours", "patient", split="part", probability="p", interval=("low", "high"))
    pairs = read_pairs(table(tmp_path, "\ufeff" + HEADER + ROWS), columns)
    assert (len(pairs), pairs.groups, pairs.unit) == (4, 2, "vertebra") and pairs.group.tolist() == [0, 0, 1, 1]
    assert pairs.reference.tolist() == [100, 98, 70, 72] and pairs.predicted.tolist() == [103, 99, 75, 70]
    assert pairs.low.tolist() == [90, 88, 60, 60] and pairs.probability.tolist() == [0.8, 0.9, 1, 1]
    assert set(pairs.split) == {"test"} and pairs.left_out == () and pairs.provenance == ()


def test_rows_without_a_value_are_left_out_and_counted(tmp_path):
    text = HEADER + ROWS + "C,L1,,90,test,,,\nC,L2,88,NaN,test,,,\nD,L1,n/a,,test,,,\nE,L1,50,55,test,,,\n"
    pairs = read_pairs(table(tmp_path, text), Columns("truth", "ours", "patient", probability="p"))
    assert len(pairs) == 5 and dict(pairs.left_out) == {"no truth": 1, "no ours": 1, "no truth and no ours": 1}
    assert np.isnan(pairs.probability[-1]) and np.isfinite(pairs.reference).all()


def test_the_mean_of_a_patient(tmp_path):
    pairs = read_pairs(
        table(tmp_path, HEADER + ROWS + "C,L1,40,60,test,,,\n"), Columns("truth", "ours", "patient", split="part"), "patient"
    )
    assert pairs.unit == "patient" and pairs.reference.tolist() == [99, 71, 40] and pairs.predicted.tolist() == [101, 72.5, 60]
    assert pairs.group.tolist() == [0, 1, 2] and pairs.split.tolist() == ["test"] * 3


def test_intervals_of_vertebrae_have_no_mean(tmp_path):
    text = HEADER + ROWS + "C,L1,40,60,test,30,70,1\n"
    assert "--unit vertebra" in refused(tmp_path, text, Columns("truth", "ours", "patient", interval=("low", "high")), "patient")


def test_what_the_units_are_called_without_levels_and_patients(tmp_path):
    text = "id,truth,ours\na,1,2\nb,2,3\nc,3,5\n"
    assert read_pairs(table(tmp_path, text), Columns("truth", "ours", "id")).unit == "patient"
    alone = read_pairs(table(tmp_path, text), Columns("truth", "ours"))
    assert alone.unit == "row" and not alone.grouped and alone.groups == 3


def test_material_and_source_are_read_where_they_are(tmp_path):
    text = "truth,ours,material,calibration_source\n1,2,CaHA,phantom\n2,3,K2HPO4,phantom\n3,5,CaHA,phantom\n"
    found = dict(read_pairs(table(tmp_path, text), Columns("truth", "ours")).provenance)
    assert found == {"material": ("CaHA", "K2HPO4"), "calibration_source": ("phantom",)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("patient;truth;ours\nA;1;2\n", "not separated by commas"),
        ("patient,truth\nA,1\n", "lacks the column ours"),
        ("patient,truth,ours,ours\nA,1,2,2\n", "column ours more than once"),
        (HEADER, "has 0 rows with both values; 3 are needed"),
        (HEADER + "A,L1,1,2,test,,,\nB,L1,2,3,test,,,\nC,L1,,3,test,,,\n", "has 2 rows with both values; 3 are needed. no truth: 1"),
        (HEADER + ROWS + "C,L1,gut,90,test,,,\n", "truth is not a number in line 6"),
        ('patient,truth,ours\nA,"93,5",2\nB,1,2\nC,1,2\n', "line 2; write decimals with a point"),
        (HEADER + ROWS + "C,L1,inf,90,test,,,\n", "truth is infinite in line 6"),
        (HEADER + ROWS + ",L1,90,90,test,,,\n", "patient is empty in line 6"),
        (HEADER + ROWS + "A,L1,90,90,test,,,\n", "lines 2 and 6 are of the same patient and level"),
        (HEADER + ROWS + "A,L3,90\n", "line 6 has more or fewer cells"),
        ("patient,level,truth,ours\nA,L1,90,95\nA,L2,90,95\nB,L1,70,72\nB,L2,70,72\n", "use --unit patient"),
    ],
    ids=lambda text: text[-28:] if "\n" not in text else "",
)
def test_what_is_wrong_with_a_table_is_named(tmp_path, text, said):
    assert said in refused(tmp_path, text)


def test_patients_are_never_named(tmp_path):
    text = HEADER + ROWS + "Erika Mustermann,L1,1,x,test,,,\n"
    assert "Muster" not in refused(tmp_path, text)
    assert "Muster" not in refused(tmp_path, text.replace("x", "2") + "Erika Mustermann,L1,1,2,test,,,\n")


@pytest.mark.parametrize(
    ("change", "columns", "said"),
    [
        (("A,L2,98,99,test", "A,L2,98,99,train"), dict(split="part"), "patients in more than one part of part: 1"),
        (("B,L1,70,75,test", "B,L1,70,75,fold 3"), dict(split="part"), "part must be one of train, validation, test; it is not in line 4"),
        (("test", "train"), dict(split="part"), "names no row test"),
        (("90,115,0.8", "90,80,0.8"), dict(interval=("low", "high")), "low is above high in line 2"),
        (("0.8", "80"), dict(probability="p"), "p is outside 0 to 1 in line 2"),
    ],
    ids=lambda value: value[0][:16] if isinstance(value, tuple) else "",
)
def test_what_is_wrong_with_parts_intervals_and_probabilities_is_named(tmp_path, change, columns, said):
    assert said in refused(tmp_path, HEADER + ROWS.replace(*change), Columns("truth", "ours", "patient", **columns))


def test_questions_that_make_no_sense_are_named(tmp_path):
    assert "always agrees with itself" in refused(tmp_path, HEADER + ROWS, Columns("truth", "truth"))
    assert "--group" in refused(tmp_path, HEADER + ROWS, Columns("truth", "ours"), "patient")
    assert "has 2 patients" in refused(tmp_path, HEADER + ROWS, BOTH, "patient")
    assert "not UTF-8" in refused(tmp_path, HEADER + ROWS.replace("A", "Ä"), encoding="latin-1")
