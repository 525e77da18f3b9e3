"""Which calibration a scan gets: the most trusted of those that were asked for, and what is said when it is not there."""

import json
from dataclasses import replace

import pytest
import SimpleITK as sitk
from rod_scans import Drawn

from VertebralBMDLib.calibration.asynchronous import calibration_document
from VertebralBMDLib.calibration.catalogue import load_phantom
from VertebralBMDLib.calibration.line import TissueReading
from VertebralBMDLib.calibration.request import Asked, parsed
from VertebralBMDLib.calibration.rods import find_phantom
from VertebralBMDLib.calibration.site import SCHEMA as SITE
from VertebralBMDLib.calibration.tiers import calibrate, check_request, converted
from VertebralBMDLib.quality import Code
from VertebralBMDLib.scan import Acquisition, Scan, checked

CENTRES = ((0.0, -20.0, -15.0), (0.0, -20.0, 15.0))
TAKEN = Acquisition(
    kvp=120.0,
    kernel="STANDARD",
    manufacturer="MAKER",
    model="ONE",
    device_serial="7",
    table_height_mm=135.0,
    reconstruction_diameter_mm=400.0,
    acquired_on="2024-03-01",
)
TISSUES = tuple(
    TissueReading(name, hu, 10.0, 20.0, (0.0, 0.0, 0.0))
    for name, hu in (("air", -1000.0), ("fat", -100.0), ("muscle", 50.0), ("blood", 42.0))
)


@pytest.fixture(scope="module")
def with_phantom():
    return checked(Drawn(load_phantom("qrm-bdc3"), noise=5.0).image(), TAKEN)


@pytest.fixture(scope="module")
def without_phantom():
    """The block of tissue without the phantom."""
    return Scan(Drawn(load_phantom("qrm-bdc3"), noise=5.0, z=(900.0, 901.0)).image(), TAKEN)


@pytest.fixture(scope="module")
def phantom_file(with_phantom, tmp_path_factory):
    phantom = load_phantom("qrm-bdc3")
    path = tmp_path_factory.mktemp("asynchronous") / "calibration, of March.json"
    found = find_phantom(with_phantom.image, CENTRES, [phantom], 120.0)
    path.write_text(json.dumps(calibration_document(found, phantom, TAKEN)), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("request_text", "tiers"),
    [
        ("auto", ["phantom", "physics"]),
        ("none", []),
        ("tissue,phantom", ["phantom", "physics"]),
        ("tissue:site.json,tissue,async:a.json,phantom:esp", ["phantom", "asynchronous", "site", "physics"]),
        ("tissue:K2HPO4", ["physics"]),
        ("async:C:\\data\\a, b.json", ["asynchronous"]),
    ],
)
def test_a_request_is_read_in_the_order_of_trust(request_text, tiers):
    assert [asked.tier for asked in parsed(request_text)] == tiers


def test_a_comma_in_a_path_is_part_of_it():
    assert parsed("async:a, b.json,phantom") == (Asked("phantom", ""), Asked("async", "a, b.json"))


@pytest.mark.parametrize("request_text", ["guess", "async", "async:", "phantom,none", "auto,phantom", "", "phantom;tissue"])
def test_a_request_that_makes_no_sense_is_named(request_text):
    with pytest.raises(ValueError, match="calibration must be auto, none"):
        parsed(request_text)


def test_a_phantom_in_the_scan_comes_first_and_brings_the_tissues(with_phantom, phantom_file):
    for request_text in ("auto", "phantom", "phantom:qrm-bdc3", f"tissue,async:{phantom_file},phantom"):
        found, codes = calibrate(with_phantom, request_text, CENTRES, TISSUES)
        assert (found.source, found.phantom, found.usable, found.carries_category, codes) == ("phantom", "qrm-bdc3", True, True, ())
        assert found.tissues == TISSUES and {"ROD_NOISE", "ROD_DRIFT"} <= {check.code for check in found.checks}
        assert 2.2 < found.uncertainty_mg_cm3 < 3.0  # Certificate and field, whatever the rods say.


def test_without_a_phantom_the_next_tier_speaks_and_the_phantom_is_missed(without_phantom, phantom_file):
    found, codes = calibrate(without_phantom, f"phantom,async:{phantom_file},tissue", CENTRES, TISSUES)
    assert (found.source, found.usable, codes) == ("asynchronous", True, (Code.PHANTOM_NOT_FOUND,))
    assert found.uncertainty_mg_cm3 >= 6.7


def test_auto_ends_with_the_physics_of_the_tissues_without_a_category(without_phantom):
    found, codes = calibrate(without_phantom, "auto", CENTRES, TISSUES)
    assert (found.source, found.method, found.usable, found.carries_category) == ("tissue", "physics", True, False)
    assert (found.material, found.uncertainty_mg_cm3) == ("CaHA", 13.0) and Code.RESEARCH_CALIBRATION in codes
    assert Code.PHANTOM_NOT_FOUND not in codes
    other, _codes = calibrate(without_phantom, "tissue:K2HPO4", CENTRES, TISSUES)
    assert other.material == "K2HPO4" and other.slope_mg_cm3_per_hu < found.slope_mg_cm3_per_hu


