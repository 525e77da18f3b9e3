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
from report_case import NAME, measurement

from VertebralBMDLib.quality import Code
from VertebralBMDLib.report import files
from VertebralBMDLib.report.document import document, refusal_document
from VertebralBMDLib.report.html import render
from VertebralBMDLib.report.table import COLUMNS, text_table, write_csv
from VertebralBMDLib.settings import Settings


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_measurement_leaves_its_six_files_and_no_others(calibrated, tmp_path):
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
    assert {path.name for path in tmp_path.iterdir()} == set(files.FILES) - {"roi.nii.gz"}


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
    assert {path.name for path in tmp_path.iterdir()} == {"measurement.json", "measurements.csv", "bodies.nii.gz", "roi.nii.gz"}
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
    rows = read_csv(tmp_path / "a.csv")
    assert tuple(rows[0]) == COLUMNS and [row["level"] for row in rows] == ["T12", "L1", "L2"]
    assert rows[0]["roi_mean_hu"] == "" and rows[0]["complete"] == "no" and rows[0]["flags"] == "BODY_CUT_OFF"
    assert float(rows[2]["vbmd_roi_mg_cm3"]) == result["vertebrae"][2]["vbmd_roi_mg_cm3"]
    assert float(rows[1]["patient_vbmd_mg_cm3"]) == result["patient"]["vbmd_mg_cm3"] and rows[1]["material"] == "K2HPO4"
    assert float(rows[1]["height_middle_mm"]) == 24.0 and rows[1]["calibration_source"] == "phantom"


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
