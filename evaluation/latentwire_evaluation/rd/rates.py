"""Bytes at equal quality, what ours saves against a codec, and whether the gate holds; intervals by resampling pictures.

**The rule.** On each picture the bytes at a goal are interpolated between the two settings around it, the logarithm of the rate being linear
in the quality; nothing is extrapolated. Ours is compared with a codec on the pictures on which both are known: *saved* is one less
the mean of our bits per pixel over the mean of the codec's. Beside it stand the same of the sums of bytes, and of the
geometric mean of the ratios, in which no picture weighs more than another. On a picture where even our coarsest knob is above the
goal, that knob's bytes count as ours: what less would do is not assumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..measure import padme
from ..rate_distortion.equal import bpp_at
from .bjontegaard import bd_rate, ssim_decibels
from .grid import BASELINE, REFERENCE
from .points import Point

GOALS = (("ssim", 0.95, "SSIM 0.95"), ("psnr_db", 38.0, "PSNR 38 dB"))
# Fewer than JPEG 2000, and (the stretch) fewer than the best of all.
GATE, STRETCH = 0.30, 0.20
# Of the pictures on which a codec reaches the goal, on how many ours must as well: a gate is not passed by leaving pictures out.
LEAST_REACHED = 0.95
RESAMPLES, SEED = 2000, 20221130
# Where BD-rates are taken, and how much of it two curves must share.
BD_LIMITS = {"ssim": (ssim_decibels(0.85), ssim_decibels(0.99)), "psnr_db": (32.0, 46.0)}
BD_LEAST = 1.0

# By picture: bytes at the goal.
Known = Mapping[str, float]


def curves(points: Iterable[Point], measure: str) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """By codec and picture: (bytes, quality)."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for point in points:
        found.setdefault(point.codec, {}).setdefault(point.file, []).append((point.size, getattr(point, measure)))
    return found


def bytes_at(curve: Sequence[tuple[float, float]], goal: float, coarsest_counts: bool = False) -> float | None:
    """Bytes for the goal on one picture; with `coarsest_counts`, where every setting is above the goal, those of the cheapest."""
    found = bpp_at(curve, goal)
    if found is None and coarsest_counts and curve and min(quality for _, quality in curve) >= goal:
        return min(size for size, _ in curve)
    return found


def known(by_codec: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], goal: float, ours: Iterable[str]) -> dict[str, dict[str, float]]:
    """By codec and picture, where it is known."""
    ours = set(ours)
    found: dict[str, dict[str, float]] = {}
    for codec, files in by_codec.items():
        values = {file: bytes_at(curve, goal, codec in ours) for file, curve in files.items()}
        found[codec] = {file: value for file, value in values.items() if value is not None}
    return found


@dataclass(frozen=True)
class Draws:
    """How often each picture stands in each resample, [resamples, pictures]; the same draws for every codec."""

    files: tuple[str, ...]
    counts: np.ndarray

    @classmethod
    def of(cls, files: Sequence[str], seed: int = SEED) -> "Draws":
        count = len(files)
        return cls(tuple(files), np.random.default_rng(seed).multinomial(count, [1 / count] * count, RESAMPLES))

    def interval(self, values: np.ndarray) -> list[float] | None:
        """Of 95 %; None where no resample says anything."""
        values = values[np.isfinite(values)]
        return [float(value) for value in np.percentile(values, (2.5, 97.5))] if len(values) else None


def compare(own: Known, other: Known, area: Mapping[str, int], draws: Draws) -> dict | None:
    """What ours saves against a codec; None where no picture is known of both."""
    both = np.array([file in own and file in other for file in draws.files])
    if not both.any():
        return None
    mine, its = (np.array([sizes.get(file, 0.0) if there else 0.0 for file, there in zip(draws.files, both)]) for sizes in (own, other))
    padded = [np.array([padme(math.ceil(size)) if there else 0 for size, there in zip(sizes, both)], float) for sizes in (mine, its)]
    pixels = np.array([area[file] for file in draws.files], float)
    logs = np.zeros(len(both))
    logs[both] = np.log(mine[both] / its[both])

    def saved(weights: np.ndarray) -> dict[str, np.ndarray]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                "saved": 1 - (weights @ (mine / pixels)) / (weights @ (its / pixels)),
                "saved_padded": 1 - (weights @ (padded[0] / pixels)) / (weights @ (padded[1] / pixels)),
                "saved_of_sums": 1 - (weights @ mine) / (weights @ its),
                "saved_geometric": 1 - np.exp((weights @ logs) / (weights @ both.astype(float))),
            }

    whole, again = saved(np.ones((1, len(both)))), saved(draws.counts.astype(float))
    figures = {name: float(value[0]) for name, value in whole.items()}
    intervals = {f"{name}_95": draws.interval(value) for name, value in again.items()}
    mean = {"ours_bpp": float(np.mean(8 * (mine / pixels)[both])), "its_bpp": float(np.mean(8 * (its / pixels)[both]))}
    return {"pictures": int(both.sum()), **mean, **figures, **intervals, "resamples": again["saved"]}


