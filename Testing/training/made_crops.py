"""Crops of vertebrae whose HU say their density, without a simulation, and a small configuration that reads them."""

import numpy as np

from VertebralBMDLib.network.density import nominal_slope
from VertebralBMDLib.training.config import DensityConfig, Schedule, Simulated
from VertebralBMDLib.training.crops import Crops

CONFIG = DensityConfig(
    Simulated(1, 4),
    Simulated(2, 12),
    Schedule(2, 4),
    Schedule(2, 4),
    Schedule(3, 8),
    crop_size=(16, 16, 16),
    spacing_mm=4.0,
    margin=(2, 2, 2),
)


def made_crops(count=12, seed=0, site="hospital-1", kvp=120.0):
    """A bright body in soft tissue whose HU say its density."""
    rng = np.random.default_rng(seed)
    vbmd = rng.uniform(50, 200, count).astype(np.float32)
    body = np.zeros((count, *CONFIG.shape), np.uint8)
    body[:, 5:15, 5:15, 5:15] = 255
    roi = np.zeros_like(body)
    roi[:, 7:13, 7:13, 7:13] = 255
    hu = np.where(body > 0, (vbmd / nominal_slope(120))[:, None, None, None], 30.0).astype(np.int16)
    numbers = {"kvp": kvp, "slope_error": 0.0, "intercept_hu": 0.0, "age": 60.0}
    texts = {"level": "L1", "site": site, "sex": "F"}
    return Crops(
        hu,
        body,
        roi,
        vbmd,
        patient=np.array([f"{site}-{i}" for i in range(count)]),
        eligible=np.arange(count) != 6,
        **{name: np.full(count, value, np.float32) for name, value in numbers.items()},
        **{name: np.full(count, value) for name, value in texts.items()},
    )
