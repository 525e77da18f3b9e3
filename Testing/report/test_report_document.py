"""measurement.json: what it says, what it leaves out, and that it holds to its schema."""

from __future__ import annotations

import copy
import dataclasses
import json
import math

import numpy as np
import pytest

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.quality import MESSAGES, Code
from VertebralBMDLib.report.document import codes, document, refusal_document
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
    assert result["timings_s"] == {"segmentation": 1.5, "roi": 0.25}


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
