"""The pictures of paper A's experiments: 224x224, as many planes as the net takes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 224
KINDS = (".png", ".jpg", ".jpeg")


def pictures(folder: Path, count: int) -> list[np.ndarray]:
    """The first pictures of a folder by name, [SIDE, SIDE, 3] of 8 bits; those that cannot be read are named and left out."""
    found: list[np.ndarray] = []
    for path in sorted(folder.glob("*")):
        if len(found) == count:
            break
        if path.suffix.lower() not in KINDS:
            continue
        try:
            with Image.open(path) as image:
                found.append(np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)))
        except OSError as error:
            print(f"left out {path.name}: {error}", file=sys.stderr)
    return found


def is_grey(picture: np.ndarray) -> bool:
    return bool((picture == picture[..., :1]).all())


def to_picture(values: np.ndarray, grey: bool) -> np.ndarray:
    """8 bits; of a grey picture the three planes are averaged, as the product does."""
    if grey:
        values = values.mean(axis=2, keepdims=True).repeat(3, axis=2)
    return np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
