"""From scan to assessment on the simulated patient, with everything a user can ask for or get wrong."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.anatomy import label_of
from VertebralBMDLib.pipeline import STAGES, NotMeasured, measure
from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.report import words
from VertebralBMDLib.report.document import document
from VertebralBMDLib.report.schema import validate
from VertebralBMDLib.report.table import rows
from VertebralBMDLib.scan import Acquisition, Scan, checked
from VertebralBMDLib.segmentation.levels import CERTAIN
from VertebralBMDLib.settings import Settings
from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient


def values(measurement):
    return {each.vertebra.level: each.density.vbmd_roi_mg_cm3 for each in measurement.measured}


def truth_of(patient, level):
    return patient.truth["levels"][level]["roi"]["qct_equivalent_mg_cm3"]["CaHA"]


def not_measured(scan, settings):
    with pytest.raises(NotMeasured) as caught:
        measure(scan, settings)
    return caught.value


def written(image, path):
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def test_the_patients_density_is_the_truth_within_five(own, patient):
    for level, value in values(own).items():
        assert value == pytest.approx(truth_of(patient, level), abs=5.0)


def test_the_bodies_found_measure_as_the_true_ones(measured, own):
    assert measured.assessment.levels == ("L1", "L2") and measured.assessment.refusals == ()
    for level, value in values(measured).items():
        assert value == pytest.approx(values(own)[level], abs=2.0)
    assert measured.assessment.vbmd_mg_cm3 == pytest.approx(np.mean(list(values(measured).values())))
    assert measured.assessment.category == "low_bone_mass"


def test_the_calibration_undoes_the_error_of_the_scanner(measured, patient):
    line, truth = measured.calibration, patient.truth["calibration"]["CaHA"]
    assert line.phantom == "qrm-bdc3" and line.material == "CaHA"
    assert line.slope_mg_cm3_per_hu == pytest.approx(truth["slope_mg_cm3_per_hu"], rel=0.01)
    assert line.intercept_mg_cm3 == pytest.approx(truth["intercept_mg_cm3"], abs=2.0)


def test_the_roi_lies_inside_its_body_and_far_from_its_surface(measured):
    roi, found = (sitk.GetArrayViewFromImage(image) for image in (measured.roi, measured.vertebrae.label_map))
    assert measured.roi.IsSameImageGeometryAs(measured.scan.image) and measured.roi.GetPixelID() == sitk.sitkUInt8
    assert set(np.unique(roi)) == {0, 20, 21}
    for each in measured.measured:
        inside = roi == each.vertebra.label
        assert np.all(found[inside] == each.vertebra.label)
        assert inside.sum() * np.prod(measured.scan.spacing_mm) / 1000 == pytest.approx(each.density.roi_volume_cm3)
        assert measured.scan.hu[inside].mean() == pytest.approx(each.density.roi_mean_hu)
        assert 1.0 < each.density.roi_volume_cm3 < 0.5 * each.vertebra.volume_cm3


def test_parts_of_a_vertebra_are_consistent(measured):
    for each in measured.measured:
        density = each.density
        assert density.vbmd_roi_mg_cm3 < density.integral_mg_cm3 < density.cortical_mg_cm3
        assert density.bmc_mg == pytest.approx(density.integral_mg_cm3 * each.vertebra.volume_cm3, rel=1e-6)
        assert density.vbmd_roi_mg_cm3 == pytest.approx(measured.calibration.density(density.roi_mean_hu))
        assert 18 < each.heights.posterior < 40 and 18 < each.heights.anterior < 40 and each.heights.loss < 0.15
        assert 0 <= each.network.osteoporosis_probability <= each.network.low_bone_mass_probability <= 1


def test_what_the_network_weighs_lies_in_the_measured_bodies(scan, measured):
    weights = measured.weights
    assert weights.GetPixelID() == sitk.sitkUInt8 and np.prod(weights.GetSize()) < 0.1 * scan.hu.size
    bodies = sitk.Resample(measured.vertebrae.label_map, weights, sitk.Transform(), sitk.sitkNearestNeighbor)
    percent, labels = sitk.GetArrayViewFromImage(weights), sitk.GetArrayViewFromImage(bodies)
    for each in measured.measured:
        assert percent[labels == each.vertebra.label].max() > 95
    seen = percent >= 50
    assert np.isin(labels[seen], [each.vertebra.label for each in measured.measured]).mean() > 0.8


def test_the_result_says_what_made_it(measured):
    assert [model.name for model in measured.models] == ["localise", "refine", "density"] and measured.device == "cpu"
    assert tuple(measured.seconds) == STAGES and all(seconds >= 0 for seconds in measured.seconds.values())
    validate(document(measured))


def test_the_same_scan_gives_the_same_result_again(scan, measured):
    again = measure(scan, Settings(device="cpu"))
    first, second = document(measured), document(again)
    assert {**first, "timings_s": None} == {**second, "timings_s": None}
    assert np.array_equal(sitk.GetArrayViewFromImage(again.roi), sitk.GetArrayViewFromImage(measured.roi))


def test_progress_names_every_stage_from_its_start_to_its_end(scan, bodies):
    seen = []
    measure(scan, Settings(device="cpu", bodies=bodies), lambda stage, fraction: seen.append((stage, fraction)))
    assert list(dict.fromkeys(stage for stage, _fraction in seen)) == list(STAGES)
    for stage in STAGES:
        fractions = [fraction for name, fraction in seen if name == stage]
        assert fractions[0] == 0.0 and fractions[-1] == 1.0 and fractions == sorted(fractions)


def test_a_level_that_the_user_excludes_is_measured_but_another_one_counts(scan, bodies, own):
    found = measure(scan, Settings(device="cpu", bodies=bodies, exclude=(("L1", "cement in the neighbour"),)))
    assert found.assessment.levels == ("L2", "L3") and found.assessment.left_out == (("L1", Code.LEVEL_EXCLUDED),)
    assert Code.LEVEL_SUBSTITUTED in found.assessment.flags
    assert found.measured[0].vertebra.level == "L1" and found.measured[0].density.roi_mean_hu == own.measured[0].density.roi_mean_hu
    assert found.assessment.vbmd_mg_cm3 == pytest.approx((values(found)["L2"] + values(found)["L3"]) / 2)
    told = document(found)
    validate(told)
    assert told["settings"]["exclude"] == [dict(level="L1", reason="cement in the neighbour")]
    assert words.left_out(told) == "L1 (LEVEL_EXCLUDED: cement in the neighbour)"
    cells = {row["level"]: row["exclusion_reason"] for row in rows(told)}
    assert cells.pop("L1") == "cement in the neighbour" and set(cells.values()) == {""}
    nothing = measure(scan, Settings(device="cpu", bodies=bodies, levels=("L1",), exclude=(("L1", "lesion"),)))
    assert nothing.assessment.refusals == (Code.LEVEL_EXCLUDED,) and nothing.assessment.vbmd_mg_cm3 is None


def test_own_bodies_give_the_truth_without_an_engine(own, patient):
    assert own.vertebrae.engine == "label-map" and [model.name for model in own.models] == ["density"]
    # A body of eight 3 mm slices is sampled, not known: one may be 5 off, both together less.
    errors = [value - truth_of(patient, level) for level, value in values(own).items()]
    assert max(np.abs(errors)) < 5.0 and abs(np.mean(errors)) < 3.0
    assert all(own.vertebrae.get(level).level_confidence == 1.0 for level in values(own))


@pytest.mark.parametrize("orientation", ["RAI", "PIR", "ASL"])
def test_the_same_scan_stored_another_way_has_the_same_roi_and_density(scan, patient, own, tmp_path, orientation):
    stored = Scan(sitk.DICOMOrient(scan.image, orientation), scan.acquisition)
    path = written(sitk.DICOMOrient(patient.bodies, orientation), tmp_path / "bodies.nii.gz")
    found = measure(stored, Settings(device="cpu", bodies=path))
    assert np.array_equal(sitk.GetArrayFromImage(sitk.DICOMOrient(found.roi, "LPS")), sitk.GetArrayFromImage(own.roi))
    assert values(found) == pytest.approx(values(own), abs=1e-3)
    assert found.measured[0].heights.anterior == pytest.approx(own.measured[0].heights.anterior, abs=1e-6)


def test_other_levels_can_be_measured(scan, bodies, patient):
    found = measure(scan, Settings(device="cpu", bodies=bodies, levels=("L2", "L3", "L4")))
    assert found.assessment.levels == ("L2", "L3", "L4") and found.assessment.category != "withheld"
    for level, value in values(found).items():
        assert value == pytest.approx(truth_of(patient, level), abs=4.0)
    assert set(np.unique(sitk.GetArrayViewFromImage(found.roi))) == {0, 21, 22, 23}


def test_thoracic_levels_are_measured_without_a_category(scan, bodies):
    found = measure(scan, Settings(device="cpu", bodies=bodies, levels=("T12", "L1")))
    assert (
        found.assessment.vbmd_mg_cm3 is not None
        and found.assessment.category == "withheld"
        and Code.LEVELS_OUTSIDE_RULE in found.assessment.flags
    )


def test_one_level_of_two_is_measured_and_the_missing_one_said(scan, bodies):
    found = measure(scan, Settings(device="cpu", bodies=bodies, levels=("L1", "T7")))
    assert found.assessment.levels == ("L1",) and found.assessment.category == "withheld"
    assert {Code.LEVEL_NOT_FOUND, Code.ONE_LEVEL_ONLY} <= set(found.assessment.flags)


def test_a_level_that_is_not_in_the_scan_is_not_measured_but_the_others_are_shown(scan, bodies):
    refusal = not_measured(scan, Settings(device="cpu", bodies=bodies, levels=("T7",)))
    assert refusal.code == Code.LEVEL_NOT_FOUND and {"L1", "L2"} <= {body.level for body in refusal.vertebrae.bodies}


def test_a_body_cut_by_the_border_is_not_measured(scan, bodies, patient):
    cut = [level for level, truth in patient.truth["levels"].items() if not truth["complete"]]
    assert cut, "the simulated field cuts no body"
    refusal = not_measured(scan, Settings(device="cpu", bodies=bodies, levels=(cut[0],)))
    assert refusal.code == Code.BODY_CUT_OFF


@pytest.mark.parametrize(("erosion_mm", "code"), [(10.0, Code.ROI_SMALL), (16.0, Code.ROI_EMPTY)])
def test_a_margin_that_leaves_too_little_is_not_measured(scan, bodies, erosion_mm, code):
    assert not_measured(scan, Settings(device="cpu", bodies=bodies, erosion_mm=erosion_mm)).code == code


def test_margin_and_shape_of_the_erosion_matter(scan, bodies, own):
    ball = measure(scan, Settings(device="cpu", bodies=bodies, erosion_shape="ball"))
    less = measure(scan, Settings(device="cpu", bodies=bodies, erosion_mm=2.0))
    assert ball.measured[0].density.roi_volume_cm3 > own.measured[0].density.roi_volume_cm3
    assert less.measured[0].density.roi_volume_cm3 > ball.measured[0].density.roi_volume_cm3


def test_contrast_is_refused_unless_it_is_allowed(scan, enhanced_patient, tmp_path, own):
    enhanced = Scan(enhanced_patient.image, replace(scan.acquisition, contrast="no"))
    bodies = written(enhanced_patient.bodies, tmp_path / "bodies.nii.gz")
    refused = measure(enhanced, Settings(device="cpu", bodies=bodies))
    assert (
        refused.assessment.refusals == (Code.CONTRAST,)
        and refused.assessment.category == "withheld"
        and refused.assessment.vbmd_mg_cm3 is None
    )
    assert set(values(refused).values()) == {None} and refused.measured[0].network is refused.weights is None
    allowed = measure(enhanced, Settings(device="cpu", bodies=bodies, allow=frozenset({Code.CONTRAST})))
    assert allowed.assessment.refusals == () and {Code.CONTRAST, Code.CONTRAST_TAG_WRONG} <= set(allowed.assessment.flags)
    assert all(value > values(own)[level] + 3.0 for level, value in values(allowed).items())
    for measurement in (refused, allowed):
        validate(document(measurement))


def test_without_a_calibration_only_hu_are_given(scan, bodies, own):
    found = measure(scan, Settings(device="cpu", bodies=bodies, calibration="none"))
    assert (
        found.assessment.category == "withheld" and found.assessment.vbmd_mg_cm3 is None and Code.NOT_CALIBRATED in found.assessment.flags
    )
    for each, calibrated in zip(found.measured, own.measured):
        assert each.density.roi_mean_hu == calibrated.density.roi_mean_hu
        assert each.density.vbmd_roi_mg_cm3 is each.density.bmc_mg is each.network is None
    assert "density" not in [model.name for model in found.models] and found.weights is None
    validate(document(found))


def test_a_phantom_that_is_not_there_is_said_and_withholds(scan, bodies):
    found = measure(scan, Settings(device="cpu", bodies=bodies, calibration="phantom:mindways-model3"))
    assert found.assessment.refusals == (Code.PHANTOM_NOT_FOUND,) and Code.NOT_CALIBRATED in found.assessment.flags
    assert found.assessment.category == "withheld"


def test_uncertain_levels_are_refused_unless_they_are_allowed_or_set(measured, scan, patient):
    """The lumbar part alone: without ribs or sacrum nobody can name it."""
    x, y, top = patient.truth["levels"]["L1"]["centroid_lps_mm"]
    low = scan.image.TransformPhysicalPointToIndex(patient.truth["levels"]["L4"]["centroid_lps_mm"])[2]
    high = scan.image.TransformPhysicalPointToIndex((x, y, top + 21.0))[2]
    part = Scan(scan.image[:, :, low:high], scan.acquisition)
    refused = measure(part, Settings(device="cpu"))
    assert (
        Code.LEVEL_UNCERTAIN in refused.assessment.refusals
        and refused.assessment.category == "withheld"
        and refused.assessment.vbmd_mg_cm3 is None
    )
    allowed = measure(part, Settings(device="cpu", allow=frozenset({Code.LEVEL_UNCERTAIN})))
    assert allowed.assessment.refusals == () and Code.LEVEL_UNCERTAIN in allowed.assessment.flags
    point = tuple(patient.truth["levels"]["L2"]["centroid_lps_mm"])
    named = measure(part, Settings(device="cpu", level_at=("L2", point), levels=("L2", "L3")))
    assert named.assessment.refusals == () and Code.LEVEL_SET_BY_USER in named.assessment.flags
    assert values(named)["L2"] == pytest.approx(truth_of(patient, "L2"), abs=5.0)
    assert np.linalg.norm(np.array(named.vertebrae.get("L2").centroid_lps_mm) - point) < 5


def test_renumbering_moves_the_names_of_all_bodies(scan, bodies, own, patient):
    point = tuple(patient.truth["levels"]["L2"]["centroid_lps_mm"])
    found = measure(scan, Settings(device="cpu", bodies=bodies, level_at=("L1", point)))
    assert found.measured[0].density.roi_mean_hu == own.measured[1].density.roi_mean_hu and Code.LEVEL_SET_BY_USER in found.assessment.flags
    assert found.measured[0].vertebra.label == 20 and np.array_equal(
        sitk.GetArrayFromImage(found.roi) == 20, sitk.GetArrayFromImage(own.roi) == 21
    )
    with pytest.raises(Refused) as caught:
        measure(scan, Settings(device="cpu", bodies=bodies, level_at=("L1", (0.0, 0.0, 1e4))))
    assert caught.value.code == Code.LEVEL_POINT_OUTSIDE


@pytest.mark.parametrize(
    ("acquisition", "code"),
    [(Acquisition(kvp=120.0, slice_thickness_mm=5.0), Code.THICK_SLICES), (Acquisition(kvp=120.0, kernel="LUNG"), Code.SHARP_KERNEL)],
)
def test_the_acquisition_is_judged(scan, bodies, own, acquisition, code):
    found = measure(Scan(scan.image, acquisition), Settings(device="cpu", bodies=bodies))
    assert code in found.assessment.flags and code not in own.assessment.flags
    assert values(found) == values(own)


def changed(scan, place, values_there):
    """The scan with other values at a place, as an image of its own."""
    hu = scan.hu.copy()
    hu[place] = values_there
    image = sitk.GetImageFromArray(hu)
    image.CopyInformation(scan.image)
    return Scan(image, scan.acquisition)


def test_a_dense_lesion_in_the_roi_is_left_out_of_the_mean(scan, bodies, own):
    inside = np.argwhere(sitk.GetArrayViewFromImage(own.roi) == label_of("L1"))
    place = tuple(inside[: len(inside) // 6].T)
    found = measure(changed(scan, place, 900), Settings(device="cpu", bodies=bodies))
    flags, before = ({each.vertebra.level: each.flags for each in result.measured} for result in (found, own))
    assert Code.ROI_FINDING_EXCLUDED in flags["L1"] and Code.ROI_FINDING_EXCLUDED not in before["L1"]
    assert Code.ROI_FINDING_EXCLUDED not in flags["L2"]
    first = found.measured[0]
    assert first.density.vbmd_roi_mg_cm3 == pytest.approx(values(own)["L1"], abs=5.0)
    assert first.density.vbmd_whole_roi_mg_cm3 > values(own)["L1"] + 40.0
    excluded = (sitk.GetArrayViewFromImage(found.excluded) == label_of("L1")).sum() * scan.voxel_cm3
    assert sum(each.volume_cm3 for each in first.exclusions) == pytest.approx(excluded, rel=0.01) and excluded > 0


def test_a_broken_body_is_left_out_and_the_next_lumbar_one_stands_in(scan, patient, bodies, tmp_path):
    labels = sitk.GetArrayFromImage(patient.bodies)
    where = labels == 20
    z, y, _x = np.nonzero(where)
    top = z.max()
    front = np.arange(labels.shape[1])[None, :, None] < (y.min() + 0.45 * np.ptp(y))
    height = np.arange(labels.shape[0])[:, None, None] > top - 0.35 * np.ptp(z)
    labels[where & front & height] = 0
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(patient.bodies)
    found = measure(scan, Settings(device="cpu", bodies=written(image, tmp_path / "bodies.nii.gz")))
    flags = {each.vertebra.level: each.flags for each in found.measured}
    assert Code.FRACTURE in flags["L1"] and not {Code.FRACTURE, Code.HEIGHT_LOSS} & set(flags["L2"])
    assert found.assessment.levels == ("L2", "L3") and found.assessment.left_out == (("L1", Code.FRACTURE),)
    assert Code.LEVEL_SUBSTITUTED in found.assessment.flags and found.assessment.category != "withheld"
    heights = found.measured[0].heights
    assert heights.anterior < heights.posterior


def test_a_failed_calibration_withholds_and_says_which_check(scan, bodies):
    shifted = Scan(sitk.Cast(scan.image + 70, sitk.sitkInt16), scan.acquisition)
    found = measure(shifted, Settings(device="cpu", bodies=bodies))
    assert Code.CALIBRATION_FAILED in found.assessment.flags and found.assessment.category == "withheld"
    assert Code.NOT_CALIBRATED not in found.assessment.flags  # There is a phantom; its line is what is wrong.
    assert set(values(found).values()) == {None} and any(check.status == "fail" for check in found.calibration.checks)
    validate(document(found))


@pytest.mark.parametrize("wrong", [{"engine": "magic"}, {"calibration": "guess"}, {"erosion_shape": "star"}])
def test_settings_that_make_no_sense_are_errors(scan, bodies, wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        settings = Settings(device="cpu", **({"bodies": bodies} if "engine" not in wrong else {}), **wrong)
        measure(scan, settings)


@pytest.mark.parametrize("erosion_mm", [-1.0, 0.0, 1.9, 20.1, float("nan"), float("inf")])
def test_a_margin_outside_its_range_is_refused_before_anything_runs(erosion_mm):
    with pytest.raises(ValueError, match="erosion_mm must be within 2-20 mm"):
        Settings(erosion_mm=erosion_mm)


def test_a_level_set_by_the_user_stays_uncertain_where_a_body_was_missed(scan, patient, tmp_path):
    labels = sitk.GetArrayFromImage(patient.bodies)
    labels[labels == label_of("L2")] = 0
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(scan.image)
    point = ("L1", tuple(patient.truth["levels"]["L1"]["centroid_lps_mm"]))
    found = measure(scan, Settings(device="cpu", bodies=written(image, tmp_path / "bodies.nii.gz"), level_at=point))
    assert Code.LEVEL_UNCERTAIN in found.assessment.refusals and found.assessment.category == "withheld"
    assert all(body.level_confidence < CERTAIN for body in found.vertebrae.bodies)


def test_the_network_is_silent_beside_a_phantom_of_another_material():
    patient = simulate_patient(
        PatientSpec(seed=12, vbmd=110.0, phantom="mindways-model3", spacing_mm=(1.2, 1.2, 3.0), levels=("T11", "S1"))
    )
    result = measure(checked(patient.image), Settings(device="cpu"))
    assert result.calibration.material == "K2HPO4" and Code.NETWORK_OTHER_MATERIAL in result.assessment.flags
    for each in result.measured:
        assert each.network is None
        truth = patient.truth["levels"][each.vertebra.level]["roi"]["qct_equivalent_mg_cm3"]["K2HPO4"]
        assert each.density.vbmd_roi_mg_cm3 == pytest.approx(truth, abs=5.0)
    assert "density" not in [model.name for model in result.models]
