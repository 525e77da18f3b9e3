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


class _Lesions(torch.nn.Module):
    """HU (n, 1, z, y, x), how much of each voxel is ROI (0 to 1) and its body -> logits of a focal lesion.

    What it sees of HU is how far they lie from the bone's own: each voxel's, and means and scatters of the ROI around it, from the
    ``_level`` of the ROI. So no shift of all bone changes what it finds.
    """

    def __init__(self, channels: int = 16):
        super().__init__()
        self.layers = torch.nn.Sequential(
            ResidualUnit(3, 7, channels, subunits=2, norm="batch"),
            ResidualUnit(3, channels, channels, subunits=2, norm="batch", dilation=2),
            ResidualUnit(3, channels, channels, subunits=2, norm="batch"),
            torch.nn.Conv3d(channels, 1, 1),
        )

    def forward(self, hu: torch.Tensor, roi: torch.Tensor, body: torch.Tensor) -> torch.Tensor:
        some = roi + 1e-4
        away = ((hu - _level(hu, some)) / 100.0).clamp(-4.0, 6.0)
        near, wide = _local_mean(away, some, 3), _local_mean(away, some, 5)
        uneven = (_local_mean(away**2, some, 3) - near**2).clamp(min=1e-4).sqrt()
        scatter = ((some * away**2).sum((2, 3, 4), keepdim=True) / some.sum((2, 3, 4), keepdim=True)).sqrt().expand_as(hu)
        return self.layers(torch.cat([torch.cat([away, near, wide, uneven, scatter], dim=1) * roi, roi, body], dim=1))


