"""`tables.bin` version 2: the trained context as integers, and the integer arithmetic of `common/latent` in NumPy.

docs/BITSTREAM.md is normative. A latent here is int64 [C, h, w]: channel 0 the blocks' levels, the others coefficients in steps; with it
goes the knob K that it was quantised at. At fitting time all of it is known, so whole planes are computed at once. What is floating
point here is only the choice of the numbers, never their use.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from ..tables import FRACTIONS, MAX_RADIUS, MAX_SYMBOL, PRECISION, fit, generalised_normal_cdf, shifted, table

FEATURES = 9
MAX_ERROR = 1 << 14
MAX_STEP = 1 << 20
RECENT = 8
FIRST, WIDTH, BINS = -1408, 64, 54
ORDINARY_GROUPS = 4
GAIN = np.rint(65536 * 2.0 ** (np.arange(16) / 16)).astype(np.int64)
CENTRED = 3.5  # the fraction at which a table's mean is the integer itself
PRIOR = 300.0
MOST_ERRORS = 60_000
CHOICE_ROUNDS = 3
OWN = ((0, -1), (-1, 0), (-1, -1), (-1, 1))
Tap = tuple[int, int, int, int]


@dataclass
class Channel:
    """Integer context of one channel; taps are (channel, dy, dx, weight in Q16)."""

    group: int
    bias: int
    weight: list[int]
    mean_taps: list[Tap]


@dataclass
class Group:
    """Probabilities, (radius, counts) for each bin and, within it, each fraction."""

    fractions: int
    tables: list[tuple[int, np.ndarray]]


@dataclass
class Tables:
    """All that `tables.bin` holds."""

    predicted: int
    channels: list[Channel]
    groups: list[Group]
    first: int = FIRST
    width: int = WIDTH
    bins: int = BINS


def steps_at(base: int, octaves: np.ndarray) -> np.ndarray:
    """step(c, t) for base steps in 1/256 coefficient unit and t in 1/16 octave, in coefficient units."""
    octaves = np.asarray(octaves, np.int64)
    return np.clip((base * GAIN[octaves % 16]) >> (24 - octaves // 16), 1, MAX_STEP)


def dequantised(q: np.ndarray, knob: int, steps: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(t [h, w], k [C, h, w] with the levels themselves in channel 0, steps [C, h, w])."""
    octaves = 4 * q[0] + knob
    step = np.stack([np.ones_like(octaves)] + [steps_at(base, octaves) for base in steps[1:]])
    return octaves, np.clip(q * step, -32768, 32767), step


def logarithm(v: np.ndarray) -> np.ndarray:
    """L(v): log2((v + 1) / 16) in Q8, of integers below 2^24 - 1. Such an integer is an exact binary32, exponent and fraction side by side."""
    linear = ((v + 1).astype(np.float32).view(np.int32) >> 15) - ((127 + 4) << 8)
    fraction = linear & 255
    return linear + ((90 * fraction * (256 - fraction)) >> 16)


@dataclass
class Contexts:
    """Of one latent, all int64 [C, h, w]: value less mean, fraction (0 where the channel is not predicted), error in 1/16 step."""

    residual: np.ndarray
    fraction: np.ndarray
    error: np.ndarray


