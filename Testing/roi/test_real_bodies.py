"""The rules on real scans with annotated bodies (../shared/data/ct, never shipped). Skipped where the data are not here."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.densitometry import HEIGHT_LOSS_WARN, height_loss, heights
from VertebralBMDLib.regions import regions_of
from VertebralBMDLib.roi.axes import superior_axes
from VertebralBMDLib.scan import checked
from VertebralBMDLib.segmentation.own import LabelMapEngine
from VertebralBMDLib.settings import Settings

CT = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"

pytestmark = pytest.mark.skipif(not CT.is_dir(), reason="the development data are not here (../shared/data/ct)")


@pytest.fixture(scope="module")
def found():
    """An intact spine of T7 to L5 at 3 mm slices: its vertebrae and regions."""
    scan = checked(sitk.ReadImage(str(CT / "CT_TCGA-09-2043.nii.gz")))
    vertebrae = LabelMapEngine(CT / "BODIES_TCGA-09-2043.nii.gz").segment(scan, lambda fraction: None)
    levels = tuple(body.level for body in vertebrae.bodies if body.complete)
    return scan, vertebrae, regions_of(scan, vertebrae, Settings(), levels)


def test_every_whole_body_has_a_roi_without_findings(found):
    _scan, _vertebrae, (regions, missing) = found
    assert len(regions) >= 10 and missing == {}
    assert [region.roi.exclusions for region in regions] == [()] * len(regions)


def test_the_axes_keep_to_the_column(found):
    _scan, vertebrae, (regions, _missing) = found
    ups = dict(zip([body.level for body in vertebrae.bodies], superior_axes([body.centroid_lps_mm for body in vertebrae.bodies])))
    for region in regions:
        assert np.degrees(np.arccos(region.up @ ups[region.vertebra.level])) < 8.0, region.vertebra.level


def test_no_intact_body_is_called_low(found):
    _scan, _vertebrae, (regions, _missing) = found
    measured = {region.vertebra.level: heights(region.roi.body_points_lps_mm, region.up, region.forward) for region in regions}
    assert max(height_loss(measured, level) for level in measured) < HEIGHT_LOSS_WARN
