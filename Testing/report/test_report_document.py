"""measurement.json: what it says, what it leaves out, and that it holds to its schema."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from report_case import TISSUES, full

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.quality import MESSAGES, Code
from VertebralBMDLib.report.document import codes, document, refusal_document
from VertebralBMDLib.report.html import render
from VertebralBMDLib.report.schema import schema, validate
from VertebralBMDLib.settings import Settings


def leaves(value, path=""):
    """(path, value) of every leaf of a document."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def test_a_calibrated_measurement_holds_to_the_schema(calibrated):
    result = document(calibrated)
    validate(result)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["patient"]["vbmd_mg_cm3"] == pytest.approx(128, abs=1e-6)
    assert (result["patient"]["category"], result["patient"]["vbmd_source"]) == ("normal", "roi")
    assert [v["level"] for v in result["vertebrae"]] == ["T12", "L1", "L2"]
    assert result["calibration"]["rods"][1] == dict(
        id="B", density_mg_cm3=100.0, hu=125.0, sd_hu=5.0, centre_lps_mm=[0.0, 42.0, 362.5], radius_mm=7.0
    )
    assert result["patient"]["left_out"] == [] and result["vertebrae"][1]["excluded"] == []
    assert result["timings_s"] == {"segmentation": 1.5, "roi": 0.25}


def test_everything_that_can_be_known_of_a_calibration_is_said():
    line = document(full())["calibration"]
    assert (line["source"], line["slope_se"], line["intercept_se"], line["uncertainty_mg_cm3"]) == ("asynchronous", 0.0021, 0.45, 2.4)
    rod = line["rods"][1]
    assert {key: rod[key] for key in ("mean_hu", "median_hu", "drift_hu", "residual_mg_cm3")} == dict(
        mean_hu=125.5, median_hu=124.5, drift_hu=6.5, residual_mg_cm3=-0.5
    )
    assert {tissue["name"]: tissue["hu"] for tissue in line["tissues"]} == TISSUES
    assert line["tissues"][0]["centre_lps_mm"] == [1.0, 2.0, 3.0] and line["tissues"][0]["volume_cm3"] == 12.0
    passed, drift, _age, table = line["checks"]
    assert "remedy" not in passed and drift["remedy"] == "Look for air beside the phantom." and "value" not in table


def test_everything_that_can_be_known_of_a_vertebra_is_said():
    result = document(full())
    validate(result)
    _cut, first, second = result["vertebrae"]
    assert first["roi_median_hu"] == 158.5 and first["roi_percentiles_hu"] == dict(p05=101.0, p25=131.0, p75=188.0, p95=222.0)
    assert (first["whole_roi_volume_cm3"], first["whole_roi_mean_hu"], first["vbmd_whole_roi_mg_cm3"]) == (9.5, 181.5, 145.2)
    assert first["excluded"] == [
        dict(kind="island", volume_cm3=0.21, mean_hu=512.0),
        dict(kind="lytic", volume_cm3=0.63, mean_hu=-12.0),
    ]
    assert (first["cortical_volume_cm3"], first["height_loss"], second["height_loss"]) == (7.7, 0.17, -0.02)
    assert second["excluded"] == []


def test_what_is_not_known_of_a_vertebra_is_absent(calibrated):
    unknown = dict.fromkeys(("roi_median_hu", "roi_percentiles_hu", "whole_roi_volume_cm3", "whole_roi_mean_hu"))
    unknown |= dict.fromkeys(("vbmd_whole_roi_mg_cm3", "cortical_mg_cm3", "cortical_volume_cm3"))
    first = calibrated.measured[0]
    bare = dataclasses.replace(first, density=dataclasses.replace(first.density, **unknown), height_loss=None)
    result = document(dataclasses.replace(calibrated, measured=(bare,)))
    validate(result)
    assert not {*unknown, "height_loss"} & set(result["vertebrae"][1])
    assert "Regions of interest" not in render(result)


