"""The phantom catalogue and its rods' theoretical HU."""

import json

import numpy as np
import pytest

from VertebralBMDLib.calibration.catalogue import load_phantom, phantom_names
from VertebralBMDLib.resources import resource
from VertebralBMDLib.simulation.beam import reference_beam
from VertebralBMDLib.simulation.phantom import paint_phantom, place_rods, rod_material
from VertebralBMDLib.simulation.shapes import Canvas, Grid

CONTRACT = {
    "mindways-model3",
    "mindways-model3-qa",
    "qrm-bdc3",
    "qrm-bdc6",
    "image-analysis-qct3d-plus",
    "b-mas200",
    "siemens-osteo",
    "esp",
}


def test_catalogue_is_complete_and_well_formed():
    assert set(phantom_names()) == CONTRACT
    for name in CONTRACT:
        entry = json.loads(resource("Phantoms", f"{name}.json").read_text(encoding="utf-8"))
        assert entry["schema"] == "vertebral-bmd/phantom/1" and entry["name"] == name
        assert entry["material"] == ("K2HPO4" if name.startswith("mindways") else "CaHA")
        assert all(("water_mg_cm3" in rod) == name.startswith("mindways") for rod in entry["rods"])


def test_caha_rods_lie_on_the_ideal_line():
    phantom, beam = load_phantom("qrm-bdc6"), reference_beam(120)
    for rod in phantom.rods:
        assert beam.qct_equivalent(beam.hu(rod_material(phantom, rod)), "CaHA") == pytest.approx(rod.density_mg_cm3)


def test_mindways_fit_returns_the_ideal_reading():
    phantom, beam = load_phantom("mindways-model3"), reference_beam(120)
    density = [rod.density_mg_cm3 for rod in phantom.rods]
    excess = [beam.hu(rod_material(phantom, rod)) - rod.water_mg_cm3 for rod in phantom.rods]
    sigma_ref, beta_ref = np.polyfit(density, excess, 1)
    sigma_ct, beta_ct = sigma_ref - 0.2174, beta_ref + 999.6
    assert (150.0 - beta_ct) / sigma_ct == pytest.approx(beam.qct_equivalent(150.0, "K2HPO4"), abs=0.1)


@pytest.mark.parametrize("name", ["mindways-model3", "qrm-bdc3", "siemens-osteo"])
def test_painted_rods_have_their_theoretical_hu(name):
    phantom, beam = load_phantom(name), reference_beam(120)
    canvas = Canvas(Grid((-100.0, -20.0, 0.0), (0.8, 0.8, 2.0), (250, 50, 6)), beam)
    rods = place_rods(phantom, (0.0, 0.0), (-5.0, 20.0))
    paint_phantom(canvas, rods)
    x, y = np.meshgrid(canvas.grid.axis(0), canvas.grid.axis(1))
    for rod in rods:
        core = np.hypot(x - rod.start_lps_mm[0], y - rod.start_lps_mm[1]) < 0.35 * rod.diameter_mm
        assert canvas.hu[:, core].mean() == pytest.approx(beam.hu(rod_material(phantom, rod.rod)), abs=0.1)


def test_unknown_phantom_is_named():
    with pytest.raises(ValueError, match=r"phantom must be one of .*qrm-bdc3"):
        load_phantom("no-such-phantom")
