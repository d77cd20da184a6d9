"""From a folder of pictures to `models/<id>/`: train, draw the curves, export, write the card.

    python -m latentwire_training.train --model ae224-ultrasound --data DIR --work DIR --models DIR [--steps N]

A checkpoint is written every `schedule.checkpoint_every` steps, and on Ctrl-C; the same command goes on from it, with the very
numbers that an uninterrupted run would have had (one thread, same machine).
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
import types
import typing
from pathlib import Path

import torch

from . import export, hd512_config, hd512_run
from . import start as start_module
from .rd import config as rd_config
from .rd import run as rd_run
from .config import Config, Data, find
from .config import read as read_config
from .printed import PrintedTrainer, with_steps
from .pictures import Pictures, load
from .progress import Progress
from .trainer import NotFinite, Trainer, save
from .trainer import read as read_checkpoint

LEAST_FREE_BYTES = 64 << 20
SIGNALS = (signal.SIGINT, signal.SIGTERM)
# What may differ between a checkpoint and the configuration without changing a single weight.
WORDS = ("title", "purpose", "not_for", "label", "choose", "dicom_modalities", "weights_licence", "modality", "data.attribution",
         "schedule.validate_every", "schedule.checkpoint_every", "quantiser.")


class Run:
    """One training: a configuration, its pictures, a checkpoint file."""

    def __init__(self, config: Config, pictures: Pictures, checkpoint: Path) -> None:
        printed = config.schedule.recipe == "printed"
        self.config = with_steps(config, len(pictures.training)) if printed else config
        self.pictures, self.checkpoint = pictures, checkpoint
        self.trainer = (PrintedTrainer if printed else Trainer)(self.config, grey=all(p.grey for p in pictures.training))
        self.saved_step: int | None = None
        self.stopping = False

    def stop(self, _signal: int = 0, _frame: object = None) -> None:
        """Ends the training after the step at hand; a second Ctrl-C ends it at once."""
        self.stopping = True
        on_signals(signal.default_int_handler)

    def resume(self) -> None:
        """Takes up the checkpoint, if there is one, and notes what has changed since."""
        if not self.checkpoint.is_file():
            if self.config.start:
                start = start_module.read(start_module.find(self.config.start))
                self.trainer.begin_with(start)
                print(f"begins with the weights of {start.folder}")
            return
        state = read_checkpoint(self.checkpoint)
        self.trainer.restore(state)
        self.saved_step = self.trainer.step
        print(f"goes on from {self.checkpoint}, step {self.trainer.step}")
        for change in changes(state, self.config, self.pictures):
            print(f"changed since that checkpoint: {change}")
            self.trainer.changes.append(f"from step {self.trainer.step + 1} on: {change}")

    def train(self) -> None:
        schedule, trainer = self.config.schedule, self.trainer
        epoch = schedule.validate_every if schedule.recipe == "printed" else len(self.pictures.training) / schedule.batch
        progress = Progress(self.config.id, trainer.step, schedule.steps, epoch)
        before = time.monotonic()
        try:
            while trainer.step < schedule.steps and not self.stopping:
                now = trainer.train_on(self.pictures.training)
                moment = time.monotonic()
                trainer.seconds, before = trainer.seconds + moment - before, moment
                trainer.remember(now)
                progress.advance(trainer.step, trainer.seen, trainer.phase)
                if trainer.step % schedule.validate_every == 0 or trainer.step == schedule.steps:
                    self.validate(progress)
                if trainer.step % schedule.checkpoint_every == 0 or trainer.step == schedule.steps:
                    self.save()
            if trainer.step >= schedule.steps and not any("validation" in row for row in trainer.history):  # fewer steps asked for than were made
                self.validate(progress)
        except NotFinite as error:
            raise SystemExit(self._not_finite(error)) from None
        finally:
            progress.close()
        if self.stopping and trainer.step < schedule.steps:
            self.save()
            raise SystemExit(f"stopped at step {trainer.step} of {schedule.steps}; the same command goes on from {self.checkpoint}")

    def validate(self, progress: Progress) -> None:
        figures = self.trainer.validate(self.pictures.validation)
        self.trainer.history.append({"step": self.trainer.step, "validation": figures})
        progress.validated(self.trainer.step, figures)

    def save(self) -> None:
        try:
            save(self.trainer, self.checkpoint, self.pictures.digest)
        except OSError as error:
            kept = f"the earlier one, step {self.saved_step}, is whole" if self.saved_step is not None else "there is no earlier one"
            raise SystemExit(f"cannot write the checkpoint {self.checkpoint} at step {self.trainer.step}: {error.strerror}; {kept}. Make room, then run the same command") from None
        self.saved_step = self.trainer.step

    def _not_finite(self, error: NotFinite) -> str:
        text = f"{error}: `schedule.learning_rate` ({self.config.schedule.learning_rate:g}) is too high for these pictures, most likely. "
        if self.saved_step is None:
            return text + "There is no checkpoint yet. Lower it and run the same command"
        return text + f"The last good checkpoint, step {self.saved_step}, stands in {self.checkpoint}. Lower it and run the same command: it goes on from there"


def changes(state: dict, config: Config, pictures: Pictures) -> list[str]:
    """What differs between a checkpoint's configuration and this one, of what bears on the weights."""
    unsaid = Config(id="", title="", not_for="", data=Data([], [])).flat()  # keys that are younger than the checkpoint
    old, new = unsaid | json.loads(state["config"]), config.flat()
    for fixed in ("id", "family"):
        if old.get(fixed) != new[fixed]:
            raise SystemExit(f"the checkpoint belongs to `{fixed}` {old.get(fixed)!r}, the configuration says {new[fixed]!r}: pass another WORK folder")
    found = [f"{key} {new[key]!r} instead of {old.get(key)!r}" for key in new if old.get(key) != new[key] and not key.startswith(WORDS)]
    if state["pictures"] != pictures.digest:
        found.append("other pictures")
    return found


