"""Training that begins with the weights of a model folder: `start` of the configuration."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError

from . import tables
from .config import CONFIGS
from .entropy_model import ACTIVITY_FLOOR, RADIUS, ContextModel
from .toml_keys import ConfigError

MODELS = CONFIGS.parents[1] / "models"
HALVES = ("encoder", "decoder")


@dataclass(frozen=True)
class Start:
    """What a model folder gives: weights of both halves, quantiser steps, context model."""

    folder: Path
    halves: dict[str, dict[str, torch.Tensor]]
    steps: np.ndarray  # float32, one a latent channel
    context: ContextModel


def find(start: str) -> Path:
    """The folder that `start` names: an id below the checkout's models/, or a path."""
    folder = Path(start) if "/" in start else MODELS / start
    if not (folder / "decode.toml").is_file():
        raise ConfigError(f"`start` {start!r}: {folder} is not a model folder (no decode.toml): give the id of a model in models/, or a path")
    return folder


def read(folder: Path) -> Start:
    """Reads a folder that this trainer wrote; its halves must hold f32 weights."""
    try:
        halves = {half: _weights(folder / f"{half}.onnx") for half in HALVES}
        latent = tomllib.loads((folder / "decode.toml").read_text())["latent"]
        context = context_model(tables.parse((folder / "tables.bin").read_bytes()))
    except (OSError, KeyError, ValueError, DecodeError) as error:
        raise ConfigError(f"`start`: {folder} cannot be read: {error}") from None
    return Start(folder, halves, np.float32(latent["steps"]), context)


def _weights(file: Path) -> dict[str, torch.Tensor]:
    held = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load(file).graph.initializer}
    found = {name: value for name, value in held.items() if name.endswith((".weight", ".bias"))}
    if any(value.dtype != np.float32 for value in found.values()):
        raise ValueError(f"{file.name} holds int8 weights, and training begins with f32")
    return {name: torch.from_numpy(value.copy()) for name, value in found.items()}


def context_model(channels: list[tables.Channel]) -> ContextModel:
    """The trainable context model whose integers `channels` are; weights that were too small to be kept begin near 0."""
    context = ContextModel(len(channels))

    def raw(weight: float) -> float:
        return math.log(math.expm1(max(weight, tables.SMALLEST_WEIGHT / 4)))

    with torch.no_grad():
        context.mean_weight.zero_()
        context.activity_raw.fill_(raw(0.0))
        for c, channel in enumerate(channels):
            context.mean_bias[c] = channel.mean_bias / 65536
            context.activity_bias[c] = raw(channel.activity_bias / 65536 - ACTIVITY_FLOOR)
            for k, dy, dx, weight in channel.mean_taps:
                context.mean_weight[c, k, dy + RADIUS, dx + RADIUS] = weight / 65536
            for k, dy, dx, weight in channel.activity_taps:
                context.activity_raw[c, k, dy + RADIUS, dx + RADIUS] = raw(weight / 65536)
    return context
