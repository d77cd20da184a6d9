"""`hd512`: Table 1's shapes and counts, ONNX equal to the trained net, four-bit weights, and configurations that cannot be."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import wave
from PIL import Image
from torch.nn import functional

from latentwire_training import hd512, hd512_graphs, hd512_pictures, hd512_start, hd512_train
from latentwire_training.config import CONFIGS
from latentwire_training.export import session, weights
from latentwire_training.hd512_config import Start, read
from latentwire_training.hd512_export import balance_, decode_toml, entropy_channel, quantiser_step
from latentwire_training.pictures import Picture, load
from latentwire_training.toml_keys import ConfigError

MINIMAL = (CONFIGS / "hd512.toml").read_text()


def tiny(**schedule: object):
    """The configuration of an epoch that takes seconds."""
    import dataclasses

    config = read(CONFIGS / "hd512.toml")
    return dataclasses.replace(config, start=Start(views=1), schedule=dataclasses.replace(config.schedule, **{"epochs": 1, "batch": 2, "window": 6, **schedule}))


def pictures(count: int) -> list[Picture]:
    return [Picture(f"chest_xray/train/sine_{i}.png", "CC0-1.0", str(i), np.repeat(wave(i, 512, 512)[..., None], 3, axis=2), True) for i in range(count)]


@pytest.fixture(scope="module")
def nets() -> tuple[hd512.Encoder, hd512.Decoder]:
    """Random nets with codes and outputs that are not mostly zero."""
    torch.manual_seed(3)
    encoder, decoder = hd512.Encoder(), hd512.Decoder()
    with torch.no_grad():
        for net in (encoder, decoder):
            for module in net.children():
                module.bias.uniform_(0.0, 0.2)
    return encoder.eval(), decoder.eval()


# Table 1


def test_the_counts_are_those_of_table_1_and_of_the_layer_that_it_leaves_out():
    by_name = {(layer.half, layer.name): layer for layer in hd512.layers()}
    expected = {
        ("encoder", "conv1"): ((512, 512, 128), 3_584),  # 128 x (3 x 3 x 3 + 1); equation 3 says 3,488
        ("encoder", "conv2"): ((256, 256, 64), 73_792),
        ("encoder", "conv3"): ((128, 128, 32), 18_464),
        ("encoder", "conv4"): ((64, 64, 32), 9_248),
        ("encoder", "dense"): ((1, 1, 256), 33_554_688),
        ("decoder", "dense"): ((1, 1, 131_072), 33_685_504),
        ("decoder", "conv1"): ((128, 128, 32), 9_248),
        ("decoder", "conv2"): ((256, 256, 64), 18_496),
        ("decoder", "conv3"): ((512, 512, 128), 73_856),
        ("decoder", "out"): ((512, 512, 3), 3_459),
    }
    assert {key: (layer.output, layer.parameters) for key, layer in by_name.items()} == expected
    assert 128 * (3 * 3 * 3 + 1) == 3_584 != 3_488
    assert sum(sums["parameters"] for sums in hd512.totals().values()) == 67_450_339
    # Two operations a product: 128 kernels of 27 weights at 512 x 512 places; a stride-2 transposed kernel once an input place.
    assert by_name["encoder", "conv1"].operations == 2 * 512 * 512 * 128 * 27
    assert by_name["decoder", "conv1"].operations == 2 * 64 * 64 * 32 * 32 * 9
    assert by_name["decoder", "conv3"].operations == 2 * 512 * 512 * 64 * 128 * 9
    assert "| both | all | | 67,450,339 | 53.44 GFLOP |" in hd512.summary()


@torch.no_grad()
def test_the_halves_have_the_shapes_of_table_1_and_no_negative_value(nets):
    encoder, decoder = nets
    pixels = torch.rand(2, 3, 512, 512)
    features = encoder.features(pixels)
    code = encoder(pixels)
    assert features.shape == (2, 32, 64, 64) and code.shape == (2, 256) and code.min() >= 0  # equation 11
    assert decoder.expand(code).shape == (2, 32, 64, 64) and decoder.expand(code).min() >= 0  # equation 12
    output = decoder(code)
    assert output.shape == (2, 3, 512, 512) and output.min() >= 0  # equation 17
    assert decoder.tail(torch.rand(1, 32, 5, 7)).shape == (1, 3, 40, 56)


@torch.no_grad()
def test_relu_after_pooling_is_relu_before_it(nets):
    encoder, _ = nets
    pixels = torch.rand(1, 3, 64, 64)
    x = functional.max_pool2d(functional.relu(encoder.conv1(pixels)), 2)
    x = functional.max_pool2d(functional.relu(encoder.conv2(x)), 2)
    x = functional.relu(encoder.conv4(functional.relu(encoder.conv3(x))))
    assert torch.equal(x, encoder.features(pixels))


# ONNX


@torch.no_grad()
def test_the_f32_halves_compute_what_the_nets_compute(nets):
    encoder, decoder = nets
    pixels = torch.rand(1, 3, 512, 512)
    code = encoder(pixels)
    found = session(hd512_graphs.encoder(weights(encoder))).run(None, {"pixels": pixels.numpy()})[0]
    assert found.shape == (1, 1, 16, 16) and code.max() > 0.1
    np.testing.assert_allclose(found.reshape(-1), code[0].numpy(), atol=1e-5)
    found = session(hd512_graphs.decoder(weights(decoder))).run(None, {"latent": code.view(1, 1, 16, 16).numpy()})[0]
    output = decoder(code).numpy()
    assert output.std() > 1e-3
    np.testing.assert_allclose(found, output, atol=1e-5)


@torch.no_grad()
def test_a_transposed_convolution_is_a_convolution_and_depth_to_space():
    torch.manual_seed(1)
    layer = torch.nn.ConvTranspose2d(5, 4, 3, stride=2, padding=1, output_padding=1)
    x = torch.randn(2, 5, 9, 11)
    small = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), torch.from_numpy(hd512_graphs.unfolded(layer.weight.numpy())), layer.bias.repeat_interleave(4))
    torch.testing.assert_close(functional.pixel_shuffle(small, 2), layer(x), atol=1e-5, rtol=0)

    layer = torch.nn.ConvTranspose2d(5, 4, 3, padding=1)
    torch.testing.assert_close(functional.conv2d(x, torch.from_numpy(hd512_graphs.turned(layer.weight.numpy())), layer.bias, padding=1), layer(x), atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_two_convolutions_after_the_upsampling_go_phase_by_phase():
    torch.manual_seed(2)
    first, second = torch.nn.Conv2d(6, 8, 3, padding=1), torch.nn.Conv2d(8, 3, 3, padding=1)
    x = torch.randn(1, 6, 10, 7)
    expected = second(functional.relu(first(functional.interpolate(x, scale_factor=2, mode="nearest"))))

    def applied(source, kernel, bias=None):
        weight, (top, left, bottom, right) = kernel
        return functional.conv2d(functional.pad(source, (left, right, top, bottom)), torch.from_numpy(weight), bias)

    joining, total = hd512_graphs.phase_joining(second.weight.numpy()), 0
    for phase, kernel in hd512_graphs.upsampled_phases(first.weight.numpy()).items():
        total = total + applied(functional.relu(applied(x, kernel, first.bias)), joining[phase])
    found = functional.pixel_shuffle(total + second.bias.repeat_interleave(4).view(1, -1, 1, 1), 2)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_four_bits_are_packed_two_a_byte_and_come_back():
    rng = np.random.default_rng(5)
    found = hd512_graphs.packed(rng.standard_normal((256, 24)).astype(np.float32), 64)
    assert found.integers.min() >= -8 and found.integers.max() <= 7 and found.block == 64 and found.scales.shape == (4, 24)
    data = np.frombuffer(found.bytes(), np.uint8)
    assert data.size == 256 * 24 // 2
    nibbles = np.stack([data & 15, data >> 4], axis=1).reshape(-1).astype(np.int8)
    assert np.array_equal(np.where(nibbles > 7, nibbles - 16, nibbles).reshape(256, 24), found.integers)
    tensor = onnx.helper.make_tensor("w", onnx.TensorProto.INT4, [256, 24], found.bytes(), raw=True)
    assert np.array_equal(onnx.numpy_helper.to_array(tensor).astype(np.int8), found.integers)


def test_four_bits_lose_no_more_than_a_scale_by_the_largest_weight_would():
    rng = np.random.default_rng(6)
    weight = rng.standard_normal((128, 8)).astype(np.float32)
    found = hd512_graphs.packed(weight, 64)
    largest = np.abs(weight.reshape(2, 64, 8)).max(axis=1, keepdims=True)
    plain = (np.rint(weight.reshape(2, 64, 8) / (largest / 7)) * (largest / 7)).reshape(128, 8)
    error, plain_error = np.square(found.unpacked() - weight), np.square(plain - weight)
    assert (error.reshape(2, 64, 8).sum(axis=1) <= plain_error.reshape(2, 64, 8).sum(axis=1) * (1 + 1e-5)).all()
    assert error.sum() < plain_error.sum()
    # The mean output stays where it was.
    bias, mean = rng.standard_normal(8).astype(np.float32), rng.standard_normal(128).astype(np.float32)
    kept = hd512_graphs.compensated(weight, found, bias, mean)
    np.testing.assert_allclose(mean @ found.unpacked() + kept, mean @ weight + bias, atol=1e-4)
    with pytest.raises(ValueError, match="no whole number of blocks"):
        hd512_graphs.packed(weight[:100], 64)


def test_the_first_rows_keep_eight_bits():
    weight = np.random.default_rng(7).standard_normal((256, 40)).astype(np.float32)
    found = hd512_graphs.mixed(weight, hd512_graphs.EIGHT_BIT_ROWS, hd512_graphs.DECODER_BLOCK)
    error = np.abs(found.unpacked() - weight)
    assert error[:8].max() <= np.abs(weight[:8]).max() / 254 + 1e-6
    assert 10 * np.square(error[:8]).mean() < np.square(error[8:]).mean() < 0.01 * np.square(weight).mean() * 2
    assert found.first.integers.shape == (8, 40) and found.rest.integers.shape == (248, 40) and found.rest.block == 124


def test_the_small_halves_are_standard_onnx_below_20_mb_and_multiply_with_the_unpacked_weights(nets):
    encoder, decoder = nets
    packings = {
        "encoder": lambda matrix: hd512_graphs.packed(matrix, hd512_graphs.BLOCK),
        "decoder": lambda matrix: hd512_graphs.mixed(matrix, hd512_graphs.EIGHT_BIT_ROWS, hd512_graphs.DECODER_BLOCK),
    }
    for net, build, name, shape in ((encoder, hd512_graphs.encoder, "encoder", (1, 3, 512, 512)), (decoder, hd512_graphs.decoder, "decoder", (1, 1, 16, 16))):
        w = weights(net)
        found = packings[name](np.ascontiguousarray(w["dense.weight"].T))
        model = build(w, found, w["dense.bias"])
        assert len(model.SerializeToString()) <= 20_000_000
        assert {node.domain for node in model.graph.node} == {""} and [o.domain for o in model.opset_import] == [""]
        value = np.random.default_rng(1).random(shape, np.float32)
        got = session(model).run(None, {model.graph.input[0].name: value})[0]
        with torch.no_grad():
            kept = net.dense.weight.clone()
            net.dense.weight.copy_(torch.from_numpy(found.unpacked().T))
            want = net(torch.from_numpy(value if name == "encoder" else value.reshape(1, 256))).numpy()
            net.dense.weight.copy_(kept)
        assert want.std() > 1e-3
        np.testing.assert_allclose(got.reshape(want.shape), want, atol=1e-4)


def test_the_shipped_halves_are_what_the_card_says():
    """The files of models/research/hd512: digests, size, time of training by share of the pictures."""
    import hashlib
    import json
    import tomllib

    folder = CONFIGS.parents[1] / "models/research/hd512"
    training = json.loads((folder / "training.json").read_text())
    decode = (folder / "decode.toml").read_bytes()
    assert hashlib.sha256(decode).hexdigest() == training["decoder_digest"] == tomllib.loads((folder / "manifest.toml").read_text())["decode_sha256"]
    assert hashlib.sha256((folder / "decoder.onnx").read_bytes()).hexdigest() == tomllib.loads(decode.decode())["decoder"]["sha256"]
    assert all((folder / f"{half}.onnx").stat().st_size == training["cost"][half]["file_bytes"] <= 20_000_000 for half in ("encoder", "decoder"))
    assert training["cost"]["decoder"]["milliseconds"] < 300 and training["cost"]["decoder"]["peak_mib"] < 600
    assert [run["percent"] for run in training["fractions"]] == [25, 50, 100] and training["constant_grey"]["accuracy"] == 1.0
    assert not any("/test/" in picture["path"] for picture in training["pictures"])
    card = (folder / "CARD.md").read_text()
    assert training["decoder_digest"] in card and "67,450,339" in card and f"SSIM {training['test']['all']['ssim']:.3f}" in card
    graph = onnx.load(folder / "decoder.onnx").graph
    assert {node.op_type for node in graph.node} == {"Add", "Conv", "DepthToSpace", "DequantizeLinear", "MatMul", "Relu", "Reshape", "Split"}


# The start and the training


def test_the_start_unfolds_a_picture_of_its_own_components():
    """With as many pictures as components, the closed form gives a training picture back, as far as the blurs of its ends allow."""
    some = pictures(4)
    encoder, decoder = hd512.Encoder(), hd512.Decoder()
    chosen = hd512_start.closed_form_(encoder, decoder, [p.pixels for p in some], [p.pixels for p in some[:2]], Start(views=2), 1)
    assert chosen["views"] == 8 and chosen["shift"] > 0 and chosen["explained"] > 0.5
    output = hd512_train.reconstruct(encoder, decoder, some[0].pixels)
    target = hd512_pictures.batch([some[0].pixels])
    assert float((output - target).square().mean()) < 0.3 * float(target.var())
    with torch.no_grad():
        assert encoder(target).gt(0).sum() >= 7  # of 7 components: the shift keeps ReLU from clipping them


def test_an_epoch_changes_every_layer_and_is_logged_with_its_times(tmp_path):
    some = pictures(5)
    run, logs = hd512_train.train(tiny(fractions=[50, 100]), _split(some), tmp_path / "hd512.pt")
    assert [log["percent"] for log in logs] == [50, 100] and [log["pictures"] for log in logs] == [2, 3]
    for log in logs:
        assert [row["epoch"] for row in log["epochs"]] == [0, 1]
        assert log["epochs"][1]["loss"] > 0 and all(row["seconds"] > 0 and row["processor_seconds"] > 0 for row in log["epochs"])
        assert all({"loss", "ssim", "psnr_db", "mse", "accuracy"} <= row["validation"].keys() for row in log["epochs"])
    fresh = hd512_train.Fraction(tiny(), 100, run.training, run.validation)
    fresh.begin()
    before, after = fresh.state(), run.state()
    # (A first step of 5e-8 is below the resolution of the encoder's dense biases, which lie near the code's shift.)
    still = {f"{half}.{name}" for half in before for name in before[half] if torch.equal(before[half][name], after[half][name])}
    assert still <= {"encoder.dense.bias"}
    # A finished training goes on from its checkpoint without a step.
    again, same = hd512_train.train(tiny(fractions=[50, 100]), _split(some), tmp_path / "hd512.pt")
    assert same == logs and all(torch.equal(after[half][name], again.state()[half][name]) for half in after for name in after[half])
    with pytest.raises(SystemExit, match="another configuration or other pictures"):
        hd512_train.train(tiny(fractions=[50, 100], seed=2), _split(some), tmp_path / "hd512.pt")


def _split(some: list[Picture]):
    from latentwire_training.pictures import Pictures

    return Pictures(some[2:], some[:2])


def test_accuracy_of_one_grey_is_that_of_a_perfect_copy():
    target = hd512_pictures.batch([p.pixels for p in pictures(2)])
    assert hd512_train.accuracy(target, target) == 1.0
    assert hd512_train.accuracy(torch.full_like(target, 0.5), target) == 1.0
    found = hd512_train.constant_accuracy(pictures(2))
    assert found["accuracy"] == 1.0 and found["loss"] > 0.01
    coloured = target.clone()
    coloured[:, 1] += 0.1
    assert hd512_train.accuracy(coloured, target) == 0.0


def test_a_broken_checkpoint_is_named(tmp_path):
    (tmp_path / "hd512.pt").write_bytes(b"no checkpoint")
    with pytest.raises(SystemExit, match="hd512.pt is not a checkpoint of hd512"):
        hd512_train.train(tiny(), _split(pictures(4)), tmp_path / "hd512.pt")


def test_a_look_at_a_picture_keeps_its_size_and_shares_grow():
    rng = np.random.default_rng(0)
    shown = hd512_pictures.view(pictures(1)[0].pixels, Start(), rng)
    assert shown.shape == (512, 512, 3) and shown.dtype == np.uint8
    assert hd512_pictures.whole(np.zeros((300, 700, 3), np.uint8)).shape == (512, 512, 3)
    some = pictures(8)
    quarter, half = ({p.path for p in hd512_pictures.share(some, percent, 1)} for percent in (25, 50))
    assert len(quarter) == 2 and len(half) == 4 and quarter < half


# Export


@torch.no_grad()
def test_balancing_the_code_changes_no_output_and_evens_means_and_weights():
    some = pictures(3)
    run = hd512_train.Fraction(tiny(), 100, [p.pixels for p in some], some[:1])
    hd512_start.closed_form_(run.encoder, run.decoder, run.training, run.training[:1], Start(views=2), 1)
    pixels = hd512_pictures.batch([some[0].pixels])
    before = run.decoder(run.encoder(pixels))
    balance_(run, some)
    torch.testing.assert_close(run.decoder(run.encoder(pixels)), before, atol=2e-4, rtol=0)
    mean = torch.stack([run.encoder(hd512_pictures.batch([p.pixels]))[0] for p in some]).mean(dim=0)
    torch.testing.assert_close(mean, mean.max().expand(256), atol=1e-2, rtol=1e-3)
    sizes = run.decoder.dense.weight[:, :5].square().mean(dim=0).sqrt()
    assert sizes.max() / sizes.min() < 1.01


class Same:
    """A net that gives its input back."""

    def __init__(self, source: str, shape: tuple[int, ...]) -> None:
        self.source, self.shape = source, shape

    def run(self, _outputs, feed):
        return [feed[self.source].reshape(self.shape)]


def test_the_step_is_the_largest_that_costs_no_more_than_allowed():
    from latentwire_training.hd512_export import STEPS

    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    shape = (1, 3, 96, 96)
    dim = Picture("chest_xray/train/a.png", "CC0-1.0", "", noise, False)
    step, cost = quantiser_step(Same("pixels", shape), Noisy(shape), [dim], 0.5)
    assert step in STEPS and cost <= 0.5
    coarser, _ = quantiser_step(Same("pixels", shape), Noisy(shape), [dim], 3.0)
    assert coarser > step


class Noisy(Same):
    """A decoder with an error of its own, beside which quantisation counts."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__("latent", shape)
        self.error = np.random.default_rng(1).normal(0, 0.05, shape).astype(np.float32)

    def run(self, _outputs, feed):
        return [feed["latent"].reshape(self.shape) + self.error]


