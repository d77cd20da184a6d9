"""The entropy tables of latents with block levels: their integer contexts, their fit, and the file that the product reads."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from latentwire_training.rd import tables

FROZEN = Path(__file__).resolve().parents[2] / "common/codec/tests/frozen"
STEPS = [1, 81920, 60000, 50000, 40000, 40000, 30000, 30000, 20000, 20000, 20000, 20000, 20000]


@pytest.fixture(scope="module")
def literal():
    """docs/BITSTREAM.md in plain Python, one value after another."""
    spec = importlib.util.spec_from_file_location("make_frozen", FROZEN / "make_frozen.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def latent(seed: int, height: int = 12, width: int = 13) -> np.ndarray:
    """Integers whose spread falls with the channel and varies with the place."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    busy = np.exp2(1.5 * np.sin(x / 3 + seed) + np.cos(y / 4))
    q = [np.rint(6 + 3 * np.sin(x / 5) + 2 * np.cos(y / 3) + rng.normal(0, 0.5, busy.shape)).clip(0, 31)]
    q += [np.rint(rng.laplace(0, 4 / c**1.3 * busy)) for c in range(1, len(STEPS))]
    return np.stack(q).astype(np.int64)


@pytest.fixture(scope="module")
def calibrated():
    rng = np.random.default_rng(3)
    count = len(STEPS) - 1
    weight = np.zeros((tables.FEATURES, count))
    weight[0] = weight[3] = weight[5] = 0.25
    mean = np.zeros((3, 3, 3, 3))
    mean[0, 0, 1, 0] = mean[0, 0, 0, 1] = 0.3
    mean[2, :2] = rng.normal(0, 0.05, (2, 3, 3))
    latents = [(latent(seed, 40, 40), knob) for seed, knob in ((1, -9), (2, 0), (3, 17))]
    found, bits = tables.calibrate(np.full(count, -1.0), weight, mean, STEPS, latents)
    return found, bits, latents


@pytest.mark.parametrize(("seed", "knob"), [(5, -48), (6, 0), (7, 29), (8, 64)])
def test_contexts_are_those_of_the_specification_value_by_value(calibrated, literal, seed, knob):
    found, *_ = calibrated
    q = latent(seed)
    q[1, 3, 4], q[5, 0, 0], q[12, 11, 12] = 32_767, -32_767, 900
    read = literal.read_level_tables(tables.serialise(found))
    expected = np.array(literal.level_contexts(read, STEPS, knob, q.tolist(), *q.shape[1:]))
    context = tables.residuals(found.predicted, [channel.mean_taps for channel in found.channels], q, knob, STEPS)
    logarithms = tables.expected(found.channels, tables.features(context.error, 4 * q[0] + knob))
    for column, mine in enumerate((context.residual, logarithms, context.fraction)):
        assert np.array_equal(expected[:, column].reshape(q.shape), mine), column


def test_bits_are_those_that_the_coder_writes(calibrated, literal):
    found, *_ = calibrated
    read = literal.read_level_tables(tables.serialise(found))
    for used in (13, 6, 1):
        q = latent(9, 16, 16)
        q[used:] = 0
        assert tables.coded_channels(q) == used
        written = literal.encode_level_tile(read, STEPS, 4, q.tolist(), 16, 16)
        expected = 1 + tables.bits(found, q, 4, STEPS).sum() / 8
        assert expected - 0.1 <= len(written) <= expected + 9


def test_the_frozen_tiles_have_the_bits_that_are_counted_here():
    found = tables.parse(bytes.fromhex((FROZEN / "levels.tables").read_text()))
    steps = [1, 81920, 79003, 40000, 20000, 9000, 5000, 2560, 1800, 700, 300, 255]
    tiles = (FROZEN / "levels.tiles").read_text().split("\n")
    for tile, symbols in zip(tiles, (FROZEN / "levels.symbols").read_text().splitlines()):
        knob, height, width, written = tile.split(" ")
        q = np.array(symbols.split(" "), np.int64).reshape(len(steps), int(height), int(width))
        expected = 1 + tables.bits(found, q, int(knob), steps).sum() / 8
        assert expected - 0.1 <= len(written) / 2 <= expected + 9


def test_calibrated_tables_hold_on_a_fresh_latent(calibrated):
    found, bits, latents = calibrated
    for (q, knob), reported in zip(latents, bits):
        assert tables.bits(found, q, knob, STEPS).sum() == pytest.approx(reported)
    fresh = latent(4, 64, 64)
    counted = tables.bits(found, fresh, 0, STEPS).sum()
    entropy = 0.0
    for plane in fresh:
        _, times = np.unique(plane, return_counts=True)
        entropy += -(times * np.log2(times / times.sum())).sum()
    assert counted < entropy, "a context knows more than each channel's own histogram"


def test_the_file_holds_what_the_tables_hold(calibrated):
    found, *_ = calibrated
    data = tables.serialise(found)
    again = tables.parse(data)
    assert tables.serialise(again) == data
    assert (again.predicted, again.channels) == (found.predicted, found.channels)
    for group in again.groups:
        assert len(group.tables) == again.bins * group.fractions
        assert all(counts.sum() == 65_536 and counts.min() >= 1 for _, counts in group.tables)
    for cut in (0, 4, 11, len(data) - 1):
        with pytest.raises(ValueError, match=r"tables\.bin"):
            tables.parse(data[:cut])


def test_latents_that_leave_groups_empty_still_give_whole_tables():
    count = len(STEPS) - 1
    q = np.zeros((count + 1, 4, 4), np.int64)
    found, bits = tables.calibrate(np.zeros(count), np.zeros((tables.FEATURES, count)), np.zeros((0, 0, 3, 3)), STEPS, [(q, 0)])
    assert len(tables.serialise(found)) > 1000 and bits[0] < 64
