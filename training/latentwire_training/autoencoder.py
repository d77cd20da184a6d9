"""Paper A (Alslman et al. 2022), Table 2, to the letter: `ae224`.

Encoder  [N, 3, H, W] in 0..1
    conv 3x3, 64, ReLU -> max pool 2x2 -> conv 3x3, 64, ReLU -> conv 3x3, 32, ReLU -> dense 3 (a 1x1 convolution)
    -> latent [N, 3, H/2, W/2], signed
Decoder  latent
    dense 3 (1x1) -> conv^T 3x3, 32, ReLU -> upsample 2x2 -> conv^T 3x3, 64, ReLU -> conv^T 3x3, 64, ReLU -> conv^T 3x3, 3
    -> reconstruction [N, 3, H, W]

A stride-1 transposed convolution with padding 1 is a convolution with a flipped kernel, so the decoder is written with `Conv2d`
and exports without ConvTranspose. Readings of what the paper leaves open: ReLU inside, linear latent ("positive and negative
floating-point values", section 4), linear output, nearest-neighbour upsampling (Keras' `UpSampling2D`).

Two variants test what the paper says of its own net, and change nothing else:
- `ae224-nodense`: without both dense layers, which are "for display only" (section 4, discussion): latent [N, 32, H/2, W/2];
- `ae224-twopool`: a second max pooling after the encoder's second convolution, and a second upsampling after the decoder's second:
  latent [N, 3, H/4, W/4] (section 4: "if a second max pooling layer is added ... it will be blurred").
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LATENT_CHANNELS = 3
ENCODER_PARAMETERS = 57_283
DECODER_PARAMETERS = 58_063


@dataclass(frozen=True)
class Family:
    """What tells one variant of the net from another."""

    dense: bool = True
    pools: int = 1

    @property
    def latent_channels(self) -> int:
        return LATENT_CHANNELS if self.dense else 32

    @property
    def stride(self) -> int:
        """Pixels a latent position, along each side."""
        return 2**self.pools


FAMILIES = {"ae224": Family(), "ae224-nodense": Family(dense=False), "ae224-twopool": Family(pools=2)}


class Encoder(nn.Module):
    """Pixels [N, 3, H, W] (H and W multiples of the stride) to latent [N, C, H/stride, W/stride]."""

    def __init__(self, family: Family = FAMILIES["ae224"]) -> None:
        super().__init__()
        self.family = family
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(64, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 32, 3, padding=1)
        self.dense = nn.Conv2d(32, LATENT_CHANNELS, 1) if family.dense else nn.Identity()

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.pool(F.relu_(self.conv1(pixels)))
        x = F.relu_(self.conv2(x))
        if self.family.pools == 2:
            x = self.pool(x)
        x = F.relu_(self.conv3(x))
        return self.dense(x)


class Decoder(nn.Module):
    """Latent [N, C, h, w] to pixels [N, 3, stride h, stride w]."""

    def __init__(self, family: Family = FAMILIES["ae224"]) -> None:
        super().__init__()
        self.family = family
        self.dense = nn.Conv2d(LATENT_CHANNELS, 3, 1) if family.dense else nn.Identity()
        self.conv1 = nn.Conv2d(family.latent_channels, 32, 3, padding=1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 64, 3, padding=1)
        self.out = nn.Conv2d(64, 3, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        x = F.relu_(self.conv1(self.dense(latent)))
        x = self.up(x)
        x = F.relu_(self.conv2(x))
        if self.family.pools == 2:
            x = self.up(x)
        x = F.relu_(self.conv3(x))
        return self.out(x)


def looks_linear_(encoder: Encoder, decoder: Decoder) -> None:
    """Initialise both halves "looks linear" (Balduzzi et al. 2017): every ReLU pair (f, -f) passes f on, so training starts
    from a near-linear resampling transform instead of from noise."""

    def mirrored(layer: nn.Conv2d, first: bool, last: bool) -> None:
        out_channels, in_channels, kh, kw = layer.weight.shape
        rows = out_channels if last else out_channels // 2
        columns = in_channels if first else in_channels // 2
        core = torch.zeros(rows, columns, kh, kw)
        flat = torch.empty(rows, columns * kh * kw if first else columns)
        nn.init.orthogonal_(flat)
        if first:
            core = flat.view(rows, columns, kh, kw).clone()
        else:
            core = torch.randn_like(core) * (0.1 / (columns * kh * kw) ** 0.5)
            core[:, :, kh // 2, kw // 2] += flat
        if not first:
            core = torch.cat([core, -core], dim=1)
        if not last:
            core = torch.cat([core, -core], dim=0)
        with torch.no_grad():
            layer.weight.copy_(core)
            layer.bias.zero_()

    mirrored(encoder.conv1, first=True, last=False)
    mirrored(encoder.conv2, first=False, last=False)
    mirrored(encoder.conv3, first=False, last=False)
    if encoder.family.dense:
        mirrored(encoder.dense, first=False, last=True)
        nn.init.orthogonal_(decoder.dense.weight)
        nn.init.zeros_(decoder.dense.bias)
    mirrored(decoder.conv1, first=encoder.family.dense, last=False)
    mirrored(decoder.conv2, first=False, last=False)
    mirrored(decoder.conv3, first=False, last=False)
    mirrored(decoder.out, first=False, last=True)


def glorot_(encoder: Encoder, decoder: Decoder) -> None:
    """Initialise both halves as Keras does by default: Glorot's uniform weights, biases of zero."""
    for layer in [*encoder.modules(), *decoder.modules()]:
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


def parameter_count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
