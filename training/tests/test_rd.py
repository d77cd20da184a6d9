"""`rd`: closed-form start, integer decoder beside the trained net, levels, a whole run, and configurations that cannot be."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib

import numpy as np
import pytest
import torch
from conftest import add_picture, wave
from test_docs import TEXT, keys
from torch.nn import functional

from latentwire_training.config import CONFIGS, Crops, Model
from latentwire_training.export import session
from latentwire_training.quality import measure
from latentwire_training.rd import card, export, graphs, start, tables
from latentwire_training.rd import run as run_module
from latentwire_training.rd.check import fixed_latent, output_sha256
from latentwire_training.rd.config import Config, is_rd, read
from latentwire_training.rd.levels import LARGEST, block_levels
from latentwire_training.rd.net import MIDDLE, Synthesis
from latentwire_training.rd.trainer import Trainer, bpp_at, padded
from latentwire_training.toml_keys import ConfigError

TINY = """
id = "rd-tiny"
family = "rd"
title = "waves that were computed for a test"
modality = "other"
label = "waves"
choose = "by-name"
not_for = "anything."
validation_scale = 1.0

[data]
folders = ["waves"]
licences = ["CC0-1.0"]

[crops]
size = 64
scale_share = 0.0

[net]
planes = {planes}
coefficients = 12
predicted = 3
fine = 8
coarse = 8

