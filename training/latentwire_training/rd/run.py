"""From a folder of pictures to a model folder of the `rd` family: what `make train MODEL=rd-chest` runs.

A checkpoint is written every `schedule.checkpoint_every` steps; the same command goes on from it. Where there is none but
`training/weights/<id>.npz` is there (the averaged weights of the run that ships), training begins with those: a clone goes on where its
release ended. At the end the run's own stand in WORK under the same name.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import numpy as np
import torch

from ..config import CONFIGS
from ..pictures import load
from ..trainer import NotFinite
from .config import Config
from .export import export
from .trainer import Trainer

WEIGHTS = CONFIGS.parent / "weights"


def run(config: Config, data: Path, work: Path, models: Path, weights: Path = WEIGHTS) -> Path:
    """Trains, or goes on from the checkpoint, and writes the model folder."""
    pictures = load(data, config)
    for line in pictures.report_left_out():
        print(line)
    print(f"{config.id}: {len(pictures.training)} training and {len(pictures.validation)} validation pictures, {config.schedule.steps} steps", flush=True)
    trainer, path = Trainer(config, pictures.training), work / f"{config.id}.pt"
    if path.is_file():
        trainer.restore(path)
        print(f"goes on from {path}, step {trainer.step}", flush=True)
    else:
        trainer.start()
        shipped = weights / f"{config.id}.npz"
        if shipped.is_file():
            begin_with(trainer, shipped)
            print(f"begins with the weights of {shipped}", flush=True)
    try:
        _train(trainer, pictures, path)
    except NotFinite as error:
        raise SystemExit(f"{config.id}: {error}: lower `schedule.learning_rate`; the last good checkpoint, if there is one, is {path}") from None
    np.savez_compressed(work / f"{config.id}.npz", **{k: v.numpy().astype(np.float16) for k, v in trainer.average.items() if not k.endswith("mask")})
    return export(trainer, pictures, models)


def begin_with(trainer: Trainer, path: Path) -> None:
    """Averaged weights of an earlier run in place of the closed-form start. Ends the run where they are of another [net].

    A net with more coefficients than the earlier one takes the closed-form start for those that are new.
    """
    stored = np.load(path)
    began = trainer.net.state_dict()
    earlier = {k: torch.from_numpy(stored[k].astype(np.float32)) for k in stored.files}
    try:
        trainer.net.load_state_dict(grown(earlier, began))
    except RuntimeError as error:
        raise SystemExit(f"{path}: these weights are not of this [net]: {str(error).splitlines()[0]}; move them away to begin anew") from None
    trainer.average = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    trainer.began_with = hashlib.sha256(path.read_bytes()).hexdigest()


def grown(earlier: dict[str, torch.Tensor], began: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`earlier` with the coefficients that `began` has more of: their transforms from `began`, no part in the branches, the last one's statistics."""
    before, after = earlier["steps.octaves"].shape[1], began["steps.octaves"].shape[1]
    state = dict(earlier) | {k: v for k, v in began.items() if k.endswith("mask")}
    if after <= before:
        return state
    more = after - before
    for name in ("analysis.linear.weight", "synthesis.unit"):
        axis = 1 if name.endswith("unit") else 0
        state[name] = torch.cat([earlier[name], began[name].narrow(axis, before, more)], axis)
    state["synthesis.linear.weight"] = torch.cat([earlier["synthesis.linear.weight"], began["synthesis.linear.weight"][:, before:]], 1)
    for name in ("analysis.last.weight", "analysis.last.bias"):
        state[name] = torch.cat([earlier[name], torch.zeros_like(began[name][-more:])])
    seen = earlier["synthesis.coarse1.weight"]  # the blocks' octaves come last
    state["synthesis.coarse1.weight"] = torch.cat([seen[:, :-1], torch.zeros(seen.shape[0], more, *seen.shape[2:]), seen[:, -1:]], 1)
    for name, axis in (("steps.octaves", 1), ("context.weight", 1), ("context.bias", 0)):
        last = earlier[name].narrow(axis, before - 1, 1)
        state[name] = torch.cat([earlier[name], last.expand(*(more if i == axis else -1 for i in range(last.dim())))], axis)
    return state


def _train(trainer: Trainer, pictures, path: Path) -> None:
    schedule, before, recent = trainer.config.schedule, time.monotonic(), []
    while trainer.step < schedule.steps:
        recent.append(trainer.train_on())
        now = time.monotonic()
        trainer.seconds, before = trainer.seconds + now - before, now
        last = trainer.step == schedule.steps
        if trainer.step % 100 == 0 or last:
            mean = {k: float(np.mean([row[k] for row in recent])) for k in recent[0]}
            trainer.history.append({"step": trainer.step, "seconds": round(trainer.seconds, 1), **{k: round(v, 5) for k, v in mean.items()}})
            print(f"step {trainer.step}: loss {mean['loss']:.4f}, {mean['bpp']:.4f} bits a pixel, SSIM {mean['ssim']:.4f}, {trainer.seconds:.0f} s", flush=True)
            recent = []
        if trainer.step % schedule.validate_every == 0 or last:
            figures = trainer.validate(pictures.validation)
            trainer.history.append({"step": trainer.step, "validation": figures})
            print(f"step {trainer.step}: validation {figures['bpp_at_ssim_095']:.4f} bits a pixel at SSIM 0.95, {figures['bpp_at_38_db']:.4f} at 38 dB", flush=True)
        if trainer.step % schedule.checkpoint_every == 0 or last:
            trainer.save(path, pictures.digest)
