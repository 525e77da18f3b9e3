"""The phantoms of the contract, and certificates of one's own."""

import json
import re

import pytest

from VertebralBMDLib.calibration.catalogue import SCHEMA, load_phantom, phantom_names
from VertebralBMDLib.resources import resource

NAMES = {
    "mindways-model3",
    "mindways-model3-qa",
    "qrm-bdc3",
    "qrm-bdc6",
    "image-analysis-qct3d-plus",
    "intable",
    "b-mas200",
    "siemens-osteo",
    "esp",
}


def certificate(folder, **changes):
    entry = {
        "schema": "vertebral-bmd/phantom/1",
        "name": "own",
        "title": "Own",
        "material": "CaHA",
        "use": "calibration",
        "rods": [{"id": "A", "density_mg_cm3": 1.5}, {"id": "B", "density_mg_cm3": 101.0}, {"id": "C", "density_mg_cm3": 199.0}],
        "geometry": {"rod_diameter_mm": 18.0, "rod_spacing_mm": 35.0},
    }
    path = folder / "Größe 1.json"
    path.write_text(json.dumps({key: value for key, value in (entry | changes).items() if value is not None}), encoding="utf-8")
    return str(path)


def small_certificate(folder, **entry):
    path = folder / "ours.json"
    path.write_text(json.dumps(entry), encoding="utf-8")
    return str(path)


def test_the_catalogue_holds_the_phantoms_of_the_contract():
    assert set(phantom_names()) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_entry_is_complete_and_named_like_its_file(name):
    phantom = load_phantom(name)
    assert phantom.name == name and phantom.title and phantom.use in ("calibration", "validation")
    assert len(phantom.rods) >= 2 and 8 <= phantom.rod_diameter_mm <= 25 and phantom.rod_spacing_mm > phantom.rod_diameter_mm
    water = [rod.water_mg_cm3 for rod in phantom.rods]
    assert all(water) if phantom.material == "K2HPO4" else not any(water)
    assert phantom.source and phantom.confidence in ("H", "M", "L")
    entry = json.loads(resource("Phantoms", f"{name}.json").read_text(encoding="utf-8"))
    assert entry["schema"] == SCHEMA and entry["maker"] and entry["geometry"]["confidence"] == "L"


def test_densities_and_materials_are_those_of_the_certificates():
    densities = {name: [rod.density_mg_cm3 for rod in load_phantom(name).rods] for name in NAMES}
    assert densities["qrm-bdc3"] == [100, 400, 800] and densities["qrm-bdc6"] == [0, 100, 200, 400, 600, 800]
    assert densities["image-analysis-qct3d-plus"] == [8.0, 97.3, 189.8] and densities["b-mas200"] == [0, 50, 100, 150, 200]
    assert densities["siemens-osteo"] == [0, 200] and densities["esp"] == [50, 100, 200]
    model3, qa = load_phantom("mindways-model3"), load_phantom("mindways-model3-qa")
    assert [(r.density_mg_cm3, r.water_mg_cm3) for r in model3.rods] == [
        (-51.83, 1012.25),
        (-53.40, 1056.95),
        (58.88, 1103.57),
        (157.05, 1119.52),
        (375.83, 923.20),
    ]
    assert [(r.density_mg_cm3, r.water_mg_cm3) for r in qa.rods] == [
        (58.88, 1103.57),
        (-53.40, 1056.95),
        (157.05, 1119.52),
        (157.13, 1120.10),
    ]
    assert {name for name in NAMES if load_phantom(name).material == "K2HPO4"} == {"mindways-model3", "mindways-model3-qa"}
    assert {name for name in NAMES if load_phantom(name).use == "validation"} == {"esp"}
    # Nobody gets these without asking: the values of one are on each certificate, the other lies under no patient.
    assert densities["intable"] == [0, 75, 150]
    assert {name for name in NAMES if not load_phantom(name).automatic} == {"intable", "mindways-model3-qa"}


def test_a_certificate_of_the_same_form_can_be_given_by_path(tmp_path):
    phantom = load_phantom(certificate(tmp_path))
    assert (
        phantom.name == "own"
        and [rod.density_mg_cm3 for rod in phantom.rods] == [1.5, 101.0, 199.0]
        and phantom.rods[0].water_mg_cm3 is None
    )


