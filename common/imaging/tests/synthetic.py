"""Pictures by formula, the same in `common/mod.rs`: whole numbers only, so that Rust and Python agree to the bit."""

import numpy as np


def triangle(t: np.ndarray, half_period: int) -> np.ndarray:
    return np.abs(t % (2 * half_period) - half_period)


def original(width: int, height: int, channels: int, largest: int) -> np.ndarray:
    """[height, width, channels], 0..largest: two triangle waves and a hashed texture."""
    y, x, c = np.mgrid[:height, :width, :channels].astype(np.int64)
    texture = (7919 * x + 104729 * y + 1299709 * c) % 47
    return (6 * triangle(3 * x + y + 29 * c, 100) + 4 * triangle(2 * y + x + c, 60) + 3 * texture) * largest // 978


def distorted(picture: np.ndarray, largest: int) -> np.ndarray:
    """A copy with errors of up to 3 % of `largest`, twice as large in the lower right quarter."""
    height, width, channels = picture.shape
    y, x, c = np.mgrid[:height, :width, :channels].astype(np.int64)
    strength = np.where((2 * x > width) & (2 * y > height), 2, 1)
    error = ((31 * x + 17 * y + 11 * c) % 23 - 11) * strength * largest // 400
    return np.clip(picture + error, 0, largest)
