"""Bytes and fidelity of pictures at many settings: codecs in processes of their own, ours through the running services."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..measure import fidelity
from ..rate_distortion.codecs import once
from ..rate_distortion.ours import there_and_back
from ..report.context import Context
from ..services import NotDelivered, Services
from .grid import BY_NAME
from .pictures import Picture

AT_ONCE = 2


@dataclass(frozen=True)
class Point:
    """One picture at one setting. `sealed_bytes` is all that went over the wire, of ours alone."""

    file: str
    codec: str
    setting: float
    size: int
    ssim: float
    psnr_db: float
    sealed_bytes: int | None = None
    # With the picture before noise was added, where there was one.
    clean_ssim: float | None = None
    clean_psnr_db: float | None = None


def measured(name: str, codec: str, setting: float, size: int, sent: np.ndarray, back: np.ndarray, clean: np.ndarray | None, sealed: int | None = None) -> Point:
    found = fidelity(sent, back)
    of_clean = fidelity(clean, back) if clean is not None else {"ssim": None, "psnr_db": None}
    return Point(name, codec, setting, size, found["ssim"], found["psnr_db"], sealed, of_clean["ssim"], of_clean["psnr_db"])


def by_codec(name: str, codec: str, settings: Sequence[float], pixels: np.ndarray, clean: np.ndarray | None) -> list[Point]:
    """One picture through one codec; runs in a process of its own."""
    found = []
    for setting in settings:
        size, back, _, _ = once(BY_NAME[codec], pixels, setting, runs=1)
        found.append(measured(name, codec, setting, size, pixels, back, clean))
    return found


def by_model(services: Services, name: str, model: str, knobs: Sequence[int], pixels: np.ndarray, clean: np.ndarray | None) -> list[Point]:
    """One picture through one model, at each knob, sent and fetched."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for knob in knobs:
            line, back, _ = there_and_back(services, Path(folder), pixels, model, knob)
            found.append(measured(name, model, knob, line["coded_bytes"], pixels, back, clean, line.get("sealed_bytes")))
    return found


def all_points(
    context: Context,
    pictures: Sequence[Picture],
    models: Sequence[str],
    settings: dict[str, tuple[float, ...]],
    knobs: Sequence[int],
    tick: Callable[[float], None],
    clean: dict[str, np.ndarray] | None = None,
) -> list[Point]:
    """Every codec and model on every picture. What fails on a picture is told to the context, and its points are missing."""
    clean = clean or {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(os.cpu_count() or 1, AT_ONCE), mp_context=spawn) as processes, ThreadPoolExecutor(AT_ONCE) as threads:
        asked: dict[Future, tuple[Picture, str]] = {}
        for picture in pictures:
            for model in models:
                asked[threads.submit(by_model, context.services, picture.name, model, knobs, picture.pixels, clean.get(picture.name))] = picture, model
            for codec, values in settings.items():
                asked[processes.submit(by_codec, picture.name, codec, values, picture.pixels, clean.get(picture.name))] = picture, codec
        return collected(context, asked, tick)


def collected(context: Context, asked: dict[Future, tuple[Picture, str]], tick: Callable[[float], None]) -> list[Point]:
    found: list[Point] = []
    waiting = set(asked)
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for one in done:
            picture, codec = asked[one]
            try:
                found += one.result()
            except (NotDelivered, ValueError, OSError, RuntimeError) as error:
                context.left_out(picture.path, f"{codec}: {error}")
        tick(1 - len(waiting) / len(asked))
    return sorted(found, key=lambda point: (point.file, point.codec))


def rows(points: Iterable[Point]) -> list[dict]:
    return [{key: value for key, value in asdict(point).items() if value is not None} for point in points]
