"""The folders of models/research that this trainer wrote: what their configurations say, with cards that can be written again."""

from __future__ import annotations

import hashlib
import json
import tomllib

import pytest

from latentwire_training import card, curves
from latentwire_training.config import CONFIGS, read
from latentwire_training.printed import with_steps

RESEARCH = CONFIGS.parents[1] / "models/research"
SERVED = ["ae224-fundus-printed", "ae224-fundus-twopool", "ae224-fundus-denoise", "ae224-chest-denoise", "ae224-brain-denoise"]


@pytest.mark.parametrize("model", [*SERVED, "ae224-fundus-nodense"])
def test_a_folder_is_what_its_configuration_says(model, tmp_path):
    folder = RESEARCH / model
    training = json.loads((folder / "training.json").read_text())
    config = read(CONFIGS / f"{model}.toml")
    if config.schedule.recipe == "printed":
        config = with_steps(config, training["training_pictures"])
    assert training["config"] == config.flat() and training["steps_trained"] == config.schedule.steps
    assert training["changes"] == [] and training["left_out"] == []
    assert {p["licence"] for p in training["pictures"]} <= set(config.data.licences)
    assert all("/train/" in p["path"] for p in training["pictures"])
    assert card.card(training, card.kept_figures(folder / "CARD.md", training)) == (folder / "CARD.md").read_text()
    curves.draw_for(training, tmp_path / "curves.png")


@pytest.mark.parametrize("model", SERVED)
def test_a_served_folder_is_whole_and_says_its_purpose(model):
    folder = RESEARCH / model
    config = read(CONFIGS / f"{model}.toml")
    digest = lambda name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
    manifest, decode = (tomllib.loads((folder / name).read_text()) for name in ("manifest.toml", "decode.toml"))
    assert (manifest["id"], manifest["family"], manifest["choose"]) == (model, config.family, "by-name")
    assert (decode["family"], decode["purpose"]) == (config.family, config.purpose) and config.purpose in ("research", "denoising")
    assert manifest["decode_sha256"] == digest("decode.toml") and manifest["encoder"]["sha256"] == digest("encoder.onnx")
    assert (decode["decoder"]["sha256"], decode["tables"]["sha256"]) == (digest("decoder.onnx"), digest("tables.bin"))


def test_the_net_without_dense_layers_is_no_model_that_a_service_would_load():
    assert {p.name for p in (RESEARCH / "ae224-fundus-nodense").iterdir()} == {"encoder.onnx", "decoder.onnx", "training.json", "CARD.md", "curves.png"}


def test_the_variants_saw_the_very_pictures_of_the_net_as_printed():
    logs = [json.loads((RESEARCH / f"ae224-fundus-{name}" / "training.json").read_text()) for name in ("printed", "nodense", "twopool")]
    assert all((log["pictures"], log["training_pictures"], log["steps_trained"]) == (logs[0]["pictures"], logs[0]["training_pictures"], logs[0]["steps_trained"]) for log in logs)


@pytest.mark.parametrize("modality", ["fundus", "chest", "brain"])
def test_a_denoising_net_takes_away_noise_that_the_plain_net_keeps(modality):
    table = json.loads((RESEARCH / f"ae224-{modality}-denoise" / "training.json").read_text())["denoising"]
    for kind, row in table.items():
        if kind != "none":
            assert row["output"]["ssim"] > row["start"]["ssim"] and row["output"]["mse"] < row["start"]["mse"], kind
    assert table["none"]["output"]["ssim"] > 0.9
