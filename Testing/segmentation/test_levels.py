"""Naming of levels from what columns of every kind and field show, and from the annotated centroids of real scans."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from VertebralBMDLib.anatomy import COLUMN, LEVELS
from VertebralBMDLib.grid import field_grid, resampled
from VertebralBMDLib.network.segmentation import LOCALISE_SPACING_MM, localise
from VertebralBMDLib.quality import Code
from VertebralBMDLib.segmentation.evidence import Below, Evidence
from VertebralBMDLib.segmentation.levels import CERTAIN, column_has_gap, missed_bodies, name_levels, named

CT = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"
RUDIMENT, TWELFTH, ELEVENTH, MIDDLE = 40.0, 88.0, 160.0, 195.0
#: The pairs of ribs from the last one upwards; all above are like the last named.
USUAL = (TWELFTH, ELEVENTH, MIDDLE)
SHORT, NONE = (RUDIMENT, ELEVENTH, MIDDLE), (0.0, ELEVENTH, MIDDLE)


def column(first, last):
    return COLUMN[COLUMN.index(first) : COLUMN.index(last) + 1]


def shown(bodies, last_rib=None, pairs=USUAL, below=Below.UNSEEN, crest=np.nan, **others):
    """Evidence of a column whose last rib pair is that of body ``last_rib``: ``pairs`` upwards from there, none below."""
    rib_mm = np.zeros((bodies, 2))
    for body in range(0 if last_rib is None else last_rib + 1):
        rib_mm[body] = pairs[min(last_rib - body, len(pairs) - 1)]
    ribbed = np.where(rib_mm.max(axis=1) > 0, 0.95, 0.05)
    return Evidence(rib_mm, np.zeros((bodies, 2), dtype=bool), ribbed, below, crest, **others)


def read(evidence, missed=None, cut=()):
    """The names of the bodies, all whole but those of the indices ``cut``."""
    n = len(evidence.ribbed)
    return named(evidence, missed or [0] * (n - 1), [body not in cut and body - n not in cut for body in range(n)])


def confidence_of(found):
    return dict(zip(found.levels, found.confidence))


def certain(found):
    return found.flags == () and min(found.confidence) >= CERTAIN


def test_ribs_and_sacrum_that_agree_are_certain():
    found = read(shown(8, last_rib=2, below=Below.SACRUM))
    assert found.levels == column("T10", "L5") and certain(found) and min(found.confidence) > 0.95


def test_the_sacrum_alone_is_certain():
    found = read(shown(4, below=Below.SACRUM))
    assert found.levels == column("L2", "L5") and certain(found)


def test_a_last_rib_pair_of_usual_length_alone_is_certain():
    found = read(shown(6, last_rib=2))
    assert found.levels == column("T10", "L3") and certain(found)
    assert min(found.confidence) < min(read(shown(8, last_rib=2, below=Below.SACRUM)).confidence)


@pytest.mark.parametrize("pairs", [(105.0, 208.0, 255.0), (65.0, 128.0, 160.0)], ids=["tall", "small"])
def test_all_ribs_of_a_person_are_long_or_short_together(pairs):
    found = read(shown(6, last_rib=2, pairs=pairs))
    assert found.levels == column("T10", "L3") and min(found.confidence) > 0.85


def test_a_long_last_rib_pair_alone_is_uncertain():
    """As in CRLM-1004 where the rudimentary twelfth ribs are not found: 136 mm, and 182 mm above."""
    found = read(shown(7, last_rib=1, pairs=(136.0, 182.0)), cut=(0, -1))
    assert max(found.confidence) < CERTAIN and Code.LEVEL_UNCERTAIN in found.flags


def test_rudimentary_ribs_below_a_long_pair_are_uncertain():
    """CRLM-1004: they may be twelfth ribs or those of L1."""
    found = read(shown(7, last_rib=2, pairs=(15.0, 136.0, 182.0)), cut=(0, -1))
    assert max(found.confidence) < CERTAIN and Code.LEVEL_UNCERTAIN in found.flags


def test_bodies_without_ribs_or_sacrum_are_uncertain():
    found = read(shown(3))
    assert max(found.confidence) < CERTAIN and Code.LEVEL_UNCERTAIN in found.flags


def test_a_thorax_without_its_ends_is_uncertain():
    """LIDC-0314: the border cuts the first body, the last one and all ribs."""
    evidence = shown(10, last_rib=9, pairs=(70.0,))
    evidence.rib_cut[:] = True
    evidence.rib_mm[[0, -1]], evidence.ribbed[[0, -1]] = np.nan, np.nan
    found = read(evidence, cut=(0, -1))
    assert max(found.confidence) < CERTAIN and Code.LEVEL_UNCERTAIN in found.flags


def test_short_ribs_on_the_last_body_may_be_followed_by_others_below_the_scan():
    found = read(shown(5, last_rib=4, pairs=(RUDIMENT, TWELFTH, ELEVENTH)))
    assert max(found.confidence) < CERTAIN and Code.LEVEL_UNCERTAIN in found.flags


def test_twelve_pairs_that_are_counted_name_themselves():
    """C3N-00249: the last two pairs leave the field below, so that their lengths say little; L2 is cut, C7 above is in view."""
    evidence = shown(15, last_rib=12, pairs=(95.0, 155.0, 180.0))
    evidence.rib_cut[11:13] = True
    evidence.rib_mm[0], evidence.ribbed[0] = 0.0, 0.05
    found = read(evidence, cut=(-1,))
    assert found.levels == (None, *column("T1", "L2")) and certain(found)
    short_of_one = read(shown(12, last_rib=9, pairs=(155.0, 180.0)), cut=(-1,))
    assert max(short_of_one.confidence) < CERTAIN


@pytest.mark.parametrize(
    ("bodies", "last_rib", "names"),
    [(9, 2, column("T10", "L6")), (7, 2, column("T10", "L4"))],
    ids=["six lumbar", "four lumbar"],
)
def test_an_unusual_number_below_the_last_ribs_is_transitional(bodies, last_rib, names):
    found = read(shown(bodies, last_rib=last_rib, below=Below.SACRUM))
    assert found.levels == names and Code.TRANSITIONAL_ANATOMY in found.flags


def test_a_cut_last_body_that_may_be_l6_or_sacrum_leaves_the_names_above_certain():
    found = read(shown(18, last_rib=11, pairs=(89.0, 175.0, 195.0), below=Below.SACRUM), cut=(-1,))
    assert found.levels == column("T1", "L6") and Code.LEVEL_UNCERTAIN not in found.flags and Code.TRANSITIONAL_ANATOMY in found.flags
    assert confidence_of(found)["L6"] < CERTAIN <= confidence_of(found)["L5"]


def full(names, pairs=USUAL, ribs=12):
    """A column from C7 to its sacrum, with so many pairs of ribs."""
    evidence = shown(len(names) + 1, last_rib=ribs, pairs=pairs, below=Below.SACRUM)
    evidence.rib_mm[0], evidence.ribbed[0] = 0.0, 0.05
    found = read(evidence)
    assert found.levels == (None, *names)
    return found


@pytest.mark.parametrize(
    ("names", "pairs", "ribs", "unusual"),
    [
        (column("T1", "L5"), USUAL, 12, False),
        (column("T1", "L6"), USUAL, 12, True),
        (column("T1", "L4"), USUAL, 12, True),
        ((*column("T1", "T12"), "T13", *column("L1", "L5")), (RUDIMENT, *USUAL), 13, True),
        (column("T1", "L5"), (RUDIMENT, *USUAL), 13, True),
        (column("T1", "L5"), SHORT, 12, False),
    ],
    ids=["usual", "L6", "four lumbar", "T13", "lumbar ribs", "short twelfth ribs"],
)
def test_a_whole_column_is_named_whatever_its_kind(names, pairs, ribs, unusual):
    found = full(names, pairs, ribs)
    assert min(found.confidence) >= CERTAIN and found.flags == ((Code.TRANSITIONAL_ANATOMY,) if unusual else ())


def test_no_twelfth_ribs_in_a_whole_column_move_no_name():
    """Whether they are absent or not seen, nobody knows."""
    assert min(full(column("T1", "L5"), NONE[1:], 11).confidence) >= CERTAIN


def test_eleven_pairs_above_five_bodies_without_leave_the_lumbar_names_certain():
    """Eleven thoracic vertebrae, or first ribs that are not seen."""
    evidence = shown(17, last_rib=11, below=Below.SACRUM)
    evidence.rib_mm[0], evidence.ribbed[0] = 0.0, 0.05
    found = read(evidence)
    assert found.levels[-5:] == column("L1", "L5") and min(found.confidence[-5:]) > 0.9


def test_the_last_thoracic_body_is_called_t12_where_t1_is_out_of_the_field():
    """Short last ribs above five bodies without: a twelfth pair or a thirteenth, which no picture without T1 can tell."""
    found = read(shown(9, last_rib=3, pairs=(RUDIMENT, TWELFTH, ELEVENTH), below=Below.SACRUM))
    assert found.levels == column("T9", "L5") and certain(found) and min(found.confidence) > 0.9


def test_confidence_is_of_each_body():
    """Ribs name the bodies above a gap of which nobody knows how many it holds."""
    found = read(shown(6, last_rib=2), missed=[0, 0, 0, 1, 0])
    assert min(found.confidence[:4]) >= CERTAIN > max(found.confidence[4:])


def test_ribs_and_sacrum_that_contradict_each_other_are_uncertain():
    found = read(shown(7, last_rib=3, below=Below.SACRUM))
    assert max(found.confidence) < CERTAIN and Code.LEVEL_UNCERTAIN in found.flags


def test_a_rib_on_one_side_of_l1_does_not_shift_the_names():
    evidence = shown(8, last_rib=2, below=Below.SACRUM)
    evidence.rib_mm[3, 0] = 25.0
    found = read(evidence)
    assert found.levels == column("T10", "L5") and certain(found)


def test_the_crest_speaks_where_neither_ribs_nor_sacrum_are_in_view():
    low = read(shown(4, crest=2.3))
    assert low.levels == column("L2", "L5") and min(low.confidence) > min(read(shown(4)).confidence) + 0.2
    out_of_field = read(shown(4, crest=4.5, crest_below=True))
    assert out_of_field.levels[-1] != "L5"


def test_a_sacrum_that_another_body_precedes_shifts_the_names_by_one():
    found = read(shown(5, below=Below.BODY))
    assert found.levels == column("T12", "L4")


def test_what_the_border_cuts_below_l5_is_the_sacrum():
    found = read(shown(9, last_rib=2), cut=(-1,))
    assert found.levels[:8] == column("T10", "L5") and found.confidence[3] >= CERTAIN


def test_a_missed_body_leaves_a_gap_in_the_names():
    evidence = shown(7, last_rib=2, below=Below.SACRUM)
    found = read(evidence, missed=[0, 0, 0, 1, 0, 0])
    assert found.levels == ("T10", "T11", "T12", "L1", "L3", "L4", "L5") and certain(found)
    alone = read(shown(6, last_rib=2), missed=[0, 0, 0, 1, 0])
    assert alone.confidence[3] >= CERTAIN > alone.confidence[4] and Code.LEVEL_UNCERTAIN in alone.flags


def test_gaps_are_found_where_a_body_is_missing():
    centroids = np.array([[0.0, 0.0, -33.0 * k] for k in range(8)])
    assert missed_bodies(centroids, [True] * 8) == [0] * 7
    holed = np.delete(centroids, [4], axis=0)
    assert missed_bodies(holed, [True] * 7) == [0, 0, 0, 1, 0, 0] and column_has_gap(holed)
    # The border moves the centroid of the body that it cuts: that is no gap.
    centroids[0, 2] += 30.0
    assert missed_bodies(centroids, [False] + [True] * 7) == [0] * 7 and column_has_gap(centroids)


def test_a_column_above_the_first_thoracic_body_has_no_names_there():
    evidence = shown(16, last_rib=14)
    evidence.rib_mm[:3], evidence.ribbed[:3] = 0.0, 0.05
    assert read(evidence).levels == (None, None, None, *column("T1", "L1"))


def test_more_bodies_than_a_person_has_get_no_names():
    found = read(shown(40))
    assert set(found.levels) == {None} and set(found.confidence) == {0.0} and found.flags == (Code.LEVEL_UNCERTAIN,)


def test_a_torn_column_is_read_in_no_time():
    """Each gap doubles the readings; of thirty there would be no end."""
    found = read(shown(33), missed=[1] * 30 + [0] * 2)
    assert Code.LEVEL_UNCERTAIN in found.flags


@pytest.mark.parametrize("last", ["L2", "L3", "L5"])
@pytest.mark.parametrize("first", ["T6", "T9", "T11"])
@pytest.mark.parametrize("pairs", [USUAL, SHORT, NONE, (RUDIMENT, *USUAL)], ids=["usual", "short", "none", "lumbar ribs"])
def test_no_lumbar_name_is_wrong_and_certain(first, last, pairs):
    names = column(first, last)
    ribbed = 12 + (pairs[0] == RUDIMENT and pairs[1] == TWELFTH)
    below = Below.SACRUM if last == "L5" else Below.UNSEEN
    found = read(shown(len(names), last_rib=ribbed - 1 - COLUMN.index(first), pairs=pairs, below=below))
    wrong = [sure for true, name, sure in zip(names, found.levels, found.confidence) if name != true and true[0] == "L"]
    assert max(wrong, default=0.0) < CERTAIN or pairs == (RUDIMENT, *USUAL) and Code.TRANSITIONAL_ANATOMY in found.flags


def reference(name):
    """A real scan with its annotated centroids, read by the bundled localiser; and the true names."""
    if not (CT / f"CT_{name}.nii.gz").exists():
        pytest.skip(f"development data ../shared/data/ct/CT_{name}.nii.gz is not here")
    image, bodies = (sitk.ReadImage(str(CT / f"{kind}_{name}.nii.gz")) for kind in ("CT", "BODIES"))
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(bodies)
    labels = sorted(statistics.GetLabels(), key=lambda label: -statistics.GetCentroid(label)[2])
    centroids = np.array([statistics.GetCentroid(label) for label in labels])
    field = resampled(image, field_grid(image, LOCALISE_SPACING_MM))
    found = name_levels(localise(field, "cpu"), field, centroids, [label < 100 for label in labels])
    return found, tuple(LEVELS.get(label % 100) for label in labels)


@pytest.mark.parametrize("name", ["TCGA-09-2043", "ACRIN-FLT-001", "TS-example", "C3N-00249"])
def test_real_columns_with_clear_ends_are_named_right_and_certain(name):
    found, levels = reference(name)
    assert found.levels == levels and certain(found)


@pytest.mark.parametrize("name", ["CRLM-1004", "LIDC-0314"])
def test_real_columns_without_a_clear_end_are_uncertain(name):
    found, _levels = reference(name)
    assert max(found.confidence) < CERTAIN and Code.LEVEL_UNCERTAIN in found.flags


def test_bodies_that_nothing_names_keep_names_that_can_be_corrected():
    """Three lumbar bodies without ribs or sacrum could be of the neck; without names they would be lost to ``--level-at``."""
    found = read(shown(3))
    assert None not in found.levels and max(found.confidence) < CERTAIN and Code.LEVEL_UNCERTAIN in found.flags
