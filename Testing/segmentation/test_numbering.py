"""VerSe or TotalSegmentator: told by the labels and their order, and refused where that cannot be told."""

import numpy as np
import pytest

from VertebralBMDLib.quality import Code, Refused
from VertebralBMDLib.segmentation.numbering import TOTALSEGMENTATOR, levels_by_number

VERSE = list(range(8, 25))


def spine(labels, top=600.0, step=30.0):
    """Centroids of ``labels`` from cranial to caudal."""
    return {label: np.array([2.0 * k, -3.0 * k, top - step * k]) for k, label in enumerate(labels)}


def refused(code, *arguments):
    with pytest.raises(Refused) as caught:
        levels_by_number(*arguments)
    assert caught.value.code == code


def test_the_numbers_of_totalsegmentator():
    assert TOTALSEGMENTATOR[27] == "L5" and TOTALSEGMENTATOR[31] == "L1" and TOTALSEGMENTATOR[32] == "T12" and TOTALSEGMENTATOR[43] == "T1"
    assert len(TOTALSEGMENTATOR) == 17


def test_numbers_that_only_one_uses_tell():
    assert levels_by_number(spine(VERSE))[20] == "L1"
    assert levels_by_number(spine([20])) == {20: "L1"}
    assert levels_by_number(spine([30, 29]))[30] == "L2"
    assert levels_by_number(spine(range(43, 25, -1))) == {label: TOTALSEGMENTATOR[label] for label in range(27, 44)}


def test_t13_sacrum_and_coccyx_of_verse_do_not_mislead():
    labels = spine([*range(16, 20), 28, *range(20, 25), 26, 27])
    assert levels_by_number(labels)[28] == "T13" and levels_by_number(labels)[24] == "L5"


def test_organs_among_the_vertebrae_of_totalsegmentator_do_not_mislead():
    everything = spine(range(43, 25, -1)) | {organ: np.array([60.0, -80.0, 300.0 + 7 * (organ % 5)]) for organ in range(1, 26)}
    assert levels_by_number(everything | {52: np.zeros(3), 90: np.zeros(3)})[31] == "L1"


def test_both_numberings_at_once_are_told_by_their_order():
    # As if 29-31 had been given to other structures: only VerSe follows the spine.
    verse = spine(VERSE) | {30: np.array([0.0, 0.0, 100.0]), 31: np.array([0.0, 0.0, 900.0]), 29: np.array([0.0, 0.0, 900.0])}
    assert levels_by_number(verse)[20] == "L1"
    with_colon = spine([33, 32, 31, 30, 29]) | {20: np.array([0.0, -60.0, 500.0]), 21: np.array([0.0, -60.0, 520.0])}
    assert levels_by_number(with_colon) == {label: TOTALSEGMENTATOR[label] for label in range(29, 34)}


@pytest.mark.parametrize(
    "labels",
    [spine([28]), spine([28, 27]), spine([28, 27, 26]), spine([20]) | spine([31]), spine([20, 21]) | spine([31, 30], top=500.0)],
    ids=["28", "28 27", "28 27 26", "20 and 31", "both in order"],
)
def test_what_can_be_read_both_ways_is_refused_unless_the_user_says(labels):
    refused(Code.LABELS_AMBIGUOUS, labels)
    assert levels_by_number(labels, "totalsegmentator")[max(labels)] == TOTALSEGMENTATOR[max(labels)]
    if {20, 28} & set(labels):
        assert set(levels_by_number(labels, "verse")) == set(labels) & {20, 21, 28}


def test_both_at_once_and_neither_in_order_is_refused():
    refused(Code.LABELS_AMBIGUOUS, spine([21, 20, 30, 31]))


def test_the_users_word_comes_first():
    assert levels_by_number(spine(VERSE), "verse")[8] == "T1"
    refused(Code.NO_VERTEBRAE, spine(VERSE), "totalsegmentator")


def test_a_map_without_vertebrae_has_none():
    refused(Code.NO_VERTEBRAE, spine([1, 2, 3, 99]))
    refused(Code.NO_VERTEBRAE, {})
    refused(Code.NO_VERTEBRAE, spine([26]))


def test_an_unknown_numbering_is_named():
    with pytest.raises(ValueError, match="'ogo'.*verse"):
        levels_by_number(spine(VERSE), "ogo")
