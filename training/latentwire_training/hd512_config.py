"""The configuration of `hd512`: one TOML file, read and checked as `config.py` reads those of the product's nets."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from .config import Model, check_model
from .toml_keys import between, load, need, section


@dataclass(frozen=True)
class Least:
    """[crops]: what `pictures.load` asks of a picture."""

    size: int = field(default=128, metadata=between(32, 512))


@dataclass(frozen=True)
class Start:
    """[start]: the closed-form start."""

    views: int = field(default=4, metadata=between(1, 32))
    shift: float = field(default=0.03, metadata=between(0, 0.25))
    zoom: float = field(default=0.05, metadata=between(0, 0.25))


@dataclass(frozen=True)
class Schedule:
    """[schedule]: the epochs after it."""

    epochs: int = field(default=7, metadata=between(0, 1000))
    batch: int = field(default=8, metadata=between(1, 64))
    window: int = field(default=20, metadata=between(4, 64))
    encoder_rate: float = field(default=3e-6, metadata=between(0, 1.0))
    decoder_rate: float = field(default=1e-3, metadata=between(0, 1.0))
    dense_rate: float = field(default=5e-7, metadata=between(0, 1.0))
    fractions: list[int] = field(default_factory=lambda: [25, 50, 100], metadata=between(1, 100))
    seed: int = field(default=1, metadata=between(0, 2**31 - 1))


@dataclass(frozen=True)
class Quantiser:
    """[quantiser]: how coarse the 256 numbers may be."""

    largest_loss_db: float = field(default=0.08, metadata=between(0.001, 3))


@dataclass(frozen=True)
class Config(Model):
    """A whole file."""

    family: str = "hd512"
    modality: str = "other"
    label: str = "research"
    choose: str = "by-name"
    weights_licence: str = "Apache-2.0 OR MIT"
    crops: Least = field(default_factory=Least)
    start: Start = field(default_factory=Start)
    schedule: Schedule = field(default_factory=Schedule)
    quantiser: Quantiser = field(default_factory=Quantiser)
    dicom_modalities: list[str] = field(default_factory=list)


def is_hd512(path: Path) -> bool:
    """Whether a configuration names this family. What cannot be read is left to the reader that says so."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")).get("family") == "hd512"
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False


def read(path: Path, epochs: int | None = None) -> Config:
    """Reads and checks a file; `epochs` instead of `schedule.epochs`."""
    table = load(path)
    if epochs is not None:
        table = {**table, "schedule": {**table.get("schedule", {}), "epochs": epochs}}
    config = section(path, Config, table)
    check_model(path, config)
    need(path, config.family == "hd512", "family", "must be hd512 here")
    need(path, config.modality == "other", "modality", "must be other: one net for two kinds of picture")
    need(path, config.choose == "by-name", "choose", "must be by-name: a research net is never tried on a picture by itself")
    fractions = config.schedule.fractions
    need(path, fractions == sorted(set(fractions)) and fractions[-1:] == [100], "schedule.fractions",
         "must rise and end with 100: the run over all pictures is the one that ships")
    return config
