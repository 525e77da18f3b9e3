"""A phantom scanned alone: read, kept in a file, and used for a patient of the same scanner."""

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.calibration.asynchronous import (
    ASYNCHRONOUS_MG_CM3,
    SCHEMA,
    PhantomScan,
    asynchronous,
    calibration_document,
    load_calibration,
    read_phantom,
)
from VertebralBMDLib.calibration.catalogue import load_phantom, phantom_names
from VertebralBMDLib.scan import Acquisition, Scan
from VertebralBMDLib.simulation.phantom_scan import PhantomScanSpec, simulate_phantom_scan
from VertebralBMDLib.simulation.scanner import TYPICAL
from VertebralBMDLib.simulation.support import Mounting

TAKEN = Acquisition(
    kvp=120.0,
    kernel="STANDARD",
    manufacturer="Maker",
    model="CT 1",
    table_height_mm=135.0,
    reconstruction_diameter_mm=360.0,
    series_uid="1.2.3",
    device_serial="SIM-1",
    acquired_on="2024-01-15",
)


def scanned(name, **changes):
    """A short scan of a phantom by a scanner that reads 2 % and 3 HU too high."""
    scanner = replace(TYPICAL, slope_error=0.02, intercept_hu=3.0)
    spec = dict(seed=42, phantom=name, scanner=scanner, spacing_mm=(1.2, 1.2, 3.0), size=(256, 200), slices=16)
    return simulate_phantom_scan(PhantomScanSpec(**(spec | changes)))


def read(name, **changes):
    simulated = scanned(name, **changes)
    return simulated, read_phantom(Scan(simulated.image, TAKEN), load_phantom(name))


@pytest.fixture(scope="module")
def qrm():
    return read("qrm-bdc6")[1]


@pytest.fixture
def file(qrm, tmp_path):
    """A function that writes the document of the QRM phantom with changes, and returns its path."""

    def write(**changes):
        document = calibration_document(qrm, load_phantom("qrm-bdc6"), TAKEN) | changes
        path = tmp_path / "calibration.json"
        path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("name", sorted(set(phantom_names()) - {"esp"}))
def test_every_phantom_is_read_when_it_lies_alone(name):
    simulated, calibration = read(name)
    truth = simulated.truth["calibration"][calibration.material]
    assert calibration.phantom == name and calibration.usable and len(calibration.readings) == len(load_phantom(name).rods)
    assert calibration.slope_mg_cm3_per_hu == pytest.approx(truth["slope_mg_cm3_per_hu"], rel=0.012)
    # Mindways' water terms do not follow a scanner that reads 2 % too high.
    assert calibration.intercept_mg_cm3 == pytest.approx(truth["intercept_mg_cm3"], abs=1.0 if calibration.material == "CaHA" else 2.0)
    assert "ROD_NOISE" in [check.code for check in calibration.checks]


def test_a_phantom_is_found_wherever_it_lies_in_the_field():
    simulated, straight = read("qrm-bdc3", size=(230, 150))
    image = sitk.ConstantPad(simulated.image, (0, 120, 0), (60, 0, 8), -1000.0)
    moved = read_phantom(Scan(image, TAKEN), load_phantom("qrm-bdc3"))
    assert moved.slope_mg_cm3_per_hu == pytest.approx(straight.slope_mg_cm3_per_hu, rel=0.005)


def test_a_phantom_at_one_end_of_a_long_scan_is_found():
    """The couch is in every slice, the phantom in the uppermost 50 mm only."""
    simulated, calibration = read("qrm-bdc3", slices=60, mounting=Mounting(ends_mm=(40.0, 90.0)))
    truth = simulated.truth["calibration"]["CaHA"]
    assert calibration.usable and calibration.slope_mg_cm3_per_hu == pytest.approx(truth["slope_mg_cm3_per_hu"], rel=0.01)


def test_what_is_not_there_is_not_read():
    assert read_phantom(Scan(scanned("qrm-bdc6").image, TAKEN), load_phantom("mindways-model3")) is None
    air = sitk.GetImageFromArray(np.full((6, 100, 100), -1000, np.int16))
    assert read_phantom(Scan(air, TAKEN), load_phantom("qrm-bdc6")) is None


def test_the_kernel_decides_how_much_noise_a_rod_may_have():
    simulated = scanned("qrm-bdc3", scanner=replace(TYPICAL, noise_hu=36.0))
    statuses = {}
    for kernel in ("STANDARD", "LUNG"):
        calibration = read_phantom(Scan(simulated.image, replace(TAKEN, kernel=kernel)), load_phantom("qrm-bdc3"))
        statuses[kernel] = {check.code: check.status for check in calibration.checks}["ROD_NOISE"]
    assert statuses == {"STANDARD": "warn", "LUNG": "pass"}


@pytest.mark.parametrize("name", ["mindways-model3", "siemens-osteo"])
def test_a_file_gives_back_what_was_written(name, tmp_path):
    _simulated, calibration = read(name)
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(calibration_document(calibration, load_phantom(name), TAKEN), allow_nan=False), encoding="utf-8")
    again = load_calibration(path)
    assert again == PhantomScan(calibration, TAKEN)
    assert ("r_squared" in json.loads(path.read_text())) == (name != "siemens-osteo")


