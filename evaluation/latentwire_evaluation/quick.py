"""`make evaluate-quick`: every picture of each modality's `test/` split, sent for real, measured on what the receiver gave back.

    python -m latentwire_evaluation.quick --data DIR --binaries DIR

`SEND_MARKED`, so that no picture escapes into exact. SSIM is scikit-image's `structural_similarity` with its defaults, MSE has
pixels in 0..1, bits per pixel count the whole coded image (header and container included, padding and seals not). `split` is
`test` at native size and `test-224` scaled to 224x224. `exact_share` is the share that would go exact under the default policy.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from .measure import fidelity, mean_square_error
from .services import ROOT, Services
from .testset import FOLDERS

FLOOR = 0.95
JPEG_DECODERS_DIFFER = 1e-3  # ours and Pillow's decode the same JPEG to values a unit apart here and there
TARGET = {"ssim": 0.9528, "mse": 0.0019, "bpp": 1.5}


def pictures(data: Path, modality: str) -> list[Path]:
    folder = data / FOLDERS[modality] / "test"
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".tif", ".tiff"))
    if not found:
        print(f"no picture in {folder}: {modality} is left out")
    return found


def figures_of(original: Path, received: Path) -> dict[str, float]:
    pair = [np.asarray(Image.open(path)) for path in (original, received)]
    return {**fidelity(*pair), "mse": mean_square_error(*pair)}


def mean_rows(modality: str, model: str, split: str, rows: list[dict]) -> list[dict]:
    by_source = defaultdict(list)
    for row in rows:
        by_source["all"].append(row)
        by_source[row["source"]].append(row)
    out = []
    for source, group in by_source.items():
        mean = {key: float(np.mean([r[key] for r in group])) for key in ("ssim", "psnr_db", "mse", "bpp")}
        share = float(np.mean([r["reported_ssim"] < FLOOR for r in group]))
        out.append({"modality": modality, "model": model, "split": split, "source": source, "n": len(group), **mean, "exact_share": share})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT / "samples", help="folder of pictures: modality/split/file")
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/ci")
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--out", type=Path, default=ROOT / "evaluation/report/quick.json")
    arguments = parser.parse_args()
    results, failed, each = [], [], []
    with tempfile.TemporaryDirectory() as temporary, Services(arguments.binaries, arguments.models) as services:
        for modality in FOLDERS:
            for split, size in (("test", None), ("test-224", 224)):
                rows, model = [], ""
                found = pictures(arguments.data, modality)
                for index, path in enumerate(found):
                    print(f"\r{modality} {split}: {index + 1}/{len(found)} ", end="", flush=True)
                    try:
                        sent = path
                        if size:
                            sent = Path(temporary) / "sent.png"
                            Image.open(path).resize((size, size), Image.Resampling.LANCZOS).save(sent)
                        line = services.send_latent(sent, modality)
                        received = Path(temporary) / "received.png"
                        services.get(line["transfer_id"], received)
                        model = line["model"]
                        figures = figures_of(sent, received)
                        if abs(figures["ssim"] - line["ssim"]) > (1e-4 if sent.suffix == ".png" else JPEG_DECODERS_DIFFER):
                            raise ValueError(f"reported SSIM {line['ssim']} is not the measured {figures['ssim']}")
                        pixels = line["width"] * line["height"] * line["frames"]
                        bpp = 8 * line["coded_bytes"] / pixels
                        rows.append({"source": path.stem.split("_")[0], **figures, "bpp": bpp, "reported_ssim": line["ssim"]})
                        if not size:
                            each.append({"modality": modality, "file": path.name, "ssim": figures["ssim"], "bpp": bpp})
                    except (ValueError, OSError) as error:
                        failed.append(f"{path.name} ({split}): {error}")
                print("\r", end="")
                if rows:
                    results += mean_rows(modality, model, split, rows)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    (arguments.out.parent / "quick-pictures.json").write_text(json.dumps(each, indent=1) + "\n")
    print(f"{platform.machine()}, {platform.processor() or 'processor unnamed'}, SSIM >= {TARGET['ssim']}, MSE <= {TARGET['mse']}, bpp <= {TARGET['bpp']} asked of each modality's mean")
    print(f"{'modality':9}{'split':10}{'source':12}{'n':>4}{'SSIM':>9}{'PSNR dB':>9}{'MSE':>10}{'bpp':>7}{'exact':>8}  reached")
    for r in results:
        reached = r["ssim"] >= TARGET["ssim"] and r["mse"] <= TARGET["mse"] and r["bpp"] <= TARGET["bpp"]
        print(
            f"{r['modality']:9}{r['split']:10}{r['source']:12}{r['n']:4d}{r['ssim']:9.4f}{r['psnr_db']:9.2f}{r['mse']:10.6f}{r['bpp']:7.3f}"
            f"{r['exact_share']:8.0%}  {'yes' if reached else 'no'}"
        )
    print(f"wrote {arguments.out}")
    for line in failed:
        print(f"failed: {line}")
    if failed or not results:
        raise SystemExit(f"{len(failed)} pictures failed, {len(results)} rows written")


if __name__ == "__main__":
    main()