[schedule]
steps = 3
batch = 2
validate_every = 3
checkpoint_every = 1
"""


@pytest.fixture
def folders(tmp_path):
    data = tmp_path / "data"
    (data / "waves/train").mkdir(parents=True)
    (data / "OPEN.tsv").write_text("path\tlicence\n")
    for i in range(6):
        grey = wave(i, 80, 96)
        add_picture(data, f"sine_{i}.png", np.stack([grey, grey[::-1], 255 - grey], axis=2))
    return data, tmp_path / "work", tmp_path / "models"


def tiny(tmp_path, planes: int = 1) -> Config:
    path = tmp_path / f"tiny{planes}.toml"
    path.write_text(TINY.format(planes=planes))
    return read(path)


def test_every_key_of_the_page_is_the_configurations():
    rows = re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", TEXT[TEXT.index("| key of `rd`") : TEXT.index("## What comes out")], re.MULTILINE)
    inherited = {field.name for field in dataclasses.fields(Model)} | {"data", "crops", "family", "purpose", "modality", "label", "choose", "dicom_modalities", "weights_licence"}
    expected = {key: value for key, value in keys(Config).items() if key.split(".")[0] not in inherited}
    assert {key: (value, default) for key, value, default in rows} == expected


@pytest.mark.parametrize("name", ["rd-fundus", "rd-chest", "rd-brain"])
def test_shipped_configurations_are_sound(name):
    path = CONFIGS / f"{name}.toml"
    config = read(path)
    assert is_rd(path) and config.id == name and config.crops == dataclasses.replace(Crops(), **{k: getattr(config.crops, k) for k in ("size", "scale", "scale_share", "quarter_turns", "light_share")})


@pytest.mark.parametrize("change, key", [
    ("planes = 2", "net.planes"),
    ("predicted = 31", "net.predicted"),
    ("size = 40", "crops.size"),
    ("knob = [2.0, 1.0]", "schedule.knob"),
    ("dead_zone = 0.9", "quantiser.dead_zone"),
])
def test_what_cannot_be_is_refused_with_its_key(tmp_path, change, key):
    section, name = key.split(".")
    text = re.sub(rf"^{name} = .*$", "", TINY.format(planes=1), flags=re.MULTILINE)
    text = text.replace(f"[{section}]", f"[{section}]\n{change}") if f"[{section}]" in text else f"{text}\n[{section}]\n{change}\n"
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(key)):
        read(tmp_path / "bad.toml")


def test_a_flat_block_is_fine_and_an_edge_is_coarse():
    picture = torch.full((1, 1, 48, 48), 90.0)
    picture[:, :, :, 20:] = 200.0
    levels = block_levels(picture)[0, 0]
    assert levels[:, 2].abs().max() < 1e-4
    assert 1 < levels[1, 1] < 3 and levels.max() <= LARGEST


def test_the_start_is_orthonormal_and_gives_the_picture_back(tmp_path):
    rng = np.random.default_rng(1)
    pictures = [wave(i, 96, 96)[..., None] for i in range(3)]
    basis, deviation = start.transform(pictures, 256, rng)
    assert np.allclose(basis @ basis.T, np.eye(256), atol=1e-9) and (np.diff(deviation) <= 1e-9).all()
    synthesis = Synthesis(1, 256, 8, 8)
    with torch.no_grad():
        synthesis.linear.weight.copy_(torch.tensor(start.eighths(basis.T, 1), dtype=torch.float32)[:, :, None, None])
        synthesis.last.weight.zero_()
        x = padded(pictures[0]) - MIDDLE
        y = functional.conv2d(functional.pixel_unshuffle(x, 16), torch.tensor(basis, dtype=torch.float32)[:, :, None, None])
        assert torch.allclose(synthesis(y, torch.zeros(1, 1, 6, 6)), x, atol=1e-2)


def test_weights_that_do_not_fit_the_integer_form_are_refused():
    hi, lo, error = graphs.split_weights(np.array([[0.25, -0.4921, 0.0]]), 13)
    assert np.allclose((64 * hi.astype(int) + lo) / 2**13, [[0.25, -0.4921, 0.0]], atol=error) and error <= 2**-14
    with pytest.raises(ValueError, match="0.6"):
        graphs.split_weights(np.array([[0.6]]), 13)


@pytest.mark.parametrize("planes", [1, 3])
def test_a_run_writes_a_model_whose_integer_decoder_is_the_trained_one(folders, tmp_path, planes, capsys):
    data, work, models = folders
    work.mkdir()
    config = tiny(tmp_path, planes)
    folder = run_module.run(config, data, work, models)
    decode = tomllib.loads((folder / "decode.toml").read_text())
    manifest = tomllib.loads((folder / "manifest.toml").read_text())
    assert decode["latent"]["channels"] == 13 and decode["latent"]["steps"][0] == 1 and decode["pixels"]["channels"] == planes
    assert [point[0] for point in manifest["encoder"]["rate"]["ssim"]] == list(export.KNOBS)
    decoder = (folder / "decoder.onnx").read_bytes()
    check = decode["decoder"]["check"]
    assert output_sha256(decoder, fixed_latent(check["seed"], 13, check["height"], check["width"])) == check["sha256"]
    # The trained net, in floating point, on the very integers that the halves make.
    grey = wave(9, 70, 90)
    pixels = np.stack([grey, grey[::-1], 255 - grey][:planes], axis=2)
    pixels[40:] = 0  # a block's mean at the end of its range
    halves = export.Halves(session_of(folder / "encoder.onnx"), session_of(folder / "decoder.onnx"), decode["latent"]["steps"], config.quantiser.dead_zone, config.quantiser.error_weight)
    q = halves.quantised(halves.values(pixels), -8)
    out = halves.restored(q, -8, pixels.shape[:2])
    octaves, k, _ = tables.dequantised(q, -8, halves.steps)
    trainer = Trainer(config, [])
    trainer.restore(work / "rd-tiny.pt")
    with torch.no_grad():
        float_out = trainer.averaged().synthesis(torch.tensor(k[None, 1:] / graphs.units_per_grey(planes), dtype=torch.float32), torch.tensor(octaves[None, None] / 16, dtype=torch.float32)) + MIDDLE
    expected = float_out[0].clamp(0, 255).numpy().transpose(1, 2, 0)[:70, :90]
    assert np.abs(out - expected).max() <= 1.5 and np.sqrt(np.mean((out - expected) ** 2)) < 0.6
    assert measure(np.broadcast_to(pixels, (70, 90, 3)), np.broadcast_to(out, (70, 90, 3)), planes == 1)["ssim"] > 0.4
    table = tables.parse((folder / "tables.bin").read_bytes())
    assert 0 < tables.bits(table, q, -8, halves.steps).sum() < 8 * q.size
    # What the sender chooses costs fewer bits than the nearest integers, and never more than one step.
    known, wanted = [tables.costs(group) for group in table.groups], halves.in_steps(halves.values(pixels), -8)
    q, nearest = tables.chosen(table, wanted, -8, halves.steps, 4.0, known), tables.chosen(table, wanted, -8, halves.steps, 1e6, known)
    assert np.abs(nearest[1:] - wanted[1:]).max() <= 0.5 and (nearest[0] == q[0]).all() and np.abs(q - nearest).max() == 1
    assert tables.bits(table, q, -8, halves.steps, known).sum() < tables.bits(table, nearest, -8, halves.steps, known).sum()
    # The encoder's 8-bit branch is the trained one; the decoder has no convolution that a processor could round its own way.
    with torch.no_grad():
        coefficients, levels = trainer.averaged().latent(padded(pixels))
    trained = np.concatenate([levels[0].numpy(), coefficients[0].numpy() * graphs.units_per_grey(planes)])
    apart = np.abs(halves.values(pixels) - trained)
    assert apart[0].max() < 0.2 and apart[1:].max() < 0.02 * np.abs(trained[1:]).max()
    assert {"QLinearConv", "MatMulInteger"} <= operators(folder / "decoder.onnx", tmp_path)
    assert not {"Conv", "FusedConv", "MatMul", "FusedMatMul", "Gemm", "FusedGemm"} & operators(folder / "decoder.onnx", tmp_path)
    assert card.card(json.loads((folder / "training.json").read_text())) == (folder / "CARD.md").read_text()
    # The same command goes on from the checkpoint; without one, from the shipped weights.
    run_module.run(dataclasses.replace(config, schedule=dataclasses.replace(config.schedule, steps=4)), data, work, models)
    assert "goes on from" in capsys.readouterr().out
    (work / "rd-tiny.pt").unlink()
    run_module.run(config, data, work, models, weights=work)
    assert "begins with the weights of" in capsys.readouterr().out


def session_of(path):
    import onnx

    return session(onnx.load(path))


def operators(path, folder) -> set[str]:
    """What ONNX Runtime makes of a graph at the level that services pin."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return {node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node}


