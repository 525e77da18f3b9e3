"""Lesions set into synthetic bone of known density are found and left out; bone with noise and texture alone is left whole."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from VertebralBMDLib.roi.findings import Bone, bone_of, common_bone, find

HALF_MM = (7.0, 12.0, 15.0)


@dataclass
class Block:
    """Bone 30 mm wide, 24 deep and 14 high, of which a margin of 3 mm lies around the ROI."""

    hu: np.ndarray
    bone: np.ndarray
    roi: np.ndarray
    spacing: tuple
    points: tuple

    def ball(self, radius, hu, centre=(0.0, 0.0, 0.0)):
        inside = sum((p - c) ** 2 for p, c in zip(self.points, centre)) <= radius**2
        self.hu[inside] = hu
        return inside

    def found(self, usual=None):
        return find(self.hu, self.bone, self.roi, self.spacing, usual=usual)


def block(median=150.0, texture=0.25, noise=15.0, spacing=(1.25, 0.8, 0.8), seed=0, grain_mm=0.9):
    """Texture: relative SD of the bone above fat at 1 mm; noise: SD of every voxel."""
    rng = np.random.default_rng(seed)
    half = np.array(HALF_MM) + 6
    points = np.meshgrid(*(np.arange(-h, h, s) for h, s in zip(half, spacing)), indexing="ij")
    bone, roi = (np.logical_and.reduce([np.abs(p) <= h for p, h in zip(points, np.array(HALF_MM) + more)]) for more in (3.0, 0.0))
    field = ndimage.gaussian_filter(rng.normal(size=bone.shape), [grain_mm / s for s in spacing])
    hu = (median + 100) * np.exp(texture * field / field.std()) - 100
    return Block(hu + rng.normal(0, noise, bone.shape), bone, roi, spacing, tuple(points))


def neighbours(count=5, **bone):
    blocks = [block(seed=100 + k, **bone) for k in range(count)]
    return common_bone([bone_of(each.hu, each.roi, each.spacing) for each in blocks])


@pytest.mark.parametrize(
    "bone",
    [
        {},
        {"noise": 100.0, "spacing": (0.6, 0.7, 0.7)},
        {"noise": 30.0, "spacing": (5.0, 0.9, 0.9)},
        {"median": 30.0, "texture": 0.35, "noise": 25.0},
        {"median": 300.0, "texture": 0.35},
        {"median": -20.0, "noise": 40.0},
    ],
    ids=["ordinary", "lung kernel", "5 mm", "osteoporotic", "dense", "fat"],
)
@pytest.mark.parametrize("alone", [True, False])
def test_noise_and_texture_are_no_findings(bone, alone):
    usual = None if alone else neighbours(**bone)
    for seed in range(4):
        excluded, exclusions = block(seed=seed, **bone).found(usual)
        assert exclusions == () and not excluded.any(), seed


@pytest.mark.parametrize(
    ("radius", "hu", "kind"),
    [(4.0, 1200.0, "island"), (3.0, 1000.0, "island"), (6.0, 500.0, "blastic"), (7.0, 40.0, "lytic"), (4.0, -700.0, "vacuum")],
)
@pytest.mark.parametrize("spacing", [(1.25, 0.8, 0.8), (3.0, 0.9, 0.9)], ids=str)
def test_a_finding_is_named_and_left_out_of_the_mean(radius, hu, kind, spacing):
    bone = block(spacing=spacing)
    intact = bone.hu[bone.roi].mean()
    inside = bone.ball(radius, hu, (1.0, -3.0, 4.0))
    excluded, exclusions = bone.found(neighbours(spacing=spacing))
    assert exclusions[0].kind == kind and excluded[inside & bone.roi].mean() > 0.9
    assert bone.hu[bone.roi & ~excluded].mean() == pytest.approx(intact, abs=5.0)
    assert abs(bone.hu[bone.roi].mean() - intact) > 5.0
    volume = sum(each.volume_cm3 for each in exclusions)
    assert volume == pytest.approx(excluded.sum() * np.prod(spacing) / 1000) and volume < 4 / 3 * np.pi * (radius + 5) ** 3 / 1000
    largest = excluded & bone.roi if len(exclusions) == 1 else None
    if largest is not None:
        assert exclusions[0].mean_hu == pytest.approx(bone.hu[largest].mean())


def test_noise_of_a_lung_kernel_does_not_hide_a_blastic_lesion():
    bone = block(noise=100.0, spacing=(0.6, 0.7, 0.7))
    inside = bone.ball(6.0, 500.0)
    excluded, exclusions = bone.found(neighbours(noise=100.0, spacing=(0.6, 0.7, 0.7)))
    assert exclusions[0].kind == "blastic" and excluded[inside].mean() > 0.9


def test_two_findings_are_listed_largest_first():
    bone = block()
    bone.ball(3.5, 1200.0, (0.0, -6.0, -9.0))
    bone.ball(6.0, 500.0, (0.0, 4.0, 8.0))
    _excluded, exclusions = bone.found()
    assert [each.kind for each in exclusions] == ["blastic", "island"]


def test_a_lesion_in_most_of_the_roi_is_seen_beside_the_neighbours_only():
    bone = block()
    bone.hu[bone.bone & (bone.points[2] > -9.0)] = 30.0
    assert bone.found()[1] == () or bone.found()[1][0].kind != "lytic"
    excluded, exclusions = bone.found(neighbours())
    assert exclusions[0].kind == "lytic" and excluded[bone.roi & (bone.points[2] > -8.0)].mean() > 0.95
    assert not excluded[bone.points[2] < -12.0].any()


def test_neighbours_that_are_lesions_themselves_do_not_decide():
    bones = [bone_of(each.hu, each.roi, each.spacing) for each in (block(seed=k) for k in range(3))]
    sick = block(seed=9)
    sick.ball(12.0, 600.0)
    bones += [bone_of(sick.hu, sick.roi, sick.spacing)] * 2
    assert block(seed=5).found(common_bone(bones))[1] == ()


def test_a_dense_flat_layer_under_an_end_plate_is_sclerosis():
    bone = block()
    bone.hu[bone.bone & (bone.points[0] > 4.0)] = 480.0
    _excluded, exclusions = bone.found(neighbours())
    assert exclusions[0].kind == "sclerosis"


def test_dense_bone_is_no_finding_where_all_of_it_is_dense_as_its_neighbours_are():
    assert block(median=420.0).found(neighbours(median=400.0))[1] == ()


def test_a_speck_is_too_small():
    bone = block(texture=0.15, noise=5.0)
    bone.ball(1.5, 500.0)
    assert bone.found()[1] == ()


def test_two_vertebrae_prove_nothing_and_an_empty_mask_is_refused():
    assert common_bone([Bone((5.0,) * 3, (0.2,) * 3)] * 2) is None
    bone = block()
    with pytest.raises(ValueError, match="empty"):
        bone_of(bone.hu, np.zeros_like(bone.roi), bone.spacing)
