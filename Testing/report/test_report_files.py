"""The files of a run: complete, private, escaped, replaced as a whole."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import json
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from report_case import NAME, TISSUES, excluded_map, full, measurement

from VertebralBMDLib.quality import Code
from VertebralBMDLib.report import files
from VertebralBMDLib.report.document import document, refusal_document
from VertebralBMDLib.report.html import render
from VertebralBMDLib.report.table import COLUMNS, rows, text_table, write_csv
from VertebralBMDLib.settings import Settings


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_measurement_leaves_its_seven_files_and_no_others(calibrated, tmp_path):
    result = files.write(calibrated, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(files.FILES)
    assert json.loads((tmp_path / "measurement.json").read_text(encoding="utf-8")) == result
    for name, image in (("bodies", calibrated.vertebrae.label_map), ("roi", calibrated.roi)):
        written = sitk.ReadImage(str(tmp_path / f"{name}.nii.gz"))
        assert written.IsSameImageGeometryAs(calibrated.scan.image) and written.GetPixelID() == sitk.sitkUInt8
        assert np.array_equal(sitk.GetArrayFromImage(written), sitk.GetArrayFromImage(image))


def test_no_patient_name_reaches_any_file(tmp_path):
    folder = tmp_path / "case"
    settings = Settings(
        bodies=tmp_path / NAME / "bodies.nii.gz", roi=tmp_path / f"{NAME}.nii.gz", calibration=f"async:{tmp_path}/{NAME}.json"
    )
    named = dataclasses.replace(measurement(), settings=settings)
    files.write(named, folder / "measured")
    files.write_refusal(Code.UNREADABLE, f"{NAME}.nii.gz does not exist", settings, folder / "refused", named.scan, named.vertebrae)
    for path in folder.rglob("*.*"):
        content = path.read_bytes()
        content += gzip.decompress(content) if path.suffix == ".gz" else b""
        assert NAME.encode() not in content and str(tmp_path).encode() not in content, path.name


def test_a_refusal_replaces_an_earlier_measurement_as_a_whole(calibrated, tmp_path):
    files.write(calibrated, tmp_path)
    files.write_refusal(Code.NO_CT_SERIES, "", Settings(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"measurement.json", "measurements.csv", "report.html"}
    files.write_refusal(Code.LEVEL_UNCERTAIN, "", Settings(), tmp_path, calibrated.scan, calibrated.vertebrae)
    assert {path.name for path in tmp_path.iterdir()} == set(files.FILES) - {"roi.nii.gz", "weights.nii.gz"}


def test_what_the_network_weighs_is_written_on_its_own_small_grid_and_goes_with_the_next_run_without_a_reading(
    calibrated, uncalibrated, tmp_path
):
    files.write(calibrated, tmp_path)
    written = sitk.ReadImage(str(tmp_path / "weights.nii.gz"))
    assert written.IsSameImageGeometryAs(calibrated.weights) and written.GetPixelID() == sitk.sitkUInt8
    assert np.array_equal(sitk.GetArrayFromImage(written), sitk.GetArrayFromImage(calibrated.weights))
    files.write(uncalibrated, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(files.FILES) - {"weights.nii.gz"}


def test_a_run_that_breaks_leaves_neither_half_a_file_nor_a_json(calibrated, tmp_path, monkeypatch):
    files.write(calibrated, tmp_path)

    def broken(result, path):
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(files, "write_csv", broken)
    with pytest.raises(OSError, match="disk full"):
        files.write(calibrated, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(files.FILES) - {"measurement.json", "measurements.csv"}


def test_without_matplotlib_and_jinja2_the_data_are_still_written(calibrated, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(files, "find_spec", lambda module: None)
    files.write(calibrated, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(files.FILES) - {"overview.png", "report.html"}
    assert "overview.png is not written" in caplog.text and "report.html is not written" in caplog.text


def test_importing_the_room_loads_no_drawing_or_page_library():
    code = "import sys, VertebralBMDLib.report.files, VertebralBMDLib.report.schema; print({'matplotlib', 'jinja2', 'jsonschema'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_csv_round_trips_with_full_precision(calibrated, tmp_path):
    result = document(calibrated)
    write_csv(result, tmp_path / "a.csv")
    write_csv(result, tmp_path / "b.csv")
    text = (tmp_path / "a.csv").read_bytes()
    assert text == (tmp_path / "b.csv").read_bytes() and b"\r" not in text and b"nan" not in text.lower()
    written = read_csv(tmp_path / "a.csv")
    assert tuple(written[0]) == COLUMNS and [row["level"] for row in written] == ["T12", "L1", "L2"]
    assert written[0]["roi_mean_hu"] == "" and written[0]["complete"] == "no" and written[0]["flags"] == "BODY_CUT_OFF"
    assert float(written[2]["vbmd_roi_mg_cm3"]) == result["vertebrae"][2]["vbmd_roi_mg_cm3"]
    assert float(written[1]["patient_vbmd_mg_cm3"]) == result["patient"]["vbmd_mg_cm3"] and written[1]["material"] == "K2HPO4"
    assert float(written[1]["height_middle_mm"]) == 24.0 and written[1]["calibration_source"] == "phantom"


def test_the_csv_has_what_a_site_regression_is_fitted_from_and_what_was_left_out(tmp_path):
    write_csv(document(full(lost={"L1": Code.FRACTURE})), tmp_path / "a.csv")
    _cut, first, second = read_csv(tmp_path / "a.csv")
    for name, hu in TISSUES.items():
        assert float(first[f"{name}_hu"]) == float(second[f"{name}_hu"]) == hu
    assert (first["calibration_source"], first["calibration_method"], first["slope_se"]) == ("asynchronous", "", "0.0021")
    assert first["calibration_uncertainty_mg_cm3"] == first["patient_uncertainty_mg_cm3"] == "2.4"
    assert (first["roi_p05_hu"], first["roi_p95_hu"], first["roi_median_hu"]) == ("101.0", "222.0", "158.5")
    assert (first["whole_roi_volume_cm3"], first["whole_roi_mean_hu"], first["vbmd_whole_roi_mg_cm3"]) == ("9.5", "181.5", "145.2")
    assert (first["excluded_kinds"], float(first["excluded_volume_cm3"])) == ("island;lytic", pytest.approx(0.84))
    assert float(first["excluded_mean_hu"]) == pytest.approx((0.21 * 512 - 0.63 * 12) / 0.84)
    assert second["excluded_kinds"] == second["excluded_volume_cm3"] == "" and second["height_loss"] == "-0.02"
    assert (first["patient_levels"], first["patient_left_out"], first["thresholds"]) == ("L2", "T12:BODY_CUT_OFF;L1:FRACTURE", "acr")


def test_the_csv_of_a_refusal_without_vertebrae_is_its_header(tmp_path):
    write_csv(refusal_document(Code.NOT_CT, "modality MR", Settings()), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_the_printed_table_has_units_material_remedies_and_the_research_line(calibrated, uncalibrated):
    text = text_table(document(calibrated))
    assert "Patient (L1, L2): 128.0 mg/cm³ K2HPO4, normal" in text and "research use only" in text
    assert "ROI_SMALL (L2)" in text and "Reduce the erosion margin" in text and "Also found: T12 (cut off)" in text
    text.encode("latin-1")
    withheld = text_table(document(uncalibrated))
    assert "category withheld" in withheld and "NOT_CALIBRATED" in withheld and "160.0 ± 0.0" in withheld
    refused = text_table(refusal_document(Code.NOT_CT, "modality MR", Settings()))
    assert "Refused NOT_CT: The image is not a CT." in refused and "Seen: modality MR" in refused
    elsewhere = refusal_document(Code.LEVEL_NOT_FOUND, "", Settings(levels=("L4",)), calibrated.scan, calibrated.vertebrae)
    assert "Found: T12 (cut off), L1, L2" in text_table(elsewhere)


def test_the_printed_table_says_what_was_left_out_and_counts_the_checks_that_passed():
    text = text_table(document(full(lost={"L2": Code.FRACTURE}))).replace("\n  ", " ")
    for said in (
        "Patient (L1): 128.0 mg/cm³ K2HPO4 ± 2.4 (SD of the calibration alone), category withheld",
        "Left out: T12 (BODY_CUT_OFF), L2 (FRACTURE)",
        "Flag FRACTURE (L2): The body has lost 20 %",
        "L1 without bone island 0.21 cm³ (512 HU), lytic lesion 0.63 cm³ (-12 HU); with it 145.2 mg/cm³, 181.5 HU",
        "Calibration: Asynchronous phantom scan of 12 days before (qrm-bdc3); vBMD = 0.8000 × HU + 0.00 mg/cm³ K2HPO4; SD 2.4 mg/cm³",
        "2 of 4 checks passed",
        "warn ROD_DRIFT 6.5 (at most 5 HU): The rods change along their length. Look for air beside the phantom.",
        "warn TABLE_HEIGHT (within 30 mm)",
        "Tissues: air -998, fat -104, muscle 52, blood 41, cortical bone 1210 HU",
    ):
        assert said in text, said
    assert "Rods and line agree" not in text and "PHANTOM_AGE" not in text
    assert len(text_table(document(full())).splitlines()) <= 40 and max(map(len, text_table(document(full())).splitlines())) <= 110


def test_limits_are_named_with_population_and_source_and_hu_are_put_into_words(uncalibrated):
    integral = text_table(document(full(limits="integral"))).replace("\n  ", " ")
    assert "Integral vBMD 197.6. Limits (integral): osteoporosis below 160, low bone mass 160 to 190, normal above 190" in integral
    assert "Löffler" in integral
    proposal = render(document(full(limits="east-asian-women")))
    assert "osteoporosis below 50 mg/cm³ (proposed: 45 to 50); from there upwards no category" in proposal and "LIMITS_WITHOUT" in proposal
    for page in (text_table(document(uncalibrated)).replace("\n  ", " "), render(document(uncalibrated))):
        assert "L1 reads 160.0 HU: between 110 and 160 HU" in page and "not a category" in page


def test_a_vertebra_in_reserve_is_only_mentioned(calibrated):
    result = document(calibrated)
    result["settings"]["levels"] = result["patient"]["levels"] = ["L1"]
    text = text_table(result)
    assert "Also found: T12 (cut off), L2 (in reserve)" in text and "ROI_SMALL" not in text
    assert [row["roi_mean_hu"] != "" for row in rows(result)] == [False, True, True]


def test_the_page_escapes_what_the_header_said_and_loads_nothing():
    page = render(document(measurement(kernel="<script>alert('x')</script>")))
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "http://" not in page and "https://" not in page and "src=" not in page


def test_the_page_says_category_calibration_and_models_in_words(calibrated, uncalibrated):
    page = render(document(calibrated), b"png")
    for text in (
        "● Normal",
        "128.0 <small>mg/cm³ K₂HPO₄",
        "vBMD = 0.8000 × HU",
        "0a" * 32,
        "✓ pass",
        "For research use only",
        "data:image/png;base64,cG5n",
        "L1: 0.8000 × 160.00",
    ):
        assert text in page, text
    assert "○ Category withheld" in render(document(uncalibrated))
    assert "✕ Refused" in render(refusal_document(Code.NOT_CT, "modality MR", Settings()))


def test_the_page_lists_rods_tissues_findings_and_remedies(tmp_path):
    case = full(lost={"L2": Code.FRACTURE})
    result = files.write(dataclasses.replace(case, excluded=excluded_map(case)), tmp_path)
    page = render(result)
    for text in (
        "± 2.4 (SD of the calibration alone)",
        "L2 (FRACTURE)",
        "Asynchronous phantom scan of 12 days before",
        "standard errors: slope 0.0021 mg/cm³ per HU, intercept 0.45 mg/cm³",
        "<td>100.00</td><td>125.0 ± 5.0</td><td>125.5</td><td>124.5</td><td>6.5</td><td>−0.5</td>",
        "not used for the line",
        "<td>cortical bone</td><td>1210.0 ± 9.0</td><td>12.0</td>",
        "! warn</span>: The header gives no table height. Compare the heights by hand.",
        "101 / 131 / 188 / 222",
        "bone island 0.21 cm³ (512 HU), lytic lesion 0.63 cm³ (−12 HU)",
        "17 %",
        "left out</small>",
    ):
        assert text in page, text


def test_the_report_says_which_rois_the_user_edited(calibrated):
    plain = document(calibrated)
    edited = plain | dict(settings=plain["settings"] | dict(own_roi=True, roi_levels=["L1"]))
    assert "edited by the user" not in render(plain)
    assert "Region of interest of L1 drawn or edited by the user. Region of interest elsewhere: the vertebral body" in render(edited)
    everywhere = plain | dict(settings=plain["settings"] | dict(own_roi=True))
    assert "Region of interest drawn or edited by the user" in render(everywhere) and "elsewhere" not in render(everywhere)
