"""BD-rate: the mean difference of rate of two curves at equal quality.

Bjøntegaard, VCEG-M33 (2001), with the piecewise cubic Hermite polynomials that JCT-VC adopted in place of one cubic: they pass through
the points and do not swing between them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.interpolate import PchipInterpolator

Curve = Sequence[tuple[float, float]]
LEAST_POINTS = 4


def bd_rate(anchor: Curve, test: Curve, limits: tuple[float, float] = (-math.inf, math.inf), least: float = 0.0) -> float | None:
    """What `test` needs more than `anchor` at equal quality, as a share: -0.3 is 30 % less. Curves are (rate, quality).

    Taken over the qualities that both reach, within `limits`; None where that is no more than `least` wide, or a curve has fewer than
    four points that rise."""
    curves = [rising(curve) for curve in (anchor, test)]
    if min(len(curve) for curve in curves) < LEAST_POINTS:
        return None
    low = max(limits[0], *(curve[0][1] for curve in curves))
    high = min(limits[1], *(curve[-1][1] for curve in curves))
    if high - low <= least:
        return None
    means = []
    for curve in curves:
        rates, qualities = np.array(curve).T
        means.append(float(PchipInterpolator(qualities, np.log(rates)).integrate(low, high)) / (high - low))
    return math.exp(means[1] - means[0]) - 1


def rising(curve: Curve) -> list[tuple[float, float]]:
    """The points that cost more and show more than those before; a setting that costs more and shows no more is left out."""
    found: list[tuple[float, float]] = []
    for rate, quality in sorted(curve):
        if not found or (quality > found[-1][1] and rate > found[-1][0]):
            found.append((rate, quality))
    return found


def ssim_decibels(ssim: float) -> float:
    """SSIM crowds together near 1; -10 log10(1 - SSIM) does not."""
    return -10 * math.log10(max(1 - ssim, 1e-12))
