"""Levels are found, noise is what it says, filters filter, and the page says what could not be met."""

import numpy as np
import pytest
from latentwire_evaluation.paper_a import denoising


def picture(seed: int) -> np.ndarray:
    y, x = np.mgrid[:96, :96] / 96
    waves = np.random.default_rng(seed).uniform(2, 9, 3)
    planes = [128 + 100 * np.sin(wave * x + wave * y * y) for wave in waves]
    return np.stack(planes, axis=2).astype(np.uint8)


ORIGINALS = [picture(seed) for seed in range(3)]


@pytest.mark.parametrize("name", ["salt and pepper", "Poisson", "Gaussian"])
def test_the_level_gives_the_printed_similarity_and_the_same_noise_again(name):
    level, changed = denoising.calibrated(ORIGINALS, name)
    reached = denoising.compare(ORIGINALS, changed)["ssim"]
    assert reached == pytest.approx(denoising.PRINTED[name][0] / 100, abs=0.01)
    again = denoising.noisy(ORIGINALS, denoising.NOISES[name][0], level)
    assert all((one == other).all() for one, other in zip(changed, again))


def test_photons_keep_the_mean_and_spread_by_its_root():
    flat = np.full((200, 200, 3), 0.5)
    counted = denoising.poisson(flat, 0.01, np.random.default_rng(1))
    assert counted.mean() == pytest.approx(0.5, abs=0.002)
    assert counted.std() == pytest.approx((0.5 * 0.01) ** 0.5, rel=0.02)


def test_the_filters_bring_a_noisy_picture_nearer():
    changed = denoising.noisy(ORIGINALS, denoising.NOISES["Gaussian"][0], 0.01)
    before = denoising.compare(ORIGINALS, changed)
    for way in (denoising.by_median, denoising.by_non_local_means):
        after = denoising.compare(ORIGINALS, [way(noisy) for noisy in changed])
        assert after["ssim"] > before["ssim"] and after["mse"] < before["mse"], way


def test_the_page_says_which_noise_could_not_be_matched_and_which_net_is_not_there():
    ways = ["plain net", "median 3x3"]
    row = {way: {"ssim": 0.5, "mse": 0.01} for way in ways}
    noisy = {name: (printed[0] or 0) / 100 for name, printed in denoising.PRINTED.items()}
    figures = {name: {"level": None if name == "none" else 0.1, "noisy": {"ssim": value, "mse": 0.02}, **row} for name, value in noisy.items()}
    figures["speckle"]["noisy"] = {"ssim": 0.1347, "mse": 0.24}
    page = denoising.page({"fundus": {"figures": figures, "ways": ways}}, 3, ["ae224-fundus-denoise"])
    assert "speckle: the printed 6 % cannot be had, 13.5 %" in page and "Gaussian: the printed" not in page
    assert "| Gaussian | 13.00 | 50.00 | 50.00 | 13 | 41 |" in page
    assert "| none | – | 50.00 | 50.00 | – | 95.28 |" in page
    assert "Not there yet: `ae224-fundus-denoise`.** `make train MODEL=ae224-fundus-denoise DATA=… MODELS=models/research`" in page


def test_each_modality_has_its_own_nets():
    assert denoising.nets_of("chest") == {"plain net": "ae224-chest", "denoising net": "ae224-chest-denoise"}
    assert denoising.nets_of("fundus")["net as printed"] == "ae224-fundus-printed"


def test_a_grey_picture_stays_grey_under_noise():
    grey = ORIGINALS[0][..., :1].repeat(3, axis=2)
    for name, (noise, _, _) in denoising.NOISES.items():
        changed = denoising.noisy([grey], noise, 0.05)[0]
        assert (changed == changed[..., :1]).all() and (changed != grey).any(), name
