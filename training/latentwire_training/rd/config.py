"""The configuration of an `rd` net: one TOML file, read and checked as `config.py` reads those of the other families."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from ..config import CHOICES, MODALITIES, Crops, Model, check_model
from ..toml_keys import between, load, need, section


@dataclass(frozen=True)
class Net:
    """[net]: how large the transforms are."""

    planes: int = field(default=1, metadata=between(1, 3))
    coefficients: int = field(default=128, metadata=between(8, 254))
    predicted: int = field(default=6, metadata=between(0, 31))
    fine: int = field(default=96, metadata=between(8, 512))
    coarse: int = field(default=160, metadata=between(8, 512))


@dataclass(frozen=True)
class Schedule:
    """[schedule]: how long, how fast; the last `decay` of the steps lower the rate to nothing."""

    steps: int = field(default=2000, metadata=between(1, 10_000_000))
    batch: int = field(default=6, metadata=between(1, 256))
    learning_rate: float = field(default=4e-4, metadata=between(1e-7, 1.0))
    linear_factor: float = field(default=0.05, metadata=between(0, 1))
    context_factor: float = field(default=12.0, metadata=between(0, 100))
    decay: float = field(default=0.3, metadata=between(0, 1))
    knob: list[float] = field(default_factory=lambda: [-3.0, 1.8], metadata=between(-3, 4))
    seed: int = field(default=1, metadata=between(0, 2**31 - 1))
    validate_every: int = field(default=500, metadata=between(1, 10_000_000))
    checkpoint_every: int = field(default=200, metadata=between(1, 10_000_000))


@dataclass(frozen=True)
class Rate:
    """[rate]: bits a pixel that one unit of 1 - SSIM is worth at knob 0, and by how many octaves less an octave of the knob makes it."""

    ssim_weight: float = field(default=7.0, metadata=between(0.01, 1000))
    slope: float = field(default=1.35, metadata=between(0, 4))
    first_step: float = field(default=14.0, metadata=between(0.5, 200))


@dataclass(frozen=True)
class Quantiser:
    """[quantiser]: what the sender's encoder does; nothing of it binds a receiver."""

    dead_zone: float = field(default=0.12, metadata=between(0, 0.45))
    error_weight: float = field(default=10.0, metadata=between(0.1, 1000))


@dataclass(frozen=True)
class Config(Model):
    """A whole file."""

    family: str = "rd"
    purpose: str = "product"
    modality: str = "other"
    label: str = ""
    choose: str = "by-trial"
    dicom_modalities: list[str] = field(default_factory=list)
    weights_licence: str = "Apache-2.0 OR MIT"
    validation_scale: float = field(default=0.7, metadata=between(0.1, 1.0))
    crops: Crops = field(default_factory=Crops)
    net: Net = field(default_factory=Net)
    schedule: Schedule = field(default_factory=Schedule)
    rate: Rate = field(default_factory=Rate)
    quantiser: Quantiser = field(default_factory=Quantiser)


def is_rd(path: Path) -> bool:
    """Whether a configuration names this family. What cannot be read is left to the reader that says so."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")).get("family") == "rd"
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False


def read(path: Path, steps: int | None = None) -> Config:
    """Reads and checks a file; `steps` instead of `schedule.steps`."""
    config = section(path, Config, load(path))
    if steps is not None:
        schedule = section(path, Schedule, {**dataclasses.asdict(config.schedule), "steps": steps}, "schedule")
        config = dataclasses.replace(config, schedule=schedule)
    check_model(path, config)
    need(path, config.family == "rd", "family", "must be rd here")
    need(path, config.purpose == "product", "purpose", "must be product: this family has no other")
    need(path, config.modality in MODALITIES, "modality", f"must be one of {', '.join(MODALITIES)}, found {config.modality!r}")
    need(path, config.choose in CHOICES, "choose", f"must be one of {', '.join(CHOICES)}, found {config.choose!r}")
    need(path, bool(config.label) or config.modality != "other", "label", "is missing: a model with modality \"other\" says in a word what it is for")
    need(path, config.net.planes in (1, 3), "net.planes", f"must be 1 (grey) or 3 (RGB), found {config.net.planes}")
    need(path, config.net.predicted <= config.net.coefficients, "net.predicted", "must be at most `net.coefficients`")
    need(path, config.crops.size % 16 == 0 and config.crops.size >= 64, "crops.size", f"must be a multiple of 16 and at least 64, found {config.crops.size}")
    for key, pair in (("crops.scale", config.crops.scale), ("crops.contrast", config.crops.contrast), ("schedule.knob", config.schedule.knob)):
        need(path, len(pair) == 2 and pair[0] <= pair[1], key, f"must be [least, largest], found {pair!r}")
    return config
