"""Fidelity of a reconstruction, as the product measures it: scikit-image's SSIM with its defaults, MSE on pixels in 0..1."""

from __future__ import annotations

import math

import numpy as np
from skimage import metrics
from torch import Tensor


def measure(original: np.ndarray, output: np.ndarray, grey: bool) -> dict:
    """uint8 [H, W, 3] each; a grey picture is measured on one channel."""
    if grey:
        original, output = original[..., 0], output[..., 0]
    ssim = metrics.structural_similarity(original, output, data_range=255, channel_axis=None if grey else 2)
    mse = float(np.mean((original.astype(np.float64) / 255 - output.astype(np.float64) / 255) ** 2))
    return {"ssim": float(ssim), "mse": mse, "psnr_db": 99.0 if mse == 0 else -10 * math.log10(mse)}


def similarity_at_range_2(original: np.ndarray, output: np.ndarray) -> float:
    """SSIM of two colour pictures as scikit-image measured float pictures in 0..1 before it asked for their range: as if it were 2."""
    return float(metrics.structural_similarity(original, output, data_range=510, channel_axis=2))


def structural_similarity(output: Tensor, target: Tensor) -> Tensor:
    """Mean SSIM of [N, C, H, W] in 0..1, scikit-image's default (7x7 uniform window, sample covariance), differentiable."""
    return structural_similarities(output, target).mean()


def structural_similarities(output: Tensor, target: Tensor) -> Tensor:
    """The same of each picture: [N]."""

    def mean(x: Tensor) -> Tensor:  # sums of shifted slices: several times faster here than pooling
        h, w = x.shape[2] - 6, x.shape[3] - 6
        rows = sum(x[:, :, i : i + h] for i in range(7))
        return sum(rows[:, :, :, i : i + w] for i in range(7)) / 49

    unbias = 49 / 48
    mu_x, mu_y = mean(output), mean(target)
    var_x = unbias * (mean(output * output) - mu_x * mu_x)
    var_y = unbias * (mean(target * target) - mu_y * mu_y)
    cov = unbias * (mean(output * target) - mu_x * mu_y)
    c1, c2 = 0.01**2, 0.03**2
    ssim = ((2 * mu_x * mu_y + c1) * (2 * cov + c2)) / ((mu_x * mu_x + mu_y * mu_y + c1) * (var_x + var_y + c2))
    return ssim.mean(dim=(1, 2, 3))
