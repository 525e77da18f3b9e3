"""Certificates that the user edits: begun from the catalogue, saved only when they can be read again."""

import json

import pytest

from VertebralBMDLib.calibration.catalogue import load_phantom, phantom_names
from VertebralBMDLib.calibration.certificate import certificate_from, save_certificate
from VertebralBMDLib.resources import resource


@pytest.mark.parametrize("name", phantom_names())
def test_a_certificate_begun_from_the_catalogue_reads_back_as_the_same_rods(name, tmp_path):
    path = tmp_path / "Größe 1.json"
    saved = save_certificate(certificate_from(name), path)
    read, base = load_phantom(str(path)), load_phantom(name)
    assert saved == read and read.rods == base.rods and read.material == base.material and read.use == base.use
    assert (read.rod_diameter_mm, read.rod_spacing_mm) == (base.rod_diameter_mm, base.rod_spacing_mm)
    assert read.name == f"{name}-own" and read.source == "Own certificate." and read.serial is None
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_what_was_edited_is_saved_and_a_certificate_of_ones_own_stays_what_it_is(tmp_path):
    entry = certificate_from("mindways-model3") | {"serial": "#1234"}
    entry["rods"][0]["density_mg_cm3"] = -50.1
    path = tmp_path / "ours.json"
    save_certificate(entry, path)
    assert load_phantom(str(path)).rods[0].density_mg_cm3 == -50.1 and load_phantom("mindways-model3").rods[0].density_mg_cm3 == -51.83
    assert certificate_from(str(path)) == json.loads(path.read_text(encoding="utf-8"))
    assert certificate_from(str(path))["serial"] == "#1234"


def test_a_small_certificate_is_edited_whole(tmp_path):
    path = tmp_path / "small.json"
    path.write_text(json.dumps({"based_on": "qrm-bdc3", "rods": [{"id": "R1", "density_mg_cm3": 99.0}]}), encoding="utf-8")
    entry = certificate_from(str(path))
    assert [rod["density_mg_cm3"] for rod in entry["rods"]] == [99.0, 400.0, 800.0] and "based_on" not in entry
    assert save_certificate(entry, path).rods[0].density_mg_cm3 == 99.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "qrm-bdc3"}, "name of the catalogue's own entry"),
        ({"rods": [{"id": "A", "density_mg_cm3": "abc"}]}, "density_mg_cm3 of rod A must be a number from -20 to 2000, not 'abc'"),
        ({"rods": [{"id": "A", "density_mg_cm3": 1.0}, {"id": "A", "density_mg_cm3": 2.0}]}, "two rods have the same id A"),
        ({"rods": [{"id": "A", "density_mg_cm3": 1.0}]}, "two rods of different density"),
        ({"material": "bone"}, "material must be K2HPO4 or CaHA"),
        ({"title": " "}, "title must be a text"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(change, words, tmp_path):
    path = tmp_path / "own.json"
    path.write_text("kept", encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        save_certificate(certificate_from("qrm-bdc3") | change, path)
    assert path.read_text(encoding="utf-8") == "kept"


def test_files_that_cannot_be_a_certificate_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must end with .json, not 'own.txt'"):
        save_certificate(certificate_from("qrm-bdc3"), tmp_path / "own.txt")
    inside = resource("Phantoms") / "mine.json"
    with pytest.raises(ValueError, match="folder of your own"):
        save_certificate(certificate_from("qrm-bdc3"), inside)
    assert not inside.exists()
