"""`make evaluate-denoising`: paper A's Table 6, four noises before and after the net, beside filters that need no net.

    python -m latentwire_evaluation.paper_a.denoising --data DIR --binaries DIR --report DIR

The paper prints SSIM and MSE between original and noisy picture, and original and output, but no level of any noise. Each level is
found here by bisection, so that the mean SSIM of original and noisy is the printed one; the printed MSE cannot be met as well
(speckle: 87 % is beyond what a clipped picture can have). Noisy pictures go through the real services with SEND_MARKED and
come back. The net is the product's plain one: it was never shown noise.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import median_filter
from skimage.metrics import structural_similarity
from skimage.restoration import denoise_nl_means, estimate_sigma
from skimage.util import random_noise

from ..services import ROOT, Services
from .pictures import SIDE, pictures

PICTURES = 10
SEED = 20221130
BISECTIONS = 18
# How near to the printed SSIM, in percent, a calibration is to come.
NEAR_PERCENT = 0.5
# Table 6: SSIM and MSE of original and noisy, of original and output; percent.
PRINTED = {
    "none": (None, 95.28, None, 0.19),
    "salt and pepper": (93, 94, 0, 0),
    "speckle": (6, 23, 87, 15),
    "Poisson": (79, 90, 1, 0),
    "Gaussian": (13, 41, 30, 5),
}

Noise = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def poisson(picture: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Counts of photons, 1/level of them at full brightness."""
    return np.clip(rng.poisson(picture / level) * level, 0, 1)


# Each takes a picture in 0..1 and a level that grows with the noise; the range of levels that is searched.
NOISES: dict[str, tuple[Noise, float, float]] = {
    "salt and pepper": (lambda p, level, rng: random_noise(p, mode="s&p", amount=level, rng=rng), 1e-6, 1.0),
    "speckle": (lambda p, level, rng: random_noise(p, mode="speckle", var=level, rng=rng), 1e-6, 1e4),
    "Poisson": (poisson, 1e-6, 1e2),
    "Gaussian": (lambda p, level, rng: random_noise(p, mode="gaussian", var=level, rng=rng), 1e-6, 1e2),
}


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    return float(structural_similarity(first, second, data_range=255, channel_axis=2))


def mse(first: np.ndarray, second: np.ndarray) -> float:
    """Of pixels in 0..1."""
    return float(np.mean((first.astype(float) - second.astype(float)) ** 2) / 255**2)


def noisy(originals: list[np.ndarray], noise: Noise, level: float) -> list[np.ndarray]:
    """8 bits in, 8 bits out; the same for the same level."""
    rng = np.random.default_rng(SEED)
    return [np.rint(noise(picture / 255, level, rng) * 255).astype(np.uint8) for picture in originals]


def calibrated(originals: list[np.ndarray], name: str) -> tuple[float, list[np.ndarray]]:
    """The level at which the mean SSIM of original and noisy is the printed one, or the nearest that there is."""
    noise, low, high = NOISES[name]
    goal = PRINTED[name][0] / 100
    for _ in range(BISECTIONS):
        level = (low * high) ** 0.5
        reached = np.mean([ssim(*pair) for pair in zip(originals, noisy(originals, noise, level))])
        low, high = (level, high) if reached > goal else (low, level)
    level = (low * high) ** 0.5
    return level, noisy(originals, noise, level)


def by_median(picture: np.ndarray) -> np.ndarray:
    return median_filter(picture, size=(3, 3, 1))


def by_non_local_means(picture: np.ndarray) -> np.ndarray:
    sigma = float(np.mean(estimate_sigma(picture / 255, channel_axis=2)))
    cleaned = denoise_nl_means(picture / 255, patch_size=5, patch_distance=6, h=0.8 * sigma, sigma=sigma, fast_mode=True, channel_axis=2)
    return np.clip(np.rint(cleaned * 255), 0, 255).astype(np.uint8)


def by_the_net(services: Services, folder: Path, picture: np.ndarray) -> np.ndarray:
    """There and back through the services, at the product's own quality."""
    sent, received = folder / "noisy.png", folder / "received.png"
    Image.fromarray(picture).save(sent)
    services.get(services.send_latent(sent, "fundus")["transfer_id"], received)
    return np.asarray(Image.open(received))


def compare(originals: list[np.ndarray], others: list[np.ndarray]) -> dict[str, float]:
    pairs = list(zip(originals, others))
    return {"ssim": float(np.mean([ssim(*pair) for pair in pairs])), "mse": float(np.mean([mse(*pair) for pair in pairs]))}


def table(figures: dict[str, dict], measure: str, scale: float) -> list[str]:
    place = {"ssim": (0, 1), "mse": (2, 3)}[measure]
    lines = [
        "| noise | noisy | the net | median 3x3 | non-local means | paper: noisy | paper: output |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in figures.items():
        cells = ["–" if name == "none" else f"{row['noisy'][measure] * scale:.2f}"]
        cells += [f"{row[way][measure] * scale:.2f}" for way in ("net", "median", "non-local means")]
        cells += ["–" if PRINTED[name][index] is None else str(PRINTED[name][index]) for index in place]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def page(figures: dict[str, dict], count: int) -> str:
    levels = ", ".join(f"{name} {row['level']:.3g}" for name, row in figures.items() if row["level"] is not None)
    missed = [
        f"{name}: the printed {PRINTED[name][0]} % cannot be had, {row['noisy']['ssim'] * 100:.1f} % is the nearest that a clipped picture of 8 bits gets."
        for name, row in figures.items()
        if PRINTED[name][0] is not None and abs(row["noisy"]["ssim"] * 100 - PRINTED[name][0]) > NEAR_PERCENT
    ]
    lines = [
        "# Paper A's Table 6",
        "",
        f"{count} fundus pictures of {SIDE}x{SIDE}, test split, through the real services; levels found to match the printed SSIM of original and noisy "
        f"(share of pixels, variances, photons' reciprocal: {levels}). `python -m latentwire_evaluation.paper_a.denoising` made this page.",
        "",
        "## SSIM with the original, percent",
        *table(figures, "ssim", 100),
        "",
        "## MSE with the original, percent (pixels in 0..1)",
        *table(figures, "mse", 100),
        "",
        *missed,
        "The net here is the product's plain one, which was never shown noise. A net that was trained with these noises is another model, and is not there yet.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT / "samples")
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/ci")
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--report", type=Path, default=ROOT / "evaluation/report")
    arguments = parser.parse_args()
    originals = pictures(arguments.data / "fundus/test", PICTURES)
    if not originals:
        raise SystemExit(f"{arguments.data / 'fundus/test'} has no pictures")
    figures = {}
    with tempfile.TemporaryDirectory() as temporary, Services(arguments.binaries, arguments.models) as services:
        for name in PRINTED:
            print(f"\r{name:20}", end="", file=sys.stderr, flush=True)
            level, changed = (None, originals) if name == "none" else calibrated(originals, name)
            figures[name] = {
                "level": level,
                "noisy": compare(originals, changed),
                "net": compare(originals, [by_the_net(services, Path(temporary), picture) for picture in changed]),
                "median": compare(originals, [by_median(picture) for picture in changed]),
                "non-local means": compare(originals, [by_non_local_means(picture) for picture in changed]),
            }
    print(file=sys.stderr)
    text = page(figures, len(originals))
    arguments.report.mkdir(parents=True, exist_ok=True)
    (arguments.report / "denoising.md").write_text(text, encoding="utf-8")
    (arguments.report / "denoising.json").write_text(json.dumps({"n": len(originals), "figures": figures, "printed": PRINTED}, indent=1) + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
