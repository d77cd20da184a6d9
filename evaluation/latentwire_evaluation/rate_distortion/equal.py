"""Bits per pixel at equal quality, from measured points by interpolation, never beyond them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def bpp_at(points: Sequence[tuple[float, float]], goal: float) -> float | None:
    """Bits per pixel at which a codec reaches `goal` on a picture; `points` are (bits per pixel, quality).

    Between the two settings around the goal the logarithm of the rate is taken to be linear in the quality. `None` where no
    setting reaches the goal; where every setting does, too: how much less would do was not measured."""
    ordered = sorted(points, key=lambda point: point[1])
    for (low_rate, low), (high_rate, high) in zip(ordered, ordered[1:]):
        if low < goal <= high:
            share = (goal - low) / (high - low)
            return math.exp(math.log(low_rate) * (1 - share) + math.log(high_rate) * share)
    return None


def reached(points: Sequence[tuple[float, float]], goal: float) -> bool:
    return any(quality >= goal for _, quality in points)


def mean_ratio(pairs: Sequence[tuple[float | None, float | None]]) -> tuple[float, int] | None:
    """Geometric mean of first over second, and of how many pictures: those on which both were found."""
    found = [(one, other) for one, other in pairs if one is not None and other is not None]
    if not found:
        return None
    return math.exp(sum(math.log(one / other) for one, other in found) / len(found)), len(found)
