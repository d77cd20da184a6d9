"""The rd family under paper A's four noises, at the levels that match the SSIM the paper prints: noisy pictures through every codec and ours.

What is sent is the noisy picture, so quality is measured against it; how near what comes back is to the clean picture stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..measure import fidelity
from ..paper_a import denoising
from ..paper_a.pictures import pictures as squares
from ..report.context import Context
from ..report.page import Page
from ..testset import FOLDERS
from . import tables
from .grid import NOISE_KNOBS, NOISE_SETTINGS, REFERENCE
from .pictures import Picture, chosen
from .points import Point, all_points
from .rates import GOALS, Draws, bd_rates, curves, known

PICTURES = 4
# Of those on which the levels are found.
CALIBRATED_ON = 6
# Noise cannot be coded cheaply: quality is compared at this rate, where all have something to show.
RATE = 1.0
NOISES = tuple(denoising.NOISES)

TEXT = """
At most {count} test pictures a modality, scaled as above, with noise of the levels at which pictures of 224x224 have the SSIM with their noisy copies that paper A prints; the noisy
picture is what is sent and what is measured against. Nobody can code such noise at SSIM 0.95 cheaply, so quality stands at a rate of {rate:g} bit per pixel too, interpolated over the
logarithm of the rate (a codec that does not get so low has a dash); *known* is on how many pictures SSIM 0.95 is placed. BD-rate over all that both curves share.

{tables}
"""


def run(context: Context) -> Page:
    found = {}
    for index, modality in enumerate(FOLDERS):
        pictures = chosen(context, modality, PICTURES)
        models = context.family_models(modality) if pictures else []
        if not models:
            continue
        calibration = squares(context.data / FOLDERS[modality] / "test", CALIBRATED_ON, context.left_out)
        noises = {}
        for place, name in enumerate(NOISES):

            def tick(share: float, done: float = index + place / len(NOISES)) -> None:
                context.tick((done + share / len(NOISES)) / len(FOLDERS))

            noises[name] = under(context, name, pictures, calibration, models[:1], tick)
        found[modality] = {"model": models[0], "pictures": len(pictures), "rate": RATE, "noises": noises}
    if not found:
        raise ValueError(f"no model of family {context.family} in {context.models}")
    parts = [f"### {modality.capitalize()}\n\n{tables.noise(found, modality)}" for modality in found]
    return Page(TEXT.format(count=PICTURES, rate=RATE, tables="\n\n".join(parts)), {"rd_noise": found}, [finding(found)])


def under(context: Context, name: str, pictures: Sequence[Picture], calibration: list[np.ndarray], models: Sequence[str], tick) -> dict:
    level, _ = denoising.calibrated(calibration, name)
    noisy = [Picture(picture.path, changed(picture.pixels, name, level), picture.unseen) for picture in pictures]
    clean = {picture.name: picture.pixels for picture in pictures}
    points = all_points(context, noisy, models, NOISE_SETTINGS, NOISE_KNOBS, tick, clean)
    draws = Draws.of([picture.name for picture in pictures])
    area = {picture.name: picture.area for picture in pictures}
    everything = (-math.inf, math.inf)
    return {
        "level": level,
        "noisy_ssim": tables.mean(fidelity(clean[picture.name], picture.pixels)["ssim"] for picture in noisy),
        "codecs": {codec: at_rate(codec, points, area, models) for codec in [*models, *NOISE_SETTINGS]},
        "bd": {measure: bd_rates(points, models[0], draws, measure, everything) for measure, _, _ in GOALS},
    }


def changed(pixels: np.ndarray, name: str, level: float) -> np.ndarray:
    planes = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    (noisy,) = denoising.noisy([planes], denoising.NOISES[name][0], level)
    return noisy if pixels.ndim == 3 else np.ascontiguousarray(noisy[..., 0])


def at_rate(codec: str, points: Sequence[Point], area: dict[str, int], models: Sequence[str]) -> dict:
    """Means over the pictures at RATE, where all of them get there; bits per pixel at the first goal, where it is known."""
    own = [point for point in points if point.codec == codec]
    row: dict = {}
    for measure in ("ssim", "psnr_db", "clean_ssim"):
        values = [quality_at([(8 * p.size / area[p.file], getattr(p, measure)) for p in own if p.file == file], RATE) for file in area]
        row[measure] = float(np.mean(values)) if values and None not in values else None
    measure, goal, _ = GOALS[0]
    sizes = known(curves(own, measure), goal, models).get(codec, {})
    return {**row, "bpp": tables.mean(8 * size / area[file] for file, size in sizes.items()) if sizes else None, "known": len(sizes)}


def quality_at(curve: Sequence[tuple[float, float]], rate: float) -> float | None:
    """Between the two settings around a rate, linear in its logarithm; None beyond them."""
    ordered = sorted(curve)
    for (low, first), (high, second) in zip(ordered, ordered[1:]):
        if low <= rate <= high and low < high:
            return first + (second - first) * math.log(rate / low) / math.log(high / low)
    return None


def finding(found: dict) -> str:
    said = []
    for modality, one in found.items():
        rates = {name: noise["bd"]["psnr_db"].get(REFERENCE) for name, noise in one["noises"].items()}
        said.append(f"{modality} " + ", ".join(f"{name} {tables.percent(rate['bd_rate']) if rate else 'not comparable'}" for name, rate in rates.items()))
    return f"**Under paper A's noises**, BD-rate of ours against JPEG 2000 by PSNR with what was sent (negative is fewer bytes): {'; '.join(said)}."