def equal_quality(by_codec: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], goal: float, ours: Sequence[str], area: Mapping[str, int], draws: Draws) -> dict:
    """By codec: bits per pixel at the goal, and what the first of `ours` saves against it; and the gate."""
    sizes = known(by_codec, goal, ours)
    own = sizes.get(ours[0], {})
    found, resamples = {}, {}
    for codec, curves_of in by_codec.items():
        mine = {file: size for file, size in sizes[codec].items() if file in area}
        files = [file for file in curves_of if file in area]
        row: dict = {
            "of": len(draws.files),
            "known": len(mine),
            "reached": sum(any(quality >= goal for _, quality in curves_of[file]) for file in files),
            "bpp": mean(8 * size / area[file] for file, size in mine.items()),
            "bpp_padded": mean(8 * padme(math.ceil(size)) / area[file] for file, size in mine.items()),
            "bpp_of_sums": 8 * sum(mine.values()) / sum(area[file] for file in mine) if mine else None,
        }
        if codec != ours[0] and (against := compare(own, mine, area, draws)):
            resamples[codec] = against.pop("resamples")
            row["ours"] = against
            row["ours_reached_where_it_did"] = len(set(own) & set(mine)) / len(mine)
        found[codec] = row
    return {"codecs": found, "gate": gate(found, resamples, ours)}


def gate(found: Mapping[str, dict], resamples: Mapping[str, np.ndarray], ours: Sequence[str]) -> dict:
    """Whether the gate and the stretch hold, on all pictures and in what share of the resamples. The best is the codec against which
    ours saves least."""
    peers = [codec for codec in found if codec not in ours and codec != BASELINE and "ours" in found[codec]]
    if REFERENCE not in peers:
        return {"holds": False, "stretch": False, "why": f"ours and {REFERENCE} meet at the goal on no picture"}
    saved = {codec: found[codec]["ours"]["saved"] for codec in peers}
    best = min(saved, key=saved.__getitem__)
    reached = min(found[codec]["ours_reached_where_it_did"] for codec in peers)
    enough = reached >= LEAST_REACHED
    reference, least = resamples[REFERENCE], np.min([resamples[codec] for codec in peers], axis=0)
    return {
        "reference": REFERENCE,
        "saved_of_reference": saved[REFERENCE],
        "best": best,
        "saved_of_best": saved[best],
        "reached": reached,
        "holds": bool(enough and saved[REFERENCE] >= GATE and saved[best] >= 0),
        "stretch": bool(enough and saved[best] >= STRETCH),
        "holds_in_resamples": float(np.mean((reference >= GATE) & (least >= 0))) if enough else 0.0,
        "stretch_in_resamples": float(np.mean(least >= STRETCH)) if enough else 0.0,
        "why": "" if enough else f"ours reaches the goal on {reached:.0%} of the pictures on which a codec does; {LEAST_REACHED:.0%} are asked for",
    }


def bd_rates(points: Sequence[Point], own: str, draws: Draws, measure: str, limits: tuple[float, float] | None = None) -> dict[str, dict]:
    """By codec: the mean BD-rate of ours against it over the pictures (of the logarithms), negative where ours needs less."""
    by_codec = curves(points, measure)
    scale = ssim_decibels if measure == "ssim" else float
    scaled = {codec: {file: [(size, scale(quality)) for size, quality in curve] for file, curve in files.items()} for codec, files in by_codec.items()}
    found = {}
    for codec, files in scaled.items():
        if codec == own:
            continue
        rates = [bd_rate(files.get(file, []), scaled.get(own, {}).get(file, []), limits or BD_LIMITS[measure], BD_LEAST) for file in draws.files]
        there = np.array([rate is not None for rate in rates])
        if not there.any():
            continue
        logs = np.array([math.log1p(rate) if rate is not None else 0.0 for rate in rates])
        with np.errstate(divide="ignore", invalid="ignore"):
            again = np.exp((draws.counts @ logs) / (draws.counts @ there.astype(float))) - 1
        found[codec] = {"pictures": int(there.sum()), "bd_rate": math.expm1(float(logs[there].mean())), "bd_rate_95": draws.interval(again)}
    return found


def mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return float(np.mean(values)) if values else None
