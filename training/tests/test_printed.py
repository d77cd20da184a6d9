"""The recipe that paper A prints, and the variants of its net that test its claims."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch
from conftest import PRINTED, add_picture, refused, replaced, wave

from latentwire_training import graphs
from latentwire_training.autoencoder import FAMILIES, Decoder, Encoder, glorot_, parameter_count
from latentwire_training.config import FAMILIES as KNOWN
from latentwire_training.config import read as read_config
from latentwire_training.export import evaluate_unquantised, export, session, weights
from latentwire_training.pictures import load, scaled
from latentwire_training.quality import measure
from latentwire_training.toml_keys import ConfigError
from latentwire_training.train import Run


@pytest.fixture
def colours(tmp_path):
    """Nine colour pictures of 48x40 and one that is smaller than any crop."""
    folder = tmp_path / "colours"
    for seed in range(9):
        planes = [wave(seed + 100 * c, 48, 40) for c in range(3)]
        add_picture(folder, f"sine_{seed}.png", np.stack(planes, axis=2))
    add_picture(folder, "sine_9.png", np.stack([wave(900 + c, 12, 10) for c in range(3)], axis=2))
    return folder


def run_of(data, config_file, work) -> Run:
    config = read_config(config_file)
    work.mkdir(exist_ok=True)
    run = Run(config, load(data, config, whole=True), work / f"{config.id}.pt")
    run.resume()
    return run


def variant(file, family: str):
    return replaced(file, 'modality = "fundus"', f'family = "{family}"\nmodality = "fundus"')


def test_the_split_is_exact_and_small_pictures_are_scaled_up(colours, printed_file):
    found = load(colours, read_config(printed_file), whole=True)
    assert (len(found.training), len(found.validation), found.left_out) == (8, 2, [])
    again = load(colours, read_config(printed_file), whole=True)
    assert [p.path for p in again.validation] == [p.path for p in found.validation]
    add_picture(colours, "tiny_1.png", np.stack([wave(7 + c, 7, 20) for c in range(3)], axis=2))
    assert load(colours, read_config(printed_file), whole=True).left_out == [("waves/train/tiny_1.png", "20x7 is smaller than 8x8")]


def test_an_epoch_shows_every_picture_once_in_an_order_of_its_own(colours, printed_file, tmp_path):
    run = run_of(colours, printed_file, tmp_path / "work")
    assert (run.config.schedule.steps, run.trainer.epoch_steps) == (9, 3)
    seen: list[np.ndarray] = []
    run.trainer.train_step = lambda batch: seen.append(batch) or {}
    pixels = {p.path: scaled(p, 32).pixels.transpose(2, 0, 1).astype(np.float32) / 255 for p in run.pictures.training}

    def order() -> list[str]:
        seen.clear()
        for _ in range(3):
            run.trainer.train_on(run.pictures.training)
            run.trainer.step += 1
        assert [len(batch) for batch in seen] == [3, 3, 2]
        return [path for batch in seen for x in batch for path, value in pixels.items() if np.array_equal(x, value)]

    first, second = order(), order()
    assert sorted(first) == sorted(second) == sorted(pixels) and first != second


def test_the_loss_is_the_mean_square_error_and_the_history_goes_by_epochs(colours, printed_file, tmp_path):
    run = run_of(colours, printed_file, tmp_path / "work")
    trainer = run.trainer
    losses: list[float] = []
    step = trainer.train_step

    def noted(batch):
        figures = step(batch)
        losses.append(figures["loss"])
        return figures

    trainer.train_step = noted
    run.train()
    epochs = [row for row in trainer.history if "epoch" in row]
    checks = [row for row in trainer.history if "validation" in row]
    assert [row["epoch"] for row in epochs] == [1, 2, 3] and [row["step"] for row in checks] == [3, 6, 9]
    assert [row["loss"] for row in epochs] == pytest.approx([np.mean(losses[i : i + 3]) for i in (0, 3, 6)])
    encoder, decoder = trainer.averaged()
    assert all(torch.equal(a, b) for a, b in zip([*encoder.parameters(), *decoder.parameters()], trainer.nets)), "no average of weights"
    small = [scaled(p, 32) for p in run.pictures.validation]
    with torch.no_grad():
        outputs = [decoder(encoder(torch.from_numpy(p.pixels.transpose(2, 0, 1)[None] / np.float32(255)))).numpy()[0].transpose(1, 2, 0) for p in small]
    assert checks[-1]["validation"]["loss"] == pytest.approx(np.mean([np.mean((o - p.pixels / 255) ** 2) for o, p in zip(outputs, small)]), rel=1e-4)
    same = [np.mean(o.argmax(axis=2) == p.pixels.argmax(axis=2)) for o, p in zip(outputs, small)]
    assert checks[-1]["validation"]["largest_channel"] == pytest.approx(np.mean(same), abs=2e-3)


@pytest.mark.parametrize("stop_after", [2, 4, 6])
def test_a_resumed_run_ends_with_the_weights_and_the_history_of_an_uninterrupted_one(colours, printed_file, tmp_path, stop_after):
    whole = run_of(colours, printed_file, tmp_path / "whole")
    whole.train()
    first = run_of(colours, printed_file, tmp_path / "parts")
    train_on = first.trainer.train_on

    def stopping(pictures):
        if first.trainer.step == stop_after - 1:
            first.stopping = True
        return train_on(pictures)

    first.trainer.train_on = stopping
    with pytest.raises(SystemExit, match=f"stopped at step {stop_after} of 9"):
        first.train()
    second = run_of(colours, printed_file, tmp_path / "parts")
    assert second.trainer.step == stop_after and second.trainer.changes == []
    second.train()
    assert all(torch.equal(a, b) for a, b in zip(whole.trainer.nets, second.trainer.nets))
    drop = lambda history: [{k: v for k, v in row.items() if k != "seconds"} for row in history]
    assert drop(whole.trainer.history) == drop(second.trainer.history)


@pytest.mark.parametrize(("family", "stride"), [("ae224", 2), ("ae224-twopool", 4)])
def test_what_is_exported_codes_as_well_as_the_f32_latent(colours, printed_file, tmp_path, family, stride):
    run = run_of(colours, variant(printed_file, family), tmp_path / "work")
    run.train()
    folder = export(run.trainer, run.pictures, tmp_path / "models")
    training = json.loads((folder / "training.json").read_text())
    figures = training["validation"]
    assert set(figures) == {"f32/f32", "f32 latent"} and training["kind"] == {"encoder": "f32", "decoder": "f32"}
    assert figures["f32/f32"]["ssim"] >= figures["f32 latent"]["ssim"] - 1.1e-4
    assert figures["f32 latent"]["bpp"] == pytest.approx(32 * 3 / stride**2) and 0 < figures["f32/f32"]["bpp"] < figures["f32 latent"]["bpp"]
    decode = (folder / "decode.toml").read_text()
    assert f'family = "{family}"\npurpose = "research"\n' in decode and f"stride = {stride}" in decode
    assert 'choose = "by-name"' in (folder / "manifest.toml").read_text()
    card = (folder / "CARD.md").read_text()
    for part in ("**research**", "3 epochs", "The recipe that the paper prints", "f32 latent", "what Keras calls accuracy", training["decoder_digest"]):
        assert part in card, part


def test_without_dense_layers_two_halves_are_written_and_no_model(colours, printed_file, tmp_path):
    run = run_of(colours, variant(printed_file, "ae224-nodense"), tmp_path / "work")
    run.train()
    folder = export(run.trainer, run.pictures, tmp_path / "models")
    assert {p.name for p in folder.iterdir()} == {"encoder.onnx", "decoder.onnx", "training.json", "CARD.md", "curves.png"}
    training = json.loads((folder / "training.json").read_text())
    assert "decoder_digest" not in training and "no model to serve" in (folder / "CARD.md").read_text()
    halves = [session(onnx.load(folder / f"{half}.onnx")) for half in ("encoder", "decoder")]
    small = [scaled(p, 32) for p in run.pictures.validation]
    assert evaluate_unquantised(*halves, small, 2) == pytest.approx(training["validation"]["f32 latent"])
    again = [measure(p.pixels, run.trainer._eight_bits(run.trainer.averaged()[1](run.trainer.averaged()[0](run.trainer._tensor(p))).detach(), p), False)["ssim"] for p in small]
    assert training["validation"]["f32 latent"]["ssim"] == pytest.approx(np.mean(again), abs=1e-4)
    assert training["validation"]["f32 latent"]["bpp"] == 32 * 32 / 4


def test_the_variants_differ_from_table_2_in_what_their_name_says():
    assert tuple(FAMILIES) == KNOWN
    shapes = {name: Encoder(family)(torch.rand(1, 3, 32, 48)).shape for name, family in FAMILIES.items()}
    assert shapes == {"ae224": (1, 3, 16, 24), "ae224-nodense": (1, 32, 16, 24), "ae224-twopool": (1, 3, 8, 12)}
    for name, family in FAMILIES.items():
        assert Decoder(family)(torch.rand(shapes[name])).shape == (1, 3, 32, 48)
        assert (family.latent_channels, family.stride) == (shapes[name][1], 32 // shapes[name][2])
    assert [parameter_count(Encoder(f)) for f in FAMILIES.values()] == [57_283, 57_184, 57_283]
    assert [parameter_count(Decoder(f)) for f in FAMILIES.values()] == [58_063, 66_403, 58_063]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_graphs_of_the_variants_compute_what_the_nets_compute(family):
    torch.manual_seed(4)
    family = FAMILIES[family]
    encoder, decoder = Encoder(family).eval(), Decoder(family).eval()
    glorot_(encoder, decoder)
    assert all(not layer.bias.any() for layer in [*encoder.modules(), *decoder.modules()] if isinstance(layer, torch.nn.Conv2d))
    pixels = np.random.default_rng(5).random((1, 3, 32, 48), dtype=np.float32)
    with torch.no_grad():
        latent = encoder(torch.from_numpy(pixels))
        output = decoder(latent).numpy()
    found = session(graphs.encoder_f32(weights(encoder), family.pools)).run(None, {"pixels": pixels})[0]
    assert np.abs(found - latent.numpy()).max() <= 1e-5
    found = session(graphs.decoder_f32(weights(decoder), family.pools)).run(None, {"latent": latent.numpy()})[0]
    assert np.abs(found - output).max() <= 1e-5


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ('purpose = "research"', "", "`purpose`", "must not be \"product\""),
        ('purpose = "research"', 'purpose = "reserch"', "`purpose`", "product, research, denoising"),
        ('choose = "by-name"', "", "`choose`", "must be by-name"),
        ('choose = "by-name"', 'choose = "by-name"\ndicom_modalities = ["OP"]', "`dicom_modalities`", "must be empty"),
        ('choose = "by-name"', 'choose = "by-name"\nstart = "ae224-fundus"', "`start`", "random weights"),
        ('recipe = "printed"', 'recipe = "print"', "`schedule.recipe`", "rate, printed"),
        ('recipe = "printed"', "", "`schedule.recipe`", None),
        ("side = 32", "side = 34", "`schedule.side`", "a multiple of 4"),
        ("epochs = 3", "epochs = 0", "`schedule.epochs`", "1..100000, found 0"),
    ],
)
def test_a_mistake_names_its_file_and_key(printed_file, old, new, key, says):
    replaced(printed_file, old, new)
    if says is None:  # no mistake by itself: a research net may be trained with the rate
        assert read_config(printed_file).schedule.recipe == "rate"
        return
    refused(printed_file, key, says)


def test_a_variant_without_the_recipe_and_steps_with_it_are_refused(printed_file):
    with pytest.raises(ConfigError, match=r"goes by whole epochs: change `schedule.epochs`"):
        read_config(printed_file, steps=5)
    replaced(variant(printed_file, "ae224-nodense"), 'recipe = "printed"', "")
    with pytest.raises(ConfigError, match=r"`family` 'ae224-nodense' is trained by recipe \"printed\" only"):
        read_config(printed_file)
    assert PRINTED.count("printed") == 1
