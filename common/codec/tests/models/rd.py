"""The `rd` family in small: a decoder of integers alone, block levels, tables of version 2. `make_models.py` writes it.

The linear part is a cosine transform of 16x16 blocks, kept to its lowest frequencies. The decoder has the form of the trained ones:
hi and lo bytes of the coefficients times two int8 parts of the synthesis, added up in int32, and a correction by int8 convolutions
of 8-bit copies, whose weights are random: it moves pixels by a few per mille, so that nothing is gained by it, but every kernel runs.
"""

import struct

import numpy as np
from onnx import TensorProto, helper

BLOCK = 16
UNIT = 16 * 256  # coefficient units of the picture's range: 1/16 of 1/256
SHIFT = 25
LEVELS = 31


def basis(channels):
    """The lowest frequencies of the orthonormal cosine transform: [channels, 16, 16]."""
    n = np.arange(BLOCK)
    rows = np.sqrt(2 / BLOCK) * np.cos(np.pi * (n[None] + 0.5) * n[:, None] / BLOCK)
    rows[0] /= np.sqrt(2)
    order = sorted(((u + v, v, u) for u in range(BLOCK) for v in range(BLOCK)))[:channels]
    return np.array([np.outer(rows[v], rows[u]) for _, v, u in order])


class Graph:
    def __init__(self):
        self.nodes, self.constants = [], {}

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def add(self, op, *inputs, out=None, **attributes):
        out = out or f"t{len(self.nodes)}"
        names = [name if isinstance(name, str) else self.constant(name) for name in inputs]
        self.nodes.append(helper.make_node(op, names, [out], **attributes))
        return out


def encoder(channels):
    """Pixels 0..1 to a level, from the block's own contrast, and coefficients: the transpose of the synthesis."""
    net = Graph()
    weight = (basis(channels - 1) * UNIT).astype(np.float32)[:, None]
    centred = net.add("Sub", "pixels", np.float32(0.5))
    y = net.add("Conv", centred, weight, kernel_shape=[BLOCK] * 2, strides=[BLOCK] * 2)
    # Quarter octaves of the mean size of the coefficients, the block's mean left out.
    contrast = net.add("Slice", y, np.array([1]), np.array([channels - 1]), np.array([1]))
    contrast = net.add("ReduceMean", net.add("Abs", contrast), axes=[1])
    octaves = net.add("Div", net.add("Log", net.add("Add", contrast, np.float32(16))), np.float32(np.log(2)))
    level = net.add("Mul", net.add("Sub", octaves, np.float32(4)), np.float32(4))
    level = net.add("Clip", level, np.float32(0), np.float32(LEVELS))
    net.add("Concat", level, y, out="latent", axis=1)
    return net


