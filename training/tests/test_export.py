"""How the quantiser steps that ship are chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import wave

from latentwire_training.config import Quantiser
from latentwire_training.export import CALIBRATION_PIXELS, calibration_pictures, padded, scaled, step_factor, to_picture
from latentwire_training.pictures import Picture
from latentwire_training.quality import measure

TRAINED = np.full(3, 0.01, np.float32)


class Halving(torch.nn.Module):
    """Keeps the mean of every 2x2 pixels: a latent of half the side."""

    def forward(self, pixels):
        return torch.nn.functional.avg_pool2d(pixels, 2)


class Doubling(torch.nn.Module):
    def forward(self, latent):
        return torch.nn.functional.interpolate(latent, scale_factor=2, mode="bilinear")


def grey(seed: int) -> Picture:
    return Picture(f"waves/train/sine_{seed}.png", "CC0-1.0", "", wave(seed, 96, 128)[:, :, None].repeat(3, axis=2), True)


def ssim(pictures: list[Picture], factor: float) -> float:
    step = torch.from_numpy(TRAINED * np.float32(factor))[None, :, None, None]
    outputs = [Doubling()((Halving()(torch.from_numpy(padded(p))) / step).round() * step).numpy() for p in pictures]
    return float(np.mean([measure(p.pixels, to_picture(o, p), p.grey)["ssim"] for p, o in zip(pictures, outputs)]))


@pytest.mark.parametrize("lost", [0.01, 0.04, 0.1])
def test_the_factor_is_the_largest_that_reaches_both_targets(lost):
    pictures = [grey(seed) for seed in range(3)]
    small = [scaled(p, 224) for p in pictures]
    options = Quantiser(validation_ssim=ssim(pictures, 1.0) - lost, validation_ssim_224=ssim(small, 1.0) - lost, largest_step_factor=20.0)
    factor = step_factor(Halving(), Doubling(), TRAINED, pictures, options)
    assert 1.0 < factor < 20.0
    assert ssim(pictures, factor) >= options.validation_ssim and ssim(small, factor) >= options.validation_ssim_224
    assert ssim(pictures, factor * 1.05) < options.validation_ssim or ssim(small, factor * 1.05) < options.validation_ssim_224


def test_the_factor_stays_between_one_and_the_largest_allowed():
    pictures = [grey(1)]
    never = Quantiser(validation_ssim=1.0, validation_ssim_224=1.0)
    assert step_factor(Halving(), Doubling(), TRAINED, pictures, never) == 1.0
    always = Quantiser(validation_ssim=0.5, validation_ssim_224=0.5, largest_step_factor=1.5)
    assert step_factor(Halving(), Doubling(), TRAINED, pictures, always) == pytest.approx(1.05**8)


def test_large_pictures_are_calibrated_with_in_small_number():
    def pictures(count: int, side: int) -> list[Picture]:
        return [Picture(f"p_{i}", "CC0-1.0", "", np.broadcast_to(np.uint8(0), (side, side, 3)), True) for i in range(count)]

    few, many, large, huge = pictures(5, 64), pictures(1000, 64), pictures(100, 2048), pictures(2, 8192)
    assert calibration_pictures(few) == few
    assert 60 <= len(calibration_pictures(many)) <= 120
    assert 1 < len(calibration_pictures(large)) * 2048**2 <= CALIBRATION_PIXELS * 1.05
    assert calibration_pictures(huge) == huge[:1]
