"""The configuration of `hd512`: one TOML file, read and checked as `config.py` reads those of the product's nets."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from .config import ConfigError, Data, _section, between


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
class Config:
    """A whole file."""

    id: str
    title: str
    not_for: str
    data: Data
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

    def flat(self) -> dict[str, object]:
        """Every value under its dotted key, as JSON can hold it."""
        found: dict[str, object] = {}
        for key, value in dataclasses.asdict(self).items():
            found |= {f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {key: value}
        return found

    def text(self) -> str:
        return json.dumps(self.flat(), sort_keys=True)


def read(path: Path, epochs: int | None = None) -> Config:
    """Reads and checks a file; `epochs` instead of `schedule.epochs`."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    if epochs is not None:
        table = {**table, "schedule": {**table.get("schedule", {}), "epochs": epochs}}
    config = _section(path, Config, table, "")
    checks = {
        "family": (config.family == "hd512", "must be hd512 here"),
        "modality": (config.modality == "other", "must be other: one net for two kinds of picture"),
        "choose": (config.choose == "by-name", "must be by-name: a research net is never tried on a picture by itself"),
        "title": (bool(config.title.strip()), "must say in a few words what the pictures show"),
        "not_for": (bool(config.not_for.strip()), "must say what the model is not for: it stands on the card"),
        "data.folders": (bool(config.data.folders), "is empty: name at least one folder below DATA"),
        "data.licences": (bool(config.data.licences), "is empty: name the licences under which a picture may train"),
        "schedule.fractions": (
            config.schedule.fractions == sorted(set(config.schedule.fractions)) and config.schedule.fractions[-1:] == [100],
            "must rise and end with 100: the run over all pictures is the one that ships",
        ),
    }
    for key, (true, problem) in checks.items():
        if not true:
            raise ConfigError(f"{path}: `{key}` {problem}")
    return config