def test_a_file_says_whose_certificate_and_which_scanner_it_rests_on(qrm, file):
    document = json.loads(file().read_text(encoding="utf-8"))
    assert document["schema"] == SCHEMA and document["phantom"]["serial"] == "#BDC-106" and document["phantom"]["confidence"] == "H"
    assert document["acquisition"] == {
        "kvp": 120.0,
        "kernel": "STANDARD",
        "contrast": "unknown",
        "manufacturer": "Maker",
        "model": "CT 1",
        "table_height_mm": 135.0,
        "reconstruction_diameter_mm": 360.0,
        "series_uid": "1.2.3",
        "device_serial": "SIM-1",
        "acquired_on": "2024-01-15",
    }
    assert [rod["residual_mg_cm3"] for rod in document["rods"]] == list(qrm.residuals_mg_cm3)
    assert document["slope_se"] == qrm.slope_se and {check["code"] for check in document["checks"]} == {c.code for c in qrm.checks}


def test_a_patient_of_the_same_scanner_is_calibrated(qrm, file):
    found = asynchronous(load_calibration(file()), replace(TAKEN, acquired_on="2024-01-20", series_uid="4.5"))
    assert (found.source, found.material, found.phantom) == ("asynchronous", "CaHA", "qrm-bdc6") and found.usable and found.carries_category
    assert found.density(150.0) == qrm.density(150.0) and found.slope_se == qrm.slope_se
    assert {check.status for check in found.checks} == {"pass"}
    assert [check.code for check in found.checks][-6:] == [
        "SCANNER",
        "TUBE_VOLTAGE",
        "KERNEL_CLASS",
        "TABLE_HEIGHT",
        "FIELD_OF_VIEW",
        "PHANTOM_AGE",
    ]
    # The rods lie in another scan: nothing of them is to be drawn in this one.
    assert found.readings == () and found.residuals_mg_cm3 == ()
    assert found.uncertainty_mg_cm3 == ASYNCHRONOUS_MG_CM3 > qrm.uncertainty_mg_cm3


@pytest.mark.parametrize("changes", [{"kvp": 100.0}, {"device_serial": "SIM-2"}, {"acquired_on": "2024-06-01"}, {"kernel": "LUNG"}])
def test_a_patient_of_another_scanner_or_protocol_is_not(file, changes):
    found = asynchronous(load_calibration(file()), replace(TAKEN, **changes))
    assert not found.usable
    with pytest.raises(ValueError, match="no usable calibration"):
        found.density(150.0)


def test_a_patient_without_a_header_is_calibrated_with_a_warning_for_each_thing_unknown(file):
    found = asynchronous(load_calibration(file()), Acquisition())
    assert found.usable and [check.status for check in found.checks].count("warn") == 6


def test_a_line_that_failed_stays_failed(qrm):
    failed = replace(qrm, checks=tuple(replace(check, status="fail") if check.code == "INTERCEPT" else check for check in qrm.checks))
    assert not asynchronous(PhantomScan(failed, TAKEN), TAKEN).usable


def test_a_scanner_that_reads_water_far_from_zero_fails():
    _simulated, calibration = read("qrm-bdc6", scanner=replace(TYPICAL, intercept_hu=65.0))
    assert calibration is not None and not calibration.usable


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schema": "vertebral-bmd/1"}, "it is not of the form vertebral-bmd/calibration/1"),
        ({"slope_mg_cm3_per_hu": None}, "it holds no line"),
        ({"slope_mg_cm3_per_hu": 0.75}, "its slope_mg_cm3_per_hu does not follow from its rods"),
        ({"intercept_mg_cm3": 1.0}, "its intercept_mg_cm3 does not follow from its rods"),
        ({"slope_mg_cm3_per_hu": float("nan")}, "NaN is no number"),
        ({"material": "CaCO3"}, "material must be K2HPO4 or CaHA, not 'CaCO3'"),
        ({"rods": []}, "at least two rods"),
        ({"rods": [{"id": "R1"}]}, "lacks density_mg_cm3"),
        ({"rods": None}, "lacks rods"),
        ({"acquisition": {"kvp": "120"}}, "kvp must be a number, not '120'"),
        ({"acquisition": {"acquired_on": "yesterday"}}, "yesterday"),
        ({"acquisition": {"patient": "X"}}, "patient"),
    ],
)
def test_a_damaged_file_is_refused_by_name(file, changes, sentence):
    with pytest.raises(ValueError, match=f"calibration.json.*({sentence})"):
        load_calibration(file(**changes))


def test_what_is_no_calibration_file_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="nothing.json: there is no such file"):
        load_calibration(tmp_path / "nothing.json")
    for content in (b"{", b"[1]", b"\xff\xfe"):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.json"):
            load_calibration(tmp_path / "bad.json")
    with pytest.raises(ValueError, match=tmp_path.name):
        load_calibration(tmp_path)