def test_with_contrast_auto_estimates_nothing_but_what_is_asked_for_or_there_is_given(without_phantom, with_phantom):
    found, codes = calibrate(without_phantom, "auto", CENTRES, TISSUES, enhanced=True)
    assert (found.source, found.tissues, codes) == ("none", TISSUES, ())
    assert calibrate(without_phantom, "tissue", CENTRES, TISSUES, enhanced=True)[0].source == "tissue"
    assert calibrate(with_phantom, "auto", CENTRES, TISSUES, enhanced=True)[0].source == "phantom"


def test_without_tissues_there_is_no_calibration(without_phantom):
    found, codes = calibrate(without_phantom, "auto", CENTRES, TISSUES[:1])
    assert (found.source, found.tissues, codes) == ("none", TISSUES[:1], (Code.TISSUES_NOT_FOUND,))
    found, codes = calibrate(without_phantom, "phantom:b-mas200", CENTRES)
    assert (found.source, found.slope_mg_cm3_per_hu, codes) == ("none", None, (Code.PHANTOM_NOT_FOUND,))
    assert calibrate(without_phantom, "none", CENTRES, TISSUES)[1] == ()


def test_a_tier_that_fails_is_shown_and_not_replaced(with_phantom, phantom_file):
    far = checked(sitk.Cast(with_phantom.image, sitk.sitkFloat32) + 65.0, TAKEN)
    found, codes = calibrate(far, "auto", CENTRES, TISSUES)
    assert found.source == "phantom" and not found.usable and codes == (Code.CALIBRATION_FAILED,)
    assert {check.code: check.status for check in found.checks}["INTERCEPT"] == "fail"
    elsewhere = replace(with_phantom, acquisition=replace(TAKEN, device_serial="8"))
    found, codes = calibrate(elsewhere, f"async:{phantom_file},tissue", CENTRES, TISSUES)
    assert found.source == "asynchronous" and not found.usable and codes == (Code.CALIBRATION_FAILED,)


def test_rods_of_ones_own_that_cannot_be_used_are_named_before_anything_is_measured(with_phantom, tmp_path):
    table = tmp_path / "rods.csv"
    table.write_text("id,x,y,z\nR9,0,0,0\n", encoding="utf-8")
    with pytest.raises(ValueError, match="R9 is no rod of qrm-bdc3"):
        check_request("phantom:qrm-bdc3", with_phantom, table)


def test_a_conversion_scales_everything_that_is_a_density(with_phantom):
    found, _codes = calibrate(with_phantom, "phantom", CENTRES)
    other = converted(found, "K2HPO4", 0.8)
    assert other.material == "K2HPO4" and other.density(200.0) == pytest.approx(0.8 * found.density(200.0))
    assert other.uncertainty_mg_cm3 == pytest.approx(0.8 * found.uncertainty_mg_cm3) and other.r_squared == found.r_squared


def test_rods_of_ones_own_need_a_named_phantom(with_phantom, tmp_path):
    drawn, phantom = Drawn(load_phantom("qrm-bdc3")), load_phantom("qrm-bdc3")
    rows = [f"{rod.id},{drawn.axis(k, 0.0)[0]},{drawn.axis(k, 0.0)[1]},0" for k, rod in enumerate(phantom.rods)]
    table = tmp_path / "rods.csv"
    table.write_text("id,x,y,z\n" + "\n".join(rows), encoding="utf-8")
    found, codes = calibrate(with_phantom, "phantom:qrm-bdc3", CENTRES, rods=table)
    automatic, _codes = calibrate(with_phantom, "phantom:qrm-bdc3", CENTRES)
    assert codes == () and found.slope_mg_cm3_per_hu == pytest.approx(automatic.slope_mg_cm3_per_hu, rel=0.003)
    check_request("phantom:qrm-bdc3", with_phantom, table)
    with pytest.raises(ValueError, match="phantom:NAME"):
        check_request("auto", with_phantom, table)


def test_files_that_cannot_be_used_are_named_before_anything_is_measured(with_phantom, tmp_path):
    (tmp_path / "site.json").write_text(json.dumps({"schema": SITE}), encoding="utf-8")
    for request_text, name in (
        ("phantom:unknown", "unknown"),
        ("phantom:esp", "validation"),
        (f"async:{tmp_path / 'site.json'}", "site.json"),
        (f"tissue:{tmp_path / 'site.json'}", "site.json"),
    ):
        with pytest.raises(ValueError, match=name):
            check_request(request_text, with_phantom)
    with pytest.raises((ValueError, FileNotFoundError), match="nowhere"):
        check_request(f"async:{tmp_path / 'nowhere.json'}", with_phantom)
    check_request("auto", with_phantom)
