"""Many scans: resume, one table, exit status, and cases that go wrong alone. The pipeline is stub_case_worker.py's unless said."""

import csv
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from VertebralBMDLib.cli import main
from VertebralBMDLib.cohort import batch
from VertebralBMDLib.cohort.cases import Case
from VertebralBMDLib.network import models
from VertebralBMDLib.report.files import FILES
from VertebralBMDLib.report.table import COLUMNS
from VertebralBMDLib.run import measure_to_folder
from VertebralBMDLib.settings import Settings
from VertebralBMDLib.worker_client import Worker

STUB = Path(__file__).with_name("stub_case_worker.py")
ROOT = STUB.parents[2]


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Work is done by the stub; the function returns what was asked of it since the last call, a list a request."""
    path = tmp_path / "requests.log"
    monkeypatch.setenv("STUB_LOG", str(path))
    monkeypatch.setattr(batch, "Worker", functools.partial(Worker, arguments=(str(STUB),)))

    def requests():
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return sorted(line.split() for line in lines)

    return requests


@pytest.fixture
def data(tmp_path):
    """A function that writes scans which the stub understands: their names with what happens to them."""
    folder = tmp_path / "Müller Eva"

    def written(**scans):
        folder.mkdir(exist_ok=True)
        for name, text in scans.items():
            (folder / f"{name}.nii").write_text(text.replace("_", " "))
        return folder

    return written


def run(*arguments):
    return main(["batch", *map(str, arguments)])


def table(folder, name="measurements.csv"):
    with (folder / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def states(folder):
    return {row["case"]: row["status"] for row in table(folder, "batch.csv")}


def test_one_table_in_the_order_of_the_cases_and_one_worker_for_many(data, tmp_path, log, capsys):
    output = tmp_path / "out Ω"
    assert run(data(a="measured", b="measured", c="measured"), "--output", output, "--erosion-mm", "2.5") == 0
    assert [(row["case"], row["level"]) for row in table(output)] == [(f"case-000{i}", level) for i in (1, 2, 3) for level in ("L1", "L2")]
    assert list(table(output)[0]) == ["case", *COLUMNS] and {row["roi_mean_hu"] for row in table(output)} == {"2.5"}
    assert len({pid for _scan, pid, *_rest in log()}) == 1
    said = capsys.readouterr()
    assert "3 cases: 3 measured, 0 refused, 0 failed" in said.out and "3 of 3: case-0003 measured" in said.err


def test_a_second_run_does_nothing_and_a_third_what_is_new(data, tmp_path, log, capsys):
    assert run(data(a="measured", b="refused"), "--output", tmp_path / "out") == 3
    first = (tmp_path / "out" / "measurements.csv").read_bytes()
    assert len(log()) == 2
    assert run(data(), "--output", tmp_path / "out") == 3
    assert log() == [] and (tmp_path / "out" / "measurements.csv").read_bytes() == first
    assert "2 of 2 cases are finished already" in capsys.readouterr().err
    assert run(data(c="measured"), "--output", tmp_path / "out") == 3
    assert [request[0] for request in log()] == ["c"] and states(tmp_path / "out")["case-0003"] == "measured"


def test_a_case_is_measured_again_when_anything_it_depends_on_has_changed(data, tmp_path, log, monkeypatch):
    scan, line, cases = data(a="measured") / "a.nii", tmp_path / "line.json", tmp_path / "cases.csv"
    line.write_text("{}")
    cases.write_text(f"scan,calibration,series\n{scan},async:line.json,1.2\n", encoding="utf-8")

    def measured():
        assert run(cases, "--output", tmp_path / "out") == 0
        return len(log())

    assert [measured(), measured()] == [1, 0]
    os.utime(scan, ns=(1, 1))
    assert [measured(), measured()] == [1, 0], "the scan"
    line.write_text('{"slope": 1}')
    assert measured() == 1, "a file that an option names"
    cases.write_text(cases.read_text(encoding="utf-8").replace("1.2", "1.3"), encoding="utf-8")
    assert measured() == 1, "an option"
    monkeypatch.setattr(batch, "identity", lambda name: models.Model(name, "0" * 64))
    assert measured() == 1, "a network"
    monkeypatch.setattr(batch, "__version__", "99")
    assert measured() == 1, "the program"
    (tmp_path / "out" / "case-0001" / "measurement.json").write_text("{")
    assert [measured(), measured()] == [1, 0], "the result"


def test_cases_that_fail_do_so_alone_and_are_tried_again(data, tmp_path, log, capsys):
    output = tmp_path / "out"
    folder = data(a="fail", b="die_once", c="measured", d="refused", e="settings")
    assert run(folder, "--output", output) == 1
    assert list(states(output).values()) == ["failed", "failed", "measured", "refused", "failed"]
    messages = [row["message"] for row in table(output, "batch.csv")]
    assert (
        "KeyError" in messages[0]
        and messages[4] == "The measurement was not possible: scan lies in the output folder"
        and "exit status -9" in messages[1]
    )
    assert [row["case"] for row in table(output)] == ["case-0003", "case-0003"] and len(log()) == 5
    said = capsys.readouterr()
    assert "5 cases: 1 measured, 1 refused (CONTRAST x 1), 3 failed" in said.out
    written = "".join(path.read_text(encoding="utf-8") for path in output.rglob("*") if path.is_file())
    assert not any("Müller" in text or ".nii" in text for text in (said.err, said.out, written))
    assert run(folder, "--output", output) == 1 and [request[0] for request in log()] == ["a", "b", "e"]
    assert states(output)["case-0002"] == "measured"


def test_the_result_of_other_settings_does_not_pass_for_that_of_a_failed_case(data, tmp_path, log):
    assert run(data(a="measured"), "--output", tmp_path / "out") == 0
    assert run(data(a="fail"), "--output", tmp_path / "out") == 1
    assert table(tmp_path / "out") == [] and not (tmp_path / "out" / "case-0001" / "measurement.json").exists()


def test_a_manifest_gives_each_case_its_id_and_its_options(data, tmp_path, log):
    folder = data(a="measured", b="measured")
    (folder / "cases.csv").write_text("case,scan,erosion-mm,series,scene\nP1,a.nii,,,\nP2,b.nii,4,1.2.3,yes\n", encoding="utf-8")
    assert run(folder / "cases.csv", "--output", tmp_path / "out") == 0
    assert [request[2:] for request in log()] == [["3", "None", "False"], ["4", "1.2.3", "True"]]
    assert [row["case"] for row in table(tmp_path / "out")] == ["P1", "P1", "P2", "P2"]


def test_what_a_worker_logs_is_shown_only_when_it_is_asked_for(data, tmp_path, log, capfd):
    options = ["batch", str(data(a="fail")), "--output", str(tmp_path / "out")]
    assert main(options) == 1 and "Traceback" not in capfd.readouterr().err
    assert main(["--verbose", *options]) == 1 and "KeyError" in capfd.readouterr().err.partition("Traceback")[2]


def test_several_workers_share_the_work_and_give_the_same_table(data, tmp_path, log):
    folder = data(**{f"s{i}": "measured" for i in range(6)})
    assert run(folder, "--output", tmp_path / "one") == run(folder, "--output", tmp_path / "two", "--workers", "2") == 0
    assert (tmp_path / "one" / "measurements.csv").read_bytes() == (tmp_path / "two" / "measurements.csv").read_bytes()
    assert len({pid for _scan, pid, *_rest in log()}) == 3


def test_an_incomplete_installation_stops_the_batch_with_its_remedy(data, tmp_path, log, capsys):
    assert run(data(a="measured", b="torch"), "--output", tmp_path / "out") == 1
    assert "TORCH_MISSING" in capsys.readouterr().err and states(tmp_path / "out") == {"case-0001": "measured"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "0"], "workers must be at least 1"),
        (["--erosion-mm", "30"], "erosion_mm must be within"),
        (["--calibration", "guess"], "calibration must be"),
        (["--names", "path", "--key", "cases.csv"], "cases.csv lies in the output folder and would be replaced"),
    ],
)
def test_wrong_usage_ends_with_2_before_anything_is_measured(data, tmp_path, log, capsys, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cases.csv").write_text(f"scan\n{data(a='measured')}/a.nii\n", encoding="utf-8")
    assert run("cases.csv", "--output", "out", *options) == 2
    assert said in capsys.readouterr().err and log() == [] and not list(tmp_path.glob("out/case*"))


@pytest.mark.parametrize("option", ["--bodies=b.nii", "--roi=r.nii", "--level-at=L1=1,2,3", "--series=1.2", "--rods=r.csv"])
def test_what_can_only_be_meant_for_one_scan_belongs_into_a_manifest(tmp_path, capsys, option):
    with pytest.raises(SystemExit) as end:
        run(tmp_path, "--output", tmp_path / "out", option)
    assert end.value.code == 2 and "unrecognized arguments" in capsys.readouterr().err


def test_the_key_says_which_case_is_which_scan_where_it_is_asked_for(data, tmp_path, log):
    assert run(data(a="measured"), "--output", tmp_path / "out", "--key", tmp_path / "keys" / "key.csv") == 0
    assert table(tmp_path / "keys", "key.csv") == [{"case": "case-0001", "scan": str(data() / "a.nii")}]


def test_tables_are_not_rewritten_all_the_time_but_always_in_the_end(data, tmp_path, log, monkeypatch):
    writes = []
    write = batch._Tables.write

    def slow(self, outcomes):
        writes.append(len(outcomes))
        time.sleep(0.2)
        write(self, outcomes)

    monkeypatch.setattr(batch._Tables, "write", slow)
    assert run(data(**{f"s{i}": "measured" for i in range(5)}), "--output", tmp_path / "out") == 0
    assert writes == [0, 1, 5]


def test_a_table_that_another_program_holds_open_is_written_in_the_end(data, tmp_path, log, monkeypatch):
    replace = batch._replace
    held = [True]

    def replaced(path, text):
        if path.name == "measurements.csv" and "L1" in text and held:
            held.pop()
            raise PermissionError(13, "Permission denied")
        replace(path, text)

    monkeypatch.setattr(batch, "_replace", replaced)
    assert run(data(a="measured"), "--output", tmp_path / "out") == 0 and not held and len(table(tmp_path / "out")) == 2


def program(data, output):
    """A batch in a process of its own, with the stub for a worker."""
    code = (
        "import functools, sys; from VertebralBMDLib import cli; from VertebralBMDLib.cohort import batch; "
        f"batch.Worker = functools.partial(batch.Worker, arguments=({str(STUB)!r},)); sys.exit(cli.main(sys.argv[1:]))"
    )
    # A test run in the background ignores Ctrl-C, and so would its children.
    return subprocess.Popen(
        [sys.executable, "-c", code, "batch", str(data), "--output", str(output)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(pid):
    """True while a process runs (a zombie nobody has collected does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_what_is_finished_survives_the_end_of_the_program(data, tmp_path, log, sent, status):
    path = Path(os.environ["STUB_LOG"])
    running = program(data(a="measured", b="hang", c="measured"), tmp_path / "out")
    # The next case is begun a moment before the row of the one that is finished is written.
    wait_for(lambda: path.exists() and "b " in path.read_text() and (tmp_path / "out" / "batch.csv").exists() and states(tmp_path / "out"))
    running.send_signal(sent)
    _out, err = running.communicate(timeout=60)
    assert running.returncode == status and "Traceback" not in err
    assert ("the same command goes on from here" in err) == (sent == signal.SIGINT)
    assert states(tmp_path / "out") == {"case-0001": "measured"} and len(table(tmp_path / "out")) == 2
    worker = log()[0][1]
    if sent == signal.SIGKILL:
        os.kill(int(worker), signal.SIGKILL)  # A real worker goes at its next word about progress; this one sleeps.
    wait_for(lambda: not alive(worker))
    assert run(data(b="measured"), "--output", tmp_path / "out") == 0
    assert [request[0] for request in log()] == ["b", "c"]


def test_a_worker_that_is_killed_is_one_failed_case_and_the_next_gets_a_new_one(data, tmp_path, log):
    assert run(data(a="die", b="measured", c="die", d="measured"), "--output", tmp_path / "out") == 1
    assert list(states(tmp_path / "out").values()) == ["failed", "measured", "failed", "measured"]


def test_no_path_of_a_case_is_left_in_a_message(tmp_path):
    case = Case("P1", tmp_path / "Eva" / "s1", Settings(roi=tmp_path / "Eva roi.nii", calibration=f"async:{tmp_path / 'Eva.json'}"))
    for message, said in (
        (f"[Errno 5] Input/output error: '{tmp_path}/Eva/s1/Eva M/IM1'", "[Errno 5] Input/output error: 'scan'"),
        ("Eva roi.nii lies in the output folder", "roi lies in the output folder"),
        ("Eva.json: there is no such file;\nslices1 s10", "calibration: there is no such file; slices1 s10"),
    ):
        assert batch._without_names(message, case) == said


def test_real_scans_in_the_table_are_what_measure_writes(patient_files, tmp_path, capsys):
    """The real pipeline, in two processes: equal to the byte, and what one case asks for does not reach the other."""
    lines = ["case,scan,bodies,levels", "P1,scan.nii.gz,bodies.nii.gz,", 'P2,scan.nii.gz,bodies.nii.gz,"L2,L3"', "P3,nowhere.nii.gz,,"]
    lines.append("P4,scan.nii.gz,nowhere.nii.gz,")
    (patient_files / "cases.csv").write_text("\n".join(lines), encoding="utf-8")
    output = tmp_path / "out"
    assert run(patient_files / "cases.csv", "--output", output, "--workers", 2, "--device", "cpu") == 3
    assert states(output) == {"P1": "measured", "P2": "measured", "P3": "refused", "P4": "refused"}
    assert {path.name for path in (output / "P1").iterdir()} == {*FILES, "finished.json"}
    settings = Settings(device="cpu", bodies=patient_files / "bodies.nii.gz", levels=("L2", "L3"))
    measure_to_folder(patient_files / "scan.nii.gz", tmp_path / "one", settings)
    one = (tmp_path / "one" / "measurements.csv").read_bytes().splitlines()[1:]
    assert one and (output / "measurements.csv").read_bytes().splitlines()[-len(one) :] == [b"P2," + line for line in one]
    assert json.loads((output / "P3" / "measurement.json").read_text(encoding="utf-8"))["patient"]["refusals"] == ["UNREADABLE"]
