"""Attenuation physics against the published slopes (NIST tables, displaced volume included)."""

import pytest

from VertebralBMDLib.simulation import materials

SLOPES = {  # mg/cm3 per HU at keV
    "K2HPO4": {50: 0.447, 55: 0.520, 60: 0.598, 65: 0.663, 70: 0.730, 75: 0.799, 80: 0.871},
    "CaHA": {50: 0.441, 55: 0.518, 60: 0.603, 65: 0.675, 70: 0.751, 75: 0.831, 80: 0.915},
}


@pytest.mark.parametrize("mineral", SLOPES)
def test_slopes_follow_the_tables(mineral):
    for kev, slope in SLOPES[mineral].items():
        assert 1.0 / materials.hu_per_mg_cm3(mineral, float(kev)) == pytest.approx(slope, abs=0.0011)


def test_sigma_ref_follows_the_tables():
    expected = {50: 2.46, 55: 2.14, 60: 1.89, 65: 1.73, 70: 1.59, 75: 1.47, 80: 1.37}
    for kev, sigma in expected.items():
        assert materials.sigma_ref("K2HPO4", float(kev)) == pytest.approx(sigma, abs=0.006)


def test_soft_tissue_hu_is_plausible():
    kev = materials.effective_kev(120)
    assert materials.hu_of_mixture({"water": 1.0}, kev) == pytest.approx(0.0)
    assert -90 < materials.hu_of_mixture({"adipose": 0.95}, kev) < -70
    assert 35 < materials.hu_of_tissue({"muscle": 1.0}, kev) < 60


def test_marrow_fat_lowers_the_reading():
    kev = materials.effective_kev(120)
    lean, fatty = (materials.qct_equivalent(materials.bone_hu(150.0, f, kev), "CaHA", kev) for f in (0.4, 0.5))
    assert 5.0 <= lean - fatty <= 11.0


def test_mineral_and_reading_are_inverse():
    kev = materials.effective_kev(120)
    mineral = materials.mineral_for_qct(95.0, 0.55, kev)
    assert materials.qct_equivalent(materials.bone_hu(mineral, 0.55, kev), "CaHA", kev) == pytest.approx(95.0)


def test_out_of_range_is_named():
    with pytest.raises(ValueError, match="kvp must be one of"):
        materials.effective_kev(90)
    with pytest.raises(ValueError, match="kev must be within 40-100"):
        materials.mass_attenuation("water", 20.0)
