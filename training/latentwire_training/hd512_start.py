"""Where `hd512` starts: both dense layers in closed form, so that a few epochs are enough on one processor core.

The paper starts from random weights and does not say how long it trained. Here the encoder's convolutions begin as a smooth downsampler
(the middle between local maxima and minima, which max pooling can give) beside random filters; the 256 numbers begin as the principal
components of the training pictures at 256x256, whitened and shifted so that ReLU clips next to none of them; the encoder's dense layer is
the ridge regression from its features to those components; the decoder's is the components themselves, which its transposed convolutions
begin by laying out as pixels. What the start cannot do, the epochs after it train: nothing is frozen.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from .hd512 import CELLS, CHANNELS, CODE, SIDE, Decoder, Encoder
from .hd512_config import Start
from .hd512_pictures import batch, view

BLUR = torch.tensor([1.0, 2.0, 1.0])
BLUR = torch.outer(BLUR, BLUR) / 16
HALF = SIDE // 2
MARGIN = 1.4  # of the largest component seen: how far above zero the code's middle lies
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


@torch.no_grad()
def smooth_encoder_(encoder: Encoder) -> None:
    """Convolutions: channel 0 a blur, channel 1 its negative, the others random."""
    for conv, gain in ((encoder.conv1, 1.0), (encoder.conv2, 0.7), (encoder.conv3, 0.7), (encoder.conv4, 0.35)):
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        conv.weight.mul_(gain)
        conv.bias.zero_()
    encoder.conv1.weight[0] = BLUR / 3
    encoder.conv1.weight[1] = -BLUR / 3
    encoder.conv1.bias[1] = 1.0
    for conv in (encoder.conv2, encoder.conv3):  # maxima in channel 0, 1 - minima in channel 1: half their difference is the middle
        conv.weight[:2].zero_()
        for channel, sign in ((0, 0.5), (1, -0.5)):
            conv.weight[channel, 0, 1, 1], conv.weight[channel, 1, 1, 1] = sign, -sign
            conv.bias[channel] = 0.5
    encoder.conv4.weight[:4].zero_()
    for channel in range(4):  # the four 128x128 places of a 64x64 cell
        encoder.conv4.weight[channel, 0, 1 + channel // 2, 1 + channel % 2] = 1.0


@torch.no_grad()
def unfolding_decoder_(decoder: Decoder) -> None:
    """Transposed convolutions: channels 0..15 of a cell are its 4x4 places at 256x256, laid out and blurred; the others random and weak."""
    for conv in (decoder.conv1, decoder.conv2, decoder.conv3, decoder.out):
        fan = conv.weight.shape[0] * 9 / conv.stride[0] ** 2
        conv.weight.normal_(0.0, 0.3 * (2.0 / fan) ** 0.5)
        conv.bias.zero_()
    decoder.conv1.weight[:16, :4].zero_()
    decoder.conv1.weight[16:, :4].zero_()
    decoder.conv2.weight[:, :1].zero_()
    for place in range(16):
        y, x = divmod(place, 4)
        decoder.conv1.weight[place, (y % 2) * 2 + x % 2, 1 + y // 2, 1 + x // 2] = 1.0
    for place in range(4):
        y, x = divmod(place, 2)
        decoder.conv2.weight[place, 0, 1 + y, 1 + x] = 1.0
    decoder.conv3.weight[:, 0].zero_()
    decoder.conv3.weight[0, 0] = BLUR
    decoder.out.weight.mul_(0.05)
    decoder.out.weight[0].zero_()
    decoder.out.weight[0, :, 1, 1] = 1.0


@torch.no_grad()
def features(encoder: Encoder, pixels: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return encoder.features(pixels).flatten(1).float()


def halved(pixels: Tensor) -> Tensor:
    """[N,3,512,512] -> [N,65536]: the mean of the planes at 256x256."""
    return nn.functional.avg_pool2d(pixels.mean(dim=1, keepdim=True), 2).flatten(1)


@torch.no_grad()
def closed_form_(encoder: Encoder, decoder: Decoder, training: list[np.ndarray], validation: list[np.ndarray], options: Start, seed: int) -> dict:
    """Sets all weights of both halves; returns what was chosen."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    smooth_encoder_(encoder)
    unfolding_decoder_(decoder)
    count = len(training) * options.views
    x, y = torch.empty(count, encoder.dense.in_features), torch.empty(count, HALF * HALF)
    for start in range(0, count, 8):
        places = range(start, min(start + 8, count))
        pixels = batch([training[i // options.views] if i % options.views == 0 else view(training[i // options.views], options, rng) for i in places])
        x[start : start + len(places)] = features(encoder, pixels)
        y[start : start + len(places)] = halved(pixels)

    # Principal components of the pictures: y = mean + sum of whitened scores times scaled directions.
    mean = y.mean(dim=0)
    y -= mean
    values, vectors = torch.linalg.eigh((y @ y.T).double())
    rank = min(CODE, count - 1)
    values, vectors = values.flip(0)[:rank].clamp_min(1e-9), vectors.flip(1)[:, :rank]
    spread = (values / count).sqrt()  # standard deviation of each component
    scores = (vectors * count**0.5).float()  # unit variance
    directions = (y.T @ (vectors / values.sqrt()).float()) * spread.float()  # [65536, rank]
    del y

    # From features to scores: ridge regression in its dual form, its strength chosen on the validation pictures.
    centre = x.mean(dim=0)
    x -= centre
    gram = (x @ x.T).double()
    held = torch.cat([features(encoder, batch(validation[i : i + 8])) for i in range(0, len(validation), 8)]) - centre
    wanted = torch.cat([halved(batch(validation[i : i + 8])) for i in range(0, len(validation), 8)]) - mean
    across = held @ x.T
    best = None
    for ridge in RIDGES:
        strength = ridge * gram.diagonal().mean()
        dual = torch.linalg.solve(gram + strength * torch.eye(count, dtype=torch.double), scores.double()).float()
        error = float(((across @ dual) @ directions.T - wanted).square().mean())
        if best is None or error < best[0]:
            best = (error, ridge, dual)
    error, ridge, dual = best
    shift = MARGIN * float(torch.maximum(scores.abs().max(), (across @ dual).abs().max()))

    weight = x.T @ dual  # [features, rank]
    encoder.dense.weight.zero_()
    encoder.dense.weight[:rank] = weight.T
    encoder.dense.bias.zero_()
    encoder.dense.bias[:rank] = shift - centre @ weight
    decoder.dense.weight.normal_(0.0, 1e-4)
    decoder.dense.bias.fill_(0.05)
    decoder.dense.weight[: 16 * CELLS * CELLS, :rank] = places_of(directions)
    decoder.dense.weight[: 16 * CELLS * CELLS, rank:] = 0.0
    decoder.dense.bias[: 16 * CELLS * CELLS] = places_of((mean - shift * directions.sum(dim=1))[:, None])[:, 0]
    decoder.dense.bias[16 * CELLS * CELLS :] -= shift * decoder.dense.weight[16 * CELLS * CELLS :].sum(dim=1)
    return {"views": count, "ridge": ridge, "shift": shift, "explained": float(1 - error / wanted.square().mean())}


def places_of(images: Tensor) -> Tensor:
    """[65536, n] at 256x256 -> [16 x 64 x 64, n]: channel c of a cell is its place (c // 4, c % 4)."""
    assert CHANNELS >= 16
    n = images.shape[1]
    return images.view(CELLS, 4, CELLS, 4, n).permute(1, 3, 0, 2, 4).reshape(16 * CELLS * CELLS, n)
