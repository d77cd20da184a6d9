"""Writes the frozen coded images, from docs/BITSTREAM.md alone: nothing of the Rust code is used.

    python make_frozen.py        (needs nothing but Python; writes into its own folder, the same bytes each time)

exact.hex       exact form of a 67-byte PNG
latent.hex      latent form: 37x21 pixels, 2 frames, signed 12-bit grey, tiles of 16x16 latents, the tables of sound/blur-other
latent.symbols  the quantised latent of each tile in it, one line each
whole.hex       the same picture in whole tiles (tile order 1), the tables of sound/research/whole-dense
whole.symbols   likewise
rows.hex        the same picture as raw rows (tile order 2), for sound/blur-other
rows.values     the raw latent of each frame in it, one line each: channel by channel, row by row
whole_rows.hex  raw rows of whole tiles (tile order 3), for sound/research/whole-dense
whole_rows.values  likewise
levels.tables   a tables.bin of version 2 for a latent with block levels: 12 channels, 3 of them predicted
levels.tiles    two tiles coded with it, one line each: knob, rows, columns, the tile's bytes
levels.symbols  the quantised latent of each
"""

import hashlib
import pathlib
import random
import struct

HERE = pathlib.Path(__file__).parent
MODELS = HERE.parent / "models" / "sound"
ANY_SIZE, WHOLE = MODELS / "blur-other", MODELS / "research" / "whole-dense"


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values if len(values) > 1 else values[0]


def read_tables(data):
    reader = Reader(data)
    magic, version, channels, precision, fractions = reader.take("4sBBBB")
    assert (magic, version, precision, fractions) == (b"LWTB", 1, 16, 8)
    result = []
    for _ in range(channels):
        mean_bias, count = reader.take("iH")
        mean = [reader.take("Bbbi") for _ in range(count)]
        activity_bias, count = reader.take("IH")
        activity = [reader.take("BbbI") for _ in range(count)]
        bins = reader.take("B")
        thresholds = [reader.take("I") for _ in range(bins - 1)]
        tables = []
        for _ in range(bins * fractions):
            radius = reader.take("H")
            tables.append((radius, [reader.take("H") + 1 for _ in range(2 * radius + 2)]))
            assert sum(tables[-1][1]) == 65536
        result.append((mean_bias, mean, activity_bias, activity, thresholds, tables))
    assert reader.at == len(data)
    return result


class RangeEncoder:
    """Lower end as one unbounded integer, so that carries need no care."""

    def __init__(self):
        self.lower, self.range, self.shifts = 0, 2**64 - 1, 0

    def put(self, below, probability):
        scale = self.range >> 16
        self.lower += scale * below
        self.range = scale * probability
        if self.range < 2**32:
            self.lower <<= 32
            self.range <<= 32
            self.shifts += 1

    def finish(self):
        point = (self.lower + 2**32 - 1) >> 32
        words = [point >> (32 * i) & 0xFFFFFFFF for i in range(self.shifts, -1, -1)]
        if ((self.lower + self.range) % 2**64) >> 32 == words[-1]:
            words.append(0)
        return b"".join(struct.pack("<I", word) for word in words)


def put_residual(coder, table, r):
    radius, p = table
    symbol = r + radius if abs(r) <= radius else 2 * radius + 1
    coder.put(sum(p[:symbol]), p[symbol])
    if abs(r) > radius:
        number = abs(r) - radius
        bits = "0" * (number.bit_length() - 1) + f"{number:b}" + ("1" if r < 0 else "0")
        for bit in bits:
            coder.put(32768 if bit == "1" else 0, 32768)