def on_signals(handler) -> None:
    for name in SIGNALS:
        signal.signal(name, handler)


def prepare_folder(name: str, folder: Path) -> None:
    """Makes WORK or MODELS and writes a file there for a try: better refused now than after hours."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise SystemExit(f"{name}={folder}: {error.strerror}; it must be a folder that can be written") from None
    if free < LEAST_FREE_BYTES:
        raise SystemExit(f"{name}={folder}: {free >> 20} MiB free, and a training wants {LEAST_FREE_BYTES >> 20} MiB for checkpoints and the model: make room")


def lock(work: Path, model: str) -> typing.TextIO:
    """Keeps a second training of the model out of WORK for as long as the file is open."""
    file = (work / f"{model}.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"another training of {model} runs in WORK={work}: wait for its end, or pass another WORK folder") from None
    return file


class Parser(argparse.ArgumentParser):
    """Answers a wrong argument in one line."""

    def error(self, message: str) -> typing.NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: list[str] | None = None) -> None:
    parser = Parser(prog="make train", description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="an id of training/configs, or the path of a .toml file")
    parser.add_argument("--data", required=True, help="folder of pictures: folder/train/file, and the licence list")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--models", type=Path, required=True, help="folder of model folders: <id>/ is written below it")
    parser.add_argument("--steps", type=int, help="instead of schedule.steps")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="processor threads (default: all)")
    arguments = parser.parse_args(argv)
    path = find(arguments.model)
    other = hd512_run if hd512_config.is_hd512(path) else rd_run if rd_config.is_rd(path) else None
    if other is rd_run:
        config = rd_config.read(path, steps=arguments.steps)
    else:
        config = hd512_config.read(path) if other else read_config(path, steps=arguments.steps)
    if other is hd512_run and arguments.steps is not None:
        raise SystemExit("STEPS= does not apply to hd512, which goes by epochs: set `schedule.epochs` of a configuration of your own")
    if not arguments.data:
        raise SystemExit(f"DATA= is missing: the folder that holds {', '.join(f'{folder}/train/' for folder in config.data.folders)} and {config.data.licence_list}")
    if arguments.threads < 1:
        raise SystemExit(f"THREADS={arguments.threads}: must be at least 1")
    torch.set_num_threads(arguments.threads)
    try:
        train(config, Path(arguments.data), arguments.work, arguments.models, other)
    except KeyboardInterrupt:
        raise SystemExit(f"stopped; the same command goes on from the last checkpoint in {arguments.work}, if there is one") from None


def train(config: Config, data: Path, work: Path, models: Path, other: types.ModuleType | None = None) -> None:
    """The whole way from pictures to a model folder; `other` trains a family that goes another way."""
    on_signals(signal.default_int_handler)
    prepare_folder("WORK", work)
    prepare_folder("MODELS", models)
    if (models / config.id).exists():
        prepare_folder("MODELS", models / config.id)
        if (models / config.id / "decode.toml").exists():
            print(f"{models / config.id} holds a model already, and the end of this training replaces it: images that were sent with that one need it")
    with lock(work, config.id):
        if other:
            other.run(config, data, work, models)
            return
        pictures = load(data, config, whole=config.schedule.recipe == "printed")
        _train(config, pictures, work / f"{config.id}.pt", models)


def _train(config: Config, pictures: Pictures, checkpoint: Path, models: Path) -> None:
    for line in pictures.report_left_out():
        print(line)
    run = Run(config, pictures, checkpoint)
    print(f"{config.id}: {len(pictures.training)} training and {len(pictures.validation)} validation pictures, {run.config.schedule.steps} steps")
    run.resume()
    on_signals(run.stop)
    run.train()
    on_signals(signal.default_int_handler)
    if run.saved_step is None:
        run.save()
    folder = export.export(run.trainer, pictures, models)
    print(f"wrote {folder / 'curves.png'} and {folder / 'CARD.md'}")
    for line in pictures.report_left_out():
        print(line)


if __name__ == "__main__":
    main()
