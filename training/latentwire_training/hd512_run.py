"""From a folder of pictures to `models/research/hd512/`: what `make train MODEL=hd512` runs."""

from __future__ import annotations

import tomllib
from pathlib import Path

from .hd512_config import Config
from .hd512_export import export
from .hd512_pictures import held_out
from .hd512_train import train
from .pictures import load
from .trainer import NotFinite


def is_hd512(path: Path) -> bool:
    """Whether a configuration names this family. What cannot be read is left to the reader that says so."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")).get("family") == "hd512"
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False


def run(config: Config, data: Path, work: Path, models: Path) -> Path:
    """Trains, or goes on from the checkpoint, and writes the model folder."""
    pictures = load(data, config)
    for line in pictures.report_left_out():
        print(line)
    print(f"{config.id}: {len(pictures.training)} training and {len(pictures.validation)} validation pictures", flush=True)
    try:
        whole_run, logs = train(config, pictures, work / f"{config.id}.pt")
    except NotFinite as error:
        raise SystemExit(f"{config.id}: {error}: lower the rates of [schedule], and remove {work / config.id}.pt to begin anew") from None
    return export(whole_run, logs, pictures, held_out(data, config), models)
