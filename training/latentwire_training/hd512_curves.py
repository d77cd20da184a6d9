"""The course of the three `hd512` runs as one PNG: what stands in for paper B's Figure 3, and its stated limitation.

    python -m latentwire_training.hd512_curves models/research/hd512     (draws it again from training.json)
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import BinaryIO

from .curves import BLUE, GREEN, GREY, RED, MaxNLocator, plt

COLOURS = (GREEN, RED, BLUE, GREY)


def draw(fractions: list[dict], constant: dict[str, float], target: Path | BinaryIO) -> None:
    """`fractions`: the logs of training.json; `constant`: what one grey everywhere reaches."""
    figure, (loss, accuracy, ssim, time) = plt.subplots(1, 4, figsize=(16, 3.9), layout="constrained")
    figure.suptitle("hd512: the same recipe on parts of the pictures; epoch 0 is the closed-form start", fontsize=11)
    for run, colour in zip(fractions, COLOURS):
        epochs = run["epochs"]
        at, name = [row["epoch"] for row in epochs], f"{run['percent']} %, {run['pictures']} pictures"
        loss.plot(at[1:], [row["loss"] for row in epochs[1:]], ls="--", color=colour, lw=1.2)
        loss.plot(at, [row["validation"]["loss"] for row in epochs], "o-", color=colour, ms=3, lw=1.2, label=name)
        accuracy.plot(at, [row["validation"]["accuracy"] for row in epochs], "o-", color=colour, ms=3, lw=1.2)
        ssim.plot(at, [row["validation"]["ssim"] for row in epochs], "o-", color=colour, ms=3, lw=1.2)
        for key, mark in (("seconds", "o"), ("processor_seconds", "s")):
            time.plot(run["pictures"], sum(row[key] for row in epochs) / 60, mark, color=colour, ms=6, fillstyle="full" if key == "seconds" else "none")
    accuracy.axhline(constant["accuracy"], color=GREY, lw=1, ls=":", label="one grey everywhere")
    loss.set(title="Loss: mean square error", ylabel="pixels in 0..1 (dashed: training, changed looks)", yscale="log")
    accuracy.set(title='Keras\' "accuracy", validation', ylabel="largest plane is the same one")
    ssim.set(title="SSIM, validation", ylabel="512x512")
    time.set(title="Training time (full: wall, open: processor)", ylabel="minutes, start included", xlabel="pictures", xlim=(0, None), ylim=(0, None))
    for axis in (loss, accuracy, ssim):
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in (loss, accuracy, ssim, time):
        axis.grid(True, alpha=0.25)
    loss.legend(fontsize=8)
    accuracy.legend(fontsize=8, loc="lower right")
    figure.savefig(target, dpi=90, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    training = json.loads((folder / "training.json").read_text())
    draw(training["fractions"], training["constant_grey"], folder / "curves.png")
    print(f"wrote {folder / 'curves.png'}")


if __name__ == "__main__":
    main()
