"""The entropy model: what is trained, its integer form, and the file that the product reads."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
import torch

from latentwire_training import tables
from latentwire_training.entropy_model import ContextModel
from latentwire_training.export import count_bits


def laplace(scale: float, shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.rint(np.random.default_rng(seed).laplace(0, scale, shape)).astype(np.int64)


def test_bits_are_the_logistic_probability_of_the_integer():
    model = ContextModel(1)
    with torch.no_grad():
        model.mean_weight.zero_()
        model.activity_raw.fill_(-40.0)  # softplus of it is 0: the spread is the bias alone
        model.activity_bias.fill_(math.log(math.expm1(1.0 - 0.02)))
    bits = model.bits(torch.tensor([[[[0.0, 3.0]]]])).flatten().tolist()
    scale = 1.0 / (2 * math.log(2))
    for value, found in zip((0.0, 3.0), bits):
        cdf = [1 / (1 + math.exp(-(value + d) / scale)) for d in (0.5, -0.5)]
        assert found == pytest.approx(-math.log2(cdf[0] - cdf[1]), rel=1e-4)


def test_the_context_is_causal():
    torch.manual_seed(1)
    model = ContextModel(3)
    with torch.no_grad():
        model.mean_weight.normal_()
    q = torch.randn(1, 3, 9, 9).round()
    before, activity = model.mean(q), model.activity(q - model.mean(q))
    changed = q.clone()
    changed[0, 1, 4, 5] += 5.0
    after, activity_after = model.mean(changed), model.activity(changed - model.mean(changed))
    for first, second in ((before, after), (activity, activity_after)):
        same = (first == second)[0]
        assert same[0].all(), "a channel does not see the ones after it"
        assert same[1, :4].all() and same[1, 4, :6].all(), "nor a latent what comes after it in its own"
        assert not same[1].all() and not same[2].all()


def test_integer_contexts_are_the_fixed_point_sums_of_the_specification():
    rng = np.random.default_rng(2)
    channel0 = tables.Channel(700, [(0, -1, 0, 30_000), (0, 0, -1, -20_000)], 3_000, [(0, 0, -1, 40_000)])
    channel1 = tables.Channel(-90, [(0, 1, 1, 10_000), (1, -2, 2, 5_000)], 1_000, [(0, 0, 0, 9_000), (1, -1, 0, 8_000)])
    q = rng.integers(-40, 40, (2, 6, 7))
    found = tables.contexts([channel0, channel1], q)
    errors = np.zeros_like(q)

    def at(plane, y, x):
        return int(plane[y, x]) if 0 <= y < 6 and 0 <= x < 7 else 0

    for c, channel in enumerate((channel0, channel1)):
        means = np.zeros((6, 7), int)
        for y in range(6):
            for x in range(7):
                q16 = channel.mean_bias + sum(w * at(q[k], y + dy, x + dx) for k, dy, dx, w in channel.mean_taps)
                means[y, x] = q16 >> 8
                errors[c, y, x] = abs((int(q[c, y, x]) << 8) - means[y, x])
        for y in range(6):
            for x in range(7):
                rounded = (means[y, x] + 128) >> 8
                activity = (channel.activity_bias << 8) + sum(w * at(errors[k], y + dy, x + dx) for k, dy, dx, w in channel.activity_taps)
                got = (found[c].residual[y, x], found[c].fraction[y, x], found[c].activity[y, x])
                assert got == (q[c, y, x] - rounded, (means[y, x] - (rounded << 8) + 128) >> 5, activity >> 16)


@pytest.mark.parametrize("fraction", range(tables.FRACTIONS))
@pytest.mark.parametrize(("alpha", "beta"), [(0.02, 1.0), (0.4, 0.7), (6.0, 1.2), (400.0, 2.0)])
def test_every_table_sums_to_two_to_the_sixteenth_with_no_empty_entry(alpha, beta, fraction):
    radius, counts = tables.table(alpha, beta, fraction)
    assert 1 <= radius <= tables.MAX_RADIUS and counts.size == 2 * radius + 2
    assert counts.sum() == 65_536 and counts.min() >= 1


def test_calibrated_tables_code_a_known_source_near_its_entropy():
    model = ContextModel(3)
    with torch.no_grad():
        model.mean_weight.zero_()
        model.mean_bias.zero_()
    channels = tables.integer_channels(model)
    scales = (0.5, 2.0, 12.0)
    make = lambda seed: np.stack([laplace(s, (96, 96), seed * 10 + i) for i, s in enumerate(scales)])
    reported = tables.calibrate(channels, [make(1), make(2)])
    fresh = make(3)
    found = count_bits(channels, fresh) / fresh.size
    entropies = []
    for s in scales:
        k = np.arange(-400, 401)
        cdf = lambda x: 0.5 + 0.5 * np.sign(x) * -np.expm1(-np.abs(x) / s)
        p = cdf(k + 0.5) - cdf(k - 0.5)
        entropies.append(-(p[p > 0] * np.log2(p[p > 0])).sum())
    entropy = np.mean(entropies)
    assert found == pytest.approx(reported, rel=0.02), "what calibration reports is what counting finds"
    assert entropy * 0.99 < found < entropy * 1.03, (found, entropy)


def test_very_few_latents_still_give_whole_tables():
    channels = tables.integer_channels(ContextModel(3))
    tables.calibrate(channels, [np.zeros((3, 4, 4), np.int64)])
    for channel in channels:
        assert len(channel.tables) == (len(channel.thresholds) + 1) * tables.FRACTIONS
        assert all(counts.sum() == 65_536 and counts.min() >= 1 for _, counts in channel.tables)


def test_the_file_holds_what_the_channels_hold():
    torch.manual_seed(4)
    channels = tables.integer_channels(ContextModel(2))
    tables.calibrate(channels, [np.stack([laplace(1.0, (64, 64), 1), laplace(3.0, (64, 64), 2)])])
    data = tables.serialise(channels)
    assert data[:8] == b"LWTB" + bytes([1, 2, 16, 8])
    at = 8
    for channel in channels:
        bias, taps = struct.unpack_from("<iH", data, at)
        at += 6
        assert (bias, taps) == (channel.mean_bias, len(channel.mean_taps))
        assert [struct.unpack_from("<Bbbi", data, at + 7 * i) for i in range(taps)] == channel.mean_taps
        at += 7 * taps
        bias, taps = struct.unpack_from("<IH", data, at)
        at += 6
        assert (bias, taps) == (channel.activity_bias, len(channel.activity_taps))
        assert [struct.unpack_from("<BbbI", data, at + 7 * i) for i in range(taps)] == channel.activity_taps
        at += 7 * taps
        bins = data[at]
        at += 1
        assert list(struct.unpack_from(f"<{bins - 1}I", data, at)) == channel.thresholds
        at += 4 * (bins - 1)
        for radius, counts in channel.tables:
            assert struct.unpack_from("<H", data, at)[0] == radius
            assert np.array_equal(np.frombuffer(data, "<u2", counts.size, at + 2).astype(int) + 1, counts)
            at += 2 + 2 * counts.size
    assert at == len(data)
