"""The plots: SSIM and PSNR over bits per pixel, all codecs, ours in front. As PNG for the page, as SVG for docs/figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..plots import plt
from ..rate_distortion.draw import OURS, STYLES
from .grid import BASELINE
from .rates import GOALS
from .tables import NAMES, called

MARKS = {**STYLES, BASELINE: ("#8a5a44", "*")}
OTHER_TIERS = ("#e28a4e", "h")
INK, PAPER, GRID = "#24292f", "#ffffff", "#e4e7ea"
# What stands for them where the reader's page is dark. Lines keep their colours: they are told apart on both.
DARK = {INK: "#d5dbe1", PAPER: "#0d1117", GRID: "#2b3138"}
TICKS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5)
SHOWN = {"ssim": (0.75, 1.0), "psnr_db": (30.0, 46.0)}
LABELS = {"ssim": "SSIM", "psnr_db": "PSNR, dB"}


def modality(path: Path, name: str, one: Mapping) -> None:
    """Means over the pictures, setting by setting."""
    style = {"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK, "svg.fonttype": "none", "svg.hashsalt": "latentwire", "font.family": "DejaVu Sans"}
    with plt.rc_context(style):
        figure, axes = plt.subplots(1, 2, figsize=(11.5, 4.6), facecolor=PAPER)
        for axis, (measure, goal, _) in zip(axes, GOALS):
            panel(axis, one, measure, goal)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, fontsize=9.5, frameon=False, loc="lower center", ncols=4, bbox_to_anchor=(0.5, 0.0))
        figure.suptitle(f"{name.capitalize()}: {one['groups']['all']['pictures']} test pictures, means at each setting. Up and to the left is better.", fontsize=11, x=0.02, ha="left")
        figure.tight_layout(rect=(0, 0.13, 1, 0.98))
        figure.savefig(path, dpi=130, facecolor=PAPER, metadata={"Date": None} if path.suffix == ".svg" else None)
        plt.close(figure)
    if path.suffix == ".svg":
        path.write_text(with_dark(with_fonts(path.read_text(encoding="utf-8"))), encoding="utf-8")


def panel(axis: plt.Axes, one: Mapping, measure: str, goal: float) -> None:
    low, high = SHOWN[measure]
    rates = []
    order = [*one["models"], *NAMES]
    for codec, lines in sorted(one["curves"].items(), key=lambda item: order.index(item[0])):
        points = [(line["bpp"], line[measure]) for line in lines]
        rates += [rate for rate, quality in points if low <= quality <= high]
        line = {"label": called(codec).replace("`", ""), "linewidth": 1.4, "markersize": 5}
        if codec == one["model"]:
            line |= {"color": OURS, "marker": "o", "linewidth": 2.8, "markersize": 6.5, "zorder": 5, "label": f"{codec} (ours)"}
        elif codec in one["models"]:
            line |= {"color": OTHER_TIERS[0], "marker": OTHER_TIERS[1], "linewidth": 2, "zorder": 4, "label": f"{codec} (ours)"}
        else:
            line |= dict(zip(("color", "marker"), MARKS[codec])) | ({"linestyle": "--"} if codec == BASELINE else {})
        axis.plot(*zip(*points), **line)
    axis.axhline(goal, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axis.set(xscale="log", xlabel="bits per pixel", ylabel=LABELS[measure], ylim=(low, high), facecolor=PAPER)
    axis.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axis.minorticks_off()
    if rates:
        axis.set_xlim(max(min(rates) * 0.9, TICKS[0] * 0.8), min(max(rates) * 1.1, 6))
    axis.grid(True, color=GRID)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def with_fonts(svg: str) -> str:
    """The text stays text; where the reader has no DejaVu Sans, one of its width stands in."""
    return svg.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")


def with_dark(svg: str) -> str:
    """The same picture with a style for dark pages: ink, paper and grid change places, by the reader's setting."""
    rules = "".join(f'[style*="{kind}: {light}"] {{ {kind}: {dark} !important; }} ' for light, dark in DARK.items() for kind in ("fill", "stroke"))
    style = f"<style>@media (prefers-color-scheme: dark) {{ {rules}}}</style>"
    start = svg.index("<defs>")
    return svg[:start] + style + svg[start:]
