"""The choices of the calibration in words, without Qt."""

from dataclasses import replace
from functools import cache

import pytest
import report_case

from VertebralBMDLib import calibration_choice as choice
from VertebralBMDLib.calibration.checks import Check
from VertebralBMDLib.quality import MESSAGES, Code
from VertebralBMDLib.report.document import document


@pytest.mark.parametrize(
    ("request_text", "kind", "name"),
    [
        ("auto", "auto", ""),
        ("none", "none", ""),
        ("phantom", "phantom", ""),
        ("phantom:qrm-bdc3", "phantom", "qrm-bdc3"),
        ("async:", "async", ""),
        ("async:/data/May, 2024.json", "async", "/data/May, 2024.json"),
        ("tissue:K2HPO4", "tissue", "K2HPO4"),
        ("phantom,tissue", "several", "phantom,tissue"),
        ("nonsense", "several", "nonsense"),
    ],
)
def test_a_request_is_taken_apart_and_put_together_again(request_text, kind, name):
    assert choice.kind_and_name(request_text) == (kind, name)
    if kind != "several":
        assert choice.request_of(kind, name) == request_text


def test_a_file_that_is_not_chosen_yet_is_asked_for():
    with pytest.raises(ValueError, match="Choose the calibration.json"):
        choice.calibration_settings("async:", "", 1.0, "acr")
    assert choice.calibration_settings("auto", "CaHA", 1.15, "acr") == dict(calibration="auto", convert=("CaHA", 1.15), thresholds="acr")


def test_the_menus_offer_what_can_calibrate_and_every_limit():
    names = [name for name, _title in choice.phantoms()]
    assert "qrm-bdc3" in names and "esp" not in names and ("b-mas200", "B-MAS200 (CaHA)") in choice.phantoms()
    assert [name for name, _title in choice.limits()] == ["acr", "east-asian-women", "integral", "pickhardt-hu"]


CASE = cache(report_case.measurement)


def status_of(checks=(), source="phantom", method=None, refusals=()):
    case = CASE()
    line = replace(case.calibration, source=source, method=method, checks=checks)
    return choice.calibration_status(document(replace(case, calibration=line, assessment=replace(case.assessment, refusals=refusals))))


def test_the_status_is_the_worst_of_what_there_is_to_say():
    good, doubtful, bad = (Check("RMSE", status, 1.0, "limit", "message") for status in ("pass", "warn", "fail"))
    assert status_of((good,))[0] == "pass" and status_of((good, doubtful))[0] == "warn" and status_of((bad, doubtful))[0] == "fail"
    assert (
        status_of((good,), source="tissue", method="physics")[0] == "warn"
        and status_of((good,), source="tissue", method="site")[0] == "pass"
    )
    mark, words = status_of(refusals=(Code.PHANTOM_NOT_FOUND,))
    assert mark == "fail" and words == str(MESSAGES[Code.PHANTOM_NOT_FOUND])


def test_failed_checks_come_first_and_text_is_no_markup():
    checks = [dict(code="R_SQUARED", status="pass", value=0.9991, limit="at least 0.998", message="Rods and line agree."),
              dict(code="SLOPE", status="fail", value=-0.25, limit="<1", message="Bad & ugly.", remedy="Look.")]  # fmt: skip
    first, second = choice.checks_html(checks).split("</p>")[:2]
    assert first.endswith("<b>✗ fail</b> Slope: −0.25 (&lt;1). Bad &amp; ugly. Look.")
    assert second.endswith("<b>✓ pass</b> R²: 0.9991 (at least 0.998)")
