"""Where training starts: each stage of both transforms as a Karhunen-Loeve transform of blocks of 2x2, one above the other.

From random weights the net reaches 24 dB in four minutes of one core; this start is a transform coder already, so that the same budget
trains what the architecture is good at. It flatters the baseline, as ours starts so too.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .net import CHANNELS, LATENT_CHANNELS, PER_RANGE, Baseline

MIDDLE = 0.5
# GDN divides by sqrt(1 + GAMMA x^2): nearly nothing, to begin with.
GAMMA = 0.005
# Kernels of 5 at stride 2 with padding 2: these two places of them cover a block of 2.
BLOCK = slice(2, 4)
LEAST_SCALE = 0.3


@torch.no_grad()
def begin(net: Baseline, batches: list[np.ndarray]) -> None:
    """`batches` of float32 [N, planes, H, W] in 0..1 stand for the training pictures."""
    x = torch.from_numpy(np.concatenate(batches))
    used = net.planes
    analysis = [part for part in net.g_a if isinstance(part, nn.Conv2d)]
    synthesis = [part for part in net.g_s if isinstance(part, nn.ConvTranspose2d)][::-1]
    for part in [*net.g_a, *net.g_s]:
        if hasattr(part, "gamma_reparam"):
            part.gamma.copy_(part.gamma_reparam.init(GAMMA * torch.eye(part.gamma.shape[0])))
    features = x - MIDDLE
    for stage, (down, up) in enumerate(zip(analysis, synthesis)):
        basis = principal(features[:, :used], LATENT_CHANNELS if stage == len(analysis) - 1 else CHANNELS)
        kept = len(basis)
        blocks = basis.reshape(kept, used, 2, 2)
        down.weight.mul_(0.1)
        down.weight[:kept] = 0
        down.weight[:kept, :used, BLOCK, BLOCK] = blocks
        down.bias.zero_()
        up.weight.zero_()
        up.weight[:kept, :used, BLOCK, BLOCK] = blocks
        up.bias.zero_()
        if stage == 0:
            down.bias[:kept] = -MIDDLE * blocks.sum(dim=(1, 2, 3))
            up.bias.fill_(MIDDLE)
            features = x
        features = down(features)
        if stage < len(analysis) - 1:
            features = net.g_a[2 * stage + 1](features)
        used = kept
    last = net.h_s[-1]
    last.weight.mul_(0.1)
    deviation, middle = features.std(dim=(0, 2, 3)), features.mean(dim=(0, 2, 3))
    last.bias.copy_(torch.cat([deviation.clamp(min=LEAST_SCALE / PER_RANGE), middle]))


def principal(features: Tensor, most: int) -> Tensor:
    """Up to `most` orthonormal directions of blocks of 2x2 that hold most energy, [kept, 4 channels]."""
    blocks = F.pixel_unshuffle(features, 2)
    values = blocks.permute(0, 2, 3, 1).reshape(-1, blocks.shape[1]).double()
    _, vectors = torch.linalg.eigh(values.T @ values / len(values))
    return vectors.flip(1)[:, :most].T.float()
