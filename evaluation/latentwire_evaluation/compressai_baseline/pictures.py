"""The openly licensed training pictures of a modality, and crops of them."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from ..testset import FOLDERS

# Below the size at which they were JPEGs, as what is tested is.
SCALE = (0.5, 0.75)
PLANES = {"fundus": 3, "chest": 1, "brain": 1}


def training(data: Path, modality: str) -> list[np.ndarray]:
    """uint8 [H, W, planes] of what OPEN.tsv names in `train/`, less whatever lies in `test/` too."""
    folder = FOLDERS[modality]
    tested = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (data / folder / "test").iterdir()}
    try:
        with open(data / "OPEN.tsv", encoding="utf-8", newline="") as lines:
            paths = sorted({row["path"] for row in csv.DictReader(lines, delimiter="\t") if row["path"].startswith(f"{folder}/train/")})
    except OSError as error:
        raise SystemExit(f"{data}: {error}; it names the openly licensed pictures, and only they train") from None
    found = []
    for path in paths:
        if hashlib.sha256((data / path).read_bytes()).hexdigest() in tested:
            continue
        with Image.open(data / path) as image:
            pixels = np.asarray(image.convert("RGB" if PLANES[modality] == 3 else "L"))
        found.append(pixels.reshape(*pixels.shape[:2], PLANES[modality]))
    if not found:
        raise SystemExit(f"{data}/OPEN.tsv names no picture of {folder}/train")
    return found


def crops(pictures: list[np.ndarray], batch: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """float32 [batch, planes, side, side] in 0..1: random picture, scale, place, mirror, quarter turn."""
    out = np.empty((batch, pictures[0].shape[2], side, side), np.float32)
    for index in range(batch):
        pixels = pictures[rng.integers(len(pictures))]
        taken = min(round(side / rng.uniform(*SCALE)), *pixels.shape[:2])
        top, left = (int(rng.integers(length - taken + 1)) for length in pixels.shape[:2])
        crop = Image.fromarray(pixels[top : top + taken, left : left + taken].squeeze()).resize((side, side), Image.Resampling.LANCZOS)
        value = np.rot90(np.asarray(crop).reshape(side, side, -1), int(rng.integers(4)))
        out[index] = (value[:, ::-1] if rng.random() < 0.5 else value).transpose(2, 0, 1).astype(np.float32) / 255
    return out
