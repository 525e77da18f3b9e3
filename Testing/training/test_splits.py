"""The split of a cohort: by patient, even, drawn once, and never another without a word."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from VertebralBMDLib.training.manifest import Manifest
from VertebralBMDLib.training.manifest_rows import Row
from VertebralBMDLib.training.splits import TEST, split_of


def a_manifest(patients: int = 100, **given) -> Manifest:
    """Two vertebrae of every patient; half are women, a fifth has osteoporosis."""
    rows = []
    for number in range(patients):
        vbmd = (60.0, 100.0, 100.0, 150.0, 150.0)[number // 2 % 5]
        for level in ("L1", "L2"):
            rows.append(Row(len(rows) + 2, Path("scan"), f"p{number:03d}", "north", "FM"[number % 2], 60.0, vbmd, level, **given))
    return Manifest("cohort.csv", "CaHA", tuple(rows))


def test_patients_are_dealt_out_evenly_by_sex_and_category(tmp_path):
    manifest = a_manifest()
    folds = split_of(manifest, tmp_path / "split.json", 3).of(np.array([row.patient for row in manifest.rows]))
    assert Counter(folds.tolist()) == {TEST: 40} | {fold: 32 for fold in range(5)}
    assert np.array_equal(folds[::2], folds[1::2]), "both vertebrae of a patient are in one part"
    for stratum in {(row.sex, row.vbmd) for row in manifest.rows}:
        here = folds[[(row.sex, row.vbmd) == stratum for row in manifest.rows]]
        share = len(here) / len(folds)
        assert abs((here == TEST).sum() - 40 * share) <= 2 and all(abs((here == fold).sum() - 32 * share) <= 3.2 for fold in range(5))


def test_it_is_drawn_once_by_its_seed_and_kept(tmp_path):
    manifest = a_manifest()
    first = split_of(manifest, tmp_path / "one" / "split.json", 3)
    stored = (tmp_path / "one" / "split.json").read_bytes()
    assert split_of(manifest, tmp_path / "one" / "split.json", 3) == first == split_of(manifest, tmp_path / "two.json", 3)
    assert split_of(manifest, tmp_path / "three.json", 4) != first
    assert (tmp_path / "one" / "split.json").read_bytes() == stored
    corrected = replace(manifest, rows=(replace(manifest.rows[0], vbmd=180.0), *manifest.rows[1:]))
    assert split_of(corrected, tmp_path / "one" / "split.json", 3) == first, "a corrected density moves nobody"


def test_another_cohort_or_seed_does_not_pass_for_the_one_it_was_drawn_for(tmp_path):
    split_of(a_manifest(), tmp_path / "split.json", 3)
    for manifest, seed in ((a_manifest(), 4), (a_manifest(101), 3), (a_manifest(split="train", fold=0), 3)):
        with pytest.raises(ValueError, match="split.json was drawn for another cohort, seed or columns .* Give another --output"):
            split_of(manifest, tmp_path / "split.json", seed)


def test_the_parts_that_the_manifest_gives_are_kept_and_the_rest_is_drawn(tmp_path):
    manifest = a_manifest(20, split="train")
    locked = {"p003", "p011"}
    rows = tuple(replace(row, split="test") if row.patient in locked else row for row in manifest.rows)
    drawn = split_of(replace(manifest, rows=rows), tmp_path / "drawn.json", 3).folds
    assert {patient for patient, fold in drawn.items() if fold == TEST} == locked
    assert sorted(Counter(fold for fold in drawn.values() if fold != TEST).values()) == [3, 3, 4, 4, 4]
    rows = tuple(row if row.split == "test" else replace(row, fold=int(row.patient[1:]) % 5) for row in rows)
    given = split_of(replace(manifest, rows=rows), tmp_path / "given.json", 3).folds
    assert given == {f"p{n:03d}": TEST if f"p{n:03d}" in locked else n % 5 for n in range(20)}


def test_too_few_patients_are_refused(tmp_path):
    with pytest.raises(ValueError, match="has 9 patients; 10 are needed"):
        split_of(a_manifest(9), tmp_path / "split.json", 3)
    assert not (tmp_path / "split.json").exists()
