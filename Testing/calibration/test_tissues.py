"""Air, fat, muscle and blood: read where they are, left out where they are not."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tissue_trunk import AIR, BLOOD, FAT, MUSCLE, trunk

from VertebralBMDLib.calibration.tissues import find_tissues
from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient
from VertebralBMDLib.simulation.scanner import PHYSICS, Scanner
from VertebralBMDLib.simulation.subject import person_of

CT = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"


def found(image, bodies):
    return {tissue.name: tissue for tissue in find_tissues(image, bodies)}


def hu_of(tissues):
    return {name: tissue.hu for name, tissue in tissues.items()}


@pytest.fixture(scope="module")
def plain():
    return trunk()


def test_the_tissues_of_a_plain_trunk_are_read_where_they_are(plain):
    tissues = found(*plain)
    assert hu_of(tissues) == pytest.approx({"air": AIR, "fat": FAT, "muscle": MUSCLE, "blood": BLOOD}, abs=2.0)
    x, y, _z = tissues["blood"].centre_lps_mm
    assert (x, y) == pytest.approx((7.0, -12.0), abs=2.5)
    assert tissues["muscle"].centre_lps_mm[1] > 40.0
    assert all(tissue.volume_cm3 > 3.0 and tissue.sd_hu > 1.0 for tissue in tissues.values())


@pytest.mark.parametrize("axes", [("R", "A", "S"), ("P", "I", "R"), ("L", "I", "A")])
def test_the_orientation_of_the_scan_does_not_matter(plain, axes):
    turned = found(*(sitk.DICOMOrient(image, "".join(axes)) for image in plain))
    straight = found(*plain)
    assert hu_of(turned) == pytest.approx(hu_of(straight), abs=0.5)
    for name in straight:
        np.testing.assert_allclose(turned[name].centre_lps_mm, straight[name].centre_lps_mm, atol=1.0)


@pytest.mark.parametrize("spacing", [(0.9, 0.9, 5.0), (2.5, 2.5, 1.0)])
def test_thick_slices_and_wide_pixels_give_the_same(spacing):
    assert hu_of(found(*trunk(spacing_mm=spacing))) == pytest.approx({"air": AIR, "fat": FAT, "muscle": MUSCLE, "blood": BLOOD}, abs=3.0)


def test_noise_moves_no_centre():
    assert hu_of(found(*trunk(noise_hu=60.0))) == pytest.approx({"air": AIR, "fat": FAT, "muscle": MUSCLE, "blood": BLOOD}, abs=4.0)


@pytest.mark.parametrize("padding", [-1024.0, -2000.0, -3024.0])
def test_padding_is_not_air(padding):
    assert found(*trunk(padding=padding))["air"].hu == pytest.approx(AIR, abs=2.0)


def test_air_that_was_cut_off_flat_is_left_out():
    image, bodies = trunk(noise_hu=0.0)
    assert "air" not in found(sitk.Maximum(image, -990), bodies)


@pytest.mark.parametrize("blood", [140.0, 350.0, 650.0])
def test_enhanced_blood_is_read_as_it_is(blood):
    assert found(*trunk(blood))["blood"].hu == pytest.approx(blood, rel=0.02)


def test_a_calcified_wall_an_aneurysm_and_a_bent_spine_do_not_lose_the_aorta():
    calcified = found(*trunk(wall_hu=600.0))["blood"]
    aneurysm = found(*trunk(radius_mm=lambda z: 10.0 + 14.0 * np.exp(-(((z - 60.0) / 30.0) ** 2))))["blood"]
    bent = found(*trunk(aside_mm=lambda z: 18.0 * np.sin(z / 50.0)))["blood"]
    assert [each.hu for each in (calcified, aneurysm, bent)] == pytest.approx([BLOOD] * 3, abs=4.0)


def test_without_an_aorta_there_is_no_blood():
    assert set(found(*trunk(blood=None))) == {"air", "fat", "muscle"}
    assert "blood" not in found(*trunk(radius_mm=lambda z: 10.0 if 60.0 < z < 80.0 else 0.0))


def test_a_field_that_shows_only_the_spine_gives_no_air_and_no_fat(plain):
    cut = [sitk.RegionOfInterest(image, [80, 90, image.GetSize()[2]], [75, 55, 0]) for image in plain]
    assert hu_of(found(*cut)) == pytest.approx({"muscle": MUSCLE, "blood": BLOOD}, abs=3.0)


def test_a_field_that_ends_behind_the_bodies_gives_no_muscle(plain):
    cut = [sitk.RegionOfInterest(image, [120, 117, image.GetSize()[2]], [60, 0, 0]) for image in plain]
    assert "muscle" not in found(*cut) and found(*cut)["blood"].hu == pytest.approx(BLOOD, abs=3.0)


def test_without_bodies_nothing_is_looked_for(plain):
    image, bodies = plain
    assert find_tissues(image, bodies * 0) == ()
    assert find_tissues(image, sitk.Cast(bodies == 20, sitk.sitkUInt8) * 3) == ()


def test_a_simulated_patient_shows_her_own_tissues(patient):
    """Fat and muscle are drawn with septa and streaks of the other, which move them towards each other."""
    seed, scanner = patient.truth["seed"], patient.truth["spec"]["scanner"]
    one = PatientSpec(seed=seed, vbmd=105.0)
    person, beam = person_of(one), one.scanner.beam
    tissues = found(patient.image, patient.bodies)
    for name, of, low, high in (("fat", "fat", 0.0, 16.0), ("muscle", "muscle", -10.0, 2.0), ("blood", "artery", -3.0, 3.0)):
        true = beam.hu(getattr(person.tissues, of)) * (1 + scanner["slope_error"]) + scanner["intercept_hu"]
        assert low < tissues[name].hu - true < high, name


@pytest.mark.parametrize(
    ("contrast", "kvp", "kernel", "noise", "slices"), [("portal", 120, "LUNG", 12.0, 2.5), ("none", 100, "SOFT", 40.0, 5.0)]
)
def test_blood_of_a_simulated_patient_is_right_in_every_phase(contrast, kvp, kernel, noise, slices):
    scanner = Scanner(kvp=kvp, kernel=kernel, thickness_mm=None, noise_hu=noise, **PHYSICS)
    spec = PatientSpec(seed=7103, age=75.0, contrast=contrast, levels=("T12", "L3"), spacing_mm=(1.3, 1.3, slices), scanner=scanner)
    one = simulate_patient(spec)
    true = scanner.beam.hu(person_of(spec).tissues.artery)
    assert found(one.image, one.bodies)["blood"].hu == pytest.approx(true, abs=max(5.0, 0.06 * true))


real = pytest.mark.skipif(not CT.is_dir(), reason="the development data are not here (../shared/data/ct)")


def real_scan(name):
    image, bodies = (sitk.ReadImage(str(CT / f"{kind}_{name}.nii.gz")) for kind in ("CT", "BODIES"))
    return image, sitk.Cast(bodies, sitk.sitkUInt8)


@real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "enhanced"),
    [
        ("TCGA-09-2043", True),
        ("C3N-00249", True),
        ("CRLM-1004", True),
        ("ACRIN-FLT-001", False),
        ("LIDC-0314", False),
        ("TS-example", False),
    ],
)
def test_real_tissues_lie_in_their_gates_and_the_aorta_tells_the_phase(name, enhanced):
    tissues = found(*real_scan(name))
    assert (tissues["blood"].hu > 100.0) == enhanced and (enhanced or 30.0 < tissues["blood"].hu < 55.0)
    assert 15.0 < tissues["muscle"].hu < 75.0
    assert ("fat" in tissues) == ("air" in tissues) == (name != "LIDC-0314"), "its field is too tight for skin and air"
    assert name == "LIDC-0314" or (-115.0 < tissues["fat"].hu < -90.0 and -1025.0 < tissues["air"].hu < -980.0)


@real
@pytest.mark.slow
def test_blood_lies_in_the_aorta_that_was_annotated_on_a_real_scan():
    image, bodies = real_scan("TS-example")
    organs = sitk.ReadImage(str(CT / "ORGANS_TS-example.nii.gz"))
    blood = found(image, bodies)["blood"]
    aorta = sitk.GetArrayFromImage(organs) == 52
    k = image.TransformPhysicalPointToIndex(blood.centre_lps_mm)[2]
    ys, xs = np.nonzero(aorta[k])
    middle = image.TransformContinuousIndexToPhysicalPoint((float(xs.mean()), float(ys.mean()), float(k)))
    # The centre of gravity of a bent tube need not lie in it.
    assert np.hypot(*(np.array(middle) - blood.centre_lps_mm)[:2]) < 8.0
    assert blood.hu == pytest.approx(np.median(sitk.GetArrayViewFromImage(image)[aorta]), abs=6.0)
