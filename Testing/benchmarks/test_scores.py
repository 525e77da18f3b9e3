"""The scores of the segmentation benchmarks on shapes whose distances are known."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))

from scores import centroid_error, covering, overlap, surface_distances  # noqa: E402


def block(z, y, x):
    mask = np.zeros((20, 30, 30), dtype=bool)
    mask[slice(*z), slice(*y), slice(*x)] = True
    return mask


REFERENCE = block((5, 12), (8, 20), (8, 20))


def test_masks_that_agree_are_no_distance_apart():
    assert overlap(REFERENCE, REFERENCE) == 1.0 and centroid_error(REFERENCE, REFERENCE, (3.0, 1.0, 1.0)) == 0.0
    distances = surface_distances(REFERENCE, REFERENCE, (3.0, 1.0, 1.0))
    # The surface of 7 x 12 x 12 voxels holds 7 x 12 x 12 - 5 x 10 x 10 of them, counted from either side.
    assert len(distances) == 2 * (7 * 12 * 12 - 5 * 10 * 10) and not distances.any()


def test_a_face_that_lies_further_out_is_as_many_mm_away_from_either_side():
    longer = block((5, 12), (8, 20), (8, 24))
    for pair in ((REFERENCE, longer), (longer, REFERENCE)):
        for in_plane in (False, True):
            assert surface_distances(*pair, (3.0, 1.0, 0.5), in_plane).max() == 2.0
    assert centroid_error(REFERENCE, longer, (3.0, 1.0, 0.5)) == pytest.approx(1.0)


def test_slices_that_only_one_mask_has_count_in_space_but_not_in_the_plane():
    taller = block((5, 14), (8, 20), (8, 20))
    assert surface_distances(REFERENCE, taller, (3.0, 1.0, 1.0)).max() == 6.0
    assert surface_distances(REFERENCE, taller, (3.0, 1.0, 1.0), in_plane=True).max() == 0.0
    elsewhere = block((14, 18), (8, 20), (8, 20))
    assert surface_distances(REFERENCE, elsewhere, (3.0, 1.0, 1.0), in_plane=True).size == 0


def test_a_mask_at_the_edge_of_the_array_has_a_surface_there():
    edge = block((0, 7), (0, 12), (0, 12))
    assert len(surface_distances(edge, edge, (1.0, 1.0, 1.0))) == 2 * (7 * 12 * 12 - 5 * 10 * 10)


def test_the_body_that_covers_another_fills_most_of_it():
    labels = np.where(block((5, 12), (8, 16), (8, 20)), 20, 0)
    assert covering(labels, REFERENCE) == 20
    assert covering(np.where(block((5, 12), (8, 12), (8, 20)), 20, 0), REFERENCE) == 0