def test_the_tables_code_the_codes_that_they_were_fitted_to_in_few_bits():
    from latentwire_training.export import count_bits

    rng = np.random.default_rng(4)
    codes = [(14 + rng.standard_normal((1, 1, 16, 16))).astype(np.float32) for _ in range(40)]
    channels = entropy_channel(codes, 0.1)
    bits = count_bits(channels, np.rint(codes[0][0] / np.float32(0.1)).astype(np.int64)) / 256
    # A normal of spread 10 steps has log2(10 sqrt(2 pi e)) = 5.37 bits.
    assert 5.0 < bits < 5.8


def test_what_decoding_needs_says_research_and_whole_tiles():
    import tomllib

    found = tomllib.loads(decode_toml(b"net", b"tables", 0.125).decode())
    assert found["purpose"] == "research" and found["family"] == "hd512"
    assert found["tiles"] == {"size": 512, "encoder_halo": 0, "decoder_halo": 0, "whole": True}
    assert found["latent"] == {"channels": 1, "stride": 32, "steps": [0.125]}


# Configuration and pictures


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("epochs = 7", 'epochs = "7"', "`schedule.epochs` must be a whole number"),
        ("epochs = 7", "epocs = 7", "did you mean `epochs`"),
        ("epochs = 7", "fractions = [50, 25, 100]", "`schedule.fractions` must rise and end with 100"),
        ("epochs = 7", "fractions = [25, 50]", "`schedule.fractions` must rise and end with 100"),
        ('family = "hd512"', 'family = "ae224"', "`family` must be hd512"),
        ('label = "research"', 'choose = "by-trial"', "`choose` must be by-name"),
        ('folders = ["chest_xray", "brain_mri"]', "folders = []", "`data.folders` is empty"),
        ('folders = ["chest_xray", "brain_mri"]', 'folders = ["../chest_xray"]', "`data.folders` are names below DATA"),
        ('id = "hd512"', 'id = "../hd512"', "`id` must be 1 to 64 of a-z"),
    ],
)
def test_a_wrong_configuration_is_refused_by_key(tmp_path, old, new, said):
    assert old in MINIMAL
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL.replace(old, new, 1))
    with pytest.raises(ConfigError, match=said):
        read(path)


