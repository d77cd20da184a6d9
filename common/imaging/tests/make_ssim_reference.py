"""Writes `ssim_reference.tsv` with scikit-image: `python make_ssim_reference.py` (scikit-image 0.26, numpy 2.4)."""

from pathlib import Path

import numpy as np
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from synthetic import distorted, original

# name, width, height, channels, bits, largest value, offset of a signed picture
CASES = [
    ("grey8", 64, 48, 1, 8, 255, 0),
    ("grey8_odd", 53, 37, 1, 8, 255, 0),
    ("grey8_window", 7, 7, 1, 8, 255, 0),
    ("grey8_tiles", 200, 150, 1, 8, 255, 0),
    ("grey8_dark", 91, 77, 1, 8, 30, 0),
    ("colour8", 71, 90, 3, 8, 255, 0),
    ("colour8_tiles", 140, 139, 3, 8, 255, 0),
    ("grey12", 101, 67, 1, 12, 4095, 0),
    ("grey16", 133, 71, 1, 16, 65535, 0),
    ("grey16_signed", 45, 150, 1, 16, 3000, -1000),
]


def smallest_tile(structure: np.ndarray) -> float:
    def starts(side: int) -> list[int]:
        return [min(start, max(side - 64, 0)) for start in range(0, side, 64)]

    rows, columns = structure.shape
    return min(structure[y : y + 64, x : x + 64].mean() for y in starts(rows) for x in starts(columns))


def main() -> None:
    lines = ["name\twidth\theight\tchannels\tbits\tlargest\toffset\tssim\tmin_local_ssim\tpsnr_db\tmse\tmax_abs_error"]
    for name, width, height, channels, bits, largest, offset in CASES:
        a = original(width, height, channels, largest)
        b = distorted(a, largest) + offset
        a = a + offset
        data_range = 255 if bits == 8 else int(a.max() - a.min())
        mean, structure = structural_similarity(a, b, data_range=data_range, channel_axis=2, full=True)
        local = smallest_tile(structure[3:-3, 3:-3].mean(axis=2))
        psnr = peak_signal_noise_ratio(a, b, data_range=data_range)
        mse = mean_squared_error(a, b) / data_range**2
        figures = [f"{figure:.12f}" for figure in (mean, local, psnr, mse)]
        row = [name, width, height, channels, bits, largest, offset, *figures, int(np.abs(a - b).max())]
        lines.append("\t".join(map(str, row)))
    Path(__file__).with_name("ssim_reference.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
