"""Table 3 and 4 are computed as they say; AES gives back what it took."""

import os

import pytest
from latentwire_evaluation.paper_a import timing


@pytest.mark.parametrize("mode", [timing.cbc, timing.gcm])
def test_what_is_encrypted_comes_back(mode):
    for length in (1, 15, 16, 4096):
        data = os.urandom(length)
        encrypt, decrypt = mode(os.urandom(32), data)
        assert decrypt() == data
        assert len(encrypt()) > length and encrypt() != encrypt(), "a fresh nonce every time"


def test_a_reduction_is_a_share_and_an_increase_is_said():
    assert timing.reduction(0.016, 0.05) == "68 %"
    assert timing.reduction(0.06, 0.05) == "-20 %"
    assert timing.reduction(5, 0.05) == "100 times as long"


def test_a_median_leaves_the_first_run_out():
    calls = []
    assert timing.median_ms(lambda: calls.append(1), 4) >= 0
    assert len(calls) == 5


def test_the_journey_adds_nets_cipher_and_bytes_and_the_page_says_what_the_paper_leaves_out():
    row = {"cbc_encrypt_ms": 2.0, "cbc_decrypt_ms": 1.0, "gcm_encrypt_ms": 1.0, "gcm_decrypt_ms": 1.0}
    kinds = {"8-bit picture": 125_000, "f32 picture": 500_000, "f32 latent": 125_000, "coded latent": 12_500, "PNG file": 50_000}
    figures = {kind: {"bytes": float(size), **row} for kind, size in kinds.items()}
    figures["nets"] = {"encode_ms": 10.0, "decode_ms": 40.0, "code_ms": 2.0}
    found = timing.journeys(figures)
    assert found["the 8-bit picture under AES"] == pytest.approx([1002, 102, 12])
    assert found["paper A: the f32 latent under AES"] == pytest.approx([1052, 152, 62])
    assert found["here: the coded latent under AES"] == pytest.approx([156, 66, 57])
    assert found["here, decoded and measured by the sender before it goes"] == pytest.approx([198, 108, 99])
    page = timing.page(figures, 3)
    assert "encoder 10.0 ms" in page and "5 times as long as encrypting" in page and "68 and 66 %" in page
    assert "| 8-bit picture | 0 % | 0 % | 6 times as long |" in page
