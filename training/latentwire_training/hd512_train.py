"""Train `hd512`: the closed-form start, then some epochs, on 25, 50 and 100 % of the pictures; the last run ships.

The paper names the training time as its limitation ("as the volume of data increases … the training process could take more time"), so
each fraction is trained from its own start with the same recipe, and its wall and processor time are kept. A checkpoint is written after
every epoch; the same command goes on from it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import checkpoint
from .hd512 import CELL, CELLS, Decoder, Encoder
from .hd512_config import Config
from .hd512_pictures import batch, share, view, whole
from .hd512_start import closed_form_
from .pictures import Picture, Pictures
from .quality import measure
from .trainer import NotFinite

FORMAT = "latentwire-hd512-checkpoint-1"
EDGE = CELL  # pixels within which a window's inner borders are not judged: they would see cells that lie outside


def accuracy(output: Tensor, target: Tensor) -> float:
    """Keras' `accuracy` on pictures [N,3,H,W]: the share of pixels whose largest plane is the same one.

    Keras takes it for categorical accuracy, because the last axis has three entries. The largest plane of a grey pixel is the first (ties
    go to the lowest index), so any grey output whatever reaches 100 %: the figure says nothing about an autoencoder.
    """
    return float((output.argmax(dim=1) == target.argmax(dim=1)).float().mean())


@torch.no_grad()
def reconstruct(encoder: Encoder, decoder: Decoder, pixels: np.ndarray) -> Tensor:
    """uint8 [512,512,3] -> float32 [1,3,512,512], not limited to 1."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return decoder(encoder(batch([pixels]))).float()


def to_bytes(output: Tensor, grey: bool) -> np.ndarray:
    """As the product does: the mean of the planes of a grey picture, limited, rounded."""
    value = output[0].permute(1, 2, 0)
    if grey:
        value = value.mean(dim=2, keepdim=True).expand(-1, -1, 3)
    return value.clamp(0, 1).mul(255).round().to(torch.uint8).numpy()