def residuals(predicted: int, taps: list[list[Tap]], q: np.ndarray, knob: int, steps: list[int]) -> Contexts:
    """What the means leave: exactly as the product computes it."""
    _, k, step = dequantised(q, knob, steps)
    mean = np.zeros_like(q)
    for c in range(predicted):
        total = np.zeros(q.shape[1:], np.int64)
        for of, dy, dx, weight in taps[c]:
            total += weight * shifted(k[of], dy, dx)
        mean[c] = np.clip((total >> 8) // step[c], -(MAX_SYMBOL << 8), MAX_SYMBOL << 8)
    rounded = (mean + 128) >> 8
    fraction = (mean - (rounded << 8) + 128) >> 5
    fraction[predicted:] = 0
    return Contexts(q - rounded, fraction, np.minimum(np.abs((q << 8) - mean) >> 4, MAX_ERROR))


def features(error: np.ndarray, octaves: np.ndarray) -> np.ndarray:
    """f0..f8, int32 [FEATURES, C, h, w], from errors in 1/16 step and t."""
    channels, h, w = error.shape

    def of(planes: np.ndarray, *places: tuple[int, int]) -> np.ndarray:
        padded = np.pad(planes, ((0, 0), (2, 2), (2, 2)))
        return sum(padded[:, 2 + dy : 2 + dy + h, 2 + dx : 2 + dx + w] for dy, dx in places)

    cross, diagonal = ((-1, 0), (1, 0), (0, -1), (0, 1)), ((-1, -1), (-1, 1), (1, -1), (1, 1))
    e = error.astype(np.int32)
    coefficients = np.concatenate([np.zeros_like(e[:1]), e[1:]])
    upto = np.concatenate([np.zeros_like(e[:1]), np.cumsum(coefficients, axis=0)])[:-1]  # over the channels before each
    last = lambda n: upto - np.concatenate([np.zeros_like(e[:n]), upto])[:channels]
    recent = last(RECENT)
    sums = (last(2), recent, of(recent, *cross), upto, of(upto, *cross), of(upto, *diagonal))
    found = np.zeros((FEATURES, channels, h, w), np.int32)
    found[0] = logarithm(of(e, (0, -1), (0, -1), (-1, 0), (-1, 0), (-1, -1), (-1, 1)))
    found[1] = logarithm(of(e, (0, -2), (-2, 0)))
    for i, v in enumerate(sums, start=2):
        found[i] = logarithm(v)
    found[8] = octaves << 4
    found[2:, 0] = 0
    return found


def expected(channels: list[Channel], found: np.ndarray) -> np.ndarray:
    """log2 of the expected |error| in Q8, [C, h, w]."""
    weight = np.array([channel.weight for channel in channels], np.int64)
    bias = np.array([channel.bias for channel in channels], np.int64)
    return bias[:, None, None] + (np.einsum("cf,fchw->chw", weight, found) >> 8)


def bins_of(tables: Tables, expected_q8: np.ndarray) -> np.ndarray:
    return np.clip((expected_q8 - tables.first) // tables.width + 1, 0, tables.bins - 1)


def coded_channels(q: np.ndarray) -> int:
    """Channels that a tile codes: up to the last that holds a value other than 0, at least one."""
    return max(int(np.flatnonzero(q.any(axis=(1, 2)))[-1]) + 1 if q.any() else 1, 1)


def integer_taps(weight: np.ndarray) -> list[Tap]:
    """Taps [k, 3, 3] in Q16, zeros left out."""
    q16 = np.rint(weight * 65536).astype(np.int64)
    return [(int(k), int(y) - 1, int(x) - 1, int(q16[k, y, x])) for k, y, x in zip(*np.nonzero(q16))]


def level_taps(latents: list[tuple[np.ndarray, int]]) -> list[Tap]:
    """The mean of a level from its own four neighbours, by least squares."""
    rows, values = [], []
    for q, _ in latents:
        rows.append(np.stack([shifted(q[0], dy, dx).ravel() for dy, dx in OWN], axis=1))
        values.append(q[0].ravel())
    x, y = np.concatenate(rows).astype(float), np.concatenate(values).astype(float)
    weight = np.linalg.solve(x.T @ x + 1e-3 * len(y) * np.eye(len(OWN)), x.T @ y + 1e-3 * len(y) * np.array([0.5, 0.5, 0, 0]))
    return [(0, dy, dx, int(round(v * 65536))) for (dy, dx), v in zip(OWN, weight)]


def log_linear(found: np.ndarray, error: np.ndarray) -> tuple[int, list[int]]:
    """(bias, weights) in Q8 of a channel whose features are [F, n] in Q8 and whose errors are [n] in 1/16 step.

    The most likely ones under a Laplace distribution: the sum of t ln 2 + |e| 2^-t is convex, and Newton's steps are damped.
    """
    if error.size > MOST_ERRORS:
        every = error.size // MOST_ERRORS + 1
        found, error = found[:, ::every], error[::every]
    x = np.concatenate([np.ones((1, error.size)), found / 256.0])
    e = error / 16.0 + 0.05
    a = np.zeros(x.shape[0])
    a[0] = np.log2(e.mean())
    cost = lambda a: np.log(2) * (a @ x).sum() + (e * np.exp2(-(a @ x).clip(-12, 12))).sum()
    best = cost(a)
    for _ in range(30):
        ratio = e * np.exp2(-(a @ x).clip(-12, 12))
        gradient = np.log(2) * (x @ (1 - ratio))
        curvature = np.log(2) ** 2 * (x * ratio) @ x.T + (1e-4 * error.size + 1.0) * np.eye(a.size)
        move, scale = np.linalg.solve(curvature, gradient), 1.0
        while scale > 1e-3 and cost(a - scale * move) > best:
            scale /= 2
        if scale <= 1e-3:
            break
        a = a - scale * move
        best = cost(a)
    q8 = np.rint(a * 256).astype(int)
    return int(q8[0]), [int(v) for v in np.clip(q8[1:], -32768, 32767)]


def probabilities(errors: np.ndarray, alpha: float, beta: float) -> tuple[int, np.ndarray]:
    """(radius, counts) of integers round 0: what was counted, both signs together, over a generalised normal that fills what is rare."""
    radius, _ = table(alpha, beta, CENTRED)
    model = np.diff(generalised_normal_cdf(np.arange(-radius, radius + 2) - 0.5, alpha, beta))
    model = np.append(model, max(1.0 - model.sum(), 2.0**-20))
    seen = np.bincount(np.minimum(np.abs(errors), radius + 1), minlength=radius + 2).astype(float)
    both = np.concatenate([seen[radius:0:-1] / 2, seen[:1], seen[1 : radius + 1] / 2, seen[radius + 1 :]])
    p = (both + PRIOR * model) / (errors.size + PRIOR * model.sum())
    total = 1 << PRECISION
    counts = np.maximum(1, np.floor(p * (total - p.size)).astype(np.int64) + 1)
    counts[np.argmax(counts)] += total - counts.sum()
    return radius, counts


def fitted_group(fractions: int, which: np.ndarray, residual: np.ndarray, fraction: np.ndarray, tables: Tables) -> Group:
    """The tables of one group. A bin that few values fall into takes the shape of its nearest neighbour."""
    where = fraction if fractions == FRACTIONS else np.full(residual.shape, CENTRED)
    error = residual - (where * 32 - 128 + 16) / 256
    centres = 2.0 ** ((tables.first + tables.width * (np.arange(tables.bins) - 0.5)) / 256)
    order = np.argsort(which, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(which, minlength=tables.bins))[:-1])
    least = min(400, max(len(part) for part in parts))
    shapes = {b: fit(error[part], max(centres[b], 0.02)) for b, part in enumerate(parts) if len(part) >= max(least, 1)}
    if not shapes:
        shapes = {tables.bins // 2: (centres[tables.bins // 2], 1.0)}
    made = []
    for b, part in enumerate(parts):
        near = min(shapes, key=lambda k: abs(k - b))
        alpha, beta = shapes[near]
        alpha *= centres[b] / centres[near]
        if fractions == 1:
            made.append(probabilities(residual[part], alpha, beta))
        else:
            made.extend(table(alpha, beta, f) for f in range(FRACTIONS))
    return Group(fractions, made)


def group_sizes(channels: int, predicted: int) -> list[int]:
    """The group of each channel: the levels, the predicted, and the others in groups that grow with their order."""
    left = channels - predicted
    edges = predicted + np.rint(left * (np.arange(1, ORDINARY_GROUPS) / ORDINARY_GROUPS) ** 1.5).astype(int)
    ordinary = np.searchsorted(edges, np.arange(predicted, channels), side="right") + 2
    return [0] + [1] * (predicted - 1) + [int(group) for group in ordinary]


def calibrate(
    bias: np.ndarray,
    weight: np.ndarray,
    mean_weight: np.ndarray,
    steps: list[int],
    latents: list[tuple[np.ndarray, int]],
) -> tuple[Tables, list[float]]:
    """Tables from the trained context and integer latents of training pictures; returns the bits of each latent too.

    bias [C - 1] and weight [FEATURES, C - 1], in octaves, and mean_weight [p, p, 3, 3] (causal; zero elsewhere) are of the coefficients,
    so of channels 1 and up; steps [C] are `decode.toml`'s, a latent is (int64 [C, h, w], knob). The levels' own context is fitted here.
    """
    latents = [(np.asarray(q, np.int64), int(knob)) for q, knob in latents]
    count, p = len(steps), mean_weight.shape[0] if mean_weight.size else 0
    predicted = p + 1
    taps = [level_taps(latents)]
    for c in range(p):
        taps.append([(k + 1, dy, dx, v) for k, dy, dx, v in integer_taps(mean_weight[c])])
    groups = group_sizes(count, predicted)
    channels = [Channel(groups[0], 0, [0] * FEATURES, taps[0])]
    for c in range(1, count):
        column = np.clip(np.rint(weight[:, c - 1] * 256), -32768, 32767).astype(int)
        channels.append(Channel(groups[c], int(round(float(bias[c - 1]) * 256)), [int(v) for v in column], taps[c] if c < predicted else []))
    known = [residuals(predicted, taps, q, knob, steps) for q, knob in latents]
    coded = [coded_channels(q) for q, _ in latents]
    found = [features(context.error, 4 * q[0] + knob).astype(np.int16) for context, (q, knob) in zip(known, latents)]
    gather = lambda c, parts: np.concatenate([part[..., c, :, :].reshape(*part.shape[:-3], -1) for part, n in zip(parts, coded) if c < n], axis=-1)
    own = 2
    channels[0].bias, chosen = log_linear(gather(0, found)[:own], gather(0, [context.error for context in known]))
    channels[0].weight = chosen + [0] * (FEATURES - own)
    tables = Tables(predicted, channels, [])
    which = [bins_of(tables, expected(channels, f.astype(np.int64))) for f in found]
    for group in range(max(groups) + 1):
        members = [c for c in range(count) if groups[c] == group and any(c < n for n in coded)]
        fractions = FRACTIONS if group < 2 else 1
        parts = [
            np.concatenate([gather(c, planes) for c in members] or [np.zeros(0, np.int64)])
            for planes in (which, [k.residual for k in known], [k.fraction for k in known])
        ]
        tables.groups.append(fitted_group(fractions, *parts, tables))
    known = [costs(group) for group in tables.groups]
    return tables, [float(bits(tables, q, knob, steps, known).sum()) for q, knob in latents]


def indices(tables: Tables, q: np.ndarray, knob: int, steps: list[int]) -> tuple[Contexts, np.ndarray]:
    """(contexts, index of each value's table within its group): exactly as the product computes them."""
    known = residuals(tables.predicted, [channel.mean_taps for channel in tables.channels], q, knob, steps)
    which = bins_of(tables, expected(tables.channels, features(known.error, 4 * q[0] + knob)))
    fractions = np.array([tables.groups[channel.group].fractions for channel in tables.channels])
    return known, which * fractions[:, None, None] + known.fraction


def costs(group: Group) -> tuple[np.ndarray, np.ndarray]:
    """(radius [tables], bits of the residuals -256..256 [tables, 513]; beyond their radius those of ESCAPE and of what follows it)."""
    reach = MAX_RADIUS + 1
    radius = np.array([radius for radius, _ in group.tables])
    found = np.zeros((len(group.tables), 2 * reach + 1))
    size = np.abs(np.arange(-reach, reach + 1))
    for i, (r, counts) in enumerate(group.tables):
        found[i, reach - r : reach + r + 1] = -np.log2(counts[:-1] / 65536)
        over = np.maximum(size - r - 1, 0)
        found[i] = np.where(size <= r, found[i], -np.log2(counts[-1] / 65536) + 2 * np.floor(np.log2(over + 1)) + 2)
    return radius, found


def bits(tables: Tables, q: np.ndarray, knob: int, steps: list[int], known: list | None = None) -> np.ndarray:
    """Bits of each channel of a latent, [C]; channels that are not coded take none. A tile adds one byte and at most eight more."""
    q = np.asarray(q, np.int64)
    contexts, index = indices(tables, q, knob, steps)
    reach = MAX_RADIUS + 1
    found = np.zeros(q.shape[0])
    known = known or [costs(group) for group in tables.groups]
    for c in range(coded_channels(q)):
        radius, cost = known[tables.channels[c].group]
        residual = contexts.residual[c]
        each = cost[index[c], np.clip(residual, -reach, reach) + reach]
        far = np.abs(residual) > reach
        if far.any():
            within = radius[index[c][far]]
            over = np.abs(residual[far]) - within - 1
            escape = np.array([-np.log2(tables.groups[tables.channels[c].group].tables[i][1][-1] / 65536) for i in index[c][far]])
            each[far] = escape + 2 * np.floor(np.log2(over + 1)) + 2
        found[c] = each.sum()
    return found


def chosen(tables: Tables, wanted: np.ndarray, knob: int, steps: list[int], error_weight: float, known: list | None = None) -> np.ndarray:
    """Integers for values in steps [C, h, w] (channel 0: whole levels), each the nearest or the next one towards its context's mean:
    whichever costs least, `error_weight` times the squared error and the bits together.

    The product chooses one value after another under what it has chosen before (common/latent, choose_levels); here all are
    chosen at once under the last round's, which is as good for counting.
    """
    nearest = np.sign(wanted) * np.floor(np.abs(wanted) + 0.5)
    nearest = np.clip(nearest, -MAX_SYMBOL, MAX_SYMBOL).astype(np.int64)
    q, known = nearest, known or [costs(group) for group in tables.groups]
    reach = MAX_RADIUS + 1
    for _ in range(CHOICE_ROUNDS):
        contexts, index = indices(tables, q, knob, steps)
        mean = q - contexts.residual
        q = nearest.copy()
        for c in range(1, coded_channels(nearest)):
            cost = known[tables.channels[c].group][1]
            other = nearest[c] + np.sign(mean[c] - nearest[c])
            price = lambda value: cost[index[c], np.clip(value - mean[c], -reach, reach) + reach] + error_weight * (value - wanted[c]) ** 2
            q[c] = np.where(price(other) < price(nearest[c]), other, nearest[c])
    return q


def serialise(tables: Tables) -> bytes:
    out = bytearray(b"LWTB" + struct.pack("<BBBB", 2, len(tables.channels), PRECISION, tables.predicted))
    out += struct.pack("<BhHB", tables.bins, tables.first, tables.width, len(tables.groups))
    for group in tables.groups:
        out += struct.pack("<B", group.fractions)
        assert len(group.tables) == tables.bins * group.fractions
        for radius, counts in group.tables:
            assert counts.size == 2 * radius + 2 and counts.sum() == 65536 and counts.min() >= 1 and radius <= MAX_RADIUS
            out += struct.pack("<H", radius) + (counts - 1).astype("<u2").tobytes()
    for c, channel in enumerate(tables.channels):
        assert sum(abs(v) for v in channel.weight) <= 1 << 16 and abs(channel.bias) <= 1 << 20
        out += struct.pack("<Bi9h", channel.group, channel.bias, *channel.weight)
        if c < tables.predicted:
            out += struct.pack("<H", len(channel.mean_taps))
            for tap in channel.mean_taps:
                out += struct.pack("<Bbbi", *tap)
    return bytes(out)


def parse(data: bytes) -> Tables:
    """What `serialise` wrote. Raises `ValueError` where it is none."""
    if data[:4] != b"LWTB" or data[4:5] != b"\2":
        raise ValueError("tables.bin is not a table of version 2")
    at = 5

    def take(form: str) -> tuple:
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values

    try:
        count, _, predicted = take("BBB")
        bins, first, width, groups = take("BhHB")
        tables = Tables(predicted, [], [], first, width, bins)
        for _ in range(groups):
            (fractions,) = take("B")
            made = []
            for _ in range(bins * fractions):
                (radius,) = take("H")
                made.append((radius, np.array(take(f"{2 * radius + 2}H"), np.int64) + 1))
            tables.groups.append(Group(fractions, made))
        for c in range(count):
            group, bias, *weight = take("Bi9h")
            taps = [take("Bbbi") for _ in range(take("H")[0])] if c < predicted else []
            tables.channels.append(Channel(group, bias, weight, taps))
    except struct.error:
        raise ValueError("tables.bin ends early") from None
    return tables
