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
OURS, OTHERS = "#D55E00", "#8a5a44"


def curves(path: Path, modality: str, rows: list[dict], own: str) -> None:
    """Means over the pictures, setting by setting; lossless points have no PSNR and are left out of the right half."""
    figure, axes = plt.subplots(1, 2, figsize=(13, 4.8))
    for axis, measure, name in zip(axes, ("ssim", "psnr_db"), ("SSIM", "PSNR, dB")):
        for codec in dict.fromkeys(row["codec"] for row in rows):
            points = sorted((row["bpp"], row[measure]) for row in rows if row["codec"] == codec and row[measure] is not None)
            if not points or (codec in STYLES and len(points) < 2):
                continue
            line = {"linewidth": 1.3, "markersize": 5, "label": codec}
            if codec == own:
                line |= {"color": OURS, "marker": "o", "linewidth": 2.6, "markersize": 7, "zorder": 5, "label": f"{codec} (ours)"}
            elif codec in STYLES:
                line |= dict(zip(("color", "marker"), STYLES[codec]))
            else:
                line |= {"color": OTHERS, "marker": ".", "linestyle": ":", "label": f"{codec} (ours)"}
            axis.plot(*zip(*points), **line)
        axis.set_xscale("log")
        axis.set_xlabel("bits per pixel")
        axis.set_ylabel(name)
        axis.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
        axis.grid(True, which="both", color="0.92")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylim(0.6, 1.005)
    axes[1].set_ylim(24, 56)
    axes[0].axhline(0.95, color="0.6", linewidth=0.8, linestyle="--")
    axes[1].axhline(40, color="0.6", linewidth=0.8, linestyle="--")
    axes[1].legend(fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(f"{modality}: up and to the left is better; dashed, where codecs are compared", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
