"""Cubes for the two segmentation networks, and losses that are smallest at the truth."""

import numpy as np
import pytest

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")
torch = pytest.importorskip("torch")

from made_scans import BOXES, CUT_L2, L1, T12, made_scan  # noqa: E402

from VertebralBMDLib.network.architecture import Localiser  # noqa: E402
from VertebralBMDLib.network.segmentation import STRUCTURES  # noqa: E402
from VertebralBMDLib.training import segmentation  # noqa: E402
from VertebralBMDLib.training.annotated import UNNAMED  # noqa: E402
from VertebralBMDLib.training.augmentation import SplitHu  # noqa: E402


@pytest.fixture
def plain(monkeypatch):
    """Cubes as they are cut from the scan: no augmentation, 3/2 of what the network reads."""
    monkeypatch.setattr(segmentation, "augmentation", lambda *_arguments, **_options: SplitHu())


def places(mask):
    return torch.nonzero(mask).float()


def test_localiser_cubes_mark_centres_by_ribs_and_none_of_cut_bodies(plain, monkeypatch):
    monkeypatch.setattr(segmentation, "_a_place", lambda scan, rng: np.array([20, 22, 22]))
    batch = next(segmentation.localise_batches([made_scan()], [], 1, 0))
    assert {key: tuple(value.shape) for key, value in batch.items()} == {
        "hu": (1, 1, 96, 96, 96),
        "maps": (1, 2, 96, 96, 96),
        "structures": (1, 1, 96, 96, 96),
    }
    start = np.array([20, 22, 22]) - 48
    for channel, label in enumerate((T12, L1)):
        inside = tuple(slice(box.start - low, box.stop - low) for box, low in zip(BOXES[label], start))
        heat = batch["maps"][0, channel]
        assert float(heat[inside].max()) == float(heat.max()) > 0.9
        peak = places(heat > 0.9 * heat.max()).mean(0).numpy() + start
        assert peak == pytest.approx([(box.start + box.stop - 1) / 2 for box in BOXES[label]], abs=0.3)
        assert float(heat[places(heat > 0.6).long().unbind(1)].min()) > 0.6 and len(places(heat > 0.5)) < 150
    cut = tuple(slice(box.start - low, box.stop - low) for box, low in zip(BOXES[CUT_L2], start))
    assert float(batch["maps"][0][:, cut[0], cut[1], cut[2]].max()) < 0.05 and torch.all(batch["structures"][0, 0][cut] == UNNAMED)


def test_bodies_that_bear_ribs_are_those_that_the_scan_says(plain):
    from dataclasses import replace

    scan = replace(made_scan(), ribbed=frozenset({L1, T12}))
    batch = next(segmentation.localise_batches([scan], [], 1, 0))
    assert float(batch["maps"][0, 0].max()) > 0.9 and float(batch["maps"][0, 1].max()) == 0


def test_localiser_cubes_are_augmented_to_what_the_network_reads():
    batch = next(segmentation.localise_batches([made_scan()], [made_scan(named=False)], 2, 0))
    assert {key: tuple(value.shape) for key, value in batch.items()} == {
        "hu": (2, 1, 64, 64, 64),
        "maps": (2, 2, 64, 64, 64),
        "structures": (2, 1, 64, 64, 64),
    }


def test_most_places_are_near_a_body_and_some_anywhere():
    scan, rng = made_scan(), np.random.default_rng(0)
    distances = [
        min(np.abs(np.array(centre) - segmentation._a_place(scan, rng)).max() for centre in scan.centres.values()) for _ in range(300)
    ]
    assert max(distances) <= 44 and np.mean(np.array(distances) <= 21) > 0.8


def test_refiner_cubes_show_one_complete_body_each(plain):
    batches = segmentation.refine_batches([], [made_scan(1.5)], 8, 0)
    batch = next(batches)
    assert tuple(batch["hu"].shape) == tuple(batch["maps"].shape) == (8, 1, 72, 72, 72)
    sizes = set()
    for body, structures in zip(batch["maps"][:, 0], batch["structures"][:, 0]):
        assert (places(body).mean(0) - 35.5).abs().max() <= 1.0 and torch.all(structures[body > 0] == 1)
        assert (structures == 1).sum() > body.sum(), "the neighbour is no part of it"
        sizes.add(int(body.sum()))
    # Each of the eight corners loses a voxel that is filled by less than a half.
    assert sizes == {8 * 8 * 10 * 12 - 8, 8 * 10 * 10 * 12 - 8}, "T12 and L1, never the body that is cut"


def test_refiner_cubes_are_augmented_to_what_the_network_reads():
    batch = next(segmentation.refine_batches([made_scan(1.5)], [], 3, 0))
    assert tuple(batch["hu"].shape) == tuple(batch["maps"].shape) == (3, 1, 48, 48, 48)
    for body in batch["maps"]:
        assert (places(body[0] > 0.5).mean(0) - 23.5).norm() < 12.0