def test_the_patient_line_names_its_limits_its_uncertainty_and_what_was_left_out():
    patient = document(full(lost={"L1": Code.LESION}))["patient"]
    assert patient["levels"] == ["L2"] and patient["uncertainty_mg_cm3"] == 2.4 and patient["flags"] == ["ONE_LEVEL_ONLY"]
    assert patient["left_out"] == [dict(level="T12", code="BODY_CUT_OFF"), dict(level="L1", code="LESION")]
    limits = patient["thresholds"]
    assert (limits["name"], limits["quantity"], limits["osteoporosis_below_mg_cm3"]) == ("acr", "trabecular_vbmd", 80.0)
    integral = document(full(limits="integral"))
    validate(integral)
    assert integral["patient"]["category"] == "normal" and integral["patient"]["integral_mg_cm3"] == pytest.approx(197.6, abs=0.1)
    assert integral["patient"]["thresholds"]["normal_above_mg_cm3"] == 190.0
    proposal = document(full(limits="east-asian-women"))
    validate(proposal)
    assert "normal_above_mg_cm3" not in proposal["patient"]["thresholds"]
    assert proposal["patient"]["thresholds"]["proposed_range_mg_cm3"] == [45.0, 50.0]


def test_the_reason_to_leave_a_level_out_is_explained():
    result = document(full(lost={"L1": Code.LESION}))
    assert "LESION" in codes(result) and "lesion" in result["messages"]["LESION"]
    del result["messages"]["LESION"]
    with pytest.raises(ValueError, match="LESION"):
        validate(result)


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [
        ("auto", "auto"),
        ("phantom:qrm-bdc3", "phantom:qrm-bdc3"),
        ("phantom:/data/doe/certificate.json", "phantom"),
        ("phantom:jane-doe", "phantom"),
        ("phantom:qrm-bdc3,async:/data/doe/a.json,tissue:/data/doe/b.json", "phantom:qrm-bdc3,async,tissue"),
        ("async:/data/doe,jane/a.json,none", "async"),
        ("async:C:\\doe\\a.json,async:b.json", "async"),
    ],
)
def test_of_the_calibration_asked_for_only_kinds_and_names_of_the_catalogue_are_recorded(asked, recorded):
    result = refusal_document(Code.NOT_CT, "", Settings(calibration=asked))
    assert result["settings"]["calibration"] == recorded
    validate(result)


def test_every_setting_is_recorded_and_of_files_only_that_there_were_some():
    given = Settings(region="ellipse", central_fraction=0.4, thresholds="integral", convert=("CaHA", 1.15), rods=Path("DOE.json"))
    result = refusal_document(Code.NOT_CT, "", given)
    validate(result)
    recorded = result["settings"]
    assert (recorded["region"], recorded["central_fraction"], recorded["thresholds"]) == ("ellipse", 0.4, "integral")
    assert recorded["convert"] == dict(material="CaHA", factor=1.15) and recorded["own_rods"] is True and "DOE" not in json.dumps(result)
    plain = refusal_document(Code.NOT_CT, "", Settings())["settings"]
    assert "convert" not in plain and plain["own_rods"] is False
    elsewhere = {"bodies", "roi", "roi_levels", "rods", "level_at", "exclude"}
    undeclared = {field.name for field in dataclasses.fields(Settings)} - set(recorded) - elsewhere
    assert undeclared == set()


def test_a_body_that_was_not_measured_is_listed_with_what_is_known(calibrated):
    first = document(calibrated)["vertebrae"][0]
    assert set(first) == {"level", "label", "level_confidence", "centroid_lps_mm", "body_volume_cm3", "complete", "flags"}
    assert first["flags"] == ["BODY_CUT_OFF"] and first["complete"] is False


def test_without_calibration_densities_are_absent(uncalibrated):
    result = document(uncalibrated)
    validate(result)
    names = {path.rsplit(".", 1)[-1] for path, value in leaves(result) if ".thresholds." not in path}
    assert not {name for name in names if "mg_cm3" in name or name == "bmc_mg"}
    assert "vbmd_source" not in result["patient"] and "rods" not in result["calibration"]
    assert result["patient"]["category"] == "withheld" and "NOT_CALIBRATED" in result["patient"]["flags"]
    assert [path for path, value in leaves(result) if value is None] == [".calibration.material"]


