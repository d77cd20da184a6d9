"""The mean-scale hyperprior at a small width, with as many planes as the picture, and a knob."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from compressai.models import MeanScaleHyperprior
from compressai.models.utils import conv, deconv
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS, LATENT_CHANNELS = 48, 80
# The quantiser's step is this part of the pixels' range, and the nets work in that range: a start from a linear transform (`start`)
# is then of one size in all layers.
PER_RANGE = 24.0
STRIDE = 64
# Of each stream: height and width, the step, and the length of the hyper-latent's string.
HEAD = struct.Struct("<HHfI")


class Baseline(MeanScaleHyperprior):
    """CompressAI's MeanScaleHyperprior, of `planes` planes, latents counted in steps of 1 / PER_RANGE. At a step other than 1, latents, means and scales are divided by it before
    they are quantised and coded, and multiplied after: one net serves several rates, as ours do."""

    def __init__(self, planes: int) -> None:
        super().__init__(CHANNELS, LATENT_CHANNELS)
        self.planes = planes
        self.g_a[0] = conv(planes, CHANNELS)
        self.g_s[-1] = deconv(CHANNELS, planes)
        for part in (self.g_a[0], self.g_s[-1]):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)

    def forward(self, x: Tensor) -> dict:
        y = self.g_a(x)
        z_hat, z_likelihoods = self.entropy_bottleneck(self.h_a(y))
        scales, means = self._scales_and_means(z_hat, 1.0)
        y_hat, y_likelihoods = self.gaussian_conditional(y * PER_RANGE, scales, means=means)
        return {"x_hat": self.g_s(y_hat / PER_RANGE), "likelihoods": {"y": y_likelihoods, "z": z_likelihoods}}

    @torch.no_grad()
    def coded(self, pixels: np.ndarray, step: float) -> bytes:
        """`pixels` is uint8 [H, W] or [H, W, 3]; edges are repeated up to a multiple of 64."""
        height, width = pixels.shape[:2]
        planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        x = F.pad(torch.from_numpy(planes[None].astype(np.float32) / 255), (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        y = self.g_a(x)
        z = self.h_a(y)
        (z_string,) = self.entropy_bottleneck.compress(z)
        scales, means = self._scales_and_means(self.entropy_bottleneck.decompress([z_string], z.shape[-2:]), step)
        (y_string,) = self.gaussian_conditional.compress(y * (PER_RANGE / step), self.gaussian_conditional.build_indexes(scales), means=means)
        return HEAD.pack(height, width, step, len(z_string)) + z_string + y_string

    @torch.no_grad()
    def decoded(self, data: bytes) -> np.ndarray:
        height, width, step, z_bytes = HEAD.unpack_from(data)
        z_string, y_string = data[HEAD.size : HEAD.size + z_bytes], data[HEAD.size + z_bytes :]
        z_hat = self.entropy_bottleneck.decompress([z_string], (-(-height // STRIDE), -(-width // STRIDE)))
        scales, means = self._scales_and_means(z_hat, step)
        y_hat = self.gaussian_conditional.decompress([y_string], self.gaussian_conditional.build_indexes(scales), means=means)
        x_hat = self.g_s(y_hat * (step / PER_RANGE))[0, :, :height, :width].clamp(0, 1)
        pixels = np.rint(x_hat.numpy() * 255).astype(np.uint8)
        return pixels[0] if self.planes == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))

    def _scales_and_means(self, z_hat: Tensor, step: float) -> tuple[Tensor, Tensor]:
        scales, means = self.h_s(z_hat).chunk(2, 1)
        return scales * (PER_RANGE / step), means * (PER_RANGE / step)


def load(path: Path) -> Baseline:
    """A net with the weights of a `.npz`, its coder's tables made."""
    with np.load(path) as weights:
        state = {name: torch.from_numpy(weights[name].astype(np.float32)) for name in weights.files}
    net = Baseline(state["g_a.0.weight"].shape[1])
    net.load_state_dict({**net.state_dict(), **state})
    net.update(force=True)
    return net.eval()


def save(path: Path, net: Baseline) -> None:
    """The weights alone, as float16: the coder's tables are made of them again."""
    named = dict(net.named_parameters())
    np.savez_compressed(path, **{name: value.detach().numpy().astype(np.float16) for name, value in named.items()})
