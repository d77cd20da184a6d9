"""The test pictures of a modality as the rd sections measure them: scaled, grey as grey, each with where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..report.context import Context
from ..testset import FOLDERS, scaled, source_of, spread, trained_sources, usable


@dataclass(frozen=True)
class Picture:
    path: Path
    pixels: np.ndarray
    # None where no OPEN.tsv says what may have trained.
    unseen: bool | None

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def source(self) -> str:
        return source_of(self.path)

    @property
    def area(self) -> int:
        return self.pixels.shape[0] * self.pixels.shape[1]


def chosen(context: Context, modality: str, count: int | None = None) -> list[Picture]:
    """All usable test pictures, or so many at even distances."""
    folder = context.data / FOLDERS[modality] / "test"
    trained = trained_sources(context.data, FOLDERS[modality])
    limits = [limit for limit in (count, context.pictures) if limit]
    found = []
    for path, pixels in usable(folder, min(limits) if limits else None, context.left_out, spread):
        unseen = None if trained is None else source_of(path) not in trained
        found.append(Picture(path, scaled(pixels), unseen))
    if not found:
        context.nothing(FOLDERS[modality])
    return found
