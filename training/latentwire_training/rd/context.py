"""What is known of a quantised coefficient before it is coded, in a form that can be trained (docs/BITSTREAM.md, tables version 2).

Channels are coded one after another, each row by row, so a coefficient's neighbours are: its own channel's rows above and values on the
left, and all of the channels before. The logarithm of the expected |error| is a linear function of logarithms of sums of known
errors, and of the block's step. The first `predicted` channels also have a mean, linear in dequantised neighbours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEATURES = 9
RECENT = 8
RADIUS = 2


def shifted(padded: Tensor, dy: int, dx: int, h: int, w: int) -> Tensor:
    """x[..., y + dy, x + dx] of a plane that was padded by `RADIUS` with zeros."""
    return padded[..., RADIUS + dy : RADIUS + dy + h, RADIUS + dx : RADIUS + dx + w]


def logarithm(v: Tensor) -> Tensor:
    return torch.log2(v + 1 / 16)


class Context(nn.Module):
    def __init__(self, channels: int, predicted: int) -> None:
        super().__init__()
        self.channels, self.predicted = channels, predicted
        weight = torch.zeros(FEATURES, channels)
        weight[0], weight[2], weight[3], weight[4], weight[8] = 0.15, 0.15, 0.2, 0.15, -0.2
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.full((channels,), -1.0))
        mask = torch.zeros(predicted, predicted, 3, 3)
        for c in range(predicted):
            mask[c, :c] = 1
            mask[c, c, 0] = 1
            mask[c, c, 1, 0] = 1
        self.register_buffer("mask", mask)
        self.mean_weight = nn.Parameter(torch.zeros(predicted, predicted, 3, 3))

    def mean(self, coefficients: Tensor) -> Tensor:
        """Predicted coefficients of the first channels, in coefficient units."""
        return F.conv2d(coefficients[:, : self.predicted], self.mean_weight * self.mask, padding=1)

    def features(self, size: Tensor, octaves: Tensor) -> list[Tensor]:
        """The nine of RDSPEC, from absolute errors in steps [N, C, h, w] and the blocks' octaves [N, 1, h, w]."""
        h, w = size.shape[-2:]
        near = F.pad(size, (RADIUS,) * 4)

        def of(padded: Tensor, *places: tuple[int, int]) -> Tensor:
            return sum(shifted(padded, dy, dx, h, w) for dy, dx in places)

        cross, diagonal = ((0, 1), (0, -1), (1, 0), (-1, 0)), ((1, 1), (1, -1), (-1, 1), (-1, -1))
        run = F.pad(torch.cumsum(near, dim=1), (0, 0, 0, 0, 1, 0))[:, :-1]
        recent = run - F.pad(run, (0, 0, 0, 0, RECENT, 0))[:, :-RECENT]
        before = run - F.pad(run, (0, 0, 0, 0, 2, 0))[:, :-2]
        centre = ((0, 0),)
        return [
            logarithm(2 * of(near, (0, -1), (-1, 0)) + of(near, (-1, -1), (-1, 1))),
            logarithm(of(near, (0, -2), (-2, 0))),
            logarithm(of(before, *centre).clamp_min(0)),
            logarithm(of(recent, *centre).clamp_min(0)),
            logarithm(of(recent, *cross).clamp_min(0)),
            logarithm(of(run, *centre)),
            logarithm(of(run, *cross)),
            logarithm(of(run, *diagonal)),
            octaves.expand_as(size),
        ]

    def spread(self, error: Tensor, octaves: Tensor) -> Tensor:
        """Expected |error| in steps, from errors in steps."""
        total = self.bias[None, :, None, None].expand_as(error)
        for weight, feature in zip(self.weight, self.features(error.abs(), octaves), strict=True):
            total = total + weight[None, :, None, None] * feature
        return torch.exp2(total.clamp(-8, 8))

    def error(self, q: Tensor, steps: Tensor) -> Tensor:
        """What is left of q, in steps, when its mean is taken away."""
        p = self.predicted
        return torch.cat([q[:, :p] - self.mean(q[:, :p] * steps[:, :p]) / steps[:, :p], q[:, p:]], dim=1)

    def bits(self, q: Tensor, steps: Tensor, octaves: Tensor, noise: Tensor | None = None) -> Tensor:
        """Bits of each integer of q under a Laplace distribution.

        In training `noise`, in -0.5..0.5 and not rounded away, stands for what rounding hides from a gradient; what is known of the
        neighbours stays what the decoder knows, their integers.
        """
        error = self.error(q, steps)
        spread = self.spread(error, octaves)
        return laplace_bits(error if noise is None else error + noise, spread)


def laplace_bits(error: Tensor, spread: Tensor) -> Tensor:
    """-log2 of a Laplace distribution's mass within half a unit of `error`, `spread` being its mean absolute value."""
    a = error.abs()
    inside = 1 - torch.exp(-0.5 / spread) * torch.cosh(a.clamp_max(0.5) / spread.clamp_min(0.02))
    outside = torch.exp(-(a - 0.5).clamp_min(0) / spread) * (1 - torch.exp(-1 / spread)) * 0.5
    mass = torch.where(a < 0.5, inside, outside)
    return -torch.log2(mass.clamp_min(2.0**-18))