def encode_tile(tables, planes, height, width):
    coder = RangeEncoder()
    errors = [[[0] * width for _ in range(height)] for _ in planes]

    def at(values, channel, y, x):
        return values[channel][y][x] if 0 <= y < height and 0 <= x < width else 0

    for c, (mean_bias, mean_taps, activity_bias, activity_taps, thresholds, probabilities) in enumerate(tables):
        for y in range(height):
            for x in range(width):
                q = planes[c][y][x]
                mean = mean_bias + sum(w * at(planes, k, y + dy, x + dx) for k, dy, dx, w in mean_taps)
                mean = min(max(mean >> 8, -(32767 << 8)), 32767 << 8)
                m = (mean + 128) >> 8
                fraction = (mean - (m << 8) + 128) >> 5
                activity = ((activity_bias << 8) + sum(w * at(errors, k, y + dy, x + dx) for k, dy, dx, w in activity_taps)) >> 16
                radius, p = probabilities[sum(t <= activity for t in thresholds) * 8 + fraction]
                errors[c][y][x] = min(abs((q << 8) - mean), 2**24 - 1)
                put_residual(coder, (radius, p), q - m)
    return coder.finish()


LEVEL_STEPS = [1, 81920, 79003, 40000, 20000, 9000, 5000, 2560, 1800, 700, 300, 255]


def read_level_tables(data):
    reader = Reader(data)
    magic, version, channels, precision, predicted = reader.take("4sBBBB")
    assert (magic, version, precision) == (b"LWTB", 2, 16)
    bins, first, width, count = reader.take("BhHB")
    groups = []
    for _ in range(count):
        fractions, tables = reader.take("B"), []
        for _ in range(bins * fractions):
            radius = reader.take("H")
            tables.append((radius, [reader.take("H") + 1 for _ in range(2 * radius + 2)]))
            assert sum(tables[-1][1]) == 65536
        groups.append((fractions, tables))
    result = []
    for c in range(channels):
        group, bias, *weights = reader.take("Bi9h")
        taps = [reader.take("Bbbi") for _ in range(reader.take("H"))] if c < predicted else []
        result.append((groups[group], bias, weights, taps))
    assert reader.at == len(data)
    return result, predicted, bins, first, width


