"""The 3D residual U-Nets, from MONAI building blocks. Imported for training only; the shipped files are TorchScript."""

from __future__ import annotations

import torch
from monai.networks.nets import UNet


def resunet(out_channels: int, channels: tuple[int, ...], in_channels: int = 1) -> UNet:
    """3D U-Net with two-convolution residual units. Input (n, in_channels, z, y, x), each side a multiple of 2^(len(channels)-1).

    Batch normalisation, because its statistics do not depend on how large a field is read at once.
    """
    return UNet(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        channels=channels,
        strides=(2,) * (len(channels) - 1),
        num_res_units=2,
        norm="batch",
    )


#: Fat to dense bone, where all the structure is.
HU_WINDOW = (-300.0, 900.0)


def normalised_hu(hu: torch.Tensor, low: float = HU_WINDOW[0], high: float = HU_WINDOW[1]) -> torch.Tensor:
    """HU clipped to ``low``...``high`` and scaled to -1...1."""
    return (hu.clamp(low, high) - 0.5 * (low + high)) / (0.5 * (high - low))


class Localiser(torch.nn.Module):
    """Whole field at 3 mm: HU (n, 1, z, y, x) -> logits (n, 8, z, y, x).

    Six exclude each other: background, vertebral body, posterior elements, sacrum, ribs, pelvis; two mark the centres of
    bodies that bear ribs and of bodies that bear none.
    """

    def __init__(self, channels: tuple[int, ...] = (8, 16, 32, 64, 128)):
        super().__init__()
        self.unet = resunet(8, channels)

    def forward(self, hu: torch.Tensor) -> torch.Tensor:
        return self.unet(normalised_hu(hu))


class Refiner(torch.nn.Module):
    """One crop around a body's centre: HU (n, 1, s, s, s) -> logit (n, 1, s, s, s) of the body at the centre of the crop.

    A fixed Gaussian around the crop's centre is the second input channel: it says which of the bodies is meant.
    """

    def __init__(self, size: int = 48, channels: tuple[int, ...] = (16, 32, 64, 128)):
        super().__init__()
        axis = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        distance2 = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2
        self.register_buffer("centre", torch.exp(-distance2 / (2 * (size / 12) ** 2))[None, None])
        self.unet = resunet(1, channels, in_channels=2)

    def forward(self, hu: torch.Tensor) -> torch.Tensor:
        centre = self.centre.expand(hu.shape[0], -1, -1, -1, -1)
        return self.unet(torch.cat([normalised_hu(hu), centre], dim=1))


class DensityReader(torch.nn.Module):
    """Crop around the ROI -> vBMD in mg/cm³ CaHA and its standard deviation, (n, 2), and the weight of every voxel, (n, 1, z, y, x).

    ``hu``: (n, 1, z, y, x). ``beam``: (n, 3): the nominal slope of the tube voltage in mg/cm³ CaHA per HU, 1 where the voltage is
    known, 1 where the HU were calibrated with a phantom.

    It reads as a densitometrist does: a soft trabecular weight for every voxel, and the scan's own slope and intercept from
    mean and scatter of the HU of tissues that it finds by itself, so that vBMD = slope · Σw·HU/Σw + intercept. Our interpretation: the paper
    names a "3DResUNet" and does not describe its regression head (qct_facts 1.24).
    """

    def __init__(self, window: tuple[float, float] = HU_WINDOW, tissues: int = 7, channels: tuple[int, ...] = (16, 32, 64, 128)):
        super().__init__()
        self.low, self.high = window
        maps = 1 + tissues
        self.unet = resunet(maps, channels)
        self.head = torch.nn.Sequential(torch.nn.Linear(3 * maps + 3, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3))
        self.correction = Correction()

    def forward(self, hu: torch.Tensor, beam: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = self.unet(normalised_hu(hu, self.low, self.high)).flatten(2)
        weights = torch.softmax(out, dim=2)
        values = hu.clamp(self.low, self.high).flatten(2)
        means = (weights * values).sum(2)
        scatter = ((weights * values**2).sum(2) - means**2).clamp(min=1.0).sqrt()
        found = torch.cat([means / 100.0, scatter / 100.0, out.mean(2), beam], dim=1)
        slope, intercept, spread = self.head(found).unbind(1)
        vbmd = beam[:, 0] * (1.0 + 0.1 * slope) * means[:, 0] + 10.0 * intercept
        reading = torch.stack([vbmd, 1.0 + 10.0 * torch.nn.functional.softplus(spread)], dim=1)
        return self.correction(reading), weights[:, :1].unflatten(2, hu.shape[2:])


class PoolingReader(torch.nn.Module):
    """The same trunk and inputs with plain average pooling in place of the densitometrist's head: what it is compared with.

    Its weights are even.
    """

    def __init__(self, window: tuple[float, float] = HU_WINDOW, features: int = 8, channels: tuple[int, ...] = (16, 32, 64, 128)):
        super().__init__()
        self.low, self.high = window
        self.unet = resunet(features, channels)
        self.head = torch.nn.Sequential(torch.nn.Linear(features + 3, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
        self.correction = Correction()

    def forward(self, hu: torch.Tensor, beam: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled = self.unet(normalised_hu(hu, self.low, self.high)).mean((2, 3, 4))
        vbmd, spread = self.head(torch.cat([pooled, beam], dim=1)).unbind(1)
        reading = torch.stack([100.0 + 50.0 * vbmd, 1.0 + 10.0 * torch.nn.functional.softplus(spread)], dim=1)
        return self.correction(reading), torch.full_like(hu, 1.0 / hu[0].numel())


class Correction(torch.nn.Module):
    """What validation found: vBMD = offset + factor · raw, SD = scale · raw. Does nothing until it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("line", torch.tensor([0.0, 1.0, 1.0]))

    def forward(self, reading: torch.Tensor) -> torch.Tensor:
        offset, factor, scale = self.line[0], self.line[1], self.line[2]
        return torch.stack([offset + factor * reading[:, 0], scale * reading[:, 1]], dim=1)
