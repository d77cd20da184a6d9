"""The plots: SSIM and PSNR over bits per pixel."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Colours that are told apart by most eyes (Okabe and Ito), and each its own mark.
STYLES = {
    "jpeg2000": ("#E69F00", "s"),
    "jpegxl": ("#009E73", "^"),
    "avif": ("#0072B2", "v"),
    "webp": ("#56B4E9", "D"),
    "jpegls": ("#999999", "P"),
    "htj2k": ("#CC79A7", "X"),
}
OURS, OTHERS, OTHER_MARKS = "#D55E00", "#8a5a44", ".*1x"


def curves(path: Path, modality: str, rows: list[dict], own: str) -> None:
    """Means over the pictures, setting by setting; lossless points have no PSNR and are left out of the right half."""
    figure, axes = plt.subplots(1, 2, figsize=(13, 4.8))
    for axis, (measure, name, limits, goal) in zip(axes, MEASURES):
        panel(axis, rows, own, measure, limits, goal)
        axis.set_ylabel(name)
    axes[1].legend(fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(f"{modality}: up and to the left is better; dashed, where codecs are compared", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def overview(path: Path, by_modality: dict[str, list[dict]], models: dict[str, str]) -> None:
    """SSIM of all modalities side by side, our own model of each alone."""
    measure, name, limits, goal = MEASURES[0]
    figure, axes = plt.subplots(1, len(by_modality), figsize=(4.2 * len(by_modality) + 1.6, 4.2), sharey=True, squeeze=False)
    for axis, (modality, rows) in zip(axes[0], by_modality.items()):
        own = models[modality]
        panel(axis, [row for row in rows if row["codec"] in (own, *STYLES)], own, measure, limits, goal)
        axis.set_title(modality, fontsize=11)
    axes[0][0].set_ylabel(name)
    handles, labels = axes[0][0].get_legend_handles_labels()
    axes[0][-1].legend(handles, [OURS_LABEL if "(ours)" in label else label for label in labels], fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


MEASURES = (("ssim", "SSIM", (0.6, 1.005), 0.95), ("psnr_db", "PSNR, dB", (24, 56), 40))
RATES, RATE_TICKS = (0.04, 10), (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
OURS_LABEL = "ae224 (paper A's net, ours)"


def panel(axis: plt.Axes, rows: list[dict], own: str, measure: str, limits: tuple[float, float], goal: float) -> None:
    for codec in dict.fromkeys(row["codec"] for row in rows):
        points = [(row["bpp"], row[measure]) for row in rows if row["codec"] == codec and row[measure] is not None]  # coarse to fine
        if not points or (codec in STYLES and len(points) < 2):
            continue
        line = {"linewidth": 1.3, "markersize": 5, "label": codec}
        if codec == own:
            line |= {"color": OURS, "marker": "o", "linewidth": 2.6, "markersize": 7, "zorder": 5, "label": f"{codec} (ours)"}
        elif codec in STYLES:
            line |= dict(zip(("color", "marker"), STYLES[codec]))
        else:
            line |= {"color": OTHERS, "marker": OTHER_MARKS[len(axis.lines) % len(OTHER_MARKS)], "markersize": 4, "linestyle": ":", "label": f"{codec} (ours)"}
        axis.plot(*zip(*points), **line)
    axis.set(xscale="log", xlabel="bits per pixel", ylim=limits, xlim=RATES)
    axis.set_xticks(RATE_TICKS, [f"{tick:g}" for tick in RATE_TICKS])
    axis.minorticks_off()
    axis.grid(True, which="both", color="0.92")
    axis.spines[["top", "right"]].set_visible(False)
    axis.axhline(goal, color="0.6", linewidth=0.8, linestyle="--")
