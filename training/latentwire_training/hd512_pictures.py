"""Pictures for `hd512`: whole, 512x512, and the small changes under which training shows them again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .hd512 import SIDE
from .hd512_config import Config, Start
from .pictures import SUFFIXES, Picture


def whole(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H,W,3] -> uint8 [512,512,3]: both sides are scaled to 512 (Lanczos), whatever the picture's shape, as the paper does."""
    if pixels.shape[:2] == (SIDE, SIDE):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def view(pixels: np.ndarray, options: Start, rng: np.random.Generator) -> np.ndarray:
    """A mirrored, shifted and zoomed look at uint8 [512,512,3], black outside."""
    zoom = 1.0 + rng.uniform(-options.zoom, options.zoom)
    dx, dy = rng.uniform(-options.shift, options.shift, 2) * SIDE
    flip = -1.0 if rng.random() < 0.5 else 1.0
    half = (SIDE - 1) / 2
    a, e = flip / zoom, 1.0 / zoom  # output -> input, about the middle
    matrix = (a, 0.0, half - a * (half + dx), 0.0, e, half - e * (half + dy))
    return np.asarray(Image.fromarray(pixels).transform((SIDE, SIDE), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))


def batch(pictures: list[np.ndarray]) -> Tensor:
    """uint8 [512,512,3] each -> float32 [N,3,512,512] in 0..1, channels last in memory."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).to(torch.float32).div_(255.0)


def share(pictures: list[Picture], percent: int, seed: int) -> list[Picture]:
    """`percent` % of the pictures, the same ones in every run, each fraction inside the next."""
    order = np.random.default_rng(seed).permutation(len(pictures))
    return [pictures[i] for i in sorted(order[: max(1, round(len(pictures) * percent / 100))])]


def held_out(data: Path, config: Config) -> list[Picture]:
    """Pictures of the test splits under a licence of the configuration; one that cannot be read is named and passed over."""
    found = []
    for line in (data / config.data.licence_list).read_text(encoding="utf-8").splitlines()[1:]:
        path, licence = (line.split("\t") + [""])[:2]
        known = any(path.startswith(f"{folder}/test/") for folder in config.data.folders) and Path(path).suffix.lower() in SUFFIXES
        if not known or ".." in Path(path).parts or licence not in config.data.licences:
            continue
        try:
            raw = (data / path).read_bytes()
            with Image.open(data / path) as image:
                picture = Picture(path, licence, hashlib.sha256(raw).hexdigest(), np.asarray(image.convert("RGB")), image.mode in ("L", "1"))
        except Exception as error:  # as in `pictures.load`
            print(f"left out of the test figures: {path}: cannot be read ({type(error).__name__})")
            continue
        found.append(picture)
    return found
