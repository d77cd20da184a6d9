"""The surrogate decoder on decoders that it must and must not find, the matching on colours that were moved, the page on samples."""

import numpy as np
import pytest
from latentwire_evaluation.paper_a import surrogate
from latentwire_evaluation.services import ROOT
from PIL import Image

RANDOM = np.random.default_rng(7)


def blocks(latent: np.ndarray) -> np.ndarray:
    """A decoder that is a linear map: each pixel a sum of the latent's channels here and of the one to the right."""
    right = np.concatenate([latent[:, 1:], latent[:, -1:]], axis=1)
    planes = np.stack([0.5 * latent[..., 0] + 0.5 * right[..., 1], latent[..., 1], 0.3 * latent[..., 2] + 0.2], axis=2)
    return planes.repeat(2, axis=0).repeat(2, axis=1)


def test_a_linear_decoder_is_found_from_one_pair():
    known, unknown = (RANDOM.uniform(0, 1, (24, 20, 3)) for _ in range(2))
    found = surrogate.Surrogate([(known, surrogate.to_picture(blocks(known), grey=False))])
    assert np.abs(found.decode(unknown) - blocks(unknown)).max() < 0.01


def test_what_is_not_in_the_latent_is_not_found():
    known, unknown = (RANDOM.uniform(0, 1, (24, 24, 3)) for _ in range(2))
    noise = RANDOM.integers(0, 256, (48, 48, 3), np.uint8)
    found = surrogate.Surrogate([(known, noise)])
    other = RANDOM.integers(0, 256, (48, 48, 3), np.uint8)
    assert surrogate.similarity(other, surrogate.to_picture(found.decode(unknown), grey=False)) < 0.1


def test_colours_that_were_turned_and_moved_are_brought_back_without_pairs():
    public, secret = (RANDOM.beta(2, 6, (64, 64, 3)) * [1.0, 0.6, 0.3] for _ in range(2))
    turn, _ = np.linalg.qr(RANDOM.normal(size=(3, 3)))
    matrix, offset = surrogate.matching([secret @ turn * 5 - 2], [public])
    assert np.corrcoef(((secret @ turn * 5 - 2) @ matrix + offset).ravel(), secret.ravel())[0, 1] > 0.9


def test_a_grey_picture_is_averaged_and_measured_on_one_channel():
    grey = RANDOM.integers(0, 256, (16, 16, 1), np.uint8).repeat(3, axis=2)
    tinted = grey / 255 + np.array([0.02, 0, -0.02])
    assert surrogate.is_grey(grey) and not surrogate.is_grey(RANDOM.integers(0, 256, (4, 4, 3), np.uint8))
    assert surrogate.similarity(grey, surrogate.to_picture(tinted, grey=True)) > 0.9999


def test_the_page_is_made_of_one_folder_and_says_what_was_left_out(context):
    with pytest.raises(ValueError, match="has pictures in both train/ and test/"):
        surrogate.run(context)
    first, second = sorted((ROOT / "samples/brain_mri/test").glob("*.jpg"))[:2]
    for split, picture in (("train", first), ("test", second)):
        folder = context.data / "brain_mri" / split
        folder.mkdir(parents=True)
        Image.open(picture).save(folder / "picture.png")
    (folder / "broken.png").write_bytes(b"no picture")
    page = surrogate.run(context)
    figures = page.figures["a_surrogate"]["brain_mri"]
    assert figures["n"] == 1
    assert figures["ssim"]["surrogate, 1 pair"] > 0.85 < figures["ssim"]["the secret decoder"]
    assert any(line.startswith("brain_mri/test/broken.png: cannot be read") for line in context.problems)
    assert any("surrogate decoder of fundus" in line for line in context.problems)
    assert "| brain_mri | 1 |" in page.text and (context.report / "surrogate.png").is_file()
