"""The four noises of paper A (Table 6), as scikit-image's `random_noise` and `make evaluate-denoising` add them.

    python -m latentwire_training.noise --model ae224-fundus-denoise --data DIR

prints the level of each noise at which training pictures, scaled to 224x224, have the structural similarity with their noisy copies
that the paper prints (it prints no levels): the numbers of a configuration's [noise].

A level grows with the noise: the share of pixels that turn black or white, the variance of speckle (a factor 1 + n), photons'
reciprocal (1/level of them at full brightness), the variance of the Gaussian. Pixels are in 0..1, results clipped and of 8 bits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from .config import Noise, find, read
from .pictures import Picture, load, scaled
from .quality import measure

# Original and noisy, structural similarity: paper A, Table 6.
PRINTED_SSIM = {"salt_and_pepper": 0.93, "speckle": 0.06, "poisson": 0.79, "gaussian": 0.13}
WORDS = {"none": "no noise", "salt_and_pepper": "salt and pepper", "speckle": "speckle", "poisson": "Poisson", "gaussian": "Gaussian"}
HIGHEST = {"salt_and_pepper": 1.0, "speckle": 100.0, "poisson": 10.0, "gaussian": 10.0}
LOWEST = 1e-6
BISECTIONS = 16
SIDE = 224


def noisy(value: np.ndarray, kind: str, level: float, rng: np.random.Generator) -> np.ndarray:
    """float32 of 0..1, any shape, with one noise; values are those of 8 bits."""
    if kind == "salt_and_pepper":
        hit, white = rng.random(value.shape) < level, rng.random(value.shape) < 0.5
        found = np.where(hit, white.astype(value.dtype), value)
    elif kind == "speckle":
        found = value * (1.0 + rng.normal(0.0, level**0.5, value.shape))
    elif kind == "poisson":
        found = rng.poisson(value / level) * level
    elif kind == "gaussian":
        found = value + rng.normal(0.0, level**0.5, value.shape)
    else:
        raise ValueError(f"no noise {kind!r}")
    return (np.rint(np.clip(found, 0.0, 1.0) * 255.0) / 255.0).astype(np.float32)


def noisy_planes(value: np.ndarray, kind: str, level: float, rng: np.random.Generator) -> np.ndarray:
    """The same of [3, H, W]; a grey picture, whose planes are equal, stays grey."""
    if np.array_equal(value[0], value[1]) and np.array_equal(value[0], value[2]):
        return np.repeat(noisy(value[:1], kind, level, rng), 3, axis=0)
    return noisy(value, kind, level, rng)


def corrupted(batch: np.ndarray, options: Noise, rng: np.random.Generator) -> np.ndarray:
    """float32 [N, 3, H, W]: of each picture, with probability `share`, a copy with one noise of a level near the configured one."""
    if options.share == 0:
        return batch
    kinds, found = list(options.levels), batch.copy()
    for i in range(len(batch)):
        if rng.random() < options.share:
            kind = kinds[rng.integers(len(kinds))]
            level = options.levels[kind] * options.spread ** rng.uniform(-1.0, 1.0)
            found[i] = noisy_planes(batch[i], kind, min(level, HIGHEST[kind]), rng)
    return found


def noisy_picture(pixels: np.ndarray, kind: str, level: float, rng: np.random.Generator) -> np.ndarray:
    """The same of a picture uint8 [H, W, 3]."""
    planes = pixels.transpose(2, 0, 1).astype(np.float32) / 255.0
    return np.rint(noisy_planes(planes, kind, level, rng).transpose(1, 2, 0) * 255.0).astype(np.uint8)


def similarity(pictures: list[Picture], kind: str, level: float) -> float:
    """Mean structural similarity of pictures and their noisy copies; the same for the same level."""
    rng = np.random.default_rng(1)
    return float(np.mean([measure(p.pixels, noisy_picture(p.pixels, kind, level, rng), p.grey)["ssim"] for p in pictures]))


def calibrated(pictures: list[Picture], kind: str) -> float:
    """The level at which that similarity is the printed one, or the nearest that there is."""
    low, high = LOWEST, HIGHEST[kind]
    for _ in range(BISECTIONS):
        level = (low * high) ** 0.5
        low, high = (level, high) if similarity(pictures, kind, level) > PRINTED_SSIM[kind] else (low, level)
    return (low * high) ** 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="an id of training/configs, or the path of a .toml file: whose pictures")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=20, help="how many, evenly from the training pictures")
    arguments = parser.parse_args()
    training = load(arguments.data, read(find(arguments.model))).training
    chosen = [scaled(p, SIDE) for p in training[:: max(1, len(training) // arguments.pictures)]]
    print(f"# {len(chosen)} training pictures at {SIDE}x{SIDE}")
    for kind in PRINTED_SSIM:
        level = calibrated(chosen, kind)
        print(f"{kind} = {level:.3g}  # SSIM {similarity(chosen, kind, level):.3f}, printed {PRINTED_SSIM[kind]:g}", flush=True)


if __name__ == "__main__":
    main()
