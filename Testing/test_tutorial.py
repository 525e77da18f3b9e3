"""The tutorial shows what is there: its pictures, its links, and the truth of the sample patients."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = ROOT / "Resources" / "Docs" / "tutorial.md"


def test_every_picture_and_page_that_is_linked_is_in_the_repository():
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", TUTORIAL.read_text(encoding="utf-8"))
    assert len(links) > 10
    for link in links:
        assert (TUTORIAL.parent / link).is_file(), link
    assert "(Resources/Docs/tutorial.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_step_has_its_picture_of_the_panels_width():
    pictures = sorted((ROOT / "Resources" / "Screenshots").glob("step-*.png"))
    assert [picture.name[:6] for picture in pictures] == [f"step-{number}" for number in range(1, 6)]
    for picture in pictures:
        header = picture.read_bytes()
        assert 400 <= int.from_bytes(header[16:20], "big") <= 480 and len(header) < 60_000, picture.name
        assert f"Screenshots/{picture.name}" in TUTORIAL.read_text(encoding="utf-8")


def test_the_densities_in_the_table_are_those_of_the_simulator():
    pytest.importorskip("SimpleITK")
    from VertebralBMDLib.simulation.samples import SAMPLES

    rows = [line for line in TUTORIAL.read_text(encoding="utf-8").split("\n") if "Icons/sample-" in line]
    assert [re.search(r"sample-(\w+)\.png", row).group(1) for row in rows] == [sample.name for sample in SAMPLES]
    for sample, row in zip(SAMPLES, rows):
        asked = float(sample.options[sample.options.index("--vbmd") + 1])
        told = float(re.search(r"(\d+\.\d), ", row.rpartition("|")[0].rpartition("|")[2]).group(1))
        assert sample.findings or told == pytest.approx(asked, abs=0.1), sample.name
