"""The four noises, and the net that is trained to take them away."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from conftest import CONFIG, NOISE, add_picture, replaced, wave
from skimage.util import random_noise

from latentwire_training import noise, start, tables
from latentwire_training.config import Noise
from latentwire_training.config import read as read_config
from latentwire_training.denoising import figures, of_folder
from latentwire_training.entropy_model import ContextModel
from latentwire_training.export import export
from latentwire_training.pictures import Picture, crops, load
from latentwire_training.toml_keys import ConfigError
from latentwire_training.train import Run

LEVELS = {"salt_and_pepper": 0.05, "speckle": 0.1, "poisson": 0.02, "gaussian": 0.01}


def ramp() -> np.ndarray:
    return np.linspace(0.1, 0.9, 3 * 200 * 200, dtype=np.float32).reshape(3, 200, 200)


@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        ("salt_and_pepper", lambda p, rng: random_noise(p, mode="s&p", amount=0.05, rng=rng)),
        ("speckle", lambda p, rng: random_noise(p, mode="speckle", var=0.1, rng=rng)),
        ("poisson", lambda p, rng: np.clip(rng.poisson(p / 0.02) * 0.02, 0, 1)),
        ("gaussian", lambda p, rng: random_noise(p, mode="gaussian", var=0.01, rng=rng)),
    ],
)
def test_a_noise_is_as_strong_as_scikit_images(kind, reference):
    clean = ramp()
    found = noise.noisy(clean, kind, LEVELS[kind], np.random.default_rng(1))
    expected = reference(clean, np.random.default_rng(2))
    assert found.dtype == np.float32 and 0.0 <= found.min() and found.max() <= 1.0
    assert np.abs(found * 255 - np.rint(found * 255)).max() < 1e-4, "values of 8 bits"
    error = lambda x: (float(np.mean(x - clean)), float(np.mean((x - clean) ** 2)))
    assert error(found) == pytest.approx(error(expected), rel=0.05, abs=1e-3)


def test_a_grey_picture_stays_grey_and_a_colour_picture_does_not():
    rng = np.random.default_rng(3)
    grey = np.repeat(ramp()[:1], 3, axis=0)
    found = noise.noisy_planes(grey, "gaussian", 0.01, rng)
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2]) and not np.array_equal(found, grey)
    found = noise.noisy_planes(ramp(), "gaussian", 0.01, rng) - ramp()
    assert abs(np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1]) < 0.05


def test_the_share_of_crops_is_noisy_the_clean_batch_stays_and_the_seed_decides():
    batch = np.float32(np.rint(np.repeat(ramp()[None, :, :32, :32], 400, axis=0) * 255) / 255)
    before = batch.copy()
    options = Noise(share=0.6, **LEVELS)
    found = noise.corrupted(batch, options, np.random.default_rng(4))
    changed = np.array([not np.array_equal(a, b) for a, b in zip(found, batch)])
    assert 0.5 < changed.mean() < 0.7 and np.array_equal(batch, before)
    assert np.array_equal(found, noise.corrupted(batch, options, np.random.default_rng(4)))
    errors = ((found - batch) ** 2).mean(axis=(1, 2, 3))[changed]
    assert errors.max() / errors.min() > 4, "levels vary"
    assert noise.corrupted(batch, Noise(), np.random.default_rng(4)) is batch
    only = noise.corrupted(batch, Noise(share=0.9, salt_and_pepper=0.05, spread=1.0), np.random.default_rng(5))
    touched = only[only != batch]
    assert set(np.unique(touched)) == {0.0, 1.0}, "the kinds without a level are not used"


@pytest.mark.parametrize("kind", ["salt_and_pepper", "gaussian"])
def test_the_calibrated_level_gives_the_printed_similarity(kind):
    pictures = [Picture(f"p_{i}", "CC0-1.0", "", wave(i)[:, :, None].repeat(3, axis=2), True) for i in range(3)]
    level = noise.calibrated(pictures, kind)
    assert noise.similarity(pictures, kind, level) == pytest.approx(noise.PRINTED_SSIM[kind], abs=0.02)
    assert noise.similarity(pictures, kind, level * 1.5) < noise.PRINTED_SSIM[kind] < noise.similarity(pictures, kind, level / 1.5)


def run_of(data, config_file, work) -> Run:
    config = read_config(config_file)
    work.mkdir(exist_ok=True)
    run = Run(config, load(data, config), work / f"{config.id}.pt")
    run.resume()
    return run


@pytest.fixture
def plain(data, config_file, tmp_path):
    """A plain model's folder, in f32."""
    replaced(config_file, "steps = 12", "steps = 60")
    config_file.write_text(config_file.read_text() + "\n[quantiser]\nint8_tolerance_db = 0.0\n")
    run = run_of(data, config_file, tmp_path / "work")
    run.train()
    return export(run.trainer, run.pictures, tmp_path / "models")


@pytest.fixture
def denoise_file(plain, tmp_path):
    file = tmp_path / "denoise.toml"
    text = CONFIG.replace('id = "ae224-tiny"', f'id = "ae224-tiny-denoise"\npurpose = "denoising"\nstart = "{plain}"').replace('dicom_modalities = ["US"]\n', "")
    file.write_text(text.replace("plain_share = 0.25", "plain_share = 0.0").replace("steps = 12", "steps = 80") + NOISE + "\n[quantiser]\nlargest_step_factor = 1.0\n")
    return file