def level_step(base, t):
    gain = round(65536 * 2 ** (t % 16 / 16))
    return min(max(base * gain >> (24 - t // 16), 1), 2**20)


def logarithm(v):
    e = (v + 1).bit_length() - 1
    f = (v + 1 - 2**e) * 256 // 2**e
    return ((e - 4) << 8) + f + (90 * f * (256 - f) >> 16)


def level_contexts(tables, steps, knob, planes, height, width):
    """For each channel, row and column that is coded: (residual, expected log2 error, fraction)."""
    channels, predicted, *_ = tables
    errors = [[[0] * width for _ in range(height)] for _ in planes]
    values = [[[0] * width for _ in range(height)] for _ in planes]

    def at(plane, y, x):
        return plane[y][x] if 0 <= y < height and 0 <= x < width else 0

    def run(c, last, y, x):
        return sum(at(errors[k], y, x) for k in range(max(1, c - last), c))

    found = []
    for c, (_, bias, weights, taps) in enumerate(channels):
        for y in range(height):
            for x in range(width):
                q, t = planes[c][y][x], 4 * planes[0][y][x] + knob
                step = 1 if c == 0 else level_step(steps[c], t)
                mean = 0
                if c < predicted:
                    mean = sum(w * at(values[k], y + dy, x + dx) for k, dy, dx, w in taps)
                    mean = min(max((mean >> 8) // step, -(32767 << 8)), 32767 << 8)
                own = errors[c]
                features = [
                    logarithm(2 * at(own, y, x - 1) + 2 * at(own, y - 1, x) + at(own, y - 1, x - 1) + at(own, y - 1, x + 1)),
                    logarithm(at(own, y, x - 2) + at(own, y - 2, x)),
                ]
                if c > 0:
                    near = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
                    corners = [(y - 1, x - 1), (y - 1, x + 1), (y + 1, x - 1), (y + 1, x + 1)]
                    features += [
                        logarithm(run(c, 2, y, x)),
                        logarithm(run(c, 8, y, x)),
                        logarithm(sum(run(c, 8, *place) for place in near)),
                        logarithm(run(c, 255, y, x)),
                        logarithm(sum(run(c, 255, *place) for place in near)),
                        logarithm(sum(run(c, 255, *place) for place in corners)),
                        t << 4,
                    ]
                expected = bias + (sum(w * f for w, f in zip(weights, features)) >> 8)
                m = (mean + 128) >> 8
                fraction = (mean - (m << 8) + 128) >> 5 if c < predicted else 0
                found.append((q - m, expected, fraction))
                errors[c][y][x] = min(abs((q << 8) - mean) >> 4, 2**14)
                values[c][y][x] = q if c == 0 else min(max(q * step, -32768), 32767)
    return found


def encode_level_tile(tables, steps, knob, planes, height, width):
    coder = RangeEncoder()
    channels, _, bins, first, bin_width = tables
    last = max([0] + [c for c, plane in enumerate(planes) if any(q for row in plane for q in row)])
    contexts = iter(level_contexts(tables, steps, knob, planes, height, width))
    for (fractions, probabilities), *_ in channels[: last + 1]:
        for _ in range(height * width):
            r, expected, fraction = next(contexts)
            chosen = min(max((expected - first) // bin_width + 1, 0), bins - 1)
            put_residual(coder, probabilities[chosen * fractions + fraction], r)
    return bytes([last]) + coder.finish()


def level_tables(rng):
    """Tables made of integers alone, with every field in use."""

    def table(radius, flatness):
        weights = [1 + 40000 // (1 + abs(i - radius) * 8 // flatness) for i in range(2 * radius + 1)]
        total = sum(weights) + 900
        p = [w * 65000 // total for w in weights]
        return struct.pack("<H", radius) + struct.pack(f"<{len(p) + 1}H", *(v - 1 for v in p), 65536 - sum(p) - 1)

    bins = 7
    shapes = [(0, 1), (1, 1), (2, 2), (4, 3), (7, 6), (12, 14), (40, 60)]
    out = b"LWTB" + struct.pack("<BBBBBhHB", 2, len(LEVEL_STEPS), 16, 3, bins, -512, 310, 3)
    for fractions in (1, 8, 1):
        out += bytes([fractions])
        out += b"".join(table(max(1, r + fractions // 8), f) for r, f in shapes for _ in range(fractions))
    for c in range(len(LEVEL_STEPS)):
        group = 1 if c < 3 else 2 * (c % 2)
        out += struct.pack("<Bi9h", group, rng.randint(-200, 300), *(rng.randint(-30, 90) for _ in range(9)))
        if c < 3:
            taps = [(c, 0, -1), (c, -1, 0), (c, -1, 1)] + [(k, dy, dx) for k in range(c) for dy, dx in ((0, 0), (1, -1))]
            out += struct.pack("<H", len(taps))
            out += b"".join(struct.pack("<Bbbi", *tap, rng.randint(-9000, 30000)) for tap in taps)
    return out


def level_tiles():
    rng = random.Random(20261123)
    data = level_tables(rng)
    tables, tiles, symbols = read_level_tables(data), [], []
    for knob, height, width, used in [(-20, 6, 9, 12), (33, 5, 4, 7), (0, 1, 1, 1)]:

        def value(c):
            if c == 0:
                return rng.randint(3, 12) if used > 1 else 0
            if rng.random() < 0.03:
                return rng.choice([-32767, 32767, -700, 900, 61, -62])
            return int(rng.gauss(0, 9 / c)) if c < used else 0

        planes = [[[value(c) for _ in range(width)] for _ in range(height)] if c < used else [[0] * width for _ in range(height)] for c in range(12)]
        coded = encode_level_tile(tables, LEVEL_STEPS, knob, planes, height, width)
        tiles.append(f"{knob} {height} {width} {coded.hex()}")
        symbols.append(" ".join(str(q) for plane in planes for row in plane for q in row))
    return data, tiles, symbols


def head(form, source, flags):
    return b"LWBS" + bytes([1, form, source, flags])


def exact():
    png = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010000000000376ef9240000000a49444154789c63680000008200812db15d2d"
        "0000000049454e44ae426082"
    )
    return head(2, 1, 0) + struct.pack("<Q", len(png)) + png


WIDTH, HEIGHT, FRAMES, STRIDE, SIDE = 37, 21, 2, 2, 16


def latent_sides(order):
    """Rows and columns of a frame's latent."""
    rows, columns = -(-HEIGHT // STRIDE), -(-WIDTH // STRIDE)
    return (-(-rows // SIDE) * SIDE, -(-columns // SIDE) * SIDE) if order & 1 else (rows, columns)


def latent_form(model, order, channels, step, table, payload):
    digest = hashlib.sha256((model / "decode.toml").read_bytes()).digest()
    uid, container = b"2.25.123456789", b"container"
    out = head(1, 4, 1) + digest + struct.pack("<III", WIDTH, HEIGHT, FRAMES) + bytes([1, 12, 0, order])
    out += struct.pack("<iiHBBHHB", -1024, 2047, step, channels, STRIDE, SIDE, 0, len(uid)) + uid
    return out + struct.pack("<I", len(container)) + table + container + payload


def latent(model, order):
    frames, side = FRAMES, SIDE
    rows, columns = latent_sides(order)
    tables = read_tables((model / "tables.bin").read_bytes())
    channels = len(tables)
    rng = random.Random(20261121)
    tiles, symbols = [], []
    for _ in range(frames):
        # A slope with noise, and now and then a value so far out that only the escape reaches it.
        def value(c, y, x):
            if rng.random() < 0.02:
                return rng.choice([-32767, 32767, -700, 900, 61, -62])
            return 3 * x - 2 * y + 10 * c + rng.randint(-2, 2)

        planes = [[[value(c, y, x) for x in range(columns)] for y in range(rows)] for c in range(channels)]
        for ty in range(0, rows, side):
            for tx in range(0, columns, side):
                h, w = min(side, rows - ty), min(side, columns - tx)
                tile = [[plane[y][tx : tx + w] for y in range(ty, ty + h)] for plane in planes]
                tiles.append(encode_tile(tables, tile, h, w))
                symbols.append(" ".join(str(q) for plane in tile for row in plane for q in row))
    table = b"".join(struct.pack("<I", len(tile)) for tile in tiles)
    return latent_form(model, order, channels, 384, table, b"".join(tiles)), symbols


def raw_rows(model, order):
    rows, columns = latent_sides(order)
    channels = len(read_tables((model / "tables.bin").read_bytes()))
    rng = random.Random(20261122)
    payload, lines = b"", []
    for _ in range(FRAMES):
        # Multiples of 2^-10: each is a binary32 number, and prints in full.
        planes = [[[rng.randint(-4000, 4000) / 1024 for _ in range(columns)] for _ in range(rows)] for _ in range(channels)]
        lines.append(" ".join(repr(v) for plane in planes for row in plane for v in row))
        payload += b"".join(struct.pack("<f", planes[c][y][x]) for y in range(rows) for x in range(columns) for c in range(channels))
    return latent_form(model, order, channels, 256, b"", payload), lines


def write_hex(name, data):
    text = data.hex()
    (HERE / name).write_text("".join(text[i : i + 64] + "\n" for i in range(0, len(text), 64)))


def main():
    write_hex("exact.hex", exact())
    tables, tiles, symbols = level_tiles()
    write_hex("levels.tables", tables)
    (HERE / "levels.tiles").write_text("".join(line + "\n" for line in tiles))
    (HERE / "levels.symbols").write_text("".join(line + "\n" for line in symbols))
    for name, numbers, (coded, lines) in [
        ("latent", "symbols", latent(ANY_SIZE, 0)),
        ("whole", "symbols", latent(WHOLE, 1)),
        ("rows", "values", raw_rows(ANY_SIZE, 2)),
        ("whole_rows", "values", raw_rows(WHOLE, 3)),
    ]:
        write_hex(f"{name}.hex", coded)
        (HERE / f"{name}.{numbers}").write_text("".join(line + "\n" for line in lines))


if __name__ == "__main__":
    main()
