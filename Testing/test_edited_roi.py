"""A measurement with a ROI that the user has edited."""

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.anatomy import label_of
from VertebralBMDLib.pipeline import measure
from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.settings import Settings


@pytest.fixture
def measured_in(scan, bodies, tmp_path):
    """Measures the patient in a ROI: an image, or the voxels of one on the scan's grid."""

    def measured(roi):
        if isinstance(roi, np.ndarray):
            roi = sitk.GetImageFromArray(roi)
            roi.CopyInformation(scan.image)
        path = tmp_path / f"roi-{len(list(tmp_path.iterdir()))}.nii.gz"
        sitk.WriteImage(roi, str(path), useCompression=True)
        return measure(scan, Settings(device="cpu", bodies=bodies, roi=path))

    return measured


def values(measurement):
    return {each.vertebra.level: each.density.vbmd_roi_mg_cm3 for each in measurement.measured}


def test_an_edited_roi_is_used_and_flagged(scan, own, measured_in):
    edited = sitk.GetArrayFromImage(own.roi)
    dense = scan.hu > np.median(scan.hu[edited == 20])
    edited[(edited == 20) & ~dense] = 0
    found = measured_in(edited)
    assert values(found)["L1"] > values(own)["L1"] + 3
    assert found.measured[1].density.roi_mean_hu == own.measured[1].density.roi_mean_hu
    assert all(Code.ROI_EDITED in each.flags for each in found.measured) and not any(Code.ROI_EDITED in each.flags for each in own.measured)
    assert np.array_equal(sitk.GetArrayFromImage(found.roi) == 20, edited == 20)


def test_a_roi_without_a_level_leaves_that_level_out(own, measured_in):
    found = measured_in(own.roi * sitk.Cast(own.roi == 20, sitk.sitkUInt8))
    assert found.assessment.levels == ("L1",) and Code.ROI_EMPTY in found.assessment.flags


def test_a_roi_on_another_grid_is_refused(own, measured_in):
    elsewhere = sitk.Image(own.roi)
    elsewhere.SetSpacing([0.9 * step for step in own.roi.GetSpacing()])
    with pytest.raises(Refused) as caught:
        measured_in(elsewhere)
    assert caught.value.code == Code.LABEL_MAP_UNUSABLE


def test_a_roi_may_be_a_part_of_the_scan(own, measured_in):
    assert values(measured_in(own.roi)) == values(measured_in(own.roi[:, :, 1:]))


def test_a_roi_beside_its_body_is_measured_whole_and_flagged(own, measured_in):
    moved = np.roll(sitk.GetArrayFromImage(own.roi), -10, axis=1)
    found = measured_in(moved)
    assert Code.ROI_OUTSIDE_BODY in found.measured[0].flags
    assert np.array_equal(sitk.GetArrayViewFromImage(found.roi) == 20, moved == 20)


def test_editing_one_roi_leaves_the_calibration_and_the_other_vertebra_alone(own, measured_in):
    edited = sitk.GetArrayFromImage(own.roi)
    places = np.argwhere(edited == label_of("L1"))
    edited[tuple(places[places[:, 2] > np.median(places[:, 2])].T)] = 0
    result = measured_in(edited)
    assert values(result)["L1"] != values(own)["L1"] and values(result)["L2"] == values(own)["L2"]
    assert result.calibration.slope_mg_cm3_per_hu == own.calibration.slope_mg_cm3_per_hu