def test_training_begins_with_the_weights_the_steps_and_the_context_of_the_folder(plain, data, denoise_file, tmp_path, capsys):
    before = start.read(plain)
    run = run_of(data, denoise_file, tmp_path / "denoise-work")
    assert f"begins with the weights of {plain}" in capsys.readouterr().out
    for half, net in (("encoder", run.trainer.encoder), ("decoder", run.trainer.decoder)):
        assert all(torch.equal(before.halves[half][name], value) for name, value in net.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(run.trainer.average, run.trainer.nets))
    assert run.trainer.phase == "noisy" and np.allclose(run.trainer.log_step.exp().numpy(), before.steps, rtol=1e-6)
    # The context model gives the very integers that it was read from.
    held = tables.parse((plain / "tables.bin").read_bytes())
    again = tables.integer_channels(run.trainer.context)
    for a, b in zip(held, again, strict=True):
        assert abs(a.mean_bias - b.mean_bias) <= 1 and abs(a.activity_bias - b.activity_bias) <= 1
        for taps, more in ((a.mean_taps, b.mean_taps), (a.activity_taps, b.activity_taps)):
            assert [t[:3] for t in taps] == [t[:3] for t in more] and max(abs(x[3] - y[3]) for x, y in zip(taps, more)) <= 1


def test_the_net_sees_noise_and_is_measured_against_the_clean_crop(data, denoise_file, tmp_path):
    run = run_of(data, denoise_file, tmp_path / "denoise-work")
    config = run.config
    clean = crops(run.pictures.training, config.crops, 4, np.random.default_rng(1))
    inputs = np.stack([noise.noisy_planes(x, "gaussian", 0.02, np.random.default_rng(2)) for x in clean])
    with torch.no_grad():
        output = run.trainer.decoder(run.trainer.encoder(torch.from_numpy(inputs))).mean(dim=1)
    figures_of_step = run.trainer.train_step(clean, inputs)
    expected = ((output - torch.from_numpy(clean[:, 0])) ** 2).mean().item()
    assert figures_of_step["mse"] == pytest.approx(expected, rel=0.1)
    assert figures_of_step["loss"] < figures_of_step["mse"], "strong noise weighs less"


def test_a_denoising_net_is_written_as_one_with_its_figures(data, denoise_file, plain, tmp_path):
    run = run_of(data, denoise_file, tmp_path / "denoise-work")
    run.train()
    folder = export(run.trainer, run.pictures, tmp_path / "models")
    assert 'family = "ae224"\npurpose = "denoising"\n' in (folder / "decode.toml").read_text()
    training = json.loads((folder / "training.json").read_text())
    table = training["denoising"]
    assert list(table) == ["none", "salt_and_pepper", "speckle", "poisson", "gaussian"]
    assert table["none"]["noisy"] == {"ssim": 1.0, "mse": 0.0} and all(set(row) == {"level", "noisy", "output", "start"} for row in table.values())
    assert all(row["noisy"]["ssim"] < 0.99 for kind, row in table.items() if kind != "none")
    assert np.allclose(of_folder(folder)[2], of_folder(plain)[2], rtol=1e-6), "the plain net's steps"
    again = figures(*of_folder(folder), run.config, run.pictures.validation)
    assert all(again[kind][way]["ssim"] == pytest.approx(row[way]["ssim"], abs=1e-3) for kind, row in table.items() for way in ("noisy", "output", "start"))
    text = (folder / "CARD.md").read_text()
    for part in ("**denoising**", "no copy of what was sent", "| salt and pepper | 0.02 |", "stood at the beginning", "75% of the crops"):
        assert part in text, part


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("share = 0.75", "share = 0.0", r"`noise.share` must be above 0 where `purpose` is \"denoising\""),
        ('purpose = "denoising"', 'purpose = "research"', r"`noise.share` must be above 0 where"),
        ("salt_and_pepper = 0.02\nspeckle = 0.1\npoisson = 0.01\ngaussian = 0.02", "", r"`noise.share` needs at least one noise"),
        ("speckle = 0.1", "speckle = -0.1", r"`noise.speckle` must lie in 0..10000, found -0.1"),
        ("speckle = 0.1", "speckel = 0.1", r"unknown key `noise.speckel`; did you mean `speckle`"),
        ("/models/ae224-tiny", "\\u0000", r"`start` "),
    ],
)
def test_a_mistake_is_named(denoise_file, old, new, says):
    replaced(denoise_file, old, new)
    with pytest.raises(ConfigError, match=says):
        config = read_config(denoise_file)
        start.find(config.start)


def test_a_start_that_is_no_model_or_not_in_f32_is_refused(plain):
    with pytest.raises(ConfigError, match=r"`start` 'ae224-eye': .*ae224-eye is not a model folder"):
        start.find("ae224-eye")
    assert start.find("ae224-fundus") == start.MODELS / "ae224-fundus"
    (plain / "tables.bin").write_bytes((plain / "tables.bin").read_bytes()[:100])
    with pytest.raises(ConfigError, match=r"cannot be read: tables.bin ends early"):
        start.read(plain)
    (plain / "tables.bin").write_bytes(b"LWTC" + bytes(20))
    with pytest.raises(ConfigError, match=r"not a table of this trainer"):
        start.read(plain)
    (plain / "encoder.onnx").write_bytes(b"no model")
    with pytest.raises(ConfigError, match=r"cannot be read"):
        start.read(plain)


def test_the_shipped_models_can_stand_at_the_beginning():
    for modality in ("fundus", "chest", "brain"):
        found = start.read(start.find(f"ae224-{modality}"))
        held = tables.parse((found.folder / "tables.bin").read_bytes())
        assert isinstance(found.context, ContextModel) and len(held) == 3
        again = tables.integer_channels(found.context)
        assert [len(c.mean_taps) for c in again] == [len(c.mean_taps) for c in held]