def rods(*entries):
    return {"rods": [dict(zip(("id", "density_mg_cm3", "water_mg_cm3"), entry)) for entry in entries]}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"material": "CaCO3"}, "material must be K2HPO4 or CaHA, not 'CaCO3'"),
        ({"material": None}, "lacks material"),
        ({"schema": "vertebral-bmd/phantom/2"}, "schema must be vertebral-bmd/phantom/1, not 'vertebral-bmd/phantom/2'"),
        ({"use": "decoration"}, "use must be calibration or validation, not 'decoration'"),
        ({"densities": [1, 2]}, "unknown densities"),
        ({"count": -3}, "unknown count"),
        ({"automatic": "no"}, "automatic must be true or false"),
        ({"confidence": "sure"}, "confidence must be H, M, L or null"),
        ({"title": " "}, "title must be a text"),
        ({"rods": None}, "lacks rods"),
        ({"rods": 5}, "rods must be a list, not 5"),
        ({"rods": ["A"]}, "a rod must be an object"),
        (rods(("A", 1.0), ("A", 2.0)), "two rods have the same id A"),
        (rods(("A", "much"), ("B", 1.0)), "density_mg_cm3 of rod A must be a number from -20 to 2000, not 'much'"),
        (rods(("A", True), ("B", 100.0)), "not True"),
        (rods(("A", float("nan")), ("B", 100.0)), "rod A must be a number"),
        (rods(("A", float("inf")), ("B", 100.0)), "rod A must be a number"),
        (rods(("A", -53.4), ("B", 100.0)), "rod A must be a number from -20"),
        (rods(("A", 0.0), ("B", 80000.0)), "rod B must be a number"),
        (rods(("A",), ("B", 1.0)), "rod A lacks density_mg_cm3"),
        (rods((7, 0.0), ("B", 1.0)), "id of a rod must be a text, not 7"),
        ({"rods": [{"id": "A", "density_mg_cm3": 1.0, "hu": 3}, {"id": "B", "density_mg_cm3": 2.0}]}, "a rod has the unknown hu"),
        (rods(("A", 0.0, 1000.0), ("B", 100.0, 1000.0)), "water_mg_cm3 belongs to rods of K2HPO4, not of CaHA"),
        ({"material": "K2HPO4"} | rods(("A", 0.0, 1000.0), ("B", 100.0), ("C", 200.0)), "rod B, C lacks water_mg_cm3"),
        ({"material": "K2HPO4"} | rods(("A", 0.0, 1.0), ("B", 100.0, 1000.0)), "water_mg_cm3 of rod A must be a number from 500 to 1500, not 1.0"),
        ({"geometry": {}}, "geometry lacks rod_diameter_mm, rod_spacing_mm"),
        ({"geometry": [18, 30]}, "geometry must be an object"),
        ({"geometry": {"rod_diameter_mm": 0.0, "rod_spacing_mm": 30.0}}, "rod_diameter_mm must be a number from 1 to 60, not 0.0"),
        ({"geometry": {"rod_diameter_mm": 18.0, "rod_spacing_mm": -30.0}}, "rod_spacing_mm must be a number"),
        ({"geometry": {"rod_diameter_mm": 18.0, "rod_spacing_mm": 12.0}}, "rod_spacing_mm must be larger than rod_diameter_mm"),
    ],
)  # fmt: skip
def test_a_wrong_certificate_is_refused_by_name_in_one_sentence(tmp_path, changes, sentence):
    with pytest.raises(ValueError, match=f"Größe 1.json: .*{re.escape(sentence)}") as caught:
        load_phantom(certificate(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_a_small_certificate_changes_the_rods_it_names(tmp_path):
    changed = [{"id": "A", "density_mg_cm3": -50.1, "water_mg_cm3": 1011.0}, {"id": "D", "density_mg_cm3": 156.2}]
    ours, base = (
        load_phantom(small_certificate(tmp_path, based_on="mindways-model3", serial="#7", rods=changed)),
        load_phantom("mindways-model3"),
    )
    assert [(rod.density_mg_cm3, rod.water_mg_cm3) for rod in ours.rods] == [
        (-50.1, 1011.0),
        (-53.40, 1056.95),
        (58.88, 1103.57),
        (156.2, 1119.52),
        (375.83, 923.20),
    ]
    assert (ours.name, ours.serial, ours.source, ours.confidence) == ("mindways-model3-own", "#7", "Own certificate.", "H")
    assert (ours.material, ours.rod_diameter_mm, ours.rod_spacing_mm) == (base.material, base.rod_diameter_mm, base.rod_spacing_mm)
    assert base.rods[0].density_mg_cm3 == -51.83 and base.serial == "#4541A, #4560"


def test_a_small_certificate_may_name_itself_and_its_geometry(tmp_path):
    ours = load_phantom(small_certificate(tmp_path, based_on="qrm-bdc3", name="ward-3", geometry={"rod_spacing_mm": 32.0}))
    assert (ours.name, ours.rod_diameter_mm, ours.rod_spacing_mm, ours.serial) == ("ward-3", 18.0, 32.0, None)
    assert ours.rods == load_phantom("qrm-bdc3").rods


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"based_on": "mindways-model9"}, "based_on must be one of b-mas200, .* not 'mindways-model9'"),
        ({"based_on": 3}, "based_on must be one of .* not 3"),
        ({"based_on": "qrm-bdc3", "rods": [{"id": "R4", "density_mg_cm3": 1.0}, {"id": "R9"}]}, "qrm-bdc3 has no rod R4, R9"),
        ({"based_on": "qrm-bdc3", "rods": [{"id": "R1"}, {"id": "R1"}]}, "two rods have the same id R1"),
        ({"based_on": "qrm-bdc3", "rods": [{"id": "R1", "density": 1.0}]}, "a rod has the unknown density"),
        ({"based_on": "qrm-bdc3", "material": "K2HPO4"}, "material of qrm-bdc3 is CaHA, not 'K2HPO4'"),
        ({"based_on": "mindways-model3", "rods": [{"id": "B", "water_mg_cm3": None}]}, "rod B lacks water_mg_cm3"),
        ({"based_on": "qrm-bdc3", "geometry": {"rod_radius_mm": 9.0}}, "geometry has the unknown rod_radius_mm"),
        ({"based_on": "qrm-bdc3", "rod": []}, "unknown rod;"),
    ],
)
def test_a_wrong_small_certificate_is_refused_by_name(tmp_path, entry, sentence):
    with pytest.raises(ValueError, match=f"ours.json: .*{sentence}"):
        load_phantom(small_certificate(tmp_path, **entry))


