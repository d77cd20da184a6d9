"""The pictures of paper A's experiments: 224x224, as many planes as the net takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..testset import LeftOut, open_first, say, usable

SIDE = 224


def pictures(folder: Path, count: int, left_out: LeftOut = say) -> list[np.ndarray]:
    """So many pictures of a folder, [SIDE, SIDE, 3] of 8 bits, openly licensed ones first; those that cannot be used are told to
    `left_out`."""
    return [square(values) for _, values in usable(folder, count, left_out, open_first)]


def square(values: np.ndarray) -> np.ndarray:
    """[SIDE, SIDE, 3], by Lanczos."""
    return np.asarray(Image.fromarray(values).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def is_grey(picture: np.ndarray) -> bool:
    return bool((picture == picture[..., :1]).all())


def to_picture(values: np.ndarray, grey: bool) -> np.ndarray:
    """8 bits; of a grey picture the three planes are averaged, as the product does."""
    if grey:
        values = values.mean(axis=2, keepdims=True).repeat(3, axis=2)
    return np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
