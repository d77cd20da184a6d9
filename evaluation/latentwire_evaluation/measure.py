"""What came back, against what was sent."""

from __future__ import annotations

import math

import numpy as np
from skimage.metrics import structural_similarity


def fidelity(original: np.ndarray, received: np.ndarray, span: float = 255) -> dict[str, float]:
    """SSIM (scikit-image's defaults) and PSNR, dB, `span` being largest less smallest value; equal pictures have 120 dB here."""
    if original.shape != received.shape:
        raise ValueError(f"what came back has shape {received.shape}, what was sent {original.shape}")
    ssim = structural_similarity(original, received, data_range=span, channel_axis=2 if original.ndim == 3 else None)
    return {"ssim": float(ssim), "psnr_db": -10 * math.log10(max(mean_square_error(original, received, span), 1e-12))}


def mean_square_error(original: np.ndarray, received: np.ndarray, span: float = 255) -> float:
    """Of pixels in 0..1, `span` being 1."""
    return float(np.mean((original.astype(np.float64) - received.astype(np.float64)) ** 2)) / span**2


def bits_per_pixel(size: int, picture: np.ndarray) -> float:
    return 8 * size / (picture.shape[0] * picture.shape[1])


def padme(size: int) -> int:
    """What so many bytes are padded to before they are sealed (Padmé, docs/PROTOCOL.md): at most 12 % more."""
    if size < 2:
        return size
    exponent = size.bit_length() - 1
    mask = (1 << exponent - exponent.bit_length()) - 1
    return (size + mask) & ~mask
