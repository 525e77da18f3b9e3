"""Simulated training scans: what is kept of a patient, and a cache that survives interruption."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_scans import CUT_L2, L1, T12, made_patient

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.simulation.cohort import at_low_resolution, draw_cohort
from VertebralBMDLib.training import simulated
from VertebralBMDLib.training.annotated import UNNAMED, complete
from VertebralBMDLib.training.simulated import simulated_scans


class Here:
    """A process pool that works in this process, one call after the other."""

    def __init__(self, *_arguments, **_options):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        return False

    def submit(self, function, *arguments):
        done = Future()
        done.set_result(function(*arguments))
        return done


@pytest.fixture
def made(monkeypatch):
    """Patients are boxes, made here; the list holds the seeds of those that were made."""
    seeds = []

    def simulate(spec):
        seeds.append(spec.seed)
        return made_patient(spec.seed)

    monkeypatch.setattr(simulated, "simulating_pool", Here)
    monkeypatch.setattr(simulated, "simulate_patient", simulate)
    return seeds


def same(a, b):
    return np.array_equal(a.hu, b.hu) and np.array_equal(a.labels, b.labels) and np.array_equal(a.structures, b.structures)


def test_a_patient_is_kept_at_every_resolution_with_its_ribs_and_cut_bodies(made, tmp_path):
    scans = [simulated_scans(2, spacing, 4, tmp_path) for spacing in (3.0, 1.5)]
    assert [len(each) for each in scans] == [2, 2] and len(made) == 2
    coarse, fine = (each[0] for each in scans)
    for scan in (coarse, fine):
        assert set(scan.centres) == {T12, L1, CUT_L2} and scan.ribbed == {T12}
        assert np.all(scan.structures[scan.labels == CUT_L2] == UNNAMED) and 4 in scan.structures
        assert np.array_equal(scan.structures == 1, (scan.labels > 0) & (scan.labels < 100))
    assert (fine.labels == L1).sum() == pytest.approx(8 * (coarse.labels == L1).sum(), rel=0.15)


def test_of_the_finer_grid_the_surroundings_of_the_column_are_kept(made, monkeypatch, tmp_path):
    monkeypatch.setattr(simulated, "_AROUND_MM", 9.0)
    coarse, fine = (simulated_scans(1, spacing, 4, tmp_path)[0] for spacing in (3.0, 1.5))
    assert coarse.hu.shape == (40, 44, 44)
    around = (fine.labels > 0).any(axis=(0, 2))
    assert fine.hu.shape[1] == pytest.approx(around.sum() + 2 * 6, abs=1) and around[6] and not around[5]


def test_what_was_made_is_not_made_again(made, tmp_path):
    first = simulated_scans(2, 3.0, 4, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = simulated_scans(2, 3.0, 4, tmp_path)
    assert len(made) == 2 and files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} and len(files) == 4
    assert all(same(a, b) for a, b in zip(first, again))
    other = simulated_scans(2, 3.0, 5, tmp_path)
    assert len(made) == 4 and not np.array_equal(other[0].hu, first[0].hu)


def test_an_interrupted_simulation_goes_on_and_ends_the_same(made, monkeypatch, tmp_path):
    whole = simulated_scans(3, 1.5, 4, tmp_path / "whole")
    seeds, simulate = made[:], simulated.simulate_patient

    def breaks(spec):
        if spec.seed == seeds[1]:
            raise KeyboardInterrupt
        return simulate(spec)

    monkeypatch.setattr(simulated, "simulate_patient", breaks)
    cache = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        simulated_scans(3, 1.5, 4, cache)
    kept = sorted(path.name for path in cache.iterdir())
    assert len(kept) == 2 and all("P0001" in name for name in kept)
    (cache / kept[0].replace("P0001", "P0002").replace(".npz", ".part.npz")).write_bytes(b"half a file")
    made.clear()
    monkeypatch.setattr(simulated, "simulate_patient", simulate)
    rest = simulated_scans(3, 1.5, 4, cache)
    assert made == seeds[1:] and all(same(a, b) for a, b in zip(whole, rest))


def test_a_patient_that_lacks_one_resolution_is_made_again(made, tmp_path):
    simulated_scans(1, 3.0, 4, tmp_path)
    next(tmp_path.glob("*1.5mm.npz")).unlink()
    simulated_scans(1, 3.0, 4, tmp_path)
    assert len(made) == 2 and len(list(tmp_path.iterdir())) == 2


def test_no_patients_are_no_work(made, tmp_path):
    assert simulated_scans(0, 3.0, 4, tmp_path) == [] and not made


def test_a_patient_of_the_simulator_by_a_process_of_its_own(monkeypatch, tmp_path):
    case = draw_cohort(6, 1, "varied")[0]
    spec = replace(at_low_resolution(case.spec, 4.0), levels=("L1", "L3"))
    monkeypatch.setattr(simulated, "draw_cohort", lambda seed, count, protocol: (replace(case, spec=spec),))
    monkeypatch.setattr(simulated, "SPACINGS_MM", (4.0,))
    scan = simulated_scans(1, 4.0, 6, tmp_path)[0]
    found = {label % 100 for label in scan.centres}
    assert {LABELS["L1"], LABELS["L2"]} <= found <= set(LABELS.values())
    assert any(complete(label) for label in scan.centres) and any(not complete(label) for label in scan.centres)
    assert LABELS["L2"] not in scan.ribbed and scan.ribbed <= found and {1, 2, UNNAMED} <= set(np.unique(scan.structures).tolist())
    assert scan.hu[scan.structures == 1].mean() > scan.hu[scan.structures == 0].mean() + 50


_KILLED = """
import os, signal
from VertebralBMDLib.training.workers import simulating_pool
if __name__ == "__main__":
    pool = simulating_pool()
    print(pool.submit(os.getpid).result(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_a_worker_ends_when_the_training_is_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(_KILLED, encoding="utf-8")
    root = Path(__file__).resolve().parents[2]
    with open(tmp_path / "out", "w+", encoding="utf-8") as out:
        assert subprocess.run([sys.executable, str(script)], stdout=out, env=os.environ | {"PYTHONPATH": str(root)}).returncode == -9
        out.seek(0)
        worker = Path(f"/proc/{int(out.read())}/stat")
    for _attempt in range(100):
        # A zombie has ended, too: nobody has asked for its status yet.
        if not worker.exists() or worker.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    os.kill(int(worker.parent.name), signal.SIGKILL)
    pytest.fail("the worker still waits for work")
