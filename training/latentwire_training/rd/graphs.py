"""The two halves of an `rd` net as ONNX graphs of standard operators.

The decoder is integer throughout, so that it gives the same bits on every processor: exact products of split integers for the linear
synthesis (`MatMulInteger`: coefficients as 256 hi + lo, weights as 64 hi + lo), QDQ convolutions with 7-bit weights and 8-bit
activations beside it, sums in int32, 1.0 being 2^25. ONNX Runtime has no quick ConvInteger and no DepthToSpace of int32: 1x1 layers
with int32 outputs are products of matrices, and what moves int32 to its place is Reshape and Transpose.
The encoder's transform and levels are float32, its convolutions QDQ int8 too, for speed alone: the receiver does not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from ..graphs import IR_VERSION, OPSET, Graph, Weights
from .levels import BLOCK, C2, LARGEST, PER_OCTAVE, WINDOW
from .net import CLAMP, OUTPUT_GAIN

RANGE = 255.0
OUTPUT_SHIFT = 25
MOST_WEIGHT = 63
INPUT_SCALE = 1 / 16  # of the branch's 8-bit copy of the latent
PICTURE_SCALE = RANGE / 256 / 32  # of its copy of the linear picture: steps of 1/256 of the range


@dataclass(frozen=True)
class Ranges:
    """Largest activations (a high percentile) after each layer of the decoder's branch."""

    coarse1: float
    coarse2: float
    up: np.ndarray  # of each channel
    fine1: float
    fine2: float


@dataclass(frozen=True)
class EncoderRanges:
    """Largest activations (a high percentile) after each layer of the encoder's branch."""

    fine1: float
    fine2: float
    down: float
    coarse: float


def units(planes: int) -> int:
    """Coefficient units in the whole range of values. The mean of a block of P planes is 16 sqrt(P) times its pixels', and must fit 16 bits."""
    return 4096 if planes == 1 else 2048


def units_per_grey(planes: int) -> float:
    """Coefficient units in one of the net's."""
    return units(planes) / RANGE


def weight_bits(planes: int) -> int:
    """Of the linear synthesis, behind the point: coefficient units times weights are 2^25ths of the range."""
    return OUTPUT_SHIFT - int(np.log2(units(planes)))


def split_weights(weight: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray, float]:
    """(hi, lo, largest rounding error) of weights as (64 hi + lo) / 2^bits, both int8 in -64..63. Raises where a weight is too large."""
    whole = np.rint(weight * 2**bits).astype(np.int64)
    hi = (whole + 32) >> 6
    lo = whole - 64 * hi
    if np.abs(hi).max() > MOST_WEIGHT:
        raise ValueError(f"a weight of {np.abs(weight).max():.3f} in the linear synthesis: the integer form holds up to {64 * 63 / 2**bits:.3f}")
    return hi.astype(np.int8), lo.astype(np.int8), float(np.abs(weight - whole / 2**bits).max())


class IntegerGraph(Graph):
    def integers(self, name: str, values) -> str:
        return self.constant(name, np.asarray(values, np.int64))

    def product(self, x: str, name: str, weight: np.ndarray, zero: int) -> str:
        """uint8 [.., n] times int8 [n, m], exact in int32."""
        z = self.constant(f"{name}.zero", np.array(zero, np.uint8))
        return self.node("MatMulInteger", [x, self.constant(f"{name}.weight", weight), z])

    def times(self, x: str, name: str, factor) -> str:
        return self.node("Mul", [x, self.constant(name, np.asarray(factor, np.int32))])

    def to_uint8(self, x: str, name: str, scale: float, zero: int) -> str:
        s = self.constant(f"{name}.scale", np.array(scale, np.float32))
        z = self.constant(f"{name}.zero", np.array(zero, np.uint8))
        return self.node("QuantizeLinear", [x, s, z])

    def to_float(self, x: str, name: str, scale: float, zero: int) -> str:
        s = self.constant(f"{name}.from.scale", np.array(scale, np.float32))
        z = self.constant(f"{name}.from.zero", np.array(zero, np.uint8))
        return self.node("DequantizeLinear", [x, s, z])


