"""The wanted vertebrae cut out of a scan with known bodies: rules, edited ROIs, and what cannot be measured."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.quality import Code
from VertebralBMDLib.regions import regions_of
from VertebralBMDLib.scan import Scan
from VertebralBMDLib.segmentation.own import LabelMapEngine
from VertebralBMDLib.settings import Settings

L1, LEVELS = 20, ("L1", "L2")


@pytest.fixture(scope="module")
def vertebrae(scan, patient_files):
    """The true bodies as the user's own label map."""
    return LabelMapEngine(patient_files / "bodies.nii.gz").segment(scan, lambda fraction: None)


@pytest.fixture(scope="module")
def found(scan, vertebrae):
    return regions_of(scan, vertebrae, Settings(), LEVELS)


def painted(scan, inside, path, label=L1):
    """An ROI file of a mask (z, y, x)."""
    image = sitk.GetImageFromArray((label * inside).astype(np.uint8))
    image.CopyInformation(scan.image)
    sitk.WriteImage(image, str(path), useCompression=True)
    return image


def with_hu(scan, hu):
    image = sitk.GetImageFromArray(hu)
    image.CopyInformation(scan.image)
    return Scan(image, scan.acquisition)


def test_intact_vertebrae_keep_all_of_their_roi(found):
    regions, missing = found
    assert [region.vertebra.level for region in regions] == ["L1", "L2"] and missing == {}
    for region in regions:
        assert region.roi.exclusions == () and region.roi.excluded is not None and not region.roi.excluded.any()
        assert np.all(region.roi.eroded[region.roi.roi]) and np.all(region.body[region.roi.eroded])
        assert region.up @ region.forward == pytest.approx(0.0, abs=1e-9) and region.up[2] > 0.9 and region.forward[1] < -0.9
        assert not region.edited


def test_the_settings_reach_the_rules(scan, vertebrae, found):
    plain = int(found[0][0].roi.roi.sum())
    volumes = {}
    for name, value in (("erosion_mm", 5.0), ("erosion_shape", "ball"), ("region", "ellipse"), ("central_fraction", 0.3)):
        region = regions_of(scan, vertebrae, Settings(**{name: value}), ("L1",))[0][0]
        volumes[name] = int(region.roi.roi.sum()) / plain
    assert volumes["erosion_mm"] < 0.9 and volumes["erosion_shape"] > 1.02
    assert 0.2 < volumes["region"] < 0.8 and volumes["central_fraction"] == pytest.approx(0.6, abs=0.1)


def test_a_lesion_in_the_scan_is_left_out_and_told(scan, vertebrae, found):
    region = found[0][0]
    hu = np.array(scan.hu)
    z, y, x = np.round(np.argwhere(region.roi.roi).mean(axis=0) + [part.start for part in region.place]).astype(int)
    hu[z - 1 : z + 2, y - 4 : y + 5, x - 5 : x + 6] = 700
    other, codes = regions_of(with_hu(scan, hu), vertebrae, Settings(), LEVELS)
    assert codes == {} and [each.kind for each in other[0].roi.exclusions] in (["blastic"], ["island"]) and other[1].roi.exclusions == ()
    assert not np.any(other[0].roi.roi & other[0].roi.excluded)
    assert np.array_equal(other[0].roi.roi | other[0].roi.excluded, region.roi.roi)
    assert (
        other[0].roi.excluded_share == pytest.approx(1 - other[0].roi.roi.sum() / region.roi.roi.sum()) and region.roi.excluded_share == 0
    )


def test_a_vertebra_that_is_all_lesion_is_named_so(scan, vertebrae, found):
    hu = np.array(scan.hu)
    hu[sitk.GetArrayViewFromImage(vertebrae.label_map) == L1] = 450
    regions, codes = regions_of(with_hu(scan, hu), vertebrae, Settings(), LEVELS)
    assert [region.vertebra.level for region in regions] == ["L2"] and codes == {"L1": Code.LESION}


def test_what_cannot_be_measured_is_named(scan, vertebrae):
    assert regions_of(scan, vertebrae, Settings(), ("T4",)) == ([], {"T4": Code.LEVEL_NOT_FOUND})
    cut = replace(vertebrae, bodies=tuple(replace(body, complete=body.level != "L2") for body in vertebrae.bodies))
    regions, codes = regions_of(scan, cut, Settings(), LEVELS)
    assert [region.vertebra.level for region in regions] == ["L1"] and codes == {"L2": Code.BODY_CUT_OFF}
    assert regions_of(scan, vertebrae, Settings(erosion_mm=14.0), ("L1",)) == ([], {"L1": Code.ROI_EMPTY})
    assert regions_of(scan, vertebrae, Settings(erosion_mm=9.0), ("L1",)) == ([], {"L1": Code.ROI_SMALL})


def test_an_edited_roi_is_measured_as_it_was_painted(scan, vertebrae, found, tmp_path):
    """On a lesion, over the veins and beyond the body: nothing is taken away."""
    region = found[0][0]
    hu = np.array(scan.hu)
    inside = np.zeros(hu.shape, dtype=bool)
    z, y, x = (slice(part.start + 3, part.stop) for part in region.place)
    inside[z, y, x] = True
    hu[inside] = 900
    painted(scan, inside, tmp_path / "roi.nii.gz")
    filled = with_hu(scan, hu)
    edited = regions_of(filled, vertebrae, Settings(roi=tmp_path / "roi.nii.gz"), ("L1",))[0][0]
    assert edited.edited and edited.roi.roi.sum() == inside.sum() and edited.roi.excluded is None and edited.roi.exclusions == ()
    assert np.all(edited.hu[edited.roi.roi] == 900)


def test_only_the_levels_that_were_edited_take_their_roi_from_the_file(scan, vertebrae, found, tmp_path):
    """The file covers a part of the scan, as 3D Slicer writes it."""
    inside = np.zeros(scan.hu.shape, dtype=bool)
    z, y, x = (part.start for part in found[0][0].place)
    inside[z + 3 : z + 7, y + 3 : y + 21, x + 5 : x + 30] = True
    whole = painted(scan, inside, tmp_path / "whole.nii.gz")
    part = sitk.RegionOfInterest(whole, [30, 25, 8], [x + 3, y, z])
    sitk.WriteImage(part, str(tmp_path / "part.nrrd"))
    regions, missing = regions_of(scan, vertebrae, Settings(roi=tmp_path / "part.nrrd", roi_levels=("L1",)), LEVELS)
    assert missing == {} and [region.edited for region in regions] == [True, False]
    assert np.array_equal(regions[0].roi.roi, inside[regions[0].place])
    assert np.array_equal(regions[1].roi.roi, found[0][1].roi.roi) and regions[1].roi.excluded is not None
    assert regions_of(scan, vertebrae, Settings(roi=tmp_path / "part.nrrd"), LEVELS)[1] == {"L2": Code.ROI_EMPTY}


def test_levels_of_an_edited_roi_need_one():
    with pytest.raises(ValueError, match="roi_levels"):
        Settings(roi_levels=("L1",))
