"""`tables.bin`: the trained context model as integers, and the integer arithmetic of `common/latent` in NumPy.

docs/BITSTREAM.md is normative. Means, errors and activities are fixed-point integers; the tables are 16-bit probabilities. What is
floating point here is only the choice of the numbers, never their use.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
from scipy.special import gammainc

from .entropy_model import RADIUS, ContextModel

FRACTIONS = 8
BINS = 28
PRECISION = 16
MAX_SYMBOL = 32_767
MAX_RADIUS = 255
SMALLEST_WEIGHT = 1 / 1024


@dataclass
class Channel:
    """Integer context model of one latent channel; taps are (channel, dy, dx, weight in Q16)."""

    mean_bias: int
    mean_taps: list[tuple[int, int, int, int]]
    activity_bias: int
    activity_taps: list[tuple[int, int, int, int]]
    thresholds: list[int] = field(default_factory=list)
    tables: list[tuple[int, np.ndarray]] = field(default_factory=list)  # (radius, probabilities), bins x FRACTIONS


def integer_channels(context: ContextModel) -> list[Channel]:
    mean = (context.mean_weight * context.mean_mask).detach().double().numpy()
    bias = context.mean_bias.detach().double().numpy()
    activity = context.activity_weight().detach().double().numpy()
    activity_bias = (np.log1p(np.exp(context.activity_bias.detach().double().numpy()))) + 0.02

    def taps(weight: np.ndarray) -> list[tuple[int, int, int, int]]:
        found = []
        for k in range(weight.shape[0]):
            for dy in range(-RADIUS, RADIUS + 1):
                for dx in range(-RADIUS, RADIUS + 1):
                    value = weight[k, dy + RADIUS, dx + RADIUS]
                    if abs(value) >= SMALLEST_WEIGHT:
                        found.append((k, dy, dx, int(round(value * 65536))))
        return found

    return [
        Channel(int(round(bias[c] * 65536)), taps(mean[c]), int(round(activity_bias[c] * 65536)), taps(activity[c]))
        for c in range(context.channels)
    ]


def shifted(plane: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """plane[y + dy, x + dx], 0 outside."""
    out = np.zeros_like(plane)
    h, w = plane.shape
    ys, ye, xs, xe = max(0, -dy), min(h, h - dy), max(0, -dx), min(w, w - dx)
    if ys < ye and xs < xe:
        out[ys:ye, xs:xe] = plane[ys + dy : ye + dy, xs + dx : xe + dx]
    return out


@dataclass
class Contexts:
    """Per latent of one channel: residual, fraction bucket, activity (Q8), all int64 [h, w]."""

    residual: np.ndarray
    fraction: np.ndarray
    activity: np.ndarray


def contexts(channels: list[Channel], q: np.ndarray) -> list[Contexts]:
    """Integer contexts of latents int64 [C, h, w], exactly as the product computes them."""
    errors: list[np.ndarray] = []
    result = []
    for c, channel in enumerate(channels):
        mean_q16 = np.full(q.shape[1:], channel.mean_bias, np.int64)
        for k, dy, dx, weight in channel.mean_taps:
            mean_q16 += weight * shifted(q[k], dy, dx)
        mean_q8 = np.clip(mean_q16 >> 8, -(MAX_SYMBOL << 8), MAX_SYMBOL << 8)
        rounded = (mean_q8 + 128) >> 8
        fraction = (mean_q8 - (rounded << 8) + 128) >> 5
        errors.append(np.minimum(np.abs((q[c] << 8) - mean_q8), (1 << 24) - 1))
        total = np.full(q.shape[1:], channel.activity_bias << 8, np.int64)
        for k, dy, dx, weight in channel.activity_taps:
            total += weight * shifted(errors[k], dy, dx)
        result.append(Contexts(q[c] - rounded, fraction, total >> 16))
    return result


def generalised_normal_cdf(x: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    return 0.5 + 0.5 * np.sign(x) * gammainc(1.0 / beta, (np.abs(x) / alpha) ** beta)


def fit(errors: np.ndarray, guess: float) -> tuple[float, float]:
    """(alpha, beta) of a generalised normal that codes rounded errors (float, mean removed) in the fewest bits."""
    if errors.size > 20_000:
        errors = errors[:: errors.size // 20_000 + 1]
    values, times = np.unique(errors, return_counts=True)  # a mean has eighths, so there are few
    best = (np.inf, guess, 1.2)
    for beta in (0.7, 0.85, 1.0, 1.2, 1.5, 2.0):
        for factor in np.geomspace(0.3, 3.0, 21):
            alpha = guess * factor
            p = generalised_normal_cdf(values + 0.5, alpha, beta) - generalised_normal_cdf(values - 0.5, alpha, beta)
            bits = -np.log2(np.maximum(p, 2.0**-16)) @ times
            if bits < best[0]:
                best = (bits, alpha, beta)
    return best[1], best[2]


def table(alpha: float, beta: float, fraction: int) -> tuple[int, np.ndarray]:
    """(radius, probabilities of -R..R and ESCAPE summing to 2^16) for a mean that lies `fraction` eighths into its integer."""
    offset = (fraction * 32 - 128 + 16) / 256
    radius = 1
    while radius < MAX_RADIUS and 1.0 - generalised_normal_cdf(np.array(radius + 0.5), alpha, beta) > 2.0**-13:
        radius += 1
    edges = np.arange(-radius, radius + 2) - 0.5 - offset
    p = np.diff(generalised_normal_cdf(edges, alpha, beta))
    p = np.append(p, max(1.0 - p.sum(), 0.0))
    total = 1 << PRECISION
    counts = np.maximum(1, np.floor(p * (total - p.size)).astype(np.int64) + 1)
    counts[np.argmax(counts)] += total - counts.sum()
    return radius, counts


def calibrate(channels: list[Channel], latents: list[np.ndarray]) -> float:
    """Set thresholds and tables from integer latents [C, h, w] of training pictures; returns the mean bits a latent.

    A context that few latents fall into takes the shape of its nearest neighbour.
    """
    gathered = [contexts(channels, q) for q in latents]
    thresholds = sorted({int(t) for t in np.geomspace(8, 256 * 64, BINS - 1)})
    bits, symbols = 0.0, 0
    for c, channel in enumerate(channels):
        residual = np.concatenate([g[c].residual.ravel() for g in gathered])
        fraction = np.concatenate([g[c].fraction.ravel() for g in gathered])
        activity = np.concatenate([g[c].activity.ravel() for g in gathered])
        error = residual - (fraction * 32 - 128 + 16) / 256
        channel.thresholds = thresholds
        which = np.searchsorted(np.array(thresholds), activity, side="right")
        centres = np.sqrt(np.array([4, *thresholds], float) * np.array([*thresholds, 512 * 64], float)) / 256
        least = min(400, np.bincount(which).max())
        fitted: dict[int, tuple[float, float]] = {}
        for b in range(len(thresholds) + 1):
            inside = error[which == b]
            if inside.size >= least:
                fitted[b] = fit(inside, max(centres[b], 0.02))
        channel.tables = []
        for b in range(len(thresholds) + 1):
            near = min(fitted, key=lambda k: abs(k - b))
            alpha, beta = fitted[near]
            alpha *= centres[b] / centres[near]
            for f in range(FRACTIONS):
                channel.tables.append(table(alpha, beta, f))
        context = which * FRACTIONS + fraction
        order = np.argsort(context.astype(np.int16), kind="stable")
        for index, chosen in enumerate(np.split(residual[order], np.cumsum(np.bincount(context, minlength=len(channel.tables)))[:-1])):
            radius, counts = channel.tables[index]
            inside = np.abs(chosen) <= radius
            bits += -np.log2(counts[chosen[inside] + radius] / 65536).sum()
            over = np.abs(chosen[~inside]) - radius - 1
            bits += over.size * -np.log2(counts[-1] / 65536) + (2 * np.floor(np.log2(over + 1)) + 2).sum()
        symbols += residual.size
    return bits / symbols


def parse(data: bytes) -> list[Channel]:
    """The context model of a `tables.bin`, without its probabilities. Raises `ValueError` where it is none."""
    if data[:4] != b"LWTB" or len(data) < 8:
        raise ValueError("tables.bin is not a table of this trainer")
    version, count, _, fractions = struct.unpack_from("<BBBB", data, 4)
    if version != 1 or fractions != FRACTIONS:
        raise ValueError(f"tables.bin has version {version} and {fractions} fractions: known are 1 and {FRACTIONS}")
    at, found = 8, []

    def take(form: str) -> tuple:
        nonlocal at
        values = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        return values

    try:
        for _ in range(count):
            mean_bias, taps = take("<iH")
            mean_taps = [take("<Bbbi") for _ in range(taps)]
            activity_bias, taps = take("<IH")
            activity_taps = [take("<BbbI") for _ in range(taps)]
            (bins,) = take("<B")
            thresholds = list(take(f"<{bins - 1}I"))
            for _ in range(bins * FRACTIONS):
                (radius,) = take("<H")
                at += 2 * (2 * radius + 2)
            found.append(Channel(mean_bias, mean_taps, activity_bias, activity_taps, thresholds))
    except struct.error:
        raise ValueError("tables.bin ends early") from None
    return found


def serialise(channels: list[Channel]) -> bytes:
    out = bytearray(b"LWTB" + struct.pack("<BBBB", 1, len(channels), PRECISION, FRACTIONS))
    for channel in channels:
        out += struct.pack("<iH", channel.mean_bias, len(channel.mean_taps))
        for k, dy, dx, weight in channel.mean_taps:
            out += struct.pack("<Bbbi", k, dy, dx, weight)
        out += struct.pack("<IH", channel.activity_bias, len(channel.activity_taps))
        for k, dy, dx, weight in channel.activity_taps:
            out += struct.pack("<BbbI", k, dy, dx, weight)
        bins = len(channel.thresholds) + 1
        out += struct.pack("<B", bins) + struct.pack(f"<{bins - 1}I", *channel.thresholds)
        for radius, counts in channel.tables:
            assert counts.size == 2 * radius + 2 and counts.sum() == 65536 and counts.min() >= 1
            out += struct.pack("<H", radius) + (counts - 1).astype("<u2").tobytes()
    return bytes(out)
