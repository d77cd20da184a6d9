"""The committed model folders are, to the byte, what the exporter writes about their halves today."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from latentwire_training import export, hd512_card, hd512_config, hd512_export
from latentwire_training.config import CONFIGS, read
from latentwire_training.model_folder import decode_toml, manifest_toml
from latentwire_training.rd import card as rd_card
from latentwire_training.rd import config as rd_config
from latentwire_training.rd import export as rd_export

MODELS = CONFIGS.parents[1] / "models"
FOLDERS = sorted(file.parent for file in MODELS.rglob("decode.toml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_decode_toml_and_manifest_are_written_again_as_they_are(folder: Path):
    file = CONFIGS / f"{folder.name}.toml"
    decode, decoder, tables, encoder = ((folder / name).read_bytes() for name in ("decode.toml", "decoder.onnx", "tables.bin", "encoder.onnx"))
    latent = tomllib.loads(decode.decode())["latent"]
    if hd512_config.is_hd512(file):
        config = hd512_config.read(file)
        again = hd512_export.decode_toml(decoder, tables, latent["steps"][0])
    elif rd_config.is_rd(file):
        config = rd_config.read(file)
        training = json.loads((folder / "training.json").read_text())
        assert rd_export.manifest_toml(config, decode, encoder, training["validation"]) == (folder / "manifest.toml").read_bytes()
        assert rd_export.decode_toml(decoder, tables, latent["steps"], config.net.planes) == decode
        assert rd_card.card(training) == (folder / "CARD.md").read_text()
        return
    else:
        config = read(file)
        again = decode_toml(config.family, config.purpose, decoder, tables, latent["steps"], latent["stride"], export.TILES)
    assert again == decode
    assert manifest_toml(config, decode, encoder) == (folder / "manifest.toml").read_bytes()


def test_every_model_is_looked_at():
    assert {"ae224-fundus", "ae224-chest", "ae224-brain", "ae224-fundus-printed", "hd512", "rd-fundus", "rd-chest", "rd-brain"} <= {folder.name for folder in FOLDERS}


def test_the_card_of_hd512_is_written_again_as_it_is():
    folder = MODELS / "research/hd512"
    training = json.loads((folder / "training.json").read_text())
    assert hd512_card.card(training) == (folder / "CARD.md").read_text()
    assert list(hd512_config.read(CONFIGS / "hd512.toml").flat()) == list(training["config"])
