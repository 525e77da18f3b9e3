"""The architectures: HU in, what they promise out."""

import pytest

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")
torch = pytest.importorskip("torch")

from VertebralBMDLib.network.architecture import DensityReader, Localiser, Refiner  # noqa: E402


@pytest.mark.parametrize(
    ("network", "shape", "expected"),
    [
        (Localiser, (1, 1, 32, 48, 32), (1, 8, 32, 48, 32)),
        (Refiner, (2, 1, 48, 48, 48), (2, 1, 48, 48, 48)),
        (DensityReader, (3, 1, 32, 32, 32), (3, 2)),
    ],
)
def test_networks_map_hu_to_what_they_promise(network, shape, expected):
    torch.manual_seed(0)
    with torch.inference_mode():
        out = network().eval()(torch.randn(shape) * 200)
    assert tuple(out.shape) == expected and bool(torch.isfinite(out).all())


def test_the_density_reader_never_claims_to_be_certain():
    with torch.inference_mode():
        sd = DensityReader().eval()(torch.randn(4, 1, 32, 32, 32) * 300)[:, 1]
    assert bool((sd > 1.0).all())
