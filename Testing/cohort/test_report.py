"""`vertebral-bmd evaluate`: what is printed, the files, and what they must say."""

import csv
import json
import re

import numpy as np
import pytest

from VertebralBMDLib.cli import main
from VertebralBMDLib.cohort.quantities import QUANTITIES, interval_text, value_text
from VertebralBMDLib.cohort.report import FILES

pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install '.[evaluate]'")

OPTIONS = ("--reference", "truth", "--predicted", "ours <i>$x$</i>", "--group", "patient", "--resamples", "40")


def write(path, patients=45, shift=0.0):
    rng = np.random.default_rng(11)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["patient", "level", "truth", "ours <i>$x$</i>", "part", "low", "high", "p", "material"])
        for k in range(patients):
            mean, shared = rng.normal(108, 28), rng.normal(0, 6)
            for level in ("L1", "L2"):
                true = mean + rng.normal(0, 5) + shift
                said = true + shared + rng.normal(0, 6)
                part = ("train", "validation", "test")[k % 3]
                writer.writerow([f"Muster {k}", level, true, said, part, said - 17, said + 17, float(said < 120), "CaHA"])
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate Ω")
    path = write(folder / "table.csv")
    options = (*OPTIONS, "--split", "part", "--interval", "low,high", "--probability", "p", "--simulated", "--output", str(folder / "out"))
    assert main(["evaluate", str(path), *options]) == 0
    return folder / "out"


def document(folder):
    return json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))


def words(capsys):
    """What was printed, without its line ends."""
    return " ".join(capsys.readouterr().out.split())


def wrong_usage(capsys, *arguments):
    try:
        status = main(["evaluate", *map(str, arguments)])
    except SystemExit as end:
        status = end.code
    captured = capsys.readouterr()
    assert status == 2 and captured.out == "" and "Traceback" not in captured.err
    return captured.err


def test_all_files_are_there_and_name_no_patient(done):
    assert sorted(path.name for path in done.iterdir()) == sorted(FILES)
    assert all(b"Muster" not in path.read_bytes() for path in done.iterdir())
    assert document(done)["schema"] == "vertebral-bmd/evaluation/1" and document(done)["columns"]["predicted"] == "ours <i>$x$</i>"


def test_the_same_table_gives_the_same_files(done, tmp_path):
    options = (
        *OPTIONS,
        "--split",
        "part",
        "--interval",
        "low,high",
        "--probability",
        "p",
        "--simulated",
        "--output",
        str(tmp_path / "out"),
    )
    assert main(["evaluate", str(write(tmp_path / "table.csv")), *options]) == 0
    assert [name for name in FILES if (tmp_path / "out" / name).read_bytes() != (done / name).read_bytes()] == []


def test_every_page_says_what_it_may_be_used_for_and_that_it_is_simulated(done):
    page = (done / "report.html").read_text(encoding="utf-8")
    for text in (page, (done / "agreement.svg").read_text(encoding="utf-8")):
        assert "imulated" in text or "SIMULATED" in text
    assert "SIMULATED" in page and "For research use only" in page and "Ours are simulated" in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "") and "ours &lt;i&gt;$x$&lt;/i&gt;" in page
    assert len(re.findall(r'src="data:image/png;base64,', page)) == 2
    assert (done / "report.pdf").read_bytes().startswith(b"%PDF") and (done / "agreement.png").read_bytes()[:4] == b"\x89PNG"


def test_the_page_holds_every_table_and_the_counts(done):
    page, found = (done / "report.html").read_text(encoding="utf-8"), document(done)
    test = found["sets"]["test"]["sections"]
    for name in (
        "Agreement, test: 30 vertebrae of 15 patients",
        "Screening cut",
        "Cuts of the predicted",
        "bins",
        "Parts",
        "Beside the paper",
    ):
        assert name in page, name
    sensitivity = test["osteoporosis"]["sensitivity"]
    assert f"({sensitivity['count']}/{sensitivity['of']})" in page
    assert f"{test['agreement']['icc_a1']['value']:.3f}" in page