def test_refusals_hold_to_the_schema_with_and_without_what_was_found(calibrated):
    nothing = refusal_document(Code.SEVERAL_SERIES, "1.2: 40 slices; 1.3: 80 slices", Settings())
    bodies = refusal_document(Code.LEVEL_UNCERTAIN, "", Settings(), calibrated.scan, calibrated.vertebrae)
    validate(nothing)
    validate(bodies)
    assert nothing["vertebrae"] == [] and nothing["scan"] == {"contrast": "unknown"}
    assert nothing["patient"] == dict(
        levels=["L1", "L2"], category="withheld", flags=[], refusals=["SEVERAL_SERIES"], refusal_detail="1.2: 40 slices; 1.3: 80 slices"
    )
    assert [v["level"] for v in bodies["vertebrae"]] == ["T12", "L1", "L2"] and "refusal_detail" not in bodies["patient"]


@pytest.mark.parametrize("code", list(Code))
def test_every_code_can_be_refused_with_sentence_and_remedy(code):
    result = refusal_document(code, "JANE_DOE.nii.gz" if code is Code.UNREADABLE else "", Settings())
    validate(result)
    assert result["messages"] == {code.value: f"{MESSAGES[code].sentence} {MESSAGES[code].remedy}"}
    assert "DOE" not in json.dumps(result)


def test_every_code_in_the_document_is_explained(calibrated):
    result = document(calibrated)
    assert codes(result) == {"BODY_CUT_OFF", "ROI_SMALL", "CONTRAST"} == set(result["messages"])
    del result["messages"]["ROI_SMALL"]
    with pytest.raises(ValueError, match="ROI_SMALL"):
        validate(result)


def test_numpy_numbers_become_json_numbers(calibrated):
    result = document(dataclasses.replace(calibrated, seconds={"roi": np.float32(0.5)}))
    assert type(result["timings_s"]["roi"]) is float


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float32("nan")])
def test_a_number_that_is_not_finite_is_refused_with_its_place(calibrated, value):
    density = dataclasses.replace(calibrated.measured[0].density, cortical_mg_cm3=value)
    broken = (dataclasses.replace(calibrated.measured[0], density=density), *calibrated.measured[1:])
    with pytest.raises(ValueError, match=r"vertebrae\[1\]\.cortical_mg_cm3"):
        document(dataclasses.replace(calibrated, measured=broken))


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ("patient", "category", "healthy"),
        ("patient", "t_score", -2.5),
        ("calibration", "material", "HA"),
        ("calibration", "r_squared", 1.2),
        ("scan", "spacing_mm", [1.0, 1.0, 0.0]),
        ("scan", "size", [64, 64]),
        ("software", "version", None),
        ("settings", "calibration", "async:/home/jane/phantom.json"),
        ("messages", "ROI_SMALL", ""),
        ("calibration", "method", "physics"),
        ("calibration", "uncertainty_mg_cm3", -1.0),
        ("patient", "left_out", [{"level": "L1"}]),
        ("patient", "hu_band", ""),
        ("settings", "calibration", "phantom,async:/home/jane/phantom.json"),
        ("settings", "region", "circle"),
        ("settings", "convert", {"material": "HA", "factor": 1.15}),
    ],
)
def test_the_schema_is_strict(calibrated, place, key, value):
    result = copy.deepcopy(document(calibrated))
    result[place][key] = value
    with pytest.raises(ValueError, match=place):
        validate(result)


def test_the_schema_asks_for_a_value_with_every_category_and_knows_every_level(calibrated):
    result = document(calibrated)
    del result["patient"]["vbmd_mg_cm3"]
    with pytest.raises(ValueError, match="vbmd"):
        validate(result)
    definitions = schema()
    assert set(definitions["$defs"]["level"]["enum"]) == set(LABELS)
    assert set(definitions["properties"]["vertebrae"]["items"]["properties"]["label"]["enum"]) == set(LABELS.values())