def test_a_net_grows_coefficients_that_do_nothing_new_at_first(tmp_path):
    small = Trainer(tiny(tmp_path), [])
    size = small.config.net.coefficients
    wider = dataclasses.replace(small.config, net=dataclasses.replace(small.config.net, coefficients=size + 4))
    grown = Trainer(wider, [])
    torch.nn.init.orthogonal_(grown.net.analysis.linear.weight[:, :, 0, 0])
    path = tmp_path / "weights.npz"
    np.savez(path, **{k: v.numpy() for k, v in small.net.state_dict().items() if not k.endswith("mask")})
    run_module.begin_with(grown, path)
    x = padded(np.repeat(wave(3, 48, 64)[..., None], 1, 2))
    with torch.no_grad():
        before, levels = small.net.eval().latent(x)
        after, same = grown.net.eval().latent(x)
        assert torch.allclose(before, after[:, :size], atol=1e-3) and torch.allclose(levels, same, atol=1e-3)
        octaves = torch.zeros_like(levels)
        more = torch.cat([before, torch.zeros_like(before[:, :4])], 1)
        assert torch.allclose(small.net.synthesis(before, octaves), grown.net.synthesis(more, octaves), atol=1e-2)
    assert grown.net.steps.octaves.shape[1] == size + 4 and grown.average.keys() == grown.net.state_dict().keys()


def test_weights_of_another_net_are_refused(folders, tmp_path):
    trainer = Trainer(tiny(tmp_path), [])
    path = tmp_path / "weights.npz"
    np.savez(path, **{k: v.numpy()[:1] for k, v in trainer.net.state_dict().items() if not k.endswith("mask")})
    with pytest.raises(SystemExit, match="not of this"):
        run_module.begin_with(trainer, path)


def test_interpolation_is_of_log_rate():
    assert bpp_at([(0.9, 1.0), (1.0, 4.0)], 0.95) == pytest.approx(2.0)
    assert bpp_at([(0.9, 1.0), (0.94, 4.0)], 0.95) == pytest.approx(4.0)


