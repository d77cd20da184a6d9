"""Paper A's net, its ONNX graphs, and the fidelity measures."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from conftest import wave
from skimage.metrics import structural_similarity as reference_ssim

from latentwire_training import graphs
from latentwire_training.autoencoder import DECODER_PARAMETERS, ENCODER_PARAMETERS, Decoder, Encoder, looks_linear_, parameter_count
from latentwire_training.export import activation_ranges, session, weights
from latentwire_training.quality import measure, similarity_at_range_2, structural_similarity

# Paper A, Table 2: layer by layer, weights and biases.
ENCODER_TABLE = {"conv1": 1_792, "conv2": 36_928, "conv3": 18_464, "dense": 99}
DECODER_TABLE = {"dense": 12, "conv1": 896, "conv2": 18_496, "conv3": 36_928, "out": 1_731}


def nets(seed: int = 3) -> tuple[Encoder, Decoder]:
    torch.manual_seed(seed)
    encoder, decoder = Encoder().eval(), Decoder().eval()
    looks_linear_(encoder, decoder)
    return encoder, decoder


def test_the_parameters_are_those_of_the_papers_table_2():
    for net, table, total in ((Encoder(), ENCODER_TABLE, ENCODER_PARAMETERS), (Decoder(), DECODER_TABLE, DECODER_PARAMETERS)):
        found = {name: parameter_count(layer) for name, layer in net.named_children() if parameter_count(layer)}
        assert found == table
        assert parameter_count(net) == sum(table.values()) == total
    assert (ENCODER_PARAMETERS, DECODER_PARAMETERS) == (57_283, 58_063)


def test_the_latent_has_half_the_side_and_three_channels():
    encoder, decoder = nets()
    for size in ((224, 224), (46, 110)):
        latent = encoder(torch.rand(2, 3, *size))
        assert latent.shape == (2, 3, size[0] // 2, size[1] // 2)
        assert decoder(latent).shape == (2, 3, *size)


@pytest.mark.parametrize("size", [(224, 224), (46, 110)])
def test_the_f32_graphs_compute_what_the_trained_net_computes(size):
    encoder, decoder = nets()
    pixels = np.random.default_rng(5).random((1, 3, *size), dtype=np.float32)
    with torch.no_grad():
        latent = encoder(torch.from_numpy(pixels))
        output = decoder(latent).numpy()
    latent = latent.numpy()
    for make, net, name, source, expected in (
        (graphs.encoder_f32, encoder, "pixels", pixels, latent),
        (graphs.decoder_f32, decoder, "latent", latent, output),
    ):
        found = session(make(weights(net))).run(None, {name: source})[0]
        assert np.abs(found - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())


def test_the_graphs_hold_standard_operators_only_and_no_transposed_convolution():
    encoder, decoder = nets()
    ranges = {f"conv{i}": 1.0 for i in (1, 2, 3)}
    for model in (
        graphs.encoder_f32(weights(encoder)),
        graphs.decoder_f32(weights(decoder)),
        graphs.encoder_int8(weights(encoder), ranges),
        graphs.decoder_int8(weights(decoder), ranges),
    ):
        onnx.checker.check_model(model, full_check=True)
        assert {o.domain for o in model.opset_import} == {""}
        assert "ConvTranspose" not in {node.op_type for node in model.graph.node}
        assert not any(i.external_data for i in model.graph.initializer)


def test_an_int8_half_stays_near_its_f32_half_and_in_seven_bits():
    encoder, _ = nets()
    pixels = np.random.default_rng(6).random((1, 3, 64, 64), dtype=np.float32)
    model = graphs.encoder_int8(weights(encoder), activation_ranges(encoder, [pixels]))
    stored = [onnx.numpy_helper.to_array(i) for i in model.graph.initializer if i.name.endswith(".weight")]
    assert any(w.dtype == np.int8 for w in stored)
    assert all(np.abs(w).max() <= 63 for w in stored if w.dtype == np.int8)
    with torch.no_grad():
        expected = encoder(torch.from_numpy(pixels)).numpy()
    found = session(model).run(None, {"pixels": pixels})[0]
    signal, noise = np.mean(expected**2), np.mean((found - expected) ** 2)
    assert 10 * np.log10(signal / noise) > 20.0


def test_the_loss_measures_the_ssim_that_scikit_image_measures():
    a, b = wave(1), wave(1, 48, 64)[::-1].copy()
    mixed = np.uint8(0.8 * a + 0.2 * b)
    expected = reference_ssim(a / 255.0, mixed / 255.0, data_range=1.0)
    tensors = [torch.from_numpy(x[None, None] / 255.0) for x in (mixed, a)]
    assert structural_similarity(*tensors).item() == pytest.approx(expected, abs=1e-9)


def test_the_similarity_at_range_2_is_that_of_float_pictures_without_a_range():
    rgb = np.stack([wave(i) for i in range(3)], axis=2)
    other = np.uint8(0.8 * rgb + 0.2 * rgb[::-1])
    expected = reference_ssim(rgb / 255.0, other / 255.0, data_range=2.0, channel_axis=2)
    assert similarity_at_range_2(rgb, other) == pytest.approx(expected, abs=1e-9)
    assert similarity_at_range_2(rgb, other) > measure(rgb, other, grey=False)["ssim"]


def test_measure_knows_equal_and_grey():
    rgb = np.repeat(wave(2)[..., None], 3, axis=2)
    same = measure(rgb, rgb, grey=True)
    assert (same["ssim"], same["mse"], same["psnr_db"]) == (1.0, 0.0, 99.0)
    off = measure(rgb, np.uint8(np.clip(rgb.astype(int) + 3, 0, 255)), grey=True)
    assert off["mse"] == pytest.approx((3 / 255) ** 2, rel=0.05)
