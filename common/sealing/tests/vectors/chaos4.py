"""Independent implementation of the chaos layer, written from docs/adr/0001-chaos-cipher.md, which writes chaos4-v1.json.

Standard library alone; slow and plain on purpose. Usage: python chaos4.py [--check]
"""

import hashlib
import json
import math
import pathlib
import sys

OUT = pathlib.Path(__file__).with_name("chaos4-v1.json")
MASK = (1 << 64) - 1
CONTROL = -(-399 * 2**62 // 100)  # 3.99 in Q2.62, rounded up
SPREAD = 0x9E3779B97F4A7C15


def values(x, words=()):
    """The logistic map from x0 = x on: the transient, then each word absorbed, then its values without end."""
    steps = 0

    def step(x, steps):
        if steps % 64 == 0:
            x ^= ((steps // 64 * SPREAD) & MASK) >> 32
        x = x or SPREAD
        return (CONTROL * ((x * (2**64 - x)) >> 64)) >> 62

    for word in [0, *words]:
        x ^= word << 16
        for _ in range(256):
            steps += 1
            x = step(x, steps)
    while True:
        steps += 1
        x = step(x, steps)
        yield x


def middles(x, words=()):
    return (value >> 16 & 0xFFFFFFFF for value in values(x, words))


def keys_of(seed):
    first, *rest = (int.from_bytes(seed[i : i + 4], "big") for i in range(0, 32, 4))
    stream = middles(first << 32 | 1 << 31, rest)
    return [next(stream) << 32 | next(stream) for _ in range(4)]


def field_inverse(a, polynomial):
    def multiply(a, b):
        product = 0
        while b:
            if b & 1:
                product ^= a
            a <<= 1
            if a & 0x100:
                a ^= polynomial
            b >>= 1
        return product

    return next((b for b in range(256) if multiply(a, b) == 1), 0)


def s_boxes():
    rotate = lambda b, n: (b << n | b >> 8 - n) & 255  # noqa: E731
    aes = []
    for a in range(256):
        b = field_inverse(a, 0x11B)
        aes.append(b ^ rotate(b, 1) ^ rotate(b, 2) ^ rotate(b, 3) ^ rotate(b, 4) ^ 0x63)

    def affine(x):
        bits = (bin(rotate(0xD3, 8 - row) & x).count("1") & 1 for row in range(8))
        return int("".join(map(str, bits)), 2) ^ 0xD3

    sm4 = [affine(field_inverse(affine(x), 0x1F5)) for x in range(256)]
    return [aes, sm4, [aes.index(value) for value in range(256)]]


BOXES = s_boxes()


def order_of(key, length):
    stream = values(key)
    drawn = [next(stream) for _ in range(length)]
    return sorted(range(length), key=lambda index: (drawn[index], index))


def stages(seed, plain):
    """What the bytes are after each of the four stages: columns, rows, S-boxes, seed matrix."""
    columns, rows, boxes, matrix = keys_of(seed)
    width = math.isqrt(max(len(plain) - 1, 0)) + 1
    full = len(plain) // width
    order = order_of(columns, width)
    lines = [plain[i : i + width] for i in range(0, len(plain), width)]
    lines = [bytes(line[c] for c in order if c < len(line)) for line in lines]
    first = b"".join(lines)
    second = b"".join([lines[r] for r in order_of(rows, full)] + lines[full:])
    chosen, mask = middles(boxes), middles(matrix)
    third = bytes(BOXES[next(chosen) * 3 >> 32][p] for p in second)
    return [first, second, third, bytes(r ^ next(mask) & 255 for r in third)]


def scramble(seed, plain):
    return stages(seed, plain)[-1]


def picture(length):
    return bytes(i // 7 % 251 for i in range(length))


def build():
    cases = []
    for number, length in enumerate([1, 2, 3, 5, 16, 17, 63, 64, 65, 255, 256, 1000, 4096, 65537]):
        seed = hashlib.sha256(b"chaos4 vector %d" % number).digest()
        scrambled = scramble(seed, picture(length))
        case = {"seed": seed.hex(), "keys": ["%016x" % key for key in keys_of(seed)], "length": length}
        if length <= 256:
            case["scrambled"] = scrambled.hex()
        cases.append({**case, "scrambled_sha256": hashlib.sha256(scrambled).hexdigest()})
    return json.dumps({"plaintext": "byte i is i // 7 % 251", "cases": cases}, indent=1) + "\n"


if __name__ == "__main__":
    text = build()
    if "--check" in sys.argv:
        sys.exit(0 if OUT.read_text() == text else f"{OUT.name} differs: run without --check and look at the change")
    OUT.write_text(text)
