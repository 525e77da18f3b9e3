"""The phantom catalogue, its rods' theoretical HU, and rods that lie as in life."""

import json
from dataclasses import replace

import numpy as np
import pytest

from VertebralBMDLib.calibration.catalogue import load_phantom, phantom_names
from VertebralBMDLib.resources import resource
from VertebralBMDLib.simulation.beam import reference_beam
from VertebralBMDLib.simulation.couch import Couch
from VertebralBMDLib.simulation.phantom import paint_phantom, rod_material
from VertebralBMDLib.simulation.shapes import Canvas, Grid
from VertebralBMDLib.simulation.support import ALONE, Mounting, draw_mounting, lay

CONTRACT = {
    "mindways-model3",
    "mindways-model3-qa",
    "qrm-bdc3",
    "qrm-bdc6",
    "image-analysis-qct3d-plus",
    "b-mas200",
    "siemens-osteo",
    "esp",
    "intable",
}
BENT = Mounting("slab", 8.0, tilt_deg=3.0, yaw_deg=2.0, roll_deg=2.0, sag_mm=5.0, mirrored=True)
GRID = Grid((-130.0, -45.0, -60.0), (1.0, 1.0, 3.0), (260, 90, 40))


def placed(name, mounting=Mounting(), couch=Couch()):
    return lay(couch, None, load_phantom(name), mounting).placed


def painted(phantom, grid=GRID):
    canvas = Canvas(grid, reference_beam(120))
    paint_phantom(canvas, phantom)
    return canvas


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


@pytest.mark.parametrize("mounting", [Mounting(), BENT], ids=["level", "bent"])
@pytest.mark.parametrize("name", sorted(CONTRACT - {ALONE}))
def test_painted_rods_follow_their_centre_line_with_their_theoretical_hu(name, mounting):
    phantom, beam = placed(name, mounting), reference_beam(120)
    canvas = painted(phantom)
    x, y = np.meshgrid(GRID.axis(0), GRID.axis(1))
    for rod in phantom.rods:
        line, cut = rod.in_field(GRID)
        assert len(line) == 9 and not cut
        for k in (0, 20, 39):
            z = GRID.axis(2)[k]
            cx, cy = (np.interp(z, rod.line_lps_mm[:, 2], rod.line_lps_mm[:, i]) for i in (0, 1))
            core = np.hypot(x - cx, y - cy) < 0.5 * rod.diameter_mm - 2.0
            assert canvas.hu[k][core].mean() == pytest.approx(beam.hu(rod.material), abs=0.1)
            assert np.ptp(canvas.hu[k][core]) < 0.1


@pytest.mark.parametrize("mounting", [Mounting(), BENT], ids=["level", "bent"])
@pytest.mark.parametrize("name", sorted(CONTRACT - {ALONE}))
def test_the_row_stays_inside_the_body(name, mounting):
    """All around every rod lies resin, not air."""
    phantom = placed(name, mounting)
    canvas = painted(phantom)
    x, y = np.meshgrid(GRID.axis(0), GRID.axis(1))
    for rod in phantom.rods:
        cx, cy = (np.interp(GRID.axis(2)[20], rod.line_lps_mm[:, 2], rod.line_lps_mm[:, i]) for i in (0, 1))
        assert canvas.hu[20][np.hypot(x - cx, y - cy) < 0.5 * rod.diameter_mm + 1.5].min() > -100.0


def test_mirrored_and_shifted_rods_lie_where_the_truth_says():
    straight, other = placed("qrm-bdc3"), placed("qrm-bdc3", Mounting(mirrored=True, offset_x_mm=20.0))
    a, b = ([rod.line_lps_mm[30, 0] for rod in p.rods] for p in (straight, other))
    assert np.allclose(a, [-30.0, 0.0, 30.0]) and np.allclose(b, [50.0, 20.0, -10.0])


def test_a_short_phantom_ends_inside_the_field():
    phantom = placed("qrm-bdc3", Mounting(ends_mm=(-30.0, 200.0)))
    canvas, truth = painted(phantom), phantom.rods[1].truth(GRID, reference_beam(120), np.zeros(3))
    assert canvas.hu[:9].max() == -1000.0 and canvas.hu[12:].max() > 300.0
    assert truth["ends_in_the_field"] and truth["start_lps_mm"][2] == pytest.approx(-30.0)
    assert not placed("qrm-bdc3").rods[1].truth(GRID, reference_beam(120), np.zeros(3))["ends_in_the_field"]


def test_a_phantom_cut_by_the_field_says_so_and_one_outside_is_refused():
    phantom = placed("qrm-bdc3", Mounting(offset_x_mm=100.0))
    assert [rod.in_field(GRID)[1] for rod in phantom.rods] == [False, False, True]
    phantom.check_in_field(GRID)
    for axis in (0, 1):
        origin = list(GRID.origin_mm)
        origin[axis] += 300.0
        with pytest.raises(ValueError, match="phantom outside the field: qrm-bdc3 lies at x -*[0-9]+ to"):
            phantom.check_in_field(replace(GRID, origin_mm=tuple(origin)))


def test_drawing_does_not_depend_on_the_grid():
    phantom = placed("mindways-model3", BENT)
    whole = painted(phantom)
    part = painted(phantom, replace(GRID, origin_mm=(-30.0, -25.0, 0.0), size=(40, 30, 10)))
    np.testing.assert_allclose(part.hu, whole.hu[20:30, 20:50, 100:140], atol=0.02)


def test_a_coarse_drawing_keeps_the_mass():
    """The rods of a 5 mm twin weigh what the rods of a fine grid weigh."""
    phantom = placed("qrm-bdc3", BENT)
    fine, coarse = painted(phantom), painted(phantom, Grid((-128.0, -43.0, -57.0), (5.0, 5.0, 6.0), (52, 18, 20)))
    mass = [float((c.hu + 1000.0).sum(dtype=float) * np.prod(c.grid.spacing_mm)) for c in (fine, coarse)]
    assert mass[1] == pytest.approx(mass[0], rel=0.01)


def test_drawn_mountings_cover_l1_and_l2_and_repeat():
    phantom = load_phantom("mindways-model3")
    drawn = [draw_mounting(np.random.default_rng(k), phantom) for k in range(60)]
    assert all(m.ends_mm[0] <= -50.0 and m.ends_mm[1] >= 30.0 for m in drawn)
    assert {m.place for m in drawn} == {"slab", "pad"} and {m.filling for m in drawn} == {"air", "towel", "gel"}
    assert drawn[3] == draw_mounting(np.random.default_rng(3), phantom)


def test_unknown_phantom_is_named():
    with pytest.raises(ValueError, match=r"phantom must be one of .*qrm-bdc3"):
        load_phantom("no-such-phantom")


@pytest.mark.parametrize("wrong", [{"tilt_deg": 30.0}, {"place": "floor"}, {"ends_mm": (5.0, 5.0)}, {"gap_mm": -1.0}, {"filling": "mud"}])
def test_wrong_mountings_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Mounting(**wrong)
