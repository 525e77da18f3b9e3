"""What the panel of 3D Slicer says: patient line, list of bodies, rows for the clipboard."""

from __future__ import annotations

import re

import pytest
from report_case import full, measurement

from VertebralBMDLib.found_bodies import found_bodies
from VertebralBMDLib.quality import Code, in_panel
from VertebralBMDLib.report import words
from VertebralBMDLib.report.document import document
from VertebralBMDLib.report.table import COLUMNS, tab_separated
from VertebralBMDLib.summary import CATEGORY_COLOURS, can_be_allowed, patient_summary


def test_the_network_stands_beside_the_roi_with_the_difference():
    told = document(full())
    told["vertebrae"][1]["vbmd_network_mg_cm3"], told["vertebrae"][2]["vbmd_network_mg_cm3"] = 100.0, 120.0
    assert "Network: 110.0 (ROI 128.0, difference −18.0 mg/cm³ K₂HPO₄-eq)" in patient_summary(told)


@pytest.mark.parametrize("category", words.CATEGORIES)
def test_every_category_is_readable_on_its_colour_and_has_a_sign_of_its_own(category):
    """WCAG's contrast of white on the colour, which stays the same on a dark and on a light panel."""
    parts = [int(CATEGORY_COLOURS[category][i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    assert 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05) >= 4.5
    assert len(set(words.SYMBOLS.values())) == len(words.CATEGORIES) == len(CATEGORY_COLOURS)


def test_the_panel_names_no_option_of_the_command_line():
    for code in Code:
        assert not re.search(r"--\w", in_panel(code)), code
    told = document(full())
    told["patient"]["refusals"], told["patient"]["category"] = ["CONTRAST", "NO_VERTEBRAE"], "withheld"
    told["messages"] |= dict.fromkeys(["CONTRAST", "NO_VERTEBRAE"], "as the command line says it")
    text = patient_summary(told)
    assert "✗ Refused: The scan was taken with intravenous contrast" in text and "with Measure anyway" in text and "--" not in text
    told["patient"]["flags"], told["messages"]["OF_A_LATER_VERSION"] = ["OF_A_LATER_VERSION"], "Still said."
    assert "Still said." in patient_summary(told)
    assert can_be_allowed(told) == [Code.CONTRAST]


def test_the_list_of_bodies_says_what_became_of_each():
    told = document(full(lost={"L2": Code.LESION}))
    told["settings"]["exclude"] = [dict(level="L2", reason="cement")]
    told["vertebrae"][0]["level_confidence"] = 0.5
    first, second, third = found_bodies(told)
    assert (first.level, first.certainty, first.state) == ("T12", "50 %", "cut off by the border")
    assert "cut off by the border of the scan" in first.told and "names of the vertebral levels are uncertain" in first.told
    assert (second.mark, second.state) == ("warn", "counts, 2 reasons to doubt") and "15 % lower" in second.told
    assert (third.mark, third.state) == ("fail", "excluded: cement")
    plain = document(measurement())
    assert [(body.mark, body.state) for body in found_bodies(plain)][1:] == [("pass", "counts"), ("warn", "counts, 1 reason to doubt")]


def test_the_clipboard_has_the_measured_rows_in_columns():
    told = document(full()) | {"review": dict(status="accepted", time="2026-11-23T05:10:00Z", comment="two\nlines\tand a tab")}
    lines = [line.split("\t") for line in tab_separated(told).split("\n")]
    assert len(lines) == 3 and {len(line) for line in lines} == {len(COLUMNS)}
    row = dict(zip(*lines[:2]))
    assert row["level"] == "L1" and row["review_comment"] == "two lines and a tab" and float(row["patient_vbmd_mg_cm3"]) == 128.0
