"""The course of a training as one PNG: loss, rate, and what the validation pictures showed.

    python -m latentwire_training.curves models/<id>     (draws it again from training.json)
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import BinaryIO

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)
from matplotlib.ticker import MaxNLocator  # noqa: E402

BLUE, RED, GREEN, GREY = "#1f5fa8", "#b3331f", "#2c7d3f", "#666666"


def draw(history: list[dict], target: Path | BinaryIO, title: str, rate_target: float | None = None, phases: tuple[float, float] | None = None) -> None:
    """Writes the curves of `history` (training.json) to `target`. `phases`: steps at which noise, and rounding, began."""
    if any("epoch" in row for row in history):
        _draw_epochs(history, target, title)
        return
    steps = [row for row in history if "mse" in row]
    checks = [(row["step"], row["validation"]) for row in history if "validation" in row]
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.9), layout="constrained")
    figure.suptitle(title, fontsize=11)
    loss, rate, quality = axes

    at = [row["step"] for row in steps]
    if any("loss" in row for row in steps):
        loss.plot([r["step"] for r in steps if "loss" in r], [r["loss"] for r in steps if "loss" in r], color=GREY, lw=1, label="whole loss")
    loss.plot(at, [row["mse"] for row in steps], color=BLUE, lw=1.2, label="mean square error, crops")
    loss.plot([s for s, _ in checks], [v["mse"] for _, v in checks], "o-", color=RED, ms=3, lw=1, label="mean square error, validation")
    loss.set(title="Loss", ylabel="pixels in 0..1", yscale="log")

    coded = [row for row in steps if row["bpp"] > 0]
    rate.plot([r["step"] for r in coded], [r["bpp"] for r in coded], color=BLUE, lw=1.2, label="crops")
    known = [(s, v["bpp"]) for s, v in checks if v["bpp"] > 0]
    rate.plot([s for s, _ in known], [b for _, b in known], "o-", color=RED, ms=3, lw=1, label="validation")
    if rate_target is not None:
        rate.axhline(rate_target, color=GREY, lw=1, ls="--", label=f"aimed at, {rate_target:g}")
    rate.set(title="Rate", ylabel="estimated bits per pixel", ylim=(0, None))

    quality.plot([s for s, _ in checks], [v["ssim"] for _, v in checks], "o-", color=GREEN, ms=3, lw=1, label="SSIM")
    quality.set_ylabel("SSIM", color=GREEN)
    quality.set(title="Validation")
    decibel = quality.twinx()
    decibel.plot([s for s, _ in checks], [v["psnr_db"] for _, v in checks], "s-", color=RED, ms=3, lw=1, label="PSNR")
    decibel.set_ylabel("PSNR, dB", color=RED)

    for axis in axes:
        axis.set_xlabel("step")
        axis.set_xlim(0, history[-1]["step"] * 1.02)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.grid(True, alpha=0.25)
        for mark, word in zip(phases or (), ("noise", "rounding")):
            axis.axvline(mark, color=GREY, lw=0.8, ls=":")
            axis.annotate(word, (mark, 0), xycoords=("data", "axes fraction"), xytext=(2, 4), textcoords="offset points", rotation=90, va="bottom", fontsize=7, color=GREY)
    for axis in (loss, rate):
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8, loc="upper right")
    figure.savefig(target, dpi=90, metadata={"Software": None})
    plt.close(figure)


def _draw_epochs(history: list[dict], target: Path | BinaryIO, title: str) -> None:
    """The recipe that goes by epochs: loss of training and validation (paper A, Figure 5), and what validation showed."""
    trained = [row for row in history if "epoch" in row]
    each = trained[0]["step"] // trained[0]["epoch"]
    checks = [(row["step"] / each, row["validation"]) for row in history if "validation" in row]
    figure, (loss, quality) = plt.subplots(1, 2, figsize=(10, 3.9), layout="constrained")
    figure.suptitle(title, fontsize=11)
    loss.plot([row["epoch"] for row in trained], [row["loss"] for row in trained], color=BLUE, lw=1.2, label="training")
    loss.plot([e for e, _ in checks], [v["loss"] for _, v in checks], color=RED, lw=1.2, label="validation")
    loss.set(title="Loss: mean square error", ylabel="pixels in 0..1", yscale="log")
    loss.legend(fontsize=8, loc="upper right")
    quality.plot([e for e, _ in checks], [v["ssim"] for _, v in checks], color=GREEN, lw=1.2)
    quality.set_ylabel("SSIM", color=GREEN)
    quality.set(title="Validation")
    decibel = quality.twinx()
    decibel.plot([e for e, _ in checks], [v["psnr_db"] for _, v in checks], color=RED, lw=1.2)
    decibel.set_ylabel("PSNR, dB", color=RED)
    for axis in (loss, quality):
        axis.set_xlabel("epoch")
        axis.set_xlim(0, trained[-1]["epoch"] * 1.02)
        axis.grid(True, alpha=0.25)
    figure.savefig(target, dpi=90, metadata={"Software": None})
    plt.close(figure)


def draw_for(training: dict, target: Path | BinaryIO) -> None:
    """Writes the curves of a whole `training.json`."""
    schedule = training.get("config", {})
    phases = None
    if "schedule.steps" in schedule and not training.get("changes"):
        total = schedule["schedule.steps"]
        phases = (total * schedule["schedule.plain_share"], total * (1 - schedule["schedule.rounded_share"]))
    title = f"{training['model']}: {training['steps_trained']} steps, {training['training_pictures']} pictures"
    draw(training["history"], target, title, schedule.get("rate.bits_per_pixel"), phases)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", help="model folders that hold a training.json")
    for folder in parser.parse_args().folders:
        draw_for(json.loads((folder / "training.json").read_text()), folder / "curves.png")
        print(f"wrote {folder / 'curves.png'}")


if __name__ == "__main__":
    main()
