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
    assert timing.reduction(0.0501, 0.05) == "0 %"
    assert timing.reduction(5, 0.05) == "100 times as long"


def test_a_median_leaves_the_first_run_out():
    calls = []
    assert timing.median_ms(lambda: calls.append(1), 4) >= 0
    assert len(calls) == 5


def figures(**more):
    row = {"cbc_encrypt_ms": 2.0, "cbc_decrypt_ms": 1.0, "gcm_encrypt_ms": 1.0, "gcm_decrypt_ms": 1.0}
    kinds = {"8-bit picture": 125_000, "f32 picture": 500_000, "f32 latent": 125_000, "coded latent": 12_500, "PNG file": 50_000}
    found = {kind: {"bytes": float(size), **row} for kind, size in kinds.items()}
    found["net the product's"] = {"encode_ms": 10.0, "decode_ms": 40.0}
    found["entropy coder"] = {"code_ms": 2.0}
    return {**found, **more}


def test_the_journey_adds_nets_cipher_and_bytes_and_the_page_says_what_the_paper_leaves_out():
    found = timing.journeys(figures())
    assert found["the 8-bit picture"] == pytest.approx([1002, 102, 12])
    assert found["paper A, net the product's: the f32 latent"] == pytest.approx([1052, 152, 62])
    assert found["here: the coded latent"] == pytest.approx([156, 66, 57])
    assert found["here, decoded and measured by the sender before it goes"] == pytest.approx([198, 108, 99])
    page = timing.page(figures(), 3, [])
    assert "encoder 10.0 ms" in page and "5 times as long as encrypting" in page and "68 and 66 %" in page
    assert "| 8-bit picture | 0 % | 0 % | 6 times as long | 75 % |" in page


def test_the_net_as_printed_is_what_the_tables_start_from_where_it_is_there():
    dense = {"bytes": 1_605_632.0, "cbc_encrypt_ms": 20.0, "cbc_decrypt_ms": 10.0, "gcm_encrypt_ms": 3.0, "gcm_decrypt_ms": 3.0}
    more = {"net as printed": {"encode_ms": 6.0, "decode_ms": 5.0}, "net without dense(3)": {"encode_ms": 5.0, "decode_ms": 5.0}, "f32 latent without dense(3)": dense}
    page = timing.page(figures(**more), 3, [])
    assert "| 8-bit picture | 0 % | 10 times as long | 0 % | 4 times as long | 75 % |" in page
    assert "paper A, net without dense(3): the f32 latent without dense(3) | 1605632 | 25.00 | 15.00 |" in page


def test_what_is_not_there_is_named_with_the_command_that_builds_it(context):
    context.models = context.report
    assert ["ae224-fundus-printed" in line for line in timing.missing_models(context)] == [True, False]
    assert "make train MODEL=ae224-fundus-nodense DATA=… MODELS=models/research`" in timing.missing_models(context)[1]
