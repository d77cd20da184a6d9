"""The training step, and everything that a checkpoint holds.

Three phases of one cosine schedule:
1. plain (`schedule.plain_share`, the first 15 %): Adamax and mean square error, as in the paper;
2. noisy: the quantiser steps are set from the latents' spread, additive uniform noise stands for rounding (Balle et al. 2017), and
   the rate under the context model enters the loss with a weight that a controller moves towards `rate.bits_per_pixel`; a small
   structural-similarity term stands beside the mean square error, because the product's floor is one of SSIM;
3. rounded (`schedule.rounded_share`, the last 10 %): as 2 with latents really rounded (straight-through), so that the decoder sees what
   it will get.

With `start`, weights, quantiser steps and context model of a model folder stand at the beginning. With `[noise]`, a share of the crops
enters noisy and is compared with the clean crop (a denoising net). `printed.py` has the recipe without any of this.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import checkpoint
from .autoencoder import FAMILIES, Decoder, Encoder, looks_linear_
from .config import Config, Quantiser
from .entropy_model import ContextModel
from .noise import corrupted
from .pictures import Picture, Pictures, crops, padded
from .quality import measure, structural_similarities
from .start import Start

FORMAT = "latentwire-training-checkpoint-1"
# A noisy crop counts as much as floor / (floor + mean square error of its noise): else the strongest noise alone would train.
NOISE_FLOOR = 1e-3


class NotFinite(Exception):
    """The loss, or a weight, is no longer a number."""


class Trainer:
    """The two halves, the context model, their optimisers, the random state and the history."""

    def __init__(self, config: Config, grey: bool) -> None:
        torch.manual_seed(config.schedule.seed)
        self.config, self.grey = config, grey
        self.family = FAMILIES[config.family]
        self.encoder, self.decoder = Encoder(self.family), Decoder(self.family)
        looks_linear_(self.encoder, self.decoder)
        self.context = ContextModel(self.family.latent_channels)
        self.encoder.to(memory_format=torch.channels_last)
        self.decoder.to(memory_format=torch.channels_last)
        self.nets = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimiser = torch.optim.Adamax(self.nets, lr=config.schedule.learning_rate)
        self.context_optimiser = torch.optim.Adam(self.context.parameters(), lr=5e-3)
        self.average = [p.detach().clone() for p in self.nets]
        self.log_step = torch.zeros(self.family.latent_channels)
        self.log_lambda = math.log(1e-4)
        self.step = 0
        self.seconds = 0.0
        self.seen: dict[str, float] = {}
        self.history: list[dict] = []
        self.changes: list[str] = []
        self.rng = np.random.default_rng(config.schedule.seed)

    def begin_with(self, start: Start) -> None:
        """Takes over weights, steps and context model; the random state is left alone."""
        self.encoder.load_state_dict(start.halves["encoder"])
        self.decoder.load_state_dict(start.halves["decoder"])
        self.context.load_state_dict(start.context.state_dict())
        self.average = [p.detach().clone() for p in self.nets]
        self.log_step = torch.from_numpy(np.log(start.steps))

    # What a checkpoint holds

    def state(self, pictures_digest: str) -> dict:
        return {
            "format": FORMAT,
            "config": self.config.text(),
            "pictures": pictures_digest,
            "encoder": self.encoder.state_dict(),
            "decoder": self.decoder.state_dict(),
            "context": self.context.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "context_optimiser": self.context_optimiser.state_dict(),
            "average": self.average,
            "log_step": self.log_step,
            "random": {"torch": torch.get_rng_state(), "numpy": json.dumps(self.rng.bit_generator.state)},
            "scalars": json.dumps(
                {name: getattr(self, name) for name in ("log_lambda", "step", "seconds", "seen", "history", "changes", "grey")}
            ),
        }

    def restore(self, state: dict) -> None:
        for name in ("encoder", "decoder", "context", "optimiser", "context_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.average, self.log_step = state["average"], state["log_step"]
        torch.set_rng_state(state["random"]["torch"])
        self.rng.bit_generator.state = json.loads(state["random"]["numpy"])
        for name, value in json.loads(state["scalars"]).items():
            setattr(self, name, value)

    def is_finite(self) -> bool:
        tensors = [*self.nets, *self.context.parameters(), self.log_step]
        return all(bool(torch.isfinite(t).all()) for t in tensors)

    # One step

    @property
    def progress(self) -> float:
        return self.step / self.config.schedule.steps

    @property
    def phase(self) -> str:
        if self.progress < self.config.schedule.plain_share:
            return "plain"
        return "noisy" if self.progress < 1.0 - self.config.schedule.rounded_share else "rounded"

    def quantiser_step(self) -> Tensor:
        return self.log_step.exp().view(1, -1, 1, 1)

    def train_on(self, pictures: list[Picture]) -> dict[str, float]:
        """One step on fresh crops; returns its figures."""
        batch = crops(pictures, self.config.crops, self.config.schedule.batch, self.rng)
        return self.train_step(batch, corrupted(batch, self.config.noise, self.rng))

    def train_step(self, batch: np.ndarray, inputs: np.ndarray | None = None) -> dict[str, float]:
        """One step: the nets see `inputs` (without them, the batch itself) and are to give the batch."""
        self._set_learning_rate()
        pixels = torch.from_numpy(batch)
        seen = pixels if inputs is None else torch.from_numpy(inputs)
        share = NOISE_FLOOR / (NOISE_FLOOR + ((seen - pixels) ** 2).mean(dim=(1, 2, 3)))
        plain = self.phase == "plain"
        with torch.autocast("cpu", dtype=torch.bfloat16):
            latent = self.encoder(seen.contiguous(memory_format=torch.channels_last))
        decoded_latent, bits = self._quantise(latent.float())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = self.decoder(decoded_latent)
        output = output.float()
        if self.grey:  # the product averages the planes of a grey picture
            output, pixels = output.mean(dim=1, keepdim=True), pixels[:, :1]
        errors = ((output - pixels) ** 2).mean(dim=(1, 2, 3))
        similarities = structural_similarities(output, pixels)
        weight = 0.0 if plain else self.config.rate.ssim_weight
        loss = (share * (errors + weight * (1.0 - similarities))).mean() + math.exp(self.log_lambda) * bits
        self.optimise(loss, clip=0.5)
        self._update_average()
        if not plain:
            self.context_optimiser.step()
            self._move_lambda(bits.item())
        self.step += 1
        figures = {"loss": loss, "mse": errors.mean(), "ssim": similarities.mean(), "bpp": bits}
        return {name: value.detach().item() for name, value in figures.items()} | {"lambda": math.exp(self.log_lambda)}

    def optimise(self, loss: Tensor, clip: float | None = None) -> None:
        """Gradients of the loss, for the context model too, and a step of the nets."""
        if not torch.isfinite(loss):
            raise NotFinite(f"the loss is not finite at step {self.step + 1}")
        self.optimiser.zero_grad()
        self.context_optimiser.zero_grad()
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(self.nets, clip)
        self.optimiser.step()

    def remember(self, now: dict[str, float]) -> None:
        """Smooths the figures of a step into `seen`, and every so often adds them to the history."""
        for key, value in now.items():
            self.seen[key] = 0.98 * self.seen.get(key, value) + 0.02 * value
        if self.step % max(1, min(50, self.config.schedule.steps // 20)) == 0:
            self.history.append({"step": self.step, "seconds": round(self.seconds, 3), **self.seen})

    def _set_learning_rate(self) -> None:
        rate = self.config.schedule.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(self.progress, 1.0))))
        rate *= min(1.0, (self.step + 1) / 100)
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def _quantise(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder is given in this phase, and the bits per pixel of its integers."""
        if self.phase == "plain":
            self.log_step = torch.log(latent.detach().std(dim=(0, 2, 3)) / 24.0 + 1e-6)
            return latent, torch.zeros(())
        q = latent / self.quantiser_step()
        noisy = q + (torch.rand_like(q) - 0.5)
        decoded = noisy if self.phase == "noisy" else q + (q.round() - q).detach()
        pixels = self.family.stride**2 * q.shape[0] * q.shape[2] * q.shape[3]
        return decoded * self.quantiser_step(), self.context.bits(noisy).sum() / pixels

    @torch.no_grad()
    def _update_average(self) -> None:
        """Exponential mean of the weights over about 500 steps: what is validated and exported."""
        share = max(0.002, 1.0 / (self.step + 1))
        for mean, parameter in zip(self.average, self.nets):
            mean.lerp_(parameter, share)

    def _move_lambda(self, bits: float) -> None:
        error = bits / self.config.rate.bits_per_pixel - 1.0
        self.log_lambda += 0.004 * max(-1.0, min(1.0, error))
        self.log_lambda = max(math.log(1e-6), min(math.log(3e-3), self.log_lambda))

    # Whole pictures

    def shipped_weights(self) -> list[Tensor]:
        """What is validated and exported, in the order of `nets`."""
        return self.average

    def averaged(self) -> tuple[Encoder, Decoder]:
        encoder, decoder = Encoder(self.family), Decoder(self.family)
        with torch.no_grad():
            for target, mean in zip([*encoder.parameters(), *decoder.parameters()], self.shipped_weights()):
                target.copy_(mean)
        return encoder.eval(), decoder.eval()

    def as_trained(self, pictures: Pictures) -> Pictures:
        """The pictures as the recipe looks at whole ones: here, as they are."""
        return pictures

    def before_export(self, _encoder: Encoder, _decoder: Decoder, _pictures: Pictures) -> Quantiser:
        """What the quantiser steps are to reach; a recipe without a quantiser makes one here."""
        return self.config.quantiser

    def fit_context(self, _latents: list[Tensor], _steps: np.ndarray) -> None:
        """Nothing to fit: the context model was trained beside the nets."""

    @torch.no_grad()
    def _reconstruct(self, encoder: Encoder, decoder: Decoder, picture: Picture, rounded: bool) -> tuple[np.ndarray, float]:
        """uint8 reconstruction and estimated bits per pixel of a whole picture (edge-padded to even sides)."""
        height, width = picture.pixels.shape[:2]
        latent = encoder(self._tensor(picture))
        bits = 0.0
        if rounded:
            q = (latent / self.quantiser_step()).round()
            bits = self.context.bits(q).sum().item() / (height * width)
            latent = q * self.quantiser_step()
        return self._eight_bits(decoder(latent), picture), bits

    def _tensor(self, picture: Picture) -> Tensor:
        return torch.from_numpy(padded(picture, self.family.stride)).contiguous(memory_format=torch.channels_last)

    @staticmethod
    def _eight_bits(output: Tensor, picture: Picture) -> np.ndarray:
        """uint8 [H, W, 3] of a picture's size; the planes of a grey picture are averaged, as the product does."""
        height, width = picture.pixels.shape[:2]
        value = output[0].numpy().transpose(1, 2, 0)[:height, :width]
        if picture.grey:
            value = value.mean(axis=2, keepdims=True).repeat(3, axis=2)
        return np.clip(np.rint(value * 255.0), 0, 255).astype(np.uint8)

    def validate(self, pictures: list[Picture]) -> dict[str, float]:
        """Mean figures of the averaged weights on whole pictures."""
        encoder, decoder = self.averaged()
        rows = []
        for picture in pictures:
            output, bits = self._reconstruct(encoder, decoder, picture, rounded=self.phase != "plain")
            rows.append({**measure(picture.pixels, output, picture.grey), "bpp": bits})
        return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def save(trainer: Trainer, path: Path, pictures_digest: str) -> None:
    """Writes a checkpoint.

    Raises `NotFinite` instead of saving weights that are no numbers, `OSError` where the disk refuses.
    """
    if not trainer.is_finite():
        raise NotFinite(f"a weight is not finite after step {trainer.step}")
    checkpoint.write(path, trainer.state(pictures_digest))


def read(path: Path) -> dict:
    """Reads a checkpoint."""
    return checkpoint.read(path, FORMAT, "this trainer", "move it away to begin anew, or restore it")
