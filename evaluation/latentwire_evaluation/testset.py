"""The pictures of an evaluation folder (modality/split/file): which there are, which may be shown, which cannot be used and why."""

from __future__ import annotations

import csv
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from .services import ROOT

FOLDERS = {"fundus": "fundus", "chest": "chest_xray", "brain": "brain_mri"}
MODELS = {"fundus": "ae224-fundus", "chest": "ae224-chest", "brain": "ae224-brain"}
KINDS = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
# SSIM looks through windows of 7 pixels, and the product sends what has a side below 16 as its own bytes.
LEAST_SIDE = 16
# JPEG leaves blocks of 8x8 behind which transform codecs of the same grid would find again: scaled, they are gone.
SCALE = 0.7
# Pictures of one modality that a section shows, or takes shown ones from, at most.
SHOWN = 7

LeftOut = Callable[[Path, str], None]


class Unusable(ValueError):
    """Why a picture cannot be measured."""


def say(path: Path, why: str) -> None:
    print(f"left out {path.name}: {why}", file=sys.stderr)


def read(path: Path) -> np.ndarray:
    """[H, W] or [H, W, 3] of 8 bits. Raises Unusable."""
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Unusable(f"cannot be read: {error}") from error
    values = np.asarray(image)
    if values.dtype.kind == "f":
        missing = int(values.size - np.isfinite(values).sum())
        why = f"{missing} of its values are no numbers (NaN or infinite)" if missing else "its values are floating point"
        raise Unusable(f"{why}; pictures of 8 bits are measured here")
    if min(values.shape[:2]) < LEAST_SIDE:
        raise Unusable(f"{values.shape[1]}x{values.shape[0]} pixels: a side below {LEAST_SIDE} goes through no net")
    if image.mode not in ("L", "RGB"):
        raise Unusable(f"its mode is {image.mode}; 8-bit grey and RGB are measured here")
    if values.min() == values.max():
        raise Unusable("a single value throughout: there is nothing to code, and the product sends it exact")
    return values


def scaled(pixels: np.ndarray) -> np.ndarray:
    """By SCALE (Lanczos), no side below LEAST_SIDE."""
    height, width = (max(round(side * SCALE), LEAST_SIDE) for side in pixels.shape[:2])
    return np.ascontiguousarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def source_of(path: Path) -> str:
    """Where a picture comes from: its file's name up to the first underscore."""
    return path.stem.split("_")[0]


def files(folder: Path) -> list[Path]:
    """The picture files of a folder, by name."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in KINDS)


def by_name(found: list[Path], _count: int | None) -> list[Path]:
    return found


def open_first(found: list[Path], _count: int | None) -> list[Path]:
    """Those that may be shown before the others."""
    return sorted(found, key=lambda path: (not may_be_shown(path.parents[2])(path), path))


def spread(found: list[Path], count: int | None) -> list[Path]:
    """So many at even distances through the list, then the others: of each source about its share."""
    if not count or count >= len(found):
        return found
    first = [found[index * len(found) // count] for index in range(count)]
    return first + [path for path in found if path not in first]


def usable(
    folder: Path, count: int | None = None, left_out: LeftOut = say, order: Callable[[list[Path], int | None], list[Path]] = by_name
) -> Iterator[tuple[Path, np.ndarray]]:
    """So many pictures of a folder (DATA/modality/split); the ones that cannot be used are told to `left_out`."""
    given = 0
    for path in order(files(folder), count):
        if given == count:
            return
        try:
            values = read(path)
        except Unusable as error:
            left_out(path, str(error))
            continue
        given += 1
        yield path, values


def may_be_shown(data: Path) -> Callable[[Path], bool]:
    """Whether a picture of this folder is openly licensed: its OPEN.tsv names it. All of the checkout's samples are; of a folder
    without that list nothing is known, and nothing may be shown outside."""
    if data.resolve() == (ROOT / "samples").resolve():
        return lambda path: True
    names = _open_names(data.resolve())
    return lambda path: path.resolve().relative_to(data.resolve()).as_posix() in names


def only_open_is_shown(data: Path) -> bool:
    """Whether all pictures that a report shows are openly licensed: no section shows more than SHOWN of one modality, open ones first."""
    allowed = may_be_shown(data)
    found = [files(data / folder / "test") for folder in FOLDERS.values()]
    return all(sum(map(allowed, paths)) >= min(SHOWN, len(paths)) for paths in found)


def trained_sources(data: Path, folder: str) -> frozenset[str] | None:
    """The sources of the openly licensed training pictures of a modality's folder; None where OPEN.tsv does not say."""
    names = _open_names(data.resolve())
    return frozenset(source_of(Path(name)) for name in names if name.startswith(f"{folder}/train/")) if names else None


@functools.cache
def _open_names(data: Path) -> frozenset[str]:
    try:
        with open(data / "OPEN.tsv", encoding="utf-8", newline="") as lines:
            return frozenset(row["path"] for row in csv.DictReader(lines, delimiter="\t") if row.get("path"))
    except OSError:
        return frozenset()
