"""One training of a density network: its loss, its readout, and how its readings are judged."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")
torch = pytest.importorskip("torch")

from made_crops import CONFIG  # noqa: E402

from VertebralBMDLib.network.architecture import TISSUES, DensityReader  # noqa: E402
from VertebralBMDLib.training import density, density_readout  # noqa: E402
from VertebralBMDLib.training.config import Schedule  # noqa: E402


class Fixed(torch.nn.Module):
    """Says what it was told to, whatever it sees."""

    def __init__(self, reading, weights, maps):
        super().__init__()
        self.says = reading, weights, maps

    def found(self, hu):
        return None, *self.says[1:]

    def read(self, found, beam):
        return self.says[0]


def loss_of(readings=(100.0, 100.0), sd=5.0, body=9.0, at=(4, 4, 4), roi=9.0, coarse=9.0, lesion=9.0, outlined=True):
    """The loss of a vertebra of 100 mg/cm³, looked at twice: the body fills the crop but for its first slices, which hold no bone; a
    lesion has taken the last slices of the ROI. ``body``, ``roi``, ``coarse``, ``lesion``: logits, right where they are positive; ``at``: where
    all of the weight is."""
    inside = torch.ones(2, 1, 8, 8, 8)
    inside[:, :, :2] = 0.0
    taken = torch.zeros_like(inside)
    taken[:, :, 6:] = 1.0
    weights = torch.zeros(2, 1, 8, 8, 8)
    weights[(slice(None), 0, *at)] = 1.0
    half = (slice(None), slice(None), slice(None, None, 2), slice(None, None, 2), slice(None, None, 2))
    maps = {
        "body": torch.where(inside[half] > 0, body, -body),
        "roi": torch.where(inside - taken > 0, roi, -roi),
        "coarse": torch.where((inside - taken)[half] > 0, coarse, -coarse),
        "lesion": torch.where(taken[half] > 0, lesion, -lesion),
    }
    model = Fixed(torch.tensor([[reading, sd] for reading in readings]), weights, maps)
    batch = {
        "hu": torch.where(inside > 0, 135.0, 0.0),
        "beam": torch.tensor([[0.74, 1.0, 0.0, 0.0]]).repeat(2, 1),
        "vbmd": torch.tensor([100.0, 100.0]),
        "body": inside * outlined,
        "roi": inside - taken,
        "lesion": taken,
    }
    return float(density.density_loss(model, batch))


def test_the_loss_is_smallest_at_the_truth():
    assert loss_of() < loss_of((104.0, 104.0)) < loss_of((130.0, 130.0)) and loss_of() < loss_of((96.0, 96.0))
    assert loss_of((130.0, 130.0)) > loss_of((130.0, 130.0), sd=30.0)


def test_a_large_error_does_not_widen_every_interval():
    """One reading of ten is 60 mg/cm³ off, the others 3: the best common SD is near theirs."""
    vbmd = torch.full((20,), 100.0)
    off = torch.tensor([60.0] * 2 + [3.0, 3.0, -3.0, -3.0] * 4 + [3.0, 3.0])
    losses = {sd: float(density.reading_loss(torch.stack([vbmd + off, torch.full((20,), sd)], dim=1), vbmd)) for sd in (3.0, 5.0, 19.0)}
    assert min(losses, key=losses.get) < 10.0


def test_the_readout_learns_what_tissues_say_and_the_maps_stay(tmp_path, monkeypatch):
    """Fat and muscle tell the slope of a scanner; the file is read instead of training again."""
    torch.manual_seed(0)
    model = DensityReader().eval()

    def batches():
        generator = torch.Generator().manual_seed(1)
        while True:
            slope, vbmd = (torch.repeat_interleave(each, 2) for each in torch.rand(2, 16, generator=generator))
            slope, vbmd = 0.8 + 0.4 * slope, 50.0 + 150.0 * vbmd
            yield {"hu": torch.stack([slope, vbmd], dim=1), "beam": torch.tensor([[0.74, 1.0, 0.0, 0.0]]).repeat(32, 1), "vbmd": vbmd}

    def found(seen):
        tissues = torch.tensor(TISSUES)[:, 0] * seen[:, :1]
        bone = seen[:, :1] * seen[:, 1:] / 0.74
        return torch.cat([tissues, bone, torch.full_like(bone, 30.0), torch.ones_like(bone), torch.zeros_like(bone)], dim=1), None, {}

    model.found = found
    before = {name: value.clone() for name, value in model.state_dict().items()}
    asked = []
    monkeypatch.setattr(density_readout, "looks", lambda *what: asked.append(what[-1]) or batches())
    config = replace(CONFIG, readout=Schedule(400, 64, 3e-3))
    density_readout.with_readout(model, None, frozenset(), config, tmp_path / "readout.pt")
    assert (asked[0].lesions, asked[0].uneven, asked[0].smooth) == (0.0, 0.0, 0.0), "bone as patients have it"
    unseen = next(batches())
    with torch.inference_mode():
        error = model.read(found(unseen["hu"])[0], unseen["beam"])[:, 0] - unseen["vbmd"]
    fixed = unseen["hu"].prod(dim=1) - unseen["vbmd"]
    assert float(error.std()) < 0.5 * float(fixed.std())
    moved = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"line", "spread"}
    again = density_readout.with_readout(DensityReader().eval(), None, frozenset(), config, tmp_path / "readout.pt")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


def test_the_loss_wants_two_looks_to_agree_and_the_body_the_roi_and_lesions_to_be_found():
    assert loss_of((104.0, 104.0)) < loss_of((104.0, 96.0))
    assert loss_of() < loss_of(body=0.0) < loss_of(body=-9.0)
    assert loss_of() < loss_of(roi=0.0) < loss_of(roi=-9.0)
    assert loss_of() < loss_of(coarse=0.0) < loss_of(coarse=-9.0)
    assert loss_of() < loss_of(lesion=0.0) < loss_of(lesion=-9.0)
    assert loss_of() < loss_of(at=(0, 4, 4)), "other HU than those of the ROI"
    assert loss_of(body=-9.0, outlined=False) == loss_of(outlined=False) < loss_of(roi=-9.0, outlined=False)


def test_what_selects_a_network_is_what_it_says():
    truth = np.array([60.0, 100.0, 140.0, 180.0])
    found = density.judged(np.stack([truth + [4.0, -4.0, 4.0, -4.0], np.full(4, 10.0)], axis=1), truth)
    assert (found["mae"], found["rmse"], found["bias"]) == pytest.approx((4.0, 4.0, 0.0)) and found["covered_95"] == 1.0
    assert found["auc_osteoporosis"] == found["auc_low_bone_mass"] == found["accuracy_low_bone_mass"] == 1.0
    narrow = density.judged(np.stack([truth + 4.0, np.ones(4)], axis=1), truth)
    assert narrow["covered_95"] == 0.0
    assert density.judged(np.stack([truth + 100, np.ones(4)], axis=1), truth + 100)["auc_osteoporosis"] is None