def _level(hu: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """45th percentile of HU, every voxel counted by its ``share``, (n, 1, 1, 1, 1): of a bone, the HU of what is neither dense and
    foreign, which may fill more of it, nor soft and foreign."""
    ordered, order = hu.flatten(2).sort(2)
    weights = share.flatten(2).gather(2, order).cumsum(2)
    place = (weights < 0.45 * weights[:, :, -1:]).sum(2, keepdim=True).clamp(max=weights.shape[2] - 1)
    return ordered.gather(2, place)[:, :, :, None, None]


def _local_mean(values: torch.Tensor, weights: torch.Tensor, size: int) -> torch.Tensor:
    """Weighted means over cubes of ``size`` voxels around each."""
    pooled = torch.nn.functional.avg_pool3d(weights * values, size, stride=1, padding=size // 2)
    return pooled / torch.nn.functional.avg_pool3d(weights, size, stride=1, padding=size // 2)


#: Level of the bone's HU (``_level``) for which maps are drawn: that of a usual vertebra. Whatever it is in the scan, it is brought there.
STANDARD_HU = 200.0

#: HU of pure fat, of watery and of lean tissue, and of what takes up contrast medium, and how far from that (SD) a voxel still counts as such.
#: Their means tell a scanner's line; more of them, or how they scatter, tell more about simulated scans and mislead about real ones.
TISSUES = ((-110.0, 20.0), (15.0, 20.0), (50.0, 20.0), (100.0, 30.0))


class DensityReader(torch.nn.Module):
    """Crop around the ROI -> vBMD in mg/cm³ CaHA and its standard deviation, (n, 2), and the weight of every voxel, (n, 1, z, y, x).

    ``hu``: (n, 1, z, y, x). ``beam``: (n, 4): the nominal slope of the tube voltage in mg/cm³ CaHA per HU, 1 where the voltage is
    known, 1 where the HU were calibrated with a phantom, 1 on a scanner of its training.

    It reads as a densitometrist does: a soft ROI in the bone of the body that is neither shell nor lesion, and the scan's own slope
    and intercept from the mean HU of ``TISSUES`` around the body, so that vBMD = slope · Σw·HU/Σw + intercept. Slope and intercept
    take no HU from the body, and the ROI is drawn on an image in which all bodies are equally dense: whatever the density of a body,
    one more HU there is worth nearly the same. Our interpretation: the paper names a "3DResUNet" and does not describe its regression head
    (qct_facts 1.24).
    """

    def __init__(self, window: tuple[float, float] = HU_WINDOW, channels: tuple[int, ...] = (16, 32, 64, 128)):
        super().__init__()
        self.low, self.high = window
        self.standard = STANDARD_HU
        self.trunk = _Trunk(2, window, channels)
        self.lesions = _Lesions()
        self.register_buffer("tissues", torch.tensor(TISSUES)[:, :, None])
        seen = len(TISSUES) + 4
        self.line = torch.nn.Sequential(
            torch.nn.Linear(seen, 32), torch.nn.ReLU(), torch.nn.Linear(32, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2)
        )
        self.spread = torch.nn.Sequential(torch.nn.Linear(seen + 4, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
        self.correction = Correction()

    def forward(self, hu: torch.Tensor, beam: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found, weights, _maps = self.found(hu)
        return self.read(found, beam), weights

    def found(self, hu: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        """What a reading rests on (mean HU of the tissues, mean and scatter of the bone's HU, the logarithm of the number of voxels
        that share the weights, and the share of the ROI that lesions take), the weights, and logits that teach the maps: ``roi``, and at
        half of the resolution, (n, 1, z/2, y/2, x/2), ``body``, ``coarse`` (the ROI before lesions are looked for) and ``lesion``. Only
        these and the weights teach them."""
        body = self.trunk(hu)[:, :1]
        values = hu.clamp(self.low, self.high)
        around = torch.nn.functional.avg_pool3d(values, 2)
        of_body = torch.sigmoid(body.detach())
        coarse = self.trunk(self._standard(hu, around, of_body))[:, 1:]
        of_coarse = torch.sigmoid(coarse.detach())
        lesion = self.lesions(around, of_coarse, of_body)
        log_share = torch.nn.functional.logsigmoid(coarse) + torch.nn.functional.logsigmoid(-lesion)
        logit = log_share - torch.log(-torch.expm1(log_share.clamp(max=-1e-4)))
        roi = torch.nn.functional.interpolate(logit, scale_factor=2.0, mode="trilinear", align_corners=False)
        # Three times as sure as the map: where in doubt, a voxel is in or out, and a half-seen lesion out.
        weights = torch.softmax(torch.nn.functional.logsigmoid(3.0 * roi).flatten(2), dim=2)
        bone = _mean_and_scatter(weights.detach(), values.flatten(2))
        extent = -torch.log((weights.detach() ** 2).sum(2))
        taken = (of_coarse * torch.sigmoid(lesion.detach())).sum((2, 3, 4)) / of_coarse.sum((2, 3, 4)).clamp(min=1e-4)
        near = torch.nn.functional.max_pool3d(of_body, 3, stride=1, padding=1).flatten(2)
        around = around.flatten(2)
        distance = (around - self.tissues[:, 0]) / self.tissues[:, 1]
        outside = (torch.softmax((-0.5 * distance**2).masked_fill(near > 0.5, -1e4), dim=2) * around).sum(2)
        maps = {"roi": roi, "body": body, "coarse": coarse, "lesion": lesion}
        return torch.cat([outside, bone, extent, taken], dim=1), weights.unflatten(2, hu.shape[2:]), maps

    def _standard(self, hu: torch.Tensor, around: torch.Tensor, of_body: torch.Tensor) -> torch.Tensor:
        """The crop with as much added to the bone of the body as brings its level to ``STANDARD_HU``; ``around`` and ``of_body`` at half
        of the resolution. A network that sees how dense a bone is takes the soft core of a weak one for a lesion."""
        deep = -torch.nn.functional.max_pool3d(-of_body, 3, stride=1, padding=1)
        of_bone = torch.nn.functional.interpolate(
            (2.5 * of_body - 1.0).clamp(0.0, 1.0), scale_factor=2.0, mode="trilinear", align_corners=False
        )
        return hu + of_bone * (self.standard - _level(around, deep + 1e-4))

    def read(self, found: torch.Tensor, beam: torch.Tensor) -> torch.Tensor:
        """vBMD and SD (n, 2) from what was found."""
        outside, bone, extent, taken = found[:, :-4], found[:, -4:-2], found[:, -2:-1], found[:, -1:]
        scan = torch.cat([(outside - self.tissues[:, 0, 0]) / 10.0, (beam[:, :1] - 0.7) / 0.1, beam[:, 1:]], dim=1)
        slope, intercept = self.line(scan).unbind(1)
        vbmd = beam[:, 0] * (1.0 + 0.1 * slope) * bone[:, 0] + 10.0 * intercept
        doubts = torch.cat([scan, bone / 100.0, extent - 6.0, 5.0 * taken], dim=1)
        sd = 1.0 + 10.0 * torch.nn.functional.softplus(self.spread(doubts)[:, 0])
        return self.correction(torch.stack([vbmd, sd], dim=1), beam)

    def readout(self) -> list[torch.nn.Parameter]:
        """The parameters of ``read``."""
        return [*self.line.parameters(), *self.spread.parameters()]


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
        found, weights, _maps = self.found(hu)
        return self.read(found, beam), weights

    def found(self, hu: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        """As ``DensityReader.found``, without ROI and lesions."""
        maps, even = self.trunk(hu), torch.full_like(hu, 1.0 / hu[0].numel())
        return maps[:, 1:].mean((2, 3, 4)), even, {"body": maps[:, :1]}

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
