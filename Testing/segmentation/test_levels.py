"""Naming of levels from drawn columns with ribs and sacrum, and from the annotated centroids of real scans."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.anatomy import COLUMN, LEVELS
from VertebralBMDLib.grid import field_grid, resampled
from VertebralBMDLib.quality import Code
from VertebralBMDLib.segmentation.levels import CERTAIN, name_levels

CT = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"
STEP, SHORT, LONG = 3.0, 80.0, 130.0
PITCH_MM = 33.0


class Field:
    """A field at 3 mm with a straight column of bodies, the ribs and the pelvis that are drawn into it."""

    def __init__(self, bodies, below_mm=60.0, above_mm=20.0):
        height = above_mm + below_mm + PITCH_MM * (bodies - 1)
        self.z, self.y, self.x = np.meshgrid(
            np.arange(0, height, STEP), np.arange(-90, 100, STEP), np.arange(-170, 171, STEP), indexing="ij"
        )
        self.hu = np.full(self.z.shape, 30.0, np.float32)
        self.centroids = np.array([[0.0, 0.0, height - above_mm - PITCH_MM * k] for k in range(bodies)])
        self.complete = [True] * bodies
        for _x, _y, z in self.centroids:
            self.hu[(np.hypot(self.x / 22, self.y / 16) < 1) & (np.abs(self.z - z) < 12)] = 180.0

    def rib(self, body, reach_mm, sides=(-1, 1), fall_mm=0.0):
        """A rod from beside a body to ``reach_mm`` from the midline, falling by ``fall_mm`` on its way; a pair unless ``sides`` says otherwise."""
        z = self.centroids[body][2] + 6.0
        for side in sides:
            out = side * self.x
            line = z - fall_mm * np.clip((out - 28) / max(reach_mm - 28, 1.0), 0, 1)
            self.hu[(out > 28) & (out <= reach_mm) & (np.abs(self.y - 25) < 5) & (np.abs(self.z - line) < 5)] = 350.0
        return self

    def ribs(self, last, reach_mm):
        """Pairs on every body to ``last``: long ones but for the last, which reaches to ``reach_mm``."""
        for body in range(last + 1):
            self.rib(body, reach_mm if body == last else LONG)
        return self

    def pelvis(self):
        z = self.centroids[-1][2] - 30
        self.hu[(np.abs(self.x) > 55) & (np.abs(self.x) < 110) & (np.abs(self.y - 30) < 20) & (self.z < z + 15)] = 300.0
        self.hu[(np.abs(self.x) < 25) & (np.abs(self.y) < 20) & (np.abs(self.z - z) < 14)] = 180.0
        return self

    def named(self):
        image = sitk.GetImageFromArray(self.hu)
        image.SetSpacing((STEP,) * 3)
        image.SetOrigin((-170.0, -90.0, 0.0))
        return name_levels(image, self.centroids, self.complete)


def column(first, last):
    return COLUMN[COLUMN.index(first) : COLUMN.index(last) + 1]


def test_ribs_and_sacrum_that_agree_are_certain():
    found = Field(8).ribs(2, SHORT).pelvis().named()
    assert found.levels == column("T10", "L5") and found.confidence == 0.97 and found.flags == ()


def test_the_sacrum_alone_is_certain():
    found = Field(5).pelvis().named()
    assert found.levels == column("L1", "L5") and found.confidence >= CERTAIN and found.flags == ()


def test_a_short_last_rib_pair_alone_is_certain():
    found = Field(6, below_mm=20).ribs(2, SHORT).named()
    assert found.levels == column("T10", "L3") and found.confidence == 0.85 and found.flags == ()


def test_a_long_last_rib_pair_alone_is_uncertain():
    found = Field(6, below_mm=20).ribs(2, LONG).named()
    assert found.levels == column("T10", "L3") and found.confidence < CERTAIN and found.flags == (Code.LEVEL_UNCERTAIN,)


def test_the_sacrum_decides_where_the_twelfth_ribs_are_not_to_be_seen():
    found = Field(8).ribs(1, LONG).pelvis().named()
    assert found.levels == column("T10", "L5") and found.confidence == 0.85 and found.flags == ()


def test_a_thorax_without_lumbar_bodies_is_uncertain():
    found = Field(6, below_mm=20).ribs(5, LONG).named()
    assert found.confidence < CERTAIN and Code.LEVEL_UNCERTAIN in found.flags and found.levels[-1] == "T12"


def test_short_ribs_on_the_last_body_may_be_followed_by_others_below_the_scan():
    found = Field(6, below_mm=20).ribs(5, SHORT).named()
    assert found.confidence < CERTAIN and Code.LEVEL_UNCERTAIN in found.flags


def test_bodies_without_ribs_or_sacrum_are_uncertain():
    found = Field(3, below_mm=20).named()
    assert found.confidence < CERTAIN and found.flags == (Code.LEVEL_UNCERTAIN,)


@pytest.mark.parametrize(("bodies", "last_rib"), [(9, 2), (7, 2)], ids=["six lumbar", "four lumbar with short ribs"])
def test_an_unusual_number_of_lumbar_bodies_is_transitional(bodies, last_rib):
    found = Field(bodies).ribs(last_rib, SHORT).pelvis().named()
    assert Code.TRANSITIONAL_ANATOMY in found.flags and Code.LEVEL_UNCERTAIN in found.flags and found.confidence < CERTAIN
    assert found.levels[last_rib] == "T12"


def test_more_than_six_bodies_below_the_ribs_have_no_name():
    found = Field(9, below_mm=20).ribs(1, SHORT).named()
    assert found.levels == (*column("T11", "L6"), None) and Code.TRANSITIONAL_ANATOMY in found.flags and Code.LEVEL_UNCERTAIN in found.flags


def test_a_rib_on_one_side_only_is_no_rib_pair():
    found = Field(8).ribs(2, SHORT).rib(3, SHORT, sides=(1,)).pelvis().named()
    assert found.levels == column("T10", "L5") and found.confidence == 0.97


def test_transverse_processes_are_no_ribs():
    field = Field(8).ribs(2, SHORT).pelvis()
    for body in (3, 4, 5):
        field.rib(body, 50.0)
    assert field.named().levels == column("T10", "L5") and field.named().confidence == 0.97


def test_a_pelvis_below_a_column_that_is_cut_off_says_nothing_about_its_last_body():
    field = Field(5).pelvis()
    field.complete[-1] = False
    assert field.named().confidence < CERTAIN and Code.LEVEL_UNCERTAIN in field.named().flags


def test_a_rib_that_the_border_of_the_scan_cuts_is_not_a_short_rib():
    """The eleventh ribs leave the scan below before they reach far; the twelfth are too thin to be seen."""
    whole = Field(5, below_mm=20).ribs(2, LONG)
    assert whole.named().confidence < CERTAIN
    cut = Field(5, below_mm=20).rib(0, LONG).rib(1, LONG).rib(2, LONG, fall_mm=PITCH_MM * 6)
    assert cut.named().confidence < CERTAIN and Code.LEVEL_UNCERTAIN in cut.named().flags


def test_a_gap_in_the_column_makes_its_names_uncertain():
    field = Field(8).ribs(2, SHORT).pelvis()
    field.centroids = np.delete(field.centroids, 5, axis=0)
    del field.complete[5]
    assert field.named().confidence < CERTAIN and Code.LEVEL_UNCERTAIN in field.named().flags


def test_a_column_above_the_first_thoracic_body_has_no_names_there():
    found = Field(14, below_mm=20).ribs(12, SHORT).named()
    assert found.levels[0] is None and found.levels[1] == "T1" and found.levels[-1] == "L1"


@pytest.fixture(params=["T7-L1", "T9-L2", "T11-L4", "T11-S1", "L1-S1"])
def simulated_column(request):
    from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient

    patient = simulate_patient(PatientSpec(seed=8, spacing_mm=(1.2, 1.2, 3.0), levels=tuple(request.param.split("-"))))
    truth = patient.truth["levels"]
    levels = sorted(truth, key=lambda level: truth[level]["label"])
    return (
        patient.image,
        levels,
        np.array([truth[level]["centroid_lps_mm"] for level in levels]),
        [truth[level]["complete"] for level in levels],
    )


def test_no_simulated_patient_has_wrong_levels_that_count_as_certain(simulated_column):
    image, levels, centroids, complete = simulated_column
    found = name_levels(resampled(image, field_grid(image, STEP)), centroids, complete)
    assert found.levels == tuple(levels) or found.confidence < CERTAIN, (found, levels)


def reference(name):
    """The annotated centroids of a real scan, its 3 mm field, and what is cut off."""
    if not (CT / f"CT_{name}.nii.gz").exists():
        pytest.skip(f"development data ../shared/data/ct/CT_{name}.nii.gz is not here")
    image, bodies = (sitk.ReadImage(str(CT / f"{kind}_{name}.nii.gz")) for kind in ("CT", "BODIES"))
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(bodies)
    labels = sorted(statistics.GetLabels(), key=lambda label: -statistics.GetCentroid(label)[2])
    centroids = np.array([statistics.GetCentroid(label) for label in labels])
    found = name_levels(resampled(image, field_grid(image, STEP)), centroids, [label < 100 for label in labels])
    return found, tuple(LEVELS.get(label % 100) for label in labels)


@pytest.mark.parametrize("name", ["TCGA-09-2043", "ACRIN-FLT-001", "TS-example"])
def test_real_columns_with_clear_ends_are_named_right_and_certain(name):
    found, levels = reference(name)
    assert found.levels == levels and found.confidence >= CERTAIN and found.flags == ()


def test_a_real_chest_whose_last_ribs_leave_the_scan_is_named_right():
    found, levels = reference("C3N-00249")
    assert found.levels == levels


@pytest.mark.parametrize("name", ["CRLM-1004", "LIDC-0314"])
def test_real_columns_without_a_clear_end_are_uncertain(name):
    found, _levels = reference(name)
    assert found.confidence < CERTAIN and Code.LEVEL_UNCERTAIN in found.flags
