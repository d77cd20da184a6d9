"""A model's training configuration: one TOML file, every key checked, every message naming the file and the key.

`docs/TRAINING.md` has the table of keys; the classes below are the same table for the machine. A key without a default must be given.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from . import toml_keys
from .toml_keys import ConfigError, between, load, section

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
FAMILIES = ("ae224", "ae224-nodense", "ae224-twopool")
PURPOSES = ("product", "research", "denoising")
RECIPES = ("rate", "printed")
MODALITIES = ("fundus", "chest", "brain", "other")
CHOICES = ("by-trial", "by-name")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
LICENCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,99}")
DICOM_CODE = re.compile(r"[A-Z0-9]{1,16}")


@dataclass(frozen=True)
class Data:
    """[data]: which pictures."""

    folders: list[str]
    licences: list[str]
    licence_list: str = "OPEN.tsv"
    validation_percent: int = field(default=10, metadata=between(1, 50))
    attribution: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """What every configuration holds, whatever the family."""

    id: str
    title: str
    not_for: str
    data: Data

    def flat(self) -> dict[str, object]:
        """Every value under its dotted key, as JSON can hold it."""
        found: dict[str, object] = {}
        for key, value in dataclasses.asdict(self).items():
            if isinstance(value, dict):
                found.update({f"{key}.{inner}": v for inner, v in value.items()})
            else:
                found[key] = value
        return found

    def text(self) -> str:
        """The same, as one line of JSON."""
        return json.dumps(self.flat(), sort_keys=True)


@dataclass(frozen=True)
class Crops:
    """[crops]: what a training step sees of a picture."""

    size: int = field(default=128, metadata=between(32, 512))
    scale: list[float] = field(default_factory=lambda: [0.4, 1.0], metadata=between(0.1, 1.0))
    scale_share: float = field(default=0.6, metadata=between(0, 1))
    mirror: bool = True
    quarter_turns: bool = True
    light_share: float = field(default=0.5, metadata=between(0, 1))
    contrast: list[float] = field(default_factory=lambda: [0.8, 1.15], metadata=between(0.1, 3.0))
    brightness: float = field(default=0.08, metadata=between(0, 0.5))


@dataclass(frozen=True)
class Schedule:
    """[schedule]: how long, how fast."""

    recipe: str = "rate"
    steps: int = field(default=8000, metadata=between(1, 10_000_000))
    batch: int = field(default=8, metadata=between(1, 1024))
    learning_rate: float = field(default=3e-3, metadata=between(1e-7, 1.0))
    plain_share: float = field(default=0.15, metadata=between(0, 0.9))
    rounded_share: float = field(default=0.10, metadata=between(0, 0.9))
    seed: int = field(default=1, metadata=between(0, 2**31 - 1))
    validate_every: int = field(default=500, metadata=between(1, 10_000_000))
    checkpoint_every: int = field(default=200, metadata=between(1, 10_000_000))
    epochs: int = field(default=60, metadata=between(1, 100_000))
    side: int = field(default=224, metadata=between(32, 1024))


@dataclass(frozen=True)
class Noise:
    """[noise]: what a denoising net is shown beside clean pictures; the target is the clean picture."""

    share: float = field(default=0.0, metadata=between(0, 0.95))
    salt_and_pepper: float = field(default=0.0, metadata=between(0, 1))
    speckle: float = field(default=0.0, metadata=between(0, 10_000))
    poisson: float = field(default=0.0, metadata=between(0, 100))
    gaussian: float = field(default=0.0, metadata=between(0, 100))
    spread: float = field(default=3.0, metadata=between(1, 100))

    @property
    def levels(self) -> dict[str, float]:
        """The kinds that are used, with the level round which training varies."""
        kinds = ("salt_and_pepper", "speckle", "poisson", "gaussian")
        return {kind: getattr(self, kind) for kind in kinds if getattr(self, kind) > 0}


@dataclass(frozen=True)
class Rate:
    """[rate]: what the loss asks for."""

    bits_per_pixel: float = field(default=1.1, metadata=between(0.05, 24))
    ssim_weight: float = field(default=0.004, metadata=between(0, 10))


@dataclass(frozen=True)
class Quantiser:
    """[quantiser]: how the steps that ship are chosen, on validation pictures."""

    validation_ssim: float = field(default=0.966, metadata=between(0.5, 1))
    validation_ssim_224: float = field(default=0.958, metadata=between(0.5, 1))
    largest_step_factor: float = field(default=4.0, metadata=between(1, 64))
    int8_tolerance_db: float = field(default=0.15, metadata=between(0, 10))


@dataclass(frozen=True)
class Config(Model):
    """A whole file."""

    family: str = "ae224"
    purpose: str = "product"
    start: str = ""
    modality: str = "other"
    label: str = ""
    choose: str = "by-trial"
    dicom_modalities: list[str] = field(default_factory=list)
    weights_licence: str = "Apache-2.0 OR MIT"
    crops: Crops = field(default_factory=Crops)
    schedule: Schedule = field(default_factory=Schedule)
    noise: Noise = field(default_factory=Noise)
    rate: Rate = field(default_factory=Rate)
    quantiser: Quantiser = field(default_factory=Quantiser)


def find(model: str) -> Path:
    """The configuration that MODEL names: an id of `training/configs`, or a path that ends in .toml."""
    path = Path(model) if model.endswith(".toml") else CONFIGS / f"{model}.toml"
    if path.is_file() and (model.endswith(".toml") or NAME.fullmatch(model)):
        return path
    known = sorted(p.stem for p in CONFIGS.glob("*.toml"))
    if not model:
        raise ConfigError(f"MODEL= is missing: it is one of {', '.join(known)}, or the path of a .toml file of your own (docs/TRAINING.md)")
    if model.endswith(".toml"):
        raise ConfigError(f"{model}: there is no such file; MODEL is one of {', '.join(known)}, or the path of a .toml file of your own")
    near = difflib.get_close_matches(model, known, 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise ConfigError(f"unknown MODEL {model!r}{hint}: there are {', '.join(known)}; for a model of your own give the path of its .toml file (docs/TRAINING.md)")


def read(path: Path, **overrides: int) -> Config:
    """Reads and checks a file; `overrides` are [schedule] values from the command line."""
    config = section(path, Config, load(path))
    changed = {key: value for key, value in overrides.items() if value is not None}
    if changed:
        if config.schedule.recipe == "printed":
            raise ConfigError(f"{path}: recipe \"printed\" goes by whole epochs: change `schedule.epochs` instead of passing STEPS=")
        merged = {**dataclasses.asdict(config.schedule), **changed}
        config = dataclasses.replace(config, schedule=section(path, Schedule, merged, "schedule"))
    _check(path, config)
    return config


def check_model(path: Path, c: Model) -> None:
    """The keys that every configuration has."""
    need = partial(toml_keys.need, path)
    need(NAME.fullmatch(c.id), "id", f"must be 1 to 64 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit, found {c.id!r}")
    need(bool(c.title.strip()), "title", "must say in a few words what the pictures show")
    need(bool(c.not_for.strip()), "not_for", "must say what the model is not for: it stands on the card")
    need(bool(c.data.folders), "data.folders", "is empty: name at least one folder below DATA")
    for folder in c.data.folders:
        need(bool(folder) and not folder.startswith("/") and ".." not in Path(folder).parts, "data.folders", f"are names below DATA, found {folder!r}")
    need(bool(c.data.licences), "data.licences", "is empty: name the licences under which a picture may train")
    for licence in c.data.licences:
        need(LICENCE_ID.fullmatch(licence), "data.licences", f"holds SPDX ids (or LicenseRef-…), found {licence!r}")


def _check(path: Path, c: Config) -> None:
    """What no single key can show."""
    check_model(path, c)
    need = partial(toml_keys.need, path)
    need(c.family in FAMILIES, "family", f"must be one of {', '.join(FAMILIES)}: the trainer knows no other net, found {c.family!r}")
    need(c.modality in MODALITIES, "modality", f"must be one of {', '.join(MODALITIES)} (a kind of your own is `other` with a `label`), found {c.modality!r}")
    need(c.choose in CHOICES, "choose", f"must be one of {', '.join(CHOICES)}, found {c.choose!r}")
    need(c.purpose in PURPOSES, "purpose", f"must be one of {', '.join(PURPOSES)}, found {c.purpose!r}")
    if c.purpose != "product":
        need(c.choose == "by-name", "choose", f"must be by-name where `purpose` is {c.purpose!r}: the services use such a model only for a request that names it")
        need(not c.dicom_modalities, "dicom_modalities", f"must be empty where `purpose` is {c.purpose!r}: no DICOM header may ask for such a model")
    need(not c.label or NAME.fullmatch(c.label), "label", f"must be like an id, for example \"ultrasound\", found {c.label!r}")
    need(bool(c.label) or c.modality != "other", "label", "is missing: a model with modality \"other\" says in a word what it is for")
    for code in c.dicom_modalities:
        need(DICOM_CODE.fullmatch(code), "dicom_modalities", f"holds DICOM Modality codes such as \"US\", found {code!r}")
    need(len(c.dicom_modalities) <= 16, "dicom_modalities", "holds at most 16 codes")
    need(0 < len(c.weights_licence) <= 200 and c.weights_licence.isascii() and c.weights_licence.isprintable() and '"' not in c.weights_licence,
         "weights_licence", "must be an SPDX expression of at most 200 characters")
    for key, pair in (("crops.scale", c.crops.scale), ("crops.contrast", c.crops.contrast)):
        need(len(pair) == 2 and pair[0] <= pair[1], key, f"must be [least, largest], found {pair!r}")
    need(c.crops.size % 2 == 0, "crops.size", f"must be even: the latent has half the side, found {c.crops.size}")
    recipe = c.schedule.recipe
    need(recipe in RECIPES, "schedule.recipe", f"must be one of {', '.join(RECIPES)}, found {recipe!r}")
    need(c.schedule.side % 4 == 0, "schedule.side", f"must be a multiple of 4, the largest stride, found {c.schedule.side}")
    if recipe == "printed":
        need(c.purpose != "product", "purpose", "must not be \"product\" with recipe \"printed\": such a net is trained without quantisation and without a rate")
        need(c.noise.share == 0, "noise.share", "must be 0 with recipe \"printed\": it trains on the pictures as they are")
        need(not c.start, "start", "must be empty with recipe \"printed\": it begins with random weights")
    else:
        need(c.family == "ae224", "family", f"{c.family!r} is trained by recipe \"printed\" only: set `schedule.recipe`")
    need(not c.start or NAME.fullmatch(c.start) or "/" in c.start, "start", f"must be the id of a model in models/, or a path with a `/`, found {c.start!r}")
    need(c.noise.share == 0 or bool(c.noise.levels), "noise.share", "needs at least one noise with a level above 0")
    need(bool(c.noise.share) == (c.purpose == "denoising"), "noise.share",
         "must be above 0 where `purpose` is \"denoising\", and nowhere else: a net that was trained to take noise away is no product's net")
    shares = c.schedule.plain_share + c.schedule.rounded_share
    need(shares <= 0.95, "schedule.plain_share", f"and `schedule.rounded_share` must leave steps between them: their sum is {shares:g}, above 0.95")
