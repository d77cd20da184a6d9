"""From a folder of pictures to the model folder `hd512/`: what `make train MODEL=hd512` runs (with `MODELS=models/research`, where services look for it)."""

from __future__ import annotations

from pathlib import Path

from .hd512_config import Config
from .hd512_export import export
from .hd512_pictures import held_out
from .hd512_train import train
from .pictures import load
from .trainer import NotFinite


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
