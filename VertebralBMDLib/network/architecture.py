"""The 3D residual U-Nets, from MONAI building blocks. Imported for training only; the shipped files are TorchScript."""

from __future__ import annotations

import torch
from monai.networks.blocks import ResidualUnit
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


class _Trunk(torch.nn.Module):
    """What both density networks share: HU (n, 1, z, y, x) -> ``maps`` logits (n, maps, z/2, y/2, x/2), the first of the body.

    Maps at half of the crop's resolution: at the whole one nearly all the time of a training would go into them.
    """

    def __init__(self, maps: int, window: tuple[float, float], channels: tuple[int, ...]):
        super().__init__()
        self.low, self.high = window
        self.stem = ResidualUnit(3, 1, channels[0], strides=2, subunits=2, norm="batch")
        self.unet = resunet(maps, channels[1:], in_channels=channels[0])

    def forward(self, hu: torch.Tensor) -> torch.Tensor:
        return self.unet(self.stem(normalised_hu(hu, self.low, self.high)))


#: HU of pure fat, of watery and of lean tissue, and of what takes up contrast medium, and how far from that (SD) a voxel still counts as such.
#: Their means tell a scanner's line; more of them, or how they scatter, tell more about simulated scans and mislead about real ones.
TISSUES = ((-110.0, 20.0), (15.0, 20.0), (50.0, 20.0), (100.0, 30.0))


