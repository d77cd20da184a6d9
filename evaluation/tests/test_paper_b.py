"""The measures on arrays whose figures are known, the stages on the frozen vectors, the attacks on what must and must not fall."""

import hashlib
import json

import numpy as np
import pytest
from latentwire_evaluation.paper_b import attacks, cipher, stages, statistics
from latentwire_evaluation.services import ROOT
from PIL import Image

NOISE, OTHER = (np.random.default_rng(seed).integers(0, 256, (512, 512), np.uint8) for seed in (1, 2))
RAMP = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
SEED = hashlib.sha256(b"test").digest()


def picture(seed: int, side: int = 64) -> np.ndarray:
    """Smooth and never constant, as a picture is."""
    y, x = np.mgrid[:side, :side] / side
    a, b, c = np.random.default_rng(seed).uniform(1, 9, 3)
    return np.clip(128 + 60 * np.sin(a * x + b * y * y) + 60 * np.cos(c * x * y + a), 0, 255).astype(np.uint8)


def test_uniform_noise_has_the_figures_that_the_paper_prints_for_its_ciphertexts():
    found = statistics.texture(NOISE)
    assert found["contrast"] == pytest.approx(10.5, abs=0.1)
    assert found["energy"] == pytest.approx(1 / 64, abs=1e-4)
    assert found["homogeneity"] == pytest.approx(0.3896, abs=2e-3)
    assert found["glcm_correlation"] == pytest.approx(0, abs=0.01)
    assert statistics.entropy(NOISE) == pytest.approx(8, abs=0.002)
    assert statistics.npcr(NOISE, OTHER) == pytest.approx(99.61, abs=0.05)
    assert statistics.uaci(NOISE, OTHER) == pytest.approx(33.46, abs=0.1)


def test_a_ramp_has_figures_that_can_be_worked_out_by_hand():
    # 255 pairs a row, 7 of which cross from one of the 8 levels to the next.
    found = statistics.texture(RAMP)
    assert found["contrast"] == pytest.approx(7 / 255)
    assert found["homogeneity"] == pytest.approx((248 + 7 / 2) / 255)
    assert found["energy"] == pytest.approx((7 * 31**2 + 31**2 + 7) / 255**2)
    assert statistics.entropy(RAMP) == pytest.approx(8)
    assert statistics.entropy(np.zeros((4, 4), np.uint8)) == 0
    assert statistics.correlation(RAMP, 255 - RAMP) == pytest.approx(-1)
    assert statistics.correlation(RAMP, np.zeros_like(RAMP)) == 0


def test_the_stages_are_those_of_the_frozen_vectors_and_can_be_undone():
    cases = json.loads((ROOT / "common/sealing/tests/vectors/chaos4-v1.json").read_text())["cases"]
    for case in (case for case in cases if case["length"] in (256, 4096)):
        side = int(case["length"] ** 0.5)
        plain = np.frombuffer(stages.CHAOS4.picture(case["length"]), np.uint8).reshape(side, side)
        scrambled = stages.cipher(bytes.fromhex(case["seed"]), plain)
        assert hashlib.sha256(scrambled.tobytes()).hexdigest() == case["scrambled_sha256"]
        assert (stages.decipher(bytes.fromhex(case["seed"]), scrambled) == plain).all()


def test_the_permutations_keep_the_histogram_and_the_seed_matrix_levels_it():
    plain = picture(1, 256)
    after = stages.stages(SEED, plain)
    for permuted in after[:2]:
        assert (np.bincount(permuted.ravel(), minlength=256) == np.bincount(plain.ravel(), minlength=256)).all()
    assert statistics.entropy(after[3]) > 7.99 > statistics.entropy(after[1])


def test_chosen_plaintexts_open_every_picture_under_a_reused_key():
    decipher, needed = attacks.chosen_plaintexts(lambda image: stages.cipher(SEED, image), (64, 64))
    assert needed == 5
    for seed in range(3):
        assert (decipher(stages.cipher(SEED, picture(seed))) == picture(seed)).all()
    other = stages.cipher(hashlib.sha256(b"another key").digest(), picture(1))
    assert statistics.npcr(decipher(other), picture(1)) > 95, "without reuse it gives nothing"


def test_known_plaintexts_give_most_of_another_picture_away():
    known = [picture(seed) for seed in range(6)]
    pairs = [(image, stages.cipher(SEED, image)) for image in known]
    found = attacks.known_plaintexts(pairs, stages.cipher(SEED, picture(9)))
    assert (found == picture(9)).mean() > 0.9
    fresh = stages.cipher(hashlib.sha256(b"another key").digest(), picture(9))
    assert (attacks.known_plaintexts(pairs, fresh) == picture(9)).mean() < 0.1


def test_a_guessed_picture_is_recognised_and_another_is_not():
    scrambled = stages.cipher(stages.seed_as_printed(picture(2)), picture(2))
    guess = lambda candidates: attacks.guess(stages.seed_as_printed, stages.decipher, scrambled, candidates)  # noqa: E731
    assert guess([picture(1), picture(2)]) == 1
    assert guess([picture(1), picture(3)]) is None
    assert attacks.equal_pictures(lambda image: stages.cipher(stages.seed_as_printed(image), image), picture(1))
    fresh = (hashlib.sha256(bytes([number])).digest() for number in range(2))
    assert not attacks.equal_pictures(lambda image: stages.cipher(next(fresh), image), picture(1))


def test_one_changed_byte_changes_one_pixel_and_raises_nothing():
    scrambled = stages.cipher(SEED, picture(4))
    assert attacks.changed_in_transit(lambda image: stages.decipher(SEED, image), scrambled, picture(4)) == 1


def test_one_picture_makes_a_page_that_says_what_could_not_be_tried(context, monkeypatch):
    folder = context.data / "brain_mri/test"
    folder.mkdir(parents=True)
    Image.fromarray(picture(1, 96)).save(folder / "one.png")
    monkeypatch.setattr(cipher, "SIDE", 64)
    page = cipher.run(context)
    assert [page.figures[f"b_table{number}"]["pictures"] for number in range(2, 7)] == [["one.png"]] * 5
    assert set(page.figures["b_table3"]["entropy"]["by_picture"][0]) == {"plain", "stage 1", "stage 2", "stage 3", "stage 4", "AES-GCM", "both", "noise"}
    assert page.figures["b_attacks"]["chosen_plaintext_pixels_recovered_percent"] == 100
    assert "not tried: needs two pictures" in page.text
    assert {path.name for path in context.report.glob("*.png")} == {"cipher-stages.png", "cipher-neighbours.png"}


def test_a_folder_without_pictures_is_said_in_one_sentence_and_a_broken_file_is_left_out(context):
    with pytest.raises(ValueError, match="no pictures that can be measured in chest_xray/test or brain_mri/test"):
        cipher.run(context)
    folder = context.data / "chest_xray/test"
    folder.mkdir(parents=True)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.fromarray(picture(1, 96)).save(folder / "whole.png")
    found = cipher.pictures(context.data, 64, 5, context.left_out)
    assert [name for name, _ in found] == ["whole.png"] and found[0][1].shape == (64, 64)
    assert [line.split(":")[0] for line in context.problems] == ["chest_xray/test/broken.png"]
