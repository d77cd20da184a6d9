"""What a denoising net makes of noisy validation pictures, beside the net that it was trained from.

Pictures are scaled to 224x224, noises have the configured levels, latents are quantised by each net's own steps.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import onnxruntime

from . import start
from .config import Config
from .noise import SIDE, noisy_picture
from .pictures import Picture, scaled
from .quality import measure

Halves = tuple[onnxruntime.InferenceSession, onnxruntime.InferenceSession, np.ndarray]  # encoder, decoder, quantiser steps
SEED = 20221130


def through(halves: Halves, pixels: np.ndarray, grey: bool) -> np.ndarray:
    """uint8 [H, W, 3] of even sides, there and back; the planes of a grey picture are averaged."""
    encoder, decoder, steps = halves
    step = steps[None, :, None, None]
    latent = encoder.run(None, {"pixels": pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255.0})[0]
    output = decoder.run(None, {"latent": (np.rint(latent / step) * step).astype(np.float32)})[0][0].transpose(1, 2, 0)
    if grey:
        output = output.mean(axis=2, keepdims=True).repeat(3, axis=2)
    return np.clip(np.rint(output * 255.0), 0, 255).astype(np.uint8)


def of_folder(folder: Path) -> Halves:
    """The halves of a model folder."""
    sessions = [onnxruntime.InferenceSession(str(folder / f"{half}.onnx"), providers=["CPUExecutionProvider"]) for half in start.HALVES]
    return (*sessions, np.float32(tomllib.loads((folder / "decode.toml").read_text())["latent"]["steps"]))


def figures(encoder, decoder, steps: np.ndarray, config: Config, validation: list[Picture]) -> dict[str, dict]:
    """By noise (and `none`): its level, and SSIM and MSE against the clean picture of the noisy picture, of this net's output, and of the
    output of the net that training began with, where there was one."""
    nets = {"output": (encoder, decoder, steps)}
    if config.start:
        nets["start"] = of_folder(start.find(config.start))
    small = [scaled(p, SIDE) for p in validation]
    found = {}
    for kind, level in {"none": 0.0, **config.noise.levels}.items():
        rng = np.random.default_rng(SEED)
        inputs = [p.pixels if kind == "none" else noisy_picture(p.pixels, kind, level, rng) for p in small]
        outputs = {"noisy": inputs} | {name: [through(net, x, p.grey) for x, p in zip(inputs, small)] for name, net in nets.items()}
        found[kind] = {"level": level}
        for name, pictures in outputs.items():
            rows = [measure(p.pixels, x, p.grey) for x, p in zip(pictures, small)]
            found[kind][name] = {key: float(np.mean([row[key] for row in rows])) for key in ("ssim", "mse")}
        words = ", ".join(f"{name} {found[kind][name]['ssim']:.4f}" for name in outputs)
        print(f"  {kind} {level:.3g}: SSIM with the clean picture: {words}", flush=True)
    return found
