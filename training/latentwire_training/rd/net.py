"""The `rd` autoencoder: a linear transform of 16x16 blocks each way, with convolutions that learn what it leaves.

Shapes: pixels [N, P, H, W] in 0..255 (sides multiples of 16), coefficients [N, C, h, w] with h = H/16, orthonormal, in units of the
pixels' values. Both transforms start as the modality's Karhunen-Loeve transform (`start`), and the convolutions beside them, at one
place for 8x8 pixels and at one for 16x16, end in small weights, so that training starts from the best linear code.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .levels import BLOCK, PER_OCTAVE

MIDDLE = 127.5
CLAMP = 8.0  # of a coefficient in units, where the convolutions see it: 8 bits of 1/16
OUTPUT_GAIN = 8.0
FIRST_BIAS = 0.5
FIRST_OUTPUT = 0.003  # of the branches' last weights: with zeros, Adam would take the layers before them for a random walk


def start_linear(net: nn.Module) -> None:
    """Biases that put the ReLUs' inputs above zero, where gradients pass, and small last weights: at first the branch is a linear filter."""
    for name, layer in net.named_children():
        if name == "last":
            nn.init.normal_(layer.weight, std=FIRST_OUTPUT)
            nn.init.zeros_(layer.bias)
        elif name != "linear":
            nn.init.constant_(layer.bias, FIRST_BIAS)


class Analysis(nn.Module):
    """Pixels less the middle of their range to coefficients."""

    def __init__(self, planes: int, channels: int, fine: int, coarse: int) -> None:
        super().__init__()
        self.linear = nn.Conv2d(planes * BLOCK * BLOCK, channels, 1, bias=False)
        self.fine1 = nn.Conv2d(planes * 64, fine, 3, padding=1)
        self.fine2 = nn.Conv2d(fine, fine, 3, padding=1)
        self.down = nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
        self.coarse = nn.Conv2d(coarse, coarse, 3, padding=1)
        self.last = nn.Conv2d(coarse, 1 + channels, 1)
        start_linear(self)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(coefficients, what to add to the blocks' levels [N, 1, h, w])."""
        x = F.relu(self.fine1(F.pixel_unshuffle(pixels, 8) / 32))
        x = x + F.relu(self.fine2(x))
        x = F.relu(self.down(x))
        x = x + F.relu(self.coarse(x))
        x = self.last(x)
        with torch.autocast("cpu", enabled=False):
            linear = self.linear(F.pixel_unshuffle(pixels, BLOCK))
        return linear + OUTPUT_GAIN * x[:, 1:], x[:, :1]


class Synthesis(nn.Module):
    """Dequantised coefficients, and each block's step in octaves, to pixels less the middle of their range."""

    def __init__(self, planes: int, channels: int, fine: int, coarse: int) -> None:
        super().__init__()
        self.linear = nn.Conv2d(channels, planes * BLOCK * BLOCK, 1, bias=False)
        self.register_buffer("unit", torch.ones(1, channels, 1, 1))
        self.coarse1 = nn.Conv2d(channels + 1, coarse, 3, padding=1)
        self.coarse2 = nn.Conv2d(coarse, coarse, 3, padding=1)
        self.up = nn.Conv2d(2 * coarse, 4 * fine, 1)
        self.fine1 = nn.Conv2d(fine + planes * 64, fine, 3, padding=1)
        self.fine2 = nn.Conv2d(fine, fine, 3, padding=1)
        self.last = nn.Conv2d(2 * fine, planes * 64, 1)
        start_linear(self)

    def forward(self, coefficients: Tensor, octaves: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            linear = self.linear(coefficients)
        linear = F.pixel_shuffle(linear, 2)  # [N, 64 P, 2h, 2w], see `start.eighths`
        x = torch.cat([(coefficients / self.unit).clamp(-CLAMP, CLAMP - 1 / 16), octaves], dim=1)
        x = F.relu(self.coarse1(x))
        x = F.relu(F.pixel_shuffle(self.up(torch.cat([x, F.relu(self.coarse2(x))], dim=1)), 2))
        x = F.relu(self.fine1(torch.cat([x, (linear / 32).clamp(-4, 4)], dim=1)))
        x = torch.cat([x, F.relu(self.fine2(x))], dim=1)
        return F.pixel_shuffle(linear + OUTPUT_GAIN * self.last(x), 8)


class Steps(nn.Module):
    """Each channel's step at level 0 and knob 0, learnt in octaves."""

    def __init__(self, channels: int, step: float) -> None:
        super().__init__()
        self.octaves = nn.Parameter(torch.full((1, channels, 1, 1), math.log2(step)))

    def forward(self, octaves: Tensor) -> Tensor:
        return torch.exp2(self.octaves + octaves)


def rounded(x: Tensor) -> Tensor:
    """Nearest integer; the gradient passes straight through."""
    return x + (torch.round(x) - x).detach()


def octaves_of(levels: Tensor, knob: Tensor) -> Tensor:
    """A block's step in octaves above the base: its level in quarter octaves and the picture's knob in octaves."""
    return levels / PER_OCTAVE + knob
