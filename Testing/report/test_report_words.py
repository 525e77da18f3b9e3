"""The words that every page shares: tiers of calibration, numbers, reasons."""

from __future__ import annotations

import copy

import pytest
from report_case import full, measurement

from VertebralBMDLib.quality import Code
from VertebralBMDLib.report import calibration, words
from VertebralBMDLib.report.document import document
from VertebralBMDLib.summary import patient_summary


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (dict(source="phantom"), "Phantom in the scan"),
        (dict(source="asynchronous", age=0.0), "Asynchronous phantom scan of the same day"),
        (dict(source="asynchronous", age=1.0), "Asynchronous phantom scan of 1 day before"),
        (dict(source="asynchronous", age=45.0), "Asynchronous phantom scan of 45 days before"),
        (dict(source="asynchronous", age=-3.0), "Asynchronous phantom scan of 3 days after"),
        (dict(source="asynchronous", age=None), "Asynchronous phantom scan"),
        (dict(source="tissue", method="site"), "Site regression on the patient's own tissues"),
        (dict(source="tissue", method="physics"), "Patient's own tissues (physics, research only)"),
        (dict(source="none"), "None"),
    ],
)
def test_every_tier_of_calibration_has_its_words(line, said):
    age = dict(code="PHANTOM_AGE", status="warn", limit="at most 30 days", message="Old.")
    if line.get("age") is not None:
        age["value"] = line["age"]
    assert calibration.tier(dict(calibration=dict(checks=[age]) | line)) == said


def test_a_conversion_is_said_with_its_factor(calibrated):
    result = copy.deepcopy(document(calibrated))
    assert "converted" not in calibration.summary(result)
    result["settings"]["convert"] = dict(material="CaHA", factor=1.15)
    assert "converted" not in calibration.summary(result)
    result["patient"]["flags"].append("MATERIAL_CONVERTED")
    assert "converted to CaHA by the factor 1.15" in calibration.summary(result)


@pytest.mark.parametrize(
    ("value", "digits", "said"),
    [(None, 1, "–"), (-0.04, 1, "0.0"), (-1.26, 1, "−1.3"), (98.45, 0, "98"), (-0.4, 0, "0"), (10.0, 2, "10.00")],
)
def test_numbers_have_a_true_minus_and_no_negative_zero(value, digits, said):
    assert words.number(value, digits) == said


def test_reasons_name_their_levels_once_and_refusals_come_first():
    case = measurement(flags=(Code.THICK_SLICES, Code.BODY_CUT_OFF))
    result = document(case)
    result["patient"]["left_out"] = [dict(level="T12", code="BODY_CUT_OFF")]
    result["patient"]["refusals"] = ["CONTRAST"]
    found = [(reason.code, reason.refusal, reason.levels) for reason in words.reasons(result)]
    assert found == [
        ("CONTRAST", True, ()),
        ("THICK_SLICES", False, ()),
        ("BODY_CUT_OFF", False, ("T12",)),
        ("ROI_SMALL", False, ("L2",)),
    ]


def test_the_panel_says_value_uncertainty_levels_left_out_limits_and_tier(uncalibrated):
    text = patient_summary(document(full()))
    assert "● <b>128.0 mg/cm³ K₂HPO₄-eq: Normal</b>&nbsp;</span><br>Mean of L1, L2 ± 2.4 (SD of the calibration alone)" in text
    assert "Limits (ACR): osteoporosis below 80" in text and "Asynchronous phantom scan of 12 days before (qrm-bdc3)" in text
    assert "2 of 4 checks passed" in text and "<li>⚠ L1: A bone island" in text
    lost = patient_summary(document(full(lost={"L1": Code.LESION})))
    assert "Left out: T12 (BODY_CUT_OFF), L1 (LESION)" in lost and "Limits" not in lost and "<li>⚠ L1: A lesion fills" in lost
    assert "L1 reads 160.0 HU: between 110 and 160 HU" in patient_summary(document(uncalibrated))
