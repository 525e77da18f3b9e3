"""The page for Qt's text documents: complete, escaped, and what a reader said of the measurement."""

import csv
import os

import pytest
from report_case import full

from VertebralBMDLib.quality import Code
from VertebralBMDLib.report import words
from VertebralBMDLib.report.document import document, refusal_document
from VertebralBMDLib.report.html import render
from VertebralBMDLib.report.rich_text import rich_text
from VertebralBMDLib.report.schema import validate
from VertebralBMDLib.report.table import text_table, write_csv
from VertebralBMDLib.settings import Settings

REVIEW = {"status": "corrected", "time": "2026-11-23T05:10:00Z", "comment": "=1+1 <b>moved</b> the ROI"}


@pytest.fixture
def told():
    return document(full()) | {"review": REVIEW}


def plain(page):
    """What Qt makes of a page."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    gui = pytest.importorskip("PySide6.QtGui")
    text = gui.QTextDocument()
    text.setHtml(page)
    return text.toPlainText()


def test_qt_reads_value_vertebrae_reasons_calibration_and_the_research_line(told):
    text = plain(rich_text(told, b"png"))
    for part in (
        words.RESEARCH_USE,
        "128.0 mg/cm³ K₂HPO₄ ± 2.4 (SD of the calibration alone): ● Normal",
        "osteoporosis below 80",
        "ROI_FINDING_EXCLUDED (L1)",
        "Allowed by the user: CONTRAST",
        "Asynchronous phantom scan of 12 days before",
        "ROD_DRIFT",
        "Also found: T12 (cut off)",
        "Corrected on 2026-11-23 05:10 UTC: =1+1 <b>moved</b> the ROI",
    ):
        assert part in text, part
    rows = [line for line in text.splitlines() if line in ("L1", "L2")]
    assert rows == ["L1", "L2"]


def test_a_refused_run_has_a_page_as_well():
    text = plain(rich_text(refusal_document(Code.NOT_CT, "modality MR", Settings())))
    assert "Category withheld" in text and "✕ Refused NOT_CT: The image is not a CT." in text and "Vertebrae" not in text


def test_the_review_is_in_every_form_of_the_result(told, tmp_path):
    validate(told)
    assert "Review: Corrected on 2026-11-23 05:10 UTC: =1+1" in text_table(told)
    assert "Corrected on 2026-11-23 05:10 UTC: =1+1 &lt;b&gt;moved" in render(told)
    write_csv(told, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as stream:
        row = next(csv.DictReader(stream))
    assert (row["review"], row["review_time"]) == ("corrected", "2026-11-23T05:10:00Z")
    assert row["review_comment"] == "'" + REVIEW["comment"], "a spreadsheet would compute it"


@pytest.mark.parametrize("change", [{"status": "fine"}, {"time": "yesterday"}, {"comment": ""}])
def test_a_review_of_another_form_is_not_valid(told, change):
    with pytest.raises(ValueError, match="review"):
        validate(told | {"review": REVIEW | change})
