"""`make evaluate-figures`: the three plots of the README, out of the last whole report, small enough to be committed.

    python -m latentwire_evaluation.figures --report DIR --into DIR

Refused where the report may show pictures that are not openly licensed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from .services import ROOT

# Name, and the widest that it may be, pixels.
FIGURES = {"rate-distortion.png": 1600, "surrogate.png": 1000, "exact-reconstruction.png": 1000}
# Plots have few colours; photographs keep theirs.
PLOTS, COLOURS = ("rate-distortion.png",), 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--report", type=Path, default=ROOT / "evaluation/report")
    parser.add_argument("--into", type=Path, default=ROOT / "docs/figures")
    arguments = parser.parse_args()
    try:
        figures = json.loads((arguments.report / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{arguments.report / 'report.json'}: {error}; run `make evaluate DATA=…` first") from None
    if not figures.get("shows_open_pictures_only"):
        raise SystemExit(f"{arguments.report}: it may show pictures that are not openly licensed; its DATA has no OPEN.tsv that names enough of them")
    if absent := [name for name in FIGURES if not (arguments.report / name).is_file()]:
        raise SystemExit(f"{arguments.report}: no {', '.join(absent)}; the report's text says which command builds what they show")
    arguments.into.mkdir(parents=True, exist_ok=True)
    for name, width in FIGURES.items():
        with Image.open(arguments.report / name) as image:
            picture = image.convert("RGB")
        if picture.width > width:
            picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
        if name in PLOTS:
            picture = picture.quantize(COLOURS, dither=Image.Dither.NONE)
        elif np.ptp(np.asarray(picture), axis=2).max() == 0:
            picture = picture.convert("L")
        picture.save(arguments.into / name, optimize=True)
        print(f"wrote {arguments.into / name}, {(arguments.into / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