def test_the_tables_hold_what_the_document_holds(done):
    found = document(done)
    with (done / "evaluation.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == sum(len(section) for part in found["sets"].values() for section in part["sections"].values())
    for row in rows:
        entry = found["sets"][row["part"]]["sections"][row["section"]][row["quantity"]]
        assert row["value"] == (repr(entry["value"]) if "value" in entry else "")
        assert [row["bootstrap_low"], row["bootstrap_high"]] == [str(end) for end in entry.get("bootstrap", ("", ""))]
        assert row["unit"] in ("mg/cm3", "fraction", "1")
    with (done / "cuts.csv").open(encoding="utf-8", newline="") as stream:
        cuts = list(csv.DictReader(stream))
    chosen = [row for row in cuts if row["rule"]]
    assert len(cuts) - len(chosen) == 3 * 2 * 11 and {row["part"] for row in chosen} == {"validation", "test"}
    assert all(int(row["tp"]) + int(row["fn"]) + int(row["fp"]) + int(row["tn"]) == 30 for row in cuts)


def test_what_is_printed(tmp_path, capsys):
    assert main(["evaluate", str(write(tmp_path / "table.csv")), *OPTIONS, "--unit", "patient"]) == 0
    printed = words(capsys)
    assert "For research use only" in printed and "SIMULATED" not in printed and "Muster" not in printed
    assert "Unit of analysis: patient. 45 patients." in printed and "40 resamples, seed 1" in printed and "Material: CaHA." in printed
    assert "No screening cut is chosen" in printed and "not the paper's patients" in printed
    assert re.search(r"ICC\(A,1\), absolute agreement +0\.\d{3} +0\.\d{3} to 0\.\d{3}", printed)
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_rows_without_patients_and_mixed_materials_are_said(tmp_path, capsys):
    path = write(tmp_path / "table.csv", 20)
    path.write_text(path.read_text(encoding="utf-8").replace("CaHA", "K2HPO4", 3), encoding="utf-8")
    assert main(["evaluate", str(path), *OPTIONS[:4], "--resamples", "0"]) == 0
    printed = words(capsys)
    assert "every row is taken as a patient of its own" in printed and "Material: CaHA, K2HPO4. MIXED" in printed
    assert "no bootstrap was asked for" in printed


def test_a_perfect_prediction_of_two_patients_is_drawn_and_its_missing_intervals_are_said(tmp_path, capsys):
    path = tmp_path / "table.csv"
    path.write_text("patient,truth,ours\nA,70,70\nA,90,90\nB,110,110\nB,130,130\n")
    options = ("--reference", "truth", "--predicted", "ours", "--group", "patient", "--output", str(tmp_path / "out"))
    assert main(["evaluate", str(path), *options]) == 0
    printed = words(capsys)
    assert "no bootstrap: there are only 2 patients" in printed and "no interval: the correlation is perfect" in printed
    assert (tmp_path / "out" / "agreement.png").exists()


def test_figures_without_positive_rows_say_so(tmp_path):
    path = write(tmp_path / "table.csv", 12, shift=300.0)
    assert main(["evaluate", str(path), *OPTIONS, "--output", str(tmp_path / "out")]) == 0
    assert "no row is positive" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "out" / "reliability.png").exists()


def test_mistakes_are_named_and_nothing_is_written(tmp_path, capsys):
    path = write(tmp_path / "table.csv", 6)
    output = tmp_path / "out"
    assert "lacks the column bmd" in wrong_usage(capsys, path, "--reference", "bmd", "--predicted", "truth", "--output", output)
    assert "two columns" in wrong_usage(capsys, path, *OPTIONS, "--interval", "low")
    assert "number of resamples" in wrong_usage(capsys, path, *OPTIONS, "--resamples", "-3")
    assert "thresholds must be one of" in wrong_usage(capsys, path, *OPTIONS, "--thresholds", "who")
    assert "No such file" in wrong_usage(capsys, tmp_path / "none.csv", *OPTIONS)
    assert not output.exists()


def test_files_of_the_user_are_not_replaced(tmp_path, capsys):
    path = write(tmp_path / "evaluation.csv", 6)
    assert "would be replaced" in wrong_usage(capsys, path, *OPTIONS, "--output", tmp_path)
    path = path.rename(tmp_path / "table.csv")
    (tmp_path / "measurement.json").write_text("{}")
    assert main(["evaluate", str(path), *OPTIONS, "--output", str(tmp_path)]) == 2
    assert "holds a measurement" in capsys.readouterr().err and not (tmp_path / "report.html").exists()


def test_values_and_intervals_in_words():
    assert value_text("bias", {"value": -1.144}) == "−1.14" and interval_text("bias", (-2.5, 0.251)) == "−2.50 to 0.25"
    share = {"value": 7 / 17, "count": 7, "of": 17, "interval": (0.1844, 0.6708)}
    assert value_text("sensitivity", share) == "41.2 % (7/17)" and interval_text("sensitivity", share["interval"]) == "18.4 to 67.1 %"
    assert value_text("ppv", {"count": 0, "of": 0}) == "–" and interval_text("auc", None) == ""
    assert all(kind in ("mg", "share", "plain") for _, kind in QUANTITIES.values())