def test_the_discs_of_some_refiner_cubes_become_bone():
    plain, ossified = (next(segmentation.refine_batches([made_scan(1.5)], [], 6, 0, share)) for share in (0.0, 1.0))
    assert torch.equal(plain["structures"], ossified["structures"]) and torch.equal(plain["maps"], ossified["maps"])
    assert (ossified["hu"] > 100).sum() > (plain["hu"] > 100).sum()


def test_batches_repeat_by_seed():
    for batches, spacing in ((segmentation.localise_batches, 3.0), (segmentation.refine_batches, 1.5)):
        first, again, other = (next(batches([made_scan(spacing)], [], 1, seed))["hu"] for seed in (5, 5, 6))
        assert torch.equal(first, again) and not torch.equal(first, other)


def localise_loss(structures, seen, maps=None, seen_maps=None):
    """The loss of a network that is sure of ``seen`` where ``structures`` is true (both lists along z)."""
    shape = (len(structures), 4, 4)
    truth, said = (torch.tensor(values)[:, None, None].expand(shape) for values in (structures, seen))
    maps = torch.zeros((1, 2, *shape)) if maps is None else maps
    heat = torch.logit((maps if seen_maps is None else seen_maps).clamp(0.001, 0.999))
    logits = torch.cat([10.0 * torch.nn.functional.one_hot(said, len(STRUCTURES)).permute(3, 0, 1, 2)[None].float(), heat], dim=1)
    return float(segmentation.localise_loss(lambda hu: logits, {"hu": None, "structures": truth[None, None].float(), "maps": maps}))


TRUTH = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("place", range(len(TRUTH)))
@pytest.mark.parametrize("said", range(len(STRUCTURES)))
def test_the_localisers_loss_is_smallest_where_structures_are_true(place, said):
    seen = [said if k == place else part for k, part in enumerate(TRUTH)]
    if seen != TRUTH:
        assert localise_loss(TRUTH, seen) > localise_loss(TRUTH, TRUTH) + 0.1


def test_bone_without_a_name_may_be_anything_but_a_body():
    unnamed = [0, 1, UNNAMED, UNNAMED]
    losses = {name: localise_loss(unnamed, [0, 1, said, said]) for said, name in enumerate(STRUCTURES)}
    body = losses.pop("body")
    assert max(losses.values()) - min(losses.values()) < 0.01 and body > max(losses.values()) + 1.0


def test_what_is_known_beside_bone_without_a_name_still_counts():
    assert localise_loss([0, 1, UNNAMED, 0], [0, 0, 0, 0]) > localise_loss([0, 1, UNNAMED, 0], [0, 1, 0, 0]) + 1.0
    assert localise_loss([0, 1, UNNAMED, 0], [0, 1, 0, 4]) > localise_loss([0, 1, UNNAMED, 0], [0, 1, 0, 0]) + 0.5


def test_the_localisers_loss_is_smallest_where_centres_are_true():
    maps = torch.zeros((1, 2, 12, 4, 4))
    maps[0, 0, 2], maps[0, 0, 3], maps[0, 1, 7] = 1.0, 0.6, 1.0
    found = localise_loss(TRUTH, TRUTH, maps)
    for wrong in (torch.zeros_like(maps), maps.flip(1), maps.roll(1, 2), (maps + 0.3).clamp(max=1.0), maps * 0.7):
        assert localise_loss(TRUTH, TRUTH, maps, wrong) > found + 0.05


def test_the_refiners_loss_is_smallest_at_the_truth():
    body = torch.zeros((1, 1, 8, 8, 8))
    body[..., 2:6, 2:6, 2:6] = 1

    def loss(seen):
        return float(segmentation.refine_loss(lambda hu: 20.0 * seen - 10.0, {"hu": None, "maps": body}))

    wrongs = (torch.zeros_like(body), torch.ones_like(body), body.roll(1, 2), 1 - body)
    assert loss(body) < 0.01 and all(loss(wrong) > 0.2 for wrong in wrongs)


def test_the_loss_falls_when_a_network_fits_what_it_is_shown(monkeypatch):
    monkeypatch.setattr(segmentation, "_a_place", lambda scan, rng: np.array([20, 22, 22]))
    torch.manual_seed(0)
    model, batch = Localiser((4, 8, 16)), next(segmentation.localise_batches([], [made_scan()], 1, 0))
    batch = {key: values[..., 16:48, 16:48, 16:48] for key, values in batch.items()}
    assert {0, 1} < set(batch["structures"].unique().tolist())
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        losses.append(segmentation.localise_loss(model, batch))
        losses[-1].backward()
        optimiser.step()
    assert float(losses[-1].detach()) < 0.7 * float(losses[0].detach())
