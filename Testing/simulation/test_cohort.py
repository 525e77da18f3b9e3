"""Cohorts: the paper's population, its split by patient, and files that resume."""

import csv
import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from VertebralBMDLib.simulation.cohort import FOLDS, at_low_resolution, draw_cohort
from VertebralBMDLib.simulation.files import TRUTH, write_cohort


@pytest.fixture(scope="module")
def paper():
    return draw_cohort(seed=4)


def test_population_is_the_papers(paper):
    ages, vbmd = (np.array([getattr(case.spec, name) for case in paper]) for name in ("age", "vbmd"))
    assert len(paper) == 749 and Counter(case.spec.sex for case in paper) == {"M": 462, "F": 287}
    assert ages.min() >= 35 and ages.max() <= 82 and abs(ages.mean() - 56) < 1.5 and 7.5 < ages.std() < 10
    assert 0.08 < (vbmd < 80).mean() < 0.20  # the paper's figures imply 10 %
    assert len({case.spec.seed for case in paper}) == 749


def test_split_is_by_patient_and_alike_in_both_parts(paper):
    parts = {part: [case for case in paper if case.split == part] for part in ("train", "test")}
    assert (len(parts["train"]), len(parts["test"])) == (599, 150)
    assert not {case.spec.seed for case in parts["train"]} & {case.spec.seed for case in parts["test"]}
    low, women = (
        [np.mean([test(case) for case in part]) for part in parts.values()]
        for test in (lambda c: c.spec.vbmd < 80, lambda c: c.spec.sex == "F")
    )
    assert abs(low[0] - low[1]) < 0.02 and abs(women[0] - women[1]) < 0.02
    assert all(case.fold is None for case in parts["test"])
    folds = Counter(case.fold for case in parts["train"])
    assert set(folds) == set(range(FOLDS)) and max(folds.values()) - min(folds.values()) <= 1


def test_same_seed_same_cohort_and_another_differs(paper):
    assert draw_cohort(seed=4) == paper
    assert draw_cohort(seed=5)[0].spec != paper[0].spec


def test_other_patients_can_lie_on_the_scanners_of_a_cohort(paper):
    def scanners(cases):
        return {(case.site, case.spec.scanner.slope_error, case.spec.scanner.intercept_hu) for case in cases}

    others = draw_cohort(5, 40, scanners=4)
    assert scanners(others) == scanners(paper) != scanners(draw_cohort(5, 40))
    assert not {case.spec.seed for case in others} & {case.spec.seed for case in paper}


def test_varied_cohort_varies():
    cases = draw_cohort(seed=1, cases=80, protocol="varied")
    for of in (
        lambda s: s.scanner.kvp,
        lambda s: s.scanner.kernel,
        lambda s: s.scanner.thickness_mm,
        lambda s: s.contrast,
        lambda s: s.phantom,
    ):
        assert len({of(case.spec) for case in cases}) >= 3
    slopes = {}
    for case in cases:
        slopes.setdefault(case.site, set()).add(case.spec.scanner.slope_error)
    assert len(slopes) > 4 and all(len(of_site) == 1 for of_site in slopes.values())


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"cases": 0}, {"protocol": "none"}])
def test_wrong_values_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        draw_cohort(**({"seed": 1} | wrong))


def test_crops_are_written_resumed_and_kept_apart(paper, tmp_path):
    cases, seen = paper[:3], []
    manifest = write_cohort(cases, tmp_path, "crops", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    rows = list(csv.DictReader(manifest.open(encoding="utf-8")))
    assert len(rows) == 6 and {row["level"] for row in rows} == {"L1", "L2"}
    truth = json.loads((tmp_path / cases[0].id / TRUTH).read_text(encoding="utf-8"))
    stated = truth["levels"]["L1"]["roi"]["qct_equivalent_120_kvp_mg_cm3"]
    assert float(rows[0]["reference_vbmd_mg_cm3_CaHA"]) == pytest.approx(stated["CaHA"], abs=0.01)
    with np.load(tmp_path / cases[0].id / "crops.npz") as crops:
        assert crops["hu"].shape == (2, 38, 38, 38) and crops["hu"].dtype == np.int16
        first = crops["hu"]
        for k, of in enumerate(truth["levels"].values()):
            line, reading = of["calibration"], first[k][crops["roi"][k]].mean()
            density = reading * line["slope_mg_cm3_per_hu"] + line["intercept_mg_cm3"]
            assert density == pytest.approx(of["roi"]["qct_equivalent_mg_cm3"]["CaHA"], abs=10)  # LUNG noise, hardening, scatter
    # a case whose truth is missing was interrupted
    kept = (tmp_path / cases[1].id / TRUTH).stat().st_mtime_ns
    (tmp_path / cases[0].id / TRUTH).unlink()
    (tmp_path / f"{cases[2].id}.part-1").mkdir()
    seen.clear()
    write_cohort(cases, tmp_path, "crops", progress=lambda done, total: seen.append((done, total)))
    assert not list(tmp_path.glob("*.part-*"))
    assert seen == [(2, 3), (3, 3)] and (tmp_path / cases[1].id / TRUTH).stat().st_mtime_ns == kept
    with np.load(tmp_path / cases[0].id / "crops.npz") as crops:
        assert np.array_equal(crops["hu"], first)
    with pytest.raises(ValueError, match="another cohort"):
        write_cohort(cases, tmp_path, "fields")
    with pytest.raises(ValueError, match="workers"):
        write_cohort(cases, tmp_path, "crops", workers=0)


def test_fields_in_two_processes_are_those_of_one(paper, tmp_path):
    short = [replace(case, spec=replace(case.spec, levels=("T12", "L1"))) for case in paper[:2]]
    for workers in (1, 2):
        write_cohort(short, tmp_path / str(workers), "fields", workers=workers)
    one, two = (sorted(path.relative_to(tmp_path / w) for path in (tmp_path / w).rglob("*") if path.is_file()) for w in "12")
    assert one == two and len([path for path in one if path.name == "scan.nii.gz"]) == 2
    assert all((tmp_path / "1" / path).read_bytes() == (tmp_path / "2" / path).read_bytes() for path in one)
    shutil.rmtree(tmp_path)


def test_low_resolution_is_the_same_patient(paper):
    spec = at_low_resolution(paper[0].spec)
    assert spec.spacing_mm == (3.0, 3.0, 3.0) and spec.size is None and spec.seed == paper[0].spec.seed