def test_a_picture_with_nan_is_left_out_by_name_and_the_others_train(tmp_path):
    import dataclasses

    config = read(CONFIGS / "hd512.toml")
    folder = tmp_path / "chest_xray/train"
    folder.mkdir(parents=True)
    lines = ["path\tlicence"]
    for i in range(3):
        Image.fromarray(wave(i, 200, 200)).save(folder / f"sine_{i}.png")
        lines.append(f"chest_xray/train/sine_{i}.png\tCC-BY-4.0")
    broken = wave(9, 200, 200).astype(np.float32)
    broken[3, 4] = np.nan
    Image.fromarray(broken).save(folder / "sine_nan.tif")
    (tmp_path / "OPEN.tsv").write_text("\n".join([*lines, "chest_xray/train/sine_nan.tif\tCC-BY-4.0"]) + "\n")
    found = load(tmp_path, dataclasses.replace(config, data=dataclasses.replace(config.data, folders=["chest_xray"])))
    assert len(found.training) + len(found.validation) == 3
    assert [path for path, _ in found.left_out] == ["chest_xray/train/sine_nan.tif"] and "NaN" in found.left_out[0][1]


def test_the_page_says_of_every_key_what_the_configuration_says_of_it():
    import re

    from test_docs import TEXT, keys

    from latentwire_training.hd512_config import Config

    table = TEXT[TEXT.index("| key of `hd512` | value | default | meaning |") : TEXT.index("## The product's nets, `rd`")]
    rows = re.findall(r"^\| `([a-z0-9_.]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE)
    shared = ("id", "title", "not_for", "modality", "label", "weights_licence", "choose", "family", "dicom_modalities", "data.")
    expected = {key: said for key, said in keys(Config).items() if not key.startswith(shared)}
    assert {key: (value, default) for key, value, default, _ in rows} == expected


def test_steps_are_refused_because_hd512_goes_by_epochs(tmp_path):
    from latentwire_training.train import main

    with pytest.raises(SystemExit, match="goes by epochs"):
        main(["--model", "hd512", "--data", str(tmp_path), "--work", str(tmp_path), "--models", str(tmp_path), "--steps", "3"])


def test_train_figures_says_why_hd512_has_no_use_for_it(tmp_path):
    import subprocess

    script = CONFIGS.parents[1] / "scripts/train-figures.sh"
    done = subprocess.run(["bash", str(script), "hd512", str(tmp_path), "models/research", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == (
        "train-figures: does not apply to hd512: the end of its training (make train) measures the test pictures of DATA and puts them on the card\n"
    )


def test_the_runtime_is_young_enough_for_blocks_of_four_bits():
    assert tuple(int(n) for n in onnxruntime.__version__.split(".")[:2]) >= (1, 20)
