"""`make compare-quick`: what today's codecs need for the SSIM that our latents reached, picture by picture.

    python -m latentwire_evaluation.peers --data DIR

Reads `evaluation/report/quick-pictures.json` (written by `make evaluate-quick` on the same DATA). Each codec's quality is searched
for the smallest file with at least our SSIM, on the very same pixels. The pictures are JPEG-born, which flatters every one of
these codecs and ours alike only in part; the controlled comparison is `make evaluate`'s, section rate-distortion.
"""

from __future__ import annotations

import argparse
import io
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

from .services import ROOT
from .testset import FOLDERS

CODECS = {
    "jpeg": lambda q: {"format": "JPEG", "quality": q, "optimize": True},
    "webp": lambda q: {"format": "WEBP", "quality": q, "method": 4},
    "avif": lambda q: {"format": "AVIF", "quality": q, "speed": 8},
    "jpeg2000": lambda q: {"format": "JPEG2000", "quality_mode": "dB", "quality_layers": [22 + 0.34 * q], "irreversible": True},
}


def bytes_needed(pixels: np.ndarray, options, ssim: float) -> int | None:
    """Smallest file over integer qualities 1..100 that reaches `ssim`, by bisection; None where even 100 does not."""
    image = Image.fromarray(pixels)

    def attempt(quality: int) -> tuple[int, bool]:
        buffer = io.BytesIO()
        image.save(buffer, **options(quality))
        decoded = np.asarray(Image.open(buffer).convert(image.mode))
        reached = structural_similarity(pixels, decoded, data_range=255, channel_axis=2 if pixels.ndim == 3 else None)
        return len(buffer.getvalue()), reached >= ssim

    low, high = 0, 100
    size, reached = attempt(high)
    if not reached:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        tried, reached = attempt(middle)
        if reached:
            high, size = middle, tried
        else:
            low = middle
    return size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT / "samples")
    parser.add_argument("--report", type=Path, default=ROOT / "evaluation/report")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture of a modality")
    arguments = parser.parse_args()
    source = arguments.report / "quick-pictures.json"
    if not source.is_file():
        raise SystemExit(f"{source} is missing: run `make evaluate-quick` with the same DATA first")
    ratios: dict[tuple[str, str], list[float]] = defaultdict(list)
    ours = defaultdict(list)
    chosen = [row for m in FOLDERS for row in [r for r in json.loads(source.read_text()) if r["modality"] == m][:: arguments.every]]
    for index, row in enumerate(chosen):
        print(f"\r{index + 1}/{len(chosen)} ", end="", flush=True)
        pixels = np.asarray(Image.open(arguments.data / FOLDERS[row["modality"]] / "test" / row["file"]))
        ours[row["modality"]].append(row["bpp"])
        for codec, options in CODECS.items():
            needed = bytes_needed(pixels, options, row["ssim"])
            if needed is not None:
                ratios[row["modality"], codec].append(8 * needed / (pixels.shape[0] * pixels.shape[1]) / row["bpp"])
    results = []
    print(f"\r{'modality':10}{'codec':10}{'pictures':>9}{'bytes / ours':>14}")
    for (modality, codec), values in sorted(ratios.items()):
        results.append({"modality": modality, "codec": codec, "n": len(values), "of": len(ours[modality]), "ratio": float(np.mean(values))})
        print(f"{modality:10}{codec:10}{len(values):9d}{np.mean(values):14.2f}")
    (arguments.report / "peers.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
