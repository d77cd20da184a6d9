"""What latents give away without the secret decoder, and so why AES matters and the secret does not.

Paper A, section 1: "Even when the data is decrypted, no conclusions can be built over the data without the secret autoencoder
model." An attacker has stolen latents of the test split, opened, and public pictures of the same kind (the train split). Nothing is
optimised on the stolen pictures' plaintext; it serves for the figures alone.

    matched     only latents and public pictures that have nothing to do with each other: colours and brightness of the
                latents are moved to where those of the public pictures lie (mean, covariance), and doubled in size
    surrogate   pairs of public pictures and their latents, as anyone has who can run the encoder once (section 3.4: it is
                "installed physically on the machines"): a linear map from 5x5 latent positions to 2x2 pixels, by least squares
"""

from __future__ import annotations

import itertools
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

from ..report.context import Context
from ..report.page import Page, table
from ..testset import FOLDERS, MODELS, open_first, usable
from .nets import apply, net
from .pictures import SIDE, is_grey, square, to_picture

PUBLIC = 60
STOLEN = 20
PAIRS = (1, 10, PUBLIC)
REACH = 2  # a latent position and two on each side: 5x5
RIDGE = 1e-6


def moments(arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the channels over all positions."""
    values = np.concatenate([array.reshape(-1, 3) for array in arrays]).astype(float)
    return values.mean(axis=0), np.cov(values, rowvar=False)


def histogram(arrays: list[np.ndarray]) -> np.ndarray:
    """Share of each of 8x8x8 colours."""
    values = np.clip(np.concatenate([array.reshape(-1, 3) for array in arrays]), 0, 1)
    counted, _ = np.histogramdd(values, bins=8, range=[(0, 1)] * 3)
    return counted / counted.sum()


def matching(latents: list[np.ndarray], public: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and offset that take the latents' channels to the public pictures' mean and covariance, principal axis by
    principal axis; of the eight ways to direct the axes the one whose colours are most like the public ones."""
    (mean, covariance), (goal, goal_covariance) = moments(latents), moments(public)
    spread, axes = np.linalg.eigh(covariance)
    goal_spread, goal_axes = np.linalg.eigh(goal_covariance)
    stretch, wanted = np.sqrt(np.maximum(goal_spread, 0) / np.maximum(spread, 1e-12)), histogram(public)

    def distance(matrix: np.ndarray) -> float:
        return float(np.abs(histogram([(latent - mean) @ matrix + goal for latent in latents]) - wanted).sum())

    matrices = [axes @ np.diag(stretch * signs) @ goal_axes.T for signs in itertools.product((1, -1), repeat=3)]
    matrix = min(matrices, key=distance)
    return matrix, goal - mean @ matrix


def neighbourhoods(latent: np.ndarray) -> np.ndarray:
    """[H * W, 5 * 5 * C + 1]: what lies around each position, and a one."""
    height, width, _ = latent.shape
    padded = np.pad(latent, ((REACH, REACH), (REACH, REACH), (0, 0)), mode="edge").astype(float)
    span = range(2 * REACH + 1)
    shifted = [padded[y : y + height, x : x + width].reshape(height * width, -1) for y in span for x in span]
    return np.concatenate([*shifted, np.ones((height * width, 1))], axis=1)


class Surrogate:
    """A linear decoder, from latent positions to the 2x2 pixels of each."""

    def __init__(self, pairs: list[tuple[np.ndarray, np.ndarray]]):
        """Fits latents ([H, W, C]) to pictures ([2H, 2W, 3], 8 bits) by least squares."""
        square, cross = 0.0, 0.0
        for latent, picture in pairs:
            height, width, _ = latent.shape
            around = neighbourhoods(latent)
            pixels = picture.reshape(height, 2, width, 2, 3).transpose(0, 2, 1, 3, 4).reshape(height * width, 12) / 255
            square, cross = square + around.T @ around, cross + around.T @ pixels
        self.weights = np.linalg.solve(square + RIDGE * np.trace(square) / len(square) * np.eye(len(square)), cross)

    def decode(self, latent: np.ndarray) -> np.ndarray:
        """The picture, [2H, 2W, 3] in 0..1 or a little beyond."""
        height, width, _ = latent.shape
        pixels = (neighbourhoods(latent) @ self.weights).reshape(height, width, 2, 2, 3).transpose(0, 2, 1, 3, 4)
        return pixels.reshape(2 * height, 2 * width, 3)


def similarity(original: np.ndarray, output: np.ndarray) -> float:
    """Mean SSIM as the product measures it: of a grey picture on one channel."""
    if is_grey(original):
        return float(structural_similarity(original[..., 0], output[..., 0], data_range=255))
    return float(structural_similarity(original, output, data_range=255, channel_axis=2))


def attack(model: Path, public: list[np.ndarray], stolen: list[np.ndarray], shown: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Every decoder on every stolen latent, and last on that of the picture that is shown, which is not matched with."""
    encoder, decoder = net(model / "encoder.onnx"), net(model / "decoder.onnx")
    latents = [apply(encoder, picture / 255) for picture in [*stolen, shown]]
    halves = [np.asarray(Image.fromarray(p).resize((SIDE // 2, SIDE // 2), Image.Resampling.BOX)) / 255 for p in public]
    matrix, offset = matching(latents[: len(stolen)], halves)
    outcome = {"matched, no pairs": [(latent @ matrix + offset).repeat(2, axis=0).repeat(2, axis=1) for latent in latents]}
    pairs = [(apply(encoder, picture / 255), picture) for picture in public]
    for count in sorted({min(count, len(pairs)) for count in PAIRS}):
        surrogate = Surrogate(pairs[:count])
        name = f"surrogate, {count} pair{'s' if count > 1 else ''}"
        outcome[name] = [surrogate.decode(latent) for latent in latents]
    outcome["the secret decoder"] = [apply(decoder, latent) for latent in latents]
    grey = [is_grey(picture) for picture in [*stolen, shown]]
    return {name: [to_picture(*pair) for pair in zip(values, grey)] for name, values in outcome.items()}


def draw(path: Path, rows: list[dict[str, np.ndarray]]) -> None:
    figure, axes = plt.subplots(len(rows), len(rows[0]), figsize=(2.4 * len(rows[0]), 2.6 * len(rows)), squeeze=False)
    for line, (row, images) in enumerate(zip(axes, rows)):
        for axis, (name, image) in zip(row, images.items()):
            axis.imshow(image)
            axis.set_axis_off()
            if line == 0:
                axis.set_title(name, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


TEXT = """
Paper A: "Even when the data is decrypted, no conclusions can be built over the data without the secret autoencoder model." Mean SSIM
between the plaintext and what an attacker sees who has opened latents of the test split ({side}x{side}, f32, as the paper sends
them); n pictures a row.

{table}

![stolen pictures, as each attacker sees them](surrogate.png)

*Matched* uses no pair at all, only public pictures of the same kind. *Surrogate* is a linear map, fitted in seconds to pictures that the attacker
once ran through the encoder, which every sending site has. **The decoder is no key.** What keeps the picture is AES-256-GCM.
"""


def run(context: Context) -> Page:
    figures, shown = {}, []
    for index, (modality, folder) in enumerate(FOLDERS.items()):
        public = [square(values) for _, values in usable(context.data / folder / "train", PUBLIC, context.left_out)]
        stolen = [square(values) for _, values in usable(context.data / folder / "test", STOLEN, context.left_out)]
        if not public or not stolen:
            context.problem(f"surrogate decoder of {folder}: it needs pictures in {folder}/train and in {folder}/test")
            continue
        show = square(next(usable(context.data / folder / "test", 1, context.left_out, open_first))[1])
        outcome = attack(context.models / MODELS[modality], public, stolen, show)
        means = {name: float(np.mean([similarity(*pair) for pair in zip(stolen, images)])) for name, images in outcome.items()}
        figures[folder] = {"n": len(stolen), "public": len(public), "ssim": means}
        shown.append({"plaintext": show, **{name: images[-1] for name, images in outcome.items()}})
        context.tick((index + 1) / len(FOLDERS))
    if not figures:
        raise ValueError(f"no folder of {', '.join(FOLDERS.values())} has pictures in both train/ and test/")
    names = list(dict.fromkeys(name for figure in figures.values() for name in figure["ssim"]))
    rows = [
        [folder, figure["n"], *(f"{figure['ssim'][name]:.4f}" if name in figure["ssim"] else "–" for name in names)] for folder, figure in figures.items()
    ]
    draw(context.report / "surrogate.png", shown)
    pairs = [(figure["ssim"]["surrogate, 1 pair"], figure["ssim"]["the secret decoder"]) for figure in figures.values()]
    finding = "**A's main security claim does not hold**: a linear decoder fitted to one known pair shows stolen latents at SSIM " + ", ".join(
        f"{one:.2f} (secret decoder {real:.2f})" for one, real in pairs
    )
    return Page(TEXT.format(side=SIDE, table=table(["", "n", *names], rows)), {"a_surrogate": figures}, [finding + ". AES-256-GCM is what protects."])
