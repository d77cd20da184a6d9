"""Codecs give back what they say, points are joined and never extended, DICOM that was compressed once is left out."""

import numpy as np
import pytest
from latentwire_evaluation.measure import bits_per_pixel, fidelity, mean_square_error
from latentwire_evaluation.rate_distortion import codecs, dicom, equal, section
from latentwire_evaluation.services import ROOT
from PIL import Image

GREY = np.asarray(Image.open(ROOT / "samples/brain_mri/test/sartaj_0908d1a91a.jpg"))[100:260, 100:260].copy()
COLOUR = np.asarray(Image.open(ROOT / "samples/fundus/test/chase_2846f819cd.jpg"))[100:260, 200:360].copy()


@pytest.mark.parametrize("codec", codecs.CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("picture", [GREY, COLOUR], ids=["grey", "colour"])
def test_finer_settings_cost_more_and_show_more(codec, picture):
    rates, qualities = [], []
    for setting in (codec.settings[0], codec.settings[-2], codec.settings[-1]):
        size, back, encode_ms, decode_ms = codecs.once(codec, picture, setting)
        assert back.shape == picture.shape and back.dtype == np.uint8 and encode_ms > 0 < decode_ms
        rates.append(bits_per_pixel(size, picture))
        qualities.append(fidelity(picture, back)["psnr_db"])
    assert rates == sorted(rates) and qualities == sorted(qualities) and rates[0] < 8
    assert (qualities[-1] >= 120) == (codec.settings[-1] == 0), "what says lossless is"


def test_between_points_the_logarithm_is_linear_and_beyond_them_is_nothing():
    points = [(1.0, 0.9), (4.0, 0.98), (0.25, 0.7)]
    assert equal.bpp_at(points, 0.94) == pytest.approx(2.0)
    assert equal.bpp_at(points, 0.98) == pytest.approx(4.0)
    assert equal.bpp_at(points, 0.99) is None and equal.bpp_at(points, 0.69) is None and equal.bpp_at([], 0.5) is None
    assert equal.reached(points, 0.98) and not equal.reached(points, 0.981)
    assert equal.mean_ratio([(2.0, 1.0), (1.0, 2.0), (None, 1.0), (1.0, None)]) == (pytest.approx(1.0), 2)
    assert equal.mean_ratio([(None, 1.0)]) is None


def rows(own: float, other: float) -> list[dict]:
    found = []
    for codec, factor in (("ae224-brain", own), ("jpegxl", other)):
        for rate, ssim, psnr in ((0.5, 0.9, 35.0), (1.0, 0.96, 42.0), (2.0, 0.99, 120.0)):
            for file in ("a", "b"):
                found.append({"file": file, "codec": codec, "setting": f"{rate}", "bpp": rate * factor, "ssim": ssim, "psnr_db": psnr, "encode_ms": 1.0, "decode_ms": 2.0})
    return found


def test_where_we_lose_is_said():
    text, finding = section.describe("brain", rows(2.0, 1.0))
    assert "| **ae224-brain** |" in text and "| jpegxl |" in text and "2.00×" in text
    assert "more bits than jpegxl (2.0×)" in finding and "fewer" not in finding
    assert "fewer than jpegxl (0.50×)" in section.describe("brain", rows(0.5, 1.0))[1]


def test_coarser_steps_that_save_nothing_are_named():
    found = rows(1.0, 1.0)
    for row in found:
        if row["codec"] == "ae224-brain":
            row["setting"], row["bpp"] = {"0.5": ("400 %", 1.5), "1.0": ("200 %", 1.0), "2.0": ("100 %", 2.0)}[row["setting"]]
    assert "400 % costs 1.500" in section.describe("brain", found)[0]
    assert "costs" not in section.describe("brain", rows(1.0, 1.0))[0]


def test_a_lossless_setting_has_no_psnr_in_the_report():
    means = section.means(rows(1.0, 1.0))
    assert [row["psnr_db"] for row in means if row["codec"] == "jpegxl"] == [35.0, 42.0, None]
    assert all(row["n"] == 2 for row in means)


def test_dicom_of_twelve_bits_is_taken_and_of_eight_is_not():
    taken = dicom.stored(ROOT / "samples/dicom/phantom_ct_head_16bit.dcm")
    assert taken.dtype == np.uint16 and taken.min() == 0 and taken.max() == 1170 + 1024
    assert dicom.stored(ROOT / "samples/dicom/chest_cr_8bit.dcm") is None
    points = dicom.high_rate(taken[:128, :128])
    assert all(len(values) >= 4 and max(value for _, value in values) > 50 for values in points.values())


def test_square_error_and_psnr_are_of_the_span():
    black, brighter = np.zeros((16, 16), np.uint8), np.full((16, 16), 51, np.uint8)
    assert mean_square_error(black, brighter) == pytest.approx(0.04) and mean_square_error(black, brighter, 510) == pytest.approx(0.01)
    assert fidelity(black, brighter)["psnr_db"] == pytest.approx(13.98, abs=0.01) and fidelity(black, black)["psnr_db"] == 120
    with pytest.raises(ValueError, match="shape"):
        fidelity(black, brighter[:8])
