"""The block-adaptive quantiser: how coarse each block of 16x16 pixels may be for equal structural similarity.

SSIM divides an error by the picture's own variance round it: near enough, 1 - SSIM = sum of D / (2 var + C2) over windows of 7x7,
C2 = (0.03 * 255)^2. Least rate at a given sum asks for steps that go with the root of (2 var + C2), averaged harmonically over a
block. A block's level is that root in quarter octaves; it travels as channel 0 of the latent, so the receiver needs no picture.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 16
WINDOW = 7
PER_OCTAVE = 4
LARGEST = 24
C2 = (0.03 * 255) ** 2


def windows(padded: Tensor) -> Tensor:
    """Means over windows of 7x7; sums of shifted slices are several times faster here than pooling."""
    h, w = padded.shape[2] - WINDOW + 1, padded.shape[3] - WINDOW + 1
    rows = sum(padded[:, :, i : i + h] for i in range(WINDOW))
    return sum(rows[:, :, :, i : i + w] for i in range(WINDOW)) / WINDOW**2


def block_levels(pixels: Tensor) -> Tensor:
    """[N, P, H, W] in 0..255, sides multiples of 16, to levels [N, 1, H/16, W/16] in quarter octaves, not rounded, 0..LARGEST."""
    padded = F.pad(pixels, (WINDOW // 2,) * 4, mode="replicate")
    mean = windows(padded)
    variance = (windows(padded * padded) - mean * mean).clamp_min(0)
    weight = F.avg_pool2d(C2 / (2 * variance + C2), BLOCK).mean(dim=1, keepdim=True)
    return (-0.5 * PER_OCTAVE * torch.log2(weight)).clamp(0, LARGEST)
