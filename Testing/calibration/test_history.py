"""A history of phantom scans: appended once, read with care, and the drift that it shows."""

import datetime
import json
from dataclasses import replace

import numpy as np
import pytest

from VertebralBMDLib.calibration.history import PhantomRecord, add_to_history, charts, read_history, record_of
from VertebralBMDLib.calibration.line import Rod, RodReading, fit
from VertebralBMDLib.scan import Acquisition

RECORD = PhantomRecord("2024-01-15", "Maker CT 1 77", "qrm-bdc6", "CaHA", 0.72, -1.5, {"R1": 2.1, "R2": 141.0}, 120.0, "STANDARD", "1.2.3")


def scanned(days, offset_hu=0.0, slope=0.72, **changes):
    """A record `days` after the first; a scanner that reads `offset_hu` too high has an intercept that is lower."""
    day = (datetime.date(2024, 1, 15) + datetime.timedelta(days=days)).isoformat()
    return replace(
        RECORD, date=day, series_uid=f"1.2.{days}", slope_mg_cm3_per_hu=slope, intercept_mg_cm3=-1.5 - slope * offset_hu, **changes
    )


def status(chart, code):
    return next(check.status for check in chart.checks if check.code == code)


def test_a_record_holds_line_rods_and_scanner_of_a_phantom_scan():
    readings = [RodReading(Rod(f"R{k}", 100.0 * k), 140.0 * k, 9.0, (0.0, 0.0, 0.0), 9.0) for k in range(3)]
    taken = Acquisition(
        kvp=120.0, kernel="B30f", manufacturer="Maker", model="CT 1", device_serial="77", acquired_on="2024-03-02", series_uid="9.8"
    )
    record = record_of(fit(readings, "CaHA", "own", 120.0), taken)
    assert (record.date, record.scanner, record.kvp, record.kernel, record.series_uid) == (
        "2024-03-02",
        "Maker CT 1 77",
        120.0,
        "B30f",
        "9.8",
    )
    assert (record.phantom, record.material, record.rods_hu) == ("own", "CaHA", {"R0": 0.0, "R1": 140.0, "R2": 280.0})
    assert record.reference_hu == pytest.approx(140.0)
    assert record_of(fit(readings, "CaHA", "own"), Acquisition(acquired_on="2024-03-02")).scanner == "unknown scanner"
    with pytest.raises(ValueError, match="date of the phantom scan"):
        record_of(fit(readings, "CaHA", "own"), replace(taken, acquired_on=None))


def test_records_are_appended_and_read_back(tmp_path):
    path, bare = tmp_path / "Geräte" / "history.jsonl", replace(RECORD, date="2024-02-15", kvp=None, kernel=None, series_uid=None)
    assert add_to_history(path, RECORD) and add_to_history(path, bare)
    assert read_history(path) == (RECORD, bare)
    assert [set(json.loads(line)) >= {"kvp"} for line in path.read_text(encoding="utf-8").splitlines()] == [True, False]


def test_a_last_line_without_its_end_is_no_trap(tmp_path):
    path = tmp_path / "history.jsonl"
    add_to_history(path, RECORD)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert add_to_history(path, scanned(7)) and len(read_history(path)) == 2


@pytest.mark.parametrize(
    ("again", "added"),
    [
        (RECORD, False),
        (replace(RECORD, slope_mg_cm3_per_hu=0.73), False),
        (replace(RECORD, phantom="qrm-bdc3"), True),
        (replace(RECORD, series_uid="1.2.4"), True),
        (replace(RECORD, series_uid=None), False),
        (replace(RECORD, series_uid=None, date="2024-01-16"), True),
    ],
)
def test_the_same_scan_is_not_added_twice(tmp_path, again, added):
    path = tmp_path / "history.jsonl"
    add_to_history(path, RECORD)
    before = path.read_bytes()
    assert add_to_history(path, again) == added and (path.read_bytes() == before) == (not added)


@pytest.mark.parametrize(
    "damage",
    [
        '{"date": "2024-01-15", "scan',
        "[1, 2]",
        json.dumps({"date": "2024-01-15"}),
        *(
            json.dumps(vars(RECORD) | change)
            for change in (
                {"date": "yesterday"},
                {"date": None},
                {"slope_mg_cm3_per_hu": "0.7"},
                {"slope_mg_cm3_per_hu": 0},
                {"intercept_mg_cm3": float("nan")},
                {"rods_hu": {"R1": "2"}},
                {"rods_hu": [1.0]},
                {"kvp": "120"},
                {"scanner": 7},
                {"colour": "red"},
            )
        ),
    ],
)
def test_a_damaged_line_is_named_with_its_number(tmp_path, damage):
    path = tmp_path / "history.jsonl"
    add_to_history(path, RECORD)
    path.write_text(path.read_text(encoding="utf-8") + "\n" + damage + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="history.jsonl, line 3 is damaged"):
        read_history(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="line 3"):
        add_to_history(path, scanned(7))
    assert path.read_bytes() == before


