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
                r = q - m
                symbol = r + radius if abs(r) <= radius else 2 * radius + 1
                coder.put(sum(p[:symbol]), p[symbol])
                if abs(r) > radius:
                    number = abs(r) - radius
                    bits = "0" * (number.bit_length() - 1) + f"{number:b}" + ("1" if r < 0 else "0")
                    for bit in bits:
                        coder.put(32768 if bit == "1" else 0, 32768)
    return coder.finish()


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
