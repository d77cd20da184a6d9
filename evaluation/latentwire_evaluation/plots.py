"""Matplotlib without a window, and the two kinds of picture that most sections draw."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

__all__ = ["grid", "plt", "save"]


def save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def grid(path: Path, rows: list[list[tuple[str, np.ndarray | None]]], side: float = 2.6) -> None:
    """Pictures of 8 bits in rows, each with its title; `None` leaves a place empty. Their pixels are shown as they are."""
    figure, axes = plt.subplots(len(rows), max(len(row) for row in rows), figsize=(side * max(len(row) for row in rows), (side + 0.3) * len(rows)), squeeze=False)
    for line, row in zip(axes, rows):
        for axis in line:
            axis.set_axis_off()
        for axis, (title, image) in zip(line, row):
            if image is not None:
                axis.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                axis.set_title(title, fontsize=9)
    save(figure, path)