def test_a_history_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="nothing.jsonl: there is no such file"):
        read_history(tmp_path / "nothing.jsonl")


def test_a_steady_scanner_passes():
    rng = np.random.default_rng(2)
    (chart,) = charts([scanned(30 * k, rng.normal(0.0, 0.5)) for k in range(20)])
    assert [check.status for check in chart.checks] == ["pass", "pass"] and chart.values_mg_cm3 == pytest.approx([100.0] * 20, abs=1.2)
    assert abs(chart.hu_per_year) < 3 * chart.hu_per_year_se


def test_the_trend_is_the_drift_of_the_scanner():
    (chart,) = charts([scanned(days, -2.0 * days / 365.25) for days in (400, 0, 100, 731, 200)])
    assert chart.hu_per_year == pytest.approx(-2.0) and chart.hu_per_year_se == pytest.approx(0.0, abs=1e-9)
    assert list(chart.dates) == sorted(chart.dates) and len(chart.dates) == 5


@pytest.mark.parametrize(
    ("offset_hu", "expected"), [(2.0, "pass"), (-2.0, "pass"), (2.2, "warn"), (-2.2, "warn"), (3.4, "warn"), (3.6, "fail"), (-3.6, "fail")]
)
def test_the_newest_scan_is_judged_by_shewhart_limits(offset_hu, expected):
    """1.5 % and 2.5 % of 100 mg/cm³ are 2.08 and 3.47 HU at a slope of 0.72."""
    (chart,) = charts([*(scanned(30 * k) for k in range(12)), scanned(400, offset_hu)])
    assert status(chart, "SHEWHART") == expected
    assert chart.values_mg_cm3[-1] == pytest.approx(100.0 + 0.72 * offset_hu)
    assert bool(chart.checks[0].remedy) == (expected != "pass") and chart.checks[0].value == pytest.approx(0.72 * offset_hu)


def test_another_slope_shows_as_well_as_another_offset():
    """At 141 HU a slope that is 3 % steeper is 4.1 HU too few."""
    (chart,) = charts([*(scanned(30 * k) for k in range(12)), scanned(400, slope=0.72 * 1.03)])
    assert chart.values_mg_cm3[-1] == pytest.approx(100.0 - 0.72 * (101.5 / 0.72) * (1 - 1 / 1.03)) and status(chart, "SHEWHART") == "fail"


def test_the_first_ten_scans_are_what_later_ones_are_compared_with():
    early = [scanned(k, 0.0) for k in range(10)]
    (chart,) = charts([*early, *(scanned(30 * k, 4.0) for k in range(1, 30))])
    assert chart.values_mg_cm3[-1] == pytest.approx(100.0 + 0.72 * 4.0)
    # the newest scan is never its own yardstick
    (pair,) = charts([scanned(0), scanned(30, 4.0)])
    assert status(pair, "SHEWHART") == "fail"


@pytest.mark.parametrize(("spread_hu", "expected"), [(1.9, "pass"), (2.2, "warn")])
def test_long_term_variation_is_judged(spread_hu, expected):
    """A spread of ± 2.03 HU, alternating over 20 scans, is a CV of 1.5 %."""
    (chart,) = charts([scanned(30 * k, spread_hu * (-1) ** k) for k in range(20)])
    assert chart.cv_percent == pytest.approx(0.72 * spread_hu * np.sqrt(20 / 19), rel=0.001) and status(chart, "LONG_TERM_CV") == expected


def test_one_scan_has_nothing_to_be_compared_with():
    (chart,) = charts([RECORD])
    assert chart.checks == () and chart.values_mg_cm3 == (100.0,) and chart.cv_percent is None and chart.hu_per_year is None
    (two,) = charts([scanned(0), scanned(30)])
    assert two.hu_per_year is None and [check.code for check in two.checks] == ["SHEWHART", "LONG_TERM_CV"]


def test_scanners_voltages_and_phantoms_have_their_own_charts_and_doubles_count_once():
    records = [
        scanned(0),
        scanned(30),
        scanned(0),
        scanned(5, kvp=100.0),
        scanned(6, scanner="Maker CT 1 78"),
        scanned(7, phantom="qrm-bdc3"),
    ]
    found = charts(records)
    assert [(chart.scanner[-2:], chart.kvp, chart.phantom, len(chart.dates)) for chart in found] == [
        ("77", 120.0, "qrm-bdc6", 2),
        ("77", 100.0, "qrm-bdc6", 1),
        ("78", 120.0, "qrm-bdc6", 1),
        ("77", 120.0, "qrm-bdc3", 1),
    ]
    assert charts([]) == ()
