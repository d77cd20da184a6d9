"""Context model of the integer latents: what `common/latent` codes with, in a form that can be trained.

For each integer latent q[c, y, x] the mean is a linear function of integers that are already decoded (causal 5x5 in its own
channel, 3x3 in the channels before it), and the spread is a linear function of the absolute prediction errors at the decoded
neighbours. Both become fixed-point integers in `tables.bin`; nothing of decoding is floating point.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RADIUS = 2
ACTIVITY_FLOOR = 0.02


def causal_mask(channels: int, own_radius: int, before_radius: int) -> Tensor:
    """[channels, channels, 5, 5]: 1 where the decoder already knows the integer."""
    size = 2 * RADIUS + 1
    mask = torch.zeros(channels, channels, size, size)
    for c in range(channels):
        for k in range(c + 1):
            for dy in range(-RADIUS, RADIUS + 1):
                for dx in range(-RADIUS, RADIUS + 1):
                    if k < c:
                        known = max(abs(dy), abs(dx)) <= before_radius
                    else:
                        known = (dy < 0 or (dy == 0 and dx < 0)) and max(abs(dy), abs(dx)) <= own_radius
                    if known:
                        mask[c, k, dy + RADIUS, dx + RADIUS] = 1.0
    return mask


class ContextModel(nn.Module):
    """Bits of integer latents [N, C, h, w] under a logistic distribution with context mean and context scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("mean_mask", causal_mask(channels, 2, 1))
        self.register_buffer("activity_mask", causal_mask(channels, 2, 1))
        weight = torch.zeros(channels, channels, 5, 5)
        for c in range(channels):
            weight[c, c, RADIUS, RADIUS - 1] = 0.75
            weight[c, c, RADIUS - 1, RADIUS] = 0.75
            weight[c, c, RADIUS - 1, RADIUS - 1] = -0.5
        self.mean_weight = nn.Parameter(weight)
        self.mean_bias = nn.Parameter(torch.zeros(channels))
        raw = torch.full((channels, channels, 5, 5), -4.0)
        for c in range(channels):
            for dy, dx in ((0, -1), (-1, 0), (-1, -1), (-1, 1)):
                raw[c, c, RADIUS + dy, RADIUS + dx] = -1.5
        self.activity_raw = nn.Parameter(raw)
        self.activity_bias = nn.Parameter(torch.full((channels,), -2.0))

    def activity_weight(self) -> Tensor:
        return F.softplus(self.activity_raw) * self.activity_mask

    def mean(self, q: Tensor) -> Tensor:
        return F.conv2d(q, self.mean_weight * self.mean_mask, self.mean_bias, padding=RADIUS)

    def activity(self, error: Tensor) -> Tensor:
        """Expected absolute error from the absolute errors around, in latent integer units."""
        bias = F.softplus(self.activity_bias) + ACTIVITY_FLOOR
        return F.conv2d(error.abs(), self.activity_weight(), bias, padding=RADIUS)

    def bits(self, q: Tensor) -> Tensor:
        """Bits of each latent under the model, shape of `q`."""
        mean = self.mean(q)
        error = q - mean
        scale = self.activity(error) / (2.0 * math.log(2.0))  # mean absolute deviation of a logistic with scale s is 2 s ln 2
        upper = torch.sigmoid((error + 0.5) / scale)
        lower = torch.sigmoid((error - 0.5) / scale)
        return -torch.log2((upper - lower).clamp_min(1e-6))