class DensityReader(torch.nn.Module):
    """Crop around the ROI -> vBMD in mg/cm³ CaHA and its standard deviation, (n, 2), and the weight of every voxel, (n, 1, z, y, x).

    ``hu``: (n, 1, z, y, x). ``beam``: (n, 4): the nominal slope of the tube voltage in mg/cm³ CaHA per HU, 1 where the voltage is
    known, 1 where the HU were calibrated with a phantom, 1 on a scanner of its training.

    It reads as a densitometrist does: a soft ROI in the bone of the body that is neither shell nor lesion, less the weight of what is
    far from the rest of it all the same, and the scan's own slope and intercept from the mean HU of ``TISSUES`` around the body, so that
    vBMD = slope · Σw·HU/Σw + intercept. Slope and intercept take no HU from the body: whatever its density, one more HU there is
    worth the same. Our interpretation: the paper names a "3DResUNet" and does not describe its regression head (qct_facts 1.24).
    """

    def __init__(self, window: tuple[float, float] = HU_WINDOW, channels: tuple[int, ...] = (16, 32, 64, 128)):
        super().__init__()
        self.low, self.high = window
        self.trunk = _Trunk(2, window, channels)
        self.register_buffer("tissues", torch.tensor(TISSUES)[:, :, None])
        seen = len(TISSUES) + 4
        self.line = torch.nn.Sequential(
            torch.nn.Linear(seen, 32), torch.nn.ReLU(), torch.nn.Linear(32, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2)
        )
        self.spread = torch.nn.Sequential(torch.nn.Linear(seen + 3, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
        self.correction = Correction()

    def forward(self, hu: torch.Tensor, beam: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found, weights, _roi, _body = self.found(hu)
        return self.read(found, beam), weights

    def found(self, hu: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """What a reading rests on (mean HU of the tissues, mean and scatter of the bone's HU, and the logarithm of the number of voxels
        that share the weights), the weights, the soft ROI that they were before outliers lost theirs, and the logits of the body at half of
        the resolution, (n, 1, z/2, y/2, x/2). Of these only the soft ROI teaches the map that it comes from."""
        maps = self.trunk(hu)
        body, values = maps[:, :1], hu.clamp(self.low, self.high)
        within = torch.nn.functional.interpolate(
            maps[:, 1:2] + torch.nn.functional.logsigmoid(body), scale_factor=2.0, mode="trilinear", align_corners=False
        )
        roi = torch.softmax(within.flatten(2), dim=2)
        smooth = torch.nn.functional.avg_pool3d(values, 3, stride=1, padding=1, count_include_pad=False)
        weights = _without_outliers(roi.detach(), values.flatten(2), smooth.flatten(2))
        bone = _mean_and_scatter(weights, values.flatten(2))
        extent = -torch.log((weights**2).sum(2))
        near = torch.nn.functional.max_pool3d(torch.sigmoid(body), 3, stride=1, padding=1)
        around = torch.nn.functional.avg_pool3d(values, 2).flatten(2)
        distance = (around - self.tissues[:, 0]) / self.tissues[:, 1]
        of_tissues = torch.softmax((-0.5 * distance**2).masked_fill(near.flatten(2) > 0.5, -1e4), dim=2)
        outside = (of_tissues * around).sum(2)
        return torch.cat([outside, bone, extent], dim=1), weights.unflatten(2, hu.shape[2:]), roi.unflatten(2, hu.shape[2:]), body

    def read(self, found: torch.Tensor, beam: torch.Tensor) -> torch.Tensor:
        """vBMD and SD (n, 2) from what was found."""
        outside, bone, extent = found[:, :-3], found[:, -3:-1], found[:, -1:]
        scan = torch.cat([(outside - self.tissues[:, 0, 0]) / 10.0, (beam[:, :1] - 0.7) / 0.1, beam[:, 1:]], dim=1)
        slope, intercept = self.line(scan).unbind(1)
        vbmd = beam[:, 0] * (1.0 + 0.1 * slope) * bone[:, 0] + 10.0 * intercept
        sd = 1.0 + 10.0 * torch.nn.functional.softplus(self.spread(torch.cat([scan, bone / 100.0, extent - 6.0], dim=1))[:, 0])
        return self.correction(torch.stack([vbmd, sd], dim=1), beam)

    def readout(self) -> list[torch.nn.Parameter]:
        """The parameters of ``read``."""
        return [*self.line.parameters(), *self.spread.parameters()]


def _without_outliers(weights: torch.Tensor, values: torch.Tensor, smooth: torch.Tensor) -> torch.Tensor:
    """``weights`` (n, 1, voxels) lowered where ``smooth`` HU lie far from their own weighted mean, as those of a lesion do.

    A redescending M-estimator of the mean with Gaussian weights (Welsch), 100 HU wide, three steps; it follows any shift of all HU. It
    starts below the median: what is dense and foreign may fill more of the bone than what is soft and foreign. As it takes uneven bone
    for a lesion too, it has its say only where it moves the mean of ``values`` by a fifth of the scatter that it leaves, which bone without
    a lesion hardly ever does.
    """
    ordered, order = smooth.sort(dim=2)
    below = (weights.gather(2, order).cumsum(2) < 0.4).sum(2, keepdim=True)
    centre = ordered.gather(2, below.clamp(max=ordered.shape[2] - 1))
    kept = weights
    for _step in range(3):
        kept = weights * torch.exp(-0.5 * ((smooth - centre) / 100.0) ** 2)
        kept = kept / kept.sum(2, keepdim=True).clamp(min=1e-6)
        centre = (kept * smooth).sum(2, keepdim=True)
    mean, scatter = _mean_and_scatter(kept, values).split(1, dim=1)
    moved = (mean - (weights * values).sum(2)).abs() / scatter
    lesion = torch.sigmoid((moved - 0.2) / 0.025)
    return weights + lesion[:, :, None] * (kept - weights)


def _mean_and_scatter(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Means and then standard deviations of ``values`` (n, 1, voxels) under each of the weights (n, k, voxels): (n, 2k)."""
    means = (weights * values).sum(2)
    scatter = ((weights * values**2).sum(2) - means**2).clamp(min=1.0).sqrt()
    return torch.cat([means, scatter], dim=1)


class PoolingReader(torch.nn.Module):
    """The same trunk and inputs with plain average pooling in place of the densitometrist's head: what it is compared with.

    Its weights are even.
    """

    def __init__(self, window: tuple[float, float] = HU_WINDOW, features: int = 8, channels: tuple[int, ...] = (16, 32, 64, 128)):
        super().__init__()
        self.trunk = _Trunk(1 + features, window, channels)
        self.head = torch.nn.Sequential(torch.nn.Linear(features + 4, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
        self.correction = Correction()

    def forward(self, hu: torch.Tensor, beam: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found, weights, _roi, _body = self.found(hu)
        return self.read(found, beam), weights

    def found(self, hu: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """As ``DensityReader.found``."""
        maps, even = self.trunk(hu), torch.full_like(hu, 1.0 / hu[0].numel())
        return maps[:, 1:].mean((2, 3, 4)), even, even, maps[:, :1]

    def read(self, found: torch.Tensor, beam: torch.Tensor) -> torch.Tensor:
        """As ``DensityReader.read``."""
        vbmd, spread = self.head(torch.cat([found, beam], dim=1)).unbind(1)
        return self.correction(torch.stack([100.0 + 50.0 * vbmd, 1.0 + 10.0 * torch.nn.functional.softplus(spread)], dim=1), beam)

    def readout(self) -> list[torch.nn.Parameter]:
        """The parameters of ``read``."""
        return list(self.head.parameters())


class Correction(torch.nn.Module):
    """What validation found: vBMD = offset + factor · raw on a scanner of the training, SD = scale · raw. Does nothing until it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("line", torch.tensor([0.0, 1.0, 1.0]))

    def forward(self, reading: torch.Tensor, beam: torch.Tensor) -> torch.Tensor:
        offset, factor, scale = self.line[0], self.line[1], self.line[2]
        corrected = torch.where(beam[:, 3] > 0.5, offset + factor * reading[:, 0], reading[:, 0])
        return torch.stack([corrected, scale * reading[:, 1]], dim=1)
