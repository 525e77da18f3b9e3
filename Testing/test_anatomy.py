"""Names, label values and order of vertebral levels."""

import pytest

from VertebralBMDLib import anatomy


@pytest.mark.parametrize(("level", "label"), [("T1", 8), ("T12", 19), ("L1", 20), ("L2", 21), ("L5", 24), ("L6", 25), ("T13", 28)])
def test_labels_follow_verse_in_both_directions(level, label):
    assert anatomy.label_of(level) == label
    assert anatomy.LEVELS[label] == level


def test_no_two_levels_share_a_label():
    assert len(anatomy.LEVELS) == len(anatomy.LABELS) == 19


def test_an_unknown_level_is_named_in_the_error():
    with pytest.raises(ValueError, match="S1"):
        anatomy.label_of("S1")


def test_the_column_runs_from_cranial_to_caudal():
    assert anatomy.COLUMN[0] == "T1" and anatomy.COLUMN[-1] == "L6"
    assert anatomy.COLUMN.index("L1") == anatomy.COLUMN.index("T12") + 1


def test_only_lumbar_levels_are_lumbar():
    assert [level for level in anatomy.LABELS if anatomy.is_lumbar(level)] == ["L1", "L2", "L3", "L4", "L5", "L6"]
