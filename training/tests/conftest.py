"""What the tests share: a tiny folder of pictures and a configuration that trains on it in seconds."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

TRAINING = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TRAINING))

from latentwire_training.config import read as read_config  # noqa: E402
from latentwire_training.toml_keys import ConfigError  # noqa: E402

CONFIG = """
id = "ae224-tiny"
title = "waves that were computed for a test"
modality = "other"
label = "waves"
choose = "by-name"
dicom_modalities = ["US"]
not_for = "anything."

[data]
folders = ["waves"]
licences = ["CC0-1.0"]

[crops]
size = 32

[schedule]
steps = 12
batch = 2
plain_share = 0.25
rounded_share = 0.25
validate_every = 6
checkpoint_every = 4
"""


@pytest.fixture(autouse=True)
def one_thread():
    """Sums come out in the same order."""
    torch.set_num_threads(1)


def wave(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    grey = 0.5 + 0.25 * np.sin(x / 7 + seed) + 0.2 * np.cos(y / 5 - seed) + 0.02 * rng.standard_normal((height, width))
    return np.clip(np.rint(grey * 255), 0, 255).astype(np.uint8)


def add_picture(data: Path, name: str, pixels: np.ndarray, licence: str | None = "CC0-1.0") -> str:
    """Writes a picture, and its line of the licence list unless `licence` is None."""
    path = f"waves/train/{name}"
    (data / "waves/train").mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(data / path)
    if licence is not None:
        listing = data / "OPEN.tsv"
        if not listing.exists():
            listing.write_text("path\tlicence\n")
        with listing.open("a") as file:
            file.write(f"{path}\t{licence}\n")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten open grey pictures of 64x48."""
    folder = tmp_path / "data"
    for seed in range(10):
        add_picture(folder, f"sine_{seed}.png", wave(seed))
    return folder


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text(CONFIG)
    return file


def replaced(file: Path, old: str, new: str) -> Path:
    """The same configuration with one place changed."""
    text = file.read_text()
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new))
    return file


PRINTED = """
id = "ae224-tiny"
title = "waves that were computed for a test"
modality = "fundus"
purpose = "research"
choose = "by-name"
not_for = "anything."

[data]
folders = ["waves"]
licences = ["CC0-1.0"]
validation_percent = 20

[schedule]
recipe = "printed"
epochs = 3
side = 32
batch = 3
learning_rate = 0.001
"""


def refused(file: Path, key: str, says: str) -> None:
    """The configuration is refused, by file and key, for what `says` is part of."""
    with pytest.raises(ConfigError) as error:
        read_config(file)
    text = str(error.value)
    assert str(file) in text and key in text and says in text, text


@pytest.fixture
def printed_file(tmp_path: Path) -> Path:
    file = tmp_path / "printed.toml"
    file.write_text(PRINTED)
    return file


NOISE = """
[noise]
share = 0.75
salt_and_pepper = 0.02
speckle = 0.1
poisson = 0.01
gaussian = 0.02
"""