def test_a_certificate_without_two_different_rods_is_refused(tmp_path):
    for rods in ([], [{"id": "A", "density_mg_cm3": 100.0}], [{"id": "A", "density_mg_cm3": 100.0}, {"id": "B", "density_mg_cm3": 100.0}]):
        with pytest.raises(ValueError, match="Größe 1.json"):
            load_phantom(certificate(tmp_path, rods=rods))


def test_what_is_no_json_is_refused_by_name(tmp_path):
    (tmp_path / "bad.json").write_text("{ this is no JSON", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.json"):
        load_phantom(str(tmp_path / "bad.json"))
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"bad\.json"):
        load_phantom(str(tmp_path / "bad.json"))
    (tmp_path / "bad.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.json: it must hold one phantom"):
        load_phantom(str(tmp_path / "bad.json"))


def test_a_key_that_is_given_twice_is_refused(tmp_path):
    (tmp_path / "twice.json").write_text('{"based_on": "qrm-bdc3", "rods": [{"id": "R1", "density_mg_cm3": 1, "density_mg_cm3": 2}]}')
    with pytest.raises(ValueError, match=r"twice\.json: density_mg_cm3 is given twice"):
        load_phantom(str(tmp_path / "twice.json"))


@pytest.mark.parametrize("name", ["qrm", "QRM-BDC3", "", "/nowhere/at-all.json", "../Phantoms/qrm-bdc3"])
def test_an_unknown_name_is_refused_with_the_names_there_are(name):
    with pytest.raises(ValueError, match="b-mas200.*siemens-osteo") as caught:
        load_phantom(name)
    assert repr(name) in str(caught.value)
