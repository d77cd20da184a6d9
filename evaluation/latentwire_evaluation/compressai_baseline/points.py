"""`make evaluate-compressai`: the trained baseline's own bytes, and what comes back, on the scaled test pictures.

    python -m latentwire_evaluation.compressai_baseline.points --data DIR

Writes evaluation/compressai/MODALITY-points.json, which `make evaluate MODELS=rd` sets beside the codecs. Bytes are of CompressAI's own
entropy coder (rANS), with a head of 12 bytes; each stream is decoded again, and that is what is measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ..measure import fidelity
from ..rd.digest import digest
from ..services import ROOT
from ..testset import FOLDERS, scaled, usable
from .net import Baseline, load
from .table import FOLDER

STEPS = (6.0, 4.2, 3.0, 2.1, 1.5, 1.0, 0.7, 0.5, 0.35)
COLUMNS = ("step", "bytes", "ssim", "psnr_db")


def planes_of(pixels: np.ndarray, planes: int) -> np.ndarray | None:
    """The picture as the net takes it; None of a colour picture where it takes grey."""
    if planes == 1:
        return pixels if pixels.ndim == 2 else None
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def measured(net: Baseline, pixels: np.ndarray) -> Iterator[list[float]]:
    """Coarse to fine."""
    given = planes_of(pixels, net.planes)
    for step in STEPS if given is not None else ():
        data = net.coded(given, step)
        found = fidelity(given, net.decoded(data))
        yield [step, len(data), round(found["ssim"], 6), round(found["psnr_db"], 4)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT / "samples")
    parser.add_argument("--modality", choices=list(FOLDERS), action="append")
    parser.add_argument("--weights", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for modality in arguments.modality or FOLDERS:
        path = arguments.weights / f"{modality}.npz"
        if not path.is_file():
            print(f"{modality}: no {path}; `make evaluate-compressai-train DATA=…` trains it")
            continue
        net = load(path)
        pictures = {}
        for file, pixels in tqdm(list(usable(arguments.data / FOLDERS[modality] / "test")), desc=modality):
            small = scaled(pixels)
            if rows := list(measured(net, small)):
                pictures[digest(small)] = rows
        about = json.loads((arguments.weights / f"{modality}.json").read_text(encoding="utf-8"))
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(rows)}" for name, rows in sorted(pictures.items()))
        text = f'{{\n "processor_minutes": {about["processor_minutes"]}, "lambda": {about["lambda"]},\n "columns": {json.dumps(COLUMNS)},\n "pictures": {{\n{lines}\n }}\n}}\n'
        (arguments.weights / f"{modality}-points.json").write_text(text, encoding="utf-8")
        print(f"wrote {arguments.weights / f'{modality}-points.json'}, {len(pictures)} pictures")


if __name__ == "__main__":
    main()