def decoder(w: Weights, ranges: Ranges, planes: int) -> onnx.ModelProto:
    g = IntegerGraph()
    channels = w["linear.weight"].shape[1]
    size = planes * 64
    # The picture's shape: [1, C, h, w] -> h, w.
    shape = g.node("Shape", ["latent"])
    sides = g.node("Slice", [shape, g.integers("two", [2]), g.integers("four", [4])])
    h = g.node("Slice", [sides, g.integers("zero", [0]), g.integers("one", [1])])
    wd = g.node("Slice", [sides, g.integers("one.", [1]), g.integers("two.", [2])])
    # Linear synthesis of 16x16 blocks, exact.
    k = g.node("Slice", ["latent", g.integers("k.start", [1]), g.integers("k.end", [channels + 1]), g.integers("k.axis", [1])])
    k = g.node("Transpose", [k], perm=[0, 2, 3, 1])
    hi = g.node("Floor", [g.node("Mul", [k, g.constant("1/256", np.array(1 / 256, np.float32))])])
    lo = g.node("Sub", [k, g.node("Mul", [hi, g.constant("256", np.array(256, np.float32))])])
    hi = g.node("Cast", [g.node("Add", [hi, g.constant("128", np.array(128, np.float32))])], to=TensorProto.UINT8)
    lo = g.node("Cast", [lo], to=TensorProto.UINT8)
    # Columns as (y/8, x/8, plane, y%8, x%8); the trained layer's are (plane, y%8, x%8, y/8, x/8).
    linear = w["linear.weight"][:, :, 0, 0].reshape(size, 2, 2, channels).transpose(3, 1, 2, 0).reshape(channels, 4 * size)
    w_hi, w_lo, _ = split_weights(linear, weight_bits(planes))
    total = None
    for x, x_name, factor, zero in ((hi, "hi", 256, 128), (lo, "lo", 1, 0)):
        for part, w_name, w_factor in ((w_hi, "hi", 64), (w_lo, "lo", 1)):
            y = g.product(x, f"linear.{x_name}.{w_name}", part, zero)
            if factor * w_factor > 1:
                y = g.times(y, f"linear.{x_name}.{w_name}.factor", factor * w_factor)
            total = y if total is None else g.node("Add", [total, y])
    blocks = g.node("Concat", [h, wd, g.integers("blocks", [2, 2, size])], axis=0)
    eighths = g.node("Concat", [g.integers("batch", [1]), g.node("Mul", [h, g.integers("x2", [2])]), g.node("Mul", [wd, g.integers("x2.", [2])]), g.integers("size", [size])], axis=0)
    total = g.node("Transpose", [g.node("Reshape", [total, blocks])], perm=[0, 2, 1, 3, 4])
    linear_picture = g.node("Reshape", [total, eighths])  # int32 [1, 2h, 2w, 64 P], the middle of the range being 0
    # The branch: 8-bit copies of latent and linear picture, 7-bit weights.
    scale = np.concatenate([[INPUT_SCALE], 256 / units(planes) / w["unit"].reshape(-1)]).astype(np.float32)
    x = g.node("Mul", ["latent", g.constant("latent.scale", scale.reshape(1, -1, 1, 1))])
    x = g.to_float(g.to_uint8(x, "latent8", INPUT_SCALE, 128), "latent8", INPUT_SCALE, 128)
    first = w["coarse1.weight"][:, np.r_[channels, :channels]].copy()  # octaves come first in the latent, last in training
    first[:, 1:] *= 256 / RANGE  # a unit of 2^n values is seen as 2^n of 1/256 of the range
    x, scale, level = residual(g, x, ("coarse1", first, w["coarse1.bias"], INPUT_SCALE), ("coarse2", w), (ranges.coarse1, ranges.coarse2))
    up_weight = w["up.weight"].copy()
    up_weight[:, up_weight.shape[1] // 2 :] /= level
    # `up` shares its scale and zero point with the copy of the picture beside it; a ReLU lets each channel be scaled freely.
    up_scale = (127 * PICTURE_SCALE) / np.maximum(ranges.up, 1e-3)
    by_output = np.repeat(up_scale, 4)
    x = g.conv_int8(x, "up", up_weight * by_output[:, None, None, None], w["up.bias"] * by_output, scale)
    # A ReLU on integers: before QuantizeLinear, and with a zero point other than 0, it would keep the convolution in floating point.
    x = g.node("Clip", [g.to_uint8(x, "up.out", PICTURE_SCALE, 128), g.constant("up.zero", np.array(128, np.uint8))])
    x = g.node("DepthToSpace", [x], blocksize=2, mode="CRD")
    copy = g.node("Cast", [linear_picture], to=TensorProto.FLOAT)
    copy = g.node("Mul", [copy, g.constant("picture.scale", np.array(PICTURE_SCALE * 2.0 ** (8 - OUTPUT_SHIFT), np.float32))])
    copy = g.node("Transpose", [g.to_uint8(copy, "picture8", PICTURE_SCALE, 128)], perm=[0, 3, 1, 2])
    x = g.to_float(g.node("Concat", [x, copy], axis=1), "fine.in", PICTURE_SCALE, 128)
    fine1 = w["fine1.weight"].copy()
    fine1[:, : up_scale.size] /= up_scale[None, :, None, None]
    x = g.node("Relu", [g.conv_int8(x, "fine1", fine1, w["fine1.bias"], PICTURE_SCALE)])
    fine1_out = g.to_uint8(x, "fine1.out", ranges.fine1 / 255, 0)
    x = g.to_float(fine1_out, "fine1.out", ranges.fine1 / 255, 0)
    x = g.node("Relu", [g.conv_int8(x, "fine2", w["fine2.weight"], w["fine2.bias"], ranges.fine1 / 255)])
    fine2_out = g.to_uint8(x, "fine2.out", ranges.fine2 / 255, 0)
    # The last layer adds integer multiples of its int32 sums to the linear picture.
    unit = OUTPUT_GAIN / RANGE * 2.0**OUTPUT_SHIFT
    y = linear_picture
    half = w["last.weight"].shape[1] // 2
    for name, out, scale, part in (
        ("last1", fine1_out, ranges.fine1 / 255, w["last.weight"][:, :half, 0, 0].T),
        ("last2", fine2_out, ranges.fine2 / 255, w["last.weight"][:, half:, 0, 0].T),
    ):
        factor = np.maximum(np.ceil(np.abs(part).max(axis=0) / MOST_WEIGHT * scale * unit), 1)
        weight = np.clip(np.rint(part * scale * unit / factor), -MOST_WEIGHT, MOST_WEIGHT).astype(np.int8)
        z = g.product(g.node("Transpose", [out], perm=[0, 2, 3, 1]), name, weight, 0)
        y = g.node("Add", [y, g.times(z, f"{name}.factor", factor.astype(np.int32))])
    middle = np.rint(w["last.bias"] * unit) + 2.0 ** (OUTPUT_SHIFT - 1)
    y = g.node("Add", [y, g.constant("last.bias", middle.astype(np.int32))])
    pixels = g.node("Concat", [g.node("Mul", [h, g.integers("x2..", [2])]), g.node("Mul", [wd, g.integers("x2...", [2])]), g.integers("eight", [planes, 8, 8])], axis=0)
    target = g.node("Concat", [g.integers("planes", [1, planes]), g.node("Mul", [sides, g.integers("x16", [BLOCK, BLOCK])])], axis=0)
    y = g.node("Transpose", [g.node("Reshape", [y, pixels])], perm=[2, 0, 3, 1, 4])
    g.node("Reshape", [y, target], "pixels")
    return finished(g, "rd-decoder", ("latent", TensorProto.FLOAT, channels + 1), ("pixels", TensorProto.INT32, planes))


def encoder(w: Weights, ranges: EncoderRanges, planes: int) -> onnx.ModelProto:
    g = IntegerGraph()
    channels = w["linear.weight"].shape[0]

    def number(name: str, value: float) -> str:
        return g.constant(name, np.array(value, np.float32))

    x = g.node("Mul", ["pixels", number("range", RANGE)])
    # Levels (levels.py).
    padded = g.node("Pad", [x, g.integers("pads", [0, 0, 3, 3, 0, 0, 3, 3])], mode="edge")
    pool = dict(kernel_shape=[WINDOW, WINDOW], strides=[1, 1])
    mean = g.node("AveragePool", [padded], **pool)
    variance = g.node("Sub", [g.node("AveragePool", [g.node("Mul", [padded, padded])], **pool), g.node("Mul", [mean, mean])])
    variance = g.node("Max", [variance, number("none", 0)])
    weight = g.node("Div", [number("C2", C2), g.node("Add", [g.node("Mul", [variance, number("two", 2)]), number("C2.", C2)])])
    weight = g.node("AveragePool", [weight], kernel_shape=[BLOCK, BLOCK], strides=[BLOCK, BLOCK])
    if planes > 1:
        weight = g.node("ReduceMean", [weight], axes=[1], keepdims=1)
    level = g.node("Mul", [g.node("Log", [weight]), number("quarters", -0.5 * PER_OCTAVE / np.log(2))])
    level_of_block = g.node("Clip", [level, number("lowest", 0), number("highest", LARGEST)])
    # Transforms.

    def blocks(y: str, side: int) -> str:
        """Space to depth, channel = (plane, row, column): ONNX's own puts the plane last."""
        shape = g.node("Shape", ["pixels"])
        sides = g.node("Div", [g.node("Slice", [shape, g.integers(f"{side}.two", [2]), g.integers(f"{side}.four", [4])]), g.integers(f"{side}.side", [side])])
        h, wd = (g.node("Slice", [sides, g.integers(f"{side}.{i}", [i]), g.integers(f"{side}.{i}.", [i + 1])]) for i in (0, 1))
        cut = g.node("Concat", [g.integers(f"{side}.planes", [planes]), h, g.integers(f"{side}.rows", [side]), wd, g.integers(f"{side}.columns", [side])], axis=0)
        done = g.node("Concat", [g.integers(f"{side}.batch", [1, planes * side * side]), h, wd], axis=0)
        return g.node("Reshape", [g.node("Transpose", [g.node("Reshape", [y, cut])], perm=[0, 2, 4, 1, 3]), done])

    linear = g.constant("linear.weight", (w["linear.weight"] * units_per_grey(planes)).astype(np.float32))
    transformed = g.node("Conv", [blocks(g.node("Sub", [x, number("middle", RANGE / 2)]), BLOCK), linear], kernel_shape=[1, 1])
    # The branch sees whole values less 128; 127.5 is the middle in training.
    y = blocks(g.to_uint8(g.node("Sub", [x, number("middle.whole", 128)]), "pixels8", 1.0, 128), 8)
    y = g.to_float(y, "pixels8", 1.0, 128)
    first = w["fine1.weight"] / 32
    y, scale, level = residual(g, y, ("fine1", first, w["fine1.bias"] + 0.5 * first.sum((1, 2, 3)), 1.0), ("fine2", w), (ranges.fine1, ranges.fine2))
    y, scale, level = residual(g, y, ("down", twice(w["down.weight"], level), w["down.bias"], scale), ("coarse", w), (ranges.down, ranges.coarse), strides=[2, 2])
    gain = np.full(channels + 1, OUTPUT_GAIN * units_per_grey(planes))
    gain[0] = PER_OCTAVE
    y = g.conv_int8(y, "last", twice(w["last.weight"], level) * gain[:, None, None, None], w["last.bias"] * gain, scale)
    g.node("Add", [g.node("Concat", [level_of_block, transformed], axis=1), y], "latent")
    return finished(g, "rd-encoder", ("pixels", TensorProto.FLOAT, planes), ("latent", TensorProto.FLOAT, channels + 1))


def residual(g: IntegerGraph, x: str, first: tuple, second: tuple[str, Weights], ranges: tuple[float, float], **more) -> tuple[str, float, float]:
    """relu(first(x)) beside relu(second of it), to be added by the next layer's weights (`twice`): one scale for both, and what the second's is scaled by."""
    name, weight, bias, input_scale = first
    scale, level = ranges[0] / 255, ranges[0] / ranges[1]
    out = f"{name}.out"
    y = g.to_uint8(g.node("Relu", [g.conv_int8(x, name, weight, bias, input_scale, **more)]), out, scale, 0)
    name, w = second
    z = g.node("Relu", [g.conv_int8(g.to_float(y, out, scale, 0), name, w[f"{name}.weight"] * level, w[f"{name}.bias"] * level, scale)])
    # Integers are put side by side: what is dequantised before is convolved in floating point.
    both = g.node("Concat", [y, g.to_uint8(z, f"{name}.out", scale, 0)], axis=1)
    return g.to_float(both, f"{name}.both", scale, 0), scale, level


def twice(weight: np.ndarray, level: float) -> np.ndarray:
    """Weights that add what `residual` puts side by side."""
    return np.concatenate([weight, weight / level], axis=1)


def finished(g: Graph, name: str, source: tuple[str, int, int], target: tuple[str, int, int]) -> onnx.ModelProto:
    dims = {"pixels": ["height", "width"], "latent": ["latent_height", "latent_width"]}
    source_info, target_info = (helper.make_tensor_value_info(n, kind, [1, c, *dims[n]]) for n, kind, c in (source, target))
    graph = helper.make_graph(g.nodes, name, [source_info], [target_info], g.initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="latentwire-training")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model