@dataclasses.dataclass
class Fraction:
    """One run: its pictures, its nets, its log."""

    config: Config
    percent: int
    training: list[np.ndarray]
    validation: list[Picture]
    encoder: Encoder = dataclasses.field(default_factory=Encoder)
    decoder: Decoder = dataclasses.field(default_factory=Decoder)
    log: dict = dataclasses.field(default_factory=dict)

    def begin(self) -> None:
        """The closed-form start; it is epoch 0 of the log."""
        wall, processor = time.monotonic(), time.process_time()
        chosen = closed_form_(
            self.encoder, self.decoder, self.training, [p.pixels for p in self.validation], self.config.start, self.config.schedule.seed
        )
        self.log = {"percent": self.percent, "pictures": len(self.training), "start": chosen, "epochs": []}
        self._note(0, None, time.monotonic() - wall, time.process_time() - processor)

    def optimiser(self) -> torch.optim.Optimizer:
        schedule, groups = self.config.schedule, []
        for net, rate in ((self.encoder, schedule.encoder_rate), (self.decoder, schedule.decoder_rate)):
            groups.append({"params": [p for name, p in net.named_parameters() if not name.startswith("dense")], "top": rate})
            groups.append({"params": list(net.dense.parameters()), "top": schedule.dense_rate})
        return torch.optim.Adam(groups, lr=1e-4, fused=True)

    def epoch(self, optimiser: torch.optim.Optimizer, number: int) -> None:
        """Every picture once, in a changed look, judged on one window of the output."""
        schedule = self.config.schedule
        rng = np.random.default_rng([schedule.seed, self.percent, number])
        order = rng.permutation(len(self.training))
        wall, processor = time.monotonic(), time.process_time()
        steps = math.ceil(len(order) / schedule.batch)
        losses = []
        for step in range(steps):
            done = (number - 1 + step / steps) / schedule.epochs
            warm = min(1.0, ((number - 1) * steps + step + 1) / 10)
            for group in optimiser.param_groups:
                group["lr"] = group["top"] * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
            chosen = order[step * schedule.batch : (step + 1) * schedule.batch]
            losses.append(self._step(optimiser, [view(self.training[i], self.config.start, rng) for i in chosen], rng))
        self._note(number, float(np.mean(losses)), time.monotonic() - wall, time.process_time() - processor)

    def _step(self, optimiser: torch.optim.Optimizer, pictures: list[np.ndarray], rng: np.random.Generator) -> float:
        pixels = batch(pictures)
        size = self.config.schedule.window
        # Windows at the border come as often as others: places are drawn beyond it and moved back.
        y, x = (int(np.clip(rng.integers(-size // 2, CELLS - size // 2 + 1), 0, CELLS - size)) for _ in range(2))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cells = self.decoder.expand(self.encoder(pixels))[:, :, y : y + size, x : x + size]
            output = self.decoder.tail(cells.contiguous(memory_format=torch.channels_last))
        wanted = pixels[:, :, y * CELL : (y + size) * CELL, x * CELL : (x + size) * CELL]
        top, bottom = EDGE * (y > 0), EDGE * (y < CELLS - size)
        left, right = EDGE * (x > 0), EDGE * (x < CELLS - size)
        inner = (slice(None), slice(None), slice(top, size * CELL - bottom), slice(left, size * CELL - right))
        loss = (output.float()[inner] - wanted[inner]).square().mean()
        if not torch.isfinite(loss):
            raise NotFinite(f"the loss of the {self.percent} % run is not finite")
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], 1.0)
        optimiser.step()
        return loss.item()

    def validate(self) -> dict[str, float]:
        """Mean figures of whole validation pictures."""
        rows = []
        for picture in self.validation:
            output, target = reconstruct(self.encoder, self.decoder, picture.pixels), batch([picture.pixels])
            row = measure(picture.pixels, to_bytes(output, picture.grey), picture.grey)
            rows.append(row | {"loss": float((output - target).square().mean()), "accuracy": accuracy(output, target)})
        return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}

    def _note(self, number: int, loss: float | None, wall: float, processor: float) -> None:
        figures = self.validate()
        row = {"epoch": number, "loss": loss, "seconds": round(wall, 1), "processor_seconds": round(processor, 1), "validation": figures}
        self.log["epochs"].append(row)
        said = f"loss {loss:.5f}, " if loss is not None else "closed-form start, "
        print(
            f"{self.percent} %, epoch {number}: {said}validation loss {figures['loss']:.5f}, SSIM {figures['ssim']:.4f}, "
            f"PSNR {figures['psnr_db']:.2f} dB, \"accuracy\" {figures['accuracy']:.1%}, {wall:.0f} s",
            flush=True,
        )

    def state(self) -> dict:
        return {"encoder": self.encoder.state_dict(), "decoder": self.decoder.state_dict()}


def constant_accuracy(pictures: list[Picture]) -> dict[str, float]:
    """The same "accuracy", and the loss, of an output that is one grey everywhere: what the paper's 99 % must be read beside."""
    rows = []
    for picture in pictures:
        target = batch([picture.pixels])
        rows.append((accuracy(torch.full_like(target, 0.5), target), float((target - 0.5).square().mean())))
    return {"accuracy": float(np.mean([r[0] for r in rows])), "loss": float(np.mean([r[1] for r in rows]))}


def save(path: Path, state: dict) -> None:
    try:
        checkpoint.write(path, state)
    except OSError as error:
        raise SystemExit(f"cannot write the checkpoint {path}: {error.strerror}; make room, then run the same command") from None


def trained_by(config: dict[str, object]) -> dict[str, object]:
    """What of a configuration bears on the weights."""
    return json.loads(json.dumps({key: value for key, value in config.items() if key.startswith(("schedule.", "start.", "crops."))}))


def read(path: Path, config: Config, digest: str) -> dict | None:
    """The checkpoint of the same configuration and pictures, or None; another one's is refused."""
    if not path.is_file():
        return None
    state = checkpoint.read(path, FORMAT, "hd512")
    if (trained_by(json.loads(state["config"])), state["pictures"]) != (trained_by(config.flat()), digest):
        raise SystemExit(f"{path} was trained with another configuration or other pictures: move it away, or pass another WORK folder")
    return state


def train(config: Config, pictures: Pictures, file: Path) -> tuple[Fraction, list[dict]]:
    """All fractions in turn; returns the whole run and the logs of all."""
    scaled = [dataclasses.replace(p, pixels=whole(p.pixels)) for p in pictures.training]
    validation = [dataclasses.replace(p, pixels=whole(p.pixels)) for p in pictures.validation]
    state = read(file, config, pictures.digest)
    logs: list[dict] = json.loads(state["logs"]) if state else []
    if state:
        print(f"goes on from {file}: {logs[-1]['percent']} % of the pictures, epoch {logs[-1]['epochs'][-1]['epoch']}", flush=True)
    run = None
    for index, percent in enumerate(config.schedule.fractions):
        if len(logs) > index + 1:
            continue
        run = Fraction(config, percent, [p.pixels for p in share(scaled, percent, config.schedule.seed)], validation)
        begun = len(logs) == index + 1
        if begun:
            run.log = logs[index]
            run.encoder.load_state_dict(state["nets"]["encoder"])
            run.decoder.load_state_dict(state["nets"]["decoder"])
        else:
            run.begin()
            logs.append(run.log)
        for net in (run.encoder, run.decoder):
            net.to(memory_format=torch.channels_last)
        optimiser = run.optimiser()
        if begun and state["optimiser"] is not None:
            optimiser.load_state_dict(state["optimiser"])
        for number in range(len(run.log["epochs"]), config.schedule.epochs + 1):
            run.epoch(optimiser, number)
            if not all(bool(torch.isfinite(p).all()) for net in (run.encoder, run.decoder) for p in net.parameters()):
                raise NotFinite(f"a weight of the {percent} % run is not finite after epoch {number}")
            save(file, {"format": FORMAT, "config": config.text(), "pictures": pictures.digest, "logs": json.dumps(logs),
                        "nets": run.state(), "optimiser": optimiser.state_dict()})
        save(file, {"format": FORMAT, "config": config.text(), "pictures": pictures.digest, "logs": json.dumps(logs),
                    "nets": run.state(), "optimiser": None})
    return run, logs
