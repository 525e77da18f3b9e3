"""A site's own regression: what teaches, what is left out, what it promises, and where it holds."""

import csv
import json

import numpy as np
import pytest

from VertebralBMDLib.calibration.line import TissueReading
from VertebralBMDLib.calibration.site import load_site, save_site, site_calibration
from VertebralBMDLib.calibration.site_fit import fit_site, read_scans
from VertebralBMDLib.cli import main
from VertebralBMDLib.scan import Acquisition

GE = {"manufacturer": "GE", "model": "Optima", "kvp": "120", "kernel": "STANDARD", "calibration_source": "phantom", "material": "K2HPO4"}
ON_GE = Acquisition(kvp=120.0, kernel="SOFT", manufacturer="ge", model="OPTIMA")


def scans(count=24, seed=1, noise=0.003, **changes):
    """Rows of one scanner, two vertebrae a scan, whose line follows fat and muscle: slope 0.72 + 0.002 (fat + 100), intercept -(muscle - 50)."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(count):
        fat, muscle, blood, air = rng.normal((-100, 50, 42, -998), (8, 4, 5, 3))
        slope = 0.72 + 0.002 * (fat + 100) + rng.normal(0, noise)
        intercept = -0.8 * (muscle - 50) + rng.normal(0, 0.5)
        numbers = {
            "slope_mg_cm3_per_hu": slope,
            "intercept_mg_cm3": intercept,
            "fat_hu": fat,
            "muscle_hu": muscle,
            "blood_hu": blood,
            "air_hu": air,
        }
        row = GE | {"series_uid": f"1.2.{seed}.{n}"} | {name: repr(float(value)) for name, value in numbers.items()} | changes
        rows += [row | {"level": "L1"}, row | {"level": "L2"}]
    return rows


def table(tmp_path, rows, drop=()):
    path = tmp_path / "scans.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [name for name in rows[0] if name not in drop], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def tissues(fat=-100.0, muscle=50.0, blood=42.0, air=-998.0):
    hu = {"fat": fat, "muscle": muscle, "blood": blood, "air": air}
    return tuple(TissueReading(name, value, 9.0, 20.0, (0.0, 0.0, 0.0)) for name, value in hu.items() if value is not None)


def status(calibration, code):
    return [check.status for check in calibration.checks if check.code == code]


@pytest.fixture
def site(tmp_path):
    return fit_site(table(tmp_path, scans())).site


def test_the_regression_finds_how_the_line_follows_the_tissues(site):
    for fat, muscle in ((-92.0, 53.0), (-108.0, 48.0)):
        found = site_calibration(site, tissues(fat, muscle), ON_GE)
        assert found.slope_mg_cm3_per_hu == pytest.approx(0.72 + 0.002 * (fat + 100), abs=0.006)
        assert found.intercept_mg_cm3 == pytest.approx(-0.8 * (muscle - 50), abs=1.0)
        assert (found.source, found.method, found.material) == ("tissue", "site", "K2HPO4") and found.usable and found.carries_category
        assert found.uncertainty_mg_cm3 == site.groups[0].uncertainty_mg_cm3 and len(found.tissues) == 4


def error_at_100(site, row):
    """mg/cm³ by which the site's line misses a scan's own where that reads 100."""
    line = site_calibration(site, tissues(**{name: float(row[f"{name}_hu"]) for name in ("fat", "muscle", "blood", "air")}), ON_GE)
    at_100 = (100 - float(row["intercept_mg_cm3"])) / float(row["slope_mg_cm3_per_hu"])
    return line.slope_mg_cm3_per_hu * at_100 + line.intercept_mg_cm3 - 100


def test_the_promised_error_is_that_of_scans_the_fit_has_never_seen(tmp_path):
    rows = scans(12)
    errors = [error_at_100(fit_site(table(tmp_path, rows[: 2 * n] + rows[2 * n + 2 :])).site, rows[2 * n]) for n in range(12)]
    group = fit_site(table(tmp_path, rows)).site.groups[0]
    assert [error.density_mg_cm3 for error in group.errors] == [50.0, 100.0, 150.0]
    assert (group.errors[1].bias_mg_cm3, group.uncertainty_mg_cm3) == pytest.approx((np.mean(errors), np.std(errors, ddof=1)))


def test_tissues_that_say_nothing_leave_the_mean_line_of_the_scanner(tmp_path):
    """Least squares without a penalty makes twice as much of them."""
    spread = []
    for seed in range(6):
        rows, rng = scans(12, seed=20 + seed), np.random.default_rng(seed)
        for row in rows:
            row["slope_mg_cm3_per_hu"], row["intercept_mg_cm3"] = "0.70", "2.0"
        for one, two in zip(rows[::2], rows[1::2]):
            changed = {"slope_mg_cm3_per_hu": repr(0.70 + rng.normal(0, 0.02))}
            one.update(changed), two.update(changed)
        site = fit_site(table(tmp_path, rows)).site
        spread.append(
            np.std(
                [
                    error_at_100(site, row | {"slope_mg_cm3_per_hu": "0.70"})
                    for row in scans(60, seed=50 + seed, intercept_mg_cm3="2.0")[::2]
                ]
            )
        )
    assert np.mean(spread) < 0.9


def test_a_scan_counts_once_however_many_vertebrae_it_has(tmp_path):
    assert fit_site(table(tmp_path, scans())).site.groups[0].scans == 24
    rows = scans()
    for row in rows:
        row["series_uid"] = ""
    assert fit_site(table(tmp_path, rows)).site.groups[0].scans == 24


def test_groups_of_voltage_kernel_and_scanner_are_fitted_apart(tmp_path):
    rows = scans() + scans(12, 2, kvp="100") + scans(12, 3, kernel="LUNG") + scans(12, 4, model="Revolution") + scans(9, 5, kvp="140")
    fit = fit_site(table(tmp_path, rows))
    assert {(group.scanner, group.kvp, group.kernel_class, group.scans) for group in fit.site.groups} == {
        ("GE Optima", 120.0, "soft", 24),
        ("GE Optima", 100.0, "soft", 12),
        ("GE Optima", 120.0, "sharp", 12),
        ("GE Revolution", 120.0, "soft", 12),
    }
    assert fit.too_small == (("GE Optima, 140 kVp, soft kernel", 9),)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"calibration_source": "asynchronous"}, "not calibrated by a phantom"),
        ({"calibration_source": "tissue"}, "not calibrated by a phantom"),
        ({"slope_mg_cm3_per_hu": "1.7755"}, "inverted"),
        ({"slope_mg_cm3_per_hu": "0.00072"}, "another unit"),
        ({"intercept_mg_cm3": "55"}, "intercept beyond"),
        ({"fat_hu": "924"}, "not in HU"),
        ({"blood_hu": ""}, "fat, muscle or blood was not found"),
        ({"kvp": ""}, "tube voltage, slope or intercept is missing"),
        ({"slope_mg_cm3_per_hu": "nan"}, "tube voltage, slope or intercept is missing"),
        ({"material": "water"}, "material is not"),
        ({"blood_hu": "150"}, "contrast medium"),
        ({"contrast": "yes"}, "contrast medium"),
    ],
)
def test_rows_that_cannot_teach_are_left_out_by_name(tmp_path, changes, reason):
    rows = [row | {"contrast": "no"} for row in scans()] + [row | {"contrast": "no"} | changes for row in scans(3, 9)]
    fit = fit_site(table(tmp_path, rows))
    assert fit.site.groups[0].scans == 24 and len(fit.left_out) == 1
    assert reason in fit.left_out[0][0] and fit.left_out[0][1] == 6


def test_rows_of_one_scan_that_contradict_each_other_are_left_out(tmp_path):
    rows = scans()
    rows[1]["slope_mg_cm3_per_hu"] = "0.8"
    fit = fit_site(table(tmp_path, rows))
    assert fit.site.groups[0].scans == 23 and "contradict" in fit.left_out[0][0]


def test_mixed_materials_missing_columns_and_too_few_scans_are_refused(tmp_path):
    with pytest.raises(ValueError, match="mixes CaHA and K2HPO4"):
        fit_site(table(tmp_path, scans() + scans(12, 2, material="CaHA")))
    with pytest.raises(ValueError, match="lacks the columns fat_hu, blood_hu"):
        fit_site(table(tmp_path, scans(), drop=("fat_hu", "blood_hu")))
    with pytest.raises(ValueError, match="GE Optima, 120 kVp, soft kernel: 9 scans"):
        fit_site(table(tmp_path, scans(9)))
    with pytest.raises(ValueError, match="inverted, or another unit: 48 rows"):
        fit_site(table(tmp_path, scans(slope_mg_cm3_per_hu="1.8")))


def test_air_is_used_only_where_every_scan_has_it(tmp_path):
    rows = scans()
    rows[0]["air_hu"] = rows[1]["air_hu"] = ""
    site = fit_site(table(tmp_path, rows)).site
    assert [term.tissue for term in site.groups[0].terms] == ["fat", "muscle", "blood"]
    assert site_calibration(site, tissues(air=None), ON_GE).usable
    assert len(read_scans(table(tmp_path, scans(), drop=("air_hu",)))[0]) == 24


@pytest.mark.parametrize(
    "acquisition",
    [
        Acquisition(kvp=100.0, kernel="SOFT", manufacturer="GE", model="Optima"),
        Acquisition(kvp=None, kernel="SOFT", manufacturer="GE", model="Optima"),
        Acquisition(kvp=120.0, kernel="LUNG", manufacturer="GE", model="Optima"),
        Acquisition(kvp=120.0, kernel=None, manufacturer="GE", model="Optima"),
        Acquisition(kvp=120.0, kernel="SOFT", manufacturer="Siemens", model="Force"),
    ],
)
def test_a_scan_of_another_group_gets_no_line(site, acquisition):
    found = site_calibration(site, tissues(), acquisition)
    assert not found.usable and found.slope_mg_cm3_per_hu is None and status(found, "SITE_GROUP") == ["fail"]
    assert "GE Optima, 120 kVp, soft kernel" in found.checks[0].limit and found.checks[0].remedy


def test_an_unknown_scanner_is_a_warning_and_never_a_choice_between_two(tmp_path, site):
    unnamed = Acquisition(kvp=120.0, kernel="SOFT")
    found = site_calibration(site, tissues(), unnamed)
    assert (
        found.usable
        and status(found, "SITE_SCANNER") == ["warn"]
        and status(site_calibration(site, tissues(), ON_GE), "SITE_SCANNER") == ["pass"]
    )
    two = fit_site(table(tmp_path, scans() + scans(12, 4, model="Revolution"))).site
    assert status(site_calibration(two, tissues(), unnamed), "SITE_GROUP") == ["fail"]
    silent = fit_site(table(tmp_path, scans(), drop=("manufacturer", "model"))).site
    assert status(site_calibration(silent, tissues(), ON_GE), "SITE_SCANNER") == ["warn"]


def test_a_tissue_outside_the_fitted_scans_warns_and_far_outside_fails(site):
    fat = next(term for term in site.groups[0].terms if term.tissue == "fat")
    width = fat.highest_hu - fat.lowest_hu
    for hu, expected in (
        (fat.lowest_hu, "pass"),
        (fat.lowest_hu - 0.4 * width, "warn"),
        (fat.lowest_hu - 0.6 * width, "fail"),
        (fat.highest_hu + 0.4 * width, "warn"),
    ):
        found = site_calibration(site, tissues(fat=hu), ON_GE)
        check = next(each for each in found.checks if each.code == "SITE_TISSUE_RANGE" and "fat" in each.limit)
        assert (
            check.status == expected
            and check.value == hu
            and found.usable == (expected != "fail")
            and bool(check.remedy) == (expected != "pass")
        )
    assert not site_calibration(site, tissues(blood=150.0), ON_GE).usable


def test_a_tissue_that_is_not_there_gives_no_line(site):
    found = site_calibration(site, tissues(blood=None), ON_GE)
    assert found.slope_mg_cm3_per_hu is None and status(found, "SITE_TISSUES") == ["fail"]
    assert any("blood" in check.message for check in found.checks if check.code == "SITE_TISSUES")


def test_the_command_writes_a_file_that_loads_to_the_same(tmp_path, capsys):
    output = tmp_path / "site.json"
    rows = scans() + scans(3, 7, calibration_source="none")
    assert main(["phantom", "fit-site", str(table(tmp_path, rows)), "--output", str(output)]) == 0
    text = capsys.readouterr().out
    assert "GE Optima, 120 kVp, soft kernel" in text and "not calibrated by a phantom in the scan: 6 rows" in text
    assert load_site(output) == fit_site(table(tmp_path, rows)).site
    content = output.read_text()
    assert json.loads(content)["schema"] == "vertebral-bmd/site/1" and "1.2.1" not in content


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "vertebral-bmd/site/2"},
        {"material": "water"},
        {"groups": []},
        {"groups": [{"scanner": None}]},
        {"groups": "GE"},
        {"slope": float("nan")},
        {"scans": 4},
    ],
)
def test_a_damaged_file_is_named(tmp_path, site, change):
    path = tmp_path / "site.json"
    save_site(site, path)
    entry = json.loads(path.read_text())
    if "slope" in change:
        entry["groups"][0]["slope_mg_cm3_per_hu"] = change["slope"]
    elif "scans" in change:
        entry["groups"][0]["scans"] = change["scans"]
    else:
        entry |= change
    path.write_text(json.dumps(entry))
    with pytest.raises(ValueError, match="site.json is not of the form vertebral-bmd/site/1"):
        load_site(path)


def test_a_file_that_is_no_json_or_not_there_is_named(tmp_path):
    path = tmp_path / "site.json"
    path.write_text("slope: 0.7")
    with pytest.raises(ValueError, match="site.json is not of the form"):
        load_site(path)
    with pytest.raises(FileNotFoundError):
        load_site(tmp_path / "nowhere.json")
