"""The recipe as paper A prints it (section 4): `schedule.recipe = "printed"`.

Whole pictures, scaled to `schedule.side` squared (224x224); Adamax; mean square error and nothing else; `schedule.epochs` (60) epochs.
No quantisation noise, no rate, no augmentation, no average of weights; the latent is linear and signed.

What the paper leaves open, as Keras, in which it presumably was written, has it by default: Glorot's uniform weights, a constant
learning rate of 0.001, pictures in a new order each epoch, the last batch smaller. The batch is our choice (the configuration tells
why). Products are computed in bfloat16 with weights, sums and the loss in float32, as everywhere in this trainer.

After the training, and without touching the nets, the quantiser steps are set so fine that the coded latent is as good as the f32
latent, and the entropy coder's context model is fitted to the latents of the training pictures.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from .autoencoder import Decoder, Encoder, glorot_
from .config import Config, Quantiser
from .pictures import Picture, Pictures, scaled
from .quality import measure
from .trainer import Trainer

KERAS_EPSILON = 1e-7
FIT_STEPS = 300  # of the context model, one picture's latent each
FINEST = 2048  # the finest quantiser step: this part of a latent channel's standard deviation
AS_GOOD = 1e-4  # largest loss of mean structural similarity by quantisation


def with_steps(config: Config, training: int) -> Config:
    """The configuration with its epochs as steps, for so many training pictures; looks and checkpoints at the ends of epochs."""
    each = math.ceil(training / config.schedule.batch)
    schedule = dataclasses.replace(config.schedule, steps=config.schedule.epochs * each, validate_every=each, checkpoint_every=each)
    return dataclasses.replace(config, schedule=schedule)


class PrintedTrainer(Trainer):
    """The same nets under the printed recipe. `config` comes from `with_steps`."""

    def __init__(self, config: Config, grey: bool) -> None:
        super().__init__(config, grey)
        glorot_(self.encoder, self.decoder)
        self.optimiser = torch.optim.Adamax(self.nets, lr=config.schedule.learning_rate, eps=KERAS_EPSILON)
        self.small: dict[str, np.ndarray] = {}

    @property
    def phase(self) -> str:
        return "plain"

    @property
    def epoch_steps(self) -> int:
        return self.config.schedule.validate_every

    def shipped_weights(self) -> list[torch.Tensor]:
        return self.nets

    def as_trained(self, pictures: Pictures) -> Pictures:
        side = self.config.schedule.side
        return dataclasses.replace(pictures, **{part: [scaled(p, side) for p in getattr(pictures, part)] for part in ("training", "validation")})

    def train_on(self, pictures: list[Picture]) -> dict[str, float]:
        """One step on the epoch's next batch; its order depends on seed and epoch alone, so that a checkpoint need not hold it."""
        for p in pictures:
            if p.path not in self.small:
                self.small[p.path] = scaled(p, self.config.schedule.side).pixels
        epoch, place = divmod(self.step, self.epoch_steps)
        order = np.random.default_rng([self.config.schedule.seed, epoch]).permutation(len(pictures))
        batch = self.config.schedule.batch
        chosen = [pictures[i] for i in order[place * batch : (place + 1) * batch]]
        return self.train_step(np.stack([self.small[p.path].transpose(2, 0, 1) for p in chosen]).astype(np.float32) / 255.0)

    def train_step(self, batch: np.ndarray, inputs: np.ndarray | None = None) -> dict[str, float]:
        pixels = torch.from_numpy(batch).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = self.decoder(self.encoder(pixels))
        loss = ((output.float() - pixels) ** 2).mean()
        self.optimise(loss)
        self.step += 1
        return {"loss": loss.item(), "mse": loss.item(), "bpp": 0.0}

    def remember(self, now: dict[str, float]) -> None:
        """The mean over the steps of the epoch so far, as Keras tells it; a line of the history at its end."""
        place = (self.step - 1) % self.epoch_steps + 1
        before = self.seen if place > 1 else {}
        self.seen = {key: before.get(key, 0.0) + (value - before.get(key, 0.0)) / place for key, value in now.items()}
        if place == self.epoch_steps:
            self.history.append({"step": self.step, "epoch": self.step // self.epoch_steps, "seconds": round(self.seconds, 3), **self.seen})

    @torch.no_grad()
    def validate(self, pictures: list[Picture]) -> dict[str, float]:
        """As the training sees them, at its size; `loss` and `largest_channel` before the output is rounded to 8 bits."""
        encoder, decoder = self.averaged()
        rows = []
        for picture in pictures:
            small = scaled(picture, self.config.schedule.side)
            output = decoder(encoder(self._tensor(small)))
            rows.append({**measure(small.pixels, self._eight_bits(output, small), small.grey), **raw_figures(output, self._tensor(small)), "bpp": 0.0})
        return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}

    def before_export(self, encoder: Encoder, decoder: Decoder, pictures: Pictures) -> Quantiser:
        """Sets the finest steps, fits the context model, and asks for what the f32 latent reaches."""
        with torch.no_grad():
            latents = [encoder(self._tensor(p)) for p in pictures.training]
            spread = torch.cat([y[0].flatten(1) for y in latents], dim=1).std(dim=1).clamp_min(1e-6)
            whole = [decoder(encoder(self._tensor(p))) for p in pictures.validation]
        ssim = float(np.mean([measure(p.pixels, self._eight_bits(o, p), p.grey)["ssim"] for p, o in zip(pictures.validation, whole)]))
        self.log_step = torch.log(spread / FINEST)
        return dataclasses.replace(self.config.quantiser, validation_ssim=ssim - AS_GOOD, validation_ssim_224=0.0, largest_step_factor=64.0)

    def fit_context(self, latents: list[torch.Tensor], steps: np.ndarray) -> None:
        """Trains the context model on latents [1, C, h, w] that are rounded by `steps`; the nets stay."""
        integers = [(y / torch.from_numpy(steps)[None, :, None, None]).round() for y in latents]
        rng = np.random.default_rng(self.config.schedule.seed)
        for _ in range(FIT_STEPS):
            bits = self.context.bits(integers[rng.integers(len(integers))]).mean()
            self.context_optimiser.zero_grad()
            bits.backward()
            self.context_optimiser.step()


def raw_figures(output: torch.Tensor, pixels: torch.Tensor) -> dict[str, float]:
    """`loss`: mean square error of the f32 output. `largest_channel`: share of pixels whose largest channel is the original's,
    which is what Keras calls the accuracy of such a net, and our reading of the paper's "accuracy of 83%"."""
    same = output.argmax(dim=1) == pixels.argmax(dim=1)
    return {"loss": ((output - pixels) ** 2).mean().item(), "largest_channel": same.float().mean().item()}
