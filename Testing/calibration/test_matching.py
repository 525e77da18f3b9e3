"""A phantom scan and a patient's scan: each check passes, warns where a header is silent, and fails where they differ."""

from dataclasses import replace

import pytest

from VertebralBMDLib.calibration.matching import matching_checks
from VertebralBMDLib.scan import Acquisition

PHANTOM = Acquisition(
    kvp=120.0,
    kernel="STANDARD",
    manufacturer="GE MEDICAL SYSTEMS",
    model="Optima CT680",
    table_height_mm=135.0,
    reconstruction_diameter_mm=500.0,
    device_serial="1234",
    acquired_on="2024-01-15",
)
CODES = ("SCANNER", "TUBE_VOLTAGE", "KERNEL_CLASS", "TABLE_HEIGHT", "FIELD_OF_VIEW", "PHANTOM_AGE")


def checks_against(**changes):
    return {check.code: check for check in matching_checks(PHANTOM, replace(PHANTOM, **changes))}


def test_the_same_scanner_and_protocol_pass_everything():
    checks = matching_checks(PHANTOM, replace(PHANTOM, kernel="SOFT", table_height_mm=150.0, reconstruction_diameter_mm=360.0))
    assert tuple(check.code for check in checks) == CODES and {check.status for check in checks} == {"pass"}
    assert all(check.message and check.limit and not check.remedy for check in checks)


@pytest.mark.parametrize(
    ("code", "changes", "expected", "value"),
    [
        ("SCANNER", {"manufacturer": "ge medical systems "}, "pass", None),
        ("SCANNER", {"device_serial": "1235"}, "fail", None),
        ("SCANNER", {"model": "Revolution"}, "fail", None),
        ("SCANNER", {"manufacturer": "SIEMENS", "device_serial": None}, "fail", None),
        ("SCANNER", {"device_serial": None}, "warn", None),
        ("TUBE_VOLTAGE", {"kvp": 119.8}, "pass", 119.8),
        ("TUBE_VOLTAGE", {"kvp": 100.0}, "fail", 100.0),
        ("TUBE_VOLTAGE", {"kvp": None}, "warn", None),
        ("KERNEL_CLASS", {"kernel": "B30f"}, "pass", None),
        ("KERNEL_CLASS", {"kernel": "LUNG"}, "fail", None),
        ("KERNEL_CLASS", {"kernel": None}, "warn", None),
        ("TABLE_HEIGHT", {"table_height_mm": 165.0}, "pass", 30.0),
        ("TABLE_HEIGHT", {"table_height_mm": 105.0}, "pass", -30.0),
        ("TABLE_HEIGHT", {"table_height_mm": 165.1}, "fail", 30.1),
        ("TABLE_HEIGHT", {"table_height_mm": 104.9}, "fail", -30.1),
        ("TABLE_HEIGHT", {"table_height_mm": None}, "warn", None),
        ("FIELD_OF_VIEW", {"reconstruction_diameter_mm": 251.0}, "pass", 251.0),
        ("FIELD_OF_VIEW", {"reconstruction_diameter_mm": 250.0}, "fail", 250.0),
        ("FIELD_OF_VIEW", {"reconstruction_diameter_mm": None}, "warn", None),
        ("PHANTOM_AGE", {"acquired_on": "2024-02-14"}, "pass", 30),
        ("PHANTOM_AGE", {"acquired_on": "2023-12-16"}, "pass", -30),
        ("PHANTOM_AGE", {"acquired_on": "2024-02-15"}, "warn", 31),
        ("PHANTOM_AGE", {"acquired_on": "2024-04-14"}, "warn", 90),
        ("PHANTOM_AGE", {"acquired_on": "2024-04-15"}, "fail", 91),
        ("PHANTOM_AGE", {"acquired_on": "2023-10-16"}, "fail", -91),
        ("PHANTOM_AGE", {"acquired_on": None}, "warn", None),
    ],
)
def test_each_check_judges_its_own_difference_and_no_other(code, changes, expected, value):
    checks = checks_against(**changes)
    check = checks.pop(code)
    assert check.status == expected and (check.value is None if value is None else check.value == pytest.approx(value))
    assert check.message.endswith(".") and bool(check.remedy) == (expected != "pass")
    assert {other.status for other in checks.values()} == {"pass"}


def test_a_silent_header_is_named():
    for phantom, scan, words in (
        (PHANTOM, replace(PHANTOM, kvp=None), "of the patient's scan does"),
        (replace(PHANTOM, kvp=None), PHANTOM, "of the phantom scan does"),
        (replace(PHANTOM, kvp=None), replace(PHANTOM, kvp=None), "of the phantom scan and of the patient's scan does"),
    ):
        (check,) = [check for check in matching_checks(phantom, scan) if check.status != "pass"]
        assert (check.code, check.status) == ("TUBE_VOLTAGE", "warn") and words in check.message and "tube voltage" in check.message


def test_headers_that_say_nothing_warn_about_everything():
    checks = matching_checks(Acquisition(), Acquisition())
    assert tuple(check.code for check in checks) == CODES and {check.status for check in checks} == {"warn"}


def test_a_phantom_that_was_scanned_later_is_said_so():
    assert "91 days after the patient" in checks_against(acquired_on="2023-10-16")["PHANTOM_AGE"].message
    assert "91 days before the patient" in checks_against(acquired_on="2024-04-15")["PHANTOM_AGE"].message
