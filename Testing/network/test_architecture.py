"""The architectures: HU in, what they promise out."""

import pytest

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")
torch = pytest.importorskip("torch")

from VertebralBMDLib.network.architecture import STANDARD_HU, DensityReader, Localiser, PoolingReader, Refiner  # noqa: E402

BEAM = torch.tensor([0.74, 1.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("network", "shape", "expected"),
    [(Localiser, (1, 1, 32, 48, 32), (1, 8, 32, 48, 32)), (Refiner, (2, 1, 48, 48, 48), (2, 1, 48, 48, 48))],
)
def test_networks_map_hu_to_what_they_promise(network, shape, expected):
    torch.manual_seed(0)
    with torch.inference_mode():
        out = network().eval()(torch.randn(shape) * 200)
    assert tuple(out.shape) == expected and bool(torch.isfinite(out).all())


@pytest.mark.parametrize("network", [DensityReader, PoolingReader])
def test_readers_give_a_density_that_is_never_certain_and_weights_that_add_up(network):
    torch.manual_seed(0)
    with torch.inference_mode():
        reading, weights = network().eval()(torch.randn(3, 1, 16, 24, 32) * 300, BEAM.repeat(3, 1))
    assert tuple(reading.shape) == (3, 2) and bool(torch.isfinite(reading).all()) and bool((reading[:, 1] > 1.0).all())
    assert tuple(weights.shape) == (3, 1, 16, 24, 32) and torch.allclose(weights.sum((1, 2, 3, 4)), torch.ones(3), atol=1e-4)


def test_the_correction_moves_a_reading_of_an_own_scanner_and_widens_every_sd():
    reader = DensityReader().eval()
    hu, beam = torch.randn(2, 1, 16, 16, 16) * 200, torch.stack([torch.tensor([0.74, 1.0, 0.0, 1.0]), BEAM])
    with torch.inference_mode():
        raw = reader(hu, beam)[0]
        reader.correction.line = torch.tensor([5.0, 0.9, 2.0])
        corrected = reader(hu, beam)[0]
    expected = torch.stack([5.0 + 0.9 * raw[0, 0], raw[1, 0]])
    assert torch.allclose(corrected[:, 0], expected, atol=1e-3) and torch.allclose(corrected[:, 1], 2.0 * raw[:, 1], atol=1e-3)


class Seen(torch.nn.Module):
    """A trunk that takes everything above 150 HU for body, and all of the body for ROI; it remembers what it has seen."""

    def __init__(self):
        super().__init__()
        self.images = []

    def forward(self, hu):
        self.images.append(hu)
        body = torch.nn.functional.avg_pool3d(torch.where(hu > 150.0, 30.0, -30.0), 2)
        return torch.cat([body, body], dim=1)


def test_a_reading_follows_the_bone_by_the_line_of_the_tissues_alone():
    torch.manual_seed(0)
    reader = DensityReader().eval()
    reader.trunk, reader.lesions = Seen(), Bright(9999.0)

    def read(bone, tissue=40.0):
        hu = torch.full((1, 1, 16, 24, 24), tissue)
        hu[:, :, 4:12, 8:16, 8:16] = bone
        with torch.inference_mode():
            return float(reader(hu, BEAM[None])[0][0, 0])

    steps = [read(bone + 50.0) - read(bone) for bone in (200.0, 300.0, 600.0)]
    assert steps == pytest.approx([steps[0]] * 3, rel=1e-3) and steps[0] > 20.0
    assert read(200.0, tissue=-100.0) != pytest.approx(read(200.0), abs=0.1)


class Bright(torch.nn.Module):
    """Takes everything above a limit for a lesion."""

    def __init__(self, lesion_hu):
        super().__init__()
        self.lesion_hu = lesion_hu

    def forward(self, hu, roi, body):
        return torch.where(hu > self.lesion_hu, 30.0, -30.0)


def with_lesion(lesion_hu, bone_hu=200.0):
    hu = torch.full((1, 1, 16, 24, 24), 40.0)
    hu[:, :, 4:12, 6:18, 6:18] = bone_hu
    hu[:, :, 6:10, 10:14, 10:14] = lesion_hu
    return hu


def test_what_is_found_to_be_a_lesion_has_no_weight_and_is_told_to_the_interval():
    torch.manual_seed(0)
    reader = DensityReader().eval()
    reader.trunk, reader.lesions = Seen(), Bright(400.0)
    with torch.inference_mode():
        (plain, weights), (reading, kept) = (reader(with_lesion(hu), BEAM[None]) for hu in (200.0, 700.0))
        found, lesion = (reader.found(with_lesion(hu))[0][0] for hu in (200.0, 700.0))
    assert float(reading[0, 0]) == pytest.approx(float(plain[0, 0]), abs=0.5)
    assert float(kept[0, 0, 6:10, 10:14, 10:14].sum()) < 1e-3 < float(weights[0, 0, 6:10, 10:14, 10:14].sum())
    assert float(found[-1]) < 1e-3 and float(lesion[-1]) == pytest.approx(64 / 1152, rel=0.05)


def test_the_roi_and_lesions_are_found_whatever_the_density_of_the_bone():
    torch.manual_seed(0)
    reader = DensityReader().eval()
    reader.trunk = Seen()
    with torch.inference_mode():
        thin, dense, plain = (reader.found(with_lesion(*hu))[2]["lesion"] for hu in ((450.0, 200.0), (600.0, 350.0), (350.0, 350.0)))
    assert torch.allclose(thin, dense, atol=5e-3) and float((dense - plain).abs().max()) > 0.05
    inside = (..., slice(5, 11), slice(7, 17), slice(7, 17))
    _raw, thin, _raw, dense, _raw, plain = reader.trunk.images
    assert torch.allclose(thin[inside], dense[inside], atol=0.1) and torch.allclose(plain[inside], torch.tensor(STANDARD_HU), atol=0.1)
    assert float(thin[0, 0, 7, 11, 11]) == pytest.approx(STANDARD_HU + 250.0, abs=0.1)
    assert torch.equal(thin[..., :2, :, :], torch.full((1, 1, 2, 24, 24), 40.0)), "soft tissue stays"