def decoder(channels, width):
    net, random = Graph(), np.random.default_rng(6)
    coefficients = channels - 1

    def weights(shape):
        return random.integers(-64, 64, shape).astype(np.int8)

    # Linear part, in NHWC: k = 256 hi + lo, w = 64 w_hi + w_lo.
    k = net.add("Slice", "latent", np.array([1]), np.array([channels]), np.array([1]))
    nhwc = net.add("Transpose", k, perm=[0, 2, 3, 1])
    hi = net.add("Floor", net.add("Mul", nhwc, np.float32(1 / 256)))
    lo = net.add("Cast", net.add("Sub", nhwc, net.add("Mul", hi, np.float32(256))), to=TensorProto.UINT8)
    hi = net.add("Cast", net.add("Add", hi, np.float32(128)), to=TensorProto.UINT8)
    synthesis = basis(coefficients).reshape(coefficients, BLOCK * BLOCK)
    fixed = np.rint(synthesis * 4096).astype(np.int32)  # at most 0.125, that is 512
    high = np.floor((fixed + 32) / 64).astype(np.int32)
    low = fixed - 64 * high
    assert -64 <= min(high.min(), low.min()) and max(high.max(), low.max()) <= 63

    def product(x, zero, part):
        return net.add("MatMulInteger", x, part.astype(np.int8), np.uint8(zero))

    def both(x, zero):
        return net.add("Add", net.add("Mul", product(x, zero, high), np.int32(64)), product(x, zero, low))

    linear = net.add("Add", net.add("Mul", both(hi, 128), np.int32(256)), both(lo, 0))  # 1.0 = 2^12 * UNIT = 2^24

    # Correction: int8 convolutions of what 8 bits hold of the coefficients and of the levels.
    scale, zero = np.float32(1 / 16), np.uint8(0)

    def quantise(x):
        return net.add("QuantizeLinear", x, scale, zero)

    def conv(x, source, size):
        w = net.add("DequantizeLinear", weights((width, source, size, size)), np.full(width, 0.0005, np.float32),
                    np.zeros(width, np.int8), axis=0)
        b = net.add("DequantizeLinear", random.integers(-900, 900, width).astype(np.int32),
                    np.full(width, np.float32(0.0005) * scale, np.float32), np.zeros(width, np.int32), axis=0)
        x = net.add("DequantizeLinear", x, scale, zero)
        return quantise(net.add("Relu", net.add("Conv", x, w, b, kernel_shape=[size] * 2, pads=[size // 2] * 4)))

    eight = net.add("Add", net.add("Mul", "latent", np.float32(1 / 64)), np.float32(8))
    x = conv(quantise(eight), channels, 3)
    x = conv(x, width, 3)
    x = net.add("Transpose", x, perm=[0, 2, 3, 1])
    correction = net.add("MatMulInteger", x, weights((width, BLOCK * BLOCK)), np.uint8(0))
    middle = net.add("Add", net.add("Mul", linear, np.int32(1 << (SHIFT - 24))), np.int32(1 << (SHIFT - 1)))
    total = net.add("Add", middle, net.add("Mul", correction, np.int32(16)))

    # Depth to space: [h, w, 16, 16] to [16 h, 16 w].
    shape = net.add("Shape", "latent")
    h = net.add("Slice", shape, np.array([2]), np.array([3]), np.array([0]))
    w = net.add("Slice", shape, np.array([3]), np.array([4]), np.array([0]))
    blocks = net.add("Reshape", total, net.add("Concat", h, w, np.array([BLOCK, BLOCK]), axis=0))
    rows = net.add("Transpose", blocks, perm=[0, 2, 1, 3])
    side = np.array([BLOCK])
    whole = net.add("Concat", np.array([1, 1]), net.add("Mul", h, side), net.add("Mul", w, side), axis=0)
    net.add("Reshape", rows, whole, out="pixels")
    return net


def tables(channels, predicted, distribution):
    """tables.bin of version 2: one group with fractions for the predicted channels, one without for the others.

    `distribution(alpha, fraction)` gives a table's bytes; bin b holds errors of about 2^(b/2 - 4) steps.
    """
    bins, first, width = 16, -4 * 256, 128
    out = b"LWTB" + bytes([2, channels, 16, predicted]) + struct.pack("<BhHB", bins, first, width, 2)
    alphas = [2 ** (first / 256 + width / 256 * (b - 0.5)) for b in range(bins)]
    for fractions in (8, 1):
        out += bytes([fractions])
        for alpha in alphas:
            for fraction in range(fractions):
                out += distribution(max(alpha, 0.05), fraction if fractions == 8 else 3.5)
    for c in range(channels):
        own = [150, 40] if c == 0 else [80, 20]
        others = [0] * 7 if c == 0 else [20, 60, 40, 0, 10, 0, 0]
        bias = -2 * 256 if c else -256
        out += struct.pack("<Bi9h", 0 if c < predicted else 1, bias, *own, *others)
        if c < predicted:
            taps = [(c, 0, -1, 32768), (c, -1, 0, 32768)]
            out += struct.pack("<H", len(taps)) + b"".join(struct.pack("<Bbbi", *tap) for tap in taps)
    return out
