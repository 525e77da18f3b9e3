"""The phantoms of the contract, and certificates of one's own."""

import json
import re

import pytest

from VertebralBMDLib.calibration.catalogue import load_phantom, phantom_names

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


def test_the_catalogue_holds_the_phantoms_of_the_contract():
    assert set(phantom_names()) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_entry_is_complete_and_named_like_its_file(name):
    phantom = load_phantom(name)
    assert phantom.name == name and phantom.title and phantom.use in ("calibration", "validation")
    assert len(phantom.rods) >= 2 and 8 <= phantom.rod_diameter_mm <= 25 and phantom.rod_spacing_mm > phantom.rod_diameter_mm
    water = [rod.water_mg_cm3 for rod in phantom.rods]
    assert all(water) if phantom.material == "K2HPO4" else not any(water)


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
    assert load_phantom("esp").use == "validation"
    # its values are on each certificate: nobody gets them without asking
    assert densities["intable"] == [0, 75, 150] and {name for name in NAMES if not load_phantom(name).automatic} == {"intable"}


def test_a_certificate_of_the_same_form_can_be_given_by_path(tmp_path):
    phantom = load_phantom(certificate(tmp_path))
    assert (
        phantom.name == "own"
        and [rod.density_mg_cm3 for rod in phantom.rods] == [1.5, 101.0, 199.0]
        and phantom.rods[0].water_mg_cm3 is None
    )


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"material": "CaCO3"}, "CaCO3"),
        ({"material": None}, "material"),
        ({"rods": None}, "rods"),
        ({"rods": [{"id": "A", "density_mg_cm3": 1.0}, {"id": "A", "density_mg_cm3": 2.0}]}, "same id"),
        ({"rods": [{"id": "A", "density_mg_cm3": "much"}]}, "much"),
        ({"rods": [{"id": "A"}]}, "density_mg_cm3"),
        ({"rods": 5}, "not iterable"),
        ({"geometry": {}}, "rod_diameter_mm"),
    ],
)
def test_a_wrong_certificate_is_refused_by_name_with_the_reason(tmp_path, changes, word):
    with pytest.raises(ValueError, match=f"Größe 1.json.*{re.escape(word)}"):
        load_phantom(certificate(tmp_path, **changes))


def test_a_certificate_without_two_different_rods_is_refused(tmp_path):
    for rods in ([], [{"id": "A", "density_mg_cm3": 100.0}], [{"id": "A", "density_mg_cm3": 100.0}, {"id": "B", "density_mg_cm3": 100.0}]):
        with pytest.raises(ValueError, match="Größe 1.json"):
            load_phantom(certificate(tmp_path, rods=rods))


def test_what_is_no_json_is_refused_by_name(tmp_path):
    (tmp_path / "bad.json").write_text("{ this is no JSON", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.json"):
        load_phantom(str(tmp_path / "bad.json"))


@pytest.mark.parametrize("name", ["qrm", "QRM-BDC3", "", "/nowhere/at-all.json", "../Phantoms/qrm-bdc3"])
def test_an_unknown_name_is_refused_with_the_names_there_are(name):
    with pytest.raises(ValueError, match="b-mas200.*siemens-osteo") as caught:
        load_phantom(name)
    assert repr(name) in str(caught.value)
